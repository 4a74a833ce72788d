"""Calibrated curves of a chip's parameter port: parameters that a believed chip has, as settings with which this chip has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.optimize import lsq_linear

from labonn.calibration.calibration import Calibration
from labonn.calibration.gain_sections.theta import MeasuredSections
from labonn.calibration.heaters.drive import HeaterBank
from labonn.calibration.heaters.model import own_phase, volts_of
from labonn.calibration.mesh.heaters import HeaterCurves
from labonn.calibration.mesh.saving import heater_curves
from labonn.channels import ChannelSpec, Floats
from labonn.chips import ChipOptics
from labonn.errors import CalibrationError

KINDS = ("mesh", "heaters", "gain_sections")  # the first that there is is used
NEAR = 1e-3  # rad, within which a parameter counts as reached
TURN, TURNS = 2 * np.pi, 24


class StartCurves(Protocol):
    """What a start needs of calibrated curves.

    Attributes:
        title: of the calibration, for messages.
    """

    @property
    def title(self) -> str: ...
    def reach(self) -> tuple[Floats, Floats]: ...  # (P,) lowest and highest theta, all others in the middle
    def driven(self, theta: Floats) -> tuple[Floats, Floats]: ...  # (P,) of the port, (P,) theta that it gives


@dataclass(frozen=True)
class HeatersOfChip:
    """Heaters with crosstalk: theta = phase - pi = offset - pi + mixing @ own heat.

    Attributes:
        offset: (P,) rad, with the whole turns that are nearest to nominal. mixing: (P, P), 1 on its diagonal. low, high: (P,) own heat,
        rad, at the limits of the port. period: (P,) by which theta may be moved, 0: not at all. to_drive: own heat (P,) -> volts or watts.
    """

    title: str
    offset: Floats
    mixing: Floats
    low: Floats
    high: Floats
    period: Floats
    to_drive: Any

    def reach(self) -> tuple[Floats, Floats]:
        """Of theta, with all others in the middle of theirs."""
        others = (self.mixing - np.diag(np.diag(self.mixing))) @ (0.5 * (self.low + self.high))
        return self.offset - np.pi + others + self.low, self.offset - np.pi + others + self.high

    def driven(self, theta: Floats) -> tuple[Floats, Floats]:
        """Crosstalk solved for inside the limits; what cannot be reached is as near as least squares have it."""
        wanted = theta + np.pi - self.offset
        for _ in range(TURNS):
            own = np.linalg.solve(self.mixing, wanted)
            away = self.period * ((own < self.low) * 1.0 - (own > self.high) * 1.0)
            there = own + away
            useful = (there >= self.low) & (there <= self.high) & (away != 0)
            if not useful.any():
                break
            wanted = wanted + np.where(useful, away, 0.0)
        if np.any((own < self.low) | (own > self.high)):
            own = np.asarray(lsq_linear(self.mixing, wanted, (self.low, self.high), tol=1e-12).x)
        own = np.clip(own, self.low, self.high)
        return self.to_drive(own), theta + self.mixing @ own - wanted


@dataclass(frozen=True)
class SectionsOfChip:
    """Gain sections, each with a curve of its own. Attributes: sections: calibrated. spare: nominal curves of those that were left out."""

    title: str
    sections: MeasuredSections
    spare: Any

    def reach(self) -> tuple[Floats, Floats]:
        """Of theta inside the limits of the port."""
        low, high = self.sections.reach()
        nominal = self.spare.theta(self.sections.lower_a), self.spare.theta(self.sections.upper_a)
        return np.where(np.isfinite(low), low, nominal[0]), np.where(np.isfinite(high), high, nominal[1])

    def driven(self, theta: Floats) -> tuple[Floats, Floats]:
        """Those that cannot be reached are at the end of their reach."""
        inside = np.clip(theta, *self.reach())
        amperes = self.sections.driven(inside)
        return np.where(np.isfinite(amperes), amperes, self.spare.driven(inside)), inside


def curves_of(found: Mapping[tuple[str, str], Calibration], optics: ChipOptics, spec: ChannelSpec) -> StartCurves | None:
    """Of the calibrations that are current (labonn.calibration.current); None where there is none of the parameter port.

    Channels that were left out of a calibration have nominal curves.

    Raises:
        CalibrationError: one that does not fit this chip.
    """
    for kind in KINDS:
        calibration = found.get((optics.port, kind))
        if calibration is None:
            continue
        if kind == "gain_sections":
            sections = MeasuredSections.of(calibration, optics.model.coupler, spec, optics.amplifiers)
            return SectionsOfChip(calibration.title, sections, optics.curves)
        if optics.design.coupler == "pt":
            raise CalibrationError(f"{calibration.title}: is of heaters; this is {optics.design.described}")
        return _mesh(calibration, optics, spec) if kind == "mesh" else _bank(calibration, optics, spec)
    return None


def start_through(curves: StartCurves, optics: ChipOptics, theta: Floats) -> tuple[Floats, str]:
    """((P,) parameters whose nominal drives give this chip `theta` (P,), what was done, in words)."""
    driven, given = curves.driven(theta)
    off = np.abs(given - theta)
    out, moved = int(np.sum(off > NEAR)), optics.curves.theta(driven)
    lost = f"; {out} cannot be reached, {float(off.max()):.2g} rad off at most" if out else ""
    rms = float(np.sqrt(np.mean(np.square(moved - theta))))
    return moved, f"{len(theta)} parameters set through the {curves.title}: {rms:.2g} rad rms from nominal curves{lost}"


def _nearest(offset: Floats, nominal: float) -> Floats:
    """With the whole turns that bring it next to what is nominal."""
    return np.asarray(offset + TURN * np.round((nominal - offset) / TURN))


def _period(optics: ChipOptics) -> Floats:
    """Couplers of both phases are the same a turn later; rotations and attenuators change sign."""
    whole = (optics.design.coupler == "mzi") & ~np.asarray(optics.amplifiers)
    return np.where(whole, TURN, 0.0)


def _mesh(calibration: Calibration, optics: ChipOptics, spec: ChannelSpec) -> HeatersOfChip:
    found, heater = heater_curves(calibration, optics.model.count), optics.heater
    known, unit = np.isfinite(found.phase), "W" if found.watts else "V"
    if unit != heater.drive:
        raise CalibrationError(f"{calibration.title}: is of heaters that are set in {unit}; these are in {heater.drive}")
    rate = np.pi / heater.p_pi_w / (1.0 if found.watts else heater.resistance_ohm)
    bend = np.where(known, found.bend, float(np.nanmedian(found.bend)) if known.any() else 0.0)
    curves = HeaterCurves(
        np.where(known, _nearest(found.phase, heater.offset_rad), heater.offset_rad), np.where(known, found.rate, rate), bend,
        found.crosstalk, found.watts,
    )  # fmt: skip
    low, high = (curves.own(np.maximum(np.asarray(edge, np.float64), 0.0)) for edge in (spec.lower, spec.upper))
    mixing = np.eye(optics.model.count) + curves.crosstalk
    return HeatersOfChip(calibration.title, curves.phase, mixing, low, high, _period(optics), curves.driven)


def _bank(calibration: Calibration, optics: ChipOptics, spec: ChannelSpec) -> HeatersOfChip:
    if len(spec) != optics.model.count or optics.heater.drive != "V":
        raise CalibrationError(f"{calibration.title}: is of heaters that are set in V; these are {len(spec)} in {optics.heater.drive}")
    bank, heater = HeaterBank.of(calibration, spec), optics.heater
    own = bank.own.copy()
    own[:, 2] = np.where(bank.good, _nearest(own[:, 2], heater.offset_rad), heater.offset_rad)
    low, high = (own_phase(own, edge[:, None])[0][:, 0] for edge in (bank.lower, bank.upper))
    return HeatersOfChip(calibration.title, own[:, 2], bank.mixing, low, high, _period(optics), lambda psi: volts_of(own, psi))
