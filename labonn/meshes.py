"""Meshes of couplers between neighbouring waveguides: layouts, and light through them column by column, forward and backward.

A layout is a tuple of (n_c,) arrays: the upper port of every coupler of each column, in the order of the light. Couplers are numbered
column by column, top to bottom. Those of one column touch disjoint ports, so that a column is one vectorised step.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.errors import ProcedureError
from labonn.shots import Ints

Layout = tuple[Ints, ...]
Numbers = NDArray[np.inexact[Any]]  # real or complex amplitudes


def triangular(ports: int) -> Layout:
    """Reck's mesh: 2N-3 columns; column c holds (i, i+1) for i of c's parity, 0 <= i <= min(c, 2N-4-c)."""
    _at_least_one(ports)
    return tuple(np.arange(c % 2, min(c, 2 * ports - 4 - c) + 1, 2) for c in range(2 * ports - 3))


def rectangular(ports: int) -> Layout:
    """Clements' mesh: N columns; column c holds every (i, i+1) for i of c's parity."""
    _at_least_one(ports)
    columns = (np.arange(c % 2, ports - 1, 2) for c in range(ports))
    return tuple(column for column in columns if column.size)


LAYOUTS = {"triangular": triangular, "rectangular": rectangular}


@dataclass(frozen=True)
class Mesh:
    """A mesh of `ports` waveguides; blocks are (2, 2, K): what each of its K couplers does to its two fields.

    Attributes:
        tops: (K,) upper port of every coupler. columns: (K,) its column.

    Raises:
        ProcedureError: a coupler that is not between two of the ports, or two in a column that share one.
    """

    ports: int
    layout: Layout
    tops: Ints = field(init=False)
    columns: Ints = field(init=False)
    _steps: tuple[tuple[slice, Any, Any], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        sizes = [len(column) for column in self.layout]
        object.__setattr__(self, "tops", np.concatenate([np.zeros(0, np.intp), *self.layout]).astype(np.intp))
        object.__setattr__(self, "columns", np.repeat(np.arange(len(sizes)), sizes))
        edges = pairwise((0, *np.cumsum(sizes, dtype=np.intp).tolist()))
        steps = ((slice(*edge), *_ports(column)) for edge, column in zip(edges, self.layout, strict=True) if len(column))
        for c, column in enumerate(self.layout):
            if column.size and not 0 <= column.min() <= column.max() <= self.ports - 2:
                raise ProcedureError(f"column {c} of a mesh of {self.ports} ports: a coupler at {column}; allowed is 0 to {self.ports - 2}")
            if np.any(np.diff(np.sort(column)) < 2):
                raise ProcedureError(f"column {c} of a mesh of {self.ports} ports: couplers at {column} share a port")
        object.__setattr__(self, "_steps", tuple(steps))

    @property
    def count(self) -> int:
        """K, the number of couplers."""
        return len(self.tops)

    def forward(self, blocks: Numbers, fields: Numbers) -> tuple[Numbers, Numbers]:
        """Light through the mesh.

        Args:
            blocks: (2, 2, K). fields: (N, B) at the input ports.

        Returns:
            (N, B) at the output ports, and (K, 2, B) at the two inputs of every coupler.
        """
        light = np.array(fields, np.result_type(blocks, fields))
        return light, self._pass(blocks[..., None], light, self._steps)

    def backward(self, blocks: Numbers, adjoints: Numbers) -> tuple[Numbers, Numbers]:
        """The transposed way, for gradients of a loss.

        Args:
            blocks: (2, 2, K). adjoints: (N, B) derivatives by the fields at the output ports, dL = Re(sum of adjoint x change).

        Returns:
            (N, B) those by the fields at the input ports, and (K, 2, B) those by the two outputs of every coupler.
        """
        light = np.array(adjoints, np.result_type(blocks, adjoints))
        return light, self._pass(blocks.swapaxes(0, 1)[..., None], light, self._steps[::-1])

    def matrix(self, blocks: Numbers) -> Numbers:
        """(N, N) what the whole mesh does to the fields."""
        return self.forward(blocks, np.eye(self.ports, dtype=blocks.dtype))[0]

    def _pass(self, blocks: Numbers, light: Numbers, steps: Iterable[tuple[slice, Any, Any]]) -> Numbers:
        """Apply columns to `light` (N, B) in place; (K, 2, B) what arrived at the couplers."""
        arrived = np.empty((self.count, 2, light.shape[1]), light.dtype)
        for couplers, tops, bottoms in steps:
            upper, lower, block = arrived[couplers, 0], arrived[couplers, 1], blocks[:, :, couplers]
            upper[:], lower[:] = light[tops], light[bottoms]
            light[tops] = block[0, 0] * upper + block[0, 1] * lower
            light[bottoms] = block[1, 0] * upper + block[1, 1] * lower
        return arrived


def _ports(tops: Ints) -> tuple[Any, Any]:
    """Upper and lower ports of a column; where they are every second one, as in both layouts, slices: views in place of gathering."""
    if np.all(np.diff(tops) == 2):
        return slice(int(tops[0]), int(tops[-1]) + 1, 2), slice(int(tops[0]) + 1, int(tops[-1]) + 2, 2)
    return tops, tops + 1


def overlaps(adjoints: Numbers, arrived: Numbers) -> Numbers:
    """(2, 2, K) sums over the batch of adjoint i times field j: a derivative by a block's element."""
    return np.asarray(np.matmul(adjoints, arrived.swapaxes(1, 2)).transpose(1, 2, 0))


def _at_least_one(ports: int) -> None:
    if ports < 1:
        raise ProcedureError(f"a mesh of {ports} ports; at least 1 is wanted")
