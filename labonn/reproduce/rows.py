"""A row of a table: what a paper found, what came out here, and how they compare."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

FEWEST = 3  # seeds, whose standard deviation says something


@dataclass(frozen=True)
class Row:
    """One quantity.

    Attributes:
        what: it is. ours: one number a seed; NaN, or None, as which results keep it: it is none. unit: of both.
        paper, paper_sd: the paper's; None: it has none.
        by: how ours came about, as "drivers, ideal bench" or "twin". data: data set and split; empty for what has no chance in it.
        evaluations: hardware settings or shots of a run, on average; None: no hardware, simulated or not.
        aim: what is to be reached at least, by a higher authority than the paper. remark: what has to be said about it.
        higher: whether more is better; None: it is to be equal.
    """

    what: str
    ours: Sequence[float | None]
    unit: str = "%"
    paper: float | None = None
    paper_sd: float | None = None
    by: str = ""
    data: str = ""
    evaluations: float | None = None
    aim: float | None = None
    remark: str = ""
    higher: bool | None = True

    @property
    def numbers(self) -> list[float]:
        """Ours, without those that are no numbers."""
        return [number for number in self.ours if number is not None and math.isfinite(number)]

    @property
    def lost(self) -> int:
        """How many of ours are no numbers."""
        return len(self.ours) - len(self.numbers)

    @property
    def mean(self) -> float:
        """Of ours; NaN without any, and where one of them is no number."""
        return statistics.fmean(self.numbers) if self.ours and not self.lost else math.nan

    @property
    def sd(self) -> float | None:
        """Standard deviation over seeds; None for fewer than two, and where one of them is no number."""
        return statistics.stdev(self.numbers) if len(self.ours) > 1 and not self.lost else None

    @property
    def difference(self) -> float | None:
        """Ours less the paper's; None where one of them is missing."""
        return None if self.paper is None or math.isnan(self.mean) else self.mean - self.paper

    @property
    def allowed(self) -> float:
        """How far ours may be from the paper's: both standard deviations and half the paper's last digit, as squares.

        Where the paper has no standard deviation, as of a single run, it is taken to be as large as ours.
        """
        ours = self.sd or 0.0
        return math.hypot(ours if self.paper_sd is None else self.paper_sd, ours, 0.0 if self.paper is None else half_a_digit(self.paper))

    @property
    def verdict(self) -> str:
        """within (what is allowed), better, below, above or other; empty without a paper's number, or with too few seeds to say."""
        off = self.difference
        if off is None or (self.data and len(self.ours) < FEWEST):
            return ""
        if abs(off) <= self.allowed:
            return "within"
        if self.higher is None:
            return "other"
        return "better" if (off > 0) == self.higher else "below" if self.higher else "above"

    @property
    def reached(self) -> bool | None:
        """Whether the mean has the aim; None: there is none, or nothing to compare with it."""
        if self.aim is None or math.isnan(self.mean):
            return None
        return self.mean <= self.aim if self.higher is False else self.mean >= self.aim


def half_a_digit(number: float) -> float:
    """Half the last digit of a number as it is written: 0.05 of 97.3.

    Up to six digits: what has more was computed, not written.
    """
    exponent = Decimal(f"{number:g}").as_tuple().exponent
    return 0.5 * 10.0**exponent if isinstance(exponent, int) and number else 0.0
