"""Random smooth functions in place of an absorber's derivative, and how far they are from it (Guo et al. 2021, Fig. 3d, App. B)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from labonn import absorbers
from labonn.channels import Floats
from labonn.errors import ProcedureError

POINTS = 4096  # of a curve's table; between them it is straight


@dataclass(frozen=True, eq=False)
class Curve:
    """A symmetric function f(|z|), as a `derivative` of a method wants it.

    Attributes:
        table: (POINTS,) f at evenly spaced fields from 0 to reach. reach: field from which on f stays what it is there.
    """

    table: Floats
    reach: float

    def __call__(self, z: Floats) -> Floats:
        """(…) f(|z|), in the dtype of z."""
        place = np.abs(z)
        place *= (len(self.table) - 1) / self.reach
        np.minimum(place, len(self.table) - 1, out=place)
        left = np.minimum(place.astype(np.int32), len(self.table) - 2)
        place -= left
        low, high = (np.take(self.table.astype(z.dtype, copy=False), left + i) for i in (0, 1))
        high -= low
        high *= place
        high += low
        return np.asarray(high)


def random_curve(seed: int, knots: int = 6, reach: float = 6.0) -> Curve:
    """Uniform random numbers from 0 to 1 and their mirror image, evenly spaced over fields from -reach to reach, shape-preserving between.

    App. B leaves the number of knots and the reach open: 6 to each side up to 6 saturation fields, where an absorber of depth 10 is clear.

    Args:
        knots: how many on either side.
    """
    from scipy.interpolate import PchipInterpolator  # slow to import, and of no use to a training

    if knots < 2 or not 0 < reach < np.inf:
        raise ProcedureError(f"{knots} knots up to {reach:g}: at least 2, and a positive field")
    half = np.random.default_rng(seed).uniform(0, 1, knots)
    smooth = PchipInterpolator(np.linspace(-reach, reach, 2 * knots), np.concatenate([half[::-1], half]))
    return Curve(np.asarray(smooth(np.linspace(0, reach, POINTS)), np.float32), reach)


def mismatch(f: Callable[[Floats], Floats], depth: float, cell: str = "eq4") -> float:
    """1 - S of Eq. B2 between f and the cell's g', over Gaussian inputs as wide as labonn.absorbers.mismatch takes them; 0 to 1."""
    if not depth > 0:
        raise ProcedureError(f"mismatch at depth {depth:g}; it is defined for depths above 0")
    sigma = absorbers.steepest_field(depth) / 2
    z = np.linspace(0, 9 * sigma, 20001)
    share = np.exp(-(z**2) / (2 * sigma**2))
    share[0] /= 2  # trapezoids
    one, two = f(z), absorbers.derivative(cell, z, depth)
    cross, ours, theirs = (float(np.dot(product, share)) for product in (one * two, one * one, two * two))
    return 1 - cross**2 / (ours * theirs)
