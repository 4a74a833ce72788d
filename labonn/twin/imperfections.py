"""Imperfections of Guo et al. (2021), App. D, table 1: noise, uneven modes and few bits on activations, errors and weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from labonn.channels import Floats
from labonn.errors import ProcedureError
from labonn.twin.layers import NONLINEAR
from labonn.twin.networks import Network


@dataclass(frozen=True)
class Imperfections:
    """What is not ideal. Activations are the outputs a of all nonlinearities; errors are the delta of all layers, that of the outputs too.
    The order is: mode's scale, noise, bits; what is changed is what travels on, and what gradients are made of.

    Attributes:
        noise: standard deviation of Gaussian noise over that of the signal, all neurons and images of a mini-batch (or of its part, where
            passes work in parts) together; drawn anew every time.
        deviation: every mode has a fixed scale in activations and another in errors, both from N(1, deviation).
        bits: of weights, inputs, activations and errors: 2^bits - 1 levels, evenly spaced from -full scale to full scale, 0 among them.
            The weights that are trained keep all digits; the network uses the nearest levels. None: not rounded.
        full_scale: what App. D leaves open. None: each layer's largest magnitude now (in the mini-batch or its part), as with gains that
            follow the signal. (weights, activations, errors): fixed; beyond it values saturate.
    """

    noise: float = 0.0
    deviation: float = 0.0
    bits: int | None = None
    full_scale: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        for name, value in (("noise", self.noise), ("deviation", self.deviation)):
            if not 0 <= value < math.inf:
                raise ProcedureError(f"{name} {value:g}: a share of the signal is wanted, 0 or more")
        if self.bits is not None and not 2 <= self.bits <= 24:
            raise ProcedureError(f"{self.bits} bits: 2 to 24, or None")
        if self.full_scale is not None and (len(self.full_scale) != 3 or not all(0 < value < math.inf for value in self.full_scale)):
            raise ProcedureError(f"full scale {self.full_scale}: three positive numbers, of weights, activations and errors, or None")

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return bool(self.noise or self.deviation or self.bits)


@dataclass
class Flaws:
    """Imperfections of one network at work; one for each part of a batch that is computed on its own.

    Attributes:
        chosen: how large. scales: of activations and of errors, one array (…, 1) a layer each; empty without deviation.
        rng: of the noise. per_error: what an error of 1 of one image is in a mini-batch's mean: the unit of a fixed full scale.
    """

    chosen: Imperfections
    scales: tuple[Sequence[Floats | None], Sequence[Floats | None]]
    rng: np.random.Generator
    per_error: float = 1.0
    _noise: dict[tuple[int, ...], Floats] = field(default_factory=dict, repr=False)

    def activation(self, layer: int, a: Floats) -> Floats:
        """Activations behind `layer`, changed in place."""
        return self._rounded(self._spoil(a, self.scales[0][layer] if self.scales[0] else None), 1)

    def error(self, layer: int, delta: Floats) -> Floats:
        """Errors before `layer`'s nonlinearity (or, for the number of layers, those of the outputs), changed in place."""
        return self._rounded(self.light(layer, delta), 2)

    def light(self, layer: int, delta: Floats) -> Floats:
        """The same errors without rounding, as light has them that no converter made; changed in place."""
        return self._spoil(delta, self.scales[1][layer] if self.scales[1] else None)

    def read(self, delta: Floats) -> Floats:
        """Errors as converters read them; a copy, if they are rounded."""
        return self._rounded(delta.copy(), 2) if self.chosen.bits else delta

    def inputs(self, a: Floats) -> Floats:
        """Inputs, changed in place: they come from modulators that have as many bits as all others."""
        return self._rounded(a, 1)

    def weights(self, w: Floats) -> Floats:
        """A matrix as it is shown: a copy, if it is rounded."""
        return self._rounded(w.copy(), 0) if self.chosen.bits else w

    def _spoil(self, signal: Floats, scale: Floats | None) -> Floats:
        if scale is not None:
            signal *= scale
        if self.chosen.noise:
            noise = self._noise.get(signal.shape)
            if noise is None:
                noise = self._noise[signal.shape] = np.empty(signal.shape, signal.dtype)
            self.rng.standard_normal(signal.shape, signal.dtype, out=noise)
            noise *= self.chosen.noise * spread(signal)
            signal += noise
        return signal

    def _rounded(self, signal: Floats, kind: int) -> Floats:
        if self.chosen.bits is None:
            return signal
        fixed = self.chosen.full_scale
        full = max(signal.max(), -signal.min()) if fixed is None else fixed[kind] * (self.per_error if kind == 2 else 1)
        return quantise(signal, self.chosen.bits, float(full))


def spread(signal: Floats) -> float:
    """Standard deviation of all numbers of a contiguous array."""
    flat = signal.ravel(order="K")
    mean = float(flat.sum()) / flat.size
    return math.sqrt(max(float(np.dot(flat, flat)) / flat.size - mean * mean, 0.0))


def quantise(signal: Floats, bits: int, full: float) -> Floats:
    """`signal`, in place, at the nearest of 2^bits - 1 levels from -full to full; what is beyond saturates."""
    most = 2 ** (bits - 1) - 1
    if not full > 0:
        return signal
    signal *= most / full
    np.rint(signal, out=signal)
    np.clip(signal, -most, most, out=signal)
    signal *= full / most
    return signal


def mode_scales(network: Network, deviation: float, seed: int, dtype: np.dtype[Any]) -> tuple[list[Floats | None], list[Floats | None]]:
    """Fixed scales of a network's modes, of activations and of errors (which have one more, for the outputs); empty without deviation."""
    if not deviation:
        return [], []
    rng = np.random.default_rng([seed, 2])
    shapes = [shape if isinstance(layer, NONLINEAR) else None for layer, shape in zip(network.layers, network.shapes[1:], strict=True)]
    forward, backward = (
        [None if shape is None else rng.normal(1, deviation, (*shape, 1)).astype(dtype) for shape in some]
        for some in (shapes, [*shapes, network.shapes[-1]])
    )
    return forward, backward
