"""Train a saturable-absorber network by optical backpropagation (Guo et al. 2021).

Weights are shown on SLMs, images come in through modulators, vapour cells are
the neurons; the error goes backward through the same light path, and the
gradient is what the taps read.
"""

from __future__ import annotations

import argparse
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from labonn.absorbers import transmission
from labonn.bench import Bench
from labonn.calibration.beliefs.checks import Beliefs
from labonn.calibration.validity import EXPIRED
from labonn.channels import Floats
from labonn.data import DataSet, load, split_validation
from labonn.errors import ProcedureError
from labonn.figures import training_figure
from labonn.gradients import DERIVATIVES, ERRORS, Method
from labonn.idealising import BITS
from labonn.keeping import Keeper
from labonn.layers import layers_of
from labonn.learning import STARTS, Digits, Learned, Settings
from labonn.network import Network
from labonn.optics import CELLS, Optics
from labonn.optimizers import BY_NAME
from labonn.plotting.neurons import Neurons
from labonn.procedures import FewSteps
from labonn.ranging import Ranges
from labonn.runs import Run
from labonn.shots import ShotTable
from labonn.training import Training, measure_dark, measure_peaks, probed, set_up, test_best, train_epoch
from procedures.benches import simulated, vapour_cell
from procedures.gradient_check import check_gradients
from procedures.vapour_beliefs import BELIEVE, believe_calibrations, recalibrate, warm_bench_up

CHECKPOINT_STEPS = 20


def options(parser: argparse.ArgumentParser) -> None:
    """The procedure's own options."""
    add = parser.add_argument
    add("--data", default="mini", metavar="mini|DIR", help="the shipped MNIST subset, or a folder of IDX files (default %(default)s)")
    add("--hidden", type=int, nargs="*", metavar="N", help="neurons of the hidden layers (default: the bench's, or 128 128)")
    depth = "of all cells, set by their ovens; of --cell gain the gain factor g0; 0: the cells are empty"
    add("--optical-depth", type=float, default=30.0, metavar="A", help=f"{depth} (default %(default)s)")
    add("--cell", choices=CELLS, help="how the cells are believed to absorb, or to amplify (default: the bench file's, or eq4)")
    add("--derivative", choices=DERIVATIVES, default="optical", help="of the absorbers, in the backward light (default %(default)s)")
    add("--error", choices=ERRORS, default="digital", help="how the output error is made (default %(default)s)")
    add("--epochs", type=int, default=80, metavar="N", help="passes over the training images (default %(default)s)")
    add("--batch", type=int, default=64, metavar="N", help="images a step (default %(default)s)")
    add("--lr", type=float, default=None, metavar="R", help="learning rate (default 5e-4 for adam, 0.1 for sgd)")
    add("--optimizer", choices=tuple(BY_NAME), default="adam", help="what makes steps of gradients (default %(default)s)")
    start = "normal: N(0, S); peaks: +-N(0.15, S); usual: peaks above an optical depth of 30"
    add("--start", choices=STARTS, default="usual", help=f"weights to start from; {start} (default %(default)s)")
    add("--spread", type=float, metavar="S", help="of weights to start from (default: 0.1 for normal, 0.15 for peaks)")
    add("--limit", type=int, metavar="N", help="train on the first N images only")
    add("--dwell", type=float, default=5e-5, metavar="S", help="seconds a shot (default %(default)s)")
    checked = "afterwards compare the gradient with central differences of the measured loss on N weights a layer (default: do not)"
    believe = "where nothing is calibrated: `measured`: the mean response of every SLM is, before the training; `nominal`: nothing is"
    add("--calibrations", type=Path, metavar="DIR", help="believe the calibrations that are kept there (default: none)")
    add("--believe", choices=BELIEVE, default="measured", help=f"{believe} (default %(default)s)")
    add("--expired", choices=EXPIRED, default="refuse", help="whether calibrations that have expired are believed (default %(default)s)")
    add("--recalibrate", action="store_true", help="between epochs check calibrations for drift, and measure again what has drifted")
    add("--check-gradient", type=int, default=0, metavar="N", help=checked)
    own = "of the procedure's own bench"
    add("--inputs", type=float, metavar="S", help=f"{own}: field of an image's white, in saturation fields (default 1)")
    add("--bits", type=int, metavar="N", help=f"{own}: of all SLMs, modulators and detectors (default 8, 16 and 16), with --ideal too")
    simulate = "settings of its simulated light, as modes.noise=0.05 or slm.flicker_rad=0; with --ideal all others are off"
    add("--simulate", nargs="+", default=[], metavar="KEY=VALUE", help=f"{own}: {simulate}")


def bench_file(args: argparse.Namespace) -> str:
    """The bench for these options."""
    data = load(args.data)
    hidden = [128, 128] if args.hidden is None else args.hidden
    sizes = [data.train_images.shape[1], *hidden, data.classes]
    text = vapour_cell(sizes, args.cell or "eq4", bits=args.bits, white=1.0 if args.inputs is None else args.inputs)
    built = ["cells.empty=true"] if args.optical_depth == 0 else []
    return text + simulated([*args.simulate, *built], () if args.bits is None else (BITS,))


