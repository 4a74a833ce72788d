"""Train a photonic chip by gradients that are measured on it (Deng & Khajavikhan 2021).

Every parameter is a current or a voltage. The mini-batch's loss is measured
with parameters moved this way and that, and what the loss does is the
gradient; no model of the chip is needed, and none is right enough.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from labonn.bench import Bench
from labonn.benchfile import parse
from labonn.calibration import Store, current
from labonn.calibration.beliefs.checks import note_passed
from labonn.calibration.validity import EXPIRED
from labonn.channels import Floats
from labonn.chip_curves import KINDS, StartCurves, curves_of
from labonn.chip_figures import chip_figure
from labonn.chip_methods import METHODS, Gradients, MethodSettings
from labonn.chip_setup import check_ports, find_dead, fit_ranges, load_memories, measure_dark, measure_peaks, pictures_of, pooled, widen
from labonn.chip_start import start_from
from labonn.chip_training import TRAINED, ChipSettings, ChipTraining, Grown, Pictures
from labonn.chip_watching import layouts_of, maps_of, step_metrics
from labonn.chips import ACTIVATIONS, COUPLERS, READOUTS, ChipOptics
from labonn.data import DataSet, load, picked
from labonn.errors import ProcedureError
from labonn.gradients import OnChip, Slots
from labonn.keeping import Keeper
from labonn.optimizers import BY_NAME
from labonn.planner.planner import LEAST
from labonn.procedures import FewSteps
from labonn.runs import Run
from procedures.benches.chips import BENCHES, chip_bench
from procedures.benches.simulated import simulated

benches = BENCHES
RATES = {"pt": 1e-2, "rotation": 4e-2, "mzi": 4e-2}
SGD_FACTORS = {"pt": 1, "rotation": 10, "mzi": 10}  # PT couplers end at their limits with more: 82 % at 0.01, 68 % at 0.1 (300 steps)
REACH = 0.2  # rad, of PT couplers (the paper's |theta| <= 0.2)
PROBE = {"pt": 0.05, "rotation": 0.5, "mzi": 0.5}  # rad, by which parameters are moved to see whether they do anything

CHECKPOINT_STEPS = 5
SUBSAMPLES = ("mean", "pick")


def options(parser: argparse.ArgumentParser) -> None:
    """The procedure's own options."""
    add = parser.add_argument
    add("--data", default="mini", metavar="mini|DIR", help="the shipped MNIST subset, or a folder of IDX files (default %(default)s)")
    add("--gradient", choices=("auto", *METHODS), default="auto", help="how gradients are measured (default %(default)s, which plans it)")
    add("--train", choices=TRAINED, default="theta", help="couplers only, or amplifiers too (default %(default)s)")
    add("--optimizer", choices=tuple(BY_NAME), default="adam", help="what makes steps of gradients (default %(default)s)")
    add("--steps", type=int, default=300, metavar="N", help="of the optimizer (default %(default)s)")
    add("--batch", type=int, default=64, metavar="N", help="images a step (default %(default)s)")
    add("--lr", type=float, metavar="R", help="learning rate (default: 1e-2 for PT chips, 4e-2 for heaters; sgd: 1e-2 and 0.4)")
    add("--no-decay", action="store_true", help="keep the learning rate; without this it falls as a half cosine")
    add("--report", type=int, default=20, metavar="N", help="steps between rows of the metrics (default %(default)s)")
    add("--hardware-time", type=float, metavar="S", help="train for so many bench seconds, in at most --steps; the rate falls over them")
    add("--limit-theta", type=float, metavar="RAD", help="couplers stay within this (default: 0.2 for PT chips, or what heaters reach)")
    add("--step", type=float, metavar="RAD", help="of perturbations (default: 0.04 for PT chips, 0.2 for heaters; auto chooses its own)")
    add("--repeats", type=int, default=1, metavar="N", help="of every perturbation (default %(default)s)")
    add("--coordinates", type=int, metavar="N", help="(subset) parameters that a gradient moves (default: a tenth)")
    add("--pairs", type=int, metavar="N", help="(spsa) random directions of a gradient (default: a tenth of the parameters)")
    add("--budget", type=float, metavar="S", help="(auto) most bench seconds that a gradient may take (default: what the best one takes)")
    start = "random couplers, a training of the believed chip, or an .npz file: parameters `best`, or matrices `weights1`, `weights2`"
    add("--start", default="random", metavar="random|believed|FILE", help=f"{start} (default %(default)s)")
    curves = "calibrated curves, through which a start that is believed or from matrices goes, from this folder (default: nominal ones)"
    add("--calibrations", type=Path, metavar="DIR", help=curves)
    add("--expired", choices=EXPIRED, default="refuse", help="what to do with calibrations that have expired (default %(default)s)")
    add("--limit", type=int, metavar="N", help="train on the first N images only")
    pixels = "images have more pixels than the chip inputs: means over blocks of pixels, or one pixel of each block"
    add("--subsample", choices=SUBSAMPLES, default="mean", help=f"{pixels} (default %(default)s)")
    add("--dwell", type=float, default=1e-6, metavar="S", help="seconds a shot (default %(default)s)")
    add("--settle", type=int, metavar="N", help="shots at the start of every setting that are thrown away (default: what the lag needs)")
    own = "of the procedure's own benches"
    add("--sizes", type=int, nargs=3, default=[49, 20, 10], metavar="N", help=f"inputs, hidden, outputs {own} (default 49 20 10)")
    add("--coupler", choices=COUPLERS, help=f"{own} (default: pt, or rotation for mzi_chip)")
    add("--activation", choices=ACTIVATIONS, default="board", help=f"{own} (default %(default)s)")
    add("--readout", choices=READOUTS, default="homodyne", help=f"{own} (default %(default)s)")
    add("--watts", action="store_true", help=f"{own}: heaters behind power controllers, not voltages (mzi_chip)")
    add("--monitors", action="store_true", help=f"{own}: monitors and error beams, for in-situ backpropagation (mzi_chip)")
    add("--simulate", nargs="+", default=[], metavar="KEY=VALUE", help="imperfections of these benches, as laser.rin_db_per_hz=-100")
    add("--check-gradient", action="store_true", help="afterwards compare the gradient with careful central differences")


