"""A hybrid network beside the twin: outputs, activations and gradients of the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.channels import Floats
from labonn.convolution.hybrid import Gradient, Hybrid, Passed
from labonn.convolution.matrixbench import Tables
from labonn.shots import Ints
from labonn.twin.networks import Network
from labonn.twin.passes import backward, forward, output_error

Images = NDArray[np.uint8]
TOGETHER = 64  # images that the twin computes together


@dataclass(frozen=True)
class Compared:
    """Measured beside computed, of the same images.

    Attributes:
        measured, twin: (n, C, …) activations of each stage. gradient: as measured. exact: (C, D) of each stage, by the twin alone.
    """

    measured: list[Floats]
    twin: list[Floats]
    gradient: Gradient
    exact: list[Floats]

    def numbers(self) -> dict[str, Any]:
        """Relative rms errors and cosines, one a stage: of the gradient against that of the same errors and activations, which is how
        well light multiplies; and against the twin's own, whose output errors differ, near an optimum by as much as they are large."""
        parts = self.gradient.parts
        return {
            "activation_rms_error": [round(relative_rms(a, b), 5) for a, b in zip(self.measured, self.twin, strict=True)],
            "gradient_cosine_twin_errors": [round(cosine(a, b), 5) for a, b in zip(parts, self.exact, strict=True)],
            "gradient_rms_error_twin_errors": [round(relative_rms(a, b), 5) for a, b in zip(parts, self.exact, strict=True)],
            "gradient_cosine": [round(cosine(a, b), 5) for a, b in zip(parts, self.gradient.believed, strict=True)],
            "gradient_rms_error": [round(relative_rms(a, b), 5) for a, b in zip(parts, self.gradient.believed, strict=True)],
        }


def compare(hybrid: Hybrid, images: Images, labels: Ints) -> Tables:
    """Measure activations and the gradient of some images; returns Compared."""
    gradient: Gradient = yield from hybrid.gradient(images, labels)
    flat, arriving = twin_gradient(hybrid.twin, hybrid.weights, images, labels, hybrid.white, hybrid.derivative)
    exact = [matrix for stage in hybrid.stages if (matrix := hybrid.twin.split(flat)[stage.index]) is not None]
    measured: Sequence[Passed] = gradient.passed
    return Compared([one.behind.a for one in measured], [arriving[stage.rest] for stage in hybrid.stages], gradient, exact)


def twin_outputs(twin: Network, weights: Floats, images: Images, white: float) -> Floats:
    """(B, classes) by the twin alone."""
    parts = []
    for start in range(0, len(images), TOGETHER):
        light = _fields(twin, images[start : start + TOGETHER], white, weights)
        parts.append(forward(twin, twin.split(weights), light).outputs.T.copy())
    return np.concatenate(parts)


def twin_gradient(
    twin: Network, weights: Floats, images: Images, labels: Ints, white: float, derivative: str
) -> tuple[Floats, list[Floats]]:
    """((P,) gradient of the mean loss, light (B, …) in front of every layer) by the twin alone."""
    flat = np.zeros_like(weights)
    trace = forward(twin, twin.split(weights), _fields(twin, images, white, weights))
    arriving = [np.moveaxis(light, -1, 0).copy() for light in trace.arriving]
    error, _ = output_error(trace.outputs, labels, "mse")
    backward(twin, twin.split(weights), trace, error, twin.split(flat), derivative)
    return flat, arriving


def relative_rms(found: Floats, wanted: Floats) -> float:
    """rms of the difference over the rms of what is wanted."""
    return float(np.linalg.norm(np.subtract(found, wanted, dtype=np.float64)) / np.linalg.norm(wanted.astype(np.float64)))


def cosine(one: Floats, two: Floats) -> float:
    """Of the angle between two arrays."""
    a, b = one.ravel().astype(np.float64), two.ravel().astype(np.float64)
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def _fields(twin: Network, images: Images, white: float, weights: Floats) -> Floats:
    light = np.multiply(images.T, weights.dtype.type(white / 255), dtype=weights.dtype)
    return np.ascontiguousarray(light.reshape(*twin.before, len(images)))
