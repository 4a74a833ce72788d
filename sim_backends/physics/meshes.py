"""Meshes of couplers: light through columns, whole matrices, and what one coupler gets from the inputs and gives to the outputs.

Inside, ports come first and what is carried along (samples, rows of a matrix, settings) last, so that every step of a column
is a handful of operations on long contiguous rows. Couplers are numbered column by column, top to bottom.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sim_backends.physics.couplers import Array


@dataclass(frozen=True)
class Column:
    """Couplers that light meets at the same time.

    Attributes:
        upper, lower: their ports. couplers: their numbers. pairs: all their ports, where those lie side by side.
    """

    upper: Array
    lower: Array
    couplers: slice
    pairs: slice | None


class Mesh:
    """Couplers between neighbouring ports, without their settings.

    Args:
        layout: upper ports of the couplers of each column, in the order of the light.
        ports: how many guides run through.

    Attributes:
        ports: N. count: K couplers. columns: in the order of the light.
    """

    def __init__(self, layout: Sequence[ArrayLike], ports: int) -> None:
        self.ports, start, columns = ports, 0, []
        for number, column in enumerate(layout):
            upper = np.asarray(column, np.int64).ravel()
            _check(upper, number, ports)
            columns.append(Column(upper, upper + 1, slice(start, start + len(upper)), _pairs(upper)))
            start += len(upper)
        self.columns: Sequence[Column] = tuple(columns)
        self.count = start

    def propagate(self, blocks: Array, fields: Array) -> Array:
        """Fields behind the mesh: (..., N), or (S, ..., N) where blocks are given for S settings.

        Args:
            blocks: (K, 2, 2) or (S, K, 2, 2). fields: (..., N) in front, the same for all settings.
        """
        flat = np.ascontiguousarray(fields.reshape(-1, self.ports).T, np.result_type(blocks, fields))
        if blocks.ndim == 3:
            self.forward(entries(blocks), flat)
            return np.ascontiguousarray(flat.T).reshape(fields.shape)
        many = np.repeat(flat[:, :, None], len(blocks), axis=2)
        self.forward(entries(blocks, many=True), many)
        return np.ascontiguousarray(many.transpose(2, 1, 0)).reshape(len(blocks), *fields.shape)

    def matrix(self, blocks: Array) -> Array:
        """(N, N), or (S, N, N): column j is what a unit field at input j becomes."""
        return np.swapaxes(self.propagate(blocks, np.eye(self.ports, dtype=blocks.dtype)), -1, -2)

    def prefix(self, blocks: Array, fields: Array | None = None) -> Array:
        """(K, 2, m) fields at the inputs of every coupler, for fields (N, m) in front or for a unit field at each input."""
        carried = np.eye(self.ports) if fields is None else fields
        carried = np.array(carried, np.result_type(blocks, carried))
        seen = np.empty((self.count, 2, carried.shape[1]), carried.dtype)
        self.forward(entries(blocks), carried, seen)
        return seen

    def suffix(self, blocks: Array, weights: Array | None = None) -> Array:
        """(K, 2, m) what unit fields at the outputs of every coupler give at m outputs (or in sums of outputs, `weights` (N, m))."""
        carried = np.eye(self.ports) if weights is None else weights
        carried = np.array(carried, np.result_type(blocks, carried))
        seen = np.empty((self.count, 2, carried.shape[1]), carried.dtype)
        self.backward(entries(blocks), carried, seen)
        return seen

    def forward(self, parts: Sequence[Array], fields: Array, seen: Array | None = None) -> None:
        """Take `fields` (N, ...) through the mesh, in place; `seen` (K, 2, ...) is given what enters every coupler.

        Args:
            parts: the entries a, b, c, d of the blocks, each (K, ...) in the shape of the fields or to be broadcast to it.
        """
        a, b, c, d = parts
        self._run(self.columns, np.stack([a, c], axis=1), np.stack([b, d], axis=1), fields, seen)

    def backward(self, parts: Sequence[Array], fields: Array, seen: Array | None = None) -> None:
        """Take `fields` (N, ...) from the outputs to the inputs (the transposed matrix), in place; as `forward` otherwise."""
        a, b, c, d = parts
        self._run(self.columns[::-1], np.stack([a, b], axis=1), np.stack([c, d], axis=1), fields, seen)

    def _run(self, columns: Sequence[Column], first: Array, second: Array, fields: Array, seen: Array | None) -> None:
        """What upper (`first`, (K, 2, ...)) and lower fields (`second`) give to both ports of every coupler, column by column."""
        widest = max((column.couplers.stop - column.couplers.start for column in columns), default=0)
        room = np.empty((2, widest, 2, *fields.shape[1:]), fields.dtype)
        for column in columns:
            _through(fields, column, first[column.couplers], second[column.couplers], room, seen)


def entries(blocks: Array, many: bool = False) -> tuple[Array, Array, Array, Array]:
    """a, b, c, d of blocks (K, 2, 2) as (K, 1), or of blocks (S, K, 2, 2) for many settings as (K, 1, S)."""
    a, b, c, d = (np.ascontiguousarray(blocks[..., i, j].T)[:, None] for i in (0, 1) for j in (0, 1))
    return (a, b, c, d) if many else (a.reshape(-1, 1), b.reshape(-1, 1), c.reshape(-1, 1), d.reshape(-1, 1))


def _through(fields: Array, column: Column, first: Array, second: Array, room: Array, seen: Array | None) -> None:
    count = len(first)
    if column.pairs is None:
        both = np.stack([fields[column.upper], fields[column.lower]], axis=1)
    else:
        both = fields[column.pairs].reshape(count, 2, *fields.shape[1:])
    if seen is not None:
        seen[column.couplers] = both
    upper, lower = room[0, :count], room[1, :count]
    np.multiply(first, both[:, :1], out=upper)
    np.multiply(second, both[:, 1:], out=lower)
    if column.pairs is None:
        fields[column.upper], fields[column.lower] = np.add(upper, lower, out=upper).swapaxes(0, 1)
    else:
        np.add(upper, lower, out=both)


def _pairs(upper: Array) -> slice | None:
    """All ports of a column where no port lies between its couplers, which lets the column be changed in place."""
    if len(upper) == 0 or np.any(np.diff(upper) != 2):
        return None
    return slice(int(upper[0]), int(upper[-1]) + 2)


def _check(upper: Array, number: int, ports: int) -> None:
    touched = np.concatenate([upper, upper + 1])
    if len(upper) and (upper.min() < 0 or upper.max() > ports - 2):
        raise ValueError(f"column {number}: upper ports {upper.min()} to {upper.max()}; allowed is 0 to {ports - 2}")
    if len(np.unique(touched)) < len(touched):
        raise ValueError(f"column {number}: two couplers at one port in {upper.tolist()}")
