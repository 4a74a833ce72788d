"""Calibrate heaters: volts to phases, with the full crosstalk matrix, all from one table.

All heaters are swept at once, each through random squares of its volts, in
front of a detector each. Every heater's curve, with its resistance's drift,
and what it adds to every other's phase follow from the same readings. Fresh
points of all at once verify them (--levels 0: eight points a heater, at least
128). labonn.calibration.heaters.drive sets phases with what was found.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from labonn.bench import Bench
from labonn.calibration import Calibration
from labonn.calibration.heaters.figures import heater_figure
from labonn.calibration.heaters.measuring import BankOutcome, heaters_of, measure_bank
from labonn.calibration.judging import Tolerances
from labonn.calibration.measuring import Measuring
from labonn.calibration.options import calibration_options, check_options, conditions_of, store_of
from labonn.calibration.rigging import direct_sweep
from labonn.calibration.saving import calibration_of, result_of
from labonn.calibration.sweeps import DirectSweep
from labonn.errors import ProcedureError
from labonn.runs import Run
from labonn.units import format_quantity, parse_quantity
from procedures.benches import shipped

benches = ("heater_bank",)
KIND = "heaters"
PER_HEATER = 8  # points of the sweep for every heater: each has so many unknowns, of its own and of its neighbours


def options(parser: argparse.ArgumentParser) -> None:
    """The procedure's own options."""
    calibration_options(parser)
    parser.set_defaults(levels=0, passes=2, fresh=64)
    add = parser.add_argument
    add("--port", metavar="NAME", help="of the heaters (default: `heaters`, or the only port that can be)")
    add("--detector", metavar="NAME", help="that reads them, a channel each (default: the trigger)")
    add("--top", metavar="QUANTITY", help="highest voltage of the sweep (default: the port's limit); 1.5 v_pi, a whole fringe, is wanted")
    hold = "what else is set during the sweep, as laser=60mA (default: sources at 80 %% of their limits)"
    add("--hold", nargs="+", default=[], metavar="PORT=VALUE", help=hold)
    add("--repeats", type=int, default=1, metavar="N", help="shots a point (default %(default)s)")
    add("--dwell", type=float, default=1e-3, metavar="S", help="seconds a shot, many of a heater's time constants (default %(default)s)")


def bench_file(args: argparse.Namespace) -> str:
    """The bench that `--bench heater_bank` means."""
    return shipped(args.bench_name or benches[0])


def check(args: argparse.Namespace) -> None:
    """Refuse options that make no sense, before anything is opened; --levels 0 means as many as the heaters need."""
    levels = args.levels
    args.levels = levels or 64
    check_options(args)
    args.levels = levels
    if args.repeats < 1 or not 0 < args.dwell < 10:
        raise ProcedureError(f"--repeats {args.repeats}, --dwell {args.dwell}: at least 1; between 0 and 10 s")


def main(bench: Bench, args: argparse.Namespace, run: Run) -> dict[str, Any]:
    """Measure, keep, draw."""
    port = heaters_of(bench, args.port)
    spec = bench.specs[port]
    sweep = direct_sweep(bench, port, args.detector, args.hold, args.repeats, args.dwell)
    levels = args.levels or max(64, -(-PER_HEATER * len(spec) // args.passes))
    within = Tolerances(residual=args.tolerance)
    how = Measuring(levels, args.passes, args.fresh, within=within, leave_out=args.leave_out, seed=run.seed)
    bank = bench.run(measure_bank(KIND, sweep, how, spec.names, _top(args, np.asarray(spec.upper), spec.unit)))
    calibration = _calibration(bench, sweep, bank, args)
    run.save_figure("calibration", lambda path: heater_figure(bank, calibration, path))
    store = store_of(args)
    run.event(f"{calibration.title} kept in {store.folder}: {store.save(calibration)}")
    about = {"shots": bench.shots, "exchanges": bench.exchanges, "bench_time_s": bench.clock.now()}
    return result_of(calibration, ["v_pi", "offset"]) | {"crosstalk": _crosstalk(bank)} | about


def _top(args: argparse.Namespace, upper: Any, unit: str) -> Any:
    """(C,) highest volts of the sweep."""
    if args.top is None:
        return upper
    try:
        top = parse_quantity(args.top, unit)
    except ValueError as problem:
        raise ProcedureError(f"--top {args.top}: {problem}") from None
    if not 0 < top <= upper.min():
        raise ProcedureError(f"--top {args.top}: above 0, and at most {format_quantity(float(upper.min()), unit)}, the port's limit")
    return np.full(len(upper), top)


def _calibration(bench: Bench, sweep: DirectSweep, bank: BankOutcome, args: argparse.Namespace) -> Calibration:
    port, involved = sweep.port, (sweep.port, sweep.detector, *sweep.held)
    held = {f"held.{name}": row.tolist() if row.size <= 16 else f"{row.size} values" for name, row in sweep.held.items()}
    about = {**held, **conditions_of(args)}
    unit, days, more = bench.specs[port].unit, args.days or None, bank.more()
    return calibration_of(KIND, bank.heaters, bench, port, involved, x_unit=unit, days=days, dwell_s=sweep.dwell_s, more=more, about=about)


def _crosstalk(bank: BankOutcome) -> str:
    off = ~np.eye(len(bank.crosstalk), dtype=bool) & np.isfinite(bank.crosstalk)
    if not off.any():
        return "one heater"
    largest, error = float(np.abs(bank.crosstalk[off]).max()), float(np.sqrt(np.mean(np.square(bank.crosstalk_errors[off]))))
    known = f"{100 * error:.2g} %, {100 * error / largest:.2g} % of that"
    return f"largest {100 * largest:.3g} % of a heater's own phase; elements known to {known}"