def check(args: argparse.Namespace) -> None:
    """Refuse options that make no sense, before anything is opened."""
    _settings(args, 0)
    for name in ("limit", "dwell"):
        value = getattr(args, name)
        if value is not None and not value > 0:
            raise ProcedureError(f"--{name} {value}: more than 0 is wanted")
    if any(n < 1 for n in args.hidden or ()):
        raise ProcedureError(f"--hidden {' '.join(map(str, args.hidden))}: at least one neuron a layer")
    if not args.optical_depth >= 0:
        raise ProcedureError(f"--optical-depth {args.optical_depth}: 0 or more is wanted")
    _check_own(args)
    if args.recalibrate and args.calibrations is None:
        raise ProcedureError("--recalibrate: of which calibrations? It needs --calibrations DIR")
    if args.calibrations is not None and not args.calibrations.is_dir():
        told = f"no such folder; calibrations are made by `labonn run calibrate_all --calibrations {args.calibrations}`"
        raise ProcedureError(f"--calibrations {args.calibrations}: {told}")
    load(args.data)


def _check_own(args: argparse.Namespace) -> None:
    """Options of the procedure's own bench, and what calibrations know nothing of."""
    for name in ("inputs", "bits", "simulate"):
        if getattr(args, name) and args.bench is not None:
            raise ProcedureError(f"--{name} is for the procedure's own bench; write it into the bench file")
    if args.inputs is not None and not 0 < args.inputs <= 100:
        raise ProcedureError(f"--inputs {args.inputs}: more than 0 and up to 100 saturation fields are wanted")
    if args.bits is not None and not 4 <= args.bits <= 16:
        raise ProcedureError(f"--bits {args.bits}: 4 to 16")
    if args.calibrations is not None and args.optical_depth == 0:
        raise ProcedureError("--optical-depth 0: what --calibrations know was measured with vapour in the cells")
    if args.calibrations is not None and args.inputs not in (None, 1.0):
        raise ProcedureError(f"--inputs {args.inputs}: calibrations are measured with inputs of 0 to 1; leave --calibrations out")


def resumable(args: argparse.Namespace) -> tuple[str, ...]:
    """Options that a resumed run may have anew: the rate does not depend on the number of epochs."""
    return ("epochs",)


def few_steps(args: argparse.Namespace) -> FewSteps:
    """Two epochs in which ranges are still found, and one that all others are like."""
    few = min(args.epochs, 3)
    return FewSteps({"epochs": few}, args.epochs / few, like=1)


def main(bench: Bench, args: argparse.Namespace, run: Run) -> dict[str, Any]:
    """Train on the open bench; weights, metrics and a figure go to the run's folder."""
    layers = layers_of(bench.ports, bench.specs, bench.file.name)
    data, optics = load(args.data), Optics.of(bench.file)
    _fits(layers.sizes, data, args)
    if args.cell:
        optics = Optics(**{**vars(optics), "cell": args.cell})
    network = Network(layers, optics, bench.specs, args.optical_depth, args.dwell, shown=[bench.ports[p].shown for p in layers.weights()])
    digits, settings, learned = _digits(data, args.limit, run.seed), _settings(args, run.seed), Learned()
    run.keep("weights", lambda: _arrays(learned))
    ranges = Ranges(bench.ports, bench.specs, layers)
    beliefs = believe_calibrations(bench, args, run, network) if args.calibrations is not None else None
    if not args.optical_depth and layers.hidden:
        run.event("optical depth 0: the cells are believed to be empty; their ovens stay cool")
    warm_bench_up(bench, run, network, args.believe)
    training = Training.start(network, digits, settings, learned)
    bench.run(set_up(network, digits, learned.weights))
    keeper = Keeper(run, bench, {"training": training, "ranges": ranges}, CHECKPOINT_STEPS)
    training.settings = settings  # --epochs may be others now
    if keeper.resumed and keeper.apart:
        _set_again(bench, training, ranges, keeper)
    _train(bench, training, ranges, keeper, run, beliefs if args.recalibrate else None)
    counts = f"{len(digits.train):,} training, {len(digits.validation):,} validation, {len(digits.test):,} test images"
    result: dict[str, Any] = {"data": f"{data.name}: {counts}"}
    test_accuracy, outputs, inputs = bench.run(test_best(network, digits, learned))
    result |= {"network": "-".join(map(str, layers.sizes)), "best_epoch": learned.best_epoch, "validation_accuracy": learned.best_accuracy}
    result |= {"test_accuracy": test_accuracy, "steps": learned.steps, "shots": bench.shots, "exchanges": bench.exchanges}
    result["bench_time_s"] = bench.clock.now()
    if args.check_gradient:
        exact = Method("exact", settings.method.error)
        ranges.fit(bench.run(measure_peaks(network, exact, digits, learned.best)))
        result |= bench.run(check_gradients(network, settings.method, learned.best, digits, args.check_gradient, run.seed))
    images = digits.images[digits.test].reshape(-1, data.rows, data.cols)
    named = {f"cell {i + 1}": z for i, z in enumerate(inputs)}
    absorber = partial(_absorbed, network.optics.cell, args.optical_depth)
    kept = Neurons.of(named, absorber).arrays()
    run.save_arrays("test", outputs=outputs, labels=digits.labels[digits.test], images=images, **kept)
    run.save_figure("training", lambda path: training_figure(learned.metrics, named, absorber, path))
    if data.note:
        result["note"] = data.note
    return result


