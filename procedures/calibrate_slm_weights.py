"""Calibrate SLMs that show weights: gray to signed field, scale and leaks of every macropixel.

Every macropixel passes all levels in an order of its own, and beams under
codes tell them apart. Light crosses one SLM at a time and no cell, so that a
source that is not uniform, or an absorber, is not taken for the panel.
"""

from __future__ import annotations

import argparse
from typing import Any

from labonn.bench import Bench
from labonn.calibration.judging import Tolerances
from labonn.calibration.measuring import Measuring
from labonn.calibration.options import calibration_options, check_options, conditions_of, store_of
from labonn.calibration.slm_weights.measuring import KIND, measure_panel
from labonn.calibration.slm_weights.saving import panel_calibration, panel_figure, panel_result
from labonn.calibration.slm_weights.sweep import panel_sweeps
from labonn.errors import ProcedureError
from labonn.runs import Run
from procedures.benches import shipped

benches = ("vapour_cell", "vapour_defects")
__all__ = ["KIND", "benches"]


def options(parser: argparse.ArgumentParser) -> None:
    """The procedure's own options."""
    calibration_options(parser)
    add = parser.add_argument
    add("--port", metavar="NAME", help="of one SLM (default: all, one calibration each)")
    add("--dwell", type=float, default=1e-5, metavar="S", help="seconds a shot (default %(default)s)")


def ports(bench: Bench) -> list[str]:
    """That get a calibration each."""
    return list(panel_sweeps(bench, 1e-5))


def bench_file(args: argparse.Namespace) -> str:
    """The bench that `--bench vapour_cell` means."""
    return shipped(args.bench_name or benches[0])


def check(args: argparse.Namespace) -> None:
    """Refuse options that make no sense, before anything is opened."""
    check_options(args)
    if not 0 < args.dwell < 1:
        raise ProcedureError(f"--dwell {args.dwell}: between 0 and 1 s")


def main(bench: Bench, args: argparse.Namespace, run: Run) -> dict[str, Any]:
    """Measure, keep, draw, one SLM after the other."""
    sweeps, store = panel_sweeps(bench, args.dwell), store_of(args)
    if args.port is not None and args.port not in sweeps:
        raise ProcedureError(f"--port {args.port}: SLMs of {bench.file.name} are {', '.join(sweeps)}")
    how = Measuring(
        args.levels, args.passes, args.fresh, within=Tolerances(residual=args.tolerance), leave_out=args.leave_out, seed=run.seed
    )
    result: dict[str, Any] = {}
    for port, sweep in sweeps.items():
        if args.port in (None, port):
            show = bench.ports[port].shown
            outcome = bench.run(measure_panel(sweep, how, bench.specs[port].names, show))
            calibration = panel_calibration(outcome, bench, args.days or None, conditions_of(args))
            panel_figure_of = f"calibration_{port}"
            run.save_figure(panel_figure_of, lambda path, o=outcome, c=calibration: panel_figure(o, c, path))  # type: ignore[misc]
            run.event(f"{calibration.title} kept in {store.folder}: {store.save(calibration)}")
            result |= panel_result(calibration)
    return result | {"shots": bench.shots, "exchanges": bench.exchanges, "bench_time_s": bench.clock.now()}
