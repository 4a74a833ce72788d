"""Settings near theta that a characterisation plays: theta itself, single parameters, random directions; all timed."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from labonn.banks import Bank, Changes, Dither, Ints
from labonn.channels import Floats
from labonn.errors import ProcedureError
from labonn.gradients.baselines import spread
from labonn.gradients.objective import Objective, Slots, measure
from labonn.planner.costs import DITHERED, SPARSE, Clock, Timed, timed
from labonn.shots import Readings, ShotTable

LEAST_ACTIVE = 0.25  # of the parameters have the room that steps may take up, or theta is moved inward
PAIRS = 4  # of baselines among single parameters


class Adjustable(Objective, Protocol):
    """An objective of which the slots can be set."""

    slots: Slots


@dataclass(frozen=True)
class Halves:
    """Losses of several perturbations up and down.

    Attributes:
        odd, even: (n,) half difference and mean of the two less the loss in between, of the batch's mean. images: (n, B) half
            differences of each image.
    """

    odd: Floats
    even: Floats
    images: Floats


Played = Generator[ShotTable, Readings, Any]


@dataclass
class Probe:
    """Plays settings around a point and keeps what they cost and what the loss at the point was.

    Attributes:
        middle: (P,) the point. active: parameters that have `reach` to both sides of it; only they are moved.
        free: how many parameters can move at all.
        patience_s: that a table may take which is only for precision.
        tables: as timed. times, losses: of all settings at the point itself. pairs: differences of neighbours among them.
    """

    objective: Adjustable
    clock: Clock
    middle: Floats
    active: Ints
    reach: float
    free: int
    tables: list[Timed] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    pairs: list[Floats] = field(default_factory=list)
    smallest: float = 0.0
    patience_s: float = math.inf

    @classmethod
    def at(cls, objective: Adjustable, clock: Clock, theta: Floats, largest: float | None, smallest: float) -> Probe:
        """At theta, or moved inward where most parameters are at a limit; steps reach half the range, or `largest`."""
        lower, upper, middle = (np.asarray(a, dtype=np.float64) for a in (objective.lower, objective.upper, theta))
        free = np.flatnonzero(upper > lower)
        if len(free) == 0:
            raise ProcedureError("no parameter can move: every lower limit is the upper limit")
        reach = 0.5 * float(np.median((upper - lower)[free])) if largest is None else largest
        if not (reach > smallest and np.isfinite(reach)):
            raise ProcedureError(f"steps from {smallest:.3g} (smallest) to {reach:.3g} (largest) leave nothing to choose")
        room = np.minimum(upper - middle, middle - lower)[free]
        common = float(np.quantile(room, 1 - LEAST_ACTIVE))
        if common < reach / 4:
            inward = np.minimum(reach / 4, (upper - lower)[free] / 2)
            middle = middle.copy()
            middle[free] = np.clip(middle[free], lower[free] + inward, upper[free] - inward)
            room = np.minimum(upper - middle, middle - lower)[free]
            common = float(np.quantile(room, 1 - LEAST_ACTIVE))
        reach = min(reach, common * (1 - 1e-9))
        return cls(objective, clock, middle, free[room >= reach], reach, len(free), smallest=smallest)

    def play(self, bank: Bank, changes: float) -> Played:
        """(S, B) losses."""
        start = self.clock()
        measured, seconds = yield from timed(measure(self.objective, bank), self.clock)
        shots = bank.shape[0] * self.objective.slots.length
        self.tables.append(Timed(bank.shape[0], shots, changes, seconds))
        self._span = start, self.clock()
        return measured.losses

    def baselines(self, count: int) -> Played:
        """(count, B) losses at the point itself."""
        bank = Changes(self.middle, np.zeros((count, 1), np.int64), np.full((count, 1), self.middle[0]))
        losses = yield from self.play(bank, 0.0)
        self._keep(losses.mean(axis=1), np.arange(count).reshape(-1, 2), count)
        return losses

    def singles(self, which: Ints, step: float) -> Played:
        """Halves of single parameters, in the order of central differences."""
        times = spread(2 * len(which), 2, PAIRS)
        upward = np.arange(len(which)) % 2 == 0
        sides = step * np.stack([np.where(upward, 1.0, -1.0), np.where(upward, -1.0, 1.0)], axis=1)
        channels = np.zeros((times.settings, 1), np.int64)
        values = np.full((times.settings, 1), self.middle[0])
        channels[times.others, 0] = np.repeat(which, 2)
        values[times.others, 0] = self.middle[np.repeat(which, 2)] + sides.ravel()
        losses = yield from self.play(Changes(self.middle, channels, values), SPARSE)
        mean = losses.mean(axis=1)
        self._keep(mean, times.pairs, times.settings)
        first, second = (mean[times.others] - times.drift(mean)).reshape(-1, 2).T
        sign = np.where(upward, 0.5, -0.5)
        apart = np.diff(losses[times.others].reshape(len(which), 2, -1), axis=1)[:, 0]
        return Halves(sign * (first - second), (first + second) / 2, -sign[:, None] * apart)

    def directions(self, signs: NDArray[np.uint8], step: float, which: Ints | None = None) -> Played:
        """Halves along (n, ceil(P / 8)) packed signs of `which` parameters (default: all active); `even` keeps the loss at the point."""
        moved = self.active if which is None else which
        amplitude = np.zeros(len(self.middle))
        amplitude[moved] = step
        both = np.stack([signs, ~signs], axis=1).reshape(2 * len(signs), -1)
        losses = yield from self.play(Dither(self.middle, amplitude, both), DITHERED * len(moved))
        above, below = losses.reshape(len(signs), 2, -1).transpose(1, 0, 2)
        images = (above - below) / 2
        return Halves(images.mean(axis=1), (above + below).mean(axis=1) / 2, images)

    def _keep(self, mean: Floats, pairs: Ints, settings: int) -> None:
        start, stop = self._span
        self.times += list(start + (pairs.ravel() + 0.5) * (stop - start) / settings)
        self.losses += list(mean[pairs].ravel())
        self.pairs.append(np.diff(mean[pairs], axis=1)[:, 0])


def random_signs(rng: np.random.Generator, rows: int, count: int) -> NDArray[np.uint8]:
    """(rows, ceil(count / 8)) packed random signs."""
    return rng.integers(0, 256, (rows, -(-count // 8)), dtype=np.uint8)


def unpacked(signs: NDArray[np.uint8], which: Ints, count: int) -> Floats:
    """(rows, len(which)) +1 and -1."""
    return 2.0 * np.unpackbits(signs, axis=1, count=count)[:, which] - 1.0
