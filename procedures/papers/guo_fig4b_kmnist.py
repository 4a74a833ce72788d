"""Convolutional network on Kuzushiji-MNIST: saturable absorbers against digital activations."""

from __future__ import annotations

from typing import Any

from labonn.plotting.look import Look
from labonn.reproduce import Choices, Row
from labonn.reproduce.experiment import Found
from labonn.sweeps import Job
from procedures.papers import guo_cnn, guo_cnn_told

SOURCE = f"{guo_cnn.SOURCE}, KMNIST"
EPOCHS = (("sa", 40), ("sa-small", 40), ("relu", 20), ("tanh", 20), ("sigmoid", 20), ("linear", 20))
DATA = guo_cnn.Set("kmnist", "KMNIST", 10, 60_000, 8_000, EPOCHS, 2, 2_000, ("sa-small", "relu", "linear"))


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
