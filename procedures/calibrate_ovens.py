"""Calibrate ovens: optical depth against temperature of every cell, and how long ovens need.

Ovens go up and down again in steps, each waited for by their sensors; at each
one a small sweep of the light through all cells tells their optical depths.
The vapour law is fitted with a scale and an offset, and verified at fresh
temperatures. A training asks the result for a temperature that holds a depth.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from labonn.absorbers import CELLS
from labonn.bench import Bench
from labonn.calibration.absorbers.measuring import HowCells
from labonn.calibration.absorbers.sweep import BEFORE, BEHIND, cell_sweep
from labonn.calibration.options import conditions_of, store_of, store_option
from labonn.calibration.ovens.figures import oven_figure
from labonn.calibration.ovens.lag import OvenSensors
from labonn.calibration.ovens.measuring import KIND, HowOvens, measure_ovens, schedule
from labonn.calibration.ovens.saving import ovens_calibration, told
from labonn.channels import Floats
from labonn.errors import ProcedureError
from labonn.layers import layers_of
from labonn.optics import Optics
from labonn.runs import Run
from procedures.benches import shipped

benches = ("vapour_cell",)
__all__ = ["KIND", "bench_file", "check", "main", "options"]


def options(parser: argparse.ArgumentParser) -> None:
    """The procedure's own options."""
    store_option(parser)
    add = parser.add_argument
    depths = "range of optical depths, as believed before (default: 1 60)"
    add("--depths", type=float, nargs=2, default=[1.0, 60.0], metavar=("LOW", "HIGH"), help=depths)
    add("--every", type=float, default=15.0, metavar="S", help="seconds between looks at the sensors (default %(default)s)")
    add("--most-wait", type=float, default=3600.0, metavar="S", help="seconds that a step may take (default %(default)s)")
    add("--hold", type=float, default=120.0, metavar="S", help="seconds to hold when sensors have settled (default %(default)s)")
    add("--cell", choices=CELLS, help="take this model for granted (default: find out which one light obeys)")
    add("--gaussian", action="store_true", help="beams are Gaussian, not flat")
    add("--levels", type=int, default=20, metavar="N", help="of input light, of either sign (default %(default)s)")
    add("--rows", type=int, default=4, metavar="N", help="steps of the amplifier of each further cell (default %(default)s)")
    add("--repeats", type=int, default=8, metavar="N", help="shots a point (default %(default)s)")
    add("--dwell", type=float, default=2e-6, metavar="S", help="seconds a shot; noise has to blur the codes (default %(default)s)")
    add("--tolerance", type=float, default=0.02, metavar="R", help="of optical depths at fresh temperatures (default %(default)s)")
    add("--leave-out", type=int, default=0, metavar="N", help="taps that may fail; they are left out (default %(default)s)")
    add("--condition", nargs="+", default=[], metavar="KEY=VALUE", help="to be kept with it, such as wavelength_nm=780.24")
    add("--days", type=float, default=30.0, metavar="D", help="days until it expires; 0: never (default %(default)s)")


def bench_file(args: argparse.Namespace) -> str:
    """The bench that `--bench vapour_cell` means."""
    return shipped(args.bench_name or benches[0])


def check(args: argparse.Namespace) -> None:
    """Refuse options that make no sense, before anything is opened."""
    for name, lowest in (("levels", 12), ("rows", 2), ("repeats", 2), ("leave_out", 0), ("every", 0.1), ("most_wait", 1.0), ("hold", 0.0)):
        if not getattr(args, name) >= lowest:
            raise ProcedureError(f"--{name.replace('_', '-')} {getattr(args, name):g}: at least {lowest}")
    low, high = args.depths
    if not 0 < low < high / 2:
        raise ProcedureError(f"--depths {low:g} {high:g}: above 0, and the second at least twice the first")
    if not 0 < args.tolerance < 1 or not 0 <= args.days < 36500 or not 0 < args.dwell < 1:
        given = f"--tolerance {args.tolerance:g}, --days {args.days:g}, --dwell {args.dwell:g}"
        raise ProcedureError(f"{given}: between 0 and 1; not negative, and below 36500; between 0 and 1 s")
    conditions_of(args)


def main(bench: Bench, args: argparse.Namespace, run: Run) -> dict[str, Any]:
    """Measure, keep, draw."""
    layers, optics, spec = layers_of(bench.ports, bench.specs, bench.file.name), Optics.of(bench.file), bench.specs["ovens"]
    sweep = cell_sweep(layers, optics, bench.specs, args.rows, args.repeats, args.dwell)
    taps = bench.specs[BEFORE].names, bench.specs[BEHIND].names
    cells = HowCells(args.levels, cell=args.cell, gaussian=args.gaussian, leave_out=args.leave_out, seed=run.seed)
    sensors = OvenSensors(bench, "ovens", args.every, args.most_wait, args.hold)
    plan = measure_ovens(sweep, HowOvens(cells, args.tolerance), spec.names, taps, _targets(args, optics, len(spec)), sensors)
    outcome = bench.run(plan)
    calibration = ovens_calibration(bench, sweep, outcome, optics.cell, args.days or None, {"hold_s": args.hold, **conditions_of(args)})
    run.save_figure("calibration", lambda path: oven_figure(outcome, calibration, path))
    store, result = store_of(args), told(outcome, calibration, optics.cell, float(spec.settle_s.max(initial=0.0)))
    run.event(f"{calibration.title} kept in {store.folder}: {store.save(calibration)}; {result['wait']}")
    return result | {"shots": bench.shots, "exchanges": bench.exchanges, "bench_time_s": bench.clock.now()}


def _targets(args: argparse.Namespace, optics: Optics, cells: int) -> Floats:
    """(K, H) degC; limits are the bench's to check."""
    low, high = (np.full(cells, optics.oven.temperature(depth)) for depth in args.depths)
    return schedule(low, high)
