"""Speed of a training epoch through the full driver stack, as a ratio to a bare NumPy loop of the same arithmetic, side by side.

`python tests/benchmarks/epoch.py [--images 60000] [--repeats 3] [--most 2.5]` prints both and the ratio, link exchanges a step for
batches of 8 and 512, and ends with 1 if the ratio is above `--most` or a step needs more than 20 exchanges.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from labonn.bench import Bench
from labonn.data import load
from labonn.gradients import backprop
from labonn.layers import layers_of
from labonn.learning import Digits, Learned, Settings
from labonn.network import Network
from labonn.optics import Optics
from labonn.ranging import Ranges
from labonn.training import Training, measure_dark, set_up, train_epoch, warm_up
from procedures.benches import vapour_cell

Array = NDArray[Any]
SIZES, BATCH, DEPTH = (784, 128, 128, 10), 64, 30.0


def bare_epoch(images: Array, labels: Array, weights: list[Array], moments: list[tuple[Array, Array]], done: int) -> int:
    """One epoch of optical backpropagation in float32 NumPy, no instruments: gather, forward, Eq. 5 backward, Adam."""
    targets, half, order = np.eye(10, dtype=np.float32), np.float32(-DEPTH / 2), np.random.default_rng(done).permutation(len(labels))
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        x, done = images[rows], done + 1
        z1 = x @ weights[0].T
        t1 = np.exp(half / (1 + z1 * z1))
        a1 = z1 * t1
        z2 = a1 @ weights[1].T
        t2 = np.exp(half / (1 + z2 * z2))
        a2 = z2 * t2
        d3 = a2 @ weights[2].T - targets[labels[rows]]
        d2 = t2 * (d3 @ weights[2])
        d1 = t1 * (d2 @ weights[1])
        root = np.sqrt(1 - 0.999**done)
        rate, epsilon = np.float32(5e-4 * root / (1 - 0.9**done)), np.float32(1e-8 * root)
        for weight, (first, second), delta, activation in zip(weights, moments, (d1, d2, d3), (x, a1, a2), strict=True):
            gradient = delta.T @ activation
            gradient *= np.float32(1 / len(rows))
            first *= np.float32(0.9)
            first += np.float32(0.1) * gradient
            second *= np.float32(0.999)
            gradient *= gradient
            second += np.float32(0.001) * gradient
            step = np.sqrt(second)
            step += epsilon
            np.divide(first, step, out=step)
            step *= rate
            weight -= step
    return done


def time_bare(digits: Digits, epochs: int) -> list[float]:
    """Seconds of each epoch."""
    rng = np.random.default_rng(0)
    images = digits.images[digits.train].astype(np.float32) / np.float32(255)
    weights = [rng.normal(0, 0.1, (n, m)).astype(np.float32) for m, n in pairwise(SIZES)]
    moments = [(np.zeros_like(w), np.zeros_like(w)) for w in weights]
    seconds, done = [], 0
    for _ in range(epochs):
        start = time.perf_counter()
        done = bare_epoch(images, digits.labels[digits.train], weights, moments, done)
        seconds.append(time.perf_counter() - start)
    return seconds


class Stack:
    """A training on the simulated bench, all imperfections on, through the drivers."""

    def __init__(self, bench: Bench, digits: Digits) -> None:
        layers = layers_of(bench.ports, bench.specs, bench.file.name)
        network = Network(layers, Optics.of(bench.file), bench.specs, DEPTH, 5e-5)
        self.bench, self.ranges = bench, Ranges(bench.ports, bench.specs, layers)
        self.training = Training.start(network, digits, Settings(batch=BATCH), Learned())
        bench.run(warm_up(network))
        bench.run(set_up(network, digits, self.training.learned.weights))
        bench.run(measure_dark(network))

    def epoch(self) -> float:
        """Seconds of one epoch, validation not counted (the bare loop has none)."""
        start = time.perf_counter()
        self.bench.run(train_epoch(self.training, lambda *_: self.ranges.widen(), self.ranges.fit))
        return time.perf_counter() - start

    def exchanges(self, batch: int) -> int:
        """Link exchanges of one step."""
        network, digits, weights = self.training.network, self.training.digits, self.training.learned.weights
        rows = digits.train[:batch]
        inputs = (digits.images[rows] / 255).astype(np.float32)
        before = self.bench.exchanges
        targets = np.eye(10, dtype=np.float32)
        self.bench.run(backprop(network, Settings().method, network.fields(weights), rows, inputs, targets, digits.labels[rows]))
        return self.bench.exchanges - before


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=60000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--most", type=float, default=2.5)
    args = parser.parse_args()
    threadpool_limits(1, user_api="blas")
    data = load("mini")
    pick = np.arange(args.images) % len(data.train_labels)
    rows = np.arange(args.images)
    digits = Digits(data.train_images[pick], data.train_labels[pick].astype(np.int64), rows, rows[:BATCH], rows[:BATCH])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.toml"
        path.write_text(vapour_cell(SIZES), encoding="utf-8")
        with Bench.open(path, dry_run=True) as bench:
            stack = Stack(bench, digits)
            stack.epoch()
            pairs = [(time_bare(digits, 2)[1], stack.epoch()) for _ in range(args.repeats)]
            counts = {batch: stack.exchanges(batch) for batch in (8, 512)}
    ratios = sorted(full / bare for bare, full in pairs)
    for bare, full in pairs:
        print(f"epoch of {args.images} images: bare NumPy {bare:.3f} s, through the drivers {full:.3f} s, ratio {full / bare:.2f}")
    ratio = ratios[len(ratios) // 2]
    told = f"link exchanges a step: {counts[8]} for batch 8, {counts[512]} for batch 512 (at most 20)"
    print(f"median ratio {ratio:.2f} (at most {args.most}); {told}")
    return int(ratio > args.most or counts[8] != counts[512] or counts[8] > 20)


if __name__ == "__main__":
    sys.exit(main())
