"""An output error made by interference with a target beam, compared on a bench with the one that is computed (Guo et al. 2021, Fig. 1b)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from labonn.bench import Bench, Plan
from labonn.channels import Floats
from labonn.data import load
from labonn.gradients import Method, backprop, chop
from labonn.gradients.optical import optical_error_table
from labonn.learning import Digits
from labonn.network import Network
from labonn.ranging import Ranges
from labonn.runs import Run
from labonn.shots import Ints, ShotTable
from labonn.sweeps import Task
from labonn.targets import measure_targets, measure_zero
from labonn.training import ZERO_IMAGES, measure_dark, measure_peaks, set_up
from labonn.twin import Absorber, Pictures, Recipe, train
from labonn.twin import network as network_of
from procedures.papers.dry_bench import dry_bench, warm_network

METHODS = {kind: Method("optical", kind) for kind in ("digital", "optical")}


def measured(task: Task) -> dict[str, Any]:
    """Relative rms differences of the error that arrives at the neurons, and of the gradient, made in both ways from the same weights.

    Settings:
        data: of the images. hidden, depth: of the network. epochs: that its weights were trained in the twin. compared: how many images.
        ideal: bench without imperfections.
    """
    settings, seed = dict(task.job.settings), task.job.seed
    run = Run.create(task.runs, "interference_error", {"title": task.job.title, "options": settings}, seed=seed, mode="quiet")
    data = load(task.job.places["data"])
    pictures = Pictures.of(data, seed)
    sizes = [data.train_images.shape[1], *settings["hidden"], data.classes]
    twin = network_of("-".join(map(str, sizes)), Absorber(settings["depth"]))
    weights = train(twin, pictures, Recipe(epochs=settings["epochs"], seed=seed)).weights
    count = settings["compared"]
    rows = np.arange(count)
    digits = Digits(pictures.train.images[:count], pictures.train.labels[:count], rows, rows[:0], rows[:0])
    with dry_bench(sizes, seed, settings["ideal"]) as bench:
        network = warm_network(bench, settings["depth"])
        found = _compared(bench, network, digits, [w for w in twin.split(weights) if w is not None])
        found |= {"shots": bench.shots, "exchanges": bench.exchanges}
    run.finish(found)
    return {**found, "run": run.folder.name}


def _compared(bench: Bench, network: Network, digits: Digits, weights: Sequence[Floats]) -> dict[str, Any]:
    """Both errors and both gradients of all images at once, detectors ranged for both."""
    bench.run(set_up(network, digits, weights))
    ranges = Ranges(bench.ports, bench.specs, network.layers)
    ranges.narrow()
    bench.run(measure_dark(network))
    ranges.restore()
    ranges.fit(bench.run(measure_peaks(network, METHODS["optical"], digits, weights, len(digits.train))))
    bench.run(measure_zero(network, weights, digits.train[:ZERO_IMAGES], digits.labels[:ZERO_IMAGES]))
    peaks = [bench.run(measure_peaks(network, method, digits, weights, len(digits.train))) for method in METHODS.values()]
    ranges.fit({port: np.maximum(volts, peaks[1].get(port, 0)) for port, volts in peaks[0].items()})
    one, two = (bench.run(_arrived(network, kind, digits, weights)) for kind in METHODS)
    steps = {}
    for kind, method in METHODS.items():
        if kind == "optical":
            network.targets = bench.run(measure_targets(network, weights, digits.train, digits.labels))
        steps[kind] = bench.run(_gradient(network, method, digits, weights))
    apart = {"error": (two[0], one[0]), **{f"{kind}_error_as_sent": pair for kind, pair in zip(METHODS, (one, two), strict=True)}}
    found: dict[str, Any] = {f"{name}_difference": _relative(*pair) for name, pair in apart.items()}
    found["error_factor"] = factor = float(np.vdot(two[0], one[0]) / np.vdot(one[0], one[0]))
    found["error_direction_difference"] = _relative(two[0] / factor, one[0])
    pairs = zip(steps["optical"], steps["digital"], strict=True)
    return found | {f"gradient{i}_difference": _relative(*pair) for i, pair in enumerate(pairs, start=1)}


def _arrived(network: Network, kind: str, digits: Digits, weights: Sequence[Floats]) -> Plan[tuple[Floats, Floats]]:
    """((B, N) errors that arrive at the last cell, what W^T (z - t) says of outputs that are read)."""
    rows, labels, banks = digits.train, digits.labels, network.fields(weights)
    signs = chop(len(rows), np.float64)
    if kind == "optical":
        readings = yield optical_error_table(network, banks, rows, labels, ("output", "backward_in"))
        scale = network.optics.probe / (network.optics.feedback * network.feedback_level)
        error = _error(network, network.outputs(readings), labels)
    else:
        error = _error(network, network.outputs((yield network.forward(banks, rows, ("output",)))), labels)
        volts, scale = network.error_volts((error * signs).astype(network.dtype))
        orders = {"error": np.arange(len(rows)), "input": rows}
        readings = yield ShotTable({"error": volts}, orders, network.dwell_s, ("backward_in",))
    arrived = network.tapped(readings, "backward_in")[-1] * signs * scale
    return arrived, error @ network.displayed(weights)[-1]


def _error(network: Network, outputs: Floats, labels: Ints) -> Floats:
    return outputs.astype(np.float64) - np.eye(network.layers.sizes[-1])[labels]


def _gradient(network: Network, method: Method, digits: Digits, weights: Sequence[Floats]) -> Plan[list[Floats]]:
    targets = np.eye(network.layers.sizes[-1]) if network.targets is None else network.targets
    inputs = network.inputs(digits.images[digits.train])
    banks = network.fields(weights)
    step = yield from backprop(network, method, banks, digits.train, inputs, targets.astype(network.dtype), digits.labels)
    return step.gradients


def _relative(one: Floats, two: Floats) -> float:
    """rms of the difference over the rms of the second."""
    return float(np.linalg.norm(one - two) / np.linalg.norm(two))
