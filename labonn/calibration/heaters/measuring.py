"""The plan of a bank of heaters, three tables in all: sweep all at once, verify all at once on fresh points, take a drift check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from labonn.bench import Bench, Plan
from labonn.calibration.calibration import Coefficient, by_channel
from labonn.calibration.heaters.fit import BankFit, fit_bank
from labonn.calibration.heaters.judging import judge_bank
from labonn.calibration.heaters.model import HEATER, own_phase, placed, volts_of
from labonn.calibration.judging import raise_failed
from labonn.calibration.measuring import Measuring, Outcome, drift_check, levelled, verify
from labonn.calibration.rigging import of_kind
from labonn.calibration.sweeps import DirectSweep, Points, fresh, scrambled
from labonn.channels import Floats
from labonn.errors import ProcedureError
from labonn.shots import Readings

KINDS = ("Modulators", "GainSections")  # of drivers that can set the volts of heaters


@dataclass(frozen=True)
class BankOutcome:
    """Attributes:
    heaters: of each heater, without crosstalk; its errors take the crosstalk into account.
    crosstalk, crosstalk_errors: (C, C) x_ij, what part of heater j's own phase is in phase i; NaN of those that are left out.
    phases, fresh_phases: (C, N) and (C, M) fitted phases at the points.
    """

    heaters: Outcome
    crosstalk: Floats
    crosstalk_errors: Floats
    phases: Floats
    fresh_phases: Floats

    def more(self) -> dict[str, Coefficient]:
        """Coefficients beside the fitted ones."""
        good = np.array([not told for told in self.heaters.words])
        v_pi = np.full(len(good), np.nan)
        v_pi[good] = volts_of(self.heaters.fitted.parameters[good], np.full(int(good.sum()), np.pi))
        found = {"v_pi": Coefficient(v_pi, "V")}
        return found | {"crosstalk": Coefficient(self.crosstalk, "1"), "crosstalk_error": Coefficient(self.crosstalk_errors, "1")}


def heaters_of(bench: Bench, named: str | None) -> str:
    """The port of heaters: the named one, or `heaters`, or the only one that has several channels.

    Raises:
        ProcedureError: no such port, several, or one that is not in volts.
    """
    there = [port for kind in KINDS for port in of_kind(bench, kind)]
    fits = [port for port in there if len(bench.specs[port]) > 1]
    port = named or ("heaters" if "heaters" in there else fits[0] if len(fits) == 1 else "")
    if port not in there:
        raise ProcedureError(f"--port {port or '?'}: {bench.file.name} has these that could be heaters: {', '.join(there) or 'none'}")
    if bench.specs[port].unit != "V":
        raise ProcedureError(f"--port {port}: it is in {bench.specs[port].unit}; heaters in volts are wanted, V^2/R is what is fitted")
    return port


def measure_bank(kind: str, sweep: DirectSweep, how: Measuring, names: Sequence[str], upper: Floats) -> Plan[BankOutcome]:
    """Sweep, fit, judge, verify, and take the readings of a drift check.

    All heaters are swept at once, each through equally spaced squares of its volts in random orders of its own, so that what others do
    is as good as unrelated; the crosstalk is in these same points. Fresh points are others, of all heaters at once, too.

    Args:
        kind, names: for messages; names of the port's channels. upper: (C,) volts of the sweep, which begins at 0.

    Raises:
        CalibrationError: names the worst heaters, and what is wrong with them.
    """
    squares, zero = np.square(upper), 0 * upper
    x = _volts(scrambled(zero, squares, how.levels, how.passes, how.seed), upper)
    again = _volts(fresh(zero, squares, how.levels, how.fresh, how.seed), upper)
    drives = np.concatenate([x, again], axis=1).T
    readings = yield sweep.table(x)
    points = sweep.points(x, readings)
    found = fit_bank(points, drives)
    points, found = _levelled(kind, sweep.port, points, drives, found)
    words = judge_bank(points, drives, found, _noise(sweep, readings), sweep.unit, how.within, names)
    raise_failed(kind, sweep.port, by_channel(words, names), len(names), how.leave_out)
    readings = yield sweep.table(again)
    fresh_points = sweep.points(again, readings)
    at = replace(fresh_points, x=placed(len(names), len(x.T) + np.arange(again.shape[1]), len(drives)))
    at, _ = levelled(kind, sweep.port, found.model, at, found.fitted, found.telling(points))
    all_of = verify(found.model, sweep, how, names, points, found.fitted, at, words)
    seen = all_of.verification
    severity = {name: float(part) for name, part in zip(names, seen.largest / seen.allowed, strict=True) if np.isfinite(part)}
    raise_failed(kind, sweep.port, by_channel(all_of.words, names), len(names), how.leave_out, severity)
    check = yield from drift_check(sweep, how, zero, upper)
    outcome = replace(all_of, points=points, fresh=replace(fresh_points, y=at.y), check=check)
    return _told(outcome, replace(found, fitted=all_of.fitted), drives)


def _volts(squares: Floats, upper: Floats) -> Floats:
    """Roots; the last digit of one may not be above the limit."""
    return np.minimum(np.sqrt(squares), upper[:, None])


def _noise(sweep: DirectSweep, readings: Readings) -> float:
    """Standard deviation of a reading in the dark; 0 where it was not dark."""
    dark = readings[sweep.detector][: 4 * sweep.repeats if sweep.dark else 0]
    return float(np.median(dark.std(axis=0, ddof=1))) if len(dark) else 0.0


def _levelled(kind: str, port: str, points: Points, drives: Floats, found: BankFit) -> tuple[Points, BankFit]:
    """Without what the light of all did, and fitted again."""
    channels, count = points.x.shape
    at = replace(points, x=placed(channels, np.arange(count), len(drives)))
    at, light = levelled(kind, port, found.model, at, found.fitted, found.telling(points))
    if not np.any(light != 1):
        return points, found
    points = replace(points, y=at.y)
    return points, fit_bank(points, drives, found)


def _told(outcome: Outcome, found: BankFit, drives: Floats) -> BankOutcome:
    good = np.array([not told for told in outcome.words])
    crosstalk, errors = (np.where(good[:, None] & good[None, :], of, np.nan) for of in found.crosstalk())
    heat = own_phase(found.own, drives.T)[0]
    phases = found.own[:, 2, None] + np.nan_to_num(found.crosstalk()[0]) @ heat
    count = outcome.points.x.shape[1]
    own = replace(outcome, model=HEATER, fitted=found.of_own())
    return BankOutcome(own, crosstalk, errors, phases[:, :count], phases[:, count:])
