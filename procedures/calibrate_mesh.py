"""Calibrate a mesh of interferometers: row by row, then phases, splitters and crosstalk at once.

Two or three tables a row find every heater's fringe with detectors at the outputs
only. One table of random settings then tells heaters, crosstalk, splitters, losses
and detectors at once. Fresh settings, and random unitaries, verify what was found.
The heaters of a whole chip (--bench mzi_chip), which are near enough to nominal
ones to begin there, are found from one table, read at hidden neurons and outputs.
"""

from __future__ import annotations

import argparse
from typing import Any

from labonn.bench import Bench
from labonn.benchfile import parse
from labonn.calibration.calibration import Calibration
from labonn.calibration.mesh.bank import MeshSweep
from labonn.calibration.mesh.chip_measuring import ChipMeasuring, chip_problem, measure_chip
from labonn.calibration.mesh.chip_saving import chip_calibration, chip_calibration_figure, misfits
from labonn.calibration.mesh.design import MeshDesign
from labonn.calibration.mesh.figures import mesh_figure
from labonn.calibration.mesh.heaters import CROSSTALK
from labonn.calibration.mesh.measuring import MeshMeasuring, MeshOutcome, MeshWithin, measure_mesh, problem_of
from labonn.calibration.mesh.saving import mesh_calibration
from labonn.calibration.options import conditions_of, store_of, store_option
from labonn.calibration.saving import result_of
from labonn.chip_setup import check_ports
from labonn.chips import ChipOptics
from labonn.errors import ProcedureError
from labonn.runs import Run
from procedures.benches import chip_bench, shipped
from procedures.benches.mesh import mesh_bench

benches = ("mesh_bench", "mzi_chip")
LEAST = {"levels": 12, "passes": 2, "settings": 32, "fresh": 2, "unitaries": 1, "ports": 2, "leave_out": 0}


def options(parser: argparse.ArgumentParser) -> None:
    """The procedure's own options."""
    store_option(parser)
    add = parser.add_argument
    add(
        "--levels",
        type=int,
        default=24,
        metavar="N",
        help="levels of a pass through the range, in the tables of the rows (default %(default)s)",
    )
    add("--passes", type=int, default=2, metavar="N", help="passes of these (default %(default)s)")
    add("--settings", type=int, metavar="N", help="random settings, to which everything is fitted (default: 96, or 60 of a chip)")
    add("--fresh", type=int, default=8, metavar="N", help="groups of fresh settings to verify with (default %(default)s)")
    add("--unitaries", type=int, default=4, metavar="N", help="random ones, to verify with (default %(default)s)")
    crosstalk = "one coefficient for pairs of heaters that lie to each other alike, one a pair, or none"
    add("--crosstalk", choices=CROSSTALK, default="alike", help=f"{crosstalk} (default %(default)s)")
    add("--tolerance", type=float, default=0.02, metavar="RAD", help="of phases at fresh settings (default %(default)s)")
    add("--extinction", type=float, default=15.0, metavar="DB", help="that a coupler has to reach, bar and cross (default %(default)s)")
    add("--dwell", type=float, default=2e-5, metavar="S", help="seconds a shot, in which heaters settle (default %(default)s)")
    add("--leave-out", type=int, default=0, metavar="N", help="(mzi_chip) heaters that may fail; they are left out (default %(default)s)")
    add("--ports", type=int, metavar="N", help="of the procedure's own mesh_bench (default 8)")
    add("--sizes", type=int, nargs=3, default=[16, 10, 10], metavar="N", help="of the procedure's own mzi_chip (default 16 10 10)")
    add("--condition", nargs="+", default=[], metavar="KEY=VALUE", help="to be kept with it, such as wavelength_nm=1550")
    add("--days", type=float, default=7.0, metavar="D", help="days until it expires; 0: never (default %(default)s)")


def applies(bench: Bench) -> bool:
    """Whether the bench has a mesh, or a chip that can be calibrated as a whole."""
    if "chip" not in bench.file.nominal:
        return "mesh" in bench.file.nominal
    try:
        chip_problem(ChipOptics.of(bench.file), "alike")
    except ProcedureError:
        return False
    return True


def ports(bench: Bench) -> tuple[str, ...]:
    """That get a calibration."""
    return ("heaters",)


def bench_file(args: argparse.Namespace) -> str:
    """The bench of `--ports`, or the chip of `--sizes`."""
    if args.bench_name == "mzi_chip":
        return chip_bench("mzi_chip", args.sizes)
    return shipped(benches[0]) if args.ports is None else mesh_bench(args.ports)


