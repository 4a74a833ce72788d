"""All heaters of a bank from one sweep: each alone first, for the right fringe, then all together with the full crosstalk matrix."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from labonn.calibration.fitting import Fitted, Mask, fit
from labonn.calibration.heaters.model import OWN, SIMPLE, bank_model, others_of, own_phase, padded, placed
from labonn.calibration.judging import LEAST_USED
from labonn.calibration.measuring import fitted_to
from labonn.calibration.models import Model
from labonn.calibration.places import FOLLOWS
from labonn.calibration.robust import spread
from labonn.calibration.sweeps import Points
from labonn.channels import Floats
from labonn.errors import CalibrationError

ALIVE = 0.6  # of the scatter that a fringe of its own explains, in spite of the others' heat
OUTLIER = 5.0  # standard deviations
ROUNDS = 5  # of the joint fit: what others' heat is follows from the round before
ALONE_STEPS = 20  # of the first fit, which only has to be near
SAME = 0.01  # radians of own phases, of which others have a percent, between the last two rounds
MOST_DERIVATIVES = 60_000_000


@dataclass(frozen=True)
class BankFit:
    """Attributes:
    alone: each by itself. alive: (C,) that follow their own heater. own: (C, 6) parameters, of the median heater where not alive.
    model, fitted: of all together, for points as `heater_model.placed` has them.
    """

    alone: Fitted
    alive: Mask
    own: Floats
    model: Model
    fitted: Fitted

    def telling(self, points: Points) -> Mask:
        """(C,) whose readings follow the curve of all heaters, and are not all at the detector's end: they tell what the light did."""
        follow = self.alive & (self.fitted.explained(points.y) >= FOLLOWS)
        return np.asarray(follow & (points.used.mean(axis=1) >= LEAST_USED))

    def crosstalk(self) -> tuple[Floats, Floats]:
        """((C, C) x_ij with 1 on the diagonal, (C, C) standard errors)."""
        values, errors = np.eye(len(self.own)), np.zeros((len(self.own), len(self.own)))
        others = others_of(len(self.own))
        np.put_along_axis(values, others, self.fitted.parameters[:, len(OWN) :], 1)
        np.put_along_axis(errors, others, self.fitted.errors[:, len(OWN) :], 1)
        return values, errors

    def of_own(self) -> Fitted:
        """The fit without the crosstalk, which its errors have taken into account."""
        part = slice(None, len(OWN))
        return replace(self.fitted, parameters=self.fitted.parameters[:, part], covariance=self.fitted.covariance[:, part, part])


def fit_bank(points: Points, drives: Floats, before: BankFit | None = None) -> BankFit:
    """The fit of a sweep.

    Args:
        points: with volts (C, N). drives: (R, C) volts, whose first N rows the points are. before: an earlier fit of the same sweep.

    Raises:
        CalibrationError: so many heaters and points that their derivatives need too much memory.
    """
    channels, count = points.x.shape
    if channels * channels * count > MOST_DERIVATIVES:
        raise CalibrationError(f"{channels} heaters at {count} points are more than a joint fit holds in memory; fewer points, or ports")
    alone = before.alone if before else _alone(points)
    alive = alone.explained(points.y) >= ALIVE
    at = placed(channels, np.arange(count), len(drives))
    own, start, fitted = _usual(padded(alone.parameters), alive), None, None
    used = points.used & _inside(alone.residuals, alone.parameters.shape[1])
    if before is not None:
        own, start = before.own, before.fitted.parameters
        used = points.used & _inside(before.fitted.residuals, start.shape[1])
    for _ in range(ROUNDS):
        model, earlier = bank_model(drives, own, start), own
        fitted = fitted_to(model, replace(points, x=at, used=used & alive[:, None]), "linear")
        residuals = np.where(points.used, points.y - model.curve(fitted.parameters, at)[0], np.nan)
        used, start = points.used & _inside(residuals, fitted.parameters.shape[1]), fitted.parameters
        own = _usual(start[:, : len(OWN)], alive)
        if np.abs(own_phase(own, points.x)[0] - own_phase(earlier, points.x)[0]).max() < SAME:
            break
    assert fitted is not None
    held_off = (points.used & ~used & alive[:, None]).sum(axis=1)
    fitted = replace(fitted, outliers=held_off, sigma=np.where(alive, fitted.sigma, alone.sigma))
    return BankFit(alone, alive, own, bank_model(drives, own, start), fitted)


def _alone(points: Points) -> Fitted:
    start = SIMPLE.start(points.x, points.y, points.used)
    return fit(SIMPLE.curve, points.x, points.y, start, used=points.used, loss="huber", most_steps=ALONE_STEPS)


def _usual(parameters: Floats, alive: Mask) -> Floats:
    """Parameters (C, 6); those of the median heater where nothing is known, so that its heat elsewhere has a measure."""
    if not alive.any():
        return parameters
    return np.where(alive[:, None], parameters, np.median(parameters[alive], axis=0))


def _inside(residuals: Floats, unknowns: int) -> Mask:
    """(C, N) which points are no outliers."""
    known = np.isfinite(residuals)
    count = known.sum(axis=1)
    scale = spread(np.where(known, residuals, 0.0), known) * np.sqrt(count / np.maximum(count - unknowns, 1))
    return np.asarray(known & (np.abs(np.where(known, residuals, np.inf)) <= OUTLIER * np.maximum(scale, 1e-300)[:, None]))