def bench_file(args: argparse.Namespace) -> str:
    """The bench for these options: `--bench pt_chip`, `mzi_chip`, or one of them with `_software`."""
    name, monitors = args.bench_name or "pt_chip", args.monitors or args.gradient == "adjoint"
    if (args.coupler or ("pt" if name.startswith("pt") else "rotation")) == "pt" and not name.startswith("pt"):
        raise ProcedureError(f"--coupler pt: {name} is a chip of heaters; PT couplers are on --bench pt_chip")
    if name.startswith("pt") and args.coupler not in (None, "pt"):
        raise ProcedureError(f"--coupler {args.coupler}: {name} is a chip of gain sections; this is on --bench mzi_chip")
    if args.watts and name != "mzi_chip":
        raise ProcedureError(f"--watts: {name} has no power controllers; heaters of --bench mzi_chip have")
    text = chip_bench(name, args.sizes, args.coupler, args.activation, args.readout, monitors, watts=args.watts)
    return text + simulated(args.simulate)


def check(args: argparse.Namespace) -> None:
    """Refuse options that make no sense, before anything is opened."""
    _settings(args, "pt", 0)
    _method(args, 0)
    for name in ("limit", "dwell", "hardware_time", "limit_theta"):
        value = getattr(args, name)
        if value is not None and not 0 < value < float("inf"):
            raise ProcedureError(f"--{name.replace('_', '-')} {value}: more than 0 is wanted")
    if args.simulate and args.bench is not None:
        raise ProcedureError("--simulate is for the procedure's own benches; write the settings into the bench file")
    if args.bench is not None:
        load(args.data)
    else:
        optics = ChipOptics.of(parse(bench_file(args), "bench.toml"))
        data = data_of(args, optics)
        pooled(data.train_images[:1], data.rows, data.cols, optics.design.sizes[0])
    if args.start not in ("random", "believed") and not Path(args.start).is_file():
        raise ProcedureError(f"--start {args.start}: random, believed, or an .npz file; there is no such file")


def resumable(args: argparse.Namespace) -> tuple[str, ...]:
    """Options that a resumed run may have anew: --steps only where the rate does not fall over them."""
    return ("steps",) if args.no_decay else ()


def few_steps(args: argparse.Namespace) -> FewSteps:
    """Steps up to the first report show what all do; of those that are planned, as many as lie between two plans."""
    few = min(max(args.report, LEAST if args.gradient == "auto" else 1), args.steps)
    return FewSteps({"steps": few}, args.steps / few, args.hardware_time)


def main(bench: Bench, args: argparse.Namespace, run: Run) -> dict[str, Any]:
    """Train on the open bench; parameters, metrics and a figure go to the run's folder."""
    optics = ChipOptics.of(bench.file)
    data = data_of(args, optics)
    training = ready(bench, args, run, data, optics)
    settings, dark = training.settings, {port: volts.copy() for port, volts in training.objective.dark.items()}
    keeper = Keeper(run, bench, {"training": training}, CHECKPOINT_STEPS)
    training.settings = settings  # --steps may be others now
    if not keeper.resumed:
        plan_first(bench, training)
        if args.hardware_time:
            training.until(args.hardware_time, bench.clock.now)
    elif keeper.apart:
        _set_again(bench, training, dark, keeper)
    _train(bench, training, keeper, run)
    return _result(bench, training, data, args, run)


