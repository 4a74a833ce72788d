"""Train convolutions by light: patches of images as shots through one matrix (Guo et al. 2021).

A network is trained by the twin; then its first layers are shown on the bench,
one after the other, and every patch of an image is a shot (App. A.2). What is
measured, activations and gradients, is compared with the twin's; and measured
layers are tuned by the measured gradient, so that what is wrong with the bench
is trained away. Layers that are not measured stay with the twin.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labonn.bench import Bench
from labonn.channels import Floats
from labonn.convolution import (
    POOLS,
    Compared,
    Hybrid,
    MatrixBench,
    bench_sizes,
    check_bench,
    compare,
    convolution_figure,
    measure_beams,
    stages_of,
    twin_outputs,
)
from labonn.data import DataSet, load
from labonn.errors import ProcedureError
from labonn.layers import layers_of
from labonn.network import Network
from labonn.optics import CELLS, Optics
from labonn.optimizers import adam
from labonn.procedures import FewSteps
from labonn.progress import Progress
from labonn.ranging import Ranges
from labonn.response import correct_slms
from labonn.runs import Run
from labonn.training import accuracy, measure_dark, warm_up
from labonn.twin import Absorber, Method, Part, Pictures, Recipe, State, network, train
from labonn.twin import Network as Twin
from procedures.benches import vapour_cell

BELIEVE = ("measured", "slms")
DERIVATIVES = ("optical", "corrected")
TUNE = ("measured", "all")
COMPARED = 64  # images whose activations and gradient are compared with the twin's
FEW = 3


def options(parser: argparse.ArgumentParser) -> None:
    """The procedure's own options."""
    add = parser.add_argument
    cnn = "5x5x32-pool-5x5x64-pool-128 between the data's image and its classes"
    add("--data", default="mini", metavar="mini|DIR", help="the shipped MNIST subset, or a folder of IDX files (default %(default)s)")
    add("--network", metavar="TEXT", help=f"such as 28x28-5x5x32-pool-5x5x64-pool-128-10 (default: {cnn})")
    add("--layers", type=int, default=1, metavar="N", help="layers done by light, counted from the image (default %(default)s)")
    add("--pool", choices=POOLS, default="read", help="mean-pools: of the fields that are read, or by a matrix (default %(default)s)")
    add("--optical-depth", type=float, default=10.0, metavar="A", help="of the cell, set by its oven (default %(default)s)")
    add("--cell", choices=CELLS, default="eq4", help="how the cell is believed to absorb (default %(default)s)")
    add("--derivative", choices=DERIVATIVES, default="optical", help="of the absorbers, in the backward light (default %(default)s)")
    add("--white", type=float, default=5.0, metavar="E", help="field of a white pixel, in saturation fields (default %(default)s)")
    add("--twin-epochs", type=int, default=20, metavar="N", help="passes by which the twin is trained first (default %(default)s)")
    add("--weights", type=Path, metavar="FILE", help="an .npz with `weights` of this network (P,), such as another run's twin.npz")
    add("--images", type=int, default=250, metavar="N", help="test images that are measured (default %(default)s)")
    add("--steps", type=int, default=60, metavar="N", help="of tuning by the measured gradient (default %(default)s)")
    add("--tune", choices=TUNE, default="measured", help="weights that are tuned: of measured layers, or all (default %(default)s)")
    add("--batch", type=int, default=64, metavar="N", help="images a step (default %(default)s)")
    add("--lr", type=float, default=5e-4, metavar="R", help="learning rate of twin and tuning (default %(default)s)")
    add("--limit", type=int, metavar="N", help="train on the first N images only")
    add("--dwell", type=float, default=5e-5, metavar="S", help="seconds a shot (default %(default)s)")
    believe = "before anything else; `measured`: the SLMs' mean response and every input beam; `slms`: the response alone"
    add("--believe", choices=BELIEVE, default="measured", help=f"what is measured {believe} (default %(default)s)")


def bench_file(args: argparse.Namespace) -> str:
    """The bench for these options."""
    stages = stages_of(_twin(args, load(args.data)), args.layers)
    return vapour_cell(bench_sizes(stages, args.pool == "light"), args.cell)


def check(args: argparse.Namespace) -> None:
    """Refuse options that make no sense, before anything is opened."""
    for name in ("optical_depth", "white", "lr", "dwell", "layers", "batch", "images"):
        if not getattr(args, name) > 0:
            raise ProcedureError(f"--{name.replace('_', '-')} {getattr(args, name)}: more than 0 is wanted")
    for name, least in (("twin_epochs", 1), ("steps", 0), ("limit", 1)):
        value = getattr(args, name)
        if value is not None and value < least:
            raise ProcedureError(f"--{name.replace('_', '-')} {value}: at least {least}")
    twin = _twin(args, load(args.data))
    stages_of(twin, args.layers)
    if args.weights is not None:
        _loaded(args.weights, twin)


