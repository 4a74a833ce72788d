"""From phases to volts of a calibrated bank of heaters and back, through the crosstalk, inside its limits; for trainings.

bank = HeaterBank.of(found["heaters", "heaters"], bench.specs["heaters"])      # found: labonn.calibration.current
drive = bank.volts(targets)                                                     # (…, C) radians; any whole turn of each will do
if not drive.reached.all(): ...                                                 # drive.told(names) says which, and by how much
table = ShotTable({"heaters": drive.volts, ...}, ...)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import lsq_linear

from labonn.calibration.calibration import Calibration
from labonn.calibration.fitting import Mask
from labonn.calibration.heaters.model import HEATER, OWN, own_phase, volts_of
from labonn.channels import ChannelSpec, Floats
from labonn.errors import CalibrationError

TURN = 2 * np.pi
ROUNDS = 8  # of choosing turns, each of which changes what the crosstalk adds to the others
NEAR = 1e-6  # radians, within which a phase counts as reached


@dataclass(frozen=True)
class Drive:
    """What to set.

    Attributes:
        volts: (…, C). phases: (…, C) that they give. off: (…, C) phases minus targets, from -pi to pi; NaN for channels left out.
        reached: (…, C) whether the target is met; true for channels without one.
    """

    volts: Floats
    phases: Floats
    off: Floats
    reached: Mask

    def told(self, names: Sequence[str]) -> list[str]:
        """A line a channel that cannot be reached, by its worst row."""
        off = np.where(self.reached, 0.0, np.abs(self.off)).reshape(-1, len(names)).max(axis=0)
        return [f"{names[int(c)]}: its phase is {off[c]:.3g} rad off; no volts inside the limits give it" for c in np.flatnonzero(off > 0)]


@dataclass(frozen=True)
class HeaterBank:
    """A calibrated bank: phase_i = offset_i + sum over j of mixing_ij psi_j, psi_j from the volts (labonn.calibration.heaters.model).

    Attributes:
        own: (C, 6) parameters as in heater_model.OWN. mixing: (C, C) with 1 on the diagonal. lower, upper: (C,) volts, from 0 on.
        good: (C,) calibrated; the others have no phase, are held at `lower`, and their heat is not known.
    """

    own: Floats
    mixing: Floats
    lower: Floats
    upper: Floats
    good: Mask

    @classmethod
    def of(cls, calibration: Calibration, spec: ChannelSpec) -> HeaterBank:
        """The bank of a calibration, inside the limits of its port.

        Raises:
            CalibrationError: it is no calibration of heaters, of another number of channels, or cannot be inverted.
        """
        if calibration.model != HEATER.name or len(calibration.channels) != len(spec):
            raise CalibrationError(
                f"{calibration.title}: {calibration.model} x {len(calibration.channels)}; heaters x {len(spec)} are wanted"
            )
        own = np.stack([calibration.values(name) for name in OWN], axis=1)
        good = np.asarray(np.isfinite(own).all(axis=1))
        if not good.any():
            raise CalibrationError(f"{calibration.title}: no channel is calibrated")
        crosstalk = calibration.values("crosstalk")
        mixing = np.where(good[:, None] & good[None, :], crosstalk, np.eye(len(own)))
        if np.linalg.cond(mixing) > 1e3:
            raise CalibrationError(f"{calibration.title}: its crosstalk cannot be inverted; two heaters change the same phases")
        filled = np.where(good[:, None], own, np.median(own[good], axis=0))
        return cls(filled, mixing, np.maximum(np.asarray(spec.lower), 0.0), np.asarray(spec.upper), good)

    def phases(self, volts: Floats) -> Floats:
        """(…, C) radians at volts (…, C); NaN for channels that were left out."""
        psi = own_phase(self.own, np.moveaxis(np.atleast_2d(volts), -1, 0).reshape(len(self.own), -1))[0].T.reshape(np.shape(volts))
        return np.asarray(np.where(self.good, self.own[:, 2] + psi @ self.mixing.T, np.nan))

    def volts(self, targets: Floats, near: Floats | None = None) -> Drive:
        """Volts that give phases, each with the whole turns that need the least power, or are nearest to `near`.

        All volts stay inside the limits, and so 0 V and above. Where all cannot be met together, what is set is the least-squares
        solution inside the limits, and `reached` is false where that is off.

        Args:
            targets: (…, C) radians, modulo 2 pi; what stands for channels that were left out is not looked at.
            near: (C,) volts, from which phases should not jump by a turn without need.
        """
        wanted = np.where(self.good, np.asarray(targets, np.float64), 0.0).reshape(-1, len(self.own)) - self.own[:, 2]
        low, high = self._own_limits()
        psi = self._turned(wanted, low, high, None if near is None else own_phase(self.own, np.asarray(near, np.float64)[:, None])[0][:, 0])
        inside = np.clip(psi, low, high)
        for row in np.flatnonzero(np.any(np.abs(inside - psi) > NEAR, axis=1)):
            goal = self.mixing @ psi[row]
            inside[row] = low
            free = high > low
            fitted = lsq_linear(self.mixing[:, free], goal - self.mixing[:, ~free] @ low[~free], (low[free], high[free]), tol=1e-12)
            inside[row, free] = np.clip(fitted.x, low[free], high[free])
        volts = np.clip(volts_of(self.own, inside), self.lower, np.where(self.good, self.upper, self.lower)).reshape(np.shape(targets))
        phases = self.phases(volts)
        off = np.mod(phases - np.asarray(targets) + np.pi, TURN) - np.pi
        return Drive(volts, phases, off, ~self.good | (np.abs(off) <= NEAR))

    def _own_limits(self) -> tuple[Floats, Floats]:
        low, high = (own_phase(self.own, of[:, None])[0][:, 0] for of in (self.lower, self.upper))
        return low, np.where(self.good, high, low)

    def _turned(self, wanted: Floats, low: Floats, high: Floats, near: Floats | None) -> Floats:
        """(T, C) psi that give `wanted` (T, C) with whole turns added; inside the limits where any turns are."""
        inverse, about = np.linalg.inv(self.mixing), low if near is None else near
        turns = np.zeros_like(wanted)
        for number in range(ROUNDS):
            psi = (wanted + TURN * turns) @ inverse.T
            least = np.ceil((low - NEAR - psi) / TURN)
            more = least if near is None else np.maximum(np.round((about - psi) / TURN), least)
            if number:  # turns that are taken back would come again
                more = np.maximum(least, 0)
            above, below = psi + TURN * more - high, low - (psi + TURN * (more - 1))
            more = np.where(self.good, more - (above > np.maximum(below, NEAR)), 0)  # a turn less is inside, or nearer to it
            if not more.any():
                break
            turns += more
        return np.asarray((wanted + TURN * turns) @ inverse.T)
