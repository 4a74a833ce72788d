"""Outcomes of trainings of Guo et al.'s networks, made by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labonn.reproduce import Choices
from labonn.sweeps import Job, Outcome


def whole(folder: Path, *sets: str) -> Choices:
    """Choices of a full run; data sets are folders with a file each that is only named."""
    for name in ("mnist", *sets):
        (folder / "data" / name).mkdir(parents=True)
        (folder / "data" / name / "train-images-idx3-ubyte").write_bytes(name.encode())
    return Choices(data=str(folder / "data"))


def outcome(folder: Path, accuracy: float, *, twin: bool = True, train: int = 60_000) -> Outcome:
    """A training with two epochs of metrics."""
    folder.mkdir(parents=True)
    rows = ({"epoch": n, "validation_accuracy": accuracy - 0.1 / n, "train_loss": 1 / n, "train_accuracy": 0.5} for n in (1, 2))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result: dict[str, Any] = {"test_accuracy": accuracy}
    if twin:
        result["images"] = {"train": train, "validation": 5000, "test": 5000}
    else:
        result |= {"data": f"mnist: {train:,} training, 5,000 validation, 5,000 test images", "shots": 1000}
    return Outcome(result, folder, 1.0)


def outcomes(folder: Path, cases: Mapping[str, Sequence[Job]], accuracies: Mapping[str, Sequence[float]]) -> dict[str, list[Outcome]]:
    """case -> outcomes with these accuracies, as many as given; cases that are not named: 0.9 a seed."""
    found = {}
    for case, jobs in cases.items():
        numbers = accuracies.get(case, [0.9] * len(jobs))
        folders = [folder / case.replace(" ", "_") / str(seed) for seed in range(len(numbers))]
        twin = jobs[0].work.endswith("twin")
        found[case] = [outcome(where, number, twin=twin) for where, number in zip(folders, numbers, strict=True)]
    return found
