"""Count, extremes, mean and spread of many small arrays at once, of larger ones by samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
SAMPLED, RUNS = 2048, 16  # values of an array, at most, that are looked at, and in how many runs
BINS = 64
FUNCTIONS = (np.minimum.reduceat, np.maximum.reduceat, np.add.reduceat)
NOTHING = (math.nan, math.nan, math.nan, math.nan)
SMALL = 1e-30  # sum of squares in single precision below which they may have lost digits, or vanished
FAR = 1e-3  # of the mean square; a variance below is not left to a difference of sums in single precision


class Sums:
    """What is known of some values.

    Attributes:
        count: finite ones. bad: others (NaN, infinities). low, high, total, squares: of the finite ones.
    """

    __slots__ = ("bad", "count", "high", "low", "squares", "total")

    def __init__(self) -> None:
        self.count, self.bad, self.low, self.high, self.total, self.squares = 0, 0, math.inf, -math.inf, 0.0, 0.0

    def add(self, count: int, bad: int, low: float, high: float, total: float, squares: float) -> None:
        """More values."""
        self.count += count
        self.bad += bad
        self.total += total
        self.squares += squares
        if low < self.low:
            self.low = low
        if high > self.high:
            self.high = high

    def plus(self, other: Sums) -> Sums:
        """Of both together."""
        both = Sums()
        for one in (self, other):
            both.add(one.count, one.bad, one.low, one.high, one.total, one.squares)
        return both

    def told(self, spread: bool) -> tuple[float, float, float, float]:
        """min, mean, max, and std (`spread`) or rms; NaN if there are no values."""
        if not self.count:
            return NOTHING
        mean, square = self.total / self.count, self.squares / self.count
        return self.low, mean, self.high, math.sqrt(max(square - mean * mean, 0.0) if spread else square)


def add_up(samples: Sequence[tuple[Sums, Array]]) -> None:
    """Add flat arrays of floats, none of them empty, each to its sums."""
    starts, end = [], 0
    for _, array in samples:
        starts.append(end)
        end += array.size
    values = np.concatenate([array for _, array in samples])
    with np.errstate(all="ignore"):  # what is no number, or too large to square, is looked at again
        found = [function(values, starts).tolist() for function in FUNCTIONS]
        squares = np.add.reduceat(np.multiply(values, values, out=values), starts).tolist()
    for (sums, array), low, high, total, square in zip(samples, *found, squares, strict=True):
        size = array.size
        ordinary = SMALL < square < math.inf or low == 0 == high
        if ordinary and square - total * total / size >= FAR * square:
            sums.add(size, 0, low, high, total, square)
        else:
            sums.add(*_carefully(array))


def _carefully(array: Array) -> tuple[int, int, float, float, float, float]:
    """In double precision, without what is no number."""
    finite = array[np.isfinite(array)].astype(np.float64)
    if not finite.size:
        return 0, array.size, math.inf, -math.inf, 0.0, 0.0
    low, high, total = float(finite.min()), float(finite.max()), float(finite.sum())
    with np.errstate(over="ignore"):
        return finite.size, array.size - finite.size, low, high, total, float(np.dot(finite, finite))


def sample_of(values: Array) -> Array:
    """All of an array, flat, or of a larger one 16 runs of neighbours that lie evenly over it; a view where that is possible.

    Neighbours share cache lines: as many values that lie apart would take ten times as long.
    """
    flat = values.reshape(-1)
    if flat.size <= SAMPLED:
        return flat
    length = flat.size // RUNS
    return flat[: RUNS * length].reshape(RUNS, length)[:, : SAMPLED // RUNS].reshape(-1)


def histogram(values: Array, low: float, high: float) -> NDArray[np.uint32]:
    """(64,) counts of the finite `values` in equal bins from `low` to `high`."""
    finite = values[np.isfinite(values)].astype(np.float64)
    places = (finite - low) * (BINS / (high - low)) if high > low else np.zeros(finite.size)
    return np.bincount(np.clip(places, 0, BINS - 1).astype(np.int64), minlength=BINS).astype(np.uint32)
