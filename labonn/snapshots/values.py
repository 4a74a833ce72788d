"""What the nodes of a snapshot stand for: values without an identity of their own, and references to entries of its table."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from labonn.snapshots.names import REMADE, Names, SnapshotError, full_name
from labonn.snapshots.saving import PLAIN, Snapshot

NUMBERS: dict[str, Callable[..., Any]] = {"complex": complex, "range": range, "slice": slice}
ABSENT: Any = object()


class Values:
    """Makes values of nodes; whoever derives from it makes the entries."""

    def __init__(self, saved: Snapshot, names: Names, given: Mapping[str, Any]) -> None:
        self._saved, self._names, self._given = saved, names, given

    def _get(self, number: int) -> Any:
        """What an entry stands for."""
        raise NotImplementedError

    def value(self, node: Any, twin: Any, path: str) -> Any:
        """What a node stands for; `twin` is what is there now."""
        if type(node) in PLAIN:
            return node
        kind, *rest = node
        if kind == "@":
            return self._get(rest[0])
        if kind == "given":
            return self._given[rest[0]]
        if kind == "kept":
            return self._kept(rest[0], twin, path)
        return getattr(self, f"_value_{kind}")(rest, twin, path)

    def _kept(self, name: str, twin: Any, path: str) -> Any:
        if twin is ABSENT and name in REMADE:
            return REMADE[name]()
        if type(twin).__name__ != name:
            raise SnapshotError(f"{path}: a {name} was here, which cannot be made anew; now there is {full_name(type(twin))}")
        return twin

    def _value_tuple(self, rest: list[Any], twin: Any, path: str) -> Any:
        twins = twin if isinstance(twin, tuple) and len(twin) == len(rest) - 1 else [ABSENT] * (len(rest) - 1)
        parts = [self.value(node, each, f"{path}[{i}]") for i, (node, each) in enumerate(zip(rest[1:], twins, strict=True))]
        return tuple(parts) if rest[0] is None else self._class(rest[0])(*parts)

    def _value_method(self, rest: list[Any], twin: Any, path: str) -> Any:
        owner = self.value(rest[0], getattr(twin, "__self__", ABSENT), path)
        if isinstance(owner, type):
            return getattr(owner, rest[1])
        return types.MethodType(getattr(type(owner), rest[1]), owner)

    def _value_bytes(self, rest: list[Any], twin: Any, path: str) -> Any:
        content = self._saved.arrays[rest[1]].tobytes()
        return np.frombuffer(content, rest[0])[0] if rest[0] else content

    def _value_enum(self, rest: list[Any], twin: Any, path: str) -> Any:
        return self._class(rest[0])[rest[1]]

    def _value_number(self, rest: list[Any], twin: Any, path: str) -> Any:
        return NUMBERS[rest[0]](*rest[1:])

    def _value_pattern(self, rest: list[Any], twin: Any, path: str) -> Any:
        return re.compile(self.value(rest[0], ABSENT, path), rest[1])

    def _value_dtype(self, rest: list[Any], twin: Any, path: str) -> Any:
        return np.dtype(rest[0])

    def _value_name(self, rest: list[Any], twin: Any, path: str) -> Any:
        return self._names.find(rest[0])

    def _value_text(self, rest: list[Any], twin: Any, path: str) -> Any:
        return datetime.fromisoformat(rest[1]) if rest[0] == "datetime" else Path(rest[1])

    def _class(self, name: str) -> Any:
        found = self._names.find(name)
        if not isinstance(found, type):
            raise SnapshotError(f"{name}: is no class")
        return found
