"""What a gradient method knows of a chip (limits, and losses of settings), and what it returns."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from labonn.banks import Bank
from labonn.channels import Floats
from labonn.errors import ProcedureError, ReadingError
from labonn.shots import Readings, ShotTable


@dataclass(frozen=True)
class Slots:
    """The time that one setting of the slow actuators lasts.

    Attributes:
        dwell_s: seconds a shot lasts. settle: shots at the start of a slot that are discarded. shots: recorded after them, one an image.
        tau_s: first-order lag of the slow actuators; 0 where they follow at once.
    """

    dwell_s: float
    settle: int
    shots: int
    tau_s: float = 0.0

    @property
    def length(self) -> int:
        """Shots of a slot."""
        return self.settle + self.shots

    @property
    def length_s(self) -> float:
        """Seconds a slot lasts."""
        return self.dwell_s * self.length


class Objective(Protocol):
    """All that a gradient method knows of the hardware."""

    @property
    def lower(self) -> Floats:
        """(P,) lowest allowed parameters, the tightest of instrument and user."""

    @property
    def upper(self) -> Floats:
        """(P,) highest allowed parameters."""

    @property
    def slots(self) -> Slots:
        """How long a setting lasts."""

    def evaluate(self, settings: Bank) -> Generator[ShotTable, Readings, Floats]:
        """(S, B) float64 loss of every image under every setting of the (S, P) bank, which is in parameter units."""


@dataclass(frozen=True)
class Estimate:
    """A measured gradient.

    Attributes:
        gradient: (P,) float64, of the mean loss over the batch.
        standard_error: (P,) as measured: noise and, where coordinates or directions are drawn at random, what that adds.
        settings, shots, tables: what it took.
        loss: mean loss at theta. A dither never shows theta itself: there it is the mean over the dithered settings, above the loss at
            theta by half the step squared times the trace of the Hessian.
        sigma: standard deviation of one evaluation of the mean loss (one setting), as measured with it.
        notes: perturbations that were shortened or made one-sided at a limit, parameters that cannot move, ..., in words.
        method: the plan's name.
    """

    gradient: Floats
    standard_error: Floats
    settings: int
    shots: int
    tables: int
    loss: float
    sigma: float
    notes: tuple[str, ...]
    method: str


Estimates = Generator[ShotTable, Readings, Estimate]


@dataclass(frozen=True)
class Measured:
    """(S, B) losses of a bank of settings, and what they took."""

    losses: Floats
    shots: int
    tables: int

    @property
    def mean(self) -> Floats:
        """(S,) mean loss of every setting."""
        return np.asarray(self.losses.mean(axis=1))


def measure(objective: Objective, settings: Bank) -> Generator[ShotTable, Readings, Measured]:
    """Evaluate a bank, counting what is played.

    Raises:
        ReadingError: a loss is not a finite number.
    """
    plan, shots, tables = objective.evaluate(settings), 0, 0
    try:
        table = next(plan)
        while True:
            tables, shots = tables + 1, shots + table.shots
            table = plan.send((yield table))
    except StopIteration as done:
        losses = np.asarray(done.value, dtype=np.float64)
    finally:
        plan.close()
    if losses.ndim != 2 or len(losses) != settings.shape[0]:
        raise ProcedureError(f"the objective gave losses of shape {losses.shape}; {settings.shape[0]} settings by images are wanted")
    if not np.isfinite(losses).all():
        bad = np.argwhere(~np.isfinite(losses))
        row, image = bad[0]
        count = f"{len(bad)} of {losses.size} losses are not finite"
        raise ReadingError(f"the loss of setting {row}, image {image} is {losses[row, image]}; {count}")
    return Measured(losses, shots, tables)
