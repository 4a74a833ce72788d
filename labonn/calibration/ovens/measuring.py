"""Ovens, measured: temperatures up and down again, at each a small sweep of the cells' light, as a plan; then the vapour law is fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from labonn.bench import Plan
from labonn.calibration.absorbers.check import drift_check
from labonn.calibration.absorbers.fitting import CellFit, Kind, TapPoints, joined, quieter, refined
from labonn.calibration.absorbers.measuring import HowCells, fit_sweep
from labonn.calibration.absorbers.model import DEPTH, PLAIN
from labonn.calibration.absorbers.sweep import CellSweep, scrambled
from labonn.calibration.calibration import DriftCheck, Verification, by_channel
from labonn.calibration.fitting import Fitted, fit
from labonn.calibration.judging import SEEN, raise_failed
from labonn.calibration.ovens.lag import Lags, OvenLog, OvenSensors, lags_of
from labonn.calibration.ovens.law import law, log_depth
from labonn.channels import Floats
from labonn.errors import CalibrationError
from labonn.shots import ShotTable

KIND = "ovens"
UP, DOWN, FRESH = "up", "down", "fresh"
SENSOR_K = 3e-4  # by which a sensor and its cell may differ from reading to reading
MOST_ERROR = 0.01  # of an optical depth at one temperature
LAGS = 0.02  # by which optical depths on the way down may differ from those on the way up
OFF_LAW, CERTAIN = 0.003, 3.0  # rms of what the law leaves, and that in standard errors, from which on it is corrected
# parts of the range, in ln(depth), and what each is for; the last is near the middle, where the drift check tells most
SCHEDULE = (
    (0.0, UP),
    (0.125, FRESH),
    (0.25, UP),
    (0.5, UP),
    (0.75, UP),
    (1.0, UP),
    (0.875, FRESH),
    (0.75, DOWN),
    (0.25, DOWN),
    (0.5, DOWN),
)


@dataclass(frozen=True)
class HowOvens:
    """How to measure.

    Attributes:
        cells: how the light is swept at each temperature, and what is allowed. tolerance: of optical depths at fresh temperatures.
    """

    cells: HowCells
    tolerance: float = 0.02


@dataclass(frozen=True)
class OvenOutcome:
    """All that was measured of the ovens, at K temperatures.

    Attributes:
        names: of ovens. roles: (K,) UP, DOWN or FRESH. logs: (K,) of the ways there. left: rms that cell models leave. kind: the best.
        celsius, depth, error: (K, H) of the sensors, optical depths and their standard errors. law: fit of ln(depth).
        nodes, correction: (H, N) what the law is corrected by. lags: of the ovens. hysteresis: (H,) ln of depth down over up.
        scatter: (H,) rms of what is left. residuals: (K, H) of ln(depth). verification: of fresh temperatures. words: of taps.
    """

    names: Sequence[str]
    roles: Sequence[str]
    logs: Sequence[OvenLog]
    left: dict[Kind, float]
    kind: Kind
    celsius: Floats
    depth: Floats
    error: Floats
    law: Fitted
    nodes: Floats
    correction: Floats
    lags: Lags
    hysteresis: Floats
    scatter: Floats
    residuals: Floats
    verification: Verification
    words: list[str]
    check: DriftCheck | None = None


def measure_ovens(
    sweep: CellSweep,
    how: HowOvens,
    names: Sequence[str],
    taps: tuple[Sequence[str], Sequence[str]],
    targets_c: Floats,
    sensors: OvenSensors,
) -> Plan[OvenOutcome]:
    """Measure all ovens; targets_c (K, H) follow SCHEDULE.

    Raises:
        CalibrationError: an oven is not settled, with how far it is and how fast it moves; or names the worst taps or cells.
    """
    logs, celsius, points = [], [], []
    for step, target_c in enumerate(targets_c):
        ovens = np.array(target_c[None, :])
        yield ShotTable({"ovens": ovens}, dwell_s=sweep.dwell_s, read=(), settle=False)
        logs.append(sensors.wait(target_c))
        raise_failed(KIND, "ovens", by_channel(logs[-1].reading.words("--most-wait"), names), len(names), 0)
        before = sensors.celsius()
        fields, rows = scrambled(sweep.levels(how.cells.levels), len(sweep.currents), how.cells.passes, how.cells.seed + step)
        points.append(sweep.points((yield sweep.table(fields, rows))))
        celsius.append(0.5 * (before + sensors.celsius()))
    roles = [role for _, role in SCHEDULE]
    left, kind, fits, words = fit_steps(sweep, how, names, taps, points, np.array(celsius))
    outcome = evaluated(names, roles, logs, left, kind, fits, np.array(celsius), how.tolerance, words)
    return replace(outcome, check=(yield from drift_check(sweep, fields, rows, points[-1], fits[-1], ovens)))


def fit_steps(
    sweep: CellSweep, how: HowOvens, names: Sequence[str], taps: tuple[Sequence[str], Sequence[str]], points: Sequence[TapPoints],
    celsius: Floats,
) -> tuple[dict[Kind, float], Kind, list[CellFit], list[str]]:  # fmt: skip
    """(rms that cell models leave, the best model, the cells at every temperature, words of taps).

    The model is found at a temperature in the middle; from there, fits at others begin with optical depths as the law has them.
    """
    middle = next(k for k, (part, _) in enumerate(SCHEDULE) if part == 0.5)
    left, found, words = fit_sweep(points[middle], how.cells, sweep.optics, names, taps)
    fits, ratio = [], np.exp(log_depth(celsius)[0] - log_depth(celsius[middle])[0])
    for one, factor in zip(points, ratio, strict=True):
        begin = found.taps.parameters.copy()
        begin[:, DEPTH] *= factor[one.cell]
        plain, kind = _without_leak(one, found), replace(found.kind, leaky=False)
        plain = quieter(plain, kind, begin[:, : len(PLAIN)])
        fits.append(joined(plain, kind, *refined(plain, kind, begin[:, : len(PLAIN)]), found.taken, len(names)))
    return left, found.kind, fits, words


def _without_leak(points: TapPoints, found: CellFit) -> TapPoints:
    """The points without scattered light, as it was found where it can be told: a shallow cell would take its own light for it."""
    if not found.kind.leaky:
        return points
    per_in, per_out, dark, leak = (found.taps.parameters[:, i, None] for i in (0, 1, 3, 5))
    return replace(points, y=points.y - per_out * leak * (points.x - dark) / per_in)


def evaluated(
    names: Sequence[str], roles: Sequence[str], logs: Sequence[OvenLog], left: dict[Kind, float], kind: Kind, fits: Sequence[CellFit],
    celsius: Floats, tolerance: float, words: list[str],
) -> OvenOutcome:  # fmt: skip
    """The law, its correction where it does not hold, hysteresis, lags, and what fresh temperatures say.

    Raises:
        CalibrationError: names the ovens, and what is wrong with them.
    """
    depth, error = np.array([one.depth for one in fits]), np.array([one.depth_error for one in fits])
    _check_depths(names, celsius, depth, error)
    fitted, nodes, correction = fit_law(celsius, depth, error, roles)
    log_error = np.hypot(error / depth, SENSOR_K * log_depth(celsius)[1])
    extra = np.array([np.interp(celsius[:, h], nodes[h], correction[h]) for h in range(len(names))]).T
    residuals = np.log(depth) - law(fitted.parameters, celsius.T)[0].T - extra
    hysteresis, unsure = _hysteresis(celsius, residuals, log_error, roles)
    counted = np.array([role != FRESH for role in roles])
    beside = np.mean(np.square(residuals[counted]), axis=0) - np.mean(np.square(log_error[counted]), axis=0)
    scatter = np.sqrt(np.maximum(beside, 0.0))
    fresh, errors = np.abs(residuals[~counted]), np.hypot(log_error, scatter)[~counted]
    allowed = tolerance + SEEN * errors.max(axis=0)
    seen = Verification(len(fresh), "", np.sqrt(np.mean(fresh**2, axis=0)), fresh.max(axis=0), (fresh / errors).max(axis=0), allowed)
    raise_failed(KIND, "ovens", by_channel(_words(hysteresis, unsure, seen, celsius[~counted], fresh), names), len(names), 0)
    return OvenOutcome(
        names, roles, logs, left, kind, celsius, depth, error, fitted, nodes, correction, lags_of(logs), hysteresis, scatter,
        residuals, seen, words,
    )  # fmt: skip


def _check_depths(names: Sequence[str], celsius: Floats, depth: Floats, error: Floats) -> None:
    with np.errstate(invalid="ignore"):
        good = (depth > 0) & (error < MOST_ERROR * depth)
    told = []
    for h in range(len(names)):
        k = int(np.argmin(good[:, h]))
        known = f"its optical depth {depth[k, h]:.3g} at {celsius[k, h]:.4g} degC is known to +- {error[k, h]:.2g} only"
        told.append("" if good[:, h].all() else f"undetermined: {known}; more light or repeats, or a narrower range (--depths)")
    raise_failed(KIND, "ovens", by_channel(told, names), len(names), 0)


def fit_law(celsius: Floats, depth: Floats, error: Floats, roles: Sequence[str]) -> tuple[Fitted, Floats, Floats]:
    """(fit of ln of the scale and of the offset in K, (H, N) nodes, (H, N) corrections there, 0 where the law holds).

    Args:
        celsius, depth, error: (K, H). roles: (K,); FRESH ones are not fitted.
    """
    counted = np.array([role != FRESH for role in roles])
    x, y = celsius[counted].T, np.log(depth[counted]).T
    sigma = np.hypot(error[counted] / depth[counted], SENSOR_K * log_depth(celsius[counted])[1]).T
    begin = np.stack([np.mean(y - log_depth(x)[0], axis=1), np.zeros(len(x))], axis=1)
    fitted = fit(law, x, y, begin, sigma=sigma)
    chance = np.square(fitted.sigma) < 1 + CERTAIN * np.sqrt(2 / (x.shape[1] - 2))  # residuals larger than their errors as they may well be
    widened = np.where(chance, np.square(fitted.sigma), 1.0)[:, None, None]
    fitted = replace(fitted, covariance=fitted.covariance / widened, sigma=np.where(chance, 1.0, fitted.sigma))
    rms = np.sqrt(np.mean(np.square(fitted.residuals), axis=1))
    bent = (rms > OFF_LAW) & (rms > CERTAIN * np.sqrt(np.mean(np.square(sigma), axis=1)))
    up = np.array([role == UP for role in roles])[counted]
    order = np.argsort(x[:, up], axis=1)
    nodes = np.take_along_axis(x[:, up], order, axis=1)
    correction = np.where(bent[:, None], np.take_along_axis(fitted.residuals[:, up], order, axis=1), 0.0)
    return fitted, nodes, correction


def _hysteresis(celsius: Floats, residuals: Floats, error: Floats, roles: Sequence[str]) -> tuple[Floats, Floats]:
    """((H,) mean ln of optical depth on the way down over that on the way up, at one temperature; (H,) its standard error)."""
    up, down = (np.array([role == wanted for role in roles]) for wanted in (UP, DOWN))
    partner = [int(np.argmin(np.abs(celsius[up, 0] - one))) for one in celsius[down, 0]]
    off = residuals[down] - residuals[up][partner]
    unsure = np.hypot(error[down], error[up][partner])
    return off.mean(axis=0), np.sqrt(np.mean(np.square(unsure), axis=0) / len(off))


def _words(hysteresis: Floats, unsure: Floats, seen: Verification, celsius: Floats, fresh: Floats) -> list[str]:
    told = []
    for h, differs in enumerate(hysteresis):
        k = int(np.argmax(fresh[:, h]))
        if abs(differs) > LAGS and abs(differs) > SEEN * unsure[h]:
            shown = f"{100 * np.expm1(differs):+.2g} %"
            lag = "the vapour lags behind the sensor; hold longer (--hold), or mind the coldest spot"
            told.append(f"not settled: on the way down its optical depth is {shown} off that on the way up, at one temperature: {lag}")
        elif seen.largest[h] > seen.allowed[h]:
            off = f"{100 * fresh[k, h]:.2g} % off the law, {100 * seen.allowed[h]:.2g} % is allowed"
            told.append(f"out of tolerance: at the fresh temperature {celsius[k, h]:.4g} degC its optical depth is {off}")
        else:
            told.append("")
    return told


def schedule(lowest_c: Floats, highest_c: Floats) -> Floats:
    """(K, H) targets between (H,) temperatures, in equal steps of ln(depth) as the law has it."""
    low, high = log_depth(lowest_c)[0], log_depth(highest_c)[0]
    if not np.all(high > low):
        raise CalibrationError(f"ovens: from {lowest_c.min():.4g} to {highest_c.max():.4g} degC is no range that rises")
    grid = lowest_c + (highest_c - lowest_c) * np.linspace(0, 1, 400)[:, None]
    value = log_depth(grid)[0]
    parts = np.array([part for part, _ in SCHEDULE])
    return np.array([np.interp(low[h] + (high[h] - low[h]) * parts, value[:, h], grid[:, h]) for h in range(len(low))]).T
