"""What a worker does for the experiments of Deng & Khajavikhan (2021): train a chip, then show it images with noise on its parameters."""

from __future__ import annotations

import json
from typing import Any

from labonn.reproduce.work import run
from labonn.sweeps import Task

NOISE = ("sigmas_rad", "draws", "training_accuracy", "training_deviation", "test_accuracy", "test_deviation", "moved_back")


def trained_and_shaken(task: Task) -> dict[str, Any]:
    """Dry runs of train_chip and of perturb_chip (labonn.reproduce.work.run); the result and the run are those of the training.

    What perturb_chip found is in `noise`; its first accuracy of training images, without noise, is `training_accuracy`.
    """
    shown = run(task)
    trained, _ = shown["folders"]
    result: dict[str, Any] = json.loads((task.runs / trained / "result.json").read_text(encoding="utf-8"))["result"]
    noise = {name: shown[name] for name in NOISE}
    return {**result, "training_accuracy": shown["training_accuracy"][0], "noise": noise, "run": trained, "folders": shown["folders"]}
