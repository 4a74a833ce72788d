"""Shot tables: everything that happens on the bench, as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.channels import Floats
from labonn.errors import TableError

Ints = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Changes:
    """A base frame with a few channels changed in each frame: P finite differences in O(P).

    Attributes:
        base: (C,) values. channels: (K, n) which channels change. values: (K, n) to what.
    """

    base: Floats
    channels: Ints
    values: Floats

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.channels), len(self.base)

    def rows(self, rows: Ints) -> Floats:
        """(len(rows), C) dense frames."""
        frames = np.repeat(self.base[None, :], len(rows), axis=0)
        np.put_along_axis(frames, self.channels[rows], self.values[rows].astype(frames.dtype), axis=1)
        return frames

    def extremes(self) -> Floats:
        """(<=3, C) frames that hold the lowest and the highest value of every channel."""
        low, high = np.array(self.base, np.float64), np.array(self.base, np.float64)
        np.minimum.at(low, self.channels.ravel(), self.values.ravel())
        np.maximum.at(high, self.channels.ravel(), self.values.ravel())
        bad = np.zeros_like(low)
        np.add.at(bad, self.channels.ravel(), np.where(np.isfinite(self.values.ravel()), 0.0, np.nan))
        return np.stack([low + bad, high + bad])


@dataclass(frozen=True)
class Dither:
    """A base frame with a dither of signs.

    Attributes:
        base: (C,) values. amplitude: (C,) of the dither. signs: (K, ceil(C / 8)) packed bits, 1 = plus (numpy.packbits order).
    """

    base: Floats
    amplitude: Floats
    signs: NDArray[np.uint8]

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.signs), len(self.base)

    def rows(self, rows: Ints) -> Floats:
        """(len(rows), C) dense frames."""
        bits = np.unpackbits(self.signs[rows], axis=1, count=len(self.base))
        return np.asarray(self.base + self.amplitude * (2.0 * bits - 1.0), dtype=self.base.dtype)

    def extremes(self) -> Floats:
        """(2, C) frames that hold the lowest and the highest value of every channel."""
        return np.stack([self.base - np.abs(self.amplitude), self.base + np.abs(self.amplitude)])


Bank = Floats | Changes | Dither


def rows_of(bank: Bank, rows: Ints) -> Floats:
    """(len(rows), C) dense frames of any bank."""
    return bank[rows] if isinstance(bank, np.ndarray) else bank.rows(rows)


def extremes_of(bank: Bank) -> Floats:
    """Frames that are inside the limits exactly when all of the bank is."""
    return bank if isinstance(bank, np.ndarray) else bank.extremes()


def dense(bank: Bank) -> Floats:
    """The whole bank as (K, C) frames."""
    return rows_of(bank, np.arange(bank.shape[0]))


@dataclass(frozen=True)
class ShotTable:
    """T shots: which row of its bank every actuator plays in each of them.

    A table takes its arrays over: they become read-only, so that what was checked is what is played.

    Attributes:
        banks: port -> (K, C) frames in the port's unit. A port with an order but no bank plays again what its memory holds.
        orders: port -> (T,) rows of its bank; a bank of one row needs none.
        dwell_s: seconds a shot lasts.
        read: names of the detector ports to read; None reads all.
        shots: T; needed only for a table without orders, of detectors alone (0: what the orders have).
    """

    banks: Mapping[str, Bank]
    orders: Mapping[str, Ints] = field(default_factory=dict)
    dwell_s: float = 1e-6
    read: tuple[str, ...] | None = None
    shots: int = 0

    def __post_init__(self) -> None:
        orders = dict(self.orders)
        lengths = {port: len(order) for port, order in orders.items()}
        if len(set(lengths.values())) > 1:
            raise TableError(f"orders have different numbers of shots: {lengths}")
        shots = next(iter(lengths.values()), self.shots or 1)
        if self.shots not in (0, shots):
            raise TableError(f"the orders have {shots} shots, the table says {self.shots}")
        for port, bank in self.banks.items():
            if len(bank.shape) != 2 or bank.shape[0] == 0:
                raise TableError(f"{port}: a bank has shape (K, C) with K of 1 or more, not {bank.shape}")
            if port not in orders:
                if bank.shape[0] != 1:
                    raise TableError(f"{port}: a bank of {bank.shape[0]} rows needs an order")
                orders[port] = np.zeros(shots, np.int64)
            _check_order(port, orders[port], bank.shape[0])
        if shots < 1:
            raise TableError("a table needs at least one shot")
        if not (0 < self.dwell_s < float("inf")):
            raise TableError(f"dwell_s is {self.dwell_s}; a shot lasts a positive, finite time")
        for array in (*orders.values(), *(b for b in self.banks.values() if isinstance(b, np.ndarray))):
            array.flags.writeable = False
        object.__setattr__(self, "orders", orders)
        object.__setattr__(self, "shots", shots)


def _check_order(port: str, order: Ints, frames: int) -> None:
    if order.ndim != 1 or not np.issubdtype(order.dtype, np.integer):
        raise TableError(f"{port}: an order is a (T,) array of integers, not {order.dtype}{list(order.shape)}")
    if order.size and (order.min() < 0 or order.max() >= frames):
        raise TableError(f"{port}: the order names row {int(order.max())} or {int(order.min())}; the bank has rows 0 to {frames - 1}")


def outer(slow: Mapping[str, Bank], fast: Mapping[str, Bank], dwell_s: float, read: tuple[str, ...] | None = None) -> ShotTable:
    """Every slow row with every fast row, each bank sent once: shot s * F + f plays slow row s and fast row f."""
    counts = [{bank.shape[0] for bank in banks.values()} for banks in (slow, fast)]
    if any(len(c) != 1 for c in counts):
        raise TableError(f"outer needs equal numbers of rows among slow ports and among fast ports, not {counts}")
    (s,), (f,) = counts
    orders = {port: np.repeat(np.arange(s), f) for port in slow} | {port: np.tile(np.arange(f), s) for port in fast}
    return ShotTable({**slow, **fast}, orders, dwell_s, read)


Readings = dict[str, Floats]
