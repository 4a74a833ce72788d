"""From objects to a snapshot: a table of everything that has an identity, in the order in which it is found, and its arrays."""

from __future__ import annotations

import collections
import functools
import itertools
import json
import re
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.showing import Sheet, Shown
from labonn.showing.others import snapshot_sheet
from labonn.snapshots.arrays import Digests, described, packed, shared
from labonn.snapshots.names import KEPT, Names, SnapshotError, attributes, full_name, hidden, is_enum

Array = NDArray[Any]
PLAIN = (type(None), bool, int, float, str)


@dataclass(repr=False)
class Snapshot(Shown):
    """A saved object graph.

    Attributes:
        roots: name -> node. table: entries, each [kind, ...]; a node ["@", i] is the i-th. arrays: contents, by their number.
        constants: large read-only arrays that were met.
    """

    roots: dict[str, Any]
    table: list[Any]
    arrays: list[Array]
    constants: list[Array] = field(default_factory=list)

    def _sheet(self) -> Sheet:
        return snapshot_sheet(self)

    @property
    def tree(self) -> dict[str, Any]:
        """All but the arrays, for JSON."""
        return {"roots": self.roots, "table": self.table}

    def packed(self) -> dict[str, Array]:
        """All of it as three arrays, for a file or a message."""
        tree = np.frombuffer(json.dumps(self.tree, separators=(",", ":")).encode(), np.uint8)
        sizes = np.array([array.size for array in self.arrays], np.int64)
        return {"tree": tree, "sizes": sizes, "content": np.concatenate([np.zeros(0, np.uint8), *self.arrays])}

    @classmethod
    def unpacked(cls, packed: Mapping[str, Array]) -> Snapshot:
        """The other way round.

        Raises:
            KeyError, TypeError, ValueError: these are not what `packed` makes.
        """
        tree, sizes, content = json.loads(packed["tree"].tobytes()), packed["sizes"], packed["content"]
        if sizes.sum() != content.size or sizes.min(initial=0) < 0:
            raise ValueError(f"its arrays have {content.size} bytes in place of {sizes.sum()}")
        arrays = np.split(content, np.cumsum(sizes)[:-1]) if len(sizes) else []
        return cls(tree["roots"], tree["table"], arrays)


def snapshot(
    roots: Mapping[str, Any], names: Names | None = None, given: Mapping[str, Any] | None = None, digests: Digests | None = None
) -> Snapshot:
    """What `roots` and everything they refer to are now.

    Args:
        given: name -> object that whoever restores has anyway; it and what only it refers to is not saved.
        digests: of arrays that are saved by their digest alone.

    Raises:
        SnapshotError: something is reached that cannot be saved; its path is named.
    """
    saver = _Saver(names or Names(), given or {}, digests or Digests())
    found = {name: saver.node(value, name) for name, value in roots.items()}
    saver.run()
    return Snapshot(found, saver.table, saver.arrays, saver.constants)


