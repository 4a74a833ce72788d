"""Networks of the twin: layers that fit together, from a tuple or from a short text, and the weights that they start from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import DTypeLike, NDArray

from labonn.channels import Floats
from labonn.errors import ProcedureError
from labonn.twin.layers import Absorber, Convolution, Dense, Layer, MaxPool, MeanPool, Relu, Shape

CNN = "28x28-5x5x32-pool-5x5x64-pool-128-10"  # App. A.2; the last number is that of the classes
STARTS = ("usual", "normal", "peaks", "he", "glorot")
NORMAL_UP_TO = 30.0  # the optical depth above which App. A.4 starts from two peaks


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
    "pool" for a 2 x 2 pool. The activation follows every dense layer and convolution but the last.

    Args:
        activation: a nonlinearity. pool: what "pool" is; None: a mean for absorbers, else the largest (Guo et al. 2021, Sec. 4).
            A largest-of pool is done before its activation: as that rises, the result is the same for a quarter of the work.

    Raises:
        ProcedureError: a part that cannot be read, or that does not fit its neighbours.
    """
    pool = pool or (MeanPool() if isinstance(activation, Absorber) else MaxPool())
    first, *rest = [_numbers(part, text) for part in text.split("-")]
    before: Shape = (1, *first) if len(first) == 2 else first
    layers: list[Layer] = []
    for number, part in enumerate(rest, start=1):
        if not part:
            layers.insert(len(layers) - isinstance(pool, MaxPool), pool)
            continue
        layers.append(Convolution(part[0], part[2]) if len(part) == 3 else Dense(part[0]))
        if number < len(rest):
            layers.append(activation)
    return Network(before, tuple(layers))


def _numbers(part: str, text: str) -> Shape:
    """(), for a pool, or the one to three numbers of a part."""
    if part == "pool":
        return ()
    try:
        numbers = tuple(map(int, part.split("x")))
    except ValueError:
        numbers = ()
    square = len(numbers) < 3 or (len(numbers) == 3 and numbers[0] == numbers[1])
    if not numbers or min(numbers) < 1 or not square or (len(numbers) == 2 and not text.startswith(part)):
        raise ProcedureError(f"network {text!r}: {part!r} is none of N (dense), RxC (image, first), KxKxC (convolution), pool")
    return numbers


def start_weights(network: Network, seed: int, how: str = "usual", dtype: DTypeLike = np.float32) -> Floats:
    """(P,) weights at random, one layer after the other.

    Args:
        how: "normal": N(0, 0.1). "peaks": two peaks +-N(0.15, 0.15). "he": N(0, 2/inputs). "glorot": N(0, 2/(inputs + outputs)).
            "usual": for absorbers as in App. A.4, normal up to an optical depth of 30 and peaks above; "he" for ReLU; "glorot" else.
            Inputs and outputs are those of the matrix; variances are given for "he" and "glorot", standard deviations for the others.
    """
    if how not in STARTS:
        raise ProcedureError(f"start weights {how!r}: one of {', '.join(STARTS)}")
    rng = np.random.default_rng([seed, 0])
    how = _usual(network.layers) if how == "usual" else how
    return np.concatenate([_drawn(rng, shape, how).ravel() for shape in network.matrices if shape]).astype(dtype)


def _usual(layers: Sequence[Layer]) -> str:
    depths = [layer.depth for layer in layers if isinstance(layer, Absorber)]
    if depths:
        return "peaks" if max(depths) > NORMAL_UP_TO else "normal"
    return "he" if any(isinstance(layer, Relu) for layer in layers) else "glorot"


def _drawn(rng: np.random.Generator, shape: tuple[int, int], how: str) -> NDArray[np.float64]:
    if how == "peaks":
        return rng.choice([-1, 1], shape) * rng.normal(0.15, 0.15, shape)
    outputs, inputs = shape
    width = {"normal": 0.1, "he": math.sqrt(2 / inputs), "glorot": math.sqrt(2 / (inputs + outputs))}[how]
    return rng.normal(0, width, shape)