def few_steps(args: argparse.Namespace) -> FewSteps:
    """A few steps of tuning, and an epoch of the twin, which sends nothing."""
    few = min(args.steps, FEW)
    return FewSteps({"steps": few, "twin_epochs": 1}, args.steps / max(few, 1))


@dataclass
class Work:
    """What the parts of the procedure have in common."""

    bench: Bench
    args: argparse.Namespace
    run: Run
    hybrid: Hybrid
    pictures: Pictures
    test: Part

    @property
    def ranges(self) -> Ranges:
        """Of the detectors."""
        assert self.hybrid.ranges is not None
        return self.hybrid.ranges


def main(bench: Bench, args: argparse.Namespace, run: Run) -> dict[str, Any]:
    """Train the twin, measure its first layers, tune them by light; weights, metrics and a figure go to the run's folder."""
    data = load(args.data)
    twin, pictures = _twin(args, data), _pictures(args, data, run.seed)
    stages = stages_of(twin, args.layers)
    layers = layers_of(bench.ports, bench.specs, bench.file.name)
    check_bench(layers, stages, bench.file.name, args.pool == "light")
    weights = _trained(args, run, twin, pictures)
    shown = [bench.ports[port].shown for port in layers.weights()]
    optics = Optics(**{**vars(Optics.of(bench.file)), "cell": args.cell})
    believed = Network(layers, optics, bench.specs, args.optical_depth, args.dwell, shown=shown)
    ranges = Ranges(bench.ports, bench.specs, layers)
    hybrid = Hybrid(twin, weights.copy(), MatrixBench(believed), stages, ranges, args.white, args.derivative, args.pool)
    run.keep("weights", lambda: {"weights": hybrid.weights, "twin": weights})
    test = Part(pictures.test.images[: args.images], pictures.test.labels[: args.images])
    work = Work(bench, args, run, hybrid, pictures, test)
    _warm_up(work)
    result = {"data": _told(data, pictures, len(test.labels)), "network": args.network or _usual(data), "layers_by_light": len(stages)}
    result |= _before(work)
    compared = bench.run(compare(hybrid, test.images[:COMPARED], test.labels[:COMPARED]))
    result |= {**compared.numbers(), **_tuned(work)}
    result |= {"weights_projected": hybrid.projected, "readings_saturated": sum(ranges.lost.values())}
    result |= {"shots": bench.shots, "exchanges": bench.exchanges, "bench_time_s": bench.clock.now()}
    _draw(run, compared, result)
    if data.note:
        result["note"] = data.note
    return result


def _warm_up(work: Work) -> None:
    """Oven, SLM responses, detector offsets, input beams."""
    bench, net, ranges = work.bench, work.hybrid.bench.network, work.ranges
    corrected = correct_slms(bench.ports, bench.specs, bench.run(warm_up(net)))
    for port, off in corrected.items():
        work.run.event(f"SLM response of {port} measured; largest correction of a field: {off:.3g}")
    ranges.narrow()
    bench.run(measure_dark(net))
    ranges.widest()
    if work.args.believe == "measured":
        bench.run(measure_beams(net))
        assert net.belief is not None
        assert net.belief.inputs is not None
        share, bias = net.belief.inputs.share, net.belief.inputs.bias_v
        work.run.event(f"{len(share)} input beams measured: light differs by {share.std():.2%} rms, bias by {1e3 * bias.std():.3g} mV rms")


def _before(work: Work) -> dict[str, Any]:
    """The test images by light, before any tuning, beside the twin."""
    hybrid, test, shots = work.hybrid, work.test, work.bench.shots
    twin = twin_outputs(hybrid.twin, hybrid.weights, test.images, hybrid.white)
    outputs = work.bench.run(hybrid.outputs(test.images))
    differ = int(np.count_nonzero(outputs.argmax(axis=1) != twin.argmax(axis=1)))
    levels = {f"{kind} {i + 1}": round(one.level, 4) for (kind, i), one in hybrid.settings.items()}
    work.run.event(f"light at the cells over what is believed, taken up by the path gain: {levels}")
    row = {"twin_accuracy": accuracy(twin, test.labels), "measured_accuracy": accuracy(outputs, test.labels)}
    patches = len(test.labels) * sum(stage.shots for stage in hybrid.stages)
    return {**row, "images_read_otherwise": differ, "patches": patches, "shots_for_them": work.bench.shots - shots}


