"""Walsh-Hadamard multiplexed differences: all parameters move in every setting, each by a code of its own, decoded together."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from labonn.banks import Dither
from labonn.channels import Floats
from labonn.gradients.codes import assign, packed, transform
from labonn.gradients.objective import Estimate, Estimates, Objective, measure
from labonn.gradients.spans import span


def walsh(
    objective: Objective, theta: Floats, step: ArrayLike, rows: int | None = None, bits: int = 2, *, rng: np.random.Generator
) -> Estimates:
    """Fold-over Walsh codes of M rows, each played as +w and then -w: 2 M settings for any number of parameters below M.

    Variance sigma^2 / (2 M D^2), bias D^2 [f'''_iii / 6 + 1/2 sum_j f'''_ijj] and, drawn anew with every assignment of codes, third
    derivatives by three parameters whose codes multiply to a fourth's; even orders cancel. In the 2 M settings as played a code of index i
    is the Walsh code 2 i + 1, with one set bit more: blind to drift of the loss that is a polynomial in time of degree `bits` or less.

    Args:
        step: D, one number or (P,). Near a limit the dither becomes narrower and its middle moves inward, which is noted.
        rows: M, a power of two; None: the smallest that has codes enough; more repeat the measurement.
        bits: set bits that a code has at least; codes left over measure sigma.
    """
    reach = span(objective, theta, step)
    codes, spare, length = assign(reach.free, rows, bits, rng)
    base, amplitude = reach.dither()
    plus = packed(codes, length)
    signs = np.stack([plus, ~plus], axis=1).reshape(2 * length, -1)
    measured = yield from measure(objective, Dither(base, amplitude, signs))
    above, below = measured.mean.reshape(length, 2).T
    found = transform((above - below) / 2) / length
    gradient = np.divide(found[codes], amplitude, out=np.zeros(len(base)), where=reach.free)
    sigma = float(np.sqrt(2 * length * np.mean(found[spare] ** 2)))
    error = np.divide(sigma / np.sqrt(2 * length), amplitude, out=np.zeros(len(base)), where=reach.free)
    loss = float(measured.mean.mean())
    return Estimate(gradient, error, 2 * length, measured.shots, measured.tables, loss, sigma, reach.notes(), "walsh")
