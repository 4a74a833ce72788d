"""A row of gain sections, each with an input modulator and a monitor before it, and an attenuator and a photodiode behind it.

ln G_0 = [Gamma g_0 ln((I + I_s)/(I_tr + I_s)) - alpha_i] L of each section, and ln(G/G_0) = -(G - 1) P_in/P_sat. A section emits
E I (G - 1)/ln G, what is generated along it and amplified on its way. Its heat takes h I^2 off ln G_0; above the threshold of a section
that lases, ln G_0 stays where it is and light of its own grows with the current.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim_backends.physics.arrays import Floats, require
from sim_backends.physics.desk import DeskLight, DeskSettings
from sim_backends.physics.drift import OrnsteinUhlenbeck
from sim_backends.physics.gain import saturated
from sim_backends.physics.noise import Noise


@dataclass(frozen=True)
class GainRowSettings:
    """Sections, the light around them, and what is broken.

    Attributes:
        g0_per_m, confinement, loss_per_m, length_m, transparency_a, shape_a: as in the equations.
        g0_spread, transparency_spread, loss_spread, shape_spread: relative standard deviations, channel to channel.
        saturation_w: P_sat, and saturation_spread. emission_w_per_a: E, and emission_spread. heating_per_a2: h.
        tap, coupling, collected: parts of the light that the monitors see, that enter the sections, and that come from them to the
            attenuators; coupling_spread: of all three.
        rin: relative standard deviation of the laser in a shot. power_walk_per_sqrt_h: of its power. rollover_per_a: how its slope falls.
        walk_per_sqrt_h: of ln G_0; drift_per_s: the same in all sections. drift_tick_s: seconds between moves.
        dead: sections whose wire is broken. blocked: inputs behind the monitor. stuck: input modulators that do not follow.
        lasing: sections that lase above lasing_a, by lasing_w_per_a. swapped, swapped_inputs, swapped_outputs: pairs whose current
            cables, fibres behind the monitors, or detector cables are exchanged.
    """

    g0_per_m: float = 9e4
    confinement: float = 0.03025
    loss_per_m: float = 1e3
    length_m: float = 2.2e-4
    transparency_a: float = 3.16e-3
    shape_a: float = 1e-3
    g0_spread: float = 0.03
    transparency_spread: float = 0.03
    loss_spread: float = 0.05
    shape_spread: float = 0.03
    saturation_w: float = 10e-3
    saturation_spread: float = 0.05
    emission_w_per_a: float = 0.01
    emission_spread: float = 0.1
    heating_per_a2: float = 0.0
    tap: float = 0.005
    coupling: float = 0.9
    collected: float = 0.008
    coupling_spread: float = 0.03
    rin: float = 1e-4
    power_walk_per_sqrt_h: float = 0.005
    rollover_per_a: float = 15.0
    walk_per_sqrt_h: float = 1e-3
    drift_per_s: float = 0.0
    drift_tick_s: float = 1e-2
    dead: tuple[int, ...] = ()
    blocked: tuple[int, ...] = ()
    stuck: tuple[int, ...] = ()
    lasing: tuple[int, ...] = ()
    lasing_a: float = 8e-3
    lasing_w_per_a: float = 0.5
    swapped: tuple[tuple[int, int], ...] = ()
    swapped_inputs: tuple[tuple[int, int], ...] = ()
    swapped_outputs: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        require(self, 1e-12, math.inf, "g0_per_m", "length_m", "transparency_a", "shape_a", "saturation_w", "drift_tick_s")
        require(self, 0, math.inf, "loss_per_m", "emission_w_per_a", "heating_per_a2", "rollover_per_a", "lasing_a", "lasing_w_per_a")
        require(self, 0, 1, "confinement", "tap", "coupling", "collected", "rin", "power_walk_per_sqrt_h", "walk_per_sqrt_h")
        require(self, 0, 0.3, "g0_spread", "transparency_spread", "loss_spread", "shape_spread", "saturation_spread", "emission_spread")
        require(self, 0, 0.3, "coupling_spread")
        require(self, -1e3, 1e3, "drift_per_s")

    def ideal(self) -> GainRowSettings:
        """All sections alike, without saturation, emission, noise and drift; what is broken stays broken."""
        spreads = [f"{name}_spread" for name in ("g0", "transparency", "loss", "shape", "saturation", "emission", "coupling")]
        others = ("emission_w_per_a", "rin", "power_walk_per_sqrt_h", "rollover_per_a", "walk_per_sqrt_h", "drift_per_s")
        off: dict[str, Any] = dict.fromkeys((*spreads, *others), 0.0)
        return replace(self, saturation_w=math.inf, **off)


class GainRow:
    """The light of `count` sections; the hidden numbers of each are drawn once.

    Attributes:
        strength, zero_gain_a, shape_a: (C,) of ln G_0 = strength ln((I + I_s)/(I_0 + I_s)), I_0 the current of no net gain.
        transparency_a, loss: (C,) I_tr and alpha_i L. saturation_w, emission_w_per_a: (C,). entering, leaving: (C,) parts of the light.
    """

    def __init__(self, count: int, settings: GainRowSettings, desk: DeskSettings, seed: int) -> None:
        s, noise = settings, Noise(seed).child("gain row")
        pairs = [channel for pair in (*s.swapped, *s.swapped_inputs, *s.swapped_outputs) for channel in pair]
        wrong = [channel for channel in (*s.dead, *s.blocked, *s.stuck, *s.lasing, *pairs) if not 0 <= channel < count]
        if wrong:
            raise ValueError(f"there is no section {wrong[0]}; there are {count}")

        def around(name: str, nominal: float, spread: float) -> Floats:
            return nominal * (1 + spread * noise.child(name).normal(count, np.float64))

        self._settings, self.count, self._noise = s, count, noise.child("rin")
        self.strength = around("g0", s.g0_per_m * s.confinement * s.length_m, s.g0_spread)
        self.transparency_a = around("transparency", s.transparency_a, s.transparency_spread)
        self.shape_a = around("shape", s.shape_a, s.shape_spread)
        self.loss = around("loss", s.loss_per_m * s.length_m, s.loss_spread)
        self.zero_gain_a = (self.transparency_a + self.shape_a) * np.exp(self.loss / self.strength) - self.shape_a
        self.saturation_w = around("saturation", s.saturation_w, s.saturation_spread)
        self.emission_w_per_a = around("emission", s.emission_w_per_a, s.emission_spread)
        self.tapped = around("tap", s.tap, s.coupling_spread)
        self.entering = around("coupling", s.coupling, s.coupling_spread)
        self.leaving = around("collected", s.collected, s.coupling_spread)
        self._power = OrnsteinUhlenbeck(noise.child("power"), 1, s.power_walk_per_sqrt_h / 60, 6 * 3600.0, s.drift_tick_s)
        self._drift = OrnsteinUhlenbeck(noise.child("drift"), count, s.walk_per_sqrt_h / 60, math.inf, s.drift_tick_s)
        self._inputs = DeskLight(1, count, desk, int(noise.child("inputs").generator.integers(1 << 31)))
        self._attenuators = DeskLight(1, count, desk, int(noise.child("attenuators").generator.integers(1 << 31)))
        self._wires, self._fibres, self._cables = (_order(count, pairs) for pairs in (s.swapped, s.swapped_inputs, s.swapped_outputs))

    def log_gain(self, amperes: Floats, times_s: Floats) -> Floats:
        """(T, C) ln G_0 of weak light at currents of the sections themselves, whatever their cables, at rising times."""
        s = self._settings
        pumped = np.where(_among(s.dead, self.count), 0.0, amperes)
        lit = np.where(_among(s.lasing, self.count), np.minimum(pumped, s.lasing_a), pumped)
        law = self.strength * np.log((lit + self.shape_a) / (self.zero_gain_a + self.shape_a))
        drift = self._drift.values(float(times_s[0])) + s.drift_per_s * times_s[:, None]
        return np.asarray(law - s.heating_per_a2 * np.square(pumped) + drift)

    def inputs_w(self, laser_a: Floats, volts: Floats, now_s: float) -> Floats:
        """(T, C) watts behind the input modulators, with the laser's noise, of its currents (T, 1) and volts (T, C)."""
        s = self._settings
        watts = self._inputs.laser_w(laser_a)
        above = np.maximum(laser_a - self._inputs.threshold_a, 0.0)
        watts = watts / (1 + s.rollover_per_a * above)
        shot = 1 + float(self._power.values(now_s)[0]) + s.rin * self._noise.normal((len(volts), 1), np.float64)
        held = np.where(_among(s.stuck, self.count), 2.0, volts)
        return self._inputs.arms_w(watts * shot, held)

    def monitored_w(self, inputs_w: Floats) -> Floats:
        """(T, C) watts on the monitors."""
        return np.asarray(self.tapped * inputs_w)

    def outputs_w(self, inputs_w: Floats, amperes: Floats, attenuator_v: Floats, times_s: Floats) -> Floats:
        """(T, C) watts on the detectors, of section currents (T, C) and attenuator volts (T, C)."""
        s = self._settings
        pumped = amperes[:, self._wires]
        power = inputs_w[:, self._fibres] * self.entering * (1 - self.tapped) * ~_among(s.blocked, self.count)
        weak = np.exp(self.log_gain(pumped, times_s))
        gain = weak * np.square(saturated(weak, power / self.saturation_w))
        log = np.log(gain)
        rate = np.where(np.abs(log) < 1e-9, 1.0, np.expm1(log) / np.where(log == 0, 1.0, log))
        own = self.emission_w_per_a * np.where(_among(s.dead, self.count), 0.0, pumped) * rate
        own = own + np.where(_among(s.lasing, self.count), s.lasing_w_per_a * np.maximum(pumped - s.lasing_a, 0.0), 0.0)
        watts = (gain * power + own) * self.leaving
        return self._attenuators.arms_w(watts * self.count, attenuator_v)[:, self._cables]


def _among(channels: tuple[int, ...], count: int) -> NDArray[np.bool_]:
    return np.isin(np.arange(count), channels)


def _order(count: int, pairs: tuple[tuple[int, int], ...]) -> NDArray[np.intp]:
    order = np.arange(count, dtype=np.intp)
    for one, two in pairs:
        order[[one, two]] = order[[two, one]]
    return order
