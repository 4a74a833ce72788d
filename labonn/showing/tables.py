"""Shot tables and banks to look at: ports, rows, values, bytes, shots and how long they last."""

from __future__ import annotations

from typing import Any

import numpy as np

from labonn.showing.arrays import span
from labonn.showing.sheets import Sheet
from labonn.showing.words import counted, seconds, size

HEAD = ("port", "bank", "channels", "values", "bytes", "order")


def table_sheet(table: Any) -> Sheet:
    """Of a shot table."""
    read = "every detector" if table.read is None else ", ".join(table.read) or "no detector"
    total = sum(bank_bytes(bank) for bank in table.banks.values())
    shots = f"{counted(table.shots, 'shot')} of {seconds(table.dwell_s)}, {seconds(table.shots * table.dwell_s)}"
    rows = [_row(port, table.banks.get(port), order) for port, order in table.orders.items()]
    settle = () if table.settle else ("held ports are not waited for when they change",)
    return Sheet(f"ShotTable: {shots}; reads {read}; banks of {size(total)}", settle, HEAD, rows, (2, 4))


def _row(port: str, bank: Any, order: Any) -> list[str]:
    if bank is None:
        return [port, "in its memory", "", "", "", order_words(order)]
    rows, channels = bank.shape
    return [port, f"{counted(rows, 'row')}{_form(bank)}", f"{channels:,}", _values(bank), size(bank_bytes(bank)), order_words(order)]


def order_words(order: Any) -> str:
    """Which rows an order plays, as far as that can be said shortly."""
    first, last = int(order[0]), int(order[-1])
    if (order == first).all():
        return f"row {first}"
    steps = np.diff(order)
    if (steps == 1).all():
        return f"rows {first} to {last}"
    if (steps >= 0).all():
        return f"rows {first} to {last}, some again"
    return f"rows {int(order.min())} to {int(order.max())}, mixed"


def bank_sheet(bank: Any) -> Sheet:
    """Of a bank that is not dense."""
    rows, channels = bank.shape
    words = f"{counted(rows, 'row')} of {counted(channels, 'channel')}{_form(bank)}"
    return Sheet(f"{type(bank).__name__}: {words}, {_values(bank)}, {size(bank_bytes(bank))}")


def bank_bytes(bank: Any) -> int:
    """What its arrays take."""
    return sum(array.nbytes for array in _arrays(bank))


def _arrays(bank: Any) -> tuple[Any, ...]:
    return (bank,) if isinstance(bank, np.ndarray) else tuple(vars(bank).values())


def _form(bank: Any) -> str:
    if isinstance(bank, np.ndarray):
        return ""
    return f", {counted(bank.values.shape[1], 'change')} each" if hasattr(bank, "values") else ", a dither"


def _values(bank: Any) -> str:
    values = bank if isinstance(bank, np.ndarray) else bank.extremes()
    return span(values, values)
