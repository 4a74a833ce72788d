"""Which layers of a network of the twin a bench does, one after the other, and how large it has to be for them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.channels import Floats
from labonn.convolution.patches import fold, gathered, spots, unfold
from labonn.errors import ProcedureError
from labonn.layers import Layers
from labonn.twin.layers import Absorber, Convolution, Dense, MeanPool, Shape
from labonn.twin.networks import Network

Array = NDArray[Any]


@dataclass(frozen=True)
class Stage:
    """One matrix, the absorbers behind it, and the mean-pool behind those.

    Attributes:
        index: of its weights among the network's layers. before, after: shapes in front of the matrix and behind the absorbers.
        kernel: of a convolution; 0: every neuron sees all, in one shot an image. absorber: behind the matrix. pool: size; 0: none.
        stride: of a convolution.
    """

    index: int
    before: Shape
    after: Shape
    kernel: int
    absorber: Absorber
    pool: int
    stride: int = 1

    @property
    def inputs(self) -> int:
        """D, beams of a shot."""
        return self.kernel**2 * self.before[0] if self.kernel else math.prod(self.before)

    @property
    def outputs(self) -> int:
        """C, neurons of a shot."""
        return self.after[0]

    @property
    def shots(self) -> int:
        """Patches of an image."""
        return math.prod(self.after[1:])

    def seen(self, light: Array) -> Array:
        """(B shots, D) of light (B, *before): what the matrix sees in every shot."""
        if light.shape[1:] != self.before:
            raise ProcedureError(f"light {_told(light.shape[1:])} an image; this layer takes {_told(self.before)}")
        return unfold(light, self.kernel, self.stride) if self.kernel else light.reshape(len(light), -1)

    def placed(self, shots: Floats) -> Floats:
        """(B, *after) of readings (B shots, C)."""
        return fold(shots, len(shots) // self.shots, *self.after[1:]) if self.kernel else shots

    def shot_errors(self, errors: Floats) -> Floats:
        """(B shots, C) of errors (B, *after), the inverse of `placed`."""
        if errors.shape[1:] != self.after:
            raise ProcedureError(f"errors of {_told(errors.shape[1:])} an image; this layer has {_told(self.after)}")
        return spots(errors) if self.kernel else errors

    def returned(self, patches: Floats) -> Floats:
        """(B, *before) of errors (B shots, D) that came back through the matrix: overlapping patches summed up."""
        images = len(patches) // self.shots
        return gathered(patches, (images, *self.before), self.kernel) if self.kernel else patches.reshape(images, *self.before)

    def pooling(self) -> Stage:
        """The mean-pool behind this stage as a matrix of its own: a convolution with the stride of its kernel."""
        channels, rows, columns = self.after
        after = (channels, rows // self.pool, columns // self.pool)
        return Stage(self.index, self.after, after, self.pool, self.absorber, 0, stride=self.pool)

    @property
    def rest(self) -> int:
        """Index of the layer behind the absorbers."""
        return self.index + 2


def stages_of(network: Network, count: int) -> list[Stage]:
    """The first `count` matrices of a network, which must have absorbers behind them, and mean-pools.

    Raises:
        ProcedureError: there are fewer, or what is between them is not what the bench has.
    """
    found: list[Stage] = []
    for i, layer in enumerate(network.layers):
        if len(found) == count:
            break
        if isinstance(layer, (Convolution, Dense)):
            behind = network.layers[i + 1] if i + 1 < len(network.layers) else None
            if not isinstance(behind, Absorber):
                raise ProcedureError(f"layer {i + 1} has no absorbers behind it, but a bench has: at most {len(found)} layers by light")
            pool = network.layers[i + 2]
            kernel = layer.kernel if isinstance(layer, Convolution) else 0
            size = pool.size if isinstance(pool, MeanPool) else 0
            found.append(Stage(i, network.shapes[i], network.shapes[i + 1], kernel, behind, size))
        elif not isinstance(layer, (Absorber, MeanPool)):
            raise ProcedureError(f"layer {i + 1} is a {type(layer).__name__}, which the bench does not have")
    if len(found) < count:
        raise ProcedureError(f"{count} layers by light; the network has {len(found)} with absorbers")
    return found


def bench_sizes(stages: Sequence[Stage], pools: bool = False) -> tuple[int, int, int]:
    """Beams, neurons and outputs of the bench that has room for every stage, and for its pool as a matrix where `pools` says so."""
    pooled = [stage.pool**2 * stage.outputs if pools else 0 for stage in stages]
    neurons = max(stage.outputs for stage in stages)
    return max(*pooled, *(stage.inputs for stage in stages)), neurons, neurons


def check_bench(layers: Layers, stages: Sequence[Stage], file: str, pools: bool = False) -> None:
    """Raise ProcedureError unless the stages fit a bench of one matrix, its cell, and a relay of as many beams as neurons."""
    beams, neurons, _ = bench_sizes(stages, pools)
    sizes, has = layers.sizes, "-".join(map(str, layers.sizes))
    if len(sizes) != 3 or sizes[1] != sizes[2]:
        raise ProcedureError(
            f"{file}: layers {has}; a convolution needs one matrix, one cell and a relay: D-C-C, such as {beams}-{neurons}-{neurons}"
        )
    if sizes[0] < beams or sizes[1] < neurons:
        raise ProcedureError(f"{file}: layers {has}; the matrices need {beams} input beams and {neurons} neurons or more")


def relay(neurons: int, level: float, dtype: type = np.float32) -> Floats:
    """(C, C) matrix of the second modulator: every neuron has one error beam."""
    return np.asarray(level * np.eye(neurons), dtype)


def _told(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
