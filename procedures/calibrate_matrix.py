"""Measure a whole weight matrix against the believed one, all beams and all rows from one table.

On a vapour-cell bench through the first SLM, with random weights, to the taps before the first cell; on a chip from its inputs to the
hidden neurons, or what the host sends in again to the outputs (--layer 2). A reference between the shots tells light and sign; fresh
random vectors verify what was measured. A chip whose heaters are not calibrated is another matrix than believed: --off makes that fail.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from labonn.bench import Bench
from labonn.calibration import Calibration
from labonn.calibration.matrix.figure import matrix_figure
from labonn.calibration.matrix.judging import MatrixTolerances, worst_elements
from labonn.calibration.matrix.measuring import KIND, MatrixMeasuring, MatrixOutcome, measure_matrix
from labonn.calibration.matrix.rigging import matrix_sweep
from labonn.calibration.matrix.sweep import MatrixSweep
from labonn.calibration.options import calibration_options, check_options, conditions_of, store_of
from labonn.calibration.saving import calibration_of, result_of
from labonn.errors import ProcedureError
from labonn.runs import Run
from procedures.benches import shipped

benches = ("vapour_cell", "mzi_chip", "pt_chip")
REFRESH_S = 1 / 120  # a shot as long as that has the mean of an SLM's flicker


def options(parser: argparse.ArgumentParser) -> None:
    """The procedure's own options."""
    calibration_options(parser)
    parser.set_defaults(fresh=32, tolerance=0.05)
    add = parser.add_argument
    add("--layer", type=int, default=1, metavar="N", help="of the network (default %(default)s)")
    add("--level", type=float, metavar="R", help="field of a beam, 0 to 1 (default: what the detectors can read, as believed)")
    off = "largest part of a row that is not the believed one, beside its gain (default: any; it is told)"
    add("--off", type=float, default=float("inf"), metavar="R", help=off)
    add("--repeats", type=int, default=8, metavar="N", help="shots a fresh vector (default %(default)s)")
    add("--dwell", type=float, metavar="S", help="seconds a shot (default: 1/120 with an SLM, else 1e-5)")


def bench_file(args: argparse.Namespace) -> str:
    """The bench that `--bench vapour_cell`, `mzi_chip` or `pt_chip` means."""
    return shipped(args.bench_name or benches[0])


def check(args: argparse.Namespace) -> None:
    """Refuse options that make no sense, before anything is opened."""
    check_options(args)
    if args.repeats < 2 or not (args.dwell is None or 0 < args.dwell < 10):
        raise ProcedureError(f"--repeats {args.repeats}, --dwell {args.dwell}: at least 2; between 0 and 10 s")
    if not (args.level is None or 0 < args.level <= 1) or not args.off > 0:
        raise ProcedureError(f"--level {args.level}, --off {args.off:g}: between 0 and 1; above 0")


def main(bench: Bench, args: argparse.Namespace, run: Run) -> dict[str, Any]:
    """Measure, keep, draw."""
    dwell_s = args.dwell or (REFRESH_S if "weights1" in bench.ports else 1e-5)
    sweep = matrix_sweep(bench, args.layer, args.level, dwell_s, run.seed)
    within = MatrixTolerances(residual=args.tolerance, off=args.off)
    found = bench.run(measure_matrix(sweep, MatrixMeasuring(args.fresh, args.repeats, within, args.leave_out, run.seed)))
    calibration = _calibration(bench, sweep, found, args)
    run.save_figure("calibration", lambda path: matrix_figure(sweep, found, calibration, path))
    store = store_of(args)
    run.event(f"{calibration.title} kept in {store.folder}: {store.save(calibration)}")
    told = result_of(calibration, ["gain", "offset"]) | _told(sweep, found)
    return told | {"shots": bench.shots, "exchanges": bench.exchanges, "bench_time_s": bench.clock.now()}


def _calibration(bench: Bench, sweep: MatrixSweep, found: MatrixOutcome, args: argparse.Namespace) -> Calibration:
    held = {f"held.{name}": row.tolist() if row.size <= 16 else f"{row.size} values" for name, row in sweep.held.items()}
    about = {**held, "layer": args.layer, "level": sweep.level, "blocked_beams": found.blocked, **conditions_of(args)}
    involved, days, outcome = (sweep.port, sweep.source, sweep.detector, *sweep.held), args.days or None, found.outcome
    dwell, more = sweep.dwell_s, found.more(sweep)
    return calibration_of(KIND, outcome, bench, sweep.port, involved, x_unit="1", days=days, dwell_s=dwell, more=more, about=about)


def _told(sweep: MatrixSweep, found: MatrixOutcome) -> dict[str, Any]:
    """What a person wants to know: how far off, and where most."""
    against, weights = found.against, found.more(sweep)["weights"].values
    expected, size = against.gain[:, None] * sweep.believed, float(np.sqrt(np.mean(sweep.believed**2)))
    worst = worst_elements(weights, expected)
    elements = [f"{sweep.rows[d]} x {sweep.beams[c]} {100 * (weights[d, c] - expected[d, c]) / size:+.3g} %" for d, c in worst]
    beams = np.sqrt(np.nanmean(weights**2, axis=0))
    least = int(np.nanargmin(beams))
    order = np.argsort(-np.where(np.isfinite(weights).any(axis=1), against.row_off, -1.0))[:3]
    return {
        "off": f"{100 * against.off:.4g} % of the believed rms; {100 * against.off_scaled:.4g} % beside the rows' gains",
        "standard error": f"{100 * float(np.median(found.found.error)) / size:.2g} % of the believed rms, an element",
        "worst rows": ", ".join(f"{sweep.rows[int(d)]} {100 * against.row_off[int(d)]:.3g} %" for d in order),
        "weakest beam": f"{sweep.beams[least]}, {100 * beams[least] / float(np.nanmedian(beams)):.3g} % of the median",
        "worst elements": ", ".join(elements),
        "light of the reference": f"{found.found.light.min():.4g} to {found.found.light.max():.4g}",
    }
