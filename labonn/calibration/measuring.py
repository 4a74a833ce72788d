"""The pattern of every calibration, as a plan: sweep with one table, fit all channels, judge, verify with a table of fresh points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from labonn.bench import Plan
from labonn.calibration.calibration import DriftCheck, Verification, by_channel
from labonn.calibration.fitting import MOST_CONDITION, Fitted, Mask, fit
from labonn.calibration.judging import Tolerances, judge, raise_failed
from labonn.calibration.models import Model
from labonn.calibration.places import FOLLOWS
from labonn.calibration.sweeps import Points, Sweep, fresh, scrambled
from labonn.channels import Floats
from labonn.errors import CalibrationError
from labonn.units import format_quantity

ENOUGH = 16  # channels from which on the light that they have in common can be told from what each does
MOST_CHANGE = 0.2  # of that light
NOISE = 5.0  # standard errors that a residual may have beside its tolerance


@dataclass(frozen=True)
class Measuring:
    """How to measure.

    Attributes:
        levels: of a pass. passes: an even number, so that the halves of the sweep can be compared. fresh: points to verify with.
        loss: of the fit. within: tolerances. leave_out: channels that may fail and are left out. seed: of the orders of levels.
        frames, repeats, tolerance: of the drift check: how many, shots each, and the part of a detector's spread that it may be off.
    """

    levels: int = 16
    passes: int = 2
    fresh: int = 8
    loss: str = "huber"
    within: Tolerances = field(default_factory=Tolerances)
    leave_out: int = 0
    seed: int = 0
    frames: int = 8
    repeats: int = 16
    tolerance: float = 0.05


@dataclass(frozen=True)
class Outcome:
    """All that a calibration measured.

    Attributes:
        model, names: what was fitted, to which channels. unit: of readings. points, fitted: the sweep and its fit.
        fresh, residuals, errors: fresh points, (C, M) measured minus predicted, (C, M) their standard errors.
        verification, check: for the calibration. words: (C,) what is wrong, "" where nothing is.
    """

    model: Model
    names: Sequence[str]
    unit: str
    points: Points
    fitted: Fitted
    fresh: Points
    residuals: Floats
    errors: Floats
    verification: Verification
    words: list[str]
    check: DriftCheck | None = None


def measure(kind: str, sweep: Sweep, model: Model, how: Measuring, names: Sequence[str], lower: Floats, upper: Floats) -> Plan[Outcome]:
    """Sweep, fit, judge, verify, and take the readings of a drift check.

    Args:
        kind, names: for messages; names of the port's channels. lower, upper: (C,) range of the sweep.

    Raises:
        CalibrationError: names the worst channels, and what is wrong with them.
    """
    x = scrambled(lower, upper, how.levels, how.passes, how.seed)
    readings = yield sweep.table(x)
    points = sweep.points(x, readings)
    fitted = fitted_to(model, points, how.loss)
    alive = fitted.explained(points.y) >= FOLLOWS
    points, light = levelled(kind, sweep.port, model, points, fitted, alive)
    if np.any(light != 1):
        fitted = fitted_to(model, points, how.loss)
    words = judge(model, sweep, points, fitted, readings, how.within, names)
    raise_failed(kind, sweep.port, by_channel(words, names), len(names), how.leave_out)
    x = fresh(lower, upper, how.levels, how.fresh, how.seed)
    readings = yield sweep.table(x)
    again, _ = levelled(kind, sweep.port, model, sweep.points(x, readings), fitted, alive)
    outcome = verify(model, sweep, how, names, points, fitted, again, words)
    seen = outcome.verification
    severity = {name: float(part) for name, part in zip(names, seen.largest / seen.allowed, strict=True) if np.isfinite(part)}
    raise_failed(kind, sweep.port, by_channel(outcome.words, names), len(names), how.leave_out, severity)
    return replace(outcome, check=(yield from drift_check(sweep, how, lower, upper)))


def verify(
    model: Model, sweep: Sweep, how: Measuring, names: Sequence[str], points: Points, fitted: Fitted, again: Points, words: list[str]
) -> Outcome:  # fmt: skip
    """What fresh points `again` say of the fit."""
    residuals, errors = predicted(model, fitted, again)
    verification = verified(model, fitted, residuals, errors, how.within, sweep.unit)
    wide = widened(model, fitted, again, residuals, np.array([not told for told in words]))
    errors = predicted(model, wide, again)[1]
    in_errors = np.where(np.isfinite(residuals), np.abs(residuals), 0.0) / errors
    verification = replace(verification, errors=np.where(np.isfinite(verification.largest), in_errors.max(axis=1), np.nan))
    off = _off(verification, words, sweep.unit)
    told = [already or of for already, of in zip(words, off, strict=True)]
    return Outcome(model, names, sweep.unit, points, wide, again, residuals, errors, verification, told)


def levelled(kind: str, port: str, model: Model, points: Points, fitted: Fitted, alive: Mask) -> tuple[Points, Floats]:
    """(points divided by what the light of all channels was at each moment, (N,) that); few channels are left as they are.

    Args:
        kind, port: for messages. alive: (C,) channels whose light it is.

    Raises:
        CalibrationError: the light changed by more than readings can be corrected for.
    """
    value = model.curve(fitted.parameters, points.x)[0]
    used = points.used & alive[:, None] & np.isfinite(value)
    if alive.sum() < ENOUGH:
        return points, np.ones(points.x.shape[1])
    weight = np.where(used, value, 0.0)
    power = np.sum(weight * value, axis=0, where=used)
    light = np.where(power > 0, np.sum(weight * points.y, axis=0, where=used) / np.where(power > 0, power, 1.0), 1.0)
    change = float(np.abs(light - 1).max())
    if change > MOST_CHANGE:
        told = f"the light of all channels changed by {100 * change:.0f} % during the {kind} calibration"
        raise CalibrationError(f"{port}: {told}; nothing is kept")
    return replace(points, y=points.y / light), light


def fitted_to(model: Model, points: Points, loss: str) -> Fitted:
    """The model's fit of a sweep, its parameters folded to the values that are meant."""
    start = model.start(points.x, points.y, points.used)
    found = fit(model.curve, points.x, points.y, start, used=points.used, loss=loss)
    folded = model.folded(found.parameters)
    if np.array_equal(folded, found.parameters):
        return found
    return fit(model.curve, points.x, points.y, folded, used=points.used, loss=loss)


