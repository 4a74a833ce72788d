"""The bench's clock: the only place where time passes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Seconds since the bench was opened, and the only way to wait."""

    def now(self) -> float: ...
    def wait(self, seconds: float) -> None: ...


class RealClock:
    """Time as it passes in the lab."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def now(self) -> float:
        """Seconds since this clock was made."""
        return time.monotonic() - self._start

    def wait(self, seconds: float) -> None:
        """Sleep."""
        if seconds > 0:
            time.sleep(seconds)


class SimulatedClock:
    """Time that passes only when somebody waits or an instrument is busy; nobody sleeps unless `pace` does.

    Args:
        pace: called with every wait, for a dry run in real time (`time.sleep`).
    """

    def __init__(self, pace: Callable[[float], None] | None = None) -> None:
        self._now_s = 0.0
        self._pace = pace

    def now(self) -> float:
        """Simulated seconds."""
        return self._now_s

    def wait(self, seconds: float) -> None:
        """Advance the simulated light."""
        if seconds > 0:
            self._now_s += seconds
            if self._pace is not None:
                self._pace(seconds)
