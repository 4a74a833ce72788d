"""Convolutional network on EMNIST with 47 classes: saturable absorbers against digital activations."""

from __future__ import annotations

from typing import Any

from labonn.plotting.look import Look
from labonn.reproduce import Choices, Row
from labonn.reproduce.experiment import Found
from labonn.sweeps import Job
from procedures.papers import guo_cnn, guo_cnn_told

SOURCE = f"{guo_cnn.SOURCE}, EMNIST"
EPOCHS = (("sa", 10), ("sa-small", 10), ("relu", 10), ("tanh", 10), ("sigmoid", 10), ("linear", 10))
DATA = guo_cnn.Set("emnist", "EMNIST", 47, 112_800, 41_298, EPOCHS, 2, 2_000, ("sa-small", "relu", "linear"))


def cases(choices: Choices) -> dict[str, list[Job]]:
    """A case a network; none without the data."""
    return guo_cnn.cnn_cases(choices, DATA)


def rows(choices: Choices, found: Found) -> list[Row]:
    """Test accuracies."""
    return guo_cnn_told.cnn_rows(choices, DATA, found)


def notes(choices: Choices, found: Found) -> list[str]:
    """How the networks compare."""
    return guo_cnn_told.cnn_notes(choices, DATA, found)


def figure(choices: Choices, found: Found, look: Look) -> Any:
    """Learning curves and errors."""
    return guo_cnn_told.cnn_figure(choices, DATA, found, look)
