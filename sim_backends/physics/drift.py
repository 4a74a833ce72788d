"""What wanders slowly: Ornstein-Uhlenbeck processes, and the laser with its power, its noise and its interferometer phase."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sim_backends.physics.arrays import Floats, require
from sim_backends.physics.noise import Noise


class OrnsteinUhlenbeck:
    """A random walk that relaxes towards 0; it starts at 0 and moves at ticks, so that what depends on it can be cached.

    The discretisation is exact for any number of ticks at once: variance walk^2 relax/2 (1 - exp(-2 t/relax)) after t.

    Args:
        noise: its stream.
        count: how many independent ones.
        walk_per_sqrt_s: growth of the standard deviation in the first second, units of the value.
        relax_s: relaxation time; infinity gives a pure random walk.
        tick_s: seconds between moves.
    """

    def __init__(self, noise: Noise, count: int, walk_per_sqrt_s: float, relax_s: float, tick_s: float) -> None:
        if not (walk_per_sqrt_s >= 0 and relax_s > 0 and 0 < tick_s < math.inf):
            raise ValueError(f"a drift needs walk {walk_per_sqrt_s:g} >= 0, relax_s {relax_s:g} > 0, tick_s {tick_s:g} > 0 and finite")
        self._noise, self._walk, self._relax_s, self._tick_s = noise, walk_per_sqrt_s, relax_s, tick_s
        self._values = np.zeros(count)
        self._ticks = 0

    def key(self, now_s: float) -> int:
        """Changes when the values change; constant without drift."""
        # the small number keeps 0.3 / 0.1 from being tick 2
        return max(self._ticks, math.floor(now_s / self._tick_s + 1e-6)) if self._walk else 0

    def values(self, now_s: float) -> NDArray[np.float64]:
        """(count,) values at bench time `now_s`; a time before the last one gives the last ones."""
        ticks = self.key(now_s)
        if ticks > self._ticks:
            elapsed_s = (ticks - self._ticks) * self._tick_s
            keep = math.exp(-elapsed_s / self._relax_s)
            effective_s = elapsed_s if math.isinf(self._relax_s) else -math.expm1(-2 * elapsed_s / self._relax_s) * self._relax_s / 2
            self._values = keep * self._values + self._walk * math.sqrt(effective_s) * self._noise.normal(self._values.size, np.float64)
            self._ticks = ticks
        return self._values


@dataclass(frozen=True)
class LaserSettings:
    """Imperfections of the laser and of the interferometer around the bench.

    Attributes:
        power_walk_per_sqrt_h: relative power, standard deviation after the first hour of walking.
        power_relax_s: seconds in which the power relaxes towards its nominal value.
        power_tick_s: seconds between moves of the power.
        rin_db_per_hz: relative intensity noise; -inf for none.
        bandwidth_hz: detection bandwidth over which the intensity noise counts.
        phase_walk_rad_per_sqrt_min: free interferometer phase, standard deviation after the first minute.
        lock_s: time constant of the phase lock; infinity switches the lock off.
        phase_tick_s: seconds between moves of the phase.
    """

    power_walk_per_sqrt_h: float = 0.005
    power_relax_s: float = 6 * 3600.0
    power_tick_s: float = 1.0
    rin_db_per_hz: float = -140.0
    bandwidth_hz: float = 1e6
    phase_walk_rad_per_sqrt_min: float = 0.1
    lock_s: float = 10.0
    phase_tick_s: float = 0.1

    def __post_init__(self) -> None:
        require(self, 0, 0.1, "power_walk_per_sqrt_h")
        require(self, 0, 10, "phase_walk_rad_per_sqrt_min")
        require(self, -math.inf, -60, "rin_db_per_hz")
        require(self, 0, math.inf, "bandwidth_hz", "power_relax_s", "lock_s")

    @classmethod
    def ideal(cls) -> LaserSettings:
        """Constant power, no intensity noise, no phase drift."""
        return cls(power_walk_per_sqrt_h=0, rin_db_per_hz=-math.inf, phase_walk_rad_per_sqrt_min=0)


class Laser:
    """The one laser that all light of the bench comes from."""

    def __init__(self, settings: LaserSettings, noise: Noise) -> None:
        s = settings
        self._power = OrnsteinUhlenbeck(noise.child("power"), 1, s.power_walk_per_sqrt_h / 60, s.power_relax_s, s.power_tick_s)
        walk = s.phase_walk_rad_per_sqrt_min / math.sqrt(60)
        self._phase = OrnsteinUhlenbeck(noise.child("phase"), 1, walk, s.lock_s, s.phase_tick_s)
        # half of the relative power is the relative amplitude
        self._shot_sigma = 0.5 * math.sqrt(10 ** (s.rin_db_per_hz / 10) * s.bandwidth_hz)
        self._shot_noise = noise.child("rin")

    def amplitude(self, now_s: float) -> float:
        """Field amplitude relative to nominal, without the noise of single shots."""
        return math.sqrt(max(0.0, 1 + float(self._power.values(now_s)[0])))

    def shot_amplitudes(self, shots: int, now_s: float, dtype: DTypeLike = np.float32) -> Floats:
        """(T,) field amplitudes of single shots relative to nominal: slow drift times intensity noise."""
        amplitude = self.amplitude(now_s)
        if not self._shot_sigma:
            return np.full(shots, amplitude, dtype)
        factors = self._shot_noise.normal(shots, dtype)
        factors *= amplitude * self._shot_sigma
        factors += amplitude
        return factors

    def phase_rad(self, now_s: float) -> float:
        """What the lock leaves of the phase between the signal and the local oscillator."""
        return float(self._phase.values(now_s)[0])
