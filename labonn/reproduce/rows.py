"""A row of a table: what a paper found, what came out here, and how they compare."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One quantity.

    Attributes:
        what: it is. ours: one number a seed. unit: of both. paper, paper_sd: the paper's; None: it has none.
        by: how ours came about, as "drivers, ideal bench" or "twin". data: data set and split.
        evaluations: hardware settings or shots of a run, on average; None: no hardware, simulated or not.
        aim: what is to be reached at least, by a higher authority than the paper. remark: what has to be said about it.
        higher: whether more is better; None: it is to be equal.
    """

    what: str
    ours: Sequence[float]
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
    def mean(self) -> float:
        """Of ours; NaN without any."""
        return statistics.fmean(self.ours) if self.ours else math.nan

    @property
    def sd(self) -> float | None:
        """Standard deviation over seeds; None for fewer than two."""
        return statistics.stdev(self.ours) if len(self.ours) > 1 else None

    @property
    def difference(self) -> float | None:
        """Ours less the paper's."""
        return None if self.paper is None or not self.ours else self.mean - self.paper

    @property
    def verdict(self) -> str:
        """better, within (the paper's and our standard deviation), below, above or other; empty without a paper's number."""
        off = self.difference
        if off is None:
            return ""
        allowed = math.hypot(self.paper_sd or 0.0, self.sd or 0.0)
        if abs(off) <= allowed:
            return "within"
        if self.higher is None:
            return "other"
        return "better" if (off > 0) == self.higher else "below" if self.higher else "above"
