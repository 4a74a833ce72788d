"""Trainings that several experiments of Guo et al. (2021) share, and rows of their results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labonn.reproduce import Choices, Row, run_job, twin_job
from labonn.reproduce.choices import MINI, Images
from labonn.sweeps import Job, Outcome
from procedures.papers.guo_reading import accuracies, data_of, shots

DEEP = "784-128-128-10"  # of Figs. 4a and 5
TWIN = "twin"
SHARE = 1 / 12  # of MNIST's training images that are shipped


def mnist(choices: Choices) -> Images:
    """The images of most experiments."""
    images = choices.images("mnist")
    assert images is not None
    return images


def few(choices: Choices, name: str, count: int = 1) -> range:
    """Seeds of costly cases: `--set NAME=N`, else as many as `--seeds` says, else `count`."""
    return range(min(int(choices.value(name, count if choices.seeds is None else choices.seeds)), len(choices.numbers)))


def in_twin(
    images: Images, title: str, network: str, activation: Sequence[Any], seeds: Sequence[int], epochs: int, *, epoch_s: float = 1.0,
    **settings: Any,
) -> list[Job]:  # fmt: skip
    """Trainings of the twin, one a seed.

    Args:
        epoch_s: expected seconds an epoch of all images. settings: labonn.reproduce.work.twin.
    """
    cost = epochs * epoch_s * (SHARE if images.name == MINI and "limit" not in settings else 1)
    given = {"network": network, "activation": list(activation), "epochs": epochs, **settings}
    return [twin_job(title, images, seed, cost=cost, **given) for seed in seeds]


def on_bench(
    images: Images, title: str, hidden: Sequence[int], seeds: Sequence[int], epochs: int, *, epoch_s: float, **options: Any
) -> list[Job]:  # fmt: skip
    """Trainings by train_vapour_cell through the drivers, one a seed, on the ideal bench unless the options say otherwise."""
    given = {"ideal": True, "hidden": list(hidden), "epochs": epochs, "data": "{data}", **options}
    cost = epochs * epoch_s * (SHARE if images.name == MINI and "limit" not in options else 1)
    return [run_job(title, seed, ("train_vapour_cell", given), images=images, cost=cost) for seed in seeds]


def reached(what: str, outcomes: Sequence[Outcome], images: Images, epochs: int, by: str = TWIN, **more: Any) -> Row:
    """The row of test accuracies after so many epochs."""
    found = data_of(outcomes, images.name)
    data = f"{found}; {epochs} epochs" if found else f"{images.name}; {epochs} epochs"
    return Row(what, accuracies(outcomes), by=by, data=data, evaluations=shots(outcomes), **more)


def off(outcomes: Sequence[Outcome], others: Sequence[Outcome]) -> list[float]:
    """Points of test accuracy that runs have more than others of the same seeds."""
    return [one - other for one, other in zip(accuracies(outcomes), accuracies(others), strict=False)]
