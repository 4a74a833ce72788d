"""Drives of a chip: the settings it is asked for, all parameters of each or what differs from a base."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from sim_backends.physics.couplers import Array


@dataclass(frozen=True)
class Dense:
    """Settings as they are: `values` (S, P) internal parameters."""

    values: Array


@dataclass(frozen=True)
class Sparse:
    """Settings that differ from a base in a few channels.

    Attributes:
        base: (P,) internal parameters. channels: (S, n) which channels change. values: (S, n) to what; one named twice takes the last.
        mixing: (P, P) crosstalk: a change of channel j by d also changes channels i by mixing[i, j] d; its diagonal is zero.
            These changes count to first order, each on top of the base (but exactly between the two parameters of a coupler): the
            error is (own change) x (crosstalk) x (mixed second derivative), which differences of +d and -d cancel. With mixing of
            1 % to either side it is 6e-4 of the change (rms over channels) at d = 0.05, in proportion to d. None for no crosstalk.
    """

    base: Array
    channels: Array
    values: Array
    mixing: Any = None

    def dense(self) -> Dense:
        """All parameters of every setting, with crosstalk exactly: slower, for changes by which the first order is not enough."""
        edits = Edits(self)
        values = edits.settings(np.arange(len(self.values)), slice(0, len(self.base)))
        return Dense(values if edits.crosstalk is None else values + edits.crosstalk.toarray())


class Edits:
    """The changes of a `Sparse` drive that change anything.

    Attributes:
        base: (P,) float64. channels, values: (S, n). counts: (S, n) which of them are in force.
        crosstalk: (S, P) scipy.sparse changes by mixing, or None.
    """

    def __init__(self, drive: Sparse) -> None:
        self.base = np.asarray(drive.base, np.float64)
        self.channels, self.values = np.asarray(drive.channels), np.asarray(drive.values, np.float64)
        parameters, shape = len(self.base), self.channels.shape
        if self.channels.size and (self.channels.min() < 0 or self.channels.max() >= parameters):
            raise ValueError(f"channels {self.channels.min()} to {self.channels.max()} change; allowed is 0 to {parameters - 1}")
        self.counts = self.values != self.base[self.channels]
        for j in range(shape[1] - 1):
            self.counts[:, j] &= ~np.any(self.channels[:, j, None] == self.channels[:, j + 1 :], axis=1)
        self.crosstalk = None if drive.mixing is None else self._crosstalk(sparse.csr_array(drive.mixing))

    def _crosstalk(self, mixing: Any) -> Any:
        if mixing.shape != (len(self.base),) * 2:
            raise ValueError(f"mixing is {mixing.shape}; the chip has {len(self.base)} parameters")
        if np.any(mixing.diagonal()):
            raise ValueError("mixing has a diagonal; what a channel does to itself belongs into its value")
        rows, columns = np.nonzero(self.counts)
        named = self.channels[rows, columns]
        shape = len(self.channels), len(self.base)
        own = sparse.csr_array((self.values[rows, columns] - self.base[named], (rows, named)), shape)
        found = sparse.csr_array(own @ mixing.T)
        found.eliminate_zeros()
        return found

    def groups(self, rows: Array) -> tuple[Array, Array, Array]:
        """Which of the named rows (R,) change the same single channel, so that their crosstalk differs in strength only.

        Returns:
            the first row of every group, in their order; (R,) the group of every row; (R,) how many times as far it changes as the first.
            Rows that change several channels, or none, are groups of their own.
        """
        counts = self.counts[rows]
        column = np.argmax(counts, axis=1)
        channel, single = self.channels[rows, column], counts.sum(axis=1) == 1
        change = np.where(single, self.values[rows, column] - self.base[channel], 1.0)
        key = np.where(single, channel, len(self.base) + np.arange(len(rows)))
        _, first, place = np.unique(key, return_index=True, return_inverse=True)
        order = np.argsort(first)
        number = np.empty_like(order)
        number[order] = np.arange(len(order))
        return first[order], number[place], change / change[first[place]]

    def settings(self, rows: Array, channels: slice) -> Array:
        """(R, P_t) values of the named rows and channels, crosstalk left out."""
        values = np.repeat(self.base[None, channels], len(rows), axis=0)
        at, column = np.nonzero(self.counts[rows] & (self.channels[rows] >= channels.start) & (self.channels[rows] < channels.stop))
        values[at, self.channels[rows[at], column] - channels.start] = self.values[rows[at], column]
        return values
