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

    Tables of the three kinds (nothing moves, single parameters, dithers) have a constant each, as held ports set and read back other
    amounts before the first setting of each; that of single parameters is the one that counts, long dithers hide theirs.

    Args:
        dwell_s: seconds a shot lasts. count: parameters of a dither of all.
    """
    kinds = sorted({table.changes for table in tables})
    own = [_class(table, tables) for table in tables]
    per_kind = [[table.settings * (table.changes == kind) for kind in kinds] for table in tables]
    rows = np.array([[*(float(place == one) for place in range(3)), *each] for one, each in zip(own, per_kind, strict=True)])
    beyond = np.array([table.seconds - table.shots * dwell_s for table in tables])
    still, single, dithered, *each = nnls(rows, beyond)[0]
    constant = single if 1 in own else max(still, dithered)
    found = dict(zip(kinds, each, strict=True))
    sparse, widest = float(found.get(SPARSE, 0.0)), kinds[-1]
    change = max(float(found[widest]) - sparse, 0.0) / (widest - SPARSE) if widest > SPARSE else 0.0
    full = DITHERED * count
    played = full in found and full > SPARSE
    dither = float(found[full]) if played else sparse + change * max(full - SPARSE, 0.0)
    return Costs(float(constant), float(found.get(0.0, 0.0)), sparse, change, dither, played)


def _class(table: Timed, tables: Sequence[Timed]) -> int:
    """Whose constant a table has: 0 nothing moves, 1 single parameters, 2 dithers; of one size only, a kind's constant cannot be told."""

    def kind(one: Timed) -> int:
        return 0 if one.changes == 0 else 1 if 0 < one.changes <= FORWARD else 2

    mine = kind(table)
    sizes = {(one.changes, one.settings) for one in tables if kind(one) == mine}
    return mine if len(sizes) > len({changes for changes, _ in sizes}) else 1
