"""Interlayer optical amplifiers: currents in, factors on the field and spontaneous-emission noise out.

Material gain g(I) = g0 ln((I + I_s)/(I_tr + I_s)), net power gain exp[(Gamma g - alpha_i) L]. The phase that goes with the gain
(alpha_H) is left out: it is the same for all shots at one current, and the lock of the interferometer takes it up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim_backends.physics.arrays import Floats, require
from sim_backends.physics.noise import Noise

_PLANCK_J_S = 6.62607015e-34
_LIGHT_M_PER_S = 299792458.0
_NEGLIGIBLE = 1e-4  # relative change of the power gain below which saturation is skipped
_WEAK = 3e-3  # input (or linear output) power over P_sat up to which the closed first step is exact to 1e-5
_MODERATE = 0.25, 4.0  # power gains at which two steps of Newton's rule are exact to 2e-5 at any power


@dataclass(frozen=True)
class GainSettings:
    """Amplifiers and their imperfections; the nominal constants give field factors 0.050 at 0 mA, 1 at 8.0 mA, 4.0 at 24 mA.

    Attributes:
        g0_per_m: material gain constant. confinement: Gamma. loss_per_m: alpha_i. length_m: L.
        transparency_a: I_tr. shape_a: I_s, which makes the gain finite at zero current.
        saturation_w: P_sat; inf for none.
        inversion: n_sp of the spontaneous emission. noise_bandwidth_hz: B around the carrier; 0 for no noise.
        wavelength_m: of the light. cell_saturation_w: power of one saturation field.
        g0_spread, transparency_spread, loss_spread: relative standard deviations, channel to channel.
    """

    g0_per_m: float = 9e4
    confinement: float = 0.03025
    loss_per_m: float = 1e3
    length_m: float = 1e-3
    transparency_a: float = 5.26e-3
    shape_a: float = 1e-3
    saturation_w: float = 10e-3
    inversion: float = 2.0
    noise_bandwidth_hz: float = 1e6
    wavelength_m: float = 780.24e-9
    cell_saturation_w: float = 0.5e-6
    g0_spread: float = 0.03
    transparency_spread: float = 0.03
    loss_spread: float = 0.05

    def __post_init__(self) -> None:
        require(self, 0, 0.3, "g0_spread", "transparency_spread", "loss_spread")
        require(self, 1e-12, math.inf, "g0_per_m", "length_m", "transparency_a", "shape_a", "saturation_w", "wavelength_m")
        require(self, 1e-15, math.inf, "cell_saturation_w")
        require(self, 0, math.inf, "loss_per_m", "inversion", "noise_bandwidth_hz")
        require(self, 0, 1, "confinement")

    @classmethod
    def ideal(cls) -> GainSettings:
        """The nominal curve in all channels, without saturation and noise."""
        return cls(saturation_w=math.inf, noise_bandwidth_hz=0, g0_spread=0, transparency_spread=0, loss_spread=0)


class Amplifiers:
    """`count` gain sections; the hidden numbers of each are drawn once.

    Attributes:
        g0_per_m, transparency_a, loss_per_m: (C,) true constants.
    """

    def __init__(self, count: int, settings: GainSettings, noise: Noise) -> None:
        s = settings
        draw = {name: noise.child(name).normal(count, np.float64) for name in ("g0", "transparency", "loss")}
        self._settings = s
        self.g0_per_m = s.g0_per_m * (1 + s.g0_spread * draw["g0"])
        self.transparency_a = s.transparency_a * (1 + s.transparency_spread * draw["transparency"])
        self.loss_per_m = s.loss_per_m * (1 + s.loss_spread * draw["loss"])

    def _log_gain(self, current_a: ArrayLike) -> NDArray[np.float64]:
        s, current = self._settings, np.asarray(current_a, np.float64)
        if np.any(current < 0):
            raise ValueError(f"a gain section at {current.min():g} A; allowed is 0 A and more")
        material = self.g0_per_m * np.log((current + s.shape_a) / (self.transparency_a + s.shape_a))
        return np.asarray((s.confinement * material - self.loss_per_m) * s.length_m)

    def amplitude(self, current_a: ArrayLike) -> NDArray[np.float64]:
        """(…, C) factors on a weak field at `current_a` (…, C)."""
        return np.exp(0.5 * self._log_gain(current_a))

    def saturate(self, fields: Floats, amplitude: float) -> None:
        """Take saturation off fields (T, N) that a section has amplified by `amplitude`, each mode in a guide of its own; in place.

        Args:
            fields: behind the section, in units of the cells' saturation field. amplitude: what the section does to weak fields.
        """
        strength = self._settings.cell_saturation_w / self._settings.saturation_w / amplitude**2
        if not strength or not fields.size:
            return
        peak = max(float(fields.max()), -float(fields.min())) ** 2 * strength
        if peak * abs(amplitude**2 - 1) > _NEGLIGIBLE:
            most = 2 if _MODERATE[0] <= amplitude**2 <= _MODERATE[1] else 6
            steps = 0 if peak * max(1.0, amplitude**2) < _WEAK else most
            fields *= saturated(amplitude**2, np.square(fields) * fields.dtype.type(strength), steps)

    def ase_sigma(self, current_a: ArrayLike) -> NDArray[np.float64]:
        """(…, C) rms of the spontaneous emission in the detected quadrature, in saturation fields: half of n_sp h nu (G-1) B.

        A section below transparency adds nothing here; what it emits is less than the shot noise of the detectors.
        """
        return self._ase_sigma(self._log_gain(current_a))

    def _ase_sigma(self, log_gain: NDArray[np.float64]) -> NDArray[np.float64]:
        s = self._settings
        photon_j = _PLANCK_J_S * _LIGHT_M_PER_S / s.wavelength_m
        excess = np.maximum(np.expm1(log_gain), 0)
        return np.asarray(np.sqrt(0.5 * s.inversion * photon_j * s.noise_bandwidth_hz / s.cell_saturation_w * excess))


def saturated(gain: float | Floats, power: Floats, steps: int = 6) -> Floats:
    """sqrt(G/G0), the factor on the field: ln(G/G0) = -(G-1) P_in/P_sat by Newton's rule for x = ln(G/G0).

    Args:
        gain: unsaturated power gains G0. power: (T, C) input powers over P_sat; P_out/G of the usual form is the input power.
        steps: of Newton's rule from x = ln((1 + P)/(1 + G P)), near the root for all powers; 0 is the first step from x = 0.
    """
    amplified = gain * power
    if not steps:
        x = (power - amplified) / (1 + amplified)
    else:
        x = np.log((1 + power) / (1 + amplified))
        for _ in range(steps):
            grown = np.exp(x)
            grown *= amplified
            step = x + grown
            step -= power
            grown += 1
            step /= grown
            x -= step
            if steps > 2:
                np.minimum(x, np.maximum(-np.log(gain), 0), out=x)  # G lies between G0 and 1
    x *= 0.5
    return np.asarray(np.exp(x, out=x))
