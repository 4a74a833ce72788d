"""What the internal parameters of couplers and amplifiers do: laws that turn parameters into 2x2 blocks or factors.

A law knows hidden constants of its couplers (arrays over them, or one number for all) and is asked with the couplers' numbers:
`index` (...) integers and `values` (...) of the same or a broadcastable shape, with a last axis of 2 for laws of two parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike

from sim_backends.physics import couplers
from sim_backends.physics.couplers import Array


class CouplerLaw(Protocol):
    """Blocks of couplers."""

    @property
    def parameters(self) -> int:
        """Of a coupler: 1 or 2."""

    def blocks(self, index: Array, values: Array) -> Array:
        """(..., 2, 2)."""

    def derivatives(self, index: Array, values: Array) -> tuple[Array, ...]:
        """(..., 2, 2) for each parameter."""

    def sections(self, index: Array, values: Array) -> tuple[tuple[Array, Array], ...]:
        """For each phase section: (..., 2, 2) from the coupler's inputs to its arms, and from its outputs backward to its arms.

        Both in the plane behind the phases. A coupler without phase sections gives none.
        """


class AmplifierLaw(Protocol):
    """Factors on the field of amplifiers of one parameter each."""

    def factors(self, index: Array, values: Array) -> Array:
        """(...)."""

    def derivatives(self, index: Array, values: Array) -> Array:
        """(...)."""


def _of(constants: ArrayLike, index: Array, values: Array) -> Array:
    """The constants of the couplers asked for, in the precision of `values`."""
    known = np.asarray(constants)
    kind = np.result_type(values.real.dtype, np.complex64) if np.iscomplexobj(known) else values.real.dtype
    return (known[index] if known.ndim else known).astype(kind, copy=False)


def lean(alpha_h: float, values: Array) -> Array:
    """1 - i alpha_h in the precision of `values`; a real one without phase-amplitude coupling."""
    if not alpha_h:
        return np.ones((), values.dtype)
    return np.asarray(1 - 1j * alpha_h, np.result_type(values.dtype, np.complex64))


@dataclass(frozen=True)
class PtLaw:
    """Gain and loss in coupled guides; the parameter is s.

    Attributes:
        z: coupling length Z. real: with constant phases that make the blocks real. alpha_h: phase-amplitude coupling.
        one_sided: only the upper guide is pumped (s of either sign), so that both fields grow by exp(Z s) on top.
        factor: on both fields, whatever s is.
    """

    z: ArrayLike = 1.0
    real: bool = True
    alpha_h: float = 0.0
    one_sided: bool = False
    factor: ArrayLike = 1.0
    parameters: ClassVar[int] = 1

    def blocks(self, index: Array, values: Array) -> Array:
        lean, z = self._lean(values), _of(self.z, index, values)
        form = couplers.pt_real_form if self.real else couplers.pt
        return self._scaled(form(values * lean, z), self._growth(index, values, z, lean))

    def derivatives(self, index: Array, values: Array) -> tuple[Array, ...]:
        lean, z = self._lean(values), _of(self.z, index, values)
        slope, form = (couplers.pt_real_derivative, couplers.pt_real_form) if self.real else (couplers.pt_derivative, couplers.pt)
        out = slope(values * lean, z) * lean
        if self.one_sided:
            out = out + form(values * lean, z) * (z * lean)[..., None, None]
        return (self._scaled(out, self._growth(index, values, z, lean)),)

    def sections(self, index: Array, values: Array) -> tuple[tuple[Array, Array], ...]:
        return ()

    def _lean(self, values: Array) -> Array:
        return lean(self.alpha_h, values)

    def _growth(self, index: Array, values: Array, z: Array, lean: Array) -> Array:
        factor = _of(self.factor, index, values)
        return np.asarray(factor * np.exp(z * values * lean) if self.one_sided else factor)

    def _scaled(self, blocks: Array, growth: Array) -> Array:
        return blocks if growth.ndim == 0 and growth == 1 else blocks * growth[..., None, None]


@dataclass(frozen=True)
class RotationLaw:
    """MZIs driven differentially; the parameter is h, half of the phase difference. `offset` is added to it."""

    offset: ArrayLike = 0.0
    parameters: ClassVar[int] = 1

    def blocks(self, index: Array, values: Array) -> Array:
        return couplers.rotation(values + _of(self.offset, index, values))

    def derivatives(self, index: Array, values: Array) -> tuple[Array, ...]:
        return (couplers.rotation_derivative(values + _of(self.offset, index, values)),)

    def sections(self, index: Array, values: Array) -> tuple[tuple[Array, Array], ...]:
        turned = np.exp(1j * (values + _of(self.offset, index, values)))
        phases, arms = couplers.assemble(turned.conj(), 0, 0, turned), couplers.rotation_arms()
        return ((phases @ arms, np.broadcast_to(arms.conj(), phases.shape)),)


@dataclass(frozen=True)
class MziLaw:
    """Full MZIs; the parameters are theta (inner arm) and phi (input). delta1, delta2: errors of the splitters' angles from pi/4."""

    delta1: ArrayLike = 0.0
    delta2: ArrayLike = 0.0
    parameters: ClassVar[int] = 2

    def blocks(self, index: Array, values: Array) -> Array:
        delta1, delta2 = self._errors(index, values)
        return couplers.mzi(values[..., 0], values[..., 1], delta1, delta2)

    def derivatives(self, index: Array, values: Array) -> tuple[Array, ...]:
        delta1, delta2 = self._errors(index, values)
        return couplers.mzi_derivatives(values[..., 0], values[..., 1], delta1, delta2)

    def sections(self, index: Array, values: Array) -> tuple[tuple[Array, Array], ...]:
        """Of theta, then of phi; the upper arm carries the phase in both."""
        first, second = (couplers.splitter(delta) for delta in self._errors(index, values))
        theta, phi = couplers.upper_phase(values[..., 0]), couplers.upper_phase(values[..., 1])
        # light that runs backward meets transposed matrices, and those of splitters are symmetric
        return (theta @ first @ phi, np.broadcast_to(second, theta.shape)), (phi, first @ theta @ second)

    def _errors(self, index: Array, values: Array) -> tuple[Array, Array]:
        return _of(self.delta1, index, values), _of(self.delta2, index, values)


@dataclass(frozen=True)
class ExponentialLaw:
    """Amplifiers; the parameter is the logarithm of the factor on the field. `scale` multiplies it; alpha_h: as of PtLaw."""

    scale: ArrayLike = 1.0
    alpha_h: float = 0.0

    def factors(self, index: Array, values: Array) -> Array:
        return np.asarray(_of(self.scale, index, values) * np.exp(values * self._lean(values)))

    def derivatives(self, index: Array, values: Array) -> Array:
        return np.asarray(self.factors(index, values) * self._lean(values))

    def _lean(self, values: Array) -> Array:
        return lean(self.alpha_h, values)


@dataclass(frozen=True)
class AttenuatorLaw:
    """A fixed gain `scale` behind an MZI used as an attenuator; the parameter is h, the factor scale cos h."""

    scale: ArrayLike = 1.0

    def factors(self, index: Array, values: Array) -> Array:
        return np.asarray(_of(self.scale, index, values) * np.cos(values))

    def derivatives(self, index: Array, values: Array) -> Array:
        return np.asarray(-_of(self.scale, index, values) * np.sin(values))
