"""Calibrated gain sections as a training uses them: theta to currents, inside their limits, and currents to theta, with uncertainty.

    found = current(Store("calibrations"), bench)[("gain", "gain_sections")]
    sections = MeasuredSections.of(found, Coupler("pt", z=1.0), bench.specs["gain"])
    amperes = sections.currents(theta)                       # (..., C); LimitError names what no allowed current gives
    theta, error = sections.believed(amperes)                # (..., C) and standard errors

A coupler has sin(theta) = s = ln G/(2 Z), half of that where only one guide is pumped; an amplifier has theta = ln G/2 (PHYSICS: G is
the power gain of the section). `theta` and `driven` are those of labonn.curves.PortCurves, in place of nominal curves: NaN where no
allowed current is enough.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labonn.calibration.calibration import Calibration
from labonn.calibration.fitting import Mask
from labonn.calibration.gain_sections.model import PARAMETERS, log_ratio
from labonn.channels import ChannelSpec, Floats
from labonn.couplers import Coupler
from labonn.errors import CalibrationError, LimitError
from labonn.shots import Ints
from labonn.units import format_quantity

TOLD = 3
CURVE = ("strength", "zero", "shape")


@dataclass(frozen=True)
class MeasuredSections:
    """The curves of C sections.

    Attributes:
        names: (C,). strength, zero_a, shape_a: (C,) of ln G = strength ln((I + shape)/(zero + shape)); NaN for what was left out.
        covariance: (C, 3, 3) of them. lower_a, upper_a: (C,) currents that are allowed. per_log: (C,) s, or theta of amplifiers, per ln G.
        amplifiers: (C,) which are amplifiers. rule: whose the curves are, for messages.
    """

    names: tuple[str, ...]
    strength: Floats
    zero_a: Floats
    shape_a: Floats
    covariance: Floats
    lower_a: Floats
    upper_a: Floats
    per_log: Floats
    amplifiers: Mask
    rule: str = "calibration"

    @classmethod
    def of(cls, calibration: Calibration, coupler: Coupler, spec: ChannelSpec, amplifiers: Mask | None = None) -> MeasuredSections:
        """Of a calibration of kind gain_sections.

        Args:
            coupler: whose Z and pumping the sections have. spec: limits of the port. amplifiers: (C,) bool; None: none are.

        Raises:
            CalibrationError: it is of another kind, or of another number of channels.
        """
        count = len(calibration.channels)
        if calibration.kind != "gain_sections" or coupler.kind != "pt" or count != len(spec):
            told = f"gain_sections of {len(spec)} channels are wanted, of pt couplers; it has {count}, and they are of {coupler.kind}"
            raise CalibrationError(f"{calibration.title}: {told}")
        places = [PARAMETERS.index(name) for name in CURVE]
        covariance = np.asarray(calibration.covariance)[:, places][:, :, places]
        which = np.zeros(count, np.bool_) if amplifiers is None else np.asarray(amplifiers, np.bool_)
        per_log = np.where(which, 0.5, 1 / (coupler.z * (4 if coupler.one_sided else 2)))
        strength, zero, shape = (calibration.values(name) for name in CURVE)
        lower, upper, rule = np.maximum(np.asarray(spec.lower), 0.0), np.asarray(spec.upper), f"calibration {calibration.id}"
        return cls(calibration.channels, strength, zero, shape, covariance, lower, upper, per_log, which, rule)

    def theta(self, driven: Floats, channels: Ints | None = None) -> Floats:
        """(…, C) of currents; with `channels` (…, n), of those. NaN outside the limits, and beyond |s| = 1."""
        pick = slice(None) if channels is None else channels
        allowed = (driven >= self.lower_a[pick]) & (driven <= self.upper_a[pick])
        current = np.where(allowed, driven, self.zero_a[pick])
        raised = self.per_log[pick] * self.strength[pick] * log_ratio(current, self.zero_a[pick], self.shape_a[pick])
        inside = np.abs(raised) <= 1
        angle = np.where(self.amplifiers[pick], raised, np.arcsin(np.where(inside, raised, 0.0)))
        return np.asarray(np.where(allowed & (inside | self.amplifiers[pick]), angle, np.nan))

    def driven(self, theta: Floats, channels: Ints | None = None) -> Floats:
        """(…, C) amperes; NaN where no allowed current gives theta."""
        pick = slice(None) if channels is None else channels
        raised = np.where(self.amplifiers[pick], theta, np.where(np.abs(theta) <= np.pi / 2, np.sin(theta), np.nan))
        exponent = np.clip(raised / (self.per_log[pick] * self.strength[pick]), -50, 50)
        current = (self.zero_a[pick] + self.shape_a[pick]) * np.exp(exponent) - self.shape_a[pick]
        with np.errstate(invalid="ignore"):
            hair = 1e-9 * self.upper_a[pick]  # of rounding, at the ends of the reach
            allowed = (current >= self.lower_a[pick] - hair) & (current <= self.upper_a[pick] + hair)
        return np.asarray(np.where(allowed, np.clip(current, self.lower_a[pick], self.upper_a[pick]), np.nan))

    def currents(self, theta: Floats) -> Floats:
        """(…, C) amperes of theta (…, C).

        Raises:
            LimitError: what cannot be reached: which sections, and what they reach.
        """
        found = self.driven(theta)
        unknown = [self.names[c] for c in np.flatnonzero(~np.isfinite(self.strength))]
        if unknown:
            raise LimitError(f"{', '.join(unknown[:TOLD])}: no current is known, they were left out of {self.rule}")
        lost, (low, high) = np.argwhere(~np.isfinite(found)), self.reach()
        if len(lost):
            each = [(self.names[p[-1]], theta[tuple(p)], low[p[-1]], high[p[-1]]) for p in lost[:TOLD]]
            told = [f"{name}: theta {wanted:.4g} is outside {least:.4g} to {most:.4g}" for name, wanted, least, most in each]
            amperes = " to ".join(format_quantity(float(edge[lost[0][-1]]), "A") for edge in (self.lower_a, self.upper_a))
            more = f"; {len(lost) - TOLD} more" if len(lost) > TOLD else ""
            raise LimitError(f"{'; '.join(told)}{more}: what {amperes} give ({self.rule})")
        return found

    def reach(self) -> tuple[Floats, Floats]:
        """(C,) lowest and highest theta inside the limits, and for couplers inside |theta| < pi/2; NaN for what was left out."""
        low, high = (self.per_log * self.strength * log_ratio(edge, self.zero_a, self.shape_a) for edge in (self.lower_a, self.upper_a))
        angles = (np.where(self.amplifiers, edge, np.arcsin(np.clip(edge, -1, 1))) for edge in (low, high))
        first, second = angles
        return np.asarray(first), np.asarray(second)

    def believed(self, driven: Floats) -> tuple[Floats, Floats]:
        """(theta (…, C) of currents, standard errors); beside that of the curve, errors of sources and drifts are not in them."""
        theta = self.theta(driven)
        level = np.asarray(driven, np.float64) + self.shape_a
        whole = self.zero_a + self.shape_a
        by_zero = np.broadcast_to(-self.strength / whole, theta.shape)
        slope = np.stack([log_ratio(driven, self.zero_a, self.shape_a), by_zero, self.strength / level + by_zero], axis=-1)
        variance = np.einsum("...ci,cij,...cj->...c", slope, self.covariance, slope)
        turn = np.where(self.amplifiers, 1.0, np.maximum(np.cos(np.where(np.isfinite(theta), theta, 0.0)), 1e-12))
        return theta, np.asarray(np.where(np.isfinite(theta), self.per_log * np.sqrt(np.maximum(variance, 0)) / turn, np.nan))
