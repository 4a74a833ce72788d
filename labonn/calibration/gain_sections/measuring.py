"""The plan of a gain-section calibration: sweep, fit, judge, verify, and what the errors of the detectors' calibration add."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from labonn.bench import Plan
from labonn.calibration.calibration import by_channel
from labonn.calibration.fitting import Fitted, fit
from labonn.calibration.gain_sections.judging import blamed, drifted, heated
from labonn.calibration.gain_sections.model import section_model
from labonn.calibration.gain_sections.sweep import GainSweep
from labonn.calibration.judging import judge, raise_failed
from labonn.calibration.measuring import Measuring, Outcome, drift_check, verify
from labonn.calibration.models import Model
from labonn.calibration.sweeps import Points, fresh, scrambled
from labonn.channels import Floats
from labonn.shots import Readings

KIND = "gain_sections"
LOSSES = "undetermined: gain cannot be told from losses on the way, for strong light is amplified as weak light is; more light?"


def measure_sections(sweep: GainSweep, how: Measuring, names: Sequence[str], lower: Floats, upper: Floats, step: Floats) -> Plan[Outcome]:
    """Calibrate all sections of a port.

    Args:
        names: of its channels. lower, upper, step: (C,) range of the currents, and of one code of their source.

    Raises:
        CalibrationError: names the worst channels, and what is wrong with them.
    """
    x = coded(scrambled(lower, upper, how.levels, how.passes, how.seed), step, lower, upper)
    readings = yield sweep.table(x)
    seen = blamed(sweep.points(x, readings), sweep.powers, sweep.full_scale[0], names)
    sweep = replace(sweep, unknown={**{c: told for c, told in enumerate(seen) if told}, **sweep.unknown})
    points = sweep.points(x, readings)
    model, fitted, sigma = fitted_sections(sweep, points, readings, how, upper)
    judged = judge(model, sweep, points, fitted, readings, how.within, names)
    told = [LOSSES if words.startswith("undetermined") else words for words in judged]
    words = drifted(model, points, fitted, how.within.drift, [sweep.unknown.get(c) or of for c, of in enumerate(told)])
    words = heated(points, fitted, sigma, words)
    raise_failed(KIND, sweep.port, by_channel(words, names), len(names), how.leave_out)
    fitted = replace(carried(sweep, x, readings, how, upper, fitted), sigma=fitted.sigma * np.sqrt(np.mean(np.square(sigma), axis=1)))
    x = coded(fresh(lower, upper, how.levels, how.fresh, how.seed), step, lower, upper)
    readings = yield sweep.table(x)
    outcome = verify(model, sweep, how, names, points, fitted, sweep.points(x, readings), words)
    seen_now = outcome.verification
    severity = {name: float(part) for name, part in zip(names, seen_now.largest / seen_now.allowed, strict=True) if np.isfinite(part)}
    raise_failed(KIND, sweep.port, by_channel(outcome.words, names), len(names), how.leave_out, severity)
    check = yield from drift_check(sweep, how, lower, upper)
    tolerance = check.tolerance.copy()
    tolerance[: len(names)][[bool(told) for told in outcome.words]] = np.inf
    return replace(outcome, check=replace(check, tolerance=tolerance))


def coded(x: Floats, step: Floats, lower: Floats, upper: Floats) -> Floats:
    """x (C, N) on the codes of the source, inside the limits: what is set is then what was meant."""
    if not np.all(step > 0):
        return x
    codes = np.clip(np.rint(x / step[:, None]), np.ceil(lower / step)[:, None], np.floor(upper / step)[:, None])
    return np.asarray(codes * step[:, None])


def fitted_sections(sweep: GainSweep, points: Points, readings: Readings, how: Measuring, upper: Floats) -> tuple[Model, Fitted, Floats]:
    """The model, its fit, and (C, n) standard errors of the points."""
    full = np.maximum(points.x[..., 1].max(axis=1), 1e-300)
    model, sigma = section_model(sweep.powers, full, upper), sweep.sigma(points, readings)
    start = model.start(points.x, points.y, points.used)
    return model, fit(model.curve, points.x, points.y, start, sigma=sigma, used=points.used, loss=how.loss), sigma


def carried(sweep: GainSweep, x: Floats, readings: Readings, how: Measuring, upper: Floats, fitted: Fitted) -> Fitted:
    """The fit, with what is common to all points of a channel: errors of the detectors' compression and of their dark levels.

    Parameters are fitted again with each moved by its standard error; what they move by adds to their covariance.
    """
    covariance, (monitor, detector), dark = fitted.covariance.copy(), sweep.straight, sweep.dark_errors(readings)
    monitors, detectors = (monitor.moved(), monitor.shifted(dark[0])), (detector.moved(), detector.shifted(dark[1]))
    for moved in (*((other, detector) for other in monitors), *((monitor, other) for other in detectors)):
        other = replace(sweep, straight=moved)
        again = fitted_sections(other, other.points(x, readings), readings, how, upper)[1]
        change = np.where(fitted.degenerate[:, None], 0.0, again.parameters - fitted.parameters)
        covariance += change[:, :, None] * change[:, None, :]
    return replace(fitted, covariance=covariance)
