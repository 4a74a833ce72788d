"""A small training, or a few tables of everything, on any bench: the run that the fault campaign repeats."""

from __future__ import annotations

import argparse
from typing import Any

import moments
import numpy as np

from labonn.bench import Bench
from labonn.chip_setup import fit_ranges, load_memories, measure_peaks, widen
from labonn.chip_setup import measure_dark as measure_chip_dark
from labonn.chip_training import ChipSettings, ChipTraining, Grown, Pictures
from labonn.chips import ChipOptics
from labonn.devices import Actuator, Detector
from labonn.gradients import Method, OnChip, Slots
from labonn.layers import layers_of
from labonn.learning import Digits, Learned, Settings
from labonn.network import Network
from labonn.optics import Optics
from labonn.ranging import Ranges
from labonn.runs import Run
from labonn.shots import ShotTable, outer
from labonn.training import Training, measure_dark, set_up, test_best, train_epoch, warm_up

IMAGES, BATCH = 16, 4
DWELL_S = 2e-3
SHARE = (0.1, 0.35, 0.2, 0.3)  # of a port's range, that rows of tables are at


def options(parser: argparse.ArgumentParser) -> None:
    """The procedure's own options."""


def main(bench: Bench, args: argparse.Namespace, run: Run) -> dict[str, Any]:
    """Run whatever the bench is for; the arrays that came out are kept."""
    moments.reached("opened", bench)
    play = bench.play

    def noted(table: ShotTable) -> dict[str, Any]:
        readings = play(table)
        moments.readings.append({port: np.array(volts) for port, volts in readings.items()})
        _notes(run, [f"{port}: readings saturated" for port in readings if getattr(bench.ports[port], "saturated", 0)])
        if len(moments.readings) == 1:
            moments.reached("first", bench)
        return readings

    bench.play = noted  # type: ignore[method-assign]
    what = _chip if "chip" in bench.file.nominal else _vapour if "weights1" in bench.ports else _tables
    learned = what(bench, run)
    moments.reached("last", bench)
    return {"learned": learned}


def _pictures(inputs: int, outputs: int) -> tuple[Any, Any, Any]:
    rng, rows = np.random.default_rng(17), np.arange(IMAGES)
    return rng.random((IMAGES, inputs)).astype(np.float32), rows % outputs, rows


def _chip(bench: Bench, run: Run) -> Any:
    optics = ChipOptics.of(bench.file)
    limit = np.where(optics.amplifiers, 0.5, 0.2 if optics.port == "gain" else 2.5)
    objective = OnChip.of(optics, bench.specs, Slots(1e-6, 0, BATCH), (-limit, limit))
    images, labels, rows = _pictures(optics.design.sizes[0], optics.design.sizes[2])
    pictures = Pictures(images, labels, rows[:8], rows[8:12], rows[12:])
    theta = 0.5 * (objective.lower + objective.upper) + 0.2 * (objective.upper - objective.lower) * np.cos(np.arange(optics.model.count))
    grown = Grown(theta, theta.copy())
    run.keep("weights", lambda: {"best": grown.best, "last": grown.theta})
    training = ChipTraining(objective, pictures, ChipSettings(steps=4, batch=BATCH, report=2, learning_rate=1e-3), grown)
    bench.run(load_memories(objective, pictures))
    bench.run(measure_chip_dark(objective))
    training.peaks = bench.run(measure_peaks(objective, theta, pictures.train))
    fit_ranges(bench.ports, bench.specs, training.peaks)
    while not training.over():
        bench.run(training.stretch(lambda now, loss: _notes(run, widen(bench.ports, bench.specs, training.peaks)), bench.clock.now))
        run.metrics(grown.metrics[-1])
        if grown.steps == 2:
            moments.reached("middle", bench)
    outputs = bench.run(objective.images(grown.best, pictures.test))
    return {"theta": grown.theta, "outputs": outputs}


def _vapour(bench: Bench, run: Run) -> Any:
    layers = layers_of(bench.ports, bench.specs, bench.file.name)
    shown = [bench.ports[port].shown for port in layers.weights()]
    network = Network(layers, Optics.of(bench.file), bench.specs, 4.0, 1e-5, shown=shown)
    images, labels, rows = _pictures(layers.sizes[0], layers.sizes[-1])
    digits = Digits((255 * images).astype(np.uint8), labels, rows[:8], rows[8:12], rows[12:])
    learned = Learned()
    run.keep("weights", lambda: {f"last{i + 1}": weight for i, weight in enumerate(learned.weights)})
    ranges = Ranges(bench.ports, bench.specs, layers)
    bench.run(warm_up(network))
    training = Training.start(network, digits, Settings(2, BATCH, method=Method("optical", "digital"), seed=1), learned)
    bench.run(set_up(network, digits, learned.weights))
    for _ in range(2):
        ranges.narrow()
        bench.run(measure_dark(network))
        ranges.restore()
        bench.run(train_epoch(training, lambda now, loss, accuracy: ranges.widen(), ranges.fit))
        run.metrics(learned.metrics[-1])
        if len(learned.metrics) == 1:
            moments.reached("middle", bench)
    _, outputs, _ = bench.run(test_best(network, digits, learned))
    return {"weights": learned.weights, "outputs": outputs}


def _tables(bench: Bench, run: Run) -> Any:
    """Every actuator to some of what it may do, held ones slowly and others fast, and every detector read."""
    actuators = {name: bench.specs[name] for name, device in bench.ports.items() if isinstance(device, Actuator)}
    read = tuple(name for name, device in bench.ports.items() if isinstance(device, Detector))
    seen = []
    run.keep("seen", lambda: {f"table{i}": part for i, part in enumerate(seen)})
    for number in range(5):
        banks = {name: _rows(spec, number) for name, spec in actuators.items()}
        slow = {name: bank[:2] for name, bank in banks.items() if actuators[name].depth == 1}
        fast = {name: bank for name, bank in banks.items() if actuators[name].depth > 1}

        def plan(table: ShotTable) -> Any:
            return (yield table)

        whole = outer(slow, fast, DWELL_S, read) if slow and fast else _alone(slow or fast, read)
        readings = bench.run(plan(whole))
        seen.append(np.concatenate([np.ravel(readings[name]) for name in read]))
        run.metrics({"table": number, "mean": float(seen[-1].mean())})
        if number == 2:
            moments.reached("middle", bench)
    return seen


def _alone(banks: dict[str, Any], read: tuple[str, ...]) -> ShotTable:
    return ShotTable(banks, {name: np.arange(len(bank)) for name, bank in banks.items()}, DWELL_S, read)


def _notes(run: Run, told: list[str]) -> None:
    for text in told:
        run.event(text)


def _rows(spec: Any, number: int) -> Any:
    """(3, C) values in the lower part of the range."""
    share = np.array([SHARE[(number + row) % len(SHARE)] for row in range(3)])[:, None] + 0.01 * (np.arange(len(spec)) % 5)
    low, high = np.maximum(spec.lower, -1e3), np.minimum(spec.upper, 1e3)
    if spec.unit == "degC":
        low, high = np.full(len(spec), 20.0), np.full(len(spec), 40.0)
    return low + share * (high - low)
