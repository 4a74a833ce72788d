"""Mach-Zehnder amplitude modulators, as homodyne detection sees them: volts in, signed real fields out.

With leaking field r = 10^(-extinction/20), a modulator passes sin(theta) + i r exp(-i chirp) cos(theta). The real part is kept,
sin(theta) + r sin(chirp) cos(theta). The imaginary part is left out: the homodyne detectors do not see that quadrature, and to
the absorbers it is 0.3 % of the full power at 25 dB.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sim_backends.physics.arrays import Constant, Floats, require
from sim_backends.physics.drift import OrnsteinUhlenbeck
from sim_backends.physics.noise import Noise


@dataclass(frozen=True)
class ModulatorSettings:
    """A row of modulators and its imperfections.

    Attributes:
        v_pi_v: volts from dark to full.
        v_pi_spread: relative standard deviation of that, channel to channel.
        bias_v: nominal voltage of zero field.
        bias_error_v_pi: standard deviation of the fixed bias error, in v_pi.
        bias_walk_v_pi_per_sqrt_h: bias drift, standard deviation after the first hour of walking, in v_pi.
        bias_relax_s: seconds in which the drift relaxes.
        drift_tick_s: seconds between moves of the bias.
        extinction_db: power at full over power at zero; inf for perfect.
        chirp_rad: standard deviation of the phase by which the leaking light misses the quadrature.
        insertion_db: power loss of a modulator that is fully on.
        mode_loss: standard deviation of the field transmission N(1, mode_loss) of the channels' beams.
    """

    v_pi_v: float = 3.5
    v_pi_spread: float = 0.01
    bias_v: float = 0.0
    bias_error_v_pi: float = 0.005
    bias_walk_v_pi_per_sqrt_h: float = 0.01
    bias_relax_s: float = 3600.0
    drift_tick_s: float = 1.0
    extinction_db: float = 25.0
    chirp_rad: float = 0.1
    insertion_db: float = 3.0
    mode_loss: float = 0.05

    def __post_init__(self) -> None:
        require(self, 0.1, 100, "v_pi_v")
        require(self, 0, 0.2, "v_pi_spread", "bias_error_v_pi", "bias_walk_v_pi_per_sqrt_h", "mode_loss")
        require(self, 0, math.inf, "extinction_db", "bias_relax_s")
        require(self, 0, 60, "insertion_db")
        require(self, 0, 1.6, "chirp_rad")

    @classmethod
    def ideal(cls) -> ModulatorSettings:
        """field = sin(pi V / (2 v_pi)), the same in all channels for ever."""
        return cls(
            v_pi_spread=0,
            bias_error_v_pi=0,
            bias_walk_v_pi_per_sqrt_h=0,
            extinction_db=math.inf,
            chirp_rad=0,
            insertion_db=0,
            mode_loss=0,
        )


class Modulators:
    """`count` modulators; the hidden numbers of each are drawn once.

    Attributes:
        v_pi_v: (C,) true half-wave voltages. bias_v: (C,) true bias at time 0. insertion: (C,) field transmission when on.
    """

    def __init__(self, count: int, settings: ModulatorSettings, noise: Noise) -> None:
        s = settings
        draw = {name: noise.child(name).normal(count, np.float64) for name in ("v_pi", "bias", "chirp", "mode")}
        self.v_pi_v = s.v_pi_v * (1 + s.v_pi_spread * draw["v_pi"])
        self.bias_v = s.bias_v + self.v_pi_v * s.bias_error_v_pi * draw["bias"]
        self.insertion = 10 ** (-s.insertion_db / 20) * (1 + s.mode_loss * draw["mode"])
        leak = 10 ** (-s.extinction_db / 20) * np.sin(s.chirp_rad * draw["chirp"])
        # sin(x) + leak cos(x) = sqrt(1 + leak^2) sin(x + arctan(leak)): one sine a sample in place of two
        self._amplitude = Constant(self.insertion * np.hypot(1, leak))
        self._leak_rad = np.arctan(leak)
        self._slope = Constant(np.pi / (2 * self.v_pi_v))
        self._drifts = s.bias_walk_v_pi_per_sqrt_h > 0
        self._drift = OrnsteinUhlenbeck(noise.child("drift"), count, s.bias_walk_v_pi_per_sqrt_h / 60, s.bias_relax_s, s.drift_tick_s)
        self._offset, self._offset_key = Constant(self._offset_rad(0.0)), self._drift.key(0.0)

    def _offset_rad(self, now_s: float) -> Floats:
        bias_v = self.bias_v + self.v_pi_v * self._drift.values(now_s)
        return np.asarray(self._leak_rad - self._slope.values * bias_v)

    def key(self, now_s: float) -> int:
        """Changes when the fields of the same volts change."""
        return self._drift.key(now_s)

    @property
    def steady(self) -> bool:
        """Whether the fields of the same volts are the same for ever."""
        return not self._drifts

    def fields(self, volts: Floats, now_s: float) -> Floats:
        """(T, C) fields relative to the light before the modulators, in the dtype of `volts` (T, C)."""
        if self.key(now_s) != self._offset_key:
            self._offset, self._offset_key = Constant(self._offset_rad(now_s)), self.key(now_s)
        fields = np.multiply(volts, self._slope.like(volts))
        fields += self._offset.like(volts)
        np.sin(fields, out=fields)
        fields *= self._amplitude.like(volts)
        return fields
