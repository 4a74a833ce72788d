"""The thermo-optic heaters of an MZI chip: volts or watts in, true phases out, with crosstalk, lag and drift.

P = V^2/R(P), R = R_0 (1 + r P);  phase_i = phase_0i + pi P_i/P_pi,i + sum over neighbours of c_ij pi P_j/P_pi,j. A chip's parameters are
theta = phase - pi.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim_backends.physics.arrays import require
from sim_backends.physics.lag import Lag
from sim_backends.physics.noise import Noise
from sim_backends.physics.parameter_drift import ParameterDrift
from sim_backends.physics.placement import crosstalk, mixed

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class HeaterSettings:
    """Heaters and their imperfections.

    Attributes:
        p_pi_w: power of a phase of pi. resistance_ohm: cold, R_0. resistance_slope_per_w: r, relative.
        drive: "V" where the port sets volts, "W" where it sets watts.
        phase_error_rad: standard deviation of the phase without power. p_pi_spread, resistance_spread: relative, channel to channel.
        crosstalk: c0; a neighbour at d pitches gets c0 exp(-d/crosstalk_decay) of a heater's phase, up to d = crosstalk_reach.
        tau_s: time constant of the lag; 0 is immediate.
        walk_rad_per_sqrt_h: standard deviation of every phase after the first hour of walking. drift_rad_per_h: steady, in all phases.
        drift_tick_s: seconds between moves.
    """

    p_pi_w: float = 25e-3
    resistance_ohm: float = 1e3
    resistance_slope_per_w: float = 1.0
    drive: str = "V"
    phase_error_rad: float = 0.2
    p_pi_spread: float = 0.03
    resistance_spread: float = 0.03
    crosstalk: float = 0.01
    crosstalk_decay: float = 1.0
    crosstalk_reach: float = 4.0
    tau_s: float = 1.2e-6
    walk_rad_per_sqrt_h: float = 0.01
    drift_rad_per_h: float = 0.005
    drift_tick_s: float = 1.0

    def __post_init__(self) -> None:
        require(self, 1e-12, math.inf, "p_pi_w", "resistance_ohm", "crosstalk_decay", "drift_tick_s")
        require(self, 0, math.inf, "resistance_slope_per_w", "crosstalk_reach", "tau_s", "walk_rad_per_sqrt_h")
        require(self, -math.inf, math.inf, "drift_rad_per_h")
        require(self, 0, math.pi, "phase_error_rad")
        require(self, 0, 0.3, "p_pi_spread", "resistance_spread")
        require(self, 0, 0.2, "crosstalk")
        if self.drive not in ("V", "W"):
            raise ValueError(f"HeaterSettings.drive is {self.drive!r}; allowed are V and W")

    @classmethod
    def ideal(cls, **nominal: Any) -> HeaterSettings:
        """The nominal curve in all heaters, immediate and constant; `nominal` settings are kept."""
        spreads = ("phase_error_rad", "p_pi_spread", "resistance_spread")
        off = dict.fromkeys((*spreads, "resistance_slope_per_w", "crosstalk", "tau_s", "walk_rad_per_sqrt_h", "drift_rad_per_h"), 0.0)
        return cls(**{**off, **nominal})


class Heaters:
    """`count` heaters in the order of the light; the hidden numbers of each are drawn once.

    Args:
        places: (count, 2) as of `placement.positions`, for crosstalk; None: without.

    Attributes:
        p_pi_w, resistance_ohm, phase_error_rad: (count,) true constants.
        mixing: (count, count) scipy.sparse, how the phase of one changes that of the others; None without crosstalk.
        lag: of all phases. drift: of the phases without power.
    """

    def __init__(self, count: int, settings: HeaterSettings, noise: Noise, places: ArrayLike | None = None) -> None:
        s = settings
        draw = {name: noise.child(name).normal(count, np.float64) for name in ("power", "resistance", "phase")}
        self._settings = s
        self.p_pi_w = s.p_pi_w * (1 + s.p_pi_spread * draw["power"])
        self.resistance_ohm = s.resistance_ohm * (1 + s.resistance_spread * draw["resistance"])
        self.phase_error_rad = s.phase_error_rad * draw["phase"]
        self.mixing = None if places is None else crosstalk(places, s.crosstalk, s.crosstalk_decay, s.crosstalk_reach)
        self.drift = ParameterDrift(noise.child("drift"), count, s.walk_rad_per_sqrt_h, s.drift_rad_per_h, s.drift_tick_s)
        self.lag = Lag(s.tau_s)

    def power_w(self, driven: ArrayLike, channels: NDArray[np.intp] | None = None) -> Float64:
        """(…, count) watts at volts (or watts) of the port; with `channels` (…, n), of those.

        Raises:
            ValueError: NaN, or a negative power.
        """
        values = np.asarray(driven, np.float64)
        if np.isnan(values).any() or (self._settings.drive == "W" and np.any(values < 0)):
            raise ValueError(f"a heater at {np.min(values):g} {self._settings.drive}; a number is wanted, and a power of 0 W and more")
        if self._settings.drive == "W":
            return values
        cold = np.square(values) / self.resistance_ohm[slice(None) if channels is None else channels]
        # the root of r P^2 + P - cold, in the form that keeps its digits and has the limit r = 0
        return np.asarray(2 * cold / (1 + np.sqrt(1 + 4 * self._settings.resistance_slope_per_w * cold)))

    def own(self, driven: ArrayLike, channels: NDArray[np.intp] | None = None) -> Float64:
        """(…, count) phases that the heaters' own power makes when settled; with `channels` (…, n), of those."""
        return np.asarray(self.power_w(driven, channels) * (np.pi / self.p_pi_w[slice(None) if channels is None else channels]))

    def offsets(self, now_s: float = 0.0) -> Float64:
        """(count,) phases without power at bench time `now_s`."""
        return self.phase_error_rad + self.drift.offsets(now_s)

    def phases(self, driven: ArrayLike, now_s: float = 0.0) -> Float64:
        """(…, count) settled phases."""
        return self.offsets(now_s) + mixed(self.mixing, self.own(driven))

    def theta(self, driven: ArrayLike, now_s: float = 0.0) -> Float64:
        """(…, count) settled parameters, phases minus pi."""
        return self.phases(driven, now_s) - np.pi
