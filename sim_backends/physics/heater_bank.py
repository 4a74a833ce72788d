"""A bank of thermo-optic heaters, each the phase of one interferometer in front of a photodiode of its own: volts and time in, light out.

P (1 + r P) = V^2 (1 + q V)/R_0;  a heater's own phase is psi = pi P/P_pi; phase_i = phase_0i + psi_i + sum over others of x_ij psi_j,
x_ij = c_0 exp(-(d_ij - 1)/d_0) with d in pitches; split = e + (1 - e) sin^2(phase/2). psi follows its drive with a delay, and with
one time constant when it rises and another when it falls.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sim_backends.physics.arrays import Floats, require
from sim_backends.physics.desk import DeskLight, DeskSettings
from sim_backends.physics.noise import Noise
from sim_backends.physics.parameter_drift import ParameterDrift

SETTLED = 1e-9  # of a step


@dataclass(frozen=True)
class BankSettings:
    """Heaters, interferometers and photodiodes, and what is wrong with them.

    Attributes:
        p_pi_w, resistance_ohm: of a phase of pi; cold. resistance_slope_per_w: r. cubic_per_v: q, of contacts that are not ohmic.
        spread: relative standard deviation of P_pi, resistance, q and losses. phase_spread_rad: phases without power are within +- this.
        extinction_db, extinction_spread_db: of the interferometers.
        crosstalk: c_0, of the next heater. decay: d_0. crosstalk_spread: relative, of every pair. columns: of the bank, in pitches.
        rise_s, fall_s, delay_s: time constants and delay. time_spread: relative standard deviation of these.
        walk_rad_per_sqrt_h, drift_rad_per_h, drift_tick_s: phases drift (sim_backends.physics.parameter_drift).
        noise_v: standard deviation of a reading without light. shot_v: so many volts more in its variance for every volt that is read.
        rin: relative standard deviation of the light of a shot, the same in all. gain: of all detectors; what makes them saturate.
        dead, blocked: heaters without heat, interferometers without light. swapped: pairs whose cables are exchanged.
        paired: pairs of heaters that lie on one another: either heats both interferometers.
    """

    p_pi_w: float = 22.5e-3
    resistance_ohm: float = 1e3
    resistance_slope_per_w: float = 1.0
    cubic_per_v: float = 2e-3
    spread: float = 0.03
    phase_spread_rad: float = math.pi
    extinction_db: float = 25.0
    extinction_spread_db: float = 2.0
    crosstalk: float = 0.01
    decay: float = 2.0
    crosstalk_spread: float = 0.1
    columns: int = 8
    rise_s: float = 1.2e-6
    fall_s: float = 1.5e-6
    delay_s: float = 2e-7
    time_spread: float = 0.05
    walk_rad_per_sqrt_h: float = 0.01
    drift_rad_per_h: float = 0.005
    drift_tick_s: float = 1e-2
    noise_v: float = 2e-4
    shot_v: float = 1e-7
    rin: float = 1e-4
    gain: float = 1.0
    dead: tuple[int, ...] = ()
    blocked: tuple[int, ...] = ()
    swapped: tuple[tuple[int, int], ...] = ()
    paired: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        require(self, 1e-12, math.inf, "p_pi_w", "resistance_ohm", "decay", "drift_tick_s", "rise_s", "fall_s", "gain")
        require(self, 0, math.inf, "resistance_slope_per_w", "walk_rad_per_sqrt_h", "delay_s", "extinction_db", "extinction_spread_db")
        require(self, 0, 0.2, "spread", "crosstalk", "crosstalk_spread", "time_spread", "cubic_per_v")
        require(self, 0, 1, "noise_v", "shot_v", "rin")
        require(self, 0, math.pi, "phase_spread_rad")
        require(self, 1, 1e6, "columns")

    def ideal(self) -> BankSettings:
        """Every heater as it is nominally, no crosstalk, noise or drift; what is broken stays broken."""
        off = ("resistance_slope_per_w", "cubic_per_v", "spread", "phase_spread_rad", "extinction_spread_db", "crosstalk", "time_spread")
        more = ("walk_rad_per_sqrt_h", "drift_rad_per_h", "noise_v", "shot_v", "rin")
        return replace(self, **dict.fromkeys((*off, *more), 0.0))  # type: ignore[arg-type]


class BankLight(DeskLight):
    """As DeskLight, whose arms have heaters.

    Attributes:
        p_pi_w, resistance_ohm, cubic_per_v, phase_rad, leak, rise_s, fall_s, delay_s: (A,) true numbers. mixing: (A, A), 1 on the diagonal.
    """

    def __init__(self, lasers: int, arms: int, desk: DeskSettings, bank: BankSettings, seed: int) -> None:
        super().__init__(lasers, arms, desk, seed)
        pairs = [arm for pair in (*bank.swapped, *bank.paired) for arm in pair]
        wrong = [arm for arm in (*bank.dead, *bank.blocked, *pairs) if not 0 <= arm < arms]
        if wrong:
            raise ValueError(f"dead, blocked, swapped, paired: there is no heater {wrong[0]}; there are {arms}")
        noise = Noise(seed).child("bank")
        self._bank, self._shots, self._rin = bank, noise.child("shots"), noise.child("rin")
        self._draw(bank, arms, noise)
        self.drift = ParameterDrift(noise.child("drift"), arms, bank.walk_rad_per_sqrt_h, bank.drift_rad_per_h, bank.drift_tick_s)
        self._order = np.arange(arms)
        for one, two in bank.swapped:
            self._order[[one, two]] = self._order[[two, one]]
        self._heats = ~np.isin(np.arange(arms), bank.dead)
        self.loss = np.where(np.isin(np.arange(arms), bank.blocked), 0.0, self.loss)
        for one, two in bank.paired:
            self.mixing[one, two] = self.mixing[two, one] = 1.0

    def _draw(self, bank: BankSettings, arms: int, noise: Noise) -> None:
        def around(name: str, nominal: float, spread: float) -> Floats:
            return np.asarray(nominal * (1 + spread * noise.child(name).normal(arms, np.float64)))

        self.p_pi_w, self.resistance_ohm = around("p_pi", bank.p_pi_w, bank.spread), around("resistance", bank.resistance_ohm, bank.spread)
        self.cubic_per_v = around("cubic", bank.cubic_per_v, bank.spread)
        self.phase_rad = bank.phase_spread_rad * noise.child("phase").generator.uniform(-1, 1, arms)
        decibels = bank.extinction_db + bank.extinction_spread_db * noise.child("extinction").normal(arms, np.float64)
        self.leak = 10 ** (-np.maximum(decibels, 0) / 10)
        self.rise_s, self.fall_s = around("rise", bank.rise_s, bank.time_spread), around("fall", bank.fall_s, bank.time_spread)
        self.delay_s = np.abs(around("delay", bank.delay_s, bank.time_spread))
        places = np.stack(np.divmod(np.arange(arms), bank.columns), axis=1)
        apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
        vary = 1 + bank.crosstalk_spread * noise.child("crosstalk").normal((arms, arms), np.float64)
        self.mixing = np.where(apart > 0, bank.crosstalk * np.exp(-(apart - 1) / bank.decay) * np.maximum(vary, 0), 1.0)

    def own_rad(self, volts: Floats) -> NDArray[np.float64]:
        """(…, A) phases psi of the heaters' own power, when settled; cables as they are."""
        v = np.asarray(volts, np.float64)[..., self._order]
        cold = np.square(v) * (1 + self.cubic_per_v * np.abs(v)) / self.resistance_ohm
        # the root of r P^2 + P - cold, in the form that keeps its digits and has the limit r = 0
        power = 2 * cold / (1 + np.sqrt(1 + 4 * self._bank.resistance_slope_per_w * cold))
        return np.asarray(np.where(self._heats, power * np.pi / self.p_pi_w, 0.0))

    def phases_rad(self, volts: Floats, now_s: float = 0.0) -> NDArray[np.float64]:
        """(…, A) settled phases."""
        return np.asarray(self.phase_rad + self.drift.offsets(now_s) + self.own_rad(volts) @ self.mixing.T)

    def split_w(self, watts: Floats, own: Floats, dwell_s: float, now_s: float) -> NDArray[np.float64]:
        """(T, A) watts of shots in the middle of which the heaters' own phases are `own` (T, A).

        Args:
            watts: (T, 1) of all lasers, split evenly. now_s: of the first shot, by the bench's clock.
        """
        times_s = (np.arange(len(own)) + 0.5) * dwell_s
        phases = own @ self.mixing.T + self.phase_rad
        ticks = np.floor((now_s + times_s) / self._bank.drift_tick_s)
        starts = np.flatnonzero(np.diff(ticks, prepend=-1.0))
        for start, end in zip(starts, [*starts[1:], len(own)], strict=True):
            phases[start:end] += self.drift.offsets(now_s + float(times_s[start]))
        passed = self.leak + (1 - self.leak) * np.sin(phases / 2) ** 2
        light = 1 + self._bank.rin * self._rin.normal((len(own), 1), np.float64)
        return np.asarray(watts / len(self.loss) * light * self.loss * passed)

    def detected_v(self, watts: Floats) -> Floats:
        """Volts, with the detectors' noise."""
        volts: Floats = self._bank.gain * super().detected_v(watts)
        sigma = np.sqrt(self._bank.noise_v**2 + self._bank.shot_v * np.maximum(volts, 0))
        return np.asarray(volts + sigma * self._shots.normal(volts.shape, np.float64))

    def followed_rad(self, volts: Floats, dwell_s: float) -> NDArray[np.float64]:
        """(T, A) own phases in the middle of shots, on the way from what every shot found to what its volts want; cold before the first."""
        own, slowest = self.own_rad(volts), float(max(self.rise_s.max(), self.fall_s.max()))
        if (0.5 * dwell_s - self.delay_s.max()) / slowest > -math.log(SETTLED):
            return own
        starts = np.flatnonzero(np.concatenate([[True], np.any(volts[1:] != volts[:-1], axis=1)]))
        wanted, begun = own[starts], np.zeros((len(starts) + 1, own.shape[1]))
        lengths = np.diff(starts, append=len(volts)) * dwell_s
        taus = np.zeros_like(wanted)
        for run, length in enumerate(lengths):
            taus[run] = np.where(wanted[run] >= begun[run], self.rise_s, self.fall_s)
            begun[run + 1] = wanted[run] + (begun[run] - wanted[run]) * np.exp(-length / taus[run])
        since = (np.arange(len(volts))[:, None] + 0.5) * dwell_s - self.delay_s
        latest = np.searchsorted(starts * dwell_s, since.ravel(), side="right").reshape(since.shape) - 1
        here, each = np.maximum(latest, 0), np.arange(own.shape[1])
        left = np.exp(-(since - starts[here] * dwell_s) / taus[here, each])
        moving = wanted[here, each] + (begun[here, each] - wanted[here, each]) * left
        return np.asarray(np.where(latest < 0, 0.0, moving))
