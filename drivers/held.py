"""What drivers of instruments that cannot be sequenced have in common: a table names one row of their bank, which they hold."""

from __future__ import annotations

import numpy as np

from labonn.banks import check_limits
from labonn.channels import ChannelSpec, Floats
from labonn.errors import TableError
from labonn.shots import Bank, Changes, Ints, rows_of


class HeldBank:
    """The last bank that was loaded, and the row of it that an order names.

    Args:
        port, name: of the port and of the instrument, for messages.
    """

    def __init__(self, port: str, name: str) -> None:
        self._port, self._name = port, name
        self._bank: Bank | None = None
        self._base: Floats = np.zeros(0)
        self._values: Floats = self._base
        self._checked: ChannelSpec | None = None  # whose limits all rows of a sparse bank are inside

    def row(self, bank: Bank | None, order: Ints, spec: ChannelSpec) -> Floats:
        """(C,) the one row that `order` names, float64 and inside the limits; of the bank before if `bank` is None.

        Of `Changes` the whole bank is checked, once; its rows then cost no more than what changes in them.

        Raises:
            TableError: no bank yet, several rows, or another number of channels. LimitError: outside `spec`.
        """
        if bank is not None and bank is not self._bank:
            self._bank, self._checked = bank, None
        if self._bank is None:
            raise TableError(f"{self._port}: no bank was loaded before")
        rows = order if len(order) == 1 else np.unique(order)
        if rows.size != 1:
            raise TableError(f"{self._port}: {self._name} cannot be sequenced; a table names one of its rows, not {rows.size}")
        if isinstance(self._bank, Changes):
            return self._changed(self._bank, int(rows[0]), spec)
        row = np.asarray(rows_of(self._bank, rows)[0], np.float64)
        self._fits(row.size, spec)
        spec.check(self._port, row[None])
        return row

    def _changed(self, bank: Changes, number: int, spec: ChannelSpec) -> Floats:
        if self._checked is not spec:
            self._fits(bank.shape[1], spec)
            check_limits(spec, self._port, bank)
            self._base = bank.base.astype(np.float64)
            self._values = bank.values.astype(bank.base.dtype).astype(np.float64)  # as in a dense row
            self._checked = spec
        row = self._base.copy()
        row[bank.channels[number]] = self._values[number]
        return row

    def _fits(self, size: int, spec: ChannelSpec) -> None:
        if size != len(spec):
            raise TableError(f"{self._port}: a row has {size} values; the port has {len(spec)} channels")
