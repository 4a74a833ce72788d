"""Layers of the twin as frozen values: what they do to the shape of the light, and the matrix that they need.

Activations have the batch as their last axis, (n, B) or (channels, rows, columns, B): the windows of a convolution and the parts of a
pool are then long runs of memory. No layer has biases.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from labonn.absorbers import CELLS
from labonn.errors import ProcedureError

Shape = tuple[int, ...]  # (n,) neurons or (channels, rows, columns) of an image, without the batch


class Layer(Protocol):
    """What all layers know."""

    def after(self, before: Shape) -> Shape:
        """Shape behind the layer; ProcedureError where the layer cannot follow."""
        ...

    def matrix(self, before: Shape) -> tuple[int, int] | None:
        """Shape of its weight matrix, outputs x inputs of one multiplication; None without weights."""
        ...


class _Weightless:
    def matrix(self, before: Shape) -> None:
        return None


class _Elementwise(_Weightless):
    def after(self, before: Shape) -> Shape:
        return before


@dataclass(frozen=True)
class Dense:
    """Every output sees every input: z = W a (Guo et al. 2021, Eq. 1)."""

    size: int

    def after(self, before: Shape) -> Shape:
        return (self.size,)

    def matrix(self, before: Shape) -> tuple[int, int]:
        return self.size, math.prod(before)


@dataclass(frozen=True)
class Convolution:
    """kernel x kernel filters, stride 1, no padding (App. A.2): every patch is one shot through the same matrix.

    The matrix is (channels, kernel * kernel * channels before): row of the kernel slowest, then its column, then the channel.
    """

    kernel: int
    channels: int

    def after(self, before: Shape) -> Shape:
        if len(before) != 3 or min(before[1:]) < self.kernel:
            raise ProcedureError(f"a {self.kernel} x {self.kernel} convolution needs an image of at least that size, not {_told(before)}")
        return self.channels, before[1] - self.kernel + 1, before[2] - self.kernel + 1

    def matrix(self, before: Shape) -> tuple[int, int]:
        return self.channels, self.kernel**2 * before[0]


@dataclass(frozen=True)
class _Pool(_Weightless):
    size: int = 2

    def __post_init__(self) -> None:
        if self.size < 2:
            raise ProcedureError(f"a pool of size {self.size}: 2 or more")

    def after(self, before: Shape) -> Shape:
        if len(before) != 3 or before[1] % self.size or before[2] % self.size:
            raise ProcedureError(f"a {self.size} x {self.size} pool needs an image of whole multiples of that size, not {_told(before)}")
        return before[0], before[1] // self.size, before[2] // self.size


@dataclass(frozen=True)
class MeanPool(_Pool):
    """Mean of size x size neurons: linear, so light can do it."""


@dataclass(frozen=True)
class MaxPool(_Pool):
    """Largest of size x size neurons; where several are, the first of them gets the error."""


@dataclass(frozen=True)
class Dropout(_Elementwise):
    """In training, `share` of the neurons is dark, drawn anew for every image, and the others are 1/(1 - share) times as bright.

    When the network is validated or used nothing is dark, and means are the same.
    """

    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise ProcedureError(f"dropout of {self.share:g}: a share of the neurons is wanted, 0 or more and below 1")


@dataclass(frozen=True)
class Absorber(_Elementwise):
    """g(z) = z t(z), labonn.absorbers.

    Attributes:
        depth: resonant optical depth alpha0; of a "gain" cell its gain factor g0. cell: one of labonn.absorbers.CELLS.
    """

    depth: float = 10.0
    cell: str = "eq4"

    def __post_init__(self) -> None:
        if self.cell not in CELLS or not 0 <= self.depth < math.inf:
            raise ProcedureError(f"absorber {self.cell!r} of depth {self.depth:g}: cells are {', '.join(CELLS)}, depths 0 and up")


@dataclass(frozen=True)
class Relu(_Elementwise):
    """max(0, z)."""


@dataclass(frozen=True)
class Tanh(_Elementwise):
    """tanh z."""


@dataclass(frozen=True)
class Sigmoid(_Elementwise):
    """1/(1 + exp(-z))."""


NONLINEAR = (Absorber, Relu, Tanh, Sigmoid)


def _told(shape: Shape) -> str:
    return " x ".join(map(str, shape))
