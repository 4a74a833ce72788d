"""Training plans: mini-batches, validation, best epoch; whatever was learned is kept when a run is cut short."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labonn.channels import Floats
from labonn.gradients import Method, backprop, measure_outputs
from labonn.learning import Digits, Learned, Pass, Probe, Settings
from labonn.network import Network, image_volts
from labonn.optimizers import BY_NAME, Optimizer
from labonn.response import FitRanges, measure_responses
from labonn.shots import Bank, Ints, Readings, ShotTable
from labonn.targets import measure_targets, measure_zero

Tables = Generator[ShotTable, Readings, Any]
COOL_C = 30.0  # a temperature that an oven reaches from either side, with an optical depth below 1
PROBED = 64  # validation images of a probe
ZERO_IMAGES = 32  # from which the feedback modulator's zero is measured, every epoch
TARGET_IMAGES = 512  # from which the targets of an optical error are measured, every epoch
EARLY_STEPS = (10, 30, 100, 300)  # fields grow fast at first: ranges are fitted again then, later once an epoch
Watcher = Callable[[Learned, float, float], None]  # learned, running loss, running accuracy: after every step


def initial_weights(
    sizes: Sequence[int], depth: float, seed: int, dtype: type = np.float32, start: str = "usual", spread: float | None = None
) -> list[Floats]:
    """(N_l, N_l-1) each, at random.

    Args:
        start: "normal": N(0, spread). "peaks": two peaks +-N(0.15, spread). "usual": the first up to an optical depth of 30, the second
            above (App. A.4). spread: None: 0.1 for normal, 0.15 for peaks (App. A.4).
    """
    rng = np.random.default_rng([seed, 0])
    shapes = list(zip(sizes[1:], sizes, strict=False))
    if start == "normal" or (start == "usual" and depth <= 30):
        return [rng.normal(0, spread or 0.1, shape).astype(dtype) for shape in shapes]
    return [(rng.choice([-1, 1], shape) * rng.normal(0.15, spread or 0.15, shape)).astype(dtype) for shape in shapes]


def warm_up(network: Network, measure: bool = True, fit_ranges: FitRanges | None = None) -> Tables:
    """How the SLMs answer, measured through cool and nearly clear cells; then the ovens to their temperature.

    Args:
        measure: False leaves the SLMs alone. Empty cells (depth 0) stay cool. fit_ranges: of `measure_responses`.

    Returns:
        port -> response (labonn.response).
    """
    cool: dict[str, Bank] = {"gain": np.maximum(network.specs["gain"].lower, 0)[None, :]}
    if network.layers.hidden:
        cool["ovens"] = np.full((1, len(network.layers.hidden)), COOL_C)
    first = yield ShotTable(cool, dwell_s=network.dwell_s, read=("output",))
    network.dtype = np.float64 if first["output"].dtype == np.float64 else np.float32
    responses: dict[str, Floats] = {}
    if measure:
        cool_depth = float(network.optics.oven.depth_at(np.array([COOL_C]))[0]) if network.depth else 0.0
        responses = yield from measure_responses(network, cool_depth, fit_ranges)
    if network.layers.hidden and network.depth:
        yield ShotTable({"ovens": network.temperatures()}, dwell_s=network.dwell_s, read=())
    return responses


def set_up(network: Network, digits: Digits, weights: Sequence[Floats]) -> Tables:
    """Path gains for the weights, and all images and targets into the modulators' memories."""
    network.fit_gains(weights)
    yield ShotTable({"gain": network.currents()}, dwell_s=network.dwell_s, read=())
    volts, start = image_volts(network, digits.images), np.zeros(1, np.int64)
    targets = network.optics.modulator.volts(np.eye(network.layers.sizes[-1], dtype=network.dtype))
    opened = network.optics.modulator.volts(np.ones((1, 1), network.dtype))
    banks: dict[str, Bank] = {"input": volts, "target": targets, "feedback": opened}
    yield ShotTable(banks, dict.fromkeys(banks, start), network.dwell_s, ())


def measure_dark(network: Network, shots: int = 1000) -> Tables:
    """Detector offsets, from shots in which no beam is armed."""
    network.dark.clear()
    for port in ("output", *(("forward_in", "forward_out", "backward_in", "backward_out") if network.layers.hidden else ())):
        readings = yield ShotTable({}, dwell_s=network.dwell_s, read=(port,), shots=shots)
        network.dark[port] = readings[port].mean(axis=0, dtype=np.float64)


def measure_peaks(network: Network, method: Method, digits: Digits, weights: Sequence[Floats], count: int = 256) -> Tables:
    """port -> (D,) largest volts of either sign, over some training images and their errors: what ranges must hold."""
    rows = digits.train[:count]
    seen: dict[str, Floats] = {}
    inputs, targets, labels = _batch(network, digits, rows)
    plan = backprop(network, method, network.fields(weights), rows, inputs, targets, labels)
    readings: Readings | None = None
    try:
        while True:
            table = plan.send(readings)  # type: ignore[arg-type]
            readings = yield table
            for port, volts in readings.items():
                seen[port] = np.maximum(seen.get(port, 0), np.abs(volts).max(axis=0))
    except StopIteration as done:
        network.fit_feedback(float(np.abs(done.value.outputs - targets[labels]).max()))
        return seen


def _batch(network: Network, digits: Digits, rows: Ints) -> tuple[Floats, Floats, Ints]:
    """(inputs, targets, labels) of some images, as `backprop` wants them."""
    inputs = network.inputs(digits.images[rows])
    targets = np.eye(network.layers.sizes[-1]) if network.targets is None else network.targets
    return inputs, targets.astype(network.dtype, copy=False), digits.labels[rows]


