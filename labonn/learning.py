"""What a training is given, and what it has reached: settings, images, weights, the pass under way."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from labonn.channels import Floats
from labonn.errors import ProcedureError
from labonn.gradients import DERIVATIVES, ERRORS, Method
from labonn.optimizers import BY_NAME
from labonn.shots import Ints

STARTS = ("usual", "normal", "peaks")  # of weights: labonn.training.initial_weights


@dataclass(frozen=True)
class Settings:
    """How to train (Guo et al. 2021, App. A.4, unless said otherwise).

    Attributes:
        epochs, batch, learning_rate: as usual. optimizer: "adam" or "sgd".
        method: how the gradient is made. seed: of initial weights and the order of images.
        start, spread: `initial_weights`.
    """

    epochs: int = 20
    batch: int = 64
    learning_rate: float = 5e-4
    optimizer: str = "adam"
    method: Method = field(default_factory=Method)
    seed: int = 0
    start: str = "usual"
    spread: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("epochs", self.epochs), ("batch", self.batch)):
            if value < 1:
                raise ProcedureError(f"--{name} {value}: at least 1")
        for name, chosen, known in (
            ("optimizer", self.optimizer, tuple(BY_NAME)),
            ("derivative", self.method.derivative, DERIVATIVES),
            ("error", self.method.error, ERRORS),
            ("start", self.start, STARTS),
        ):
            if chosen not in known:
                raise ProcedureError(f"--{name} {chosen}: one of {', '.join(known)}")
        if self.spread is not None and not 0 < self.spread < np.inf:
            raise ProcedureError(f"--spread {self.spread:g}: more than 0 is wanted, and finite")


@dataclass(frozen=True)
class Digits:
    """Images for training, validation and test, one after the other as they lie in the input memory.

    Attributes:
        images: (N, N0) uint8. labels: (N,). train, validation, test: rows of each part. All become read-only.
    """

    images: NDArray[np.uint8]
    labels: Ints
    train: Ints
    validation: Ints
    test: Ints

    def __post_init__(self) -> None:
        for array in (self.images, self.labels, self.train, self.validation, self.test):
            array.flags.writeable = False


@dataclass
class Learned:
    """What a training has reached, valid at any moment.

    Attributes:
        weights: as they are now. best: those of the best validation accuracy. best_gains: path gains that they had.
        metrics: one record an epoch. steps, shots: done so far.
    """

    weights: list[Floats] = field(default_factory=list)
    best: list[Floats] = field(default_factory=list)
    best_epoch: int = 0
    best_accuracy: float = -1.0
    best_gains: Floats | None = None
    metrics: list[dict[str, float]] = field(default_factory=list)
    steps: int = 0
    shots: int = 0

    def keep(self, record: dict[str, float], gains: Floats | None = None) -> None:
        """Add an epoch's record, and its weights if none validated better."""
        self.metrics.append(record)
        if record["validation_accuracy"] > self.best_accuracy:
            self.best_accuracy, self.best_epoch = record["validation_accuracy"], int(record["epoch"])
            self.best = [weight.copy() for weight in self.weights]
            self.best_gains = None if gains is None else gains.copy()


@dataclass
class Pass:
    """One pass over the training images that is under way.

    Attributes:
        order: rows of the images. done: how many of them. losses, hits: sums so far. loss, accuracy: of the last mini-batch.
        refit: whether ranges are to be fitted again now.
    """

    order: Ints
    done: int = 0
    losses: float = 0.0
    hits: int = 0
    loss: float = 0.0
    accuracy: float = 0.0
    refit: bool = False


@dataclass
class Probe:
    """What a later session compares its light with.

    Attributes:
        weights: that were shown. rows: images. outputs: (n, N_L) measured.
    """

    weights: list[Floats]
    rows: Ints
    outputs: Floats
