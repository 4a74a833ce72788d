"""The time that a sweep still takes: as long for its cost as it took so far, as surely as its jobs took what they were said to cost."""

from __future__ import annotations

import math
import statistics

from labonn.progress.timeleft import Span

KNOWN_S, KNOWN_SHARE = 5.0, 0.01  # before which nothing is said
UNSURE, FEW = 1.0, 3  # how much longer or shorter it may be, as a share, before so many jobs have ended


class Pace:
    """Learns from jobs that end how far costs can be believed."""

    def __init__(self) -> None:
        self._each: list[float] = []

    def ended(self, cost: float, seconds: float) -> None:
        """A job of that cost took so long."""
        if cost > 0 and seconds > 0:
            self._each.append(math.log(seconds / cost))

    def left(self, done: float, rest: float, gone_s: float) -> Span | None:
        """Until the rest is done, in units of cost as what is done; None: not known yet."""
        if gone_s < KNOWN_S or done < KNOWN_SHARE * (done + rest):
            return None
        about = gone_s * rest / done
        factor = math.exp(self._scatter()) if len(self._each) >= FEW else 1 + UNSURE
        return Span(about / factor, about * factor)

    def _scatter(self) -> float:
        return 2 * statistics.stdev(self._each) / math.sqrt(len(self._each))
