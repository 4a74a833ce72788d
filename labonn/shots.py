"""Shot tables: everything that happens on the bench, as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from labonn.banks import Bank, Changes, Dither, Ints, arrays_of, check_shapes, dense, rows_of
from labonn.channels import Floats
from labonn.errors import TableError
from labonn.showing import Sheet, Shown
from labonn.showing.tables import table_sheet

__all__ = ["Bank", "Changes", "Dither", "Ints", "Readings", "ShotTable", "dense", "outer", "rows_of"]

Readings = dict[str, Floats]


@dataclass(frozen=True, repr=False)
class ShotTable(Shown):
    """T shots: which row of its bank every actuator plays in each of them.

    A table takes its arrays over: they become read-only, so that what was checked is what is played.

    Attributes:
        banks: port -> (K, C) frames in the port's unit. A port with an order but no bank plays again what its memory holds.
        orders: port -> (T,) rows of its bank; a bank of one row needs none.
        dwell_s: seconds a shot lasts.
        read: names of the detector ports to read; None reads all.
        shots: T; needed only for a table without orders, of detectors alone (0: what the orders have).
        settle: whether ports that are held are waited for when they change; False lets a plan look at them on their way.
    """

    banks: Mapping[str, Bank]
    orders: Mapping[str, Ints] = field(default_factory=dict)
    dwell_s: float = 1e-6
    read: tuple[str, ...] | None = None
    shots: int = 0
    settle: bool = True

    def __post_init__(self) -> None:
        orders, banks = dict(self.orders), dict(self.banks)
        for port, order in orders.items():
            _check_order(port, order)
        lengths = {port: len(order) for port, order in orders.items()}
        if len(set(lengths.values())) > 1:
            raise TableError(f"orders have different numbers of shots: {lengths}")
        shots = next(iter(lengths.values()), self.shots or 1)
        if self.shots not in (0, shots):
            raise TableError(f"the orders have {shots} shots, the table says {self.shots}")
        if shots < 1:
            raise TableError("a table needs at least one shot")
        for port, bank in banks.items():
            check_shapes(port, bank)
            if port not in orders:
                if bank.shape[0] != 1:
                    raise TableError(f"{port}: a bank of {bank.shape[0]} rows needs an order")
                orders[port] = np.zeros(shots, np.int64)
            _check_rows(port, orders[port], bank.shape[0])
        if not (0 < self.dwell_s < float("inf")):
            raise TableError(f"dwell_s is {self.dwell_s}; a shot lasts a positive, finite time")
        if self.read is not None and len(set(self.read)) < len(self.read):
            raise TableError(f"read names a detector twice: {', '.join(self.read)}")
        for array in (*orders.values(), *(a for bank in banks.values() for a in arrays_of(bank))):
            array.flags.writeable = False
        object.__setattr__(self, "orders", orders)
        object.__setattr__(self, "banks", banks)
        object.__setattr__(self, "shots", shots)

    def _sheet(self) -> Sheet:
        return table_sheet(self)


def _check_order(port: str, order: Ints) -> None:
    if not isinstance(order, np.ndarray) or order.ndim != 1 or not np.issubdtype(order.dtype, np.integer):
        shown = f"{order.dtype}{list(order.shape)}" if isinstance(order, np.ndarray) else type(order).__name__
        raise TableError(f"{port}: an order is a (T,) array of integers, not {shown}")


def _check_rows(port: str, order: Ints, frames: int) -> None:
    if order.min() < 0 or order.max() >= frames:
        raise TableError(f"{port}: the order names row {int(order.max())} or {int(order.min())}; the bank has rows 0 to {frames - 1}")


def outer(slow: Mapping[str, Bank], fast: Mapping[str, Bank], dwell_s: float, read: tuple[str, ...] | None = None) -> ShotTable:
    """Every slow row with every fast row, each bank sent once: shot s * F + f plays slow row s and fast row f."""
    counts = [{bank.shape[0] for bank in banks.values()} for banks in (slow, fast)]
    if any(len(c) != 1 for c in counts):
        raise TableError(f"outer needs equal numbers of rows among slow ports and among fast ports, not {counts}")
    (s,), (f,) = counts
    orders = {port: np.repeat(np.arange(s), f) for port in slow} | {port: np.tile(np.arange(f), s) for port in fast}
    return ShotTable({**slow, **fast}, orders, dwell_s, read)
