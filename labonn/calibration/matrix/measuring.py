"""The measurement of a whole matrix as a plan: one table of single beams and codes, one of fresh random vectors, one drift check."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from labonn.bench import Plan
from labonn.calibration.calibration import Coefficient, DriftCheck, Verification
from labonn.calibration.fitting import Fitted, Mask
from labonn.calibration.judging import Words, raise_failed
from labonn.calibration.matrix.judging import Compared, MatrixTolerances, check_reference, compared, judge_beams, judge_rows
from labonn.calibration.matrix.sweep import MatrixSweep, Measured, with_references
from labonn.calibration.measuring import NOISE, Outcome
from labonn.calibration.models import Model
from labonn.calibration.sweeps import Points
from labonn.channels import Floats
from labonn.errors import CalibrationError
from labonn.shots import Ints, Readings

KIND = "matrix"


@dataclass(frozen=True)
class MatrixMeasuring:
    """How to measure.

    Attributes:
        fresh: random vectors to verify with, `repeats` shots each. leave_out: rows and beams, together, that may fail.
        frames, check_repeats, tolerance: of the drift check.
    """

    fresh: int = 32
    repeats: int = 8
    within: MatrixTolerances = field(default_factory=MatrixTolerances)
    leave_out: int = 0
    seed: int = 0
    frames: int = 8
    check_repeats: int = 16
    tolerance: float = 0.1


@dataclass(frozen=True)
class MatrixOutcome:
    """Attributes:
    outcome: what all calibrations have; its points are readings against those of the believed matrix. found, against: the matrix.
    blocked: beam -> what is wrong with it.
    """

    outcome: Outcome
    found: Measured
    against: Compared
    blocked: dict[str, str]

    def more(self, sweep: MatrixSweep) -> dict[str, Coefficient]:
        """Coefficients beside gain and offset: (D, C) weights in fields a field, and what was believed; NaN for what is left out."""
        good = np.array([not told for told in self.outcome.words])[:, None] & np.array([name not in self.blocked for name in sweep.beams])
        weights = np.where(good, self.found.weights, np.nan)
        error = np.where(good, self.found.error[:, None], np.nan)
        parts = {"weights": weights, "weights_error": error, "believed": sweep.believed, "column_gain": self.against.column}
        return {name: Coefficient(part, "1") for name, part in parts.items()}


def line(parameters: Floats, x: Floats) -> tuple[Floats, Floats]:
    """gain x + offset."""
    return parameters[:, :1] * x + parameters[:, 1:], np.stack([x, np.ones_like(x)], axis=-1)


def _line_start(x: Floats, y: Floats, used: Mask) -> Floats:
    return np.stack([np.ones(len(x)), np.zeros(len(x))], axis=1)


ROWS = Model("matrix-rows", 1, ("gain", "offset"), ("1", "y"), line, _line_start, lambda parameters: np.abs(parameters[:, 0]), {})


def measure_matrix(sweep: MatrixSweep, how: MatrixMeasuring) -> Plan[MatrixOutcome]:
    """Measure, compare, judge, verify, and take the readings of a drift check.

    Raises:
        CalibrationError: names rows and beams, and what is wrong with them.
    """
    readings = yield sweep.table(sweep.bank, sweep.order)
    found = sweep.measured(readings)
    check_reference(sweep, found, how.within)
    beams = judge_beams(sweep, found)
    blocked = np.array([bool(told) for told in beams])
    rows = judge_rows(sweep, found, blocked, how.within)
    _raise(sweep, how, rows, beams)
    good = np.array([not told for told in rows])
    against = compared(found.weights, sweep.believed, good, ~blocked)
    vectors = np.random.default_rng([how.seed, how.fresh, 3]).choice([-1.0, 1.0], (how.fresh, len(sweep.beams)))
    bank = np.concatenate([vectors, sweep.reference[None], -sweep.reference[None]])
    order = with_references(np.tile(np.arange(how.fresh), how.repeats), how.fresh)
    readings = yield sweep.table(bank, order)
    outcome, found = _verified(sweep, how, found, against, (vectors, order, readings), [str(told) for told in rows])
    seen = outcome.verification
    severity = {f"{sweep.detector}/{n}": float(p) for n, p in zip(sweep.rows, seen.largest / seen.allowed, strict=True) if np.isfinite(p)}
    _raise(sweep, how, np.array(outcome.words, dtype=object), beams, severity)
    check = yield from _drift_check(sweep, how)
    named = {name: str(told) for name, told in zip(sweep.beams, beams, strict=True) if told}
    return MatrixOutcome(replace(outcome, check=check), found, against, named)


def _raise(sweep: MatrixSweep, how: MatrixMeasuring, rows: Words, beams: Words, severity: dict[str, float] | None = None) -> None:
    words = {f"{sweep.detector}/{name}": str(told) for name, told in zip(sweep.rows, rows, strict=True) if told}
    words |= {f"{sweep.source}/{name}": str(told) for name, told in zip(sweep.beams, beams, strict=True) if told}
    raise_failed(KIND, sweep.port, words, len(rows) + len(beams), how.leave_out, severity)


def _verified(
    sweep: MatrixSweep, how: MatrixMeasuring, found: Measured, against: Compared, again: tuple[Floats, Ints, Readings], words: list[str]
) -> tuple[Outcome, Measured]:  # fmt: skip
    """What fresh vectors say: readings against those that the measured matrix predicts, with the light of their own references."""
    vectors, order, readings = again
    seen, saturated = sweep.fields(readings)
    count, volts = len(vectors), sweep.volts_per_field * sweep.level
    first = np.flatnonzero(order == count)
    now = found.weights @ sweep.reference
    light = 0.5 * (seen[first] - seen[first + 1]) @ now / max(float(now @ now), 1e-300)
    if np.any(light < 0):
        told = "sign flip: the sign of the reference is another one than in the table that was measured, or turned over since"
        raise CalibrationError(f"{sweep.detector}: {told}; nothing is kept")
    light = np.polynomial.Polynomial.fit(first, light, 1)(np.arange(len(seen)))
    flat = ((seen - found.offset) / light[:, None])[order < count].reshape(how.repeats, count, -1)
    y = flat.mean(axis=0) + found.offset
    expected = vectors @ found.weights.T + found.offset
    residuals = volts * (y - expected).T
    error = np.square(found.noise) / how.repeats + vectors.shape[1] * np.square(found.error)
    errors = np.broadcast_to(volts * np.sqrt(error)[:, None], residuals.shape)
    more = _walked(residuals / volts, errors / volts, words)
    found = replace(found, error=np.hypot(found.error, np.sqrt(more / vectors.shape[1])))
    errors = np.sqrt(np.square(errors) + volts**2 * more)
    swing = volts * np.sqrt(np.square(found.weights).sum(axis=1))
    allowed = how.within.residual * swing + NOISE * errors[:, 0]
    rms, largest = np.sqrt(np.mean(residuals**2, axis=1)), np.abs(residuals).max(axis=1)
    seen_ = Verification(count, sweep.unit, rms, largest, (np.abs(residuals) / errors).max(axis=1), allowed)
    for d in np.flatnonzero((largest > allowed) & (saturated == 0)):
        off = f"a fresh vector reads {largest[d]:.3g} {sweep.unit} beside what its row predicts, {allowed[d]:.3g} {sweep.unit} is allowed"
        words[d] = words[d] or f"out of tolerance: {off}"
    dark, all_ = np.full(len(y.T), np.nan), np.ones(y.T.shape, np.bool_)
    fitted = _fitted(sweep, found, against)
    x = volts * (vectors @ sweep.believed.T).T
    points = Points(volts * sweep.believed, volts * found.weights, np.ones(sweep.believed.shape, np.bool_), dark)
    fresh = Points(x, volts * y.T, all_, dark)
    return Outcome(ROWS, sweep.rows, sweep.unit, points, fitted, fresh, residuals, errors, seen_, words), found


def _walked(residuals: Floats, errors: Floats, words: list[str]) -> float:
    """By what variance fresh readings are off beyond their errors, in all rows together: drift since the table, also of the weights."""
    good = np.array([not told for told in words])
    return max(float(np.mean(np.square(residuals[good]) - np.square(errors[good]))), 0.0) if good.any() else 0.0


def _fitted(sweep: MatrixSweep, found: Measured, against: Compared) -> Fitted:
    """Gains and offsets of the rows as a fit has them."""
    volts, rows = sweep.volts_per_field * sweep.level, len(sweep.rows)
    parameters = np.stack([against.gain, volts * found.offset], axis=1)
    shots = len(sweep.codes) * sweep.repeats
    covariance = np.zeros((rows, 2, 2))
    covariance[:, 0, 0] = np.square(against.gain_error)
    covariance[:, 1, 1] = np.square(volts * found.noise) / shots
    none, all_ = np.zeros(rows, np.intp), np.ones(rows, np.bool_)
    left = volts * (found.weights - against.gain[:, None] * sweep.believed)
    return Fitted(parameters, covariance, left, none + shots, volts * found.noise, none, all_, np.ones(rows), ~all_)


def _drift_check(sweep: MatrixSweep, how: MatrixMeasuring) -> Plan[DriftCheck]:
    """A few random vectors, and what the detectors read with them now."""
    vectors = np.random.default_rng([how.seed, how.frames, 4]).choice([-1.0, 1.0], (how.frames, len(sweep.beams)))
    table = sweep.table(vectors, np.repeat(np.arange(how.frames), how.check_repeats))
    readings = yield table
    seen = readings[sweep.detector].astype(np.float64).reshape(how.frames, how.check_repeats, -1)
    expected = seen.mean(axis=1)
    tolerance = np.full(expected.shape[1], np.inf)
    tolerance[: len(sweep.rows)] = how.tolerance * expected[:, : len(sweep.rows)].std(axis=0)
    sigma = seen.std(axis=1, ddof=1) / np.sqrt(how.check_repeats)
    banks = {port: np.asarray(bank) for port, bank in table.banks.items()}
    return DriftCheck(banks, dict(table.orders), table.dwell_s, how.check_repeats, sweep.detector, sweep.unit, expected, sigma, tolerance)
