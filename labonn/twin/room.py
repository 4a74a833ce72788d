"""Memory that passes over a network use again and again: an array for every name and shape, made once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class Shelf:
    """Arrays of one layer."""

    def __init__(self, dtype: DTypeLike) -> None:
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self._arrays: dict[tuple[str, tuple[int, ...]], NDArray[Any]] = {}

    def __call__(self, name: str, shape: tuple[int, ...], dtype: DTypeLike | None = None) -> NDArray[Any]:
        """The array of that name and shape; it starts as zeros, later it holds what was left in it.

        Args:
            dtype: None: the shelf's. A name always comes with the same dtype.
        """
        array = self._arrays.get((name, shape))
        if array is None:
            array = self._arrays[name, shape] = np.zeros(shape, self.dtype if dtype is None else dtype)
        return array


class Room:
    """A shelf for each layer, and one more for the outputs. What a pass returns lies here until the next pass.

    Attributes:
        dtype: of the computation, that of the weights.
    """

    def __init__(self, layers: int, dtype: DTypeLike = np.float32) -> None:
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.shelves = [Shelf(dtype) for _ in range(layers + 1)]
