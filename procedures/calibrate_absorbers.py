"""Calibrate absorbers: optical depth and saturation field of every cell, all from one table.

Ovens go to a temperature first. Then light of both signs goes up and down over
decades through all cells at once; whatever each tap sees before its cell is
compared with what it sees behind. Cell models are compared by what they leave.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from labonn.absorbers import CELLS
from labonn.bench import Bench
from labonn.calibration.absorbers.figures import absorber_figure
from labonn.calibration.absorbers.measuring import KIND, HowCells, measure_cells
from labonn.calibration.absorbers.saving import cells_calibration, told
from labonn.calibration.absorbers.sweep import BEFORE, BEHIND, cell_sweep
from labonn.calibration.options import conditions_of, store_of, store_option
from labonn.calibration.ovens.reading import sensors
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
    depth = "for which ovens are set, as believed: one for all cells or one each (default: 30)"
    add("--optical-depth", type=float, nargs="+", metavar="A", help=depth)
    add("--temperature", type=float, nargs="+", metavar="C", help="of the ovens instead, in degC")
    add("--cell", choices=CELLS, help="take this model for granted (default: find out which one light obeys)")
    add("--gaussian", action="store_true", help="beams are Gaussian, not flat: saturation fields are those of their middle")
    add("--levels", type=int, default=32, metavar="N", help="of input light, of either sign (default %(default)s)")
    add("--passes", type=int, default=2, metavar="N", help="an even number: halves are compared (default %(default)s)")
    add("--rows", type=int, default=6, metavar="N", help="steps of the amplifier of each further cell (default %(default)s)")
    add("--repeats", type=int, default=8, metavar="N", help="shots a point (default %(default)s)")
    add("--fresh", type=int, default=12, metavar="N", help="levels to verify with, which are not fitted (default %(default)s)")
    add("--dwell", type=float, default=2e-6, metavar="S", help="seconds a shot; noise has to blur the codes (default %(default)s)")
    add("--tolerance", type=float, default=0.01, metavar="R", help="of transmissions at fresh points (default %(default)s)")
    add("--leave-out", type=int, default=0, metavar="N", help="taps that may fail; they are left out (default %(default)s)")
    add("--condition", nargs="+", default=[], metavar="KEY=VALUE", help="to be kept with it, such as wavelength_nm=780.24")
    add("--days", type=float, default=30.0, metavar="D", help="days until it expires; 0: never (default %(default)s)")


def bench_file(args: argparse.Namespace) -> str:
    """The bench that `--bench vapour_cell` means."""
    return shipped(args.bench_name or benches[0])


def check(args: argparse.Namespace) -> None:
    """Refuse options that make no sense, before anything is opened."""
    least = ("levels", 12), ("passes", 2), ("rows", 2), ("repeats", 2), ("fresh", 2), ("leave_out", 0)
    for name, lowest in least:
        if getattr(args, name) < lowest:
            raise ProcedureError(f"--{name.replace('_', '-')} {getattr(args, name)}: at least {lowest}")
    if args.passes % 2:
        raise ProcedureError(f"--passes {args.passes}: an even number is wanted, to compare the two halves of the sweep")
    if not 0 < args.tolerance < 1 or not 0 <= args.days < 36500 or not 0 < args.dwell < 1:
        given = f"--tolerance {args.tolerance:g}, --days {args.days:g}, --dwell {args.dwell:g}"
        raise ProcedureError(f"{given}: between 0 and 1; not negative, and below 36500; between 0 and 1 s")
    if args.optical_depth and args.temperature:
        raise ProcedureError("--optical-depth, --temperature: one of them, not both")
    conditions_of(args)


def main(bench: Bench, args: argparse.Namespace, run: Run) -> dict[str, Any]:
    """Measure, keep, draw."""
    layers, optics, names = layers_of(bench.ports, bench.specs, bench.file.name), Optics.of(bench.file), bench.specs["ovens"].names
    sweep = cell_sweep(layers, optics, bench.specs, args.rows, args.repeats, args.dwell)
    target_c, taps = _targets(args, optics, len(names)), (bench.specs[BEFORE].names, bench.specs[BEHIND].names)
    how = HowCells(args.levels, args.passes, args.fresh, args.cell, args.gaussian, args.tolerance, args.leave_out, run.seed)
    outcome = bench.run(measure_cells(sweep, how, names, taps, target_c, sensors(bench, "ovens")))
    about = {"target_degC": target_c.tolist(), **conditions_of(args)}
    calibration = cells_calibration(bench, sweep, outcome, args.days or None, about)
    run.save_figure("calibration", lambda path: absorber_figure(outcome, calibration, args.tolerance, path))
    store, result = store_of(args), told(outcome, calibration)
    run.event(f"{calibration.title} kept in {store.folder}: {store.save(calibration)}; cell: {result['cell']}")
    return result | {"shots": bench.shots, "exchanges": bench.exchanges, "bench_time_s": bench.clock.now()}


def _targets(args: argparse.Namespace, optics: Optics, cells: int) -> Floats:
    """(H,) degC."""
    given = args.temperature or [optics.oven.temperature(depth) for depth in args.optical_depth or [30.0]]
    if len(given) not in (1, cells):
        raise ProcedureError(f"--optical-depth, --temperature: {len(given)} values; 1 or {cells} are wanted, one for each cell")
    return np.array(np.broadcast_to(np.array(given, np.float64), (cells,)))
