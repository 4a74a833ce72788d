"""Spontaneous emission in a chip: noise that enters at every element, drawn where a linear stretch ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sim_backends.physics.couplers import Array
from sim_backends.physics.noise import Noise


@dataclass(frozen=True)
class Emission:
    """Gaussian fields at the outputs of a stretch: `mixer` (r, n_out) makes them from independent ones; real or complex.

    Attributes:
        in_phase: the mixer is real and makes the quadrature in phase only, also of complex light.
    """

    mixer: Array
    noise: Noise
    in_phase: bool = False

    def add(self, fields: Array) -> None:
        shape = (fields.size // fields.shape[-1], len(self.mixer))
        drawn = self.noise.normal(shape, fields.real.dtype)
        if self.in_phase:
            fields.real += (drawn @ self.mixer).reshape(fields.shape)
            return
        if np.iscomplexobj(fields):
            drawn = (drawn + 1j * self.noise.normal(shape, fields.real.dtype)).astype(fields.dtype, copy=False)
        fields += (drawn @ self.mixer).reshape(fields.shape)


def mixer(behind: Array, variances: Array, in_phase: bool = False, white: Array | None = None) -> Array:
    """(n_out, n_out) square root of the covariance that emission of `variances` (E, 2) behind every element has at the outputs.

    Half of a variance is in each quadrature; real light is the quadrature in phase, and of complex light `in_phase` takes just that.
    `white` (n_out,) is the variance of more noise, in phase, that is independent from output to output (only where light is seen in phase).
    """
    reach = (behind * np.sqrt(variances / 2)[..., None]).reshape(-1, behind.shape[-1]).astype(np.result_type(behind, np.float64))
    if in_phase:
        reach = np.concatenate([reach.real, reach.imag]) if np.iscomplexobj(reach) else reach
        reach = reach if white is None else np.concatenate([reach, np.diag(np.sqrt(white))])
        return np.asarray(np.linalg.qr(reach, mode="r"), behind.real.dtype)
    # of the rows q with triangular root r, r^H r = q^H q: independent rows of unit variance times r have the same covariance
    return np.asarray(np.linalg.qr(reach, mode="r"), behind.dtype)


def both_guides(variances: Sequence[Array | None], counts: Sequence[int]) -> Array:
    """(E, 2) variances behind all elements of some stages, of which each gives (K,) for the upper guide, (K, 2), or None."""
    out = []
    for given, count in zip(variances, counts, strict=True):
        both = np.zeros((count, 2))
        if given is not None:
            both[:, : 1 if np.ndim(given) == 1 else 2] = np.reshape(given, (count, -1))
        out.append(both)
    found = np.concatenate(out)
    if not np.all(found >= 0):
        raise ValueError(f"a variance of spontaneous emission is {found.min():g}; allowed is 0 and more")
    return found
