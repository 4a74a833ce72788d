"""Calibrate detectors: dark level, gain, linearity and noise of every channel, from one table a port.

A source passes its levels, and at each of them the modulators before the detectors pass theirs: the light is a product of two unknown
factors, whatever the source's curve is. Where readings are no such product, it is the detector that is not linear. Repeats tell the noise
by photon transfer. On a vapour-cell bench the first amplifier and patterns of inputs are the factors.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

import numpy as np

from labonn.bench import Bench, Plan
from labonn.calibration import Calibration
from labonn.calibration.detectors.figures import detector_figure
from labonn.calibration.detectors.measuring import KIND, Measured, believed_gain, measure_detectors
from labonn.calibration.detectors.rigging import Rig, rig_of, sighted
from labonn.calibration.detectors.saving import coefficients
from labonn.calibration.judging import Tolerances
from labonn.calibration.measuring import Measuring
from labonn.calibration.options import calibration_options, check_options, conditions_of, store_of
from labonn.calibration.saving import calibration_of, result_of
from labonn.errors import ProcedureError
from labonn.runs import Run
from labonn.shots import ShotTable
from procedures.benches import shipped

benches = ("gain_row", "modulator_row", "desk", "vapour_cell")
METER_S, METER_SHOTS = 0.05, 5


def options(parser: argparse.ArgumentParser) -> None:
    """The procedure's own options."""
    calibration_options(parser)
    parser.set_defaults(levels=12, tolerance=0.003)
    add = parser.add_argument
    add("--port", metavar="NAME", help="of the detectors (default: all whose light can be swept, one after the other)")
    add("--modulators", metavar="NAME", help="right before them (default: the bench's only ones, or those that its names tell)")
    hold = "what else is set; of the source its highest level (default: 80 %% of its limit)"
    add("--hold", nargs="+", default=[], metavar="PORT=VALUE", help=hold)
    add("--sources", type=int, default=5, metavar="N", help="levels of the source (default %(default)s)")
    add("--repeats", type=int, metavar="N", help="shots of each setting (default: 48 where light is streamed, or 16)")
    add("--dwell", type=float, metavar="S", help="seconds a shot (default: 1e-6 where light is streamed, or 1e-3)")
    add("--watts", type=float, metavar="W", help="on each detector at full light, if known, for its gain in V/W (default: a power meter's)")


def ports(bench: Bench) -> list[str]:
    """That get a calibration each."""
    return sighted(bench)


def bench_file(args: argparse.Namespace) -> str:
    """The bench that `--bench gain_row` and so on mean."""
    return shipped(args.bench_name or benches[0])


def check(args: argparse.Namespace) -> None:
    """Refuse options that make no sense, before anything is opened."""
    check_options(args)
    if (args.repeats is not None and args.repeats < 4) or args.sources < 3 or not (args.dwell is None or 0 < args.dwell < 10):
        raise ProcedureError(f"--repeats {args.repeats}, --sources {args.sources}, --dwell {args.dwell}: at least 4, at least 3; 0 to 10 s")
    if args.watts is not None and not 0 < args.watts < 100:
        raise ProcedureError(f"--watts {args.watts:g}: above 0, below 100")


def main(bench: Bench, args: argparse.Namespace, run: Run) -> dict[str, Any]:
    """Measure, keep, draw; one port of detectors after the other."""
    found: dict[str, Any] = {}
    store = store_of(args)
    chosen = [args.port] if args.port else sighted(bench)
    for port in chosen or [""]:
        rig = rig_of(bench, port, args.modulators, args.hold, args.levels, args.sources, args.repeats, args.dwell, run.seed)
        within = Tolerances(residual=args.tolerance, drift=args.tolerance)
        how = Measuring(within=within, leave_out=args.leave_out, seed=run.seed, frames=6)
        measured = bench.run(measure_detectors(rig.sweep, rig.settings, rig.fresh, how, rig.names, rig.own))
        watts = args.watts if args.watts is not None else bench.run(_metered(rig))
        fields = bench.run(believed_gain(rig.sweep, *rig.gaining, measured.product)) if rig.gaining else None
        calibration = _calibration(bench, rig, measured, watts, fields, args)
        figure = "calibration" if len(chosen) == 1 else f"calibration_{port}"
        run.save_figure(figure, partial(detector_figure, measured, calibration))
        run.event(f"{calibration.title} kept in {store.folder}: {store.save(calibration)}")
        told = result_of(calibration, ["dark", "gain", "bend", "read_noise", "rin_rms"])
        found |= told if len(chosen) == 1 else {f"{port} {name}": value for name, value in told.items()}
    return found | {"shots": bench.shots, "exchanges": bench.exchanges, "bench_time_s": bench.clock.now()}


def _metered(rig: Rig) -> Plan[float | None]:
    """Watts of the source at its highest level, where a power meter watches it."""
    if not rig.meter:
        return None
    row = np.array(rig.sweep.levels[-1:])
    read = yield ShotTable({rig.sweep.source: row}, {rig.sweep.source: np.zeros(METER_SHOTS, np.int64)}, METER_S, (rig.meter,))
    return float(read[rig.meter].mean())


def _calibration(
    bench: Bench, rig: Rig, measured: Measured, watts: float | None, fields: tuple[Any, Any] | None, args: argparse.Namespace
) -> Calibration:
    sweep, unit = rig.sweep, measured.outcome.unit
    about: dict[str, Any] = {"gain_is": "V per believed field" if fields else "V at full light" if watts is None else "V per W"}
    about |= {} if watts is None else {"watts_are": f"at {rig.meter}" if args.watts is None else "on each detector, as told"}
    about |= {f"held.{name}": row.tolist() if row.size <= 16 else f"{row.size} values" for name, row in sweep.held.items()}
    about |= {"full_light": f"{sweep.source} at {sweep.levels[-1, 0]:g}", **conditions_of(args)}
    involved, days = (sweep.port, sweep.source, sweep.fast, *sweep.held, *([rig.meter] if rig.meter else [])), args.days or None
    more = coefficients(measured, watts, fields)
    return calibration_of(
        KIND, measured.outcome, bench, sweep.port, involved, x_unit=unit, days=days, dwell_s=sweep.dwell_s, more=more, about=about
    )
