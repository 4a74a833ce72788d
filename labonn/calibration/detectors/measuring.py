"""The plan of a detector calibration: dark, sweep, dark; fit, judge; verify with fresh products; a drift check with and without light."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from labonn.bench import Plan
from labonn.calibration.calibration import DriftCheck, Verification, by_channel
from labonn.calibration.detectors.judging import blamed, judged
from labonn.calibration.detectors.model import (
    DARK,
    Product,
    detector_model,
    fitted_product,
    rank_one,
    straightened,
    transfer,
)  # fmt: skip
from labonn.calibration.detectors.sweep import Cells, ProductSweep, Settings
from labonn.calibration.fitting import Fitted, Mask
from labonn.calibration.gain_sections.sweep import steps_error
from labonn.calibration.judging import raise_failed
from labonn.calibration.measuring import Measuring, Outcome
from labonn.calibration.sweeps import Points
from labonn.channels import Floats
from labonn.shots import ShotTable
from labonn.units import format_quantity

KIND = "detectors"
FINEST = 1e-9  # of the largest reading: least standard error, where nothing is noisy
NOISE = 5.0  # standard errors that a residual may have beside its tolerance


@dataclass(frozen=True)
class Measured:
    """An outcome, and what is beside it.

    Attributes:
        outcome: for the calibration. product, cells: the sweep. level: (C, n) straightened means, for photon transfer.
    """

    outcome: Outcome
    product: Product
    cells: Cells
    level: Floats


def measure_detectors(
    sweep: ProductSweep, settings: Settings, fresh: Settings, how: Measuring, names: Sequence[str], own: bool
) -> Plan[Measured]:  # fmt: skip
    """Calibrate all detectors of a port, whose light is `settings`; `fresh` are others, to verify with.

    Raises:
        CalibrationError: names the worst channels, and what is wrong with them.
    """
    before = sweep.seen((yield sweep.dark_table()))
    cells = sweep.cells(settings, (yield sweep.table(settings)))
    dark = before, sweep.seen((yield sweep.dark_table()))
    told = blamed(settings, cells, dark, names, sweep.unit, own)
    cells = replace(cells, used=cells.used & np.array([not words for words in told])[:, None])
    points, sigma = with_dark(sweep, cells, dark)
    product = fitted_product(points.x, points.y, sigma, points.used, settings.blocks, settings.levels, how.loss)
    words = judged(told, cells, dark, product, how.within, sweep.unit)
    raise_failed(KIND, sweep.port, by_channel(words, names), len(names), how.leave_out)
    again = sweep.cells(fresh, (yield sweep.table(fresh)))
    measured = verified(sweep, fresh, how, names, (points, cells, again), product, words)
    seen = measured.outcome.verification
    severity = {name: float(part) for name, part in zip(names, seen.largest / seen.allowed, strict=True) if np.isfinite(part)}
    raise_failed(KIND, sweep.port, by_channel(measured.outcome.words, names), len(names), how.leave_out, severity)
    check = yield from light_check(sweep, fresh, how, np.array([not words for words in measured.outcome.words]))
    return replace(measured, outcome=replace(measured.outcome, check=check))


def with_dark(sweep: ProductSweep, cells: Cells, dark: tuple[Floats, Floats]) -> tuple[Points, Floats]:
    """(the sweep's points behind two of the dark, standard errors of all), by how repeats scatter and how that goes with the reading."""
    step, count = sweep.step[sweep.columns][:, None], len(cells.mean)
    level = np.stack([one.mean(axis=0) for one in dark], axis=1)
    above = np.abs(cells.mean - level.mean(axis=1, keepdims=True))
    parts = transfer(above, np.ones_like(above), cells.variance, sweep.repeats)[0]
    smooth = parts[:, :1] + parts[:, 1:2] * above + parts[:, 2:] * np.square(above)
    noise = np.sqrt(np.maximum(smooth, np.maximum(0.2 * np.median(cells.variance, axis=1, keepdims=True), 1e-300)))
    still = np.stack([steps_error(one.std(axis=0, ddof=1), step[:, 0], len(one)) for one in dark], axis=1)
    x = np.concatenate([np.tile([DARK, 0.0], (count, 2, 1)), cells.x], axis=1)
    used = np.concatenate([np.ones((count, 2), np.bool_), cells.used], axis=1)
    points = Points(x, np.concatenate([level, cells.mean], axis=1), used, level.mean(axis=1))
    least = FINEST * np.max(np.abs(points.y), axis=1, keepdims=True) + FINEST**2
    return points, np.maximum(np.concatenate([still, steps_error(noise, step, sweep.repeats)], axis=1), least)


def verified(
    sweep: ProductSweep, fresh: Settings, how: Measuring, names: Sequence[str], seen: tuple[Points, Cells, Cells], product: Product,
    words: list[str],
) -> Measured:  # fmt: skip
    """What fresh products say: what is left of straightened readings that no product explains, as readings."""
    points, cells, again = seen
    residuals = left_over(fresh, again, product.dark, product.compression)
    variance = np.where(np.isfinite(product.covariance[:, 1, 1]), product.covariance[:, 1, 1], 0.0)
    more = left_over(fresh, again, product.dark, product.compression + np.sqrt(np.maximum(variance, 0.0)))
    free = 1 - (fresh.blocks + fresh.levels - 1) / (fresh.blocks * fresh.levels)
    noise = np.sqrt(np.mean(again.variance, axis=1, keepdims=True))
    reading = steps_error(noise, sweep.step[sweep.columns][:, None], sweep.repeats)
    errors = np.maximum(np.sqrt(free * np.square(reading) + np.square(more - residuals)), 1e-300)
    size = np.abs(residuals)
    allowed = how.within.residual * np.abs(product.full) + NOISE * np.median(errors, axis=1)
    rms = np.sqrt(np.mean(np.square(residuals), axis=1))
    verification = Verification(residuals.shape[1], sweep.unit, rms, size.max(axis=1), (size / errors).max(axis=1), allowed)
    judging = zip(words, size.max(axis=1), allowed, strict=True)
    told = [already or _off(float(largest), float(most), sweep.unit) for already, largest, most in judging]
    fitted, level = with_noise(sweep, cells, product)
    again_points = Points(again.x, again.mean, again.used, product.dark)
    outcome = Outcome(detector_model(sweep.unit), names, sweep.unit, points, fitted, again_points, residuals, errors, verification, told)
    return Measured(outcome, product, cells, level)


def _off(largest: float, allowed: float, unit: str) -> str:
    if largest <= allowed:
        return ""
    told = " off any product" if np.isfinite(largest) else ""
    return f"out of tolerance: a fresh reading is {format_quantity(largest, unit, 3)}{told}, {format_quantity(allowed, unit, 3)} is allowed"


def left_over(settings: Settings, cells: Cells, dark: Floats, compression: Floats) -> Floats:
    """(C, I J) readings, straightened, minus the best product, in the order of blocks and levels."""
    shape = len(dark), settings.blocks, settings.levels
    order = np.argsort(settings.index.reshape(shape), axis=-1)
    straight = straightened(cells.mean, dark[:, None], compression[:, None]).reshape(shape)
    grid, used = np.take_along_axis(straight, order, axis=-1), np.take_along_axis(cells.used.reshape(shape), order, axis=-1)
    return rank_one(grid, used).reshape(len(dark), -1)


def with_noise(sweep: ProductSweep, cells: Cells, product: Product) -> tuple[Fitted, Floats]:
    """(dark, compression, full and the three parts of the noise, with covariance; (C, n) levels of photon transfer)."""
    level = straightened(cells.mean, product.dark[:, None], product.compression[:, None])
    slope = 1 / np.square(1 + product.compression[:, None] * np.abs(level))
    parts, covariance = transfer(level, slope, cells.variance, sweep.repeats)
    whole = np.zeros((len(parts), 6, 6))
    whole[:, :3, :3], whole[:, 3:, 3:] = product.covariance, covariance
    values = np.concatenate([np.stack([product.dark, product.compression, product.full], axis=1), parts], axis=1)
    return replace(product.fitted, parameters=values, covariance=whole), level


def believed_gain(sweep: ProductSweep, settings: Settings, fields: Floats, product: Product) -> Plan[tuple[Floats, Floats]]:
    """((C,) volts of a linear detector per believed field (J, C) of many patterns, standard errors).

    What is believed of weights and inputs is wrong by some percent, pattern by pattern and in no relation to the fields; a constant is
    fitted too, for inputs that are not quite dark where they should be.
    """
    twice = replace(sweep, repeats=2)
    cells = twice.cells(settings, (yield twice.table(settings)))
    volts = straightened(cells.mean, product.dark[:, None], product.compression[:, None])
    apart = fields.T - fields.mean(axis=0)[:, None]
    power = np.square(apart).sum(axis=1)
    gain = (apart * volts).sum(axis=1) / power
    left = volts - volts.mean(axis=1, keepdims=True) - gain[:, None] * apart
    return gain, np.sqrt(np.square(left).sum(axis=1) / (left.shape[1] - 2) / power)


def light_check(sweep: ProductSweep, fresh: Settings, how: Measuring, good: Mask) -> Plan[DriftCheck]:
    """Some of the fresh settings at the brightest level of the source, and what `good` (C,) detectors read with them now."""
    rows = fresh.rows[: how.frames]
    banks = {sweep.source: sweep.levels[-1:], sweep.fast: rows, **{port: row[None, :] for port, row in sweep.held.items()}}
    orders = {sweep.fast: np.repeat(np.arange(len(rows)), how.repeats)}
    readings = yield ShotTable({port: np.array(bank) for port, bank in banks.items()}, orders, sweep.dwell_s, (sweep.port,))
    seen = readings[sweep.port].astype(np.float64).reshape(len(rows), how.repeats, -1)
    expected, tolerance = seen.mean(axis=1), np.full(seen.shape[2], np.inf)
    sigma = seen.std(axis=1, ddof=1) / np.sqrt(how.repeats)
    tolerance[sweep.columns[good]] = how.tolerance * expected[:, sweep.columns[good]].std(axis=0)
    kept = {port: np.array(bank) for port, bank in banks.items()}
    order = {port: np.zeros(len(rows) * how.repeats, np.int64) for port in banks} | orders
    return DriftCheck(kept, order, sweep.dwell_s, how.repeats, sweep.port, sweep.unit, expected, sigma, tolerance)
