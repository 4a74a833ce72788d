"""Training plans: mini-batches, validation, best epoch; whatever was learned is kept when a run is cut short."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.channels import Floats
from labonn.errors import ProcedureError
from labonn.gradients import DERIVATIVES, ERRORS, Method, backprop, measure_outputs
from labonn.network import Network, image_volts
from labonn.optimizers import BY_NAME
from labonn.response import measure_responses
from labonn.shots import Bank, Ints, Readings, ShotTable

Tables = Generator[ShotTable, Readings, Any]


@dataclass(frozen=True)
class Settings:
    """How to train (Guo et al. 2021, App. A.4, unless said otherwise).

    Attributes:
        epochs, batch, learning_rate: as usual. optimizer: "adam" or "sgd".
        method: how the gradient is made. seed: of initial weights and the order of images.
    """

    epochs: int = 20
    batch: int = 64
    learning_rate: float = 5e-4
    optimizer: str = "adam"
    method: Method = field(default_factory=Method)
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in (("epochs", self.epochs), ("batch", self.batch)):
            if value < 1:
                raise ProcedureError(f"--{name} {value}: at least 1")
        for name, chosen, known in (
            ("optimizer", self.optimizer, tuple(BY_NAME)),
            ("derivative", self.method.derivative, DERIVATIVES),
            ("error", self.method.error, ERRORS),
        ):
            if chosen not in known:
                raise ProcedureError(f"--{name} {chosen}: one of {', '.join(known)}")


@dataclass(frozen=True)
class Digits:
    """Images for training, validation and test, one after the other as they lie in the input memory.

    Attributes:
        images: (N, N0) uint8. labels: (N,). train, validation, test: rows of each part.
    """

    images: NDArray[np.uint8]
    labels: Ints
    train: Ints
    validation: Ints
    test: Ints


@dataclass
class Learned:
    """What a training has reached, valid at any moment.

    Attributes:
        weights: as they are now. best: those of the best validation accuracy. metrics: one record an epoch. steps, shots: done so far.
    """

    weights: list[Floats] = field(default_factory=list)
    best: list[Floats] = field(default_factory=list)
    best_epoch: int = 0
    best_accuracy: float = -1.0
    metrics: list[dict[str, float]] = field(default_factory=list)
    steps: int = 0
    shots: int = 0

    def keep(self, record: dict[str, float]) -> None:
        """Add an epoch's record, and its weights if none validated better."""
        self.metrics.append(record)
        if record["validation_accuracy"] > self.best_accuracy:
            self.best_accuracy, self.best_epoch = record["validation_accuracy"], int(record["epoch"])
            self.best = [weight.copy() for weight in self.weights]


Watcher = Callable[[Learned, float, float], None]  # learned, running loss, running accuracy: after every step


def initial_weights(sizes: Sequence[int], depth: float, seed: int, dtype: type = np.float32) -> list[Floats]:
    """N(0, 0.1) up to an optical depth of 30, two peaks +-N(0.15, 0.15) above (App. A.4); (N_l, N_l-1) each."""
    rng = np.random.default_rng([seed, 0])
    shapes = list(zip(sizes[1:], sizes, strict=False))
    if depth <= 30:
        return [rng.normal(0, 0.1, shape).astype(dtype) for shape in shapes]
    return [(rng.choice([-1, 1], shape) * rng.normal(0.15, 0.15, shape)).astype(dtype) for shape in shapes]


def warm_up(network: Network) -> Tables:
    """Ovens to their temperature, detector offsets, and how the SLMs answer; returns port -> response (labonn.response)."""
    banks: dict[str, Bank] = {"ovens": network.temperatures()} if network.layers.hidden else {}
    banks["gain"] = np.maximum(network.specs["gain"].lower, 0)[None, :]
    first = yield ShotTable(banks, dwell_s=network.dwell_s, read=("output",))
    network.dtype = np.float64 if first["output"].dtype == np.float64 else np.float32
    yield from measure_dark(network)
    return (yield from measure_responses(network))


