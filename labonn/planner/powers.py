"""Mean squares of noisy values with the noise taken off, and how errors of slopes grow with the step."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from labonn.channels import Floats

SEEN = 3.0  # standard errors of the noise above which a mean square counts as seen
CAUTION = 2.0  # standard errors
TINY = 1e-300


@dataclass(frozen=True)
class Power:
    """A mean square with the noise taken off.

    Attributes:
        value: where it is not seen, an upper bound. error: standard error. seen: above the noise. far: much above.
    """

    value: float
    error: float
    seen: bool
    far: bool = False

    @property
    def safe(self) -> float:
        """What to count with where too little would be worse than too much: few samples of a wide distribution mostly show too little.

        A single large sample makes the error as large as the value; no more than that is added.
        """
        return self.value + min(CAUTION * self.error, self.value) if self.seen else self.value

    def times(self, factor: float) -> Power:
        return replace(self, value=self.value * factor, error=self.error * factor)


@dataclass(frozen=True)
class Sigma:
    """Standard deviation of one evaluation of the mean loss, and the degrees of freedom that it is known with; that of an image."""

    value: float
    freedom: int
    image: float


def power(values: Floats, sigma: Sigma, factor: float, least: float = SEEN, tamed: bool = False) -> Power:
    """The mean square of `values` less the variance of their noise, `factor` sigma^2.

    It is seen where it is above `least` standard errors of what noise alone would give, sigma's own uncertainty included.
    `tamed` takes the largest sample down to the second: one parameter in a thousand may outweigh all others, and be among a few.
    """
    squares = np.asarray(values, dtype=np.float64) ** 2
    if tamed and len(squares) > 1:
        squares = np.minimum(squares, np.partition(squares, -2)[-2])
    count, variance = len(squares), factor * sigma.value**2
    mean, noise = float(squares.mean()), variance * math.sqrt(2 / count + 2 / sigma.freedom)
    spread = float(np.std(squares, ddof=1) / np.sqrt(count)) if count > 1 else mean
    error = max(spread, mean * math.sqrt(2 / count) / 2, noise)
    rest = mean - variance
    if rest > least * noise:
        return Power(rest, error, True, rest > 2 * least * noise)
    return Power(max(rest, 0.0) + noise, error, False)


@dataclass(frozen=True)
class Curve:
    """Rms error of slopes against the step, from a few steps, each twice the last.

    Attributes:
        steps, errors: (k,) ascending. order: of the error at steps below, 2 for differences to both sides, 1 to one.
    """

    steps: Floats
    errors: Floats
    order: int

    def at(self, step: ArrayLike) -> Floats:
        """Error at steps: straight lines on logarithmic scales, and the power law below the first and above the last."""
        x, known = np.log(np.maximum(np.asarray(step, dtype=np.float64), TINY)), np.log(self.steps)
        inside = np.exp(np.interp(x, known, np.log(np.maximum(self.errors, TINY))))
        return np.asarray(inside * np.exp(self.order * (np.minimum(x - known[0], 0) + np.maximum(x - known[-1], 0))))

    @property
    def law(self) -> float:
        """Error over step^order, at the smallest step."""
        return float(self.errors[0] / self.steps[0] ** self.order)

    def times(self, factor: float) -> Curve:
        return Curve(self.steps, self.errors * factor, self.order)
