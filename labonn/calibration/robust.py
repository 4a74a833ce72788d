"""Losses that hold outliers off: weights for reweighted least squares, and what standard errors need of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labonn.channels import Floats

TO_SIGMA = 1.4826  # median of |x| to standard deviation, of normal noise
HUBER = 1.345  # standard deviations from where on a residual counts linearly: 95 % efficient on normal noise


@dataclass(frozen=True)
class Loss:
    """Of residuals in standard deviations.

    Attributes:
        weight: psi(r)/r. slope: psi'(r). robust: whether it differs from least squares.
    """

    weight: Callable[[Floats], Floats]
    slope: Callable[[Floats], Floats]
    robust: bool = True


def _ones(r: Floats) -> Floats:
    return np.ones_like(r)


def _huber(r: Floats) -> Floats:
    return np.asarray(HUBER / np.maximum(np.abs(r), HUBER))


def _inside(r: Floats) -> Floats:
    return (np.abs(r) <= HUBER).astype(np.float64)


def _soft(r: Floats) -> Floats:
    return np.asarray(1 / np.sqrt(1 + np.square(r / HUBER)))


LOSSES = {
    "linear": Loss(_ones, _ones, robust=False),
    "huber": Loss(_huber, _inside),
    "soft_l1": Loss(_soft, lambda r: _soft(r) ** 3),
}


def spread(values: Floats, used: NDArray[np.bool_]) -> Floats:
    """(C,) standard deviation of (C, n) values around 0, as the median of their sizes tells it."""
    sizes = np.where(used, np.abs(values), np.inf)
    sizes.sort(axis=1)
    count = np.maximum(used.sum(axis=1), 1)
    rows = np.arange(len(values))
    low, high = sizes[rows, (count - 1) // 2], sizes[rows, count // 2]
    return np.asarray(TO_SIGMA * np.where(np.isfinite(high), 0.5 * (low + high), 0.0))
