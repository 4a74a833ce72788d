"""Vapour-cell ovens: target temperatures in, true temperatures and optical depths out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim_backends.physics.arrays import Floats, require
from sim_backends.physics.drift import OrnsteinUhlenbeck
from sim_backends.physics.noise import Noise

_ZERO_C_K = 273.15
_MELTING_K = 312.46
# Alcock, Itkin, Horrigan, Can. Metall. Q. 23, 309 (1984): log10 of the pressure over liquid and solid rubidium, A - B/T
_LIQUID = 4.312, 4040.0
_SOLID_SLOPE_K = 4215.0
_REFERENCE_C, _REFERENCE_DEPTH = 60.0, 12.0  # 75 mm, natural Rb, 87Rb F=2 D2 line

_Float64 = NDArray[np.float64]


def _log10_pressure(kelvin: _Float64) -> _Float64:
    """Of rubidium, up to a constant; the solid's branch is made to meet the liquid's at the melting point."""
    a, b = _LIQUID
    solid = a - b / _MELTING_K - _SOLID_SLOPE_K * (1 / kelvin - 1 / _MELTING_K)
    return np.where(kelvin < _MELTING_K, solid, a - b / kelvin)


def vapour_depth(temperature_c: ArrayLike) -> _Float64:
    """Resonant optical depth of a perfect 75 mm cell: density p/T over the Doppler width sqrt(T), through 12 at 60 C."""
    kelvin = np.asarray(temperature_c, np.float64) + _ZERO_C_K
    reference = np.asarray(_REFERENCE_C + _ZERO_C_K)
    pressure = 10 ** (_log10_pressure(kelvin) - _log10_pressure(reference))
    return np.asarray(_REFERENCE_DEPTH * pressure * (reference / kelvin) ** 1.5)


@dataclass(frozen=True)
class OvenSettings:
    """Ovens with a cell each, and their imperfections.

    Attributes:
        ambient_c: temperature of a cell whose oven is off.
        tau_s: time constant of heating and cooling; 0 is immediate.
        overshoot: fraction of a step by which the temperature overshoots; 0 makes the lag first order.
        wander_k: rms of the temperature's wander. wander_relax_s: its correlation time. drift_tick_s: seconds between its moves.
        depth_scale: standard deviation of the relative error of a cell's optical depth.
        sensor_offset_k: standard deviation of the coldest spot's distance from what the sensor reads.
    """

    ambient_c: float = 22.0
    tau_s: float = 120.0
    overshoot: float = 0.02
    wander_k: float = 0.01
    wander_relax_s: float = 60.0
    drift_tick_s: float = 1.0
    depth_scale: float = 0.05
    sensor_offset_k: float = 0.3

    def __post_init__(self) -> None:
        require(self, -40, 100, "ambient_c")
        require(self, 0, 1e5, "tau_s")
        require(self, 0, 0.5, "overshoot")
        require(self, 0, 0.3, "depth_scale")
        require(self, 0, 5, "sensor_offset_k", "wander_k")
        require(self, 1e-3, math.inf, "wander_relax_s")

    @classmethod
    def ideal(cls) -> OvenSettings:
        """Immediate, constant temperatures and the nominal vapour curve."""
        return cls(tau_s=0, overshoot=0, wander_k=0, depth_scale=0, sensor_offset_k=0)


class OvenPlant:
    """`count` ovens; all are off and at ambient at time 0.

    Attributes:
        depth_factor: (count,) true factors on the vapour curve. sensor_offset_k: (count,) coldest spot minus sensor.
    """

    def __init__(self, count: int, settings: OvenSettings, noise: Noise) -> None:
        s = settings
        self._settings, self._count = s, count
        self.depth_factor = 1 + s.depth_scale * noise.child("scale").normal(count, np.float64)
        self.sensor_offset_k = s.sensor_offset_k * noise.child("sensor").normal(count, np.float64)
        walk = s.wander_k * math.sqrt(2 / s.wander_relax_s)
        self._wander = OrnsteinUhlenbeck(noise.child("wander"), count, walk, s.wander_relax_s, s.drift_tick_s)
        # overshoot = exp(-pi / (tau omega)) is the peak of a second-order step from rest with envelope exp(-t/tau)
        self._omega = math.pi / (-math.log(s.overshoot) * s.tau_s) if s.overshoot and s.tau_s else 0.0
        self._goal = np.full(count, s.ambient_c)
        self._away, self._rate, self._since_s = np.zeros(count), np.zeros(count), 0.0

    def drive(self, targets_c: ArrayLike, enabled: ArrayLike, now_s: float) -> None:
        """From `now_s` on go to `targets_c` (count,) where `enabled` (count,), to ambient elsewhere; the same goals change nothing."""
        goal = np.where(np.broadcast_to(enabled, self._count), np.asarray(targets_c, np.float64), self._settings.ambient_c)
        if np.array_equal(goal, self._goal):
            return
        away, self._rate = self._motion(now_s)
        self._away = away + self._goal - goal
        self._goal, self._since_s = goal, now_s

    def temperatures(self, now_s: float) -> _Float64:
        """(count,) what the sensors of the ovens see, in degrees Celsius."""
        return np.asarray(self._goal + self._motion(now_s)[0] + self._wander.values(now_s))

    def optical_depths(self, now_s: float) -> _Float64:
        """(count,) true resonant optical depths of the cells."""
        return self.optical_depth(self.temperatures(now_s))

    def optical_depth(self, temperature_c: ArrayLike) -> _Float64:
        """(…, count) true optical depths when the sensors read `temperature_c` (…, count)."""
        return np.asarray(self.depth_factor * vapour_depth(np.asarray(temperature_c, np.float64) + self.sensor_offset_k))

    def by_law(self, law: Callable[[Floats], Floats], temperature_c: _Float64) -> _Float64:
        """The same with another curve of depth against the coldest spot's temperature."""
        return np.asarray(self.depth_factor * law(temperature_c + self.sensor_offset_k), np.float64)

    def key(self, now_s: float) -> tuple[float, float, int]:
        """Changes when the temperatures change; constant once the ovens have arrived (to 1e-12) between moves of the wander."""
        arrived = now_s - self._since_s > 28 * self._settings.tau_s
        return self._since_s, math.inf if arrived else now_s, self._wander.key(now_s)

    def _motion(self, now_s: float) -> tuple[_Float64, _Float64]:
        """Distance from the goal and its rate: exp(-t/tau) (A cos wt + B sin wt), or exp(-t/tau) alone without overshoot."""
        tau_s, w, t = self._settings.tau_s, self._omega, max(0.0, now_s - self._since_s)
        if not tau_s:
            return np.zeros(self._count), np.zeros(self._count)
        envelope, cosine, sine = math.exp(-t / tau_s), math.cos(w * t), math.sin(w * t)
        b = (self._rate + self._away / tau_s) / w if w else np.zeros(self._count)
        away = envelope * (self._away * cosine + b * sine)
        rate = envelope * w * (b * cosine - self._away * sine) - away / tau_s
        return away, rate
