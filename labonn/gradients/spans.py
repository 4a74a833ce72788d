"""How far every parameter may be moved to either side of theta inside its limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labonn.channels import Floats
from labonn.errors import LimitError, ProcedureError
from labonn.gradients.objective import Objective

NAMED = 10  # parameters that a note names one by one
ROUNDING = 1e-9


@dataclass(frozen=True)
class Span:
    """theta and its perturbed values.

    Attributes:
        theta: (P,) float64. low, high: (P,) values on either side, inside the limits. free: (P,) parameters that can move at all.
        lower, upper: (P,) limits. step: (P,) as wanted.
    """

    theta: Floats
    low: Floats
    high: Floats
    free: NDArray[np.bool_]
    lower: Floats
    upper: Floats
    step: Floats

    def dither(self) -> tuple[Floats, Floats]:
        """(P,) base and amplitude of a dither from low to high; the amplitude is 0 where nothing can move."""
        base = np.where(self.free, (self.low + self.high) / 2, self.theta)
        amplitude = (self.high - self.low) / 2
        outside = np.maximum(base + amplitude - self.upper, self.lower - (base - amplitude))
        return base, amplitude - 2 * np.maximum(outside, 0.0)  # a last bit of rounding must not cross a limit

    def up(self) -> NDArray[np.bool_]:
        """(P,) where a one-sided difference goes upward: unless there is more room below, by more than rounding."""
        return np.asarray(self.high - self.theta >= (self.theta - self.low) * (1 - ROUNDING))

    def notes(self) -> tuple[str, ...]:
        """Two-sided perturbations that limits changed, in words."""
        above, below = self.high - self.theta, self.theta - self.low
        single = self.free & ((above == 0) | (below == 0))
        cut = self.free & ~single & (np.minimum(above, below) < self.step * (1 - ROUNDING))
        return self._told((single, "one-sided at a limit"), (cut, "shortened at a limit"))

    def forward_notes(self) -> tuple[str, ...]:
        """One-sided perturbations that limits changed, in words."""
        length = np.maximum(self.high - self.theta, self.theta - self.low)
        cut = self.free & (length < self.step * (1 - ROUNDING))
        return self._told((self.free & ~self.up(), "downward at a limit"), (cut, "shortened at a limit"))

    def _told(self, *kinds: tuple[NDArray[np.bool_], str]) -> tuple[str, ...]:
        told = [f"{np.count_nonzero(which)} of {len(self.theta)} perturbations {words}" for which, words in kinds if which.any()]
        stuck = np.flatnonzero(~self.free)
        if len(stuck):
            told.append(f"gradient 0 for parameters without a range: {_listed(stuck.tolist())}")
        return tuple(told)


def _listed(numbers: Sequence[int]) -> str:
    more = f" and {len(numbers) - NAMED} more" if len(numbers) > NAMED else ""
    return ", ".join(map(str, numbers[:NAMED])) + more


def span(objective: Objective, theta: Floats, step: ArrayLike) -> Span:
    """Values `step` to either side of theta, or as far as the limits allow.

    Args:
        theta: (P,). step: one number or (P,).

    Raises:
        LimitError: theta is outside the limits or not a number. ProcedureError: a step that is none, or nothing can move.
    """
    lower, upper = (np.asarray(limit, dtype=np.float64) for limit in (objective.lower, objective.upper))
    middle, wanted = np.array(theta, dtype=np.float64), np.asarray(step, dtype=np.float64)
    if middle.shape != lower.shape or wanted.shape not in ((), lower.shape):
        raise ProcedureError(f"theta has shape {middle.shape} and step {wanted.shape}; the objective has {lower.shape} parameters")
    wanted = np.broadcast_to(wanted, lower.shape)
    _refuse(lower > upper, lambda i: f"its lower limit {lower[i]} is above its upper limit {upper[i]}")
    inside = (middle >= lower) & (middle <= upper)
    _refuse(~inside, lambda i: f"{middle[i]} is outside {lower[i]} to {upper[i]} (the objective's limits)", LimitError)
    _refuse(~((wanted > 0) & np.isfinite(wanted)), lambda i: f"a step of {wanted[i]}; steps are positive numbers")
    low, high = np.maximum(middle - wanted, lower), np.minimum(middle + wanted, upper)
    free = upper > lower
    _refuse(free & (high <= low), lambda i: f"a step of {wanted[i]} is too small to move {middle[i]}")
    if not free.any():
        raise ProcedureError("no parameter can move: every lower limit is the upper limit")
    return Span(middle, low, high, free, lower, upper, wanted)


def _refuse(bad: NDArray[np.bool_], told: Callable[[int], str], error: type[Exception] = ProcedureError) -> None:
    if bad.any():
        first = int(np.argmax(bad))
        more = f" ({np.count_nonzero(bad)} parameters are so)" if np.count_nonzero(bad) > 1 else ""
        raise error(f"parameter {first}: {told(first)}{more}")
