"""What limits leave of a step: means over the parameters of a chip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labonn.planner.character import Character


@dataclass(frozen=True)
class Sides:
    """Means over parameters of half the distance a between the two sides, and of how far their middle is from theta.

    Attributes:
        step: as wanted. inverse: of 1 / a^2. square: of a^2. shift: of the squared distance of the middle.
    """

    step: float
    inverse: float
    square: float
    shift: float


def sides(c: Character, step: float) -> Sides:
    """For a step to either side, cut at the limits."""
    up, down = np.minimum(c.above, step), np.minimum(c.below, step)
    half, middle = (up + down) / 2, (up - down) / 2
    return Sides(step, *(float(np.mean(part)) for part in (half**-2.0, half**2, middle**2)))
