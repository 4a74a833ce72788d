"""Calibrate an SLM's phase: gray to phase in every region of the panel, all from one table.

Every region has its own detectors of the first and the zeroth diffraction order, and its own order of grays. Phases are unwrapped at
the extrema of the fringe, a spline goes through them, fresh grays verify it; lut.csv is for the option `lut` of the SLM's port.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from labonn.bench import Bench
from labonn.calibration import Calibration
from labonn.calibration.options import calibration_options, check_options, conditions_of, store_of
from labonn.calibration.rigging import one_of
from labonn.calibration.saving import calibration_of, result_of
from labonn.calibration.slm_phase.figure import phase_figure
from labonn.calibration.slm_phase.grating import GratingSweep, grating_sweep
from labonn.calibration.slm_phase.judging import TURN, PhaseTolerances
from labonn.calibration.slm_phase.lut import PhaseLut
from labonn.calibration.slm_phase.measuring import KIND, PhaseMeasuring, PhaseOutcome, measure_phase
from labonn.errors import ProcedureError
from labonn.runs import Run
from procedures.benches import shipped

benches = ("slm_orders",)


def options(parser: argparse.ArgumentParser) -> None:
    """The procedure's own options."""
    calibration_options(parser)
    parser.set_defaults(levels=64, fresh=16)
    add = parser.add_argument
    add("--port", metavar="NAME", help="of the SLM (default: the bench's only one)")
    add("--detector", metavar="NAME", help="first orders of all regions, then all zeroth orders (default: the trigger)")
    add("--regions", default="4x4", metavar="DOWNxACROSS", help="into which the panel is divided (default %(default)s)")
    add("--period", type=int, default=6, metavar="N", help="macropixel columns of a period of the grating, even (default %(default)s)")
    add("--turns", type=float, default=1.0, metavar="T", help="phase that the last code has to reach (default %(default)s turns)")
    add("--rad", type=float, default=TURN / 100, metavar="RAD", help="allowed error of a phase, rms (default 2 pi/100)")
    hold = "what else is set, as laser=15mA (default: sources at 80 %% of their limits)"
    add("--hold", nargs="+", default=[], metavar="PORT=VALUE", help=hold)
    add("--repeats", type=int, default=4, metavar="N", help="shots a frame (default %(default)s)")
    add("--dwell", type=float, default=1e-3, metavar="S", help="seconds a shot (default %(default)s)")


def bench_file(args: argparse.Namespace) -> str:
    """The bench that `--bench slm_orders` means."""
    return shipped(args.bench_name or benches[0])


def check(args: argparse.Namespace) -> None:
    """Refuse options that make no sense, before anything is opened."""
    check_options(args)
    if args.repeats < 2 or not 0 < args.dwell < 10:
        raise ProcedureError(f"--repeats {args.repeats}, --dwell {args.dwell}: at least 2; between 0 and 10 s")
    if not 0 < args.turns < 10 or not 0 < args.rad < 1:
        raise ProcedureError(f"--turns {args.turns:g}, --rad {args.rad:g}: between 0 and 10 turns; between 0 and 1 rad")
    if args.levels < 24:
        raise ProcedureError(f"--levels {args.levels}: at least 24, for a curve of 12 pieces")
    _regions(args.regions)


def main(bench: Bench, args: argparse.Namespace, run: Run) -> dict[str, Any]:
    """Measure, keep, draw."""
    port = one_of(bench, "SpatialLightModulator", args.port, "slm", "--port")
    regions = _regions(args.regions)
    sweep = grating_sweep(bench, port, args.detector, regions, args.period, args.hold, args.repeats, args.dwell)
    within = PhaseTolerances(error_rad=args.rad, turns=args.turns)
    how = PhaseMeasuring(args.levels, args.passes, args.fresh, within=within, leave_out=args.leave_out, seed=run.seed)
    found = bench.run(measure_phase(sweep, how))
    calibration = _calibration(bench, sweep, found, args)
    run.save_figure("calibration", lambda path: phase_figure(sweep, found, calibration, path))
    run.write_text("lut.csv", PhaseLut.of(calibration).csv())
    store = store_of(args)
    run.event(f"{calibration.title} kept in {store.folder}: {store.save(calibration)}")
    turns = calibration.values("phase")[:, -1] / TURN
    result = result_of(calibration, ["flicker", "apart"])
    result["last code"] = f"{np.nanmean(turns):.4f} turns, {np.nanmin(turns):.4f} to {np.nanmax(turns):.4f} by region"
    result["standard error"] = f"{1e3 * float(np.sqrt(np.nanmean(calibration.values('phase_error') ** 2))):.2g} mrad rms"
    return result | {"shots": bench.shots, "exchanges": bench.exchanges, "bench_time_s": bench.clock.now()}


def _calibration(bench: Bench, sweep: GratingSweep, found: PhaseOutcome, args: argparse.Namespace) -> Calibration:
    held = {f"held.{name}": row.tolist() if row.size <= 16 else f"{row.size} values" for name, row in sweep.held.items()}
    about = {**held, "regions": list(sweep.regions), "period_columns": sweep.period, **conditions_of(args)}
    involved, days = (sweep.port, sweep.detector, *sweep.held), args.days or None
    outcome, more, dwell = found.outcome, found.more, sweep.dwell_s
    return calibration_of(KIND, outcome, bench, sweep.port, involved, x_unit="1", days=days, dwell_s=dwell, more=more, about=about)


def _regions(text: str) -> tuple[int, int]:
    down, _, across = text.partition("x")
    if not (down.isdecimal() and across.isdecimal() and int(down) and int(across)):
        raise ProcedureError(f"--regions {text}: DOWNxACROSS is wanted, such as 4x4")
    return int(down), int(across)