def data_of(args: argparse.Namespace, optics: ChipOptics) -> DataSet:
    """The images of `--data`, as `--subsample` wants them."""
    data = load(args.data)
    return picked(data, optics.design.sizes[0]) if args.subsample == "pick" else data


def ready(bench: Bench, args: argparse.Namespace, run: Run, data: DataSet, optics: ChipOptics) -> ChipTraining:
    """A training with everything in the instruments' memories, dark levels measured, ranges fitted and dead channels left out."""
    check_ports(optics, bench.specs, bench.file.name)
    pictures = pictures_of(data, optics.design.sizes[0], args.limit, run.seed)
    if data.classes > optics.design.sizes[2]:
        raise ProcedureError(f"--data {args.data}: {data.classes} classes; this chip has {optics.design.sizes[2]} outputs")
    settings = _settings(args, optics.design.coupler, run.seed)
    objective = OnChip.of(optics, bench.specs, _slots(args, optics, bench), _limits(args, optics))
    theta = start_from(args.start, objective, pictures, settings, run.event, _curves(bench, args, optics, run))
    grown = Grown(theta, theta.copy())
    run.keep("weights", lambda: {"best": grown.best, "last": grown.theta, "best_step": grown.best_step})
    training = ChipTraining(objective, pictures, settings, grown)
    training.peaks = _prepare(bench, objective, pictures, theta)
    training.moved &= ~_dead(bench, objective, pictures, theta, run)
    training.method = Gradients(objective, _method(args, run.seed), training.moved, bench.clock.now)
    return training


def _curves(bench: Bench, args: argparse.Namespace, optics: ChipOptics, run: Run) -> StartCurves | None:
    """Calibrated curves of the parameter port, with --calibrations.

    Raises:
        CalibrationError: one that there is may not be believed. ProcedureError: there is none.
    """
    if args.calibrations is None:
        return None
    found = current(Store(args.calibrations), bench, args.expired, kinds=KINDS)
    note_passed(run, found)
    curves = curves_of(found, optics, bench.specs[optics.port])
    if curves is None:
        kinds = "calibrate_gain_sections" if optics.design.coupler == "pt" else "calibrate_mesh"
        raise ProcedureError(f"--calibrations {args.calibrations}: none of {optics.port}, on this bench; `labonn run {kinds}` makes one")
    run.event(f"start through the {curves.title}")
    return curves


def plan_first(bench: Bench, training: ChipTraining) -> None:
    """What the planner measured and chose, on the screen; later plans go to the events."""
    planner = training.method.planner
    if planner is not None:
        rows = training.pictures.train[: training.settings.batch]
        training.objective.show(rows, training.pictures.labels[rows])
        bench.run(planner.plan(training.grown.theta))
        print("\n".join(planner.log))


def _prepare(bench: Bench, objective: OnChip, pictures: Pictures, theta: Floats) -> dict[str, float]:
    """Memories, dark levels in the finest range, then ranges for the light; port -> largest volts."""
    bench.run(load_memories(objective, pictures))
    fit_ranges(bench.ports, bench.specs, dict.fromkeys(objective.signals, 0.05))
    bench.run(measure_dark(objective))
    fit_ranges(bench.ports, bench.specs, dict.fromkeys(objective.signals, float("inf")))
    peaks: dict[str, float] = bench.run(measure_peaks(objective, theta, pictures.train))
    fit_ranges(bench.ports, bench.specs, peaks)
    return peaks


def _dead(bench: Bench, objective: OnChip, pictures: Pictures, theta: Floats, run: Run) -> Any:
    """(P,) parameters that do nothing; named in the events, and left alone."""
    dead = bench.run(find_dead(objective, theta, pictures.train, PROBE[objective.optics.design.coupler]))
    if dead.any():
        names = [objective.optics.model.names[int(i)] for i in np.flatnonzero(dead)]
        channels = ", ".join(str(objective.specs[objective.optics.port].names[int(i)]) for i in np.flatnonzero(dead)[:20])
        run.event(f"{objective.optics.port}/{channels}: no effect on the outputs (parameters {', '.join(names[:20])}); not trained")
    return dead


def _set_again(bench: Bench, training: ChipTraining, dark: dict[str, Floats], keeper: Keeper) -> None:
    """What the checkpoint knows of a bench that has been made safe in between; then the light is compared."""
    probe, training.objective.dark = training.probe, dark
    fit_ranges(bench.ports, bench.specs, training.peaks)
    if probe is not None:
        keeper.compare(probe.outputs, lambda: bench.run(training.objective.images(probe.theta, probe.rows)))


