"""What settings cost in bench seconds: a constant a table, and more a setting than its shots last, by how much of it changes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.optimize import nnls

from labonn.shots import Readings, ShotTable

Result = TypeVar("Result")
Clock = Callable[[], float]
SPARSE = 1.5  # parameters that change from one setting of central differences to the next: one within a pair, two between pairs
FORWARD = 2.0
DITHERED = 0.75  # part of all parameters that changes, the mean of all (+w to -w) and half (to the next w)


@dataclass(frozen=True)
class Timed:
    """A table that was timed.

    Attributes:
        settings, shots: of the table. changes: parameters that change from one setting to the next. seconds: it took.
    """

    settings: int
    shots: int
    changes: float
    seconds: float


@dataclass(frozen=True)
class Costs:
    """Seconds beyond those that the shots last.

    Attributes:
        table_s: of every table. still_s: of a setting that changes nothing. sparse_s: of one of central differences.
        change_s: of one more changed parameter.
        dither_s: of a setting in which all move. dither_played: false where that is drawn out from fewer moving parameters.
    """

    table_s: float
    still_s: float
    sparse_s: float
    change_s: float
    dither_s: float
    dither_played: bool

    @property
    def forward_s(self) -> float:
        """Of a setting of forward differences."""
        return self.sparse_s + (FORWARD - SPARSE) * self.change_s


def timed(plan: Generator[ShotTable, Readings, Result], clock: Clock) -> Generator[ShotTable, Readings, tuple[Result, float]]:
    """The plan's result and the seconds that its tables took."""
    spent = 0.0
    try:
        table = next(plan)
        while True:
            start = clock()
            readings = yield table
            spent += clock() - start
            table = plan.send(readings)
    except StopIteration as done:
        return done.value, spent
    finally:
        plan.close()


def fit_costs(tables: Sequence[Timed], dwell_s: float, count: int) -> Costs:
    """Least squares over all tables, no cost below zero.

    Args:
        dwell_s: seconds a shot lasts. count: parameters of a dither of all.
    """
    kinds = sorted({table.changes for table in tables})
    rows = [[1.0, *(table.settings * (table.changes == kind) for kind in kinds)] for table in tables]
    beyond = [table.seconds - table.shots * dwell_s for table in tables]
    constant, *each = nnls(np.array(rows, dtype=np.float64), np.array(beyond))[0]
    found = dict(zip(kinds, each, strict=True))
    sparse, widest = float(found.get(SPARSE, 0.0)), kinds[-1]
    change = max(float(found[widest]) - sparse, 0.0) / (widest - SPARSE) if widest > SPARSE else 0.0
    full = DITHERED * count
    played = full in found and full > SPARSE
    dither = float(found[full]) if played else sparse + change * max(full - SPARSE, 0.0)
    return Costs(float(constant), float(found.get(0.0, 0.0)), sparse, change, dither, played)
