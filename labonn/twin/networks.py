"""Networks of the twin: layers that fit together, from a tuple or from a short text."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from labonn.channels import Floats
from labonn.errors import ProcedureError
from labonn.twin.layers import Absorber, Convolution, Dense, Dropout, Layer, MaxPool, MeanPool, Shape

CNN = "28x28-5x5x32-pool-5x5x64-pool-128-10"  # App. A.2; the last number is that of the classes


@dataclass(frozen=True)
class Network:
    """Layers one behind the other.

    Attributes:
        before: shape of the inputs, (n,) or (1, rows, columns). layers: the last of them gives the outputs, one a class.

    Raises:
        ProcedureError: a layer that cannot follow the one before it.
    """

    before: Shape
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        if not self.layers or len(self.shapes[-1]) != 1 or not any(self.matrices):
            raise ProcedureError("a network ends in a row of outputs and has weights; give at least one Dense layer")

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """Shapes before the first layer, between the layers, and behind the last."""
        shapes = [self.before]
        for layer in self.layers:
            shapes.append(layer.after(shapes[-1]))
        return tuple(shapes)

    @cached_property
    def matrices(self) -> tuple[tuple[int, int] | None, ...]:
        """Shape of each layer's weight matrix; None without weights."""
        return tuple(layer.matrix(shape) for layer, shape in zip(self.layers, self.shapes, strict=False))

    @cached_property
    def count(self) -> int:
        """P, the number of weights."""
        return sum(math.prod(shape) for shape in self.matrices if shape)

    @property
    def classes(self) -> int:
        """Number of outputs."""
        return self.shapes[-1][0]

    def split(self, flat: Floats) -> list[Floats | None]:
        """Views of (P,) weights, or gradients, as one matrix a layer; None where a layer has none."""
        views: list[Floats | None] = []
        start = 0
        for shape in self.matrices:
            stop = start + math.prod(shape) if shape else start
            views.append(flat[start:stop].reshape(shape) if shape else None)
            start = stop
        return views


def network(text: str, activation: Layer, pool: Layer | None = None) -> Network:
    """The network of a short text, such as "784-128-128-10" or `CNN`.

    Parts are separated by "-": the inputs (a number, or rows x columns), numbers for dense layers, KxKxC for a convolution of C channels,
    "pool" for a 2 x 2 pool, "drop0.4" for a Dropout of that share. The activation follows every dense layer and convolution but the last.

    Args:
        activation: a nonlinearity. pool: what "pool" is; None: a mean for absorbers, else the largest (Guo et al. 2021, Sec. 4).
            A largest-of pool is done before its activation: as that rises, the result is the same for a quarter of the work.

    Raises:
        ProcedureError: a part that cannot be read, or that does not fit its neighbours.
    """
    pool = pool or (MeanPool() if isinstance(activation, Absorber) else MaxPool())
    first, *rest = [_part(part, text) for part in text.split("-")]
    if isinstance(first, Dropout):
        raise ProcedureError(f"network {text!r}: it begins with its inputs, N or RxC")
    before: Shape = (1, *first) if len(first) == 2 else first
    layers: list[Layer] = []
    for number, part in enumerate(rest, start=1):
        if isinstance(part, Dropout):
            layers.append(part)
            continue
        if not part:
            layers.insert(len(layers) - isinstance(pool, MaxPool), pool)
            continue
        layers.append(Convolution(part[0], part[2]) if len(part) == 3 else Dense(part[0]))
        if number < len(rest):
            layers.append(activation)
    return Network(before, tuple(layers))


def _part(part: str, text: str) -> Shape | Dropout:
    """(), for a pool, the one to three numbers of a part, or what drops."""
    if part == "pool":
        return ()
    if part.startswith("drop"):
        with suppress(ValueError):
            return Dropout(float(part[4:]))
    try:
        numbers = tuple(map(int, part.split("x")))
    except ValueError:
        numbers = ()
    square = len(numbers) < 3 or (len(numbers) == 3 and numbers[0] == numbers[1])
    if not numbers or min(numbers) < 1 or not square or (len(numbers) == 2 and not text.startswith(part)):
        raise ProcedureError(f"network {text!r}: {part!r} is none of N (dense), RxC (image, first), KxKxC (convolution), pool, drop0.4")
    return numbers
