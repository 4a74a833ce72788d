"""Calibrate modulators: V_pi, bias and extinction of every channel, all from one table.

Behind photodiodes each channel is swept in an order of its own. Where beams
meet at homodyne detectors (a vapour-cell bench), all channels are swept at
once under codes, which tell them apart. Fresh points verify what was fitted.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from labonn.bench import Bench
from labonn.calibration import Calibration, Coefficient
from labonn.calibration.figures import calibration_figure
from labonn.calibration.judging import Tolerances
from labonn.calibration.measuring import Measuring, Outcome, measure
from labonn.calibration.models import INTENSITY, Model, field_model
from labonn.calibration.options import calibration_options, check_options, conditions_of, store_of
from labonn.calibration.rigging import direct_sweep, homodyne_sweep, modulators_of
from labonn.calibration.saving import calibration_of, result_of
from labonn.calibration.sweeps import DirectSweep, Sweep
from labonn.errors import ProcedureError
from labonn.runs import Run
from procedures.benches import shipped

benches = ("desk", "modulator_row", "vapour_cell", "vapour_defects")
KIND = "modulators"


def options(parser: argparse.ArgumentParser) -> None:
    """The procedure's own options."""
    calibration_options(parser)
    add = parser.add_argument
    add("--port", metavar="NAME", help="of the modulators (default: the bench's only one, or `input`)")
    add("--detector", metavar="NAME", help="that reads them (default: the trigger, or the first cell's taps)")
    hold = "what else is set during the sweep, as laser=60mA (default: sources at 80 %% of their limits)"
    add("--hold", nargs="+", default=[], metavar="PORT=VALUE", help=hold)
    add("--repeats", type=int, default=4, metavar="N", help="shots a level, behind photodiodes (default %(default)s)")
    add("--dwell", type=float, metavar="S", help="seconds a shot (default: 1e-3, or 1e-5 where light is homodyned)")


def bench_file(args: argparse.Namespace) -> str:
    """The bench that `--bench desk`, `modulator_row` or `vapour_cell` means."""
    return shipped(args.bench_name or benches[0])


def check(args: argparse.Namespace) -> None:
    """Refuse options that make no sense, before anything is opened."""
    check_options(args)
    if args.repeats < 2 or not (args.dwell is None or 0 < args.dwell < 10):
        raise ProcedureError(f"--repeats {args.repeats}, --dwell {args.dwell}: at least 2; between 0 and 10 s")


def main(bench: Bench, args: argparse.Namespace, run: Run) -> dict[str, Any]:
    """Measure, keep, draw."""
    port = modulators_of(bench, args.port)
    spec = bench.specs[port]
    sweep, model = _sweep(bench, port, args)
    within = Tolerances(residual=args.tolerance)
    how = Measuring(args.levels, args.passes, args.fresh, within=within, leave_out=args.leave_out, seed=run.seed)
    outcome = bench.run(measure(KIND, sweep, model, how, spec.names, np.asarray(spec.lower), np.asarray(spec.upper)))
    calibration = _calibration(bench, sweep, outcome, args)
    run.save_figure("calibration", lambda path: calibration_figure(outcome, calibration, path))
    store = store_of(args)
    run.event(f"{calibration.title} kept in {store.folder}: {store.save(calibration)}")
    shown = ["v_pi", "bias", *(["extinction"] if "extinction" in calibration.coefficients else [])]
    return result_of(calibration, shown) | {"shots": bench.shots, "exchanges": bench.exchanges, "bench_time_s": bench.clock.now()}


def _sweep(bench: Bench, port: str, args: argparse.Namespace) -> tuple[Sweep, Model]:
    if "weights1" in bench.ports:
        sweep = homodyne_sweep(bench, port, args.dwell or 1e-5)
        return sweep, field_model(sweep.reference)
    return direct_sweep(bench, port, args.detector, args.hold, args.repeats, args.dwell or 1e-3), INTENSITY


def _calibration(bench: Bench, sweep: Sweep, outcome: Outcome, args: argparse.Namespace) -> Calibration:
    port, more = sweep.port, {}
    if isinstance(sweep, DirectSweep) and sweep.dark:
        more = _extinction(outcome)
    held = {f"held.{name}": row.tolist() if row.size <= 16 else f"{row.size} values" for name, row in sweep.held.items()}
    involved, unit, days = (port, sweep.detector, *sweep.held), bench.specs[port].unit, args.days or None
    about = {**held, **conditions_of(args)}
    return calibration_of(KIND, outcome, bench, port, involved, x_unit=unit, days=days, dwell_s=sweep.dwell_s, more=more, about=about)


def _extinction(outcome: Outcome) -> dict[str, Coefficient]:
    """In dB, above the dark level; NaN where the lowest light cannot be told from none."""
    dark, low, high = outcome.points.dark, *outcome.fitted.parameters.T[:2]
    seen = (low - dark > 2 * outcome.fitted.errors[:, 0]) & np.array([not told for told in outcome.words])
    ratio = np.where(seen, (high - dark) / np.where(seen, low - dark, 1.0), np.nan)
    return {"extinction": Coefficient(10 * np.log10(ratio), "dB"), "dark": Coefficient(dark, outcome.unit)}
