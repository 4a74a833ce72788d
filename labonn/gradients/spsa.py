"""Simultaneous perturbation: all parameters moved at once along random directions, to either side."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from labonn.banks import Dither
from labonn.channels import Floats
from labonn.errors import ProcedureError
from labonn.gradients.objective import Estimate, Estimates, Objective, measure
from labonn.gradients.spans import span

CHECKS = 8


def spsa(objective: Objective, theta: Floats, step: ArrayLike, pairs: int, rng: np.random.Generator, checks: int = CHECKS) -> Estimates:
    """The mean over `pairs` directions of signs d of d [f(theta + D d) - f(theta - D d)] / 2 D.

    Unbiased but for terms of D^2 f'''; variance of a component [sigma^2 / (2 D^2) + sum of the other components' squares] / pairs.

    Args:
        step: D, one number or (P,). Near a limit the dither becomes narrower and its middle moves inward, which is noted.
        checks: times that the last setting is repeated; only this tells sigma apart from the loss's curvature. 0: sigma is NaN.
    """
    if pairs < 1 or checks < 0 or checks == 1:
        raise ProcedureError(f"{pairs} pairs and {checks} checks; SPSA takes 1 pair or more, and no checks or 2 and more")
    reach = span(objective, theta, step)
    base, amplitude = reach.dither()
    count = len(base)
    plus = rng.integers(0, 256, (pairs, -(-count // 8)), dtype=np.uint8)
    signs = np.stack([plus, ~plus], axis=1).reshape(2 * pairs, -1)
    signs = np.concatenate([signs, np.repeat(signs[-1:], checks, axis=0)])
    measured = yield from measure(objective, Dither(base, amplitude, signs))
    losses = measured.mean
    halves = (losses[0 : 2 * pairs : 2] - losses[1 : 2 * pairs : 2]) / 2
    bits = np.unpackbits(plus, axis=1, count=count)
    slopes = (2 * (halves @ bits) - halves.sum()) / pairs  # of the loss along each parameter, times its amplitude
    square = np.mean(halves**2)
    spread = np.sqrt(np.maximum(square - slopes**2, 0) / (pairs - 1)) if pairs > 1 else np.full(count, math.sqrt(square))
    gradient, error = (np.divide(part, amplitude, out=np.zeros(count), where=reach.free) for part in (slopes, spread))
    sigma = repeat_sigma(losses[2 * pairs - 1 :]) if checks else math.nan
    notes = (*reach.notes(), *(() if checks else ("sigma was not measured: no checks",)))
    loss = float(losses[: 2 * pairs].mean())
    return Estimate(gradient, error, len(signs), measured.shots, measured.tables, loss, sigma, notes, "spsa")


def repeat_sigma(losses: Floats) -> float:
    """Standard deviation of one evaluation, from 3 or more of the same setting in a row, drift along them taken away."""
    times = np.arange(len(losses)) - (len(losses) - 1) / 2
    left = losses - losses.mean()
    left = left - times * (times @ left) / (times @ times)
    return float(np.sqrt(left @ left / (len(losses) - 2)))
