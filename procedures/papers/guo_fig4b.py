"""Convolutional network on MNIST: saturable absorbers with mean-pooling against digital activations with max-pooling."""

from __future__ import annotations

from typing import Any

from labonn.plotting.look import Look
from labonn.reproduce import Choices, Row
from labonn.reproduce.experiment import Found
from labonn.sweeps import Job
from procedures.papers import guo_cnn, guo_cnn_told
from procedures.papers.guo_light import light_cases, light_notes, light_rows

SOURCE = f"{guo_cnn.SOURCE}, MNIST"
EPOCHS = (("sa", 40), ("sa-small", 40), ("relu", 20), ("relu-mse", 20), ("tanh", 20), ("sigmoid", 20), ("linear", 20))
DATA = guo_cnn.Set(
    "mnist", "MNIST", 10, 60_000, 60_000, EPOCHS, 2, 3_000, tuple(case for case, _ in EPOCHS), single=("sa-small", "tanh", "sigmoid"),
    paper=(("relu-mse", (99.5, 0.1)),),
)  # fmt: skip


def cases(choices: Choices) -> dict[str, list[Job]]:
    """A case a network; and both convolutions of a network by light."""
    return guo_cnn.cnn_cases(choices, DATA) | light_cases(choices, SOURCE)


def rows(choices: Choices, found: Found) -> list[Row]:
    """Test accuracies."""
    return guo_cnn_told.cnn_rows(choices, DATA, found) + light_rows(found)


def notes(choices: Choices, found: Found) -> list[str]:
    """How the networks compare."""
    return guo_cnn_told.cnn_notes(choices, DATA, found) + light_notes(found)


def figure(choices: Choices, found: Found, look: Look) -> Any:
    """Learning curves and errors."""
    return guo_cnn_told.cnn_figure(choices, DATA, found, look)
