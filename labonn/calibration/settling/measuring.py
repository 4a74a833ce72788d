"""The plan of settling times: a table of steps, the same at other times to verify with, and a drift check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from labonn.bench import Bench, Plan
from labonn.calibration.calibration import Coefficient, DriftCheck, by_channel
from labonn.calibration.judging import raise_failed
from labonn.calibration.measuring import Measuring, Outcome, fitted_to, verify
from labonn.calibration.rigging import LIGHT, held_rows, of_kind, one_of
from labonn.calibration.settling.judging import judge_steps
from labonn.calibration.settling.model import SETTLING, swing, waits_s
from labonn.calibration.settling.sweep import StepSweep, bases_of
from labonn.channels import Floats
from labonn.errors import ProcedureError

ACTUATORS = ("Modulators", "GainSections", "Heaters")
OTHER_TIMES = 1.25  # times the dwell, of fresh points
CHECKED = 0.2  # of a step


def step_sweep(
    bench: Bench, port: str | None, detector: str | None, hold: Sequence[str], *, bases: int, step: float, samples: int, cycles: int,
    dwell_s: float,
) -> StepSweep:  # fmt: skip
    """Steps of a port whose channels have a detector channel each; other gain sections are the light.

    Args:
        port: its name; None: `heaters`, or the only actuator that is no light. bases: levels. step: part of the port's range.

    Raises:
        ProcedureError: no such port, or no detector with as many channels.
    """
    there = [name for kind in ACTUATORS for name in of_kind(bench, kind)]
    chosen = port or ("heaters" if "heaters" in there else there[0] if len(there) == 1 else "")
    if chosen not in there:
        raise ProcedureError(f"--port {port or '?'}: {bench.file.name} has these actuators: {', '.join(there) or 'none'}")
    spec, trigger = bench.specs[chosen], next(p.name for p in bench.file.ports.values() if p.role == "trigger")
    seen = one_of(bench, "Photodetectors", detector, trigger, "--detector")
    if len(bench.specs[seen]) < len(spec):
        raise ProcedureError(f"{seen} has {len(bench.specs[seen])} channels; the {len(spec)} of {chosen} want one each (--detector)")
    light = {name: LIGHT * np.asarray(bench.specs[name].upper) for name in of_kind(bench, "GainSections") if name != chosen}
    held = {**light, **held_rows(bench, hold)}
    lower = np.asarray(spec.lower) if spec.unit == "degC" else np.maximum(np.asarray(spec.lower), 0.0)
    levels, steps = bases_of(lower, np.asarray(spec.upper), bases, step)
    late = float(spec.settle_s.max(initial=0.0)) if spec.depth == 1 else 0.0
    full = np.asarray(bench.specs[seen].upper)
    return StepSweep(chosen, seen, bench.specs[seen].unit, full, levels, steps, samples, cycles, dwell_s, late, held)


def measure_steps(kind: str, sweep: StepSweep, how: Measuring, names: Sequence[str]) -> Plan[Outcome]:
    """Step, fit rises and falls of all channels, judge, verify, and take the readings of a drift check.

    Raises:
        CalibrationError: names the worst channels, and what is wrong with them.
    """
    points, place = sweep.points((yield sweep.table()))
    fitted = fitted_to(SETTLING, points, how.loss)
    words = judge_steps(sweep, points, place, fitted, how.within, names)
    raise_failed(kind, sweep.port, by_channel(words, names), len(names), how.leave_out)
    other = sweep.otherwise(OTHER_TIMES)
    again, _ = other.points((yield other.table()), place)
    outcome = verify(SETTLING, cast(Any, sweep), how, names, points, fitted, again, words)
    seen = outcome.verification
    severity = {name: float(part) for name, part in zip(names, seen.largest / seen.allowed, strict=True) if np.isfinite(part)}
    raise_failed(kind, sweep.port, by_channel(outcome.words, names), len(names), how.leave_out, severity)
    return replace(outcome, check=(yield from _check(sweep.at(place), swing(fitted.parameters))))


def _check(sweep: StepSweep, steps: Floats) -> Plan[DriftCheck]:
    """A few cycles again, in pairs of shots: readings on the way and behind it; notices times that have doubled, and dead lines.

    Args:
        sweep: at one base. steps: (C,) of readings.
    """
    table = replace(sweep, cycles=4).table()
    readings = yield table
    volts = readings[sweep.detector].astype(np.float64)
    seen = volts.reshape(len(volts) // 2, 2, -1)
    tolerance = np.full(volts.shape[1], np.inf)
    tolerance[: len(steps)] = CHECKED * steps
    noise = np.median(np.abs(np.diff(volts, axis=0)), axis=0)
    sigma = np.broadcast_to(noise, seen[:, 0].shape).copy()
    banks = {port: np.asarray(bank) for port, bank in table.banks.items()}
    about = (dict(table.orders), table.dwell_s, 2, sweep.detector, sweep.unit)
    return DriftCheck(banks, *about, seen.mean(axis=1), sigma, tolerance)


def found_times(outcome: Outcome, remain: float) -> dict[str, Coefficient]:
    """Coefficients beside the fitted ones: `wait`, after which at most `remain` of a step is still to come."""
    good = np.array([not told for told in outcome.words])
    return {"wait": Coefficient(np.where(good, waits_s(outcome.fitted.parameters, remain), np.nan), "s")}
