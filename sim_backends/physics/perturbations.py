"""Many settings of a chip that differ from one in a few channels: each by an update of rank two, exact, not linearised.

A changed coupler sees the base's fields at its inputs and reaches the outputs through the base's meshes, so that the outputs
change by (what it gives the outputs) x (change of its block) x (what enters it).
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike
from scipy import sparse

from sim_backends.physics.chip_stretch import Response, Stretch, checked
from sim_backends.physics.couplers import Array
from sim_backends.physics.drives import Edits

At = slice | Array


class Perturbed:
    """One stretch at all settings of a `Sparse` drive.

    Args:
        stretch, edits: the light's way and the changes. dtype: of the light.
        shared: (B, n_in) fields that enter at the settings of which no earlier part is changed; None if there are none such.
        behind: (E, 2, n_out) what every element of the base gives to the outputs, if that is known already.

    Attributes:
        rows: sorted settings that change something here.
    """

    def __init__(self, stretch: Stretch, edits: Edits, dtype: DTypeLike, shared: Array | None, behind: Array | None = None) -> None:
        self.stretch, self._edits, self._dtype, self._shared = stretch, edits, np.dtype(dtype), shared
        self._base = edits.base[stretch.channels]
        self._own = stretch.own(self._base)
        self._exact = stretch.blocks(np.arange(stretch.count), self._own)
        self.blocks = checked(self._exact, dtype)
        self.behind = stretch.backward(self.blocks, np.eye(stretch.outputs))[0] if behind is None else behind
        self.crosstalk: Any = None
        if edits.crosstalk is not None:
            self.crosstalk = edits.crosstalk[:, stretch.channels]
        self._find()
        if self.crosstalk is not None:
            self._named = np.unique(self.crosstalk.indices)
            first, self._group, self._share = edits.groups(self.rows)
            kind = np.zeros(0, self._dtype).real.dtype
            self.crosstalk = sparse.csr_array(self.crosstalk[self.rows[first]][:, self._named], dtype=kind)

    def _find(self) -> None:
        edits, stretch = self._edits, self.stretch
        local = edits.channels - stretch.first
        here = edits.counts & (local >= 0) & (local < stretch.parameters)
        touched = np.any(here, axis=1)
        if self.crosstalk is not None:
            touched |= np.diff(self.crosstalk.indptr) > 0
        self.rows = np.flatnonzero(touched)
        here, local = here[self.rows], local[self.rows]
        element = np.where(here, stretch.element[np.where(here, local, 0)], -1)
        chosen = element.max(axis=1, initial=0)
        self._many = np.any(here & (element != chosen[:, None]), axis=1)
        self._element = chosen
        self._weights = self._reach(chosen, self._changes(chosen, element, local))

    def _changes(self, chosen: Array, element: Array, local: Array) -> Array:
        """(R, 2, 2) what is added to the block of the chosen element; nothing where several change."""
        values = self._own[chosen]
        for j in range(element.shape[1]):
            rows = np.flatnonzero((element[:, j] == chosen) & ~self._many)
            values[rows, local[rows, j] - self.stretch.start[chosen[rows]]] = self._edits.values[self.rows[rows], j]
        if self.crosstalk is not None:
            self._absorb(chosen, values)
        return self.stretch.blocks(chosen, values) - self._exact[chosen]

    def _absorb(self, chosen: Array, values: Array) -> None:
        """Move crosstalk between the two parameters of the chosen element to the values, which count exactly."""
        at = np.flatnonzero((self.stretch.width[chosen] == 2) & ~self._many)
        rows, slots = np.repeat(self.rows[at], 2), (self.stretch.start[chosen[at], None] + np.arange(2)).ravel()
        if len(at):
            moved = np.asarray(self.crosstalk[rows, slots]).ravel()
            values[at] += moved.reshape(-1, 2)
            self.crosstalk = self.crosstalk - sparse.csr_array((moved, (rows, slots)), self.crosstalk.shape)

    def _reach(self, elements: Array, blocks: Array) -> Array:
        """(R, 2, n_out) outputs for unit fields at the inputs of changed elements."""
        behind, added = self.behind[elements], checked(blocks, self._dtype)[..., None]
        return np.asarray(added[:, 0] * behind[:, 0, None] + added[:, 1] * behind[:, 1, None])

    @cached_property
    def shared(self) -> Response:
        """At the fields of the base."""
        assert self._shared is not None
        return self.stretch.forward(self.blocks, self._shared)

    @cached_property
    def unit(self) -> Response:
        """For unit fields at the inputs; its `whole` is the transposed matrix of the stretch."""
        return self.stretch.forward(self.blocks, np.eye(self.stretch.inputs))

    @cached_property
    def _slopes_shared(self) -> Array:
        return self._slopes(self.shared)

    @cached_property
    def _slopes_unit(self) -> Array:
        return self._slopes(self.unit)

    def _slopes(self, response: Response) -> Array:
        """(named, m n_out) derivatives of the outputs by what crosstalk changes; complex ones as pairs of real numbers."""
        element = self.stretch.element[self._named]
        weights = self._reach(element, self._derivatives[self._named])
        slopes = np.matmul(response.before[element].swapaxes(1, 2), weights)
        slopes = slopes.reshape(len(element), slopes.shape[1] * slopes.shape[2])
        return np.asarray(slopes.view(slopes.real.dtype))

    @cached_property
    def _derivatives(self) -> Array:
        return self.stretch.derivatives(self._base)

    def between(self, rows: slice) -> tuple[int, int]:
        """Which part of `self.rows` lies in `rows`."""
        first, last = np.searchsorted(self.rows, [rows.start, rows.stop])
        return int(first), int(last)

    def fields(self, at: At) -> Array:
        """(R, B, n_out) outputs for the base's fields, at the settings self.rows[at]."""
        assert self._shared is not None
        out = self._updated(self.shared, at)
        many = np.flatnonzero(self._many[at])
        if len(many):
            out[many] = np.matmul(self._shared, self._rebuilt(at, many))
        if self.crosstalk is not None:
            self._cross(out, at, self._slopes_shared)
        return out

    def matrices(self, at: At) -> Array:
        """(R, n_in, n_out) transposed matrices at the settings self.rows[at]."""
        out = self._updated(self.unit, at)
        many = np.flatnonzero(self._many[at])
        if len(many):
            out[many] = self._rebuilt(at, many)
        if self.crosstalk is not None:
            self._cross(out, at, self._slopes_unit)
        return out

    def _cross(self, out: Array, at: At, slopes: Array) -> None:
        """Add crosstalk to fields or matrices; settings that move the same channel only have the same in different strength."""
        flat = out.view(slopes.dtype).reshape(len(out), slopes.shape[1])
        group = self._group[at]
        if not len(group):
            return
        first, last = int(group.min()), int(group.max()) + 1
        if last - first > len(group):
            named, place = np.unique(group, return_inverse=True)
            added = self.crosstalk[named] @ slopes
        else:
            added, place = _rows(self.crosstalk, first, last) @ slopes, group - first
        if len(added) < len(group):
            added = added[place]
            added *= self._share[at, None].astype(slopes.dtype)
        flat += added

    def _updated(self, response: Response, at: At) -> Array:
        out: Array = np.matmul(response.before[self._element[at]].swapaxes(1, 2), self._weights[at])
        out += response.whole
        return out

    def _rebuilt(self, at: At, many: Array) -> Array:
        settings = self._edits.settings(self.rows[at][many], self.stretch.channels)
        return np.ascontiguousarray(self.stretch.matrices(settings, self._dtype).transpose(2, 0, 1))


def _rows(matrix: Any, first: int, last: int) -> Any:
    """matrix[first:last] of a csr_array, without scipy's way of finding out what is asked for."""
    start, stop = int(matrix.indptr[first]), int(matrix.indptr[last])
    inside = matrix.data[start:stop], matrix.indices[start:stop], matrix.indptr[first : last + 1] - start
    return sparse.csr_array(inside, shape=(last - first, matrix.shape[1]))
