"""Balanced homodyne detectors: signed fields in, volts out. Range, bits and clipping belong to the converter behind them.

The difference current of a balanced detector is 2 R sqrt(P_LO P_signal) cos(phase). Its variance is 2 q (R P_LO + 2 I_dark) B (shot
noise of the local oscillator) + 4 k T B / R_f (thermal) + RIN (R P_LO)^2 B suppressed by the common-mode rejection.
Intensity noise of the signal is not added here: it is the laser's, and multiplies the light of the shot.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim_backends.physics.arrays import Constant, Floats, require
from sim_backends.physics.drift import OrnsteinUhlenbeck
from sim_backends.physics.noise import Noise

_CHARGE_C = 1.602176634e-19
_BOLTZMANN_J_PER_K = 1.380649e-23


@dataclass(frozen=True)
class DetectorSettings:
    """An array of balanced detectors and its imperfections.

    Attributes:
        saturation_w: power of one saturation field (field 1) in front of the tap.
        tap: fraction of the power that goes to the detector.
        local_oscillator_w: power of the local oscillator on each detector.
        responsivity_a_per_w: of the photodiodes.
        feedback_ohm: of the transimpedance amplifier.
        bandwidth_hz: noise bandwidth.
        temperature_k: of the feedback resistor.
        dark_current_a: of each of the two diodes; counts as noise, cancels as signal.
        rin_db_per_hz: intensity noise of the local oscillator.
        rejection_db: common-mode rejection of that noise, electrical.
        noisy: False switches all of the above noise off.
        mode_spread: standard deviation of the relative gain, channel to channel.
        phase_spread_rad: standard deviation of the local oscillator's phase, channel to channel.
        dark_offset_v: standard deviation of the fixed offset.
        dark_walk_v_per_sqrt_h: offset drift, standard deviation after the first hour of walking.
        dark_relax_s: seconds in which the drift relaxes.
        drift_tick_s: seconds between moves of the offset.
    """

    saturation_w: float = 0.5e-6
    tap: float = 0.05
    local_oscillator_w: float = 1e-3
    responsivity_a_per_w: float = 0.9
    feedback_ohm: float = 1e4
    bandwidth_hz: float = 1e6
    temperature_k: float = 295.0
    dark_current_a: float = 1e-9
    rin_db_per_hz: float = -140.0
    rejection_db: float = 40.0
    noisy: bool = True
    mode_spread: float = 0.02
    phase_spread_rad: float = 0.05
    dark_offset_v: float = 2e-4
    dark_walk_v_per_sqrt_h: float = 5e-5
    dark_relax_s: float = 3600.0
    drift_tick_s: float = 1.0

    def __post_init__(self) -> None:
        require(self, 1e-15, math.inf, "saturation_w", "local_oscillator_w", "responsivity_a_per_w", "feedback_ohm", "tap")
        require(self, 0, 1, "tap", "dark_offset_v", "dark_walk_v_per_sqrt_h", "dark_current_a")
        require(self, 0, math.inf, "bandwidth_hz", "temperature_k", "rejection_db", "dark_relax_s")
        require(self, 0, 0.5, "mode_spread", "phase_spread_rad")

    @classmethod
    def ideal(cls) -> DetectorSettings:
        """volts = gain_v_per_field x field."""
        return cls(noisy=False, mode_spread=0, phase_spread_rad=0, dark_offset_v=0, dark_walk_v_per_sqrt_h=0)

    @property
    def gain_v_per_field(self) -> float:
        """Volts of one saturation field at perfect phase."""
        return 2 * self.responsivity_a_per_w * math.sqrt(self.local_oscillator_w * self.tap * self.saturation_w) * self.feedback_ohm

    @property
    def sigma_v(self) -> float:
        """Standard deviation of one reading; at the defaults 0.0019 saturation fields."""
        if not self.noisy:
            return 0.0
        current = self.responsivity_a_per_w * self.local_oscillator_w
        shot = 2 * _CHARGE_C * (current + 2 * self.dark_current_a) * self.bandwidth_hz
        thermal = 4 * _BOLTZMANN_J_PER_K * self.temperature_k * self.bandwidth_hz / self.feedback_ohm
        common = 10 ** ((self.rin_db_per_hz - self.rejection_db) / 10) * current**2 * self.bandwidth_hz
        return math.sqrt(shot + thermal + common) * self.feedback_ohm


class HomodyneArray:
    """`count` balanced detectors.

    Attributes:
        gain_v_per_field: (D,) true gains at zero common phase. dark_v: (D,) true offsets at time 0.
    """

    def __init__(self, count: int, settings: DetectorSettings, noise: Noise) -> None:
        s = settings
        draw = {name: noise.child(name).normal(count, np.float64) for name in ("mode", "phase", "dark")}
        self._full_gain = s.gain_v_per_field * (1 + s.mode_spread * draw["mode"])
        self._phase_rad = s.phase_spread_rad * draw["phase"]
        self.gain_v_per_field = self._full_gain * np.cos(self._phase_rad)
        self.dark_v = s.dark_offset_v * draw["dark"]
        self._sigma_v, self._bandwidth_hz, self._noise = s.sigma_v, s.bandwidth_hz, noise.child("shots")
        self._drift = OrnsteinUhlenbeck(noise.child("drift"), count, s.dark_walk_v_per_sqrt_h / 60, s.dark_relax_s, s.drift_tick_s)
        self._key: tuple[float, int] | None = None
        self._gain = self._dark = Constant(np.zeros(count))

    def volts(self, fields: Floats, now_s: float, phase_rad: float = 0.0, dwell_s: float = 0.0, noisy: bool = True) -> Floats:
        """(T, D) volts of `fields` (T, D) in front of the taps, in saturation fields; dtype kept.

        Args:
            fields: real fields.
            now_s: bench time.
            phase_rad: common phase between signal and local oscillator (`Laser.phase_rad`).
            noisy: false gives what a reading is on the mean.
            dwell_s: over which a reading is averaged; narrows the noise bandwidth to 1/(2 dwell_s) where that is less.
        """
        self._follow(now_s, phase_rad)
        volts = np.multiply(*self._gain.over(fields))
        volts += self._dark.over(fields)[1]
        if self._sigma_v and noisy:
            volts += self._noise.normal(volts.shape, fields.dtype, self._sigma(dwell_s))
        return volts.reshape(fields.shape)

    def sigma_fields(self, now_s: float, phase_rad: float = 0.0, dwell_s: float = 0.0) -> NDArray[np.float64]:
        """(D,) standard deviation of a reading in units of the field; inf where the phase makes a detector blind."""
        self._follow(now_s, phase_rad)
        gain = np.abs(self._gain.values)
        blind = gain <= 1e-3 * self._full_gain
        return np.where(blind, np.inf if self._sigma_v else 0.0, self._sigma(dwell_s) / np.where(blind, 1.0, gain))

    def _sigma(self, dwell_s: float) -> float:
        return self._sigma_v * min(1.0, (2 * dwell_s * self._bandwidth_hz) ** -0.5 if dwell_s else 1.0)

    def _follow(self, now_s: float, phase_rad: float) -> None:
        key = (phase_rad, self._drift.key(now_s))
        if key != self._key:
            self._gain = Constant(self._full_gain * np.cos(self._phase_rad + phase_rad))
            self._dark, self._key = Constant(self.dark_v + self._drift.values(now_s)), key
