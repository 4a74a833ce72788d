"""Heaters of a mesh or a chip: what they are driven with to phases, with the crosstalk between them; for fits, and both ways.

    phase_i = phase0_i + own_i + sum over others of c_ij own_j,   own = rate P of watts, or of volts  rate 2 V^2/(1 + sqrt(1 + 4 bend V^2)),

which is P = V^2/R, R = R_0 (1 + r P), with rate = pi/(P_pi R_0) and bend = r/R_0. Pairs of heaters that lie to each other alike, as far as
the layout says, may share one c.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from labonn.channels import Floats
from labonn.shots import Ints

CROSSTALK = ("alike", "full", "none")
REACH = 4.5  # columns and rows; beyond, heat of a neighbour is not looked for


@dataclass(frozen=True)
class HeaterCurves:
    """P heaters.

    Attributes:
        phase, rate, bend: (P,) rad at no power, rad/V^2 (or rad/W), 1/V^2. crosstalk: (P, P), its diagonal 0. watts: the port's unit is W.
    """

    phase: Floats
    rate: Floats
    bend: Floats
    crosstalk: Floats
    watts: bool = False

    def own(self, driven: Floats) -> Floats:
        """(…, P) rad that the heaters' own power makes."""
        if self.watts:
            return np.asarray(self.rate * driven)
        square = np.square(driven)
        return np.asarray(self.rate * 2 * square / (1 + np.sqrt(1 + 4 * self.bend * square)))

    def by_bend(self, driven: Floats) -> Floats:
        """(…, P) derivatives of that by the bend."""
        if self.watts:
            return np.zeros(np.shape(driven))
        square = np.square(driven)
        root = np.sqrt(1 + 4 * self.bend * square)
        return np.asarray(-self.rate * 4 * np.square(square) / (root * np.square(1 + root)))

    def phases(self, driven: Floats) -> Floats:
        """(…, P) rad."""
        own = self.own(driven)
        return np.asarray(self.phase + own + own @ self.crosstalk.T)

    def driven(self, own: Floats) -> Floats:
        """(…, P) volts or watts that make these own phases; NaN below 0."""
        power = np.where(np.asarray(own) >= 0, own, np.nan) / self.rate
        return power if self.watts else np.asarray(np.sqrt(power * (1 + self.bend * power)))

    def added(self, phase: Floats) -> HeaterCurves:
        """With other phases at no power."""
        return replace(self, phase=self.phase + phase)


def groups_of(places: Floats | Ints, crosstalk: str) -> NDArray[np.intp]:
    """(P, P) which coefficient the crosstalk from j onto i is, -1 for none.

    Args:
        places: (P, 3) column, row and kind of every heater. crosstalk: "alike": one coefficient for all pairs of the same kinds that are as
            many columns and rows apart; "full": one a pair; "none".
    """
    count = len(places)
    groups = np.full((count, count), -1, np.intp)
    if crosstalk == "none":
        return groups
    away = places[None, :, :2] - places[:, None, :2]
    near = (np.hypot(away[..., 0], away[..., 1]) <= REACH) & ~np.eye(count, dtype=bool)
    if crosstalk == "full":
        near = ~np.eye(count, dtype=bool)
        groups[near] = np.arange(near.sum())
        return groups
    kinds = np.broadcast_to(places[:, None, 2], (count, count)), np.broadcast_to(places[None, :, 2], (count, count))
    keys = np.stack([away[..., 0], away[..., 1], *kinds], axis=-1)[near]
    groups[near] = np.unique(keys, axis=0, return_inverse=True)[1].ravel()
    return groups
