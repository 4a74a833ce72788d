"""What the modules of the true light share: the array type, constants kept ready in the dtype of the light, checks of settings."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating[Any]]
ROWS = 64  # that are treated as one


class Constant:
    """Hidden per-channel numbers, ready in whatever dtype the light has.

    Attributes:
        values: (C,) float64, read-only.
    """

    def __init__(self, values: ArrayLike) -> None:
        self.values: NDArray[np.float64] = np.array(values, np.float64)
        self.values.flags.writeable = False
        self._ready: dict[Any, Floats] = {}

    def like(self, light: Floats) -> Floats:
        """The numbers in the dtype of `light`."""
        if light.dtype not in self._ready:
            self._ready[light.dtype] = self.values.astype(light.dtype)
        return self._ready[light.dtype]

    def over(self, light: Floats) -> tuple[Floats, Floats]:
        """`light` (T, C) with several rows side by side, and the numbers as often: long rows are what loops over arrays are fast at."""
        rows = math.gcd(len(light), ROWS)
        key = light.dtype, rows
        if key not in self._ready:
            self._ready[key] = np.tile(self.like(light), rows)
        return light.reshape(-1, rows * len(self.values)), self._ready[key]


def require(settings: object, lower: float, upper: float, *names: str) -> None:
    """Raise ValueError unless the named settings lie between `lower` and `upper`, both allowed."""
    for name in names:
        value = float(getattr(settings, name))
        if math.isnan(value) or not lower <= value <= upper:
            raise ValueError(f"{type(settings).__name__}.{name} is {value:g}; allowed is {lower:g} to {upper:g}")