def set_up(network: Network, digits: Digits, weights: Sequence[Floats]) -> Tables:
    """Path gains for the weights, and all images and targets into the modulators' memories."""
    network.fit_gains(weights)
    yield ShotTable({"gain": network.currents()}, dwell_s=network.dwell_s, read=())
    volts, start = image_volts(network, digits.images), np.zeros(1, np.int64)
    targets = network.optics.modulator.volts(np.eye(network.layers.sizes[-1], dtype=network.dtype))
    opened = network.optics.modulator.volts(np.ones((1, 1), network.dtype))
    yield ShotTable({"input": volts, "target": targets, "feedback": opened}, dict.fromkeys(("input", "target", "feedback"), start), network.dwell_s, ())


def measure_dark(network: Network, shots: int = 1000) -> Tables:
    """Detector offsets, from shots with every beam gated off."""
    network.dark.clear()
    for port in ("output", *(("forward_in", "forward_out", "backward_in", "backward_out") if network.layers.hidden else ())):
        off = {"feedback": np.full((1, 1), network.optics.modulator.bias_v)}
        readings = yield ShotTable(off, {"feedback": np.zeros(shots, np.int64)}, network.dwell_s, (port,))
        network.dark[port] = readings[port].mean(axis=0, dtype=np.float64)


def accuracy(outputs: Floats, labels: Ints) -> float:
    """Fraction of rows whose largest output is the right one."""
    return float(np.mean(outputs.argmax(axis=1) == labels))


def train(network: Network, digits: Digits, settings: Settings, learned: Learned, watch: Watcher, kept: Callable[[Learned], None]) -> Tables:
    """Train from random weights; the best epoch by validation accuracy is in `learned.best`.

    Args:
        network: of a bench that has been warmed up. watch: called after every step. kept: called after every epoch.
    """
    learned.weights = initial_weights(network.layers.sizes, network.depth, settings.seed)
    yield from set_up(network, digits, learned.weights)
    learned.weights = [weight.astype(network.dtype) for weight in learned.weights]
    optimizer = BY_NAME[settings.optimizer](settings.learning_rate)
    state, rng = optimizer.init(learned.weights), np.random.default_rng([settings.seed, 1])
    targets = np.eye(network.layers.sizes[-1], dtype=network.dtype)
    for epoch in range(1, settings.epochs + 1):
        losses, hits, order = 0.0, 0, rng.permutation(digits.train)
        for start in range(0, len(order), settings.batch):
            rows = order[start : start + settings.batch]
            inputs = np.multiply(digits.images[rows], network.dtype(1 / 255), dtype=network.dtype)
            labels = digits.labels[rows]
            banks = network.fields(learned.weights)
            step = yield from backprop(network, settings.method, banks, rows, inputs, targets, labels)
            learned.weights, state = optimizer.update(step.gradients, state, learned.weights)
            losses, hits = losses + step.loss * len(rows), hits + int(np.count_nonzero(step.outputs.argmax(axis=1) == labels))
            learned.steps, learned.shots = learned.steps + 1, learned.shots + step.shots
            seen = start + len(rows)
            watch(learned, losses / seen, hits / seen)
        if network.fit_gains(learned.weights):
            yield ShotTable({"gain": network.currents()}, dwell_s=network.dwell_s, read=())
        outputs = yield from measure_outputs(network, network.fields(learned.weights), digits.validation)
        learned.shots += len(digits.validation)
        learned.keep(
            {
                "epoch": epoch, "train_loss": losses / len(order), "train_accuracy": hits / len(order),
                "validation_accuracy": accuracy(outputs, digits.labels[digits.validation]), "steps": learned.steps, "shots": learned.shots,
            }
        )  # fmt: skip
        kept(learned)


def test_best(network: Network, digits: Digits, learned: Learned) -> Tables:
    """Show the best weights again and measure them on the test images; returns (accuracy, outputs, neuron inputs of up to 500 images)."""
    if network.fit_gains(learned.best):
        yield ShotTable({"gain": network.currents()}, dwell_s=network.dwell_s, read=())
    outputs = yield from measure_outputs(network, network.fields(learned.best), digits.test)
    inputs: list[Floats] = []
    if network.layers.hidden:
        readings = yield network.forward({}, digits.test[:500], ("forward_in",))
        inputs = network.tapped(readings, "forward_in")
    return accuracy(outputs, digits.labels[digits.test]), outputs, inputs