def _tuned(work: Work) -> dict[str, Any]:
    """Steps of Adam by measured gradients; then the test images again, by light and by the twin."""
    args, bench, hybrid, train_part, test = work.args, work.bench, work.hybrid, work.pictures.train, work.test
    if not args.steps:
        return {"tuning_steps": 0}
    optimizer, mask = adam(args.lr), _mask(hybrid, args.tune)
    state, start = optimizer.init([hybrid.weights]), bench.shots
    with work.run.progress(args.steps) as progress:
        for step, rows in enumerate(_batches(len(train_part.labels), args.batch, args.steps, work.run.seed), start=1):
            found = bench.run(hybrid.gradient(train_part.images[rows], train_part.labels[rows]))
            (hybrid.weights,), state = optimizer.update([found.flat * mask], state, [hybrid.weights])
            hits = accuracy(found.outputs, train_part.labels[rows])
            progress.update(step, bench.shots, loss=found.loss, accuracy=hits)
            work.run.step(step, loss=found.loss, accuracy=hits)
            work.run.metrics({"step": step, "loss": found.loss, "batch_accuracy": hits, "shots": bench.shots})
    spent = bench.shots - start
    tuned = accuracy(bench.run(hybrid.outputs(test.images)), test.labels)
    twin = accuracy(twin_outputs(hybrid.twin, hybrid.weights, test.images, hybrid.white), test.labels)
    return {"tuning_steps": args.steps, "tuning_shots": spent, "tuned_accuracy": tuned, "twin_accuracy_of_tuned_weights": twin}


def _mask(hybrid: Hybrid, tune: str) -> Floats:
    """(P,) 1 for weights that are tuned."""
    mask = np.full(hybrid.weights.shape, float(tune == "all"), hybrid.weights.dtype)
    parts = hybrid.twin.split(mask)
    for stage in hybrid.stages:
        part = parts[stage.index]
        assert part is not None
        part.fill(1)
    return mask


def _batches(count: int, batch: int, steps: int, seed: int) -> Iterator[Any]:
    """Rows of mini-batches, epoch after epoch in random order."""
    rng, order = np.random.default_rng([seed, 2]), np.zeros(0, np.int64)
    batch = min(batch, count)
    for _ in range(steps):
        if len(order) < batch:
            order = rng.permutation(count)
        rows, order = order[:batch], order[batch:]
        yield rows


def _trained(args: argparse.Namespace, run: Run, twin: Twin, pictures: Pictures) -> Floats:
    """(P,) weights of the twin: loaded, or trained now; they go to twin.npz."""
    if args.weights is not None:
        weights = _loaded(args.weights, twin)
        run.event(f"weights are those of {args.weights}")
    else:
        recipe = Recipe(args.twin_epochs, learning_rate=args.lr, method=Method(args.derivative, white=args.white), seed=run.seed)

        with Progress(args.twin_epochs, run.mode, title=f"{run.procedure}, twin") as progress:

            def told(state: State) -> None:
                loss, hits, share = (state.curves[name][-1] for name in ("train_loss", "train_accuracy", "validation_accuracy"))
                run.event(f"twin, epoch {state.epoch}: validation accuracy {share:.4f}")
                progress.update(state.epoch, 0, loss=loss, accuracy=hits, epoch=state.epoch)

            weights = train(twin, pictures, recipe, on_epoch=told).weights
    run.save_arrays("twin", weights=weights)
    return weights


def _loaded(path: Path, twin: Twin) -> Floats:
    try:
        with np.load(path) as file:
            weights = np.asarray(file["weights"], np.float32)
    except (OSError, KeyError, ValueError) as problem:
        raise ProcedureError(f"--weights {path}: not an .npz file with an array `weights`: {problem}") from problem
    if weights.shape != (twin.count,):
        raise ProcedureError(f"--weights {path}: weights of shape {weights.shape}; this network has ({twin.count},)")
    return weights


def _usual(data: DataSet) -> str:
    return f"{data.rows}x{data.cols}-5x5x32-pool-5x5x64-pool-128-{data.classes}"


def _twin(args: argparse.Namespace, data: DataSet) -> Twin:
    """The network of the options, which has to fit the images."""
    twin = network(args.network or _usual(data), Absorber(args.optical_depth, args.cell))
    if twin.before != (1, data.rows, data.cols) or twin.classes != data.classes:
        wanted = f"{data.rows}x{data.cols}-...-{data.classes}"
        raise ProcedureError(f"--network {args.network}: --data {args.data} needs {wanted}: images of that size, an output a class")
    return twin


def _pictures(args: argparse.Namespace, data: DataSet, seed: int) -> Pictures:
    found = Pictures.of(data, seed)
    return Pictures(Part(found.train.images[: args.limit], found.train.labels[: args.limit]), found.validation, found.test)


def _told(data: DataSet, pictures: Pictures, measured: int) -> str:
    counts = [len(part.labels) for part in (pictures.train, pictures.validation, pictures.test)]
    return f"{data.name}: {counts[0]:,} training, {counts[1]:,} validation, {counts[2]:,} test images, of which {measured:,} are measured"


def _draw(run: Run, compared: Compared, result: dict[str, Any]) -> None:
    named = {"twin": "twin_accuracy", "measured": "measured_accuracy", "tuned": "tuned_accuracy"}
    accuracies = {name: result[key] for name, key in named.items() if key in result}
    run.save_figure("convolution", lambda path: convolution_figure(compared, run.rows, accuracies, path))
