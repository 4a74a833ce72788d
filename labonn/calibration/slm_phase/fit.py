"""From the light of both orders to phases: unwrapped at the extrema, then a spline through all grays at once, of every region.

I1 = offset - amplitude cos(phase(gray)), phase(0) = 0. The spline is cubic, on equal intervals of the codes; its coefficients, offset and
amplitude are fitted together. Readings are uncertain by the detectors' noise everywhere and by flicker of the phase where the fringe is
steep; both are estimated from the residuals, and weigh.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from labonn.calibration.fitting import Fitted, Mask, fit
from labonn.calibration.models import Model
from labonn.calibration.slm_phase.grating import Orders
from labonn.calibration.slm_phase.model import phases, steepness
from labonn.channels import Floats
from labonn.shots import Ints

ROUNDS = 2  # of weights from residuals, and residuals from weights
FLAT = 0.2  # of the squared slope's maximum
LEAST_NOISE = 1e-5  # of the swing: nothing is surer
HELD_OFF = 5.0  # standard deviations beyond which a residual says nothing of the noise


@dataclass(frozen=True)
class PhaseFit:
    """Attributes:
    fitted: of the model, its residuals in the unit of readings. noise, flicker_rad: (R,) standard deviation of a point from either.
    phase_rad, error_rad: (R, N) at every code.
    """

    fitted: Fitted
    noise: Floats
    flicker_rad: Floats
    phase_rad: Floats
    error_rad: Floats

    def sigma(self, slope: Floats) -> Floats:
        """(R, n) standard deviations of readings where the fringe rises by `slope` (R, n) a radian."""
        return np.asarray(np.sqrt(np.square(self.noise)[:, None] + np.square(self.flicker_rad[:, None] * slope)))


def fit_phase(model: Model, basis: Floats, orders: Orders, light: Floats, begun: Fitted, good: Mask, loss: str = "huber") -> PhaseFit:
    """Fit the first order, over the light, robustly and with the right weights.

    Args:
        begun: a plain fit of all regions. good: (R,) those that follow their grays; the others stay as they are.
    """
    rows = np.flatnonzero(good)
    x, y, used = orders.grays[rows], (orders.first / light)[rows], orders.used[rows]
    fitted = begun
    noise: Floats = np.zeros(len(good))
    flicker: Floats = np.zeros(len(good))
    for _ in range(ROUNDS if rows.size else 0):
        slope = steepness(fitted.parameters, orders.grays, basis)
        noise, flicker = noises(fitted, slope, orders.scatter, good)
        sigma = np.sqrt(np.square(noise)[:, None] + np.square(flicker[:, None] * slope))
        part = fit(model.curve, x, y, fitted.parameters[rows], sigma=sigma[rows], used=used, loss=loss)
        fitted = _with_rows(fitted, part, rows)
    phase, error = phases(fitted.parameters, fitted.covariance, basis)
    scale = np.where(good, fitted.sigma, 1.0)
    return PhaseFit(fitted, noise * scale, flicker * scale, phase, error)


def _with_rows(all_: Fitted, part: Fitted, rows: Ints) -> Fitted:
    """`all_` with some channels from `part`."""
    merged: dict[str, Any] = {}
    for name in (one.name for one in fields(Fitted)):
        merged[name] = getattr(all_, name).copy()
        merged[name][rows] = getattr(part, name)
    return Fitted(**merged)


def noises(fitted: Fitted, slope: Floats, scatter: Floats, good: Mask) -> tuple[Floats, Floats]:
    """((R,) noise of readings, (R,) flicker in rad, the same in all).

    The noise is what shots of a frame scatter by where the fringe is flat, and the flicker what residuals are more than that, where it
    is steep; at an extremum flicker of eps still changes the light by eps^2/2.
    """
    swing = np.maximum(np.abs(fitted.parameters[:, 1]), 1e-300)
    steep = np.square(slope / swing[:, None])
    flat = steep < FLAT
    own = np.sqrt(np.sum(np.square(scatter) * flat, axis=1) / np.maximum(flat.sum(axis=1), 1))
    floor = np.maximum(own, LEAST_NOISE * swing)
    part: Floats = np.square(fitted.residuals / swing[:, None]) - np.square(floor / swing)[:, None]
    seen: Mask = np.asarray(np.isfinite(part) & (steep >= FLAT) & good[:, None])
    if not seen.any():
        return floor, np.zeros(len(swing))
    above: Floats = np.extract(seen, part)
    weight: Floats = np.extract(seen, steep)
    ratio: Floats = above / weight
    kept = np.flatnonzero(ratio <= HELD_OFF**2 * np.median(np.abs(ratio)) / 0.455)  # the median of a squared normal
    flicker = np.sqrt(max(float(above[kept].sum() / weight[kept].sum()), 0.0))
    return np.asarray(np.hypot(floor, swing * flicker**2 / np.sqrt(2))), np.full(len(swing), flicker)
