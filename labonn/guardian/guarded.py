"""A bench whose plays can be ended from another thread: between segments, and while it waits."""

from __future__ import annotations

import threading
from typing import Any

from labonn import opening
from labonn.bench import Bench
from labonn.benchfile import BenchFile
from labonn.clock import Clock, RealClock
from labonn.errors import LeaseError


class Stop:
    """A wish that what is being done should end, and why."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._reason = ""

    def ask(self, reason: str) -> None:
        """Let it end."""
        self._reason = reason
        self._asked.set()

    def clear(self) -> None:
        """It has ended."""
        self._asked.clear()

    def check(self) -> None:
        """Raise LeaseError if it was asked for."""
        if self._asked.is_set():
            raise LeaseError(self._reason)

    def wait(self, seconds: float) -> None:
        """Sleep, no longer than until it is asked for; LeaseError then."""
        if self._asked.wait(seconds):
            raise LeaseError(self._reason)


class StoppableClock:
    """The bench's clock; waiting in the lab's time ends when it is told to."""

    def __init__(self, clock: Clock, stop: Stop) -> None:
        self._clock, self._stop = clock, stop
        self.concurrent = clock.concurrent

    def now(self) -> float:
        """As the bench's."""
        return self._clock.now()

    def wait(self, seconds: float) -> None:
        """As the bench's, or LeaseError."""
        self._stop.check()
        if isinstance(self._clock, RealClock):
            self._stop.wait(max(0.0, seconds))
        else:
            self._clock.wait(seconds)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clock, name)


class GuardedBench(Bench):
    """A bench that can be stopped.

    Attributes:
        stop: by this, from any thread.
    """

    def __init__(self, file: BenchFile, opened: opening.Opened) -> None:
        self.stop = Stop()
        opened.clock = StoppableClock(opened.clock, self.stop)  # for ramps and reconnects too
        super().__init__(file, opened)

    def let_go(self) -> None:
        """Close a bench that is safe already."""
        self._closed = True
        try:
            self._opened.close()
        finally:
            self._crew.close()

    def between(self) -> None:
        """LeaseError if the play is to end here."""
        self.stop.check()
