"""What was measured of the ovens as a calibration of their port, and in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from labonn.bench import Bench
from labonn.calibration.absorbers.saving import cell_words
from labonn.calibration.absorbers.sweep import BEFORE, BEHIND, CellSweep
from labonn.calibration.calibration import Calibration, Coefficient, utc
from labonn.calibration.ovens.curve import OvenCurve
from labonn.calibration.ovens.lag import MISFIT
from labonn.calibration.ovens.law import PARAMETERS
from labonn.calibration.ovens.measuring import KIND, OvenOutcome
from labonn.calibration.ovens.reading import FAR_K
from labonn.calibration.saving import UNKNOWN, conditions, identities, wiring_of, world_of


def ovens_calibration(
    bench: Bench, sweep: CellSweep, outcome: OvenOutcome, believed: str, days: float | None, about: Mapping[str, Any]
) -> Calibration:
    """The calibration of the ovens' port.

    Args:
        believed: cell of the bench file. days: of validity; None: for ever. about: conditions beside the bench's.
    """
    world, now, law, lags = world_of(bench), datetime.now(UTC), outcome.law, outcome.lags
    ports = ["ovens", BEFORE, BEHIND, "input", "gain", *sweep.held]
    out = {f"left_out.{port}": told for port, told in zip(bench.specs[BEFORE].names, outcome.words, strict=True) if told}
    seen = {"cell": outcome.kind.cell, "cell_of_bench_file": believed, "steps": ", ".join(outcome.roles)}
    coefficients = {
        "log_scale": (law.parameters[:, 0], ""), "offset": (law.parameters[:, 1], "K"), "nodes": (outcome.nodes, "degC"),
        "correction": (outcome.correction, ""), "scatter": (outcome.scatter, ""), "hysteresis": (outcome.hysteresis, ""),
        "lowest": (outcome.celsius.min(axis=0), "degC"), "highest": (outcome.celsius.max(axis=0), "degC"),
        "temperature": (outcome.celsius.T, "degC"), "optical_depth": (outcome.depth.T, ""), "optical_depth_error": (outcome.error.T, ""),
        "time_constant": (lags.tau_s, "s"), "time_constant_error": (lags.error_s, "s"), "overshoot": (lags.overshoot, ""),
        "wait": (lags.wait_s, "s"),
    }  # fmt: skip
    return Calibration(
        KIND, "ovens", tuple(outcome.names), "vapour-law", 1,
        {name: Coefficient(np.ascontiguousarray(values, np.float64), unit) for name, (values, unit) in coefficients.items()},
        outcome.verification, identities(bench, ports), wiring_of(bench, ports), utc(now), parameters=PARAMETERS,
        covariance=law.covariance, conditions={**conditions(bench, sweep.dwell_s), **seen, **out, **about},
        world=UNKNOWN if world is None else world, expires=None if days is None else utc(now + timedelta(days=days)), check=outcome.check,
    )  # fmt: skip


def told(outcome: OvenOutcome, calibration: Calibration, believed: str, settle_s: float) -> dict[str, Any]:
    """What a procedure returns: oven by oven, in words.

    Args:
        settle_s: that the bench waits for the ovens.
    """
    curve, law, lags, seen = OvenCurve.of(calibration), outcome.law, outcome.lags, outcome.verification
    lines: dict[str, Any] = {"calibration": calibration.id, "cell": cell_words(outcome.left, outcome.kind, believed)}
    middle = np.exp(np.log(outcome.depth).mean(axis=0))
    for h, name in enumerate(outcome.names):
        (scale, offset), (_, offset_error) = law.parameters[h], law.errors[h]
        bent = "" if not outcome.correction[h].any() else f"; corrected by up to {100 * np.abs(outcome.correction[h]).max():.2g} %"
        lines[name] = f"vapour law times {np.exp(scale):.4g}, {offset:+.3g} +- {offset_error:.2g} K{bent}"
        depths = f"{outcome.depth[:, h].min():.3g} to {outcome.depth[:, h].max():.3g}"
        held, error = (part[h] for part in curve.temperature(middle))
        lines[f"{name} range"] = f"optical depths {depths}; for {middle[h]:.4g}: {held:.5g} +- {error:.2g} degC"
        fresh = f"{seen.points} fresh temperatures: rms {100 * seen.rms[h]:.2g} %, largest {100 * seen.largest[h]:.2g} %"
        lines[f"{name} verified"] = f"{fresh}; down over up {100 * np.expm1(outcome.hysteresis[h]):+.2g} %"
        lag = f"time constant {lags.tau_s[h]:.4g} +- {lags.error_s[h]:.2g} s, overshoot {100 * lags.overshoot[h]:.2g} %"
        lag += f"; NO SUCH CURVE, it leaves {100 * lags.misfit[h]:.2g} % of a step" if lags.misfit[h] > MISFIT else ""
        lines[f"{name} lag"] = f"{lag}; within {FAR_K:g} K after {lags.wait_s[h]:.4g} s"
    slowest = float(np.nanmax(lags.wait_s))
    enough = "enough" if settle_s >= slowest else f"TOO SHORT: set settle_s = {slowest:.3g} or more in the bench file"
    lines["wait"] = f"{slowest:.4g} s for the longest step; the bench waits {settle_s:g} s, which is {enough}"
    return lines | {"expires": calibration.expires or "never"}
