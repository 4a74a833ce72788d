"""Calibrate settling: how long slow actuators take to rise and to fall, and how long to wait.

All channels of a port step up and down at once, around several levels, and
are sampled on the way, in one table. Rise and fall are fitted separately,
each with an onset and a time constant; samples at other times verify them.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from labonn.bench import Bench
from labonn.calibration import Calibration
from labonn.calibration.judging import Tolerances
from labonn.calibration.measuring import Measuring, Outcome
from labonn.calibration.options import conditions_of, store_of, store_option
from labonn.calibration.saving import calibration_of, result_of
from labonn.calibration.settling.figures import settling_figure
from labonn.calibration.settling.measuring import found_times, measure_steps, step_sweep
from labonn.calibration.settling.sweep import StepSweep
from labonn.errors import ProcedureError
from labonn.runs import Run
from labonn.units import format_quantity
from procedures.benches import shipped

benches = ("heater_bank",)
KIND = "settling"
SHOWN = ["tau_rise", "tau_fall", "onset_rise", "onset_fall", "wait"]


def options(parser: argparse.ArgumentParser) -> None:
    """The procedure's own options."""
    store_option(parser)
    add = parser.add_argument
    add("--port", metavar="NAME", help="of the actuators (default: `heaters`, or the only port that is no light)")
    add("--detector", metavar="NAME", help="that reads them, a channel each (default: the trigger)")
    add("--hold", nargs="+", default=[], metavar="PORT=VALUE", help="what else is set (default: sources at 80 %% of their limits)")
    add("--dwell", type=float, default=2e-7, metavar="S", help="seconds a shot, a fifth of a time constant or less (default %(default)s)")
    add("--samples", type=int, default=64, metavar="N", help="shots after a step, eight time constants or more (default %(default)s)")
    add("--cycles", type=int, default=24, metavar="N", help="of each level, a multiple of 4; half have steps (default %(default)s)")
    add("--bases", type=int, default=10, metavar="N", help="levels; of each channel the one that tells most is taken (default %(default)s)")
    add("--step", type=float, default=0.03, metavar="R", help="of a step, as a part of the port's range (default %(default)s)")
    remain = "part of a step that may still be to come after the recommended wait"
    add("--remain", type=float, default=0.01, metavar="R", help=f"{remain} (default %(default)s; 0.018 is 4 time constants)")
    add("--tolerance", type=float, default=0.02, metavar="R", help="of fresh points, as a part of the step (default %(default)s)")
    add("--leave-out", type=int, default=0, metavar="N", help="channels that may fail; they are left out (default %(default)s)")
    add("--condition", nargs="+", default=[], metavar="KEY=VALUE", help="to be kept with it, such as chip=7")
    add("--days", type=float, default=30.0, metavar="D", help="days until it expires; 0: never (default %(default)s)")


def bench_file(args: argparse.Namespace) -> str:
    """The bench that `--bench heater_bank` means."""
    return shipped(args.bench_name or benches[0])


def check(args: argparse.Namespace) -> None:
    """Refuse options that make no sense, before anything is opened."""
    for name, least in (("samples", 16), ("cycles", 4), ("bases", 1), ("leave_out", 0)):
        if getattr(args, name) < least:
            raise ProcedureError(f"--{name.replace('_', '-')} {getattr(args, name)}: at least {least}")
    for name, most in (("dwell", 1e3), ("step", 1.0), ("remain", 1.0), ("tolerance", 1.0)):
        if not 0 < getattr(args, name) < most:
            raise ProcedureError(f"--{name} {getattr(args, name):g}: above 0, and below {most:g}")
    if args.cycles % 4:
        raise ProcedureError(f"--cycles {args.cycles}: a multiple of 4")
    if not 0 <= args.days < 36500:
        raise ProcedureError(f"--days {args.days:g}: not negative, and below 36500")
    conditions_of(args)


def main(bench: Bench, args: argparse.Namespace, run: Run) -> dict[str, Any]:
    """Measure, keep, draw, and compare with the bench file."""
    many = {"bases": args.bases, "step": args.step, "samples": args.samples, "cycles": args.cycles, "dwell_s": args.dwell}
    sweep = step_sweep(bench, args.port, args.detector, args.hold, **many)
    spec = bench.specs[sweep.port]
    how = Measuring(within=Tolerances(residual=args.tolerance, error=0.05), leave_out=args.leave_out, seed=run.seed)
    outcome = bench.run(measure_steps(KIND, sweep, how, spec.names))
    calibration = _calibration(bench, sweep, outcome, args)
    run.save_figure("calibration", lambda path: settling_figure(outcome, calibration, path))
    store = store_of(args)
    run.event(f"{calibration.title} kept in {store.folder}: {store.save(calibration)}")
    told, enough = _compared(calibration, float(spec.settle_s.max(initial=0.0)), args.remain)
    run.event(told, "info" if enough else "warning")
    return result_of(calibration, SHOWN) | {"settle_s": told, "shots": bench.shots, "bench_time_s": bench.clock.now()}


def _calibration(bench: Bench, sweep: StepSweep, outcome: Outcome, args: argparse.Namespace) -> Calibration:
    involved, unit = (sweep.port, sweep.detector, *sweep.held), bench.specs[sweep.port].unit
    about = {"remain": args.remain, "samples": args.samples, "step": args.step, **conditions_of(args)}
    more, days = found_times(outcome, args.remain), args.days or None
    return calibration_of(
        KIND, outcome, bench, sweep.port, involved, x_unit=unit, days=days, dwell_s=sweep.dwell_s, more=more, about=about
    )  # fmt: skip


def _compared(calibration: Calibration, settle_s: float, remain: float) -> tuple[str, bool]:
    """(what the bench file's `settle_s` should be, whether it is enough)."""
    wanted = float(np.nanmax(calibration.values("wait")))
    slowest = calibration.channels[int(np.nanargmax(calibration.values("wait")))]
    has, needed = format_quantity(settle_s, "s", 3), format_quantity(wanted, "s", 3)
    told = f"{slowest} needs {needed} until {100 * remain:.2g} % of a step is left; settle_s of {calibration.port} is {has}"
    if settle_s >= wanted:
        return f"{told}, which is enough", True
    digit = 10.0 ** (np.floor(np.log10(wanted)) - 1)
    return f"{told}: set settle_s = {digit * np.ceil(wanted / digit):.2g} in the bench file, or let shots last longer than that", False
