"""Cuts a shot table into what the instruments can play at once: held ports constant, memories and records not overfilled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from labonn.shots import Bank, Ints, ShotTable, rows_of


@dataclass(frozen=True)
class Segment:
    """Shots that are armed at once and fired in one or several bursts, all alike but for what the held ports are set to.

    Attributes:
        held: port -> (bank, (bursts,) its row in every burst) of ports that cannot be sequenced.
        banks, orders: of the sequenced ones, for one burst.
        shots: of one burst. bursts: how many there are. settle: whether held ports that change are waited for.
    """

    held: Mapping[str, tuple[Bank, Ints]]
    banks: Mapping[str, Bank]
    orders: Mapping[str, Ints]
    dwell_s: float
    shots: int
    bursts: int = 1
    settle: bool = True


def segments_of(table: ShotTable, depths: Mapping[str, int], read: tuple[str, ...], most_bursts: int = 1) -> Iterator[Segment]:
    """Segments of `table`, in order; one of one burst where nothing forces a cut.

    Args:
        table: the shots.
        depths: port -> frames its memory holds (detectors: rows their record holds, over all bursts).
        read: detector ports that are read.
        most_bursts: that the instruments can play without being armed again.
    """
    held = [port for port in table.orders if depths[port] == 1 and port in table.banks]
    fast = [port for port in table.orders if port not in held]
    record = min((depths[port] for port in read), default=table.shots)
    starts = np.array([start for start, _ in _cuts(table, held, fast, depths, record)])
    for start, shots, bursts in _bursts(table, fast, starts, record, most_bursts):
        stop = start + shots
        orders = {port: table.orders[port][start:stop] if shots < table.shots else table.orders[port] for port in fast}
        banks: dict[str, Bank] = {}
        for port in fast:
            bank = table.banks.get(port)
            if bank is not None and bank.shape[0] > depths[port]:
                rows, orders[port] = np.unique(orders[port], return_inverse=True)
                bank = rows_of(bank, rows)
            if bank is not None:
                banks[port] = bank
        rows_held = {port: (table.banks[port], table.orders[port][start : start + shots * bursts : shots]) for port in held}
        yield Segment(rows_held, banks, orders, table.dwell_s, shots, bursts, table.settle)


def _cuts(table: ShotTable, held: list[str], fast: list[str], depths: Mapping[str, int], record: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of every burst."""
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


def _bursts(table: ShotTable, fast: list[str], starts: Ints, record: int, most_bursts: int) -> Iterator[tuple[int, int, int]]:
    """(start, shots of a burst, bursts) of every segment."""
    lengths = np.diff(starts, append=table.shots)
    alike = _alike(table, fast, starts, lengths) if most_bursts > 1 and len(starts) > 1 else np.zeros(len(starts), np.bool_)
    first = 0
    for here in range(1, len(starts) + 1):
        shots = int(lengths[first])
        if here == len(starts) or not alike[here] or here - first >= min(most_bursts, record // shots):
            yield int(starts[first]), shots, here - first
            first = here


def _alike(table: ShotTable, fast: list[str], starts: Ints, lengths: Ints) -> NDArray[np.bool_]:
    """Whether every burst is as long as the one before it, and plays the same rows of all sequenced ports."""
    alike = np.append(False, lengths[1:] == lengths[:-1])
    before = np.arange(table.shots) - np.repeat(lengths, lengths)
    for port in fast:
        order = table.orders[port]
        alike &= np.logical_and.reduceat(order == order[before], starts)
    return alike


def _fitting(order: Ints, depth: int) -> int:
    """How many leading shots of `order` use at most `depth` different rows."""
    _, first = np.unique(order, return_index=True)
    return len(order) if len(first) <= depth else int(np.sort(first)[depth])
