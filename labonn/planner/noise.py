"""Noise and drift of the loss from repeated settings at one point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labonn.channels import Floats

SEEN = 3.0  # standard errors from which a drift counts


@dataclass(frozen=True)
class Noise:
    """Of one evaluation of the mean loss.

    Attributes:
        sigma: standard deviation of what is white. freedom: degrees of freedom that it is known with. loss: mean.
        drift_per_s: rate, and `curvature_per_s2`: how fast the rate itself changes; 0 where it is not seen above the noise.
    """

    sigma: float
    freedom: int
    loss: float
    drift_per_s: float = 0.0
    curvature_per_s2: float = 0.0


def white(pairs: Sequence[Floats]) -> tuple[float, int]:
    """(standard deviation of one evaluation, degrees of freedom) from differences of neighbours, a list for each table."""
    apart = [part - part.mean() for part in pairs]
    freedom = sum(len(part) - 1 for part in pairs)
    return float(np.sqrt(sum(float(part @ part) for part in apart) / freedom / 2)), freedom


def noise_of(pairs: Sequence[Floats], times: Sequence[float], losses: Sequence[float]) -> Noise:
    """From differences of neighbours (a list for each table), and from all losses and when they were measured."""
    sigma, freedom = white(pairs)
    values, when = np.asarray(losses), np.asarray(times)
    mean, length = float(values.mean()), float(np.ptp(when))
    if length <= 0:
        return Noise(sigma, freedom, mean)
    x = (when - when.mean()) / length
    design = np.stack([np.ones_like(x), x, x**2], axis=1)
    covariance = np.linalg.inv(design.T @ design)
    fitted = covariance @ design.T @ values
    seen = np.abs(fitted) > SEEN * np.maximum(sigma, float(np.std(values - design @ fitted))) * np.sqrt(np.diag(covariance))
    rate = abs(fitted[1]) / length if seen[1] else 0.0
    return Noise(sigma, freedom, mean, rate, 2 * abs(fitted[2]) / length**2 if seen[2] else 0.0)
