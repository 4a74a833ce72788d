"""The run of a plan that is only tried out: a folder that is gone afterwards, no figures, and marks of how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from labonn.planned.tally import Counts
from labonn.progress import Progress
from labonn.runs import Run

MOST_S, FEWEST_STEPS = 8.0, 3
MARK_S = 0.5


class Enough(BaseException):
    """So many steps have been seen that the rest is known; no error, and nobody who handles errors is to stop it."""


class PlannedRun(Run):
    """As a run, for the procedure.

    Args:
        folder: a temporary one. whole: whether the procedure is let go on to its end, because it was asked for few steps only.

    Attributes:
        total: steps that the procedure said it would take; 0: it did not. steps: seen since.
        marks: (steps, counts) when the steps began, after every report (of steps without any, now and then), and where they broke off.
        now: gives counts; set once the bench is open.
    """

    def __init__(self, folder: Path, procedure: str, seed: int, whole: bool) -> None:
        super().__init__(folder, procedure, seed, "quiet")
        self.whole = whole
        self.total = self.steps = 0
        self.marks: list[tuple[int, Counts]] = []
        self.now: Callable[[], Counts] = dict
        self._began_s = self._marked_s = 0.0
        self._reports = 0

    def progress(self, total_steps: int, unit: str = "epoch", time_s: float | None = None) -> Progress:
        """From now on steps are counted."""
        shown = super().progress(total_steps, unit, time_s)
        self.total, self.steps, self._reports, self._began_s = total_steps, 0, 0, time.perf_counter()
        self.marks.clear()
        self._mark()
        return shown

    def step(self, number: int, *more: Any, **metrics: Any) -> None:
        """A step is done."""
        super().step(number, *more, **metrics)
        self.steps += 1
        if not self._reports and (self.steps <= 2 or time.perf_counter() - self._marked_s > MARK_S):
            self._mark()
        if not self.whole and self._late() and self.steps >= FEWEST_STEPS:
            self._mark()
            raise Enough

    def metrics(self, row: Mapping[str, Any]) -> None:
        """So many steps, and what is done after them."""
        super().metrics(row)
        if not self.marks:
            return
        if not self._reports:
            del self.marks[1:]
        self._reports += 1
        self._mark()
        if not self.whole and self.steps >= FEWEST_STEPS and (self._late() or self._reports > 1):
            raise Enough

    def save_figure(self, name: str, draw: Callable[[Path], object]) -> Path:
        """None is drawn."""
        return self.path(f"{name}.png")

    def flushed(self) -> None:
        """All that is to be on the disk is."""
        if self.record is not None:
            self.record.flush()

    def _mark(self) -> None:
        self.flushed()
        self.marks.append((self.steps, self.now()))
        self._marked_s = time.perf_counter()

    def _late(self) -> bool:
        return time.perf_counter() - self._began_s > MOST_S
