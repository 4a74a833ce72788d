"""slmPy in a process of its own: what hangs in it ends with that process, within a time limit, and the next frame starts another."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import IO, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from drivers.slm_slmpy_child import CLOSE, FRAME, REPLY, REQUEST
from labonn.errors import (
    ConnectError,
    DesyncError,
    IdentityError,
    LabonnError,
    LinkClosedError,
    LinkTimeoutError,
    MissingPackageError,
    RefusedError,
)

RIGHT_PACKAGE = "pip install git+https://github.com/wavefrontshaping/slmPy wxPython"
CHILD = "drivers.slm_slmpy_child"
CLOSE_S = 2.0
LONGEST_REPLY = 1 << 14
LAST_WORDS = 300
Result = TypeVar("Result")


class SlmPyProcess:
    """The functions of SLMdisplay that are used, with its names.

    Args:
        url: for messages. open_s: for the window to open. frame_s: for a frame to be taken.
    """

    def __init__(self, url: str, monitor: int, image_lock: bool, open_s: float, frame_s: float) -> None:
        self._url, self._open_s, self._frame_s = url, open_s, frame_s
        self._command = [sys.executable, "-P", "-m", CHILD, str(monitor), str(int(image_lock))]
        self._child: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._number, self._closed = 0, False
        self._size = self._started()

    @property
    def pid(self) -> int | None:
        """Of slmPy's process, if it runs."""
        return self._child.pid if self._child else None

    def getSize(self) -> tuple[int, int]:
        """(width, height), in this order."""
        return self._size

    def updateArray(self, array: NDArray[np.uint8], sleep: float = 0) -> None:
        """Show a gray picture of the full panel.

        Raises:
            LinkTimeoutError: slmPy hung; its process was ended. LinkClosedError: it died, or the display was closed.
            RefusedError: with slmPy's words. All but the last leave the panel in doubt; the next frame opens the window again.
        """
        width, height = self._size
        if array.dtype != np.uint8 or array.shape != (height, width):
            given = f"{array.dtype} {array.shape}"
            raise ValueError(f"{self._url}: a picture is uint8 {(height, width)}, not {given}: slmPy would show it wrong")
        if self._closed:
            raise LinkClosedError(f"{self._url}: this display was closed")
        if self._child is None and self._started() != (width, height):
            self._end()
            raise IdentityError(f"{self._url}: the monitor had {height} x {width} pixels when it was opened first, and has others now")
        about = self._within(self._frame_s, "took no frame", lambda: self._asked(FRAME, array.tobytes()))
        if "error" in about:
            raise RefusedError(f"{self._url}: slmPy refused a frame: {about['error']}")

    def close(self) -> None:
        """Close the window and end the process; a second call does nothing."""
        if not self._closed and self._child is not None:
            with contextlib.suppress(LabonnError):  # it goes either way
                self._within(CLOSE_S, "did not close", lambda: self._asked(CLOSE, b""))
        self._closed = True
        self._end()

    def _launch(self) -> None:
        with contextlib.ExitStack() as failed:
            self._errors = failed.enter_context(tempfile.TemporaryFile())
            paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
            self._child = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, env={**os.environ, "PYTHONPATH": paths},
                start_new_session=os.name == "posix",  # Ctrl-C at the terminal is not for it
            )  # fmt: skip
            failed.pop_all()
        self._number = 0

    def _started(self) -> tuple[int, int]:
        """Start the process; the size that it tells."""
        self._launch()
        late = "opened no window; so it does on a monitor index that does not exist (it counts from 0), and without a display"
        try:
            about = self._within(self._open_s, late, self._reply)
            if "width" not in about:
                raise self._not_opened(about)
            return int(about["width"]), int(about["height"])
        except (LinkTimeoutError, LinkClosedError) as problem:
            raise ConnectError(str(problem)) from None
        except BaseException:
            self._end()
            raise

    def _not_opened(self, about: dict[str, Any]) -> LabonnError:
        if "absent" in about:
            return MissingPackageError(f"slmPy cannot be imported ({about['absent']}); install it by: {RIGHT_PACKAGE}")
        if "other" in about:
            return MissingPackageError(
                f"the package slmpy in {about['other']} is not the SLM library slmPy: it has no SLMdisplay "
                f"(the slmpy on PyPI detects communities); pip uninstall slmpy, then: {RIGHT_PACKAGE}"
            )
        return ConnectError(f"{self._url}: slmPy opened no window: {about.get('error')}")

    def _within(self, limit_s: float, late: str, talk: Callable[[], Result]) -> Result:
        """What `talk` returns; if it takes too long the process is killed, which ends every wait for it."""
        child, expired = self._running(), threading.Event()

        def expire() -> None:
            expired.set()
            child.kill()

        watch = threading.Timer(limit_s, expire)
        watch.daemon = True
        watch.start()
        try:
            return talk()
        except (OSError, EOFError):
            told = self._end()
            if expired.is_set():
                raise LinkTimeoutError(f"{self._url}: within {limit_s:g} s slmPy {late}; its process was ended") from None
            raise LinkClosedError(f"{self._url}: slmPy's process died: {told}") from None
        except BaseException:  # Ctrl-C too: half a frame may be under way
            self._end()
            raise
        finally:
            watch.cancel()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            raise LinkClosedError(f"{self._url}: slmPy's process has ended")
        return self._child

    def _asked(self, operation: bytes, data: bytes) -> dict[str, Any]:
        stdin = self._running().stdin
        assert stdin is not None
        self._number += 1
        stdin.write(REQUEST.pack(operation, self._number, len(data)))
        stdin.write(data)
        stdin.flush()
        return self._reply()

    def _reply(self) -> dict[str, Any]:
        number, length = REPLY.unpack(self._read(REPLY.size))
        if number != self._number or length > LONGEST_REPLY:
            raise DesyncError(f"{self._url}: slmPy's process answers number {number} with {length} bytes; {self._number} was asked")
        try:
            about = json.loads(self._read(length))
        except ValueError:
            about = None
        if not isinstance(about, dict):
            raise DesyncError(f"{self._url}: slmPy's process answers with something else than an object")
        return about

    def _read(self, count: int) -> bytes:
        stdout = self._running().stdout
        assert stdout is not None
        if len(data := stdout.read(count)) < count:
            raise EOFError
        return data

    def _end(self) -> str:
        """End the process, whatever it does; its last words."""
        child, self._child = self._child, None
        if child is None:
            return ""
        child.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(CLOSE_S)
        for pipe in (child.stdin, child.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        assert self._errors is not None
        self._errors.seek(0)
        words = self._errors.read().decode(errors="replace").strip()[-LAST_WORDS:]
        self._errors.close()
        return f"{words or 'no words'} (exit code {child.returncode})"
