"""What the run record costs a training step: the vapour benchmark with and without it, epoch by epoch in turn.

`python tests/benchmarks/record.py [--images 6400] [--repeats 20]` prints the time of a step without and with the record, the ratio, and
how much is written a step; it ends with 1 only if a step or a shot is missing from the record.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from epoch import BATCH, SIZES, Stack
from threadpoolctl import threadpool_limits

from labonn.bench import Bench
from labonn.data import load
from labonn.learning import Digits, Learned
from labonn.record import open_record
from labonn.record.recorder import Recorder
from labonn.training import train_epoch
from procedures.benches import vapour_cell


def epoch(stack: Stack, recorder: Recorder | None) -> float:
    """Seconds of one epoch."""

    def watch(now: Learned, loss: float, accuracy: float) -> None:
        stack.ranges.widen()
        if recorder is not None:
            recorder.step(now.steps, {"loss": loss, "accuracy": accuracy})

    stack.bench.observer = recorder
    start = time.perf_counter()
    stack.bench.run(train_epoch(stack.training, watch, stack.ranges.fit))
    return time.perf_counter() - start


def main() -> int:
    """Measure, print, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=6400)
    parser.add_argument("--repeats", type=int, default=20)
    args = parser.parse_args()
    threadpool_limits(1, user_api="blas")
    data = load("mini")
    pick, rows = np.arange(args.images) % len(data.train_labels), np.arange(args.images)
    digits = Digits(data.train_images[pick], data.train_labels[pick].astype(np.int64), rows, rows[:BATCH], rows[:BATCH])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bench.toml").write_text(vapour_cell(SIZES), encoding="utf-8")
        with Bench.open(folder / "bench.toml", dry_run=True) as bench:
            stack = Stack(bench, digits)
            recorder = Recorder(folder, bench, {})
            epoch(stack, None), epoch(stack, recorder)
            recorder.part()
            pairs, counted, shots = [], recorder.entries, 0
            for number in range(args.repeats):
                gc.collect()
                took = {}
                for one in (None, recorder) if number % 2 else (recorder, None):
                    before = bench.shots
                    took[one] = epoch(stack, one)
                    shots += 0 if one is None else bench.shots - before
                pairs.append((took[None], took[recorder]))
            bench.observer = None
            recorder.finish("finished")
        return report(args, pairs, folder, counted, shots)


def report(args: argparse.Namespace, pairs: list[tuple[float, float]], folder: Path, counted: int, shots: int) -> int:
    """Print; 1 if something is missing."""
    steps = -(-args.images // BATCH)
    with open_record(folder) as record:
        found = {kind: record.steps(since=counted, kind=kind) for kind in ("step", "end")}
    counts = len(found["step"]["step"]), int(sum(entries["shots"].sum() for entries in found.values()))
    size = (folder / "record.sqlite").stat().st_size / (counts[0] + counted)
    best = [1e3 * min(times) / steps for times in zip(*pairs, strict=True)]
    ratios = f"ratio {best[1] / best[0]:.3f}, median ratio {statistics.median(recorded / without for without, recorded in pairs):.3f}"
    print(f"a step of the fastest epochs without the record {best[0]:.3f} ms, with it {best[1]:.3f} ms, {ratios}; {size:.0f} bytes a step")
    print(f"on record: {counts[0]} of {steps * args.repeats} steps, {counts[1]} of {shots} shots")
    return int(counts != (steps * args.repeats, shots))


if __name__ == "__main__":
    sys.exit(main())
