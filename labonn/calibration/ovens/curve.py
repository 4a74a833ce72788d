"""Optical depth against temperature, and back, as ovens were calibrated: what a training asks to hold an optical depth.

curve = OvenCurve.of(found["ovens", "ovens"])       # a calibration of kind "ovens"
celsius, error_k = curve.temperature(30.0)           # (H,) targets of the ovens for an optical depth of 30 in every cell
depth, error = curve.depth(celsius)                  # (H,) and back
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from labonn.calibration.calibration import Calibration
from labonn.calibration.ovens.law import law
from labonn.channels import Floats
from labonn.errors import CalibrationError

STEPS = 40  # of Newton's rule, at most
CLOSE = 1e-12  # of ln(depth)


@dataclass(frozen=True)
class OvenCurve:
    """Of H cells.

    Attributes:
        names: of the ovens. parameters, covariance: (H, 2), (H, 2, 2) of the vapour law: ln of the scale, and offset in K.
        nodes, correction: (H, N) temperatures, and ln of what is measured over the law there; 0 where the law holds.
        scatter: (H,) standard deviation of ln(depth) that a settled oven has beside the errors of the law.
        lowest, highest: (H,) degC between which it was measured.
    """

    names: Sequence[str]
    parameters: Floats
    covariance: Floats
    nodes: Floats
    correction: Floats
    scatter: Floats
    lowest: Floats
    highest: Floats

    @classmethod
    def of(cls, calibration: Calibration) -> OvenCurve:
        """Of a calibration of kind "ovens"."""
        parameters = np.stack([calibration.values("log_scale"), calibration.values("offset")], axis=1)
        rest = (calibration.values(name) for name in ("nodes", "correction", "scatter", "lowest", "highest"))
        return cls(calibration.channels, parameters, np.asarray(calibration.covariance), *rest)

    def depth(self, celsius: ArrayLike) -> tuple[Floats, Floats]:
        """((…, H) optical depths at what the sensors read (…, H), their standard errors).

        Raises:
            CalibrationError: a temperature is outside of what was measured.
        """
        at = np.broadcast_to(np.asarray(celsius, np.float64), np.broadcast_shapes(np.shape(celsius), (len(self.names),)))
        self._inside(at, self.lowest, self.highest, "degC", "temperatures")
        value, _, error = self._log(at)
        return np.exp(value), np.exp(value) * error

    def temperature(self, depth: ArrayLike) -> tuple[Floats, Floats]:
        """((…, H) degC at which the cells have optical depths (…, H), their standard errors in K).

        Raises:
            CalibrationError: an optical depth is outside of what was measured.
        """
        wanted = np.broadcast_to(np.asarray(depth, np.float64), np.broadcast_shapes(np.shape(depth), (len(self.names),)))
        least, most = (np.exp(self._log(end)[0]) for end in (self.lowest, self.highest))
        self._inside(wanted, least, most, "", "optical depths")
        low, high = (np.array(np.broadcast_to(end, wanted.shape)) for end in (self.lowest, self.highest))
        at = 0.5 * (low + high)
        for _ in range(STEPS):
            value, slope, _ = self._log(at)
            off = np.log(wanted) - value
            low, high = np.where(off > 0, at, low), np.where(off > 0, high, at)
            step = at + off / slope
            at = np.where((step >= low) & (step <= high), step, 0.5 * (low + high))
            if np.all(np.abs(off) < CLOSE):
                break
        _, slope, error = self._log(at)
        return at, error / slope

    def _log(self, celsius: Floats) -> tuple[Floats, Floats, Floats]:
        """ln of the optical depth, its derivative by K, and its standard error, (…, H) each."""
        flat = celsius.reshape(-1, len(self.names)).T
        value, by = law(self.parameters, flat)
        slope, extra = by[..., 1].copy(), np.zeros_like(value)
        for h, (nodes, correction) in enumerate(zip(self.nodes, self.correction, strict=True)):
            extra[h] = np.interp(flat[h], nodes, correction)
            part = np.clip(np.searchsorted(nodes, flat[h], side="right") - 1, 0, len(nodes) - 2)
            inside = (flat[h] >= nodes[0]) & (flat[h] <= nodes[-1])
            slope[h] += np.where(inside, np.diff(correction)[part] / np.diff(nodes)[part], 0.0)
        variance = np.einsum("cni,cij,cnj->cn", by, self.covariance, by) + np.square(self.scatter)[:, None]
        shape = celsius.shape
        return (value + extra).T.reshape(shape), slope.T.reshape(shape), np.sqrt(variance).T.reshape(shape)

    def _inside(self, values: Floats, lowest: Floats, highest: Floats, unit: str, what: str) -> None:
        margin = 1e-9 * np.abs(highest)
        wrong = np.argwhere(~((values >= lowest - margin) & (values <= highest + margin)))
        if len(wrong):
            h = int(wrong[0][-1])
            allowed = f"{lowest[h]:.4g} to {highest[h]:.4g}{' ' + unit if unit else ''}"
            told = f"{values[tuple(wrong[0])]:.4g}{' ' + unit if unit else ''} is outside of the {what} {allowed} that were calibrated"
            raise CalibrationError(
                f"ovens/{self.names[h]}: {told}; measure a wider range by `labonn run calibrate_ovens --depths LOW HIGH`"
            )
