"""Cuts a shot table into what the instruments can play at once: held ports constant, memories and records not overfilled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from labonn.shots import Bank, Ints, ShotTable, rows_of


@dataclass(frozen=True)
class Segment:
    """Consecutive shots that are fired at once.

    Attributes:
        held: port -> (bank, row) of ports that cannot be sequenced. banks, orders: of the sequenced ones.
    """

    held: Mapping[str, tuple[Bank, int]]
    banks: Mapping[str, Bank]
    orders: Mapping[str, Ints]
    dwell_s: float
    shots: int


def segments_of(table: ShotTable, depths: Mapping[str, int], read: tuple[str, ...]) -> Iterator[Segment]:
    """Segments of `table`, in order; one where nothing forces a cut.

    Args:
        table: the shots.
        depths: port -> frames its memory holds (detectors: rows their record holds).
        read: detector ports that are read.
    """
    held = [port for port in table.orders if depths[port] == 1 and port in table.banks]
    fast = [port for port in table.orders if port not in held]
    record = min((depths[port] for port in read), default=table.shots)
    for start, stop in _cuts(table, held, fast, depths, record):
        orders = {port: table.orders[port][start:stop] if stop - start < table.shots else table.orders[port] for port in fast}
        banks: dict[str, Bank] = {}
        for port in fast:
            bank = table.banks.get(port)
            if bank is not None and bank.shape[0] > depths[port]:
                rows, orders[port] = np.unique(orders[port], return_inverse=True)
                bank = rows_of(bank, rows)
            if bank is not None:
                banks[port] = bank
        yield Segment({p: (table.banks[p], int(table.orders[p][start])) for p in held}, banks, orders, table.dwell_s, stop - start)


def _cuts(table: ShotTable, held: list[str], fast: list[str], depths: Mapping[str, int], record: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of every segment."""
    edges = {0, table.shots}
    for port in held:
        if table.banks[port].shape[0] > 1:
            edges.update((np.flatnonzero(np.diff(table.orders[port])) + 1).tolist())
    overfull = [p for p in fast if p in table.banks and table.banks[p].shape[0] > depths[p]]
    ordered = sorted(edges)
    for start, stop in pairwise(ordered):
        while start < stop:
            end = min(stop, start + record)
            for port in overfull:
                end = min(end, start + _fitting(table.orders[port][start:end], depths[port]))
            yield start, end
            start = end


def _fitting(order: Ints, depth: int) -> int:
    """How many leading shots of `order` use at most `depth` different rows."""
    _, first = np.unique(order, return_index=True)
    return len(order) if len(first) <= depth else int(np.sort(first)[depth])
