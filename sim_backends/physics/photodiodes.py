"""Photodiodes with transimpedance amplifiers: watts in, volts out, with dark level, compression and noise. Clipping is the converter's.

V = V_0 + R_f R P/(1 + P/P_sat); the variance is R_f^2 [2 q (i + I_dark) B + 4 k T B/R_f] with i = R P/(1 + P/P_sat). Intensity noise
is the light's. A reading that is averaged over a shot narrows the bandwidth to 1/(2 dwell) where that is less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sim_backends.physics.arrays import Floats, require
from sim_backends.physics.drift import OrnsteinUhlenbeck
from sim_backends.physics.noise import Noise

_CHARGE_C = 1.602176634e-19
_BOLTZMANN_J_PER_K = 1.380649e-23


@dataclass(frozen=True)
class PhotodiodeSettings:
    """A row of photodiodes, and what is wrong with them.

    Attributes:
        responsivity_a_per_w, feedback_ohm, bandwidth_hz, dark_current_a, temperature_k: as in the equations.
        saturation_w: P_sat, at which the photocurrent is half of what it should be; inf for none.
        spread, saturation_spread: relative standard deviations of gain and of P_sat, channel to channel.
        dark_offset_v: standard deviation of the fixed offset, and dark_walk_v_per_sqrt_h of its drift after the first hour.
        dark_drift_v_per_s: the same in all channels, on top of that. drift_tick_s: seconds between its moves.
        dead: channels that give their offset whatever the light. blocked: channels that no light reaches. gain: factor on all volts.
    """

    responsivity_a_per_w: float = 0.9
    feedback_ohm: float = 20e3
    bandwidth_hz: float = 1e6
    dark_current_a: float = 1e-9
    temperature_k: float = 295.0
    saturation_w: float = 2e-3
    spread: float = 0.03
    saturation_spread: float = 0.1
    dark_offset_v: float = 1e-3
    dark_walk_v_per_sqrt_h: float = 5e-5
    dark_drift_v_per_s: float = 0.0
    drift_tick_s: float = 1e-2
    dead: tuple[int, ...] = ()
    blocked: tuple[int, ...] = ()
    gain: float = 1.0

    def __post_init__(self) -> None:
        require(self, 1e-15, math.inf, "responsivity_a_per_w", "feedback_ohm", "saturation_w", "drift_tick_s", "gain")
        require(self, 0, math.inf, "bandwidth_hz", "temperature_k")
        require(self, 0, 1, "dark_current_a", "dark_offset_v", "dark_walk_v_per_sqrt_h")
        require(self, 0, 0.3, "spread", "saturation_spread")
        require(self, -10, 10, "dark_drift_v_per_s")

    def ideal(self) -> PhotodiodeSettings:
        """All alike, linear, without offsets and noise; what is broken stays broken."""
        names = ("spread", "saturation_spread", "dark_offset_v", "dark_walk_v_per_sqrt_h", "dark_drift_v_per_s")
        off: dict[str, Any] = dict.fromkeys(names, 0.0)
        return replace(self, bandwidth_hz=0.0, saturation_w=math.inf, **off)


class Photodiodes:
    """`count` of them; the hidden numbers of each are drawn once.

    Attributes:
        v_per_w, saturation_w, dark_v: (D,) true numbers; the offset at time 0.
    """

    def __init__(self, count: int, settings: PhotodiodeSettings, noise: Noise) -> None:
        wrong = [channel for channel in (*settings.dead, *settings.blocked) if not 0 <= channel < count]
        if wrong:
            raise ValueError(f"dead, blocked: there is no photodiode {wrong[0]}; there are {count}")
        s = self._settings = settings
        draw = {name: noise.child(name).normal(count, np.float64) for name in ("gain", "saturation", "dark")}
        self.v_per_w = s.gain * s.responsivity_a_per_w * s.feedback_ohm * (1 + s.spread * draw["gain"])
        self.saturation_w = s.saturation_w * (1 + s.saturation_spread * draw["saturation"])
        self.dark_v = s.dark_offset_v * draw["dark"]
        self._noise = noise.child("shots")
        self._drift = OrnsteinUhlenbeck(noise.child("drift"), count, s.dark_walk_v_per_sqrt_h / 60, math.inf, s.drift_tick_s)
        self._dead = np.isin(np.arange(count), s.dead)
        self._open = np.where(np.isin(np.arange(count), (*s.blocked, *s.dead)), 0.0, 1.0)

    def volts(self, watts: Floats, now_s: float, dwell_s: float) -> Floats:
        """(T, D) readings of watts (T, D) in shots that begin at `now_s` and last `dwell_s`."""
        seen = np.asarray(watts, np.float64) * self._open
        volts = self.v_per_w * seen / (1 + seen / self.saturation_w)
        noise = np.sqrt(self.variances(volts, dwell_s)) * self._noise.normal(volts.shape, np.float64)
        times = now_s + dwell_s * (np.arange(len(volts)) + 0.5)
        dark = self.dark_v + self._drift.values(now_s) + self._settings.dark_drift_v_per_s * times[:, None]
        return np.asarray(dark + np.where(self._dead, 0.0, volts + noise))

    def variances(self, volts: Floats, dwell_s: float) -> Floats:
        """Of readings that are `volts` above the dark level, without the light's own noise and without the converter's steps."""
        s = self._settings
        band = min(s.bandwidth_hz, 0.5 / dwell_s)
        ohm = s.gain * s.feedback_ohm
        shot = 2 * _CHARGE_C * band * ohm * (np.maximum(volts, 0.0) + ohm * s.dark_current_a)
        return np.asarray(shot + 4 * _BOLTZMANN_J_PER_K * s.temperature_k * band * s.feedback_ohm * s.gain**2)

    @property
    def shot_v(self) -> float:
        """Variance of shot noise per volt of reading, at full bandwidth: 2 q B R_f."""
        return 2 * _CHARGE_C * self._settings.bandwidth_hz * self._settings.gain * self._settings.feedback_ohm
