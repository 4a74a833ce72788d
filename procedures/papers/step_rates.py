"""What a bench reaches step by step: shots, updates and operations a second, from the record of a short dry run."""

from __future__ import annotations

from typing import Any

import numpy as np

import labonn
from labonn.sweeps import Task


def measured(task: Task) -> dict[str, Any]:
    """Medians over the steps of a training by light, on the bench's clock.

    Settings:
        data: of the images. hidden: neurons. batch, steps: of the training. dwell_s: of a shot. error: how the output error is made.
        believe: as train_vapour_cell has it.
    """
    settings = task.job.settings
    options = {name: settings[name] for name in ("hidden", "batch", "error", "believe")}
    options |= {"dwell": settings["dwell_s"], "limit": settings["batch"] * settings["steps"]}
    fixed = {"dry_run": True, "quiet": True, "seed": task.job.seed, "out": task.runs, "checkpoint": None, "epochs": 1}
    record = labonn.run("train_vapour_cell", data=task.job.places["data"], **fixed, **options)
    steps = record.steps()
    began = record.steps(kind="part")["bench_s"][-1]
    took = np.diff(np.append(began, steps["bench_s"]))[1:]  # before the first step, ranges are fitted
    per_step = {name: float(np.median(steps[name][1:])) for name in ("shots", "exchanges", "tables")}
    found = {"bench_s": float(np.median(took)), **per_step, "steps": len(steps["step"])}
    sizes = [int(part) for part in str(record.result["network"]).split("-")]
    return {**found, "sizes": sizes, "test_accuracy": record.result["test_accuracy"], "run": record.folder.name}
