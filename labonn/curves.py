"""Believed nominal curves of a chip's parameter port: amperes or volts to parameters theta and back, until a calibration measures them.

Both directions are exact inverses. What no current or voltage reaches is NaN, which the limits refuse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from labonn.channels import Floats
from labonn.shots import Ints


class Curve(Protocol):
    """Elementwise, any shape."""

    def theta(self, driven: Floats) -> Floats: ...

    def driven(self, theta: Floats) -> Floats: ...


@dataclass(frozen=True)
class Section:
    """Gain section of a PT coupler: sin(theta) = s = strength ln((I + shape_a)/(zero_gain_a + shape_a)).

    Attributes:
        strength: half of it where only one guide is pumped. zero_gain_a: current of s = 0. shape_a: makes s finite at 0 A.
    """

    strength: float = 0.3
    zero_gain_a: float = 5e-3
    shape_a: float = 1e-3

    def __post_init__(self) -> None:
        _positive(self, "strength", "zero_gain_a", "shape_a")

    def theta(self, driven: Floats) -> Floats:
        """Of currents; NaN below 0 A, and beyond the exceptional point |s| = 1."""
        with np.errstate(invalid="ignore"):
            return np.asarray(np.arcsin(self.strength * _log_ratio(self, driven)))

    def driven(self, theta: Floats) -> Floats:
        """Amperes; NaN beyond |theta| = pi/2 and where 0 A is not enough."""
        s = np.where(np.abs(theta) <= np.pi / 2, np.sin(theta), np.nan)
        return _current(self, s / self.strength)


@dataclass(frozen=True)
class AmplifierSection:
    """Gain section of an amplifier, factor exp(theta) on the field: theta = strength ln((I + shape_a)/(zero_gain_a + shape_a))."""

    strength: float = 1.0
    zero_gain_a: float = 5e-3
    shape_a: float = 1e-3

    def __post_init__(self) -> None:
        _positive(self, "strength", "zero_gain_a", "shape_a")

    def theta(self, driven: Floats) -> Floats:
        """Of currents; NaN below 0 A."""
        return np.asarray(self.strength * _log_ratio(self, driven))

    def driven(self, theta: Floats) -> Floats:
        """Amperes; NaN where 0 A is not enough."""
        return _current(self, np.asarray(theta) / self.strength)


@dataclass(frozen=True)
class Heater:
    """Thermo-optic heater: phase = theta + pi = offset + pi P/p_pi_w, P = V^2/R, R = resistance_ohm (1 + resistance_slope_per_w P).

    Attributes:
        offset_rad: phase without power. drive: "V" where the port sets volts, "W" where it sets watts.
    """

    p_pi_w: float = 25e-3
    resistance_ohm: float = 1e3
    resistance_slope_per_w: float = 0.0
    offset_rad: float = 0.0
    drive: str = "V"
    tau_s: float = 1.2e-6

    def __post_init__(self) -> None:
        _positive(self, "p_pi_w", "resistance_ohm")
        if not 0 <= self.tau_s < np.inf:
            raise ValueError(f"tau_s = {self.tau_s}: must be 0 or more")
        if not (0 <= self.resistance_slope_per_w < np.inf and np.isfinite(self.offset_rad)):
            raise ValueError(f"resistance_slope_per_w = {self.resistance_slope_per_w}: must be 0 or more, and offset_rad finite")
        if self.drive not in ("V", "W"):
            raise ValueError(f"drive = {self.drive!r}: allowed are V, W")

    def theta(self, driven: Floats) -> Floats:
        """Of volts or watts; NaN below 0."""
        driven = np.where(np.asarray(driven) >= 0, driven, np.nan)
        power = driven if self.drive == "W" else self._power(driven)
        return np.asarray(self.offset_rad - np.pi + np.pi / self.p_pi_w * power)

    def driven(self, theta: Floats) -> Floats:
        """Volts or watts; NaN where no power is too much."""
        power = (np.asarray(theta) + (np.pi - self.offset_rad)) * (self.p_pi_w / np.pi)
        power = np.where(power >= 0, power, np.nan)
        if self.drive == "W":
            return power
        return np.asarray(np.sqrt(power * self.resistance_ohm * (1 + self.resistance_slope_per_w * power)))

    def _power(self, volts: Floats) -> Floats:
        cold = np.square(volts) / self.resistance_ohm
        # the root of r P^2 + P - cold, in the form that keeps its digits and has the limit r = 0
        return np.asarray(2 * cold / (1 + np.sqrt(1 + 4 * self.resistance_slope_per_w * cold)))


@dataclass(frozen=True)
class PortCurves:
    """The whole parameter port: some channels are amplifiers or attenuators, with a curve of their own.

    Attributes:
        coupler, amplifier: curves. amplifiers: (P,) bool, which channels have the second.
    """

    coupler: Curve
    amplifier: Curve
    amplifiers: Any

    def theta(self, driven: Floats, channels: Ints | None = None) -> Floats:
        """(…, P) parameters of a port's values; with `channels` (…, n), of those channels."""
        return self._each(self.coupler.theta, self.amplifier.theta, driven, channels)

    def driven(self, theta: Floats, channels: Ints | None = None) -> Floats:
        """(…, P) values of the port for parameters; with `channels` (…, n), of those channels."""
        return self._each(self.coupler.driven, self.amplifier.driven, theta, channels)

    def _each(self, coupler: Any, amplifier: Any, values: Floats, channels: Ints | None) -> Floats:
        if self.coupler == self.amplifier:
            return np.asarray(coupler(values))
        return np.asarray(np.where(self.amplifiers if channels is None else self.amplifiers[channels], amplifier(values), coupler(values)))


def _log_ratio(curve: Any, current_a: Floats) -> Floats:
    current = np.where(np.asarray(current_a) >= 0, current_a, np.nan)
    return np.asarray(np.log((current + curve.shape_a) / (curve.zero_gain_a + curve.shape_a)))


def _current(curve: Any, log_ratio: Floats) -> Floats:
    with np.errstate(over="ignore"):
        current = (curve.zero_gain_a + curve.shape_a) * np.exp(log_ratio) - curve.shape_a
    return np.where((current >= 0) & (current < np.inf), current, np.nan)


def _positive(part: object, *names: str) -> None:
    """Raise ValueError unless the named numbers are above 0 and finite."""
    for name in names:
        value = getattr(part, name)
        if not 0 < value < np.inf:
            raise ValueError(f"{name} = {value}: must be positive")
