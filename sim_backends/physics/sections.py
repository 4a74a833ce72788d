"""The gain sections of a PT-symmetric chip: currents in, what its couplers and amplifiers obey out, with their noise and saturation.

Of section i the law is v = strength_i ln((I + I_s)/(I_0i + I_s)). In a coupler v is s = (g1 - g2)/(4 kappa), in an amplifier the logarithm
of the factor on the field. In push-pull g2 = -g1; where only one guide is pumped g2 = 0, s is half, and the factor
exp((g1 + g2) z/4) = exp(Z s) comes with it. Sections answer within a nanosecond: there is no lag.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim_backends.physics.arrays import require
from sim_backends.physics.gain import saturated
from sim_backends.physics.noise import Noise
from sim_backends.physics.parameter_drift import ParameterDrift
from sim_backends.physics.placement import crosstalk, mixed
from sim_backends.physics.saturation_series import apply, polynomial

_PLANCK_J_S = 6.62607015e-34
_LIGHT_M_PER_S = 299792458.0
_NEGLIGIBLE = 1e-4  # relative change of the power gain below which saturation is skipped
_ERROR = 1e-5  # of the factor on the field, within which polynomials stand for Newton's rule
_ALIKE = 3e-6  # error of that factor, within which settings with slightly different gains share a polynomial
_MODERATE = 0.25, 4.0  # power gains at which two steps are exact to 2e-5 at any power

Float64 = NDArray[np.float64]
Fields = NDArray[Any]


@dataclass(frozen=True)
class GainSectionSettings:
    """Gain sections and their imperfections.

    Attributes:
        strength, amplifier_strength: of couplers (push-pull) and of amplifiers. zero_gain_a: I_0. shape_a: I_s.
        z: Z = kappa z of the couplers. one_sided: only one guide of a coupler is pumped.
        strength_spread, zero_gain_spread: relative standard deviations, channel to channel.
        alpha_h: phase-amplitude coupling, v -> v (1 - i alpha_h).
        crosstalk: share of a neighbour's v that its heat takes away, times exp(-d/crosstalk_decay) at d pitches, to crosstalk_reach.
        walk_per_sqrt_h, drift_per_h: drift of ln((I + I_s)/(I_0 + I_s)). drift_tick_s: seconds between its moves.
        inversion: n_sp of the spontaneous emission. noise_bandwidth_hz: B; 0 for none. wavelength_m: of the light.
        reference_w: power of a field of one. saturation_w: P_sat of an amplifier; inf for none.
    """

    strength: float = 0.3
    amplifier_strength: float = 1.0
    zero_gain_a: float = 5e-3
    shape_a: float = 1e-3
    z: float = 1.0
    one_sided: bool = False
    strength_spread: float = 0.03
    zero_gain_spread: float = 0.03
    alpha_h: float = 3.0
    crosstalk: float = 1e-3
    crosstalk_decay: float = 1.0
    crosstalk_reach: float = 4.0
    walk_per_sqrt_h: float = 1e-3
    drift_per_h: float = 1e-3
    drift_tick_s: float = 1.0
    inversion: float = 2.0
    noise_bandwidth_hz: float = 1e6
    wavelength_m: float = 1550e-9
    reference_w: float = 0.1e-3
    saturation_w: float = 10e-3

    def __post_init__(self) -> None:
        require(self, 1e-12, math.inf, "strength", "amplifier_strength", "zero_gain_a", "shape_a", "z", "wavelength_m")
        require(self, 1e-12, math.inf, "reference_w", "saturation_w", "crosstalk_decay", "drift_tick_s")
        require(self, 0, math.inf, "inversion", "noise_bandwidth_hz", "crosstalk_reach", "walk_per_sqrt_h")
        require(self, -math.inf, math.inf, "drift_per_h")
        require(self, 0, 0.3, "strength_spread", "zero_gain_spread")
        require(self, 0, 0.2, "crosstalk")
        require(self, -20, 20, "alpha_h")

    @classmethod
    def ideal(cls, **nominal: Any) -> GainSectionSettings:
        """The nominal curve in all sections, without coupling to the phase, noise, saturation and drift; `nominal` settings are kept."""
        off = dict.fromkeys(("strength_spread", "zero_gain_spread", "alpha_h", "crosstalk", "walk_per_sqrt_h", "drift_per_h"), 0.0)
        return cls(**{**off, "noise_bandwidth_hz": 0.0, "saturation_w": math.inf, **nominal})


class GainSections:
    """`count` sections in the order of the light; the hidden numbers of each are drawn once.

    Args:
        amplifiers: (count,) bool, which are amplifiers; None: all are couplers.
        places: (count, 2) as of `placement.positions`, for crosstalk; None: without.

    Attributes:
        strength, zero_gain_a: (count,) true constants. mixing: (count, count) scipy.sparse, how a change of v in one section changes
            v in the others; None without crosstalk. drift: of the logarithm, see `base`.
    """

    def __init__(
        self, count: int, settings: GainSectionSettings, noise: Noise, amplifiers: ArrayLike | None = None, places: ArrayLike | None = None
    ) -> None:
        s = settings
        self._settings = s
        self.amplifiers = np.zeros(count, bool) if amplifiers is None else np.array(amplifiers, bool)
        nominal = np.where(self.amplifiers, s.amplifier_strength, s.strength / (2 if s.one_sided else 1))
        self.strength = nominal * (1 + s.strength_spread * noise.child("strength").normal(count, np.float64))
        self.zero_gain_a = s.zero_gain_a * (1 + s.zero_gain_spread * noise.child("zero gain").normal(count, np.float64))
        self.drift = ParameterDrift(noise.child("drift"), count, s.walk_per_sqrt_h, s.drift_per_h, s.drift_tick_s)
        heat = None if places is None else crosstalk(places, s.crosstalk, s.crosstalk_decay, s.crosstalk_reach)
        if heat is not None:  # heat goes with the logarithm; v is that times the section's own strength
            heat = heat.multiply(-self.strength[:, None]).multiply(1 / self.strength[None, :]).tocsr()
        self.mixing = heat

    def own(self, currents_a: ArrayLike, channels: NDArray[np.intp] | None = None, now_s: float = 0.0) -> Float64:
        """(…, count) v of the sections at currents, before crosstalk; with `channels` (…, n), of those.

        Raises:
            ValueError: a current below 0 A, or NaN.
        """
        current = np.asarray(currents_a, np.float64)
        if not np.all(current >= 0):
            raise ValueError(f"a gain section at {np.min(current):g} A; allowed is 0 A and more")
        pick = slice(None) if channels is None else channels
        shape, zero, offset = self._settings.shape_a, self.zero_gain_a[pick], self.drift.offsets(now_s)[pick]
        return np.asarray(self.strength[pick] * (np.log((current + shape) / (zero + shape)) + offset))

    def values(self, currents_a: ArrayLike, now_s: float = 0.0) -> Float64:
        """(…, count) true v: s of couplers, logarithms of the factors of amplifiers; without phase-amplitude coupling."""
        return mixed(self.mixing, self.own(currents_a, None, now_s))

    def lean(self) -> complex:
        """1 - i alpha_h, by which v is to be multiplied."""
        return complex(1, -self._settings.alpha_h)

    def emission(self, values: ArrayLike) -> Float64:
        """(…, count, 2) variances E|n|^2 of spontaneous emission in the guides at v (…, count), in units of the reference field.

        n_sp h nu (G - 1) B of every guide with gain: of a coupler the upper one where s > 0, the lower one where s < 0 (pumped from one
        side always the upper); of an amplifier the only one, which is the first. G of an amplifier is exp(2 v), of a guide exp(2 Z s),
        pumped from one side exp(4 Z s).
        """
        s, v = self._settings, np.asarray(values, np.float64)
        photon_w = s.inversion * _PLANCK_J_S * _LIGHT_M_PER_S / s.wavelength_m * s.noise_bandwidth_hz
        log_gain = np.where(self.amplifiers, 2.0, s.z * (4.0 if s.one_sided else 2.0)) * v
        lower = np.where(self.amplifiers | s.one_sided, 0.0, np.maximum(np.expm1(-log_gain), 0))
        return np.asarray(photon_w / s.reference_w * np.stack([np.maximum(np.expm1(log_gain), 0), lower], axis=-1))


def saturation(settings: GainSectionSettings) -> Callable[[Fields, Fields], Fields] | None:
    """What strong light takes off amplifiers: of (fields behind unsaturated sections (R, B, n), factors on weak fields (R or 1, 1, n)).

    The function works in place and returns the fields; with alpha_h complex fields also lose the phase that went with the gain. None
    without saturation.
    """
    strength, alpha_h = settings.reference_w / settings.saturation_w, settings.alpha_h
    if not strength:
        return None

    def saturate(fields: Fields, factors: Fields) -> Fields:
        gains = np.square(np.abs(factors))
        power = np.square(fields.real)
        if np.iscomplexobj(fields):
            power += np.square(fields.imag)
        if float(power.max(initial=0)) * strength * float(np.max(np.abs(gains - 1) / gains)) < _NEGLIGIBLE:
            return fields
        if _by_series(fields, power, gains, strength, alpha_h):
            return fields
        power *= strength / np.maximum(gains, np.finfo(gains.dtype).tiny)
        lowest, highest = float(gains.min(initial=1.0)), float(gains.max(initial=1.0))
        left = saturated(gains, power, 2 if _MODERATE[0] <= lowest and highest <= _MODERATE[1] else 6)
        fields *= left
        if alpha_h and np.iscomplexobj(fields):
            fields *= np.exp(np.asarray(-1j * alpha_h, fields.dtype) * np.log(left))
        return fields

    return saturate


def _by_series(fields: Fields, power: Fields, gains: Fields, strength: float, alpha_h: float) -> bool:
    """Whether polynomials in the power (of the fields behind the sections) are exact enough; then they are applied to the fields."""
    low, high = (side.astype(np.float64).ravel() for side in (gains.min(axis=(0, 1)), gains.max(axis=(0, 1))))
    if not (fields.size and low.min() > 0):
        return False
    middle = (low + high) / 2
    per = strength / middle
    most = per * float(power.max())
    lean = alpha_h if np.iscomplexobj(fields) else 0.0
    # d ln F / d ln G0 is at most (1 - i alpha_h) G0 p / 2
    if float(np.max((high - low) * most)) * abs(1 - 1j * lean) > 4 * _ALIKE:
        return False
    terms = polynomial(middle, most, lean, _ERROR)
    if terms is not None:
        apply(fields, power, [term * per**n for n, term in enumerate(terms)])
    return terms is not None
