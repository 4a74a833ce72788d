"""What slots that are too short to settle leave of the setting before, and what that does to differences of settings."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from labonn.gradients.objective import Slots
from labonn.planner.character import Character


@dataclass(frozen=True)
class Lag:
    """Of a gradient measured under lag.

    Attributes:
        kept: factor that the gradient comes out with. across: rms square of a component that others leave in it.
    """

    kept: float = 1.0
    across: float = 0.0


def two_sided(c: Character, slots: Slots) -> Lag:
    """Of a setting and its opposite, neighbours in time, whatever came before them.

    With e left of the state before when an image is recorded and r at the end of the slot: 1 - e of the first, 1 - (2 - r) e of the second,
    and (1 - r) e / 2 of what came before. Images whose gradients differ see different e, which does not average away.
    """
    if not slots.tau_s:
        return Lag()
    left, end = _left(slots)
    mean, spread = float(left.mean()), _spread(c, left)
    own, other = (3 - end) / 2, (1 - end) / 2
    return Lag(max(1 - own * mean, 0.0), (other**2 * mean**2 * c.gradient.value / c.free) + (own**2 + other**2) * spread)


def one_sided(c: Character, slots: Slots) -> Lag:
    """Of a setting less the loss at theta: 1 - e of it, and (1 - r) e of the one before."""
    if not slots.tau_s:
        return Lag()
    left, end = _left(slots)
    mean, spread = float(left.mean()), _spread(c, left)
    return Lag(1 - mean, (1 - end) ** 2 * mean**2 * c.gradient.value / c.free + (1 + (1 - end) ** 2) * spread)


def _left(slots: Slots) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.float64]], float]:
    """((B,) what each image sees of the setting before, what is left of it after the slot)."""
    after = (slots.settle + 1 + np.arange(slots.shots)) * (slots.dwell_s / slots.tau_s)
    return np.exp(-after), math.exp(-slots.length_s / slots.tau_s)


def _spread(c: Character, left: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    """Mean square of a component of the images' own gradients, each weighted by how far its e is from the mean."""
    return float(np.var(left)) / len(left) * max(c.images - c.gradient.value, 0.0) / c.free
