"""Seeded Gaussian noise, fast enough to be on in every shot."""

from __future__ import annotations

import math
import zlib
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.special import ndtri

from sim_backends.physics.arrays import Floats


@cache
def _table() -> NDArray[np.float32]:
    """The normal distribution as 65,536 equally likely values, of unit variance; the last lies at 4.3 sigma."""
    values = ndtri((np.arange(65536) + 0.5) / 65536)
    return np.asarray(values / np.sqrt(np.mean(values**2)), np.float32)


@lru_cache(maxsize=16)
def _scaled(sigma: float) -> NDArray[np.float32]:
    return _table() * np.float32(sigma)


class Noise:
    """A stream of random numbers that has named children.

    A child depends on the seed and its name only, not on what was drawn before or on the order in which children are made.

    Args:
        seed: a number of 0 or more.
        path: names of the ancestors, as numbers; only `child` gives it.
    """

    def __init__(self, seed: int, path: tuple[int, ...] = ()) -> None:
        self._seed, self._path = seed, path
        self._bits = np.random.SFC64(np.random.SeedSequence(seed, spawn_key=path))
        self.generator = np.random.Generator(self._bits)

    def child(self, name: str) -> Noise:
        """The stream of that name."""
        return Noise(self._seed, (*self._path, zlib.crc32(name.encode())))

    def normal(self, shape: int | tuple[int, ...], dtype: DTypeLike = np.float32, sigma: float = 1.0) -> Floats:
        """Independent values of mean 0 and standard deviation `sigma`.

        In float32 they come from a table by 16 random bits each (1.1 ns a value, against 7.6 ns of numpy's own), which cuts
        the tails at 4.3 sigma; every other dtype gets numpy's own.
        """
        if np.dtype(dtype) != np.float32:
            drawn = self.generator.standard_normal(shape).astype(dtype, copy=False)
            return drawn if sigma == 1 else np.multiply(drawn, sigma, out=drawn)
        count = math.prod(shape) if isinstance(shape, tuple) else shape
        raw: Any = self._bits.random_raw((count + 3) // 4)
        values = np.empty(count, np.float32)
        # "wrap" is never needed for 16 bits; it is the mode without a check and without a second buffer
        np.take(_table() if sigma == 1 else _scaled(sigma), raw.view(np.uint16)[:count], mode="wrap", out=values)
        return values.reshape(shape)
