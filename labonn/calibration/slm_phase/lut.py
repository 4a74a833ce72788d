"""Gray to phase of an SLM, region by region: the table that a calibration holds, and its inverse, with standard errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from labonn.calibration.calibration import Calibration
from labonn.channels import Floats
from labonn.errors import CalibrationError, LimitError

TURN = 2 * np.pi


@dataclass(frozen=True)
class PhaseLut:
    """What every code of every region adds to the phase of code 0.

    Attributes:
        names: (R,) of the regions. phase_rad, error_rad: (R, N), NaN for regions that are left out.
    """

    names: tuple[str, ...]
    phase_rad: Floats
    error_rad: Floats

    @classmethod
    def of(cls, calibration: Calibration) -> PhaseLut:
        """That of a calibration.

        Raises:
            CalibrationError: it is of another kind.
        """
        return cls(calibration.channels, calibration.values("phase"), calibration.values("phase_error"))

    @property
    def codes(self) -> Floats:
        """(N,) grays."""
        return np.arange(self.phase_rad.shape[1], dtype=np.float64)

    def phase(self, grays: Floats) -> tuple[Floats, Floats]:
        """((R, n) phases in rad, (R, n) standard errors) at grays (R, n), whole or not; beyond the codes NaN."""
        pairs = [(_monotone(self.codes, one)(gray), np.interp(gray, self.codes, two)) for one, two, gray in self._rows(grays)]
        return np.array([one for one, _ in pairs]), np.array([two for _, two in pairs])

    def gray(self, phase_rad: Floats) -> tuple[Floats, Floats]:
        """((R, n) grays, not rounded, (R, n) standard errors of them) for phases (R, n) in rad; NaN for regions that are left out.

        The standard error of a gray is that of the phase over the slope.

        Raises:
            LimitError: a phase that a region does not reach.
        """
        found, errors = np.full(phase_rad.shape, np.nan), np.full(phase_rad.shape, np.nan)
        for r, (name, wanted) in enumerate(zip(self.names, phase_rad, strict=True)):
            own, unsure = self.phase_rad[r], self.error_rad[r]
            if not np.isfinite(own).all():
                continue
            wrong = ~((wanted >= own[0]) & (wanted <= own[-1]))
            if wrong.any():
                told = f"{wanted[wrong][0]:.4g} rad is outside {own[0]:.4g} to {own[-1]:.4g} rad, which its codes reach"
                raise LimitError(f"{name}: a phase of {told} (slm_phase calibration)")
            inverse = _monotone(own, self.codes)
            found[r] = inverse(wanted)
            errors[r] = np.interp(found[r], self.codes, unsure) * np.abs(inverse(wanted, 1))
        return found, errors

    def _rows(self, values: Floats) -> Iterator[tuple[Floats, Floats, Floats]]:
        return zip(self.phase_rad, self.error_rad, values, strict=True)

    def mean(self) -> tuple[Floats, Floats]:
        """((N,) phases of the panel as a whole, (N,) standard deviation of the regions around them)."""
        if not np.isfinite(self.phase_rad).any():
            raise CalibrationError("no region of the SLM is calibrated")
        return np.nanmean(self.phase_rad, axis=0), np.nanstd(self.phase_rad, axis=0)

    def csv(self) -> str:
        """The panel as a whole, as the option `lut` of an SLM's port takes it: code, phase_rad (rising)."""
        rising = np.maximum.accumulate(self.mean()[0])
        return "code,phase_rad\n" + "".join(f"{code},{phase:.6f}\n" for code, phase in enumerate(rising))


def _monotone(x: Floats, y: Floats) -> PchipInterpolator:
    """A cubic through the points that rises wherever they do (Fritsch and Butland)."""
    return PchipInterpolator(np.asarray(x, np.float64), np.asarray(y, np.float64), extrapolate=False)
