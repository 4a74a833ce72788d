"""The time that is left, from how long work took so far: a range, and nothing before there is reason for one."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from labonn.progress.words import clock, rounded

BLOCKS = 64
KNOWN_BLOCKS, KNOWN_S = 4, 1.0  # before which nothing is said
STALL_S, STALL = 3.0, 20.0  # a pause: longer than that, and so many times as long as usual
BELIEVED_STALLS = 3  # from so many on they belong to the run
ODD_END = 4.0  # ends of epochs that took so many times as long as usual do not count
FIRST_END = 0.25  # how much the one end of an epoch that was seen may be off
ABOUT, ABOUT_S = 1.25, 2.0  # a range narrower than this factor, or than these seconds, is one number
Pace = tuple[float, float]  # work done, and the seconds that it took


@dataclass(frozen=True)
class Span:
    """Seconds that are left.

    Attributes:
        low_s, high_s: between these. more: something that will come was never seen yet, so it is longer than `low_s`.
    """

    low_s: float
    high_s: float
    more: bool = False

    def __str__(self) -> str:
        if self.more:
            return f"over {clock(rounded(self.low_s))} left"
        if self.high_s <= ABOUT * self.low_s or self.high_s - self.low_s < ABOUT_S:
            return f"about {clock(rounded((self.low_s + self.high_s) / 2))} left"
        return f"{clock(rounded(self.low_s))} to {clock(rounded(self.high_s))} left"


class TimeLeft:
    """Learns from work as it is done how long the rest will take.

    Work is steps, or seconds of bench time. What a step takes is averaged over blocks of steps, in which the slow first ones, and pauses
    (a suspended process), do not count. What lies between the last step of an epoch and the first of the next is learned by itself.
    """

    def __init__(self) -> None:
        self._last: Pace | None = None  # work, moment
        self._epoch: int | None = None
        self._blocks: list[Pace] = []
        self._each = 1  # tellings in a block
        self._open, self._tellings = (0.0, 0.0), 0
        self._ends: deque[Pace] = deque(maxlen=16)
        self._length = 0.0  # of an epoch
        self._stalls: list[Pace] = []

    def tell(self, work: float, now_s: float, epoch: int | None = None) -> None:
        """So much is done since the run began, in whatever session; `epoch` counts from 1."""
        before, self._last = self._last, (work, now_s)
        ended, self._epoch = self._epoch, epoch
        if before is None:
            return
        took = (work - before[0], now_s - before[1])
        if epoch != ended and ended:
            self._ends.append(took)
            self._length = before[0] / ended
        elif self._stalled(took[1]):
            self._stalls.append(took)
            if len(self._stalls) == BELIEVED_STALLS:
                self._add(*map(sum, zip(*self._stalls, strict=True)))
        else:
            self._add(*took)

    def left(self, total: float, now_s: float) -> Span | None:
        """Until so much work is done; None: not known yet."""
        blocks = self._settled()
        if self._last is None or len(blocks) < KNOWN_BLOCKS or sum(seconds for _, seconds in blocks) < KNOWN_S:
            return None
        work = max(total - self._last[0], 0.0)
        pace, low, high = paces(blocks, work)
        end_s, unsure_s = self._end(pace)
        ends = math.ceil(total / self._length - 1e-6) - (self._epoch or 1) + 1 if self._length else 0
        waited = min(now_s - self._last[1], max(pace * self._each, end_s))
        low_s, high_s = work * low + ends * max(end_s - unsure_s, 0.0), work * high + ends * (end_s + unsure_s)
        return Span(max(low_s - waited, 0.0), max(high_s - waited, 0.0), bool(self._epoch and not self._ends and work))

    def _stalled(self, seconds: float) -> bool:
        if seconds < STALL_S or len(self._blocks) < KNOWN_BLOCKS or len(self._stalls) >= BELIEVED_STALLS:
            return False
        return seconds > STALL * statistics.median(seconds for _, seconds in self._blocks) / self._each

    def _add(self, work: float, seconds: float) -> None:
        """Into the block that is open; when there are too many, each takes in its neighbour."""
        self._open, self._tellings = (self._open[0] + work, self._open[1] + seconds), self._tellings + 1
        if self._tellings < self._each:
            return
        self._blocks.append(self._open)
        self._open, self._tellings = (0.0, 0.0), 0
        if len(self._blocks) == BLOCKS:
            pairs = zip(self._blocks[::2], self._blocks[1::2], strict=True)
            self._blocks = [(a + c, b + d) for (a, b), (c, d) in pairs]
            self._each *= 2

    def _settled(self) -> list[Pace]:
        """The blocks without slow first ones."""
        blocks = [block for block in self._blocks if block[0] > 0]
        if len(blocks) < KNOWN_BLOCKS:
            return blocks
        usual = statistics.median(seconds / work for work, seconds in blocks)
        slow = 0
        while slow < len(blocks) // 4 and blocks[slow][1] > 1.5 * usual * blocks[slow][0]:
            slow += 1
        return blocks[slow:]

    def _end(self, pace: float) -> tuple[float, float]:
        """Seconds that the end of an epoch takes beside its step, and how sure that is."""
        extra = [max(seconds - work * pace, 0.0) for work, seconds in self._ends]
        if not extra:
            return 0.0, 0.0
        usual = statistics.median(extra)
        kept = [seconds for seconds in extra if seconds <= ODD_END * usual]
        if len(kept) < 2:
            return usual, FIRST_END * usual
        return statistics.fmean(kept), 2 * statistics.stdev(kept) / math.sqrt(len(kept))


def paces(blocks: Sequence[Pace], work: float) -> tuple[float, float, float]:
    """Seconds a unit of work: now, and for the work that is left at least and at most.

    Where the last quarter of the blocks is as fast as the others, all count; else the rest is between as fast as that quarter and as fast
    as it becomes if it goes on to change.
    """
    late = max(2, len(blocks) // 4)
    (early_pace, early_error), (late_pace, late_error) = _mean(blocks[:-late]), _mean(blocks[-late:])
    if abs(late_pace - early_pace) <= 2 * math.hypot(early_error, late_error):
        pace, error = _mean(blocks)
        return pace, max(pace - 2 * error, 0.0), pace + 2 * error
    done, recent = sum(work for work, _ in blocks), sum(work for work, _ in blocks[-late:])
    slope = (late_pace - early_pace) / (done / 2)
    later = min(max(late_pace + slope * (recent + work) / 2, late_pace / 3), 3 * late_pace)
    low, high = sorted((late_pace, later))
    return late_pace, max(low - 2 * late_error, 0.0), high + 2 * late_error


def _mean(blocks: Sequence[Pace]) -> tuple[float, float]:
    """Seconds a unit of work, and the standard error of that."""
    work, seconds = map(sum, zip(*blocks, strict=True))
    pace = seconds / work
    if len(blocks) < 2:
        return pace, pace / 2
    scatter = math.sqrt(sum((took / done - pace) ** 2 for done, took in blocks) / (len(blocks) - 1))
    return pace, scatter / math.sqrt(len(blocks))
