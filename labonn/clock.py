"""The bench's clock: the only place where time passes."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

WORTH_A_LOOK_S = 1e-3


class Clock(Protocol):
    """Seconds since the bench was opened, and the only way to wait.

    Attributes:
        concurrent: whether time passes for all threads at once, so that waiting for several instruments together saves any.
    """

    concurrent: bool

    def now(self) -> float: ...
    def wait(self, seconds: float) -> None: ...


class RealClock:
    """Time as it passes in the lab."""

    concurrent = True

    def __init__(self) -> None:
        self._start = time.monotonic()

    def now(self) -> float:
        """Seconds since this clock was made."""
        return time.monotonic() - self._start

    def wait(self, seconds: float) -> None:
        """Sleep."""
        if seconds > 0:
            time.sleep(seconds)

    def go_on_from(self, seconds: float) -> None:
        """Count what an earlier session took as well."""
        self._start -= seconds


class SimulatedClock:
    """Time that passes only when somebody waits or an instrument is busy; nobody sleeps unless `pace` does.

    Counted in whole nanoseconds, so that the sum does not depend on the order in which parallel instruments were busy.

    Args:
        pace: called with every wait, for a dry run in real time (`time.sleep`).

    Attributes:
        before_wait: called before more than 1 ms passes; a simulated bench takes down here what its instruments were set to, and when.
    """

    concurrent = False

    def __init__(self, pace: Callable[[float], None] | None = None) -> None:
        self._now_ns = 0
        self._lock = threading.Lock()
        self._pace = pace
        self.before_wait: Callable[[], None] = lambda: None

    def now(self) -> float:
        """Simulated seconds."""
        return self._now_ns * 1e-9

    def wait(self, seconds: float) -> None:
        """Advance the simulated light."""
        if seconds > 0:
            with self._lock:
                if seconds > WORTH_A_LOOK_S:
                    self.before_wait()
                self._now_ns += round(seconds * 1e9)
            if self._pace is not None:
                self._pace(seconds)


class LiveClock(SimulatedClock):
    """Time as it passes in the lab, for emulated instruments that other programs talk to.

    Attributes:
        turn: held while an instrument answers; instruments that share one light take turns.
    """

    concurrent = True

    def __init__(self) -> None:
        super().__init__()
        self._start = time.monotonic()
        self.turn = threading.RLock()

    def now(self) -> float:
        """Seconds since this clock was made."""
        return time.monotonic() - self._start

    def wait(self, seconds: float) -> None:
        """Take down what the instruments are set to, then sleep."""
        with self.turn:
            self.before_wait()
        if seconds > 0:
            time.sleep(seconds)


def turn(clock: Clock) -> contextlib.AbstractContextManager[Any]:
    """The turn of one instrument: alone on a live clock; elsewhere the bench asks one at a time anyway."""
    return clock.turn if isinstance(clock, LiveClock) else contextlib.nullcontext()
