"""Ctrl-C, SIGTERM and a lost terminal: each stops the work once, and none may interrupt making the bench safe."""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


PATIENCE_S = 10.0


class Stopped(KeyboardInterrupt):
    """Raised in the main thread by the first signal."""


class Stopping:
    """Turns signals into one `Stopped`, never two, and none while held.

    Attributes:
        received: number of the first signal, or 0.
        gently: whether the work stops by itself, by `stop`, at the end of the step that is under way; a second signal, or PATIENCE_S
            later, it is stopped all the same.
    """

    def __init__(self) -> None:
        self.received = 0
        self.gently = False
        self._raised = False
        self._held = False
        self._patience: threading.Timer | None = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The signal handler."""
        again, self.received = self.received, self.received or number
        if self.gently and not again and not self._held and not self._raised:
            self._wait_for_the_step()
            return
        if not self._held and not self._raised:
            self._raised = True
            raise Stopped(signal.Signals(number).name)
        with contextlib.suppress(OSError):
            os.write(2, b"labonn: stopping; first everything is made safe\n")

    def stop(self) -> None:
        """What the first signal asked for."""
        self.forget()
        self._raised = True
        raise Stopped(signal.Signals(self.received).name)

    def _wait_for_the_step(self) -> None:
        with contextlib.suppress(OSError):
            os.write(2, b"labonn: stopping after this step; again: at once\n")
        self._patience = threading.Timer(PATIENCE_S, _signal_main, (self.received,))
        self._patience.daemon = True
        self._patience.start()

    def forget(self) -> None:
        """Nobody waits for a step any more."""
        if self._patience is not None:
            self._patience.cancel()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Signals are remembered, and stop nothing in here but what is `released`."""
        self._held = True
        try:
            yield
        finally:
            self._held = False

    @contextlib.contextmanager
    def released(self) -> Iterator[None]:
        """Inside `held`: the part that may be stopped."""
        self._held = False
        try:
            if self.received and not self._raised:
                self._raised = True
                raise Stopped(signal.Signals(self.received).name)
            yield
        finally:
            self._held = True


def _signal_main(number: int) -> None:
    """The signal once more, also into a system call of the main thread."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, number)
    else:
        _thread.interrupt_main(signal.Signals(number))


@contextlib.contextmanager
def stoppable() -> Iterator[Stopping]:
    """Handle the signals until the end; those that were ignored (nohup, background jobs) stay ignored."""
    stop, before = Stopping(), {}
    if threading.current_thread() is threading.main_thread():
        for number in (getattr(signal, name) for name in SIGNALS if hasattr(signal, name)):
            if signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, stop.handle)
    try:
        yield stop
    finally:
        stop.forget()
        for number, handler in before.items():
            signal.signal(number, handler)