class _Saver:
    def __init__(self, names: Names, given: Mapping[str, Any], digests: Digests) -> None:
        self._names, self._digests = names, digests
        self._given = {id(thing): name for name, thing in given.items()}
        self._numbers: dict[int, int] = {}
        self._alive: list[Any] = []  # an id must not come again
        self._left: collections.deque[tuple[int, Any, str]] = collections.deque()
        self.table: list[Any] = []
        self.arrays: list[Array] = []
        self._met: list[tuple[int, list[Any], Array]] = []  # (number, description, itself) of all that are saved whole
        self.constants: list[Array] = []

    def run(self) -> None:
        """Take apart what was found, and what is found in it."""
        while self._left:
            number, value, path = self._left.popleft()
            if isinstance(value, np.ndarray):
                self._array(number, value, path)
            else:
                self.table[number] = self._entry(value, path)
        for group in shared([array for *_, array in self._met]):
            content = self._add(group.content)
            for i, offset in group.members:
                self.table[self._met[i][0]] = ["view", self._met[i][1], content, offset]
        for number, about, array in self._met:
            if self.table[number] is None:
                self.table[number] = ["array", about, self._add(packed(array))]

    def node(self, value: Any, path: str) -> Any:
        """What stands for `value` where it is used."""
        if type(value) in PLAIN:
            return value
        if id(value) in self._given:
            return ["given", self._given[id(value)]]
        inline = self._inline(value, path)
        if inline is not None:
            return inline
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self.table)
            self._alive.append(value)
            self.table.append(None)
            self._left.append((number, value, path))
        return ["@", number]

    def _nodes(self, values: Any, path: str) -> list[Any]:
        return [self.node(value, f"{path}[{i}]") for i, value in enumerate(values)]

    def _inline(self, value: Any, path: str) -> list[Any] | None:
        """Of things without an identity of their own; None for all others."""
        if isinstance(value, tuple):
            return ["tuple", None if type(value) is tuple else self._class(type(value), path), *self._nodes(value, path)]
        if isinstance(value, types.MethodType):
            return self._method(value, path)
        if isinstance(value, (bytes, np.generic)):
            kind = "" if isinstance(value, bytes) else value.dtype.str
            return ["bytes", kind, self._add(np.frombuffer(value if isinstance(value, bytes) else value.tobytes(), np.uint8))]
        if is_enum(value):
            return ["enum", self._class(type(value), path), value.name]
        if isinstance(value, (complex, range, slice)):
            parts = [value.real, value.imag] if isinstance(value, complex) else [value.start, value.stop, value.step]
            return ["number", type(value).__name__, *parts]
        if isinstance(value, re.Pattern):
            return ["pattern", self.node(value.pattern, path), value.flags]
        return self._named(value, path)

    def _named(self, value: Any, path: str) -> list[Any] | None:
        if isinstance(value, np.dtype):
            return ["dtype", value.str]
        if isinstance(value, type):
            return ["name", self._class(value, path)]
        if isinstance(value, (types.FunctionType, np.ufunc)):
            name = self._names.of(value) if isinstance(value, types.FunctionType) else f"numpy:{value.__name__}"
            return None if name is None else ["name", name]
        if isinstance(value, (PurePath, datetime)):
            return ["text", type(value).__name__, value.isoformat() if isinstance(value, datetime) else str(value)]
        return ["kept", type(value).__name__] if isinstance(value, KEPT) else None

    def _method(self, value: Any, path: str) -> list[Any]:
        owner, name = value.__self__, value.__func__.__name__
        found = getattr(owner if isinstance(owner, type) else type(owner), name, None)
        if getattr(found, "__func__", found) is not value.__func__:
            raise SnapshotError(f"{path}: the method {name} is not that of its class")
        return ["method", self.node(owner, f"{path}.__self__"), name]

    def _class(self, kind: type, path: str) -> str:
        name = self._names.of(kind)
        if name is None:
            raise SnapshotError(f"{path}: the class {full_name(kind)} cannot be found by its name")
        return name

    def _add(self, array: Array) -> int:
        self.arrays.append(array)
        return len(self.arrays) - 1

    def _entry(self, value: Any, path: str) -> list[Any]:
        kind = type(value)
        if kind in (dict, collections.OrderedDict, collections.Counter, collections.defaultdict):
            make = ["defaultdict", self.node(value.default_factory, path)] if kind is collections.defaultdict else ["dict", kind.__name__]
            return [*make, [[self.node(k, path), self.node(v, f"{path}[{k!r}]")] for k, v in value.items()]]
        if kind is list:
            return ["list", self._nodes(value, path)]
        if kind is collections.deque:
            return ["deque", value.maxlen, self._nodes(value, path)]
        if kind in (set, frozenset):
            return [kind.__name__, sorted(self._nodes(value, path), key=repr)]
        if kind is bytearray:
            return ["bytearray", self._add(np.frombuffer(bytes(value), np.uint8))]
        return self._machine(value, path) or self._object(value, path)

    def _array(self, number: int, value: Array, path: str) -> None:
        about, digest = described(value, path), self._digests.of(value)
        if digest is not None:
            self.constants.append(value)
        if digest in self._digests.given:
            self.table[number] = ["constant", digest, path]
        else:
            self._met.append((number, about, value))

    def _machine(self, value: Any, path: str) -> list[Any] | None:
        """Random generators and functions that are made at run time."""
        if isinstance(value, np.random.Generator):
            return ["generator", self.node(value.bit_generator, f"{path}.bit_generator")]
        if isinstance(value, np.random.BitGenerator):
            return ["bits", type(value).__name__, self.node(value.state, f"{path}.state")]
        if isinstance(value, functools.partial):
            return ["partial", self.node(value.func, path), self.node(value.args, path), self.node(value.keywords, path)]
        if isinstance(value, functools._lru_cache_wrapper):
            raise SnapshotError(f"{path}: a function with a cache of its own")
        if isinstance(value, itertools.count):
            return ["count", value.__reduce__()[1][0]]
        if isinstance(value, types.FunctionType):
            free = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
            cells = [self._cell(cell, f"{path}.{name}") for name, cell in free]
            return ["closure", full_name(value), cells, self.node(value.__defaults__, path), self.node(value.__kwdefaults__, path)]
        return None

    def _cell(self, cell: Any, path: str) -> list[Any]:
        try:
            return [self.node(cell.cell_contents, path)]
        except ValueError:
            return []

    def _object(self, value: Any, path: str) -> list[Any]:
        if isinstance(value, BaseException):
            return ["exception", self._class(type(value), path), self.node(value.args, f"{path}.args")]
        if not self._names.own(type(value)) or hidden(type(value)):
            raise SnapshotError(f"{path}: a {full_name(type(value))} cannot be saved")
        found = attributes(value)
        return ["object", self._class(type(value), path), {name: self.node(item, f"{path}.{name}") for name, item in found.items()}]