def predicted(model: Model, fitted: Fitted, points: Points) -> tuple[Floats, Floats]:
    """((C, M) measured minus predicted, NaN where saturated; (C, M) standard errors of that: of the reading, and of the prediction)."""
    value, slope = model.curve(fitted.parameters, points.x)
    band = np.einsum("cni,cij,cnj->cn", slope, np.where(np.isfinite(fitted.covariance), fitted.covariance, 0.0), slope)
    errors = np.sqrt(np.square(fitted.sigma)[:, None] + band)
    return np.where(points.used, points.y - value, np.nan), np.maximum(errors, 1e-300)


def verified(model: Model, fitted: Fitted, residuals: Floats, errors: Floats, within: Tolerances, unit: str) -> Verification:
    """What fresh points say of every channel; NaN for one whose fresh points all saturated."""
    seen = np.isfinite(residuals)
    sizes = np.where(seen, np.abs(residuals), 0.0)
    count = np.maximum(seen.sum(axis=1), 1)
    rms, largest = np.sqrt(np.square(sizes).sum(axis=1) / count), sizes.max(axis=1)
    worst = (sizes / errors).max(axis=1)
    allowed = within.residual * model.swing(fitted.parameters) + NOISE * np.median(errors, axis=1)
    some = seen.any(axis=1)
    return Verification(residuals.shape[1], unit, *(np.where(some, value, np.nan) for value in (rms, largest, worst, allowed)))


def widened(model: Model, fitted: Fitted, points: Points, residuals: Floats, good: Mask) -> Fitted:
    """The fit, with standard errors that hold for the time of the fresh points too.

    What watched parameters have moved by since the sweep is solved for in every channel. It scatters over the channels by more than it
    should where there is a random walk (of biases, of the light), and by so much a parameter is less certain in all of them.

    Args:
        residuals: (C, M) of fresh points. good: (C,) channels to look at.
    """
    which = [model.parameters.index(name) for name in model.watched]
    every = model.curve(fitted.parameters, points.x)[1]
    seen, sigma = np.isfinite(residuals), np.maximum(fitted.sigma, 1e-300)
    slope = np.where(seen[..., None], every[..., which], 0.0) / sigma[:, None, None]
    normal = np.einsum("cni,cnj->cij", slope, slope)
    good = good & (np.linalg.cond(normal) < MOST_CONDITION) & ~fitted.degenerate
    if not good.any():
        return fitted
    inverse = np.linalg.inv(normal[good])
    solving = np.einsum("cij,cnj->cin", inverse, slope[good]) / sigma[good, None, None]
    moved = np.einsum("cin,cn->ci", solving, np.where(seen, residuals, 0.0)[good])
    carried = np.einsum("cin,cnk->cik", solving, every[good])  # errors of the fit, which the residuals have too
    own = np.einsum("cik,ckl,cil->ci", carried, fitted.covariance[good], carried) + np.diagonal(inverse, axis1=1, axis2=2)
    telling = 1 / np.square(own / np.square(sigma[good, None]))  # without the noise of a channel, whose own error would weigh in
    walked = np.sum(telling * (np.square(moved) - own), axis=0) / telling.sum(axis=0)
    covariance = fitted.covariance.copy()
    covariance[:, which, which] += np.maximum(walked, 0.0)
    return replace(fitted, covariance=covariance)


def _off(verification: Verification, words: Sequence[str], unit: str) -> list[str]:
    told = []
    for largest, allowed, already in zip(verification.largest, verification.allowed, words, strict=True):
        if already or largest <= allowed:
            told.append("")
        elif np.isfinite(largest):
            off, most = (format_quantity(float(value), unit, digits=3) for value in (largest, allowed))
            told.append(f"out of tolerance: a fresh point is {off} off the fitted curve, {most} is allowed")
        else:
            told.append("saturated: all fresh points are at the end of the detector's range")
    return told


def drift_check(sweep: Sweep, how: Measuring, lower: Floats, upper: Floats) -> Plan[DriftCheck]:
    """A few frames of random levels, and what the detectors read with them now."""
    rng = np.random.default_rng([how.seed, how.frames, 2])
    x = (lower + (upper - lower) * rng.random((how.frames, len(lower)))).T
    table = sweep.frames(x, how.repeats)
    readings = yield table
    seen = readings[sweep.detector].astype(np.float64).reshape(how.frames, how.repeats, -1)
    expected = seen.mean(axis=1)
    sigma = seen.std(axis=1, ddof=1) / np.sqrt(how.repeats)
    tolerance = np.full(expected.shape[1], np.inf)
    columns = sweep.columns()
    tolerance[columns] = how.tolerance * expected[:, columns].std(axis=0)
    banks = {port: np.asarray(bank) for port, bank in table.banks.items()}
    return DriftCheck(banks, dict(table.orders), table.dwell_s, how.repeats, sweep.detector, sweep.unit, expected, sigma, tolerance)