def _train(bench: Bench, training: Training, ranges: Ranges, keeper: Keeper, run: Run, beliefs: Beliefs | None) -> None:
    """Epochs up to the last."""
    settings, learned = training.settings, training.learned
    with run.progress(settings.epochs * -(-len(training.digits.train) // settings.batch)) as progress:
        if learned.steps:
            progress.go_on_from(learned.steps, learned.shots)

        def watch(now: Learned, loss: float, accuracy: float) -> None:
            ranges.widen()
            best = now.best_accuracy if now.metrics else None
            progress.update(now.steps, now.shots, loss=loss, accuracy=accuracy, epoch=len(now.metrics) + 1, best=best)
            batch = training.current
            assert batch is not None
            run.step(now.steps, loss=batch.loss, accuracy=batch.accuracy)
            keeper.step(now.steps)

        while len(learned.metrics) < settings.epochs:
            if training.current is None:
                if beliefs is not None and learned.metrics:
                    recalibrate(bench, training, ranges, beliefs)
                ranges.narrow()
                bench.run(measure_dark(training.network))
                ranges.restore()
            bench.run(train_epoch(training, watch, ranges.fit))
            run.metrics(learned.metrics[-1])
            if ranges.lost:
                run.event(f"epoch {len(learned.metrics)}: readings saturated at the widest range: {ranges.lost}")
                ranges.lost.clear()
    keeper.end(learned.steps)


def _set_again(bench: Bench, training: Training, ranges: Ranges, keeper: Keeper) -> None:
    """What the checkpoint knows of a bench that has been made safe in between; then the light is compared."""
    network, probe = training.network, training.probe
    ranges.narrow()
    bench.run(measure_dark(network))
    ranges.restore()
    bench.play(ShotTable({"gain": network.currents()}, dwell_s=network.dwell_s, read=()))
    if probe is not None:
        keeper.compare(probe.outputs, lambda: bench.run(probed(training, probe)))


def _absorbed(cell: str, depth: float, z: Floats) -> Floats:
    return z * transmission(cell, z, depth)


def _settings(args: argparse.Namespace, seed: int) -> Settings:
    rate = args.lr if args.lr is not None else {"adam": 5e-4, "sgd": 0.1}[args.optimizer]
    BY_NAME[args.optimizer](rate)
    return Settings(args.epochs, args.batch, rate, args.optimizer, Method(args.derivative, args.error), seed, args.start, args.spread)


def _fits(sizes: tuple[int, ...], data: DataSet, args: argparse.Namespace) -> None:
    hidden = None if args.hidden is None else tuple(args.hidden)
    if hidden is not None and hidden != sizes[1:-1]:
        wanted, there = (" ".join(map(str, counts)) for counts in (hidden, sizes[1:-1]))
        raise ProcedureError(f"--hidden {wanted}: this bench has hidden layers of {there or 'none'}")
    if data.train_images.shape[1] != sizes[0]:
        raise ProcedureError(f"--data {args.data}: images of {data.train_images.shape[1]} pixels; this bench has {sizes[0]} input beams")
    if data.classes > sizes[-1]:
        raise ProcedureError(f"--data {args.data}: {data.classes} classes; this bench has {sizes[-1]} outputs")


def _digits(data: DataSet, limit: int | None, seed: int) -> Digits:
    train_images, train_labels = data.train_images[:limit], data.train_labels[:limit]
    validation, test = split_validation(data, seed)
    edges = np.cumsum([0, len(train_labels), len(validation.labels), len(test.labels)])
    images = np.concatenate([train_images, validation.images, test.images])
    labels = np.concatenate([train_labels, validation.labels, test.labels]).astype(np.int64)
    parts = [np.arange(a, b) for a, b in pairwise(edges)]
    return Digits(images, labels, parts[0], parts[1], parts[2])


def _arrays(learned: Learned) -> dict[str, Any]:
    """Best and last weights, by layer."""
    named = {"best": learned.best or learned.weights, "last": learned.weights}
    arrays = {f"{name}{i + 1}": weight for name, weights in named.items() for i, weight in enumerate(weights)}
    return {**arrays, "best_epoch": learned.best_epoch}
