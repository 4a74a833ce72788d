"""Where on its read-out's curve every channel is looked at while it steps, and how a fringe is taken out of its readings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labonn.calibration.fitting import Mask
from labonn.channels import Floats
from labonn.shots import Ints

STEEP = 0.97  # of a fringe's half height, beyond which it is too flat to be taken out


@dataclass(frozen=True)
class Place:
    """Where every channel is looked at.

    Attributes:
        base: (C,) its level. middle, half: (C,) of the fringe that its readings are on; `half` is infinite where they are on none.
        saturated: (C,) part of all readings that were at the end of the detector's range.
        follows: (C,) the channel whose steps its detector sees, -1 for its own, or for none.
    """

    base: Ints
    middle: Floats
    half: Floats
    saturated: Floats
    follows: Ints

    def straight(self, y: Floats, used: Mask) -> tuple[Floats, Mask]:
        """Readings (C, cycles, shots) without their fringe, with the slope of its middle; those too near its ends are not used."""
        fringe = np.isfinite(self.half)[:, None, None]
        middle, half = self.middle[:, None, None], np.where(np.isfinite(self.half), self.half, 1.0)[:, None, None]
        height = (y - middle) / half
        steep = np.abs(height) < STEEP
        return np.where(fringe & steep, middle + half * np.arcsin(np.where(steep, height, 0.0)), y), used & (steep | ~fringe)
