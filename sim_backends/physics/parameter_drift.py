"""Slow drift of a chip's parameters: a random walk of each, and one steady rate."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sim_backends.physics.drift import OrnsteinUhlenbeck
from sim_backends.physics.noise import Noise


class ParameterDrift:
    """Offsets that grow from 0 at time 0 and move at ticks, so that what depends on them can be cached.

    Args:
        noise: of the walks. count: of parameters. walk_per_sqrt_h: standard deviation after the first hour of walking.
        rate_per_h: steady drift, the same in all parameters. tick_s: seconds between moves.
    """

    def __init__(self, noise: Noise, count: int, walk_per_sqrt_h: float, rate_per_h: float, tick_s: float) -> None:
        self._walk = OrnsteinUhlenbeck(noise, count, walk_per_sqrt_h / 60, math.inf, tick_s)
        self._rate_per_s, self._tick_s = rate_per_h / 3600, tick_s

    def key(self, now_s: float) -> tuple[int, int]:
        """Changes when the offsets change; constant without drift."""
        return self._walk.key(now_s), self._ticks(now_s) if self._rate_per_s else 0

    def offsets(self, now_s: float) -> NDArray[np.float64]:
        """(count,) at bench time `now_s`."""
        return self._walk.values(now_s) + self._rate_per_s * self._ticks(now_s) * self._tick_s

    def _ticks(self, now_s: float) -> int:
        return math.floor(now_s / self._tick_s + 1e-6)
