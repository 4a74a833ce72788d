"""Which of the objects that were built anew stands where a saved one stood; found along the same ways as when it was saved."""

from __future__ import annotations

import collections
import functools
import types
from typing import Any

import numpy as np

from labonn.snapshots.names import CONTAINERS, attributes, full_name
from labonn.snapshots.saving import Snapshot


class Pairs:
    """Twins of the entries of a snapshot.

    Attributes:
        twins: what stands for each entry; None where there is nothing of its kind, or it stands for another entry already.
    """

    def __init__(self, saved: Snapshot) -> None:
        self._table = saved.table
        self.twins: list[Any] = [None] * len(saved.table)
        self._taken: set[int] = set()
        self._left: collections.deque[int] = collections.deque()

    def run(self) -> None:
        """Follow what has been paired."""
        while self._left:
            number = self._left.popleft()
            self._inside(self._table[number], self.twins[number])

    def pair(self, node: Any, twin: Any) -> None:
        """A node, and what is there now."""
        if not isinstance(node, list):
            return
        if node[0] == "tuple" and isinstance(twin, tuple) and len(twin) == len(node) - 2:
            for part, each in zip(node[2:], twin, strict=True):
                self.pair(part, each)
        elif node[0] == "method" and isinstance(twin, types.MethodType):
            self.pair(node[1], twin.__self__)
        elif node[0] == "@" and self.twins[node[1]] is None and id(twin) not in self._taken and self._alike(self._table[node[1]], twin):
            self.twins[node[1]] = twin
            self._taken.add(id(twin))
            self._left.append(node[1])

    def _alike(self, entry: list[Any], twin: Any) -> bool:
        kind = entry[0]
        if kind == "object":
            return bool(f"{type(twin).__module__}:{type(twin).__qualname__}" == entry[1])
        if kind == "constant":
            return isinstance(twin, np.ndarray)
        if kind in ("array", "view"):
            return isinstance(twin, np.ndarray) and [twin.dtype.str, list(twin.shape)] == entry[1][:2]
        if kind == "closure":
            return isinstance(twin, types.FunctionType) and full_name(twin) == entry[1] and len(twin.__closure__ or ()) == len(entry[2])
        if kind in ("generator", "partial", "defaultdict"):
            wanted = {"generator": np.random.Generator, "partial": functools.partial, "defaultdict": collections.defaultdict}
            return type(twin) is wanted[kind]
        if kind in ("dict", "bits"):
            return bool(type(twin).__name__ == entry[1])
        return kind in CONTAINERS and type(twin) is CONTAINERS[kind]

    def _inside(self, entry: list[Any], twin: Any) -> None:
        kind = entry[0]
        if kind == "object":
            now = attributes(twin)
            for name, node in entry[2].items():
                self.pair(node, now.get(name))
        elif kind in ("list", "deque"):
            for node, each in zip(entry[-1], twin, strict=False):
                self.pair(node, each)
        elif kind in ("dict", "defaultdict"):
            for key, node in entry[2]:
                if not isinstance(key, list) or key[0] == "tuple":
                    self.pair(node, twin.get(_key(key)))
        elif kind == "closure":
            for node, cell in zip(entry[2], twin.__closure__ or (), strict=True):
                if node:
                    self.pair(node[0], cell.cell_contents)
            self.pair(entry[3], twin.__defaults__)
            self.pair(entry[4], twin.__kwdefaults__)
        elif kind == "generator":
            self.pair(entry[1], twin.bit_generator)
        elif kind == "partial":
            for node, each in zip(entry[1:], (twin.func, twin.args, twin.keywords), strict=True):
                self.pair(node, each)


def _key(node: Any) -> Any:
    """A key of plain values; of others None, which is no key of any twin."""
    if not isinstance(node, list):
        return node
    return tuple(_key(part) for part in node[2:]) if node[:2] == ["tuple", None] else None
