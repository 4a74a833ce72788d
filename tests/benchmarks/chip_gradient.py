"""Speed of a full central-difference gradient of a chip (1,631 parameters) through drivers and firmware, side by side with the mesh alone.

`python tests/benchmarks/chip_gradient.py [--repeats 9] [--batch 64] [--least 0]` prints for hardware-timed and software-timed benches, with
all imperfections and without, gradients a second, how many times that is faster than sending the images' light through the chip once a
setting (physics only, no instruments; extrapolated from 200 settings), and link exchanges a gradient. It ends with 1 if a gradient needs
another number of exchanges than it should, or if the slowest bench makes fewer than `--least` gradients a second.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from labonn.bench import Bench
from labonn.chip_setup import fit_ranges, load_memories, measure_dark, measure_peaks, pictures_of
from labonn.chips import ChipOptics
from labonn.data import load
from labonn.gradients import OnChip, Slots, central
from procedures.benches.chips import BENCHES, chip_bench
from sim_backends.benches.chip_light import ChipLight
from sim_backends.benches.chip_settings import ChipSettings
from sim_backends.physics.drives import Dense

STEP, THETA, SAMPLE = 0.04, 0.2, 200
BLOCK_BYTES = 1 << 24
HARDWARE_MOST = 20  # exchanges a gradient from memory, whatever the batch
SET_MOST = 3  # exchanges a setting over serial lines: a set on one chain or on two, and the trigger


class Chip:
    """A simulated bench, set up, with a mini-batch on show."""

    def __init__(self, bench: Bench, batch: int, ideal: bool) -> None:
        self.bench, self.optics, self.ideal = bench, ChipOptics.of(bench.file), ideal
        pt = self.optics.port == "gain"
        reach = np.where(self.optics.amplifiers, 1.0, THETA) if pt else np.full(self.optics.model.count, np.pi)
        objective = self.objective = OnChip.of(self.optics, bench.specs, Slots(1e-6, 0, batch, 0.0), (-reach, reach))
        limits = objective.lower, objective.upper
        self.theta = np.where(self.optics.amplifiers, 0.0, self.optics.model.random(np.random.default_rng(0), limits, 1.0))
        self.pictures = pictures_of(load("mini"), self.optics.design.sizes[0], None, 0)
        bench.run(load_memories(objective, self.pictures))
        bench.run(measure_dark(objective))
        fit_ranges(bench.ports, bench.specs, bench.run(measure_peaks(objective, self.theta, self.pictures.train)))
        self.show(batch)

    def show(self, batch: int) -> None:
        rows = self.pictures.train[:batch]
        self.objective.show(rows, self.pictures.labels[rows])

    def gradient(self) -> tuple[float, int, int]:
        """Seconds, settings and link exchanges of one."""
        before, start = self.bench.exchanges, time.perf_counter()
        estimate = self.bench.run(central(self.objective, self.theta, STEP))
        return time.perf_counter() - start, estimate.settings, self.bench.exchanges - before

    def setting_s(self) -> float:
        """Seconds in which the light of the images runs through the chip at one setting, everything else left out."""
        design = self.optics.design
        light = ChipLight(self.optics, ChipSettings.of(self.bench.file, self.optics, self.ideal), 7, self.ideal)
        driven = self.optics.drive(np.repeat(self.theta[None], SAMPLE, axis=0))
        settings = light.actuators.dense(driven, 0.0).values
        fields = self.pictures.fields[self.pictures.train[: len(self.objective.rows)]]

        def sigmoid(z: Any, *_: Any) -> Any:
            return (1 / (1 + np.exp(-design.slope * z.real))).astype(z.real.dtype)

        def alone(values: Any) -> Any:
            return light.chip.outputs(Dense(values[None]), fields, sigmoid)

        def traced(values: Any) -> Any:
            return light.chip.trace(values, fields, lambda z, rows: sigmoid(z).astype(z.dtype))

        taken = []
        for way in (alone, traced):
            start = time.perf_counter()
            for values in settings:
                way(values)
            taken.append((time.perf_counter() - start) / SAMPLE)
        return min(taken)


def measure(name: str, ideal: bool, batch: int, repeats: int) -> tuple[float, bool]:
    """(Gradients a second, whether the number of exchanges is right) of one bench; prints both and the ratio to the mesh alone."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.toml"
        path.write_text(chip_bench(name), encoding="utf-8")
        with Bench.open(path, dry_run=True, ideal=ideal) as bench:
            chip = Chip(bench, batch, ideal)
            chip.gradient()
            pairs = [(chip.gradient(), chip.setting_s()) for _ in range(repeats)]
            seconds, (_, settings, exchanges) = median(pair[0][0] for pair in pairs), pairs[0][0]
            chip.show(8)
            few = chip.gradient()[2]
    most = HARDWARE_MOST if not name.endswith("_software") else SET_MOST * settings
    blocks = settings * batch * 80 // BLOCK_BYTES  # of ten float64 a shot: what a long record takes to be fetched
    right = few <= exchanges <= few + blocks and exchanges <= most
    ratio = median(settings * alone / through for (through, *_), alone in pairs)
    kind = "ideal" if ideal else "all imperfections"
    told = f"{exchanges} exchanges for batch {batch}, {few} for batch 8 (as many, at most {most}): {'right' if right else 'WRONG'}"
    print(f"{name}, {kind}: {1 / seconds:.2f} gradients a second ({settings} settings x {batch} images), {ratio:.0f} times as fast as")
    print(f"    the mesh once a setting (physics only, extrapolated from {SAMPLE} settings); {told}", flush=True)
    return 1 / seconds, right


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--least", type=float, default=0.0)
    args = parser.parse_args()
    threadpool_limits(1, user_api="blas")
    found = [measure(name, ideal, args.batch, args.repeats) for name in BENCHES for ideal in (False, True)]
    return int(any(not right for _, right in found) or min(speed for speed, _ in found) < args.least)


if __name__ == "__main__":
    sys.exit(main())
