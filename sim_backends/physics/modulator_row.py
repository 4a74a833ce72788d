"""A row of intensity modulators, each in front of a photodiode of its own: the desk's arms, with bias drift, noise and broken parts."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from sim_backends.physics.arrays import Floats, require
from sim_backends.physics.desk import DeskLight, DeskSettings
from sim_backends.physics.drift import OrnsteinUhlenbeck
from sim_backends.physics.noise import Noise


@dataclass(frozen=True)
class RowSettings:
    """What is wrong with the arms, beside the spread of their numbers (DeskSettings).

    Attributes:
        noise_v: standard deviation of a reading. rin: relative standard deviation of the light of a shot, the same in all arms.
        bias_walk_v_pi_per_sqrt_h, bias_relax_s, drift_tick_s: bias drift (sim_backends.physics.modulators).
        bias_drift_v_pi_per_s: the same in all arms, on top of that.
        blocked: arms whose beam is blocked. swapped: pairs of arms whose cables are exchanged.
        gain: of all detectors; what makes them saturate.
    """

    noise_v: float = 2e-4
    rin: float = 1e-4
    bias_walk_v_pi_per_sqrt_h: float = 0.01
    bias_relax_s: float = 3600.0
    drift_tick_s: float = 1e-2
    bias_drift_v_pi_per_s: float = 0.0
    blocked: tuple[int, ...] = ()
    swapped: tuple[tuple[int, int], ...] = ()
    gain: float = 1.0

    def __post_init__(self) -> None:
        require(self, 0, 1, "noise_v", "rin", "bias_walk_v_pi_per_sqrt_h")
        require(self, -10, 10, "bias_drift_v_pi_per_s")
        require(self, 1e-3, math.inf, "bias_relax_s")
        require(self, 1e-6, 1e6, "gain", "drift_tick_s")

    def ideal(self) -> RowSettings:
        """No noise and no drift; what is broken stays broken."""
        return replace(self, noise_v=0.0, rin=0.0, bias_walk_v_pi_per_sqrt_h=0.0, bias_drift_v_pi_per_s=0.0)


class RowLight(DeskLight):
    """As DeskLight; its arms also depend on the time, and its detectors are noisy."""

    def __init__(self, lasers: int, arms: int, desk: DeskSettings, row: RowSettings, seed: int) -> None:
        super().__init__(lasers, arms, desk, seed)
        wrong = [arm for arm in (*row.blocked, *(arm for pair in row.swapped for arm in pair)) if not 0 <= arm < arms]
        if wrong:
            raise ValueError(f"blocked, swapped: there is no arm {wrong[0]}; there are {arms}")
        noise = Noise(seed).child("row")
        self._row, self._shots, self._rin = row, noise.child("shots"), noise.child("rin")
        self._drift = OrnsteinUhlenbeck(
            noise.child("drift"), arms, row.bias_walk_v_pi_per_sqrt_h / 60, row.bias_relax_s, row.drift_tick_s
        )
        self._order = np.arange(arms)
        for one, two in row.swapped:
            self._order[[one, two]] = self._order[[two, one]]
        self.loss = np.where(np.isin(np.arange(arms), row.blocked), 0.0, self.loss)

    def bias_now_v(self, now_s: float) -> Floats:
        """(A,) volts of the dark points."""
        shift: Floats = self._drift.values(now_s) + self._row.bias_drift_v_pi_per_s * now_s
        return np.asarray(self.bias_v + self.v_pi_v * shift)

    def arms_at_w(self, watts: Floats, volts: Floats, times_s: Floats) -> Floats:
        """(T, A) watts behind the modulators, of watts (T, 1), at rising times of the bench's clock."""
        still, passed = self.bias_v, np.empty(volts.shape)
        ticks = np.floor(times_s / self._row.drift_tick_s)
        starts = np.flatnonzero(np.diff(ticks, prepend=-1.0))
        for start, end in zip(starts, [*starts[1:], len(times_s)], strict=True):
            self.bias_v = self.bias_now_v(float(times_s[start]))
            passed[start:end] = self.arms_w(watts[start:end], volts[start:end][:, self._order])
            self.bias_v = still
        return passed * (1 + self._row.rin * self._rin.normal((len(volts), 1), np.float64))

    def detected_v(self, watts: Floats) -> Floats:
        """Volts, with the detectors' noise."""
        volts: Floats = self._row.gain * super().detected_v(watts)
        return volts + self._row.noise_v * self._shots.normal(volts.shape, np.float64)
