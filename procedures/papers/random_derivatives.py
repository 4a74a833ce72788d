"""Networks trained with random functions in place of the absorbers' derivative (Guo et al. 2021, Fig. 3d, App. B), many in a job."""

from __future__ import annotations

from typing import Any

import numpy as np

from labonn.data import load
from labonn.runs import Run
from labonn.sweeps import Task
from labonn.twin import Absorber, Method, Pictures, Recipe, network, train
from labonn.twin.derivatives import mismatch, random_curve


def trained(task: Task) -> dict[str, Any]:
    """Mismatch 1 - S and accuracies, function by function; all from the same start weights, images in the same order.

    Settings:
        data: of the images. network: as labonn.twin.network takes it. depth: optical depth. epochs: of each training.
        functions: first and last + 1 of the functions' numbers.
    """
    settings, seed = dict(task.job.settings), task.job.seed
    run = Run.create(task.runs, "random_derivatives", {"title": task.job.title, "options": settings}, seed=seed, mode="quiet")
    pictures = Pictures.of(load(task.job.places["data"]), seed)
    net = network(settings["network"], Absorber(settings["depth"]))
    first, end = settings["functions"]
    found: dict[str, list[float]] = {"mismatch": [], "test_accuracy": [], "validation_accuracy": []}
    for number in range(first, end):
        curve = random_curve(number)
        done = train(net, pictures, Recipe(epochs=settings["epochs"], seed=seed, method=Method(curve)))
        best = float(np.max(done.curves["validation_accuracy"]))
        row = {"mismatch": mismatch(curve, settings["depth"]), "test_accuracy": done.test_accuracy, "validation_accuracy": best}
        for name, value in row.items():
            found[name].append(value)
        run.metrics({"function": number, **row})
        task.tell((number + 1 - first) / (end - first), f"function {number}: {done.test_accuracy:.1%}")
    images = {name: len(getattr(pictures, name).labels) for name in ("train", "validation", "test")}
    result: dict[str, Any] = {**found, "images": images}
    run.finish(result)
    return {**result, "run": run.folder.name}
