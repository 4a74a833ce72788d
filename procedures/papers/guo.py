"""What all experiments of Guo et al. (2021) share: recipe, bench, data."""

from __future__ import annotations

from typing import Any

from labonn.reproduce import Choices, run_job, twin_job
from labonn.sweeps import Job

PAPER = "Guo et al. 2021"
EPOCHS = 50
IDEAL = "drivers, ideal bench"


def epochs(choices: Choices) -> int:
    """Of a fully connected network (App. A.4)."""
    return int(choices.value("epochs", EPOCHS, 8))


def on_bench(choices: Choices, title: str, hidden: list[int], **options: Any) -> list[Job]:
    """Trainings through the drivers, one a seed; `options` are those of train_vapour_cell."""
    images = choices.images("mnist")
    given = {"ideal": True, "hidden": hidden, "epochs": epochs(choices), "data": "{data}", **options}
    cost = 4.0 * epochs(choices) * len(hidden)
    return [run_job(title, seed, ("train_vapour_cell", given), images=images, cost=cost) for seed in choices.numbers]


def in_twin(choices: Choices, title: str, network: str, activation: list[Any], **settings: Any) -> list[Job]:
    """Trainings of the twin on MNIST, one a seed."""
    images = choices.images("mnist")
    assert images is not None
    fixed = {"network": network, "activation": activation, "epochs": epochs(choices), **settings}
    return [twin_job(title, images, seed, cost=float(fixed["epochs"]), **fixed) for seed in choices.numbers]
