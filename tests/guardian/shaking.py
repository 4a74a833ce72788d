"""Plays random rows on every port of a bench, until somebody stops it; as busy as a training, and as harmless."""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from labonn.bench import Bench
from labonn.runs import Run
from labonn.shots import ShotTable, outer


def options(parser: argparse.ArgumentParser) -> None:
    """The procedure's own options."""
    parser.add_argument("--tables", type=int, default=1_000_000)
    parser.add_argument("--idle", type=float, default=0.0, help="seconds without any call, after the first table")


def tables(specs: Any, count: int, idle_s: float = 0.0) -> Any:
    """A plan: gains at 20 to 100 % of their range, 20 random rows of the beams; the sum of all readings."""
    rng, total = np.random.default_rng(0), 0.0
    for number in range(count):
        gains = {p: specs[p].upper * rng.uniform(0.2, 1.0, (2, len(specs[p]))) for p in ("gain", "meter")}
        beams = rng.uniform(-1, 1, (20, len(specs["beams"])))
        readings = yield outer(slow=gains, fast={"beams": beams}, dwell_s=1e-5, read=("seen",))
        total += float(readings["seen"].sum())
        if number == 0 and idle_s:
            time.sleep(idle_s)
    return total


def main(bench: Bench, args: argparse.Namespace, run: Run) -> dict[str, Any]:
    """Play on the open bench."""
    bench.play(ShotTable({}, {}, read=("seen",), shots=3))
    return {"sum": bench.run(tables(bench.specs, args.tables, args.idle))}
