"""Work of experiments in tests: a number that settings and seed decide."""

from __future__ import annotations

from typing import Any

from labonn.sweeps import Task

OFFSETS = (-0.1, 0.0, 0.1)  # of seeds 0, 1, 2: the mean is what was set, the standard deviation 0.1


def number(task: Task) -> dict[str, Any]:
    """`mean`, with the seed's offset; None where `lost` names the seed; fails where `failing` does."""
    settings, seed = task.job.settings, task.job.seed
    if seed in settings.get("failing", ()):
        raise ValueError(f"no light in seed {seed}")
    if seed in settings.get("lost", ()):
        return {"value": float("nan")}
    return {"value": settings["mean"] + OFFSETS[seed % 3]}
