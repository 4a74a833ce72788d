"""What drivers of instruments that cannot be sequenced have in common: a table names one row of their bank, which they hold."""

from __future__ import annotations

import numpy as np

from labonn.channels import ChannelSpec, Floats
from labonn.errors import TableError
from labonn.shots import Bank, Ints, rows_of


class HeldBank:
    """The last bank that was loaded, and the row of it that an order names.

    Args:
        port, name: of the port and of the instrument, for messages.
    """

    def __init__(self, port: str, name: str) -> None:
        self._port, self._name = port, name
        self._bank: Bank | None = None

    def row(self, bank: Bank | None, order: Ints, spec: ChannelSpec) -> Floats:
        """(C,) the one row that `order` names, float64 and inside the limits; of the bank before if `bank` is None.

        Raises:
            TableError: no bank yet, several rows, or another number of channels. LimitError: outside `spec`.
        """
        if bank is not None:
            self._bank = bank
        if self._bank is None:
            raise TableError(f"{self._port}: no bank was loaded before")
        rows = np.unique(order)
        if rows.size != 1:
            raise TableError(f"{self._port}: {self._name} cannot be sequenced; a table names one of its rows, not {rows.size}")
        row = np.asarray(rows_of(self._bank, rows)[0], np.float64)
        if row.shape != (len(spec),):
            raise TableError(f"{self._port}: a row has {row.size} values; the port has {len(spec)} channels")
        spec.check(self._port, row[None])
        return row
