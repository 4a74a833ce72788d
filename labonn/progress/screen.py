"""The last lines of a terminal, drawn again and again; whatever else is written stays above them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, TextIO

from labonn.progress.above import Above

Frame = Callable[[int], Sequence[str]]  # rows for that many columns
TICK_S = 1.0  # between drawings if nobody asks for one: a clock goes on
DUMB = ("dumb", "unknown", "")
CLEAR_BELOW, CLEAR_LINE = "\r\x1b[J", "\x1b[K"


def can_draw(stream: TextIO) -> bool:
    """Whether it is a terminal on which a line can be written again."""
    if not stream.isatty():
        return False
    if sys.platform != "win32":
        return os.environ.get("TERM", "") not in DUMB
    from rich.console import Console

    return not Console(file=stream).legacy_windows


def has_dots(stream: TextIO) -> bool:
    """Whether lines and braille can be shown; the Linux console has no font for them."""
    try:
        "━─⣿…".encode(getattr(stream, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return os.environ.get("TERM") != "linux"


class Screen:
    """A frame below everything that is written meanwhile, by this program through sys.stderr or sys.stdout, or by others past it.

    The cursor rests on an empty line above the frame. So a line that comes past Python (a signal handler, another process) lands there
    and not in the frame; and when the terminal becomes narrower, all that it wraps is below the cursor, and cleared.
    The cursor is never hidden: a process that is killed leaves the terminal as it was.

    Args:
        frame: makes the rows, at most as many characters wide as it is told. stream: a terminal.
    """

    _top: ClassVar[Screen | None] = None  # only one of them is drawn

    def __init__(self, frame: Frame, stream: TextIO) -> None:
        self._frame, self._stream = frame, stream.stream if isinstance(stream, Above) else stream
        self._lock = threading.RLock()
        self._rows = 0
        self._below: Screen | None = None
        self._replaced: list[tuple[str, Any, Any]] = []
        self._over = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="labonn-screen", daemon=True)
        self._before: Any = None

    def start(self) -> None:
        """Take the place of another screen, if there is one, and catch what is printed."""
        if Screen._top is not None:
            Screen._top.clear()
        self._below, Screen._top = Screen._top, self
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if isinstance(stream, Above) or not stream.isatty():
                continue
            above = Above(stream, _aside)
            setattr(sys, name, above)
            self._replaced.append((name, stream, above))
        main = threading.current_thread() is threading.main_thread()
        if main and hasattr(signal, "SIGTSTP") and signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL:
            self._before = signal.signal(signal.SIGTSTP, self._suspend)
        self._ticker.start()

    def draw(self) -> None:
        """The frame as it is now."""
        with self._lock:
            if Screen._top is self:
                rows = self._fitting()
                self._rows = len(rows)
                lines = "".join(f"\n\r{row}{CLEAR_LINE}" for row in rows)
                self._write(f"{CLEAR_LINE}{lines}{CLEAR_BELOW[1:]}\x1b[{len(rows)}A\r" if rows else "")

    def clear(self) -> None:
        """Nothing is left of the frame until it is drawn again."""
        with self._lock:
            self._write(CLEAR_BELOW)
            self._rows = 0

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """What is written in here stays above the frame."""
        with self._lock:
            drawn = self._rows
            self.clear()
            yield
            if drawn:
                self.draw()

    def stop(self, keep: bool) -> None:
        """Give the terminal back; with the last frame above the cursor if that is wanted."""
        self._over.set()
        if self._ticker.is_alive():
            self._ticker.join(TICK_S)
        with self._lock:
            self._write(CLEAR_BELOW + "".join(f"{row}\n" for row in (self._fitting() if keep else ())))
            self._rows = 0
            for name, stream, above in self._replaced:
                above.rest()
                if getattr(sys, name) is above:
                    setattr(sys, name, stream)
        if self._before is not None:
            signal.signal(signal.SIGTSTP, self._before)
        Screen._top = self._below

    def _fitting(self) -> list[str]:
        """As many rows as the terminal has, one less for the cursor; the last columns stay free, for some terminals wrap there."""
        size = shutil.get_terminal_size()
        with contextlib.suppress(OSError, ValueError):
            size = os.get_terminal_size(self._stream.fileno())
        columns = max((size.columns or 80) - 1, 10)
        return [row[:columns] for row in self._frame(columns)][: max((size.lines or 24) - 2, 1)]

    def _write(self, text: str) -> None:
        """A terminal that is gone (a closed window) must not end a run."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()

    def _tick(self) -> None:
        while not self._over.wait(TICK_S):
            self.draw()

    def _suspend(self, number: int, frame: object) -> None:
        """Ctrl-Z: the shell gets a clean line, and a new frame begins when the process goes on."""
        with self._lock:
            self.clear()
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTSTP)
            signal.signal(signal.SIGTSTP, self._suspend)


def _aside() -> contextlib.AbstractContextManager[None]:
    """Above the screen that is drawn, if there is one."""
    return contextlib.nullcontext() if Screen._top is None else Screen._top.aside()
