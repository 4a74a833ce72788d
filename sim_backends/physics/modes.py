"""What Guo et al. (2021, App. D) add to activations and errors: noise as a share of the signal, and modes of uneven transmission."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from sim_backends.physics.arrays import Constant, Floats, require
from sim_backends.physics.noise import Noise


@dataclass(frozen=True)
class ModeSettings:
    """Nothing, unless a bench file says so: the other parts of a bench have imperfections of their own.

    Attributes:
        noise: standard deviation of Gaussian noise over that of the signal, all beams and shots of a table together.
        deviation: every mode has a fixed scale forward and another backward, both from N(1, deviation).
    """

    noise: float = 0.0
    deviation: float = 0.0

    def __post_init__(self) -> None:
        require(self, 0, 10, "noise")
        require(self, 0, 1, "deviation")

    @classmethod
    def ideal(cls) -> ModeSettings:
        """No noise, and all modes alike."""
        return cls()


class Modes:
    """Beams behind H cells forward, behind them backward, and the error beams of the outputs. First a mode's scale, then noise.

    Attributes:
        scales: forward (H arrays), backward (H + 1, the last of the error beams); the true scale of every mode.
    """

    def __init__(self, hidden: tuple[int, ...], outer: int, settings: ModeSettings, noise: Noise) -> None:
        self._settings = settings
        self._streams = noise.child("forward noise"), noise.child("backward noise")
        self.scales = tuple(
            [Constant(1 + settings.deviation * part) for part in _cut(noise.child(way).normal(sum(sizes), np.float64), sizes)]
            for way, sizes in (("forward", hidden), ("backward", (*hidden, outer)))
        )

    def forward(self, index: int, field: Floats) -> Floats:
        """Light (T, C) behind cell `index`, as it goes on; changed in place."""
        return self._spoil(0, index, field)

    def backward(self, index: int, field: Floats) -> Floats:
        """Errors (T, C) behind cell `index`, or (for the number of cells) of the outputs, as they go on; changed in place."""
        return self._spoil(1, index, field)

    def _spoil(self, way: int, index: int, field: Floats) -> Floats:
        if self._settings.deviation:
            field *= self.scales[way][index].like(field)
        if self._settings.noise:
            sigma = self._settings.noise * _spread(field)
            if sigma:
                drawn = self._streams[way].normal(field.shape, field.dtype)
                drawn *= sigma
                field += drawn
        return field


def _cut(values: Floats, sizes: tuple[int, ...]) -> list[Floats]:
    edges = np.cumsum([0, *sizes])
    return [values[a:b] for a, b in pairwise(edges)]


def _spread(field: Floats) -> float:
    """Standard deviation of all numbers."""
    flat = field.ravel()
    mean = float(flat.mean(dtype=np.float64))
    return math.sqrt(max(float(np.vdot(flat, flat)) / flat.size - mean * mean, 0.0))
