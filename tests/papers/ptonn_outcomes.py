"""Outcomes of trainings on small chips, made by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from labonn.sweeps import Outcome
from procedures.benches import chip_bench

SIZES = (6, 4, 3)
REPORTS = (
    {"epoch": 1.0, "steps": 20, "validation_accuracy": 0.5, "train_accuracy": 0.4, "settings": 1000, "bench_time_s": 4.0},
    {"epoch": 2.0, "steps": 40, "validation_accuracy": 0.7, "train_accuracy": 0.6, "settings": 2000, "bench_time_s": 6.0},
    {"epoch": 3.0, "steps": 60, "validation_accuracy": 0.8, "train_accuracy": 0.9, "settings": 3000, "bench_time_s": 8.0},
)


def trained(folder: Path, bench: str = "pt_chip", accuracy: float = 0.85, theta: Any = None, seed: int = 0) -> Outcome:
    """A training that took 5 bench seconds from the third on, with noise at two strengths afterwards."""
    folder.mkdir(parents=True)
    (folder / "bench.toml").write_text(chip_bench(bench, SIZES))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in REPORTS))
    rng, count = np.random.default_rng(seed), 37
    np.savez(folder / "weights.npz", best=rng.uniform(-0.1, 0.1, count) if theta is None else theta)
    labels = np.arange(30) % 3
    np.savez(folder / "test.npz", outputs=np.eye(3)[labels], labels=labels)
    noise = {
        "sigmas_rad": [0.0, 0.02],
        "draws": 2,
        "test_accuracy": [accuracy, 0.4],
        "test_deviation": [0.0, 0.1],
        "moved_back": [0.0, 0.03],
    }
    result = {"test_accuracy": accuracy, "training_accuracy": accuracy + 0.01, "evaluations": 3100, "data": "some images", "noise": noise}
    result |= {"training_time_s": 5.0, "steps": 60, "images": {"train": 640, "validation": 30, "test": 30}}
    return Outcome(result, folder, 1.0)
