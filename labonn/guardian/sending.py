"""What of a table a guardian has already: banks and orders go over the socket once, and are then known by a number."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np

from labonn.guardian.arrays import Thing, packed, parts_of
from labonn.shots import ShotTable

MOST_A_PORT = 4


class Sent:
    """Knows banks and orders again by identity, as a bench does; those that nobody has any more are dropped there too."""

    def __init__(self) -> None:
        self._known: dict[str, list[tuple[int, weakref.ref[Any]]]] = {}
        self._drop: list[int] = []
        self._last, self._fresh = 0, True

    def forget(self) -> None:
        """It is not known what the guardian has."""
        self._known.clear()
        self._drop, self._fresh = [], True

    def remembered(self) -> dict[str, Any]:
        """What is known at this moment, with the banks themselves, for a checkpoint."""
        alive = {place: [[id, ref()] for id, ref in known if ref() is not None] for place, known in self._known.items()}
        gone = [id for known in self._known.values() for id, ref in known if ref() is None]
        return {"alive": alive, "drop": [*self._drop, *gone], "last": self._last, "fresh": self._fresh}

    def remember(self, remembered: Mapping[str, Any]) -> None:
        """The other way round; whoever uses a bank still has to hold it."""
        self._known = {place: [(id, weakref.ref(thing)) for id, thing in known] for place, known in remembered["alive"].items()}
        self._drop, self._last, self._fresh = [*remembered["drop"]], remembered["last"], remembered["fresh"]

    def header(self, table: ShotTable) -> tuple[dict[str, Any], list[Any]]:
        """(fields of a `play` message, its frames)."""
        new: list[dict[str, Any]] = []
        items: list[dict[str, Any]] = []
        frames: list[Any] = []

        def number(place: str, thing: Thing) -> int:
            known = self._alive(place)
            for id, ref in known:
                if ref() is thing:
                    return id
            self._last += 1
            parts = parts_of(thing)
            new.append({"id": self._last, "kind": parts.kind})
            for array in parts.arrays:
                item, frame = packed(array)
                items.append(item)
                frames.append(frame)
            known.append((self._last, weakref.ref(thing)))
            return self._last

        banks = {port: number(f"bank {port}", bank) for port, bank in table.banks.items()}
        orders = {port: number(f"order {port}", order) for port, order in table.orders.items() if not _implied(table, port)}
        drop, fresh, self._drop, self._fresh = self._drop, self._fresh, [], False
        fields = {"banks": banks, "orders": orders, "new": new, "drop": drop, "fresh": fresh, "arrays": items}
        fields |= {} if table.settle else {"settle": False}
        return {**fields, "dwell_s": float(table.dwell_s), "shots": int(table.shots), "read": table.read}, frames

    def _alive(self, place: str) -> list[tuple[int, weakref.ref[Any]]]:
        """Those of a place that still exist, the newest last; older ones make room for one more."""
        known = self._known.setdefault(place, [])
        kept = [entry for entry in known if entry[1]() is not None][-(MOST_A_PORT - 1) :]
        self._drop += [id for id, ref in known if (id, ref) not in kept]
        self._known[place] = kept
        return kept


def _implied(table: ShotTable, port: str) -> bool:
    """Whether the order is what a table makes by itself for a bank of one row."""
    bank, order = table.banks.get(port), table.orders[port]
    return bank is not None and bank.shape[0] == 1 and order.dtype == np.int64
