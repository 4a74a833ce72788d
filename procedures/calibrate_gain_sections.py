"""Calibrate gain sections: gain against current and power, so theta of PT couplers, from one table.

The light before each section is switched through several powers at each current: what follows it is signal, what the section emits by
itself is not. Where strong light is amplified like weak light the gain is one; this tells gain from losses on the way, so the detectors
must be known to be linear, or how far they are not (calibrate_detectors comes first).
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from labonn.bench import Bench
from labonn.calibration import Calibration, Coefficient, current
from labonn.calibration.gain_sections.figures import gain_figure
from labonn.calibration.gain_sections.measuring import KIND, measure_sections
from labonn.calibration.gain_sections.model import PARAMETERS
from labonn.calibration.gain_sections.rigging import section_sweep
from labonn.calibration.gain_sections.sweep import GainSweep
from labonn.calibration.gain_sections.theta import MeasuredSections
from labonn.calibration.judging import Tolerances
from labonn.calibration.measuring import Measuring, Outcome
from labonn.calibration.options import calibration_options, check_options, conditions_of, store_of
from labonn.calibration.saving import calibration_of, result_of
from labonn.chips import ChipOptics
from labonn.couplers import Coupler
from labonn.errors import ProcedureError
from labonn.runs import Run
from procedures.benches import shipped

benches = ("gain_row",)
AFTER = ("detectors",)


def options(parser: argparse.ArgumentParser) -> None:
    """The procedure's own options."""
    calibration_options(parser)
    parser.set_defaults(tolerance=0.003)
    add = parser.add_argument
    add("--sections", default="gain", metavar="NAME", help="port of their currents (default %(default)s)")
    add("--light", default="input", metavar="NAME", help="port of the modulators before them (default %(default)s)")
    add("--monitor", default="monitors", metavar="NAME", help="detectors between modulators and sections (default %(default)s)")
    add("--detector", metavar="NAME", help="detectors behind the sections (default: the trigger)")
    hold = "what else is set during the sweep (default: sources at 80 %% of their limits, other modulators open)"
    add("--hold", nargs="+", default=[], metavar="PORT=VALUE", help=hold)
    add("--powers", type=int, default=5, metavar="N", help="powers at each current, from dark to full light (default %(default)s)")
    add("--repeats", type=int, default=8, metavar="N", help="shots of each current and power (default %(default)s)")
    add("--dwell", type=float, default=1e-6, metavar="S", help="seconds a shot (default %(default)s)")
    add("--loss-db", type=float, metavar="DB", help="internal loss of a section, if known: tells the current of material transparency")
    add("--linear", action="store_true", help="take detectors as linear where they have no calibration")


def bench_file(args: argparse.Namespace) -> str:
    """The bench that `--bench gain_row` means."""
    return shipped(args.bench_name or benches[0])


def check(args: argparse.Namespace) -> None:
    """Refuse options that make no sense, before anything is opened."""
    check_options(args)
    if args.repeats < 2 or args.powers < 3 or not 0 < args.dwell < 10:
        raise ProcedureError(f"--repeats {args.repeats}, --powers {args.powers}, --dwell {args.dwell}: at least 2, at least 3; 0 to 10 s")
    if args.loss_db is not None and not 0 <= args.loss_db <= 60:
        raise ProcedureError(f"--loss-db {args.loss_db:g}: 0 to 60")


def main(bench: Bench, args: argparse.Namespace, run: Run) -> dict[str, Any]:
    """Measure, keep, draw."""
    sweep, parents = _sweep(bench, args, run)
    spec, store = bench.specs[sweep.port], store_of(args)
    within = Tolerances(residual=args.tolerance, drift=args.tolerance)
    how = Measuring(args.levels, args.passes, args.fresh, within=within, leave_out=args.leave_out, seed=run.seed)
    lower, upper, step = (np.asarray(edge) for edge in (np.maximum(spec.lower, 0.0), spec.upper, spec.step))
    outcome = bench.run(measure_sections(sweep, how, spec.names, lower, upper, step))
    calibration, design = _calibration(bench, sweep, outcome, args, parents), ChipOptics.of(bench.file).design
    sections = MeasuredSections.of(calibration, Coupler(design.coupler, design.z, design.one_sided), spec)
    run.save_figure("calibration", lambda path: gain_figure(outcome, calibration, sections, sweep.powers, path))
    run.event(f"{calibration.title} kept in {store.folder}: {store.save(calibration)}")
    (low, high), error = sections.reach(), sections.believed(np.stack([lower, upper]))[1]
    reach = f"{np.nanmax(low):.4f} to {np.nanmin(high):.4f} in all sections, +- {np.nanmax(error):.1g} rad"
    told = result_of(calibration, [name for name in ("zero", "strength", "saturation", "transparency") if name in calibration.coefficients])
    return told | {"theta": reach, "shots": bench.shots, "exchanges": bench.exchanges, "bench_time_s": bench.clock.now()}


def _sweep(bench: Bench, args: argparse.Namespace, run: Run) -> tuple[GainSweep, tuple[str, ...]]:
    trigger = next(p.name for p in bench.file.ports.values() if p.role == "trigger")
    ports = {"sections": args.sections, "light": args.light, "monitor": args.monitor, "detector": args.detector or trigger}
    if args.linear:
        run.event(
            "--linear: detectors are taken as linear; what they compress is taken for the sections', and theta is wrong by it", "warning"
        )
    believed = {} if args.linear else current(store_of(args), bench, kinds=("detectors",))
    parents = {port: found for (port, _), found in believed.items() if port in (ports["monitor"], ports["detector"])}
    known = None if args.linear else parents
    sweep = section_sweep(bench, ports, args.hold, known, args.repeats, args.dwell, args.powers, run.seed)
    return sweep, tuple(found.id for found in parents.values())


def _calibration(bench: Bench, sweep: GainSweep, outcome: Outcome, args: argparse.Namespace, parents: tuple[str, ...]) -> Calibration:
    good = np.array([not told for told in outcome.words])
    found = dict(zip(PARAMETERS, np.where(good, outcome.fitted.parameters.T, np.nan), strict=True))
    more = {"saturation": Coefficient(1 / found["compression"], outcome.unit)}
    if args.loss_db is not None:
        loss = args.loss_db * np.log(10) / 10
        transparency = (found["zero"] + found["shape"]) * np.exp(-loss / found["strength"]) - found["shape"]
        more["transparency"] = Coefficient(transparency, "A")
    held = {f"held.{name}": row.tolist() if row.size <= 16 else f"{row.size} values" for name, row in sweep.held.items()}
    about = {**held, "powers": sweep.powers, "detectors": "taken as linear" if args.linear else "straightened", **conditions_of(args)}
    involved, days = (sweep.port, sweep.detector, sweep.monitor, sweep.light, *sweep.held), args.days or None
    return calibration_of(
        KIND, outcome, bench, sweep.port, involved, x_unit="A", days=days, dwell_s=sweep.dwell_s, more=more, about=about, parents=parents
    )
