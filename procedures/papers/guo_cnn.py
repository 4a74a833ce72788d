"""Convolutional networks of Guo et al. (2021), Fig. 4b, on any of its data sets: cases that the three experiments share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labonn.reproduce import Choices
from labonn.reproduce.choices import Images
from labonn.sweeps import Job
from procedures.papers import guo
from procedures.papers.guo_trainings import few, in_twin

SOURCE = f"{guo.PAPER}, Fig. 4b"
LAYERS = "28x28-5x5x32-pool-5x5x64-pool-128"
DEPTH, WHITE = 10.0, 5.0  # App. A.4: inputs from 0 to 5 for alpha0 up to 10
EPOCH_S = 17.0 / 60_000  # of one image
SPREAD = (0.1, 0.1, 0.01, 0.01)  # start weights of the published code for this figure, by matrix: App. A.4 says 0.1 for all


@dataclass(frozen=True)
class Net:
    """A network of the figure: what it is called, its activation, its recipe; `conv`: with convolutions."""

    told: str
    activation: tuple[Any, ...]
    settings: tuple[tuple[str, Any], ...]
    conv: bool = True


def _digital(loss: str) -> tuple[tuple[str, Any], ...]:
    return (("derivative", "exact"), ("loss", loss))


NETS = {
    "sa": Net("SA, optical derivative, alpha0 = 10, mean-pool", ("absorber", DEPTH), (("white", WHITE),)),
    "sa-small": Net(
        "SA from small dense weights, optical derivative, alpha0 = 10, mean-pool", ("absorber", DEPTH),
        (("white", WHITE), ("start", "normal"), ("spread", list(SPREAD))),
    ),
    "relu": Net("ReLU, max-pool, cross-entropy (digital)", ("relu",), _digital("cross_entropy")),
    "relu-mse": Net("ReLU, max-pool, MSE (digital)", ("relu",), _digital("mse")),
    "tanh": Net("tanh, max-pool, cross-entropy (digital)", ("tanh",), _digital("cross_entropy")),
    "sigmoid": Net("sigmoid, max-pool, cross-entropy (digital)", ("sigmoid",), _digital("cross_entropy")),
    "linear": Net("linear classifier, cross-entropy (digital)", ("relu",), _digital("cross_entropy"), conv=False),
}  # fmt: skip
OPTICAL = tuple(case for case, net in NETS.items() if net.activation[0] == "absorber")


@dataclass(frozen=True)
class Set:
    """A data set of the figure.

    Attributes:
        name: of its folder. told: in titles. classes: how many. whole: training images of the paper's. expected: that are there.
        epochs: case -> full. quick_epochs: of a quick look. limit: its training images. quick: its cases.
        single: cases with few seeds, as they are costly. paper: case -> (accuracy, error).
    """

    name: str
    told: str
    classes: int
    whole: int
    expected: int
    epochs: tuple[tuple[str, int], ...]
    quick_epochs: int
    limit: int
    quick: tuple[str, ...]
    single: tuple[str, ...] = ()
    paper: tuple[tuple[str, tuple[float, float]], ...] = ()


def cnn_cases(choices: Choices, data: Set) -> dict[str, list[Job]]:
    """A case a network; none where the data set is not there."""
    images = choices.images(data.name)
    return {} if images is None else {case: _jobs(choices, data, images, case) for case in nets_of(choices, data)}


def nets_of(choices: Choices, data: Set) -> tuple[str, ...]:
    """Networks that are trained."""
    return data.quick if choices.quick else tuple(case for case, _ in data.epochs)


def epochs_of(choices: Choices, data: Set, case: str) -> int:
    """`--set sa_epochs=N`, `relu_epochs`, `others_epochs`."""
    full = dict(data.epochs)[case]
    setting = {**dict.fromkeys(OPTICAL, "sa_epochs"), "relu": "relu_epochs", "relu-mse": "relu_epochs"}.get(case, "others_epochs")
    return int(choices.value(setting, full, min(full, data.quick_epochs * (2 if case in (*OPTICAL, "linear") else 1))))


def _jobs(choices: Choices, data: Set, images: Images, case: str) -> list[Job]:
    net, count = NETS[case], data.limit if choices.quick else data.expected
    network = f"{LAYERS}-{data.classes}" if net.conv else f"784-{data.classes}"
    seeds = few(choices, "others_seeds") if case in data.single else choices.numbers
    limit = {"limit": data.limit} if choices.quick else {}
    cost = count * (EPOCH_S if net.conv else 5e-6)
    title = f"{SOURCE}: {data.told}, {net.told}"
    return in_twin(
        images, title, network, net.activation, seeds, epochs_of(choices, data, case), epoch_s=cost, **dict(net.settings), **limit
    )
