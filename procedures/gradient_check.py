"""Compares measured gradients: the method in use against the exact one, and against central differences of the measured loss."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np

from labonn.channels import Floats
from labonn.gradients import Method, backprop, central_differences
from labonn.learning import Digits
from labonn.network import Network
from labonn.shots import Readings, ShotTable

STEP = 2.0**-11  # of the SLM field, to either side: far above rounding, far below curvature


def check_gradients(
    network: Network, method: Method, weights: Sequence[Floats], digits: Digits, count: int, seed: int, batch: int = 64
) -> Generator[ShotTable, Readings, dict[str, Any]]:
    """Plan: cosine of the method's gradient to the exact one, layer by layer; both against differences on `count` weights a layer.

    Differences are only taken where the converters carry float64 (an ideal bench): elsewhere one weight's part of the loss drowns in noise.

    Returns:
        `cosine_to_exact` (L,), and with differences `cosine_to_differences` (L,) and `exact_deviation` (L,): largest distance of the
        exact gradient from the differences, over the largest difference.
    """
    rng = np.random.default_rng([seed, 2])
    rows = rng.choice(digits.train, batch, replace=len(digits.train) < batch)
    inputs = network.inputs(digits.images[rows])
    labels = digits.labels[rows]
    targets: Floats = np.eye(network.layers.sizes[-1], dtype=network.dtype)
    used = yield from backprop(network, method, network.fields(weights), rows, inputs, targets, labels)
    exact = yield from backprop(network, Method("exact", method.error), {}, rows, inputs, targets, labels)
    found = {"cosine_to_exact": [cosine(one, two) for one, two in zip(used.gradients, exact.gradients, strict=True)]}
    if network.dtype is not np.float64:
        return found
    found |= {"cosine_to_differences": [], "exact_deviation": []}
    for layer, weight in enumerate(weights):
        indices = rng.choice(np.flatnonzero(np.abs(exact.gradients[layer]).ravel() > 0), min(count, weight.size), replace=False)
        truth = yield from central_differences(network, weights, layer, indices, STEP, rows, targets, labels)
        at = exact.gradients[layer].ravel()[indices]
        found["cosine_to_differences"].append(cosine(used.gradients[layer].ravel()[indices], truth))
        found["exact_deviation"].append(float(np.max(np.abs(at - truth)) / np.max(np.abs(truth))))
    return found


def cosine(one: Floats, two: Floats) -> float:
    """Cosine of the angle between two gradients."""
    a, b = np.asarray(one, np.float64).ravel(), np.asarray(two, np.float64).ravel()
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))
