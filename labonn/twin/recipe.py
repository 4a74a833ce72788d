"""How a network of the twin is trained."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from labonn.errors import ProcedureError
from labonn.optimizers import BY_NAME
from labonn.twin.imperfections import Imperfections
from labonn.twin.nonlinear import Derivative, check_derivative
from labonn.twin.passes import ERRORS, LOSSES
from labonn.twin.starts import STARTS, Spread


@dataclass(frozen=True)
class Method:
    """How gradients are made.

    Attributes:
        derivative: labonn.twin.nonlinear.factors. loss: labonn.twin.passes.output_error. imperfections: of the network.
        error: "digital" or "optical", the `beam` of labonn.twin.passes.backward.
        white: field of an image's white, s of inputs from 0 to s.
    """

    derivative: Derivative = "optical"
    loss: str = "mse"
    error: str = "digital"
    imperfections: Imperfections = field(default_factory=Imperfections)
    white: float = 1.0


@dataclass(frozen=True)
class Recipe:
    """Guo et al. 2021, App. A.4, unless said otherwise.

    Attributes:
        epochs, batch, learning_rate: as usual. optimizer: "adam" or "sgd".
        method: how gradients are made. start, spread, centre: labonn.twin.starts.start_weights.
        seed: of start weights, order of images, imperfections and dropout.
    """

    epochs: int = 50
    batch: int = 64
    learning_rate: float = 5e-4
    optimizer: str = "adam"
    method: Method = field(default_factory=Method)
    start: str = "usual"
    spread: Spread = None
    centre: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in (("epochs", self.epochs), ("batch", self.batch)):
            if value < 1:
                raise ProcedureError(f"{name} {value}: at least 1")
        for name, chosen, known in (
            ("optimizer", self.optimizer, tuple(BY_NAME)),
            ("loss", self.method.loss, LOSSES),
            ("error", self.method.error, ERRORS),
            ("start", self.start, STARTS),
        ):
            if chosen not in known:
                raise ProcedureError(f"{name} {chosen!r}: one of {', '.join(known)}")
        if self.method.error == "optical" and self.method.loss != "mse":
            raise ProcedureError("an optical error is that of the mse: interference gives z - t, not a softmax (App. A.3)")
        check_derivative(self.method.derivative)
        if not 0 < self.method.white < np.inf:
            raise ProcedureError(f"white {self.method.white:g}: a positive field is wanted")