def check(args: argparse.Namespace) -> None:
    """Refuse options that make no sense, before anything is opened."""
    for name, least in LEAST.items():
        value = getattr(args, name)
        if value is not None and value < least:
            raise ProcedureError(f"--{name.replace('_', '-')} {value}: at least {least}")
    if not (0 < args.tolerance < 1 and 0 < args.extinction < 100 and 0 < args.dwell < 1 and 0 <= args.days < 36500):
        given = f"--tolerance {args.tolerance:g}, --extinction {args.extinction:g}, --dwell {args.dwell:g}, --days {args.days:g}"
        raise ProcedureError(f"{given}: between 0 and 1 rad; 0 and 100 dB; 0 and 1 s; not negative, and below 36500")
    if args.ports is not None and (args.bench is not None or args.bench_name == "mzi_chip"):
        raise ProcedureError("--ports is for the procedure's own mesh_bench; a bench file says how many ports its mesh has")
    if args.bench is None:
        file = parse(bench_file(args), "bench.toml")
        if "chip" in file.nominal:
            chip_problem(ChipOptics.of(file), args.crosstalk)
        else:
            problem_of(MeshDesign.of(file), args.crosstalk)
    conditions_of(args)


def main(bench: Bench, args: argparse.Namespace, run: Run) -> dict[str, Any]:
    """Measure, keep, draw."""
    calibration, told = _chip(bench, args, run) if "chip" in bench.file.nominal else _mesh(bench, args, run)
    store = store_of(args)
    run.event(f"{calibration.title} kept in {store.folder}: {store.save(calibration)}")
    return told | {"shots": bench.shots, "exchanges": bench.exchanges, "bench_time_s": bench.clock.now()}


def _mesh(bench: Bench, args: argparse.Namespace, run: Run) -> tuple[Calibration, dict[str, Any]]:
    design = MeshDesign.of(bench.file)
    sweep = MeshSweep.of(bench, design, args.dwell)
    within = MeshWithin(phase_rad=args.tolerance, extinction_db=args.extinction)
    settings = args.settings or MeshMeasuring.settings
    how = MeshMeasuring(args.levels, args.passes, settings, args.fresh, args.unitaries, args.crosstalk, within, run.seed)
    outcome = bench.run(measure_mesh(design, sweep, how))
    calibration = mesh_calibration(bench, outcome, args.dwell, args.days or None, {"crosstalk": args.crosstalk, **conditions_of(args)})
    run.save_figure("calibration", lambda path: mesh_figure(outcome, calibration, path))
    shown = result_of(calibration, ["p_pi", "phase", "splitters", "bar_extinction", "cross_extinction"])
    return calibration, shown | _unitaries(outcome)


def _unitaries(outcome: MeshOutcome) -> dict[str, Any]:
    """What they came to, and how many tables there were."""
    told: dict[str, Any] = {}
    for name, part in (("nominal", outcome.before), ("calibrated", outcome.after)):
        powers = f"measured powers {100 * part.rms.mean():.2g} % off, overlap {part.measured.mean():.5f}"
        told[f"unitaries, {name}"] = f"{len(part.rms)} random ones: {powers}; fidelity by the fit {part.expected.mean():.5f}"
    told["tables"] = f"{len(outcome.rows)} of rows, one to fit, one to verify, one of unitaries, one of the drift check"
    told["outliers"] = f"{outcome.fitted.outliers} readings were held off"
    return told


def _chip(bench: Bench, args: argparse.Namespace, run: Run) -> tuple[Calibration, dict[str, Any]]:
    optics = ChipOptics.of(bench.file)
    check_ports(optics, bench.specs, bench.file.name)
    how = ChipMeasuring(
        args.settings or ChipMeasuring.settings, fresh=args.fresh, crosstalk=args.crosstalk, phase_rad=args.tolerance,
        leave_out=args.leave_out, seed=run.seed, dwell_s=args.dwell,
    )  # fmt: skip
    outcome = bench.run(measure_chip(optics, bench.specs, how))
    calibration = chip_calibration(
        bench, outcome, optics, args.dwell, args.days or None, {"crosstalk": args.crosstalk, **conditions_of(args)}
    )
    run.save_figure("calibration", lambda path: chip_calibration_figure(outcome, calibration, path))
    before, after = misfits(outcome)
    told = f"nominal numbers leave {100 * before:.3g} % of the readings at fresh settings, calibrated ones {100 * after:.3g} %"
    return calibration, result_of(calibration, ["p_pi", "phase"]) | {"prediction": told}