def accuracy(outputs: Floats, labels: Ints) -> float:
    """Fraction of rows whose largest output is the right one."""
    return float(np.mean(outputs.argmax(axis=1) == labels))


@dataclass
class Training:
    """A training under way: everything that an epoch changes.

    Attributes:
        network: of a bench that has been warmed up. digits, settings: what and how. learned: the result so far.
        optimizer, state: and its state. rng: of the order of images. current: the pass under way. probe: newest.
    """

    network: Network
    digits: Digits
    settings: Settings
    learned: Learned
    optimizer: Optimizer
    state: Any
    rng: np.random.Generator
    current: Pass | None = None
    probe: Probe | None = None

    @classmethod
    def start(cls, network: Network, digits: Digits, settings: Settings, learned: Learned) -> Training:
        """From random weights, which become those of `learned`."""
        start = settings.seed, network.dtype, settings.start, settings.spread
        learned.weights = initial_weights(network.layers.sizes, network.depth, *start)
        optimizer = BY_NAME[settings.optimizer](settings.learning_rate)
        rng = np.random.default_rng([settings.seed, 1])
        return cls(network, digits, settings, learned, optimizer, optimizer.init(learned.weights), rng)


def train_epoch(training: Training, watch: Watcher, fit_ranges: FitRanges) -> Tables:
    """One pass over the training images in random order, then the validation images; the record is added to `learned`.

    A pass that is under way (`training.current`) goes on: all that counts is in the training whenever `watch` is called.

    Args:
        watch: called after every step. fit_ranges: called with the peaks of every detector port, now and then, to choose their ranges anew.
    """
    network, digits, learned = training.network, training.digits, training.learned
    if training.current is None:
        training.current = yield from _begin(training, fit_ranges)
    now = training.current
    while now.refit or now.done < len(now.order):
        if now.refit:
            fit_ranges((yield from measure_peaks(network, training.settings.method, digits, learned.weights)))
            now.refit = False
            continue
        yield from _step(training, now)
        watch(learned, now.losses / now.done, now.hits / now.done)
    outputs = yield from measure_outputs(network, network.fields(learned.weights), digits.validation)
    training.probe = Probe([weight.copy() for weight in learned.weights], digits.validation[:PROBED], outputs[:PROBED].copy())
    learned.shots += len(digits.validation)
    record = {"epoch": len(learned.metrics) + 1, "train_loss": now.losses / len(now.order), "train_accuracy": now.hits / len(now.order)}
    record["weights_projected"] = network.projected(learned.weights)
    record["validation_accuracy"] = accuracy(outputs, digits.labels[digits.validation])
    learned.keep({**record, "steps": learned.steps, "shots": learned.shots}, network.gains)
    training.current = None


def _begin(training: Training, fit_ranges: FitRanges) -> Tables:
    """Path gains, detector ranges and targets for a pass, which is returned."""
    network, digits, learned = training.network, training.digits, training.learned
    if network.fit_gains(learned.weights):
        yield ShotTable({"gain": network.currents()}, dwell_s=network.dwell_s, read=())
    fit_ranges((yield from measure_peaks(network, training.settings.method, digits, learned.weights)))
    if training.settings.method.error == "optical" and network.layers.hidden:
        few = digits.train[:ZERO_IMAGES]
        before = network.feedback_zero_v
        yield from measure_zero(network, learned.weights, few, digits.labels[few])
        if network.feedback_zero_v != before:  # less light comes back
            fit_ranges((yield from measure_peaks(network, training.settings.method, digits, learned.weights)))
        some = digits.train[:TARGET_IMAGES]
        network.targets = yield from measure_targets(network, learned.weights, some, digits.labels[some])
    return Pass(training.rng.permutation(digits.train))


def _step(training: Training, now: Pass) -> Tables:
    """The next mini-batch."""
    network, learned = training.network, training.learned
    rows = now.order[now.done : now.done + training.settings.batch]
    inputs, targets, labels = _batch(network, training.digits, rows)
    step = yield from backprop(network, training.settings.method, network.fields(learned.weights), rows, inputs, targets, labels)
    learned.weights, training.state = training.optimizer.update(step.gradients, training.state, learned.weights)
    hits = int(np.count_nonzero(step.outputs.argmax(axis=1) == labels))
    now.loss, now.accuracy = step.loss, hits / len(rows)
    now.losses, now.hits = now.losses + step.loss * len(rows), now.hits + hits
    learned.steps, learned.shots, now.done = learned.steps + 1, learned.shots + step.shots, now.done + len(rows)
    now.refit = learned.steps in EARLY_STEPS


def probed(training: Training, probe: Probe) -> Tables:
    """The images and weights of a probe once more; (n, N_L) outputs."""
    network = training.network
    return (yield from measure_outputs(network, network.fields(probe.weights), probe.rows))


def test_best(network: Network, digits: Digits, learned: Learned) -> Tables:
    """Show the best weights again and measure them on the test images; returns (accuracy, outputs, neuron inputs of up to 500 images)."""
    if network.belief is not None and learned.best_gains is not None:  # as validated: no curve of the amplifiers has to be believed
        network.gains = learned.best_gains.copy()
        yield ShotTable({"gain": network.currents()}, dwell_s=network.dwell_s, read=())
    elif network.fit_gains(learned.best):
        yield ShotTable({"gain": network.currents()}, dwell_s=network.dwell_s, read=())
    outputs = yield from measure_outputs(network, network.fields(learned.best), digits.test)
    inputs: list[Floats] = []
    if network.layers.hidden:
        readings = yield network.forward({}, digits.test[:500], ("forward_in",))
        inputs = network.tapped(readings, "forward_in")
    return accuracy(outputs, digits.labels[digits.test]), outputs, inputs
