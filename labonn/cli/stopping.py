"""Ctrl-C, SIGTERM and a lost terminal: each stops the work once, and none may interrupt making the bench safe."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class Stopped(KeyboardInterrupt):
    """Raised in the main thread by the first signal."""


class Stopping:
    """Turns signals into one `Stopped`, never two, and none while held.

    Attributes:
        received: number of the first signal, or 0.
    """

    def __init__(self) -> None:
        self.received = 0
        self._raised = False
        self._held = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The signal handler."""
        self.received = self.received or number
        if not self._held and not self._raised:
            self._raised = True
            raise Stopped(signal.Signals(number).name)
        with contextlib.suppress(OSError):
            os.write(2, b"labonn: stopping; first everything is made safe\n")

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
        for number, handler in before.items():
            signal.signal(number, handler)