def _train(bench: Bench, training: ChipTraining, keeper: Keeper, run: Run) -> None:
    settings, grown, gradients, layouts = training.settings, training.grown, training.method, layouts_of(training)
    with run.progress(settings.steps, "report", training.time_s) as progress:
        if grown.steps:
            progress.go_on_from(grown.steps, training.objective.shots)

        def own() -> dict[str, float | str]:
            norm, error = training.current.norms[-1], training.current.errors[-1]
            return {"evaluations": training.objective.settings, "gradient": f"{norm:.2g} +- {error:.2g}"}

        def watch(now: Grown, loss: float) -> None:
            for told in widen(bench.ports, bench.specs, training.peaks):
                run.event(f"step {now.steps}: {told}")
            if news := gradients.news():
                run.event(f"step {now.steps}: " + "\n".join(news))
            seen = now.metrics[-1]["validation_accuracy"] if now.metrics else None
            shots, best, number = training.objective.shots, now.best_accuracy if now.metrics else None, len(now.metrics) + 1
            progress.update(now.steps, shots, loss=loss, accuracy=seen, epoch=number, best=best, spent_s=training.spent_s, numbers=own())
            run.step(now.steps, maps_of(training, layouts), **step_metrics(training))
            keeper.step(now.steps)

        while training.current.losses or not training.over():  # the last steps of a run that was cut short may lack their report
            bench.run(training.stretch(watch, bench.clock.now))
            run.metrics(grown.metrics[-1])
    keeper.end(grown.steps)
    for note, count in grown.notes.items():
        run.event(f"in {count} of {grown.steps} gradients: {note}")


def _result(bench: Bench, training: ChipTraining, data: DataSet, args: argparse.Namespace, run: Run) -> dict[str, Any]:
    objective, grown, pictures = training.objective, training.grown, training.pictures
    outputs = bench.run(objective.images(grown.best, pictures.test))
    labels = pictures.labels[pictures.test]
    counts = f"{len(pictures.train):,} training, {len(pictures.validation):,} validation, {len(pictures.test):,} test images"
    design = objective.optics.design
    result: dict[str, Any] = {"data": f"{data.name}: {counts}", "network": "-".join(map(str, design.sizes)), "coupler": design.coupler}
    result |= {"gradient": training.method.described, "trained_parameters": int(training.moved.sum())}
    result |= {"best_step": grown.best_step, "validation_accuracy": grown.best_accuracy}
    result["test_accuracy"] = float(np.mean(outputs.argmax(axis=1) == labels))
    result |= {"steps": grown.steps, "evaluations": objective.settings, "shots": bench.shots, "exchanges": bench.exchanges}
    result["training_time_s"] = grown.metrics[-1]["bench_time_s"] - training.began_s if grown.metrics else 0.0
    result["bench_time_s"] = bench.clock.now()
    if args.check_gradient:
        result |= bench.run(training.agreement())
    run.save_arrays("test", outputs=outputs, labels=labels, images=pictures.shown(pictures.test))
    couplers = ~objective.optics.amplifiers
    limit = float(objective.lower[couplers].max()), float(objective.upper[couplers].min())
    run.save_figure("training", lambda path: chip_figure(grown.metrics, outputs, labels, grown.best[couplers], limit, path))
    if data.note:
        result["note"] = data.note
    return result


def _slots(args: argparse.Namespace, optics: ChipOptics, bench: Bench) -> Slots:
    """Held sources are waited for by the bench; sequenced heaters lag behind."""
    sequenced = bench.specs[optics.port].depth > 1
    lag = optics.heater.tau_s if sequenced and optics.design.coupler != "pt" else 0.0
    return Slots(args.dwell, 0, args.batch, lag)


def _limits(args: argparse.Namespace, optics: ChipOptics) -> tuple[Floats, Floats]:
    reach = args.limit_theta or (REACH if optics.design.coupler == "pt" else np.inf)
    upper = np.where(optics.amplifiers, np.inf, reach)
    return -upper, upper


def _settings(args: argparse.Namespace, coupler: str, seed: int) -> ChipSettings:
    rate = args.lr if args.lr is not None else RATES[coupler] * (SGD_FACTORS[coupler] if args.optimizer == "sgd" else 1)
    BY_NAME[args.optimizer](rate)
    return ChipSettings(args.steps, args.batch, rate, args.optimizer, args.train, not args.no_decay, args.report, seed)


def _method(args: argparse.Namespace, seed: int) -> MethodSettings:
    return MethodSettings(args.gradient, args.step, args.repeats, args.coordinates, args.pairs, args.settle, args.budget, seed)
