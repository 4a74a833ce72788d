"""Makes folders of runs by hand, whose numbers a test knows; no training, and no record unless one is added."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

LABELS = np.array([0, 0, 1, 1, 1, 2, 2, 2, 2, 2])
READ = np.array([0, 1, 1, 1, 2, 2, 2, 2, 0, 0])
COUNTS = [[1, 1, 0], [0, 2, 1], [2, 0, 3]]  # by hand: rows are labels, columns what was read
ROWS = [
    {"epoch": 1, "train_loss": 2.0, "train_accuracy": 0.3, "validation_accuracy": 0.2, "steps": 10, "shots": 1000},
    {"epoch": 2, "train_loss": 1.0, "train_accuracy": 0.5, "validation_accuracy": 0.6, "steps": 20, "shots": 2000},
    {"epoch": 3, "train_loss": 0.5, "train_accuracy": 0.7, "validation_accuracy": 0.5, "steps": 30, "shots": 3000},
]


def small_run(out: Path, name: str = "20260101T120000Z-train_vapour_cell", **settings: Any) -> Path:
    """A finished run of three epochs; `settings` go over those of settings.json."""
    folder = out / name
    folder.mkdir(parents=True)
    options = {"dry_run": True, "out": str(out), "seed": None, "lr": None, "data": "mini", **settings.pop("options", {})}
    told = {"procedure": "train_vapour_cell", "seed": 0, "command": "labonn run train_vapour_cell --dry-run", "dry_run": True}
    told |= {"ideal": False, "bench": "the procedure's own", "options": options, "versions": {"labonn": "0.1.0"}, **settings}
    write(folder, "settings.json", told)
    result = {"data": "mini: 50 training, 5 validation, 10 test images", "test_accuracy": 0.6, "steps": 30, "bench_time_s": 90.0}
    write(folder, "result.json", {"status": "finished", "problem": None, "result": result})
    (folder / "bench.toml").write_text(
        '[ports.gain]\ndriver = "qontrol"\n[simulation]\nbench = "vapour_cell"\nseed = 7\n', encoding="utf-8"
    )
    (folder / "events.log").write_text("2026-01-01T12:00:00Z bench open: gain = Q8iv-4B06\n", encoding="utf-8")
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in ROWS), encoding="utf-8")
    outputs = np.eye(3)[READ] + np.linspace(0, 0.3, 10)[:, None] * [0.0, 0.1, 0.2]
    images = np.arange(10 * 4 * 4, dtype=np.uint8).reshape(10, 4, 4)
    np.savez(folder / "test.npz", outputs=outputs, labels=LABELS, images=images)
    rng = np.random.default_rng(1)
    np.savez(folder / "weights.npz", best1=rng.normal(0, 0.1, (5, 16)), best2=rng.normal(0, 0.1, (3, 5)), best_epoch=2)
    return folder


def write(folder: Path, name: str, value: Any) -> None:
    """As JSON."""
    (folder / name).write_text(json.dumps(value), encoding="utf-8")
