"""Columns of a run's entries, thinned to some thousand stretches that are kept in memory and extended as the run goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from labonn.record import Record

MOST_STRETCHES = 4096
CHUNK = 8192  # entries that are read at once: a run's log cannot be emptied meanwhile
REDUCE: Mapping[str, np.ufunc] = {"last": np.fmax, "sum": np.add, "low": np.fmin, "high": np.fmax}

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """A row a stretch of entries, oldest first.

    Attributes:
        columns: (name, how it is reduced: "last", "sum", "low" or "high") -> values; NaN where there is none, in sums 0.
        stretch: number of each row's stretch, rising.
    """

    columns: dict[tuple[str, str], Array] = field(default_factory=dict)
    stretch: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.stretch)

    def get(self, name: str, how: str) -> Array:
        """A column; as it is where nothing is known, if there is none."""
        found = self.columns.get((name, how))
        return np.full(len(self), 0.0 if how == "sum" else np.nan) if found is None else found

    def cut(self, first: int, end: int | None = None) -> Table:
        """Some rows."""
        return Table({key: values[first:end] for key, values in self.columns.items()}, self.stretch[first:end])

    def plus(self, other: Table) -> Table:
        """These rows, then those."""
        keys = dict.fromkeys((*self.columns, *other.columns))
        columns = {key: np.concatenate((self.get(*key), other.get(*key))) for key in keys}
        return Table(columns, np.concatenate((self.stretch, other.stretch)))

    def coarser(self, factor: int) -> Table:
        """So many stretches together become one."""
        if not len(self) or factor <= 1:
            return self
        stretch = self.stretch // factor
        starts = np.flatnonzero(np.diff(stretch, prepend=-1))
        columns = {key: REDUCE[key[1]].reduceat(values, starts) for key, values in self.columns.items()}
        return Table(columns, stretch[starts])


Read = Callable[[Record, int, int, int], Table]


class Tower:
    """All entries above `floor`, in stretches of `size` entries: a power of two, doubled when they become too many.

    Args:
        read: (record, since, until, size) -> the stretches of the entries above `since`, up to `until`, numbered from 0.
    """

    def __init__(self, read: Read, floor: int = 0) -> None:
        self._read, self._floor = read, floor
        self._table, self._size = Table(), 1
        self.newest = floor

    def behind(self, newest: int) -> int:
        """Entries that have not been read yet."""
        return max(0, newest - self.newest)

    def extend(self, record: Record, newest: int) -> None:
        """Read on, up to that entry."""
        while (newest - self._floor) // self._size >= MOST_STRETCHES:  # before it is read, so that no more is read finely than is kept
            self._size *= 2
            self._table = self._table.coarser(2)
        while self.newest < newest:
            begin = self._whole()
            until = min(newest, begin + CHUNK)
            read = self._read(record, begin, until, self._size)
            self._table = self._table.plus(Table(read.columns, read.stretch + (begin - self._floor) // self._size))
            self.newest = until

    def table(self, points: int, since: int = 0) -> Table:
        """At most so many rows, of the stretches that have entries above `since`."""
        first = int(np.searchsorted(self._table.stretch, max(0, since - self._floor) // self._size))
        found = self._table.cut(first)
        if len(found) <= points:
            return found
        span = int(found.stretch[-1] - found.stretch[0]) + 1
        return found.coarser(-(-span // max(1, points - 1)))

    def _whole(self) -> int:
        """The last entry of the last stretch that is complete; one that is not is let go of, and read again."""
        done = (self.newest - self._floor) // self._size
        self._table = self._table.cut(0, int(np.searchsorted(self._table.stretch, done)))
        return self._floor + done * self._size
