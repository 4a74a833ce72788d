"""From a snapshot back to objects: freshly built twins are filled in place, what they do not have yet is made."""

from __future__ import annotations

import collections
import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.snapshots.arrays import Digests, laid_out, span_of
from labonn.snapshots.names import CONTAINERS, Names, SnapshotError, attributes, frozen
from labonn.snapshots.pairing import Pairs
from labonn.snapshots.saving import Snapshot
from labonn.snapshots.values import ABSENT, Values

Array = NDArray[Any]


def restore(
    saved: Snapshot, roots: Mapping[str, Any], names: Names | None = None, given: Mapping[str, Any] | None = None,
    digests: Digests | None = None,
) -> None:  # fmt: skip
    """Make `roots`, and everything they refer to, as they were when the snapshot was taken.

    Args:
        roots: built by the same calls as those that were saved; filled in place. given, digests: as for `snapshot`.

    Raises:
        SnapshotError: they were not built by the same calls, or the snapshot is of another version. The roots are then of no use.
    """
    if set(roots) != set(saved.roots):
        raise SnapshotError(f"saved were {', '.join(saved.roots)}; here are {', '.join(roots)}")
    pairs = Pairs(saved)
    for name, twin in roots.items():
        pairs.pair(saved.roots[name], twin)
    pairs.run()
    made = _Restorer(saved, pairs.twins, names or Names(), given or {}, digests or Digests())
    try:
        made.fill()
        changed = [name for name, twin in roots.items() if made.value(saved.roots[name], twin, name) is not twin]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as problem:
        raise SnapshotError(f"the saved objects do not fit together: {type(problem).__name__}: {problem}") from problem
    if changed:
        raise SnapshotError(f"{', '.join(changed)}: is of another kind than what was saved")


class _Restorer(Values):
    def __init__(self, saved: Snapshot, twins: Sequence[Any], names: Names, given: Mapping[str, Any], digests: Digests) -> None:
        super().__init__(saved, names, given)
        self._twins, self._digests = twins, digests
        self._made: list[Any] = [ABSENT] * len(saved.table)
        self._memory: dict[int, Array] = {}
        self._taken = {id(twin) for twin, entry in zip(twins, saved.table, strict=True) if entry[0] == "constant"}

    def fill(self) -> None:
        """Make everything, then give everything its content."""
        for number in range(len(self._made)):
            self._get(number)
        for number, entry in enumerate(self._saved.table):
            found: Any = getattr(self, f"_fill_{entry[0]}", None)
            if found is not None:
                found(self._made[number], entry, f"{entry[1] if isinstance(entry[1], str) else entry[0]} (entry {number})")

    def _get(self, number: int) -> Any:
        if self._made[number] is ABSENT:
            entry = self._saved.table[number]
            self._made[number] = getattr(self, f"_make_{entry[0]}", self._make_container)(entry, self._twins[number])
        return self._made[number]

    def _make_container(self, entry: list[Any], twin: Any) -> Any:
        if twin is not None:
            return twin
        kind = entry[1] if entry[0] == "dict" else entry[0]
        return getattr(collections, kind)() if kind in ("OrderedDict", "Counter") else CONTAINERS[kind]()

    def _make_deque(self, entry: list[Any], twin: Any) -> Any:
        return collections.deque(maxlen=entry[1])

    def _make_defaultdict(self, entry: list[Any], twin: Any) -> Any:
        return collections.defaultdict(self.value(entry[1], getattr(twin, "default_factory", ABSENT), "defaultdict"))

    def _make_frozenset(self, entry: list[Any], twin: Any) -> Any:
        return frozenset(self.value(node, ABSENT, "frozenset") for node in entry[1])

    def _make_object(self, entry: list[Any], twin: Any) -> Any:
        kind = self._class(entry[1])
        if not self._names.own(kind):
            raise SnapshotError(f"{entry[1]}: a snapshot holds no such objects")
        return object.__new__(kind) if twin is None or frozen(kind) else twin

    def _make_exception(self, entry: list[Any], twin: Any) -> Any:
        kind = self._class(entry[1])
        if not issubclass(kind, BaseException):
            raise SnapshotError(f"{entry[1]}: is no exception")
        return kind.__new__(kind, *self.value(entry[2], ABSENT, "exception"))

    def _make_array(self, entry: list[Any], twin: Any) -> Any:
        kind, shape, strides, writeable = entry[1]
        content = self._saved.arrays[entry[2]]
        array = laid_out(kind, shape, strides, writeable, np.zeros(span_of(np.dtype(kind), shape, strides), np.uint8), content)
        if twin is None or not writeable or not twin.flags.writeable or 0 in strides or twin.strides != array.strides:
            return array
        twin[...] = array  # whoever else holds it goes on holding the right one
        return twin

    def _make_view(self, entry: list[Any], twin: Any) -> Any:
        kind, shape, strides, writeable = entry[1]
        if entry[2] not in self._memory:
            self._memory[entry[2]] = self._saved.arrays[entry[2]].copy()
        array: Array = np.ndarray(shape, np.dtype(kind), self._memory[entry[2]], entry[3], strides)
        array.flags.writeable = writeable
        return array

    def _make_constant(self, entry: list[Any], twin: Any) -> Any:
        """The twin; or another array with the same content, but none that stands for something else: what were two are two again."""
        if twin is not None and self._digests.of(twin) == entry[1]:
            return twin
        equal = self._digests.given.get(entry[1])
        if not equal:
            raise SnapshotError(f"{entry[2]}: was saved by its digest, and nothing built here is the same: other data, or settings?")
        free = next((array for array in equal if id(array) not in self._taken), None)
        if free is None:
            free = equal[0].copy(order="K")
            free.flags.writeable = False
        self._taken.add(id(free))
        return free

    def _make_generator(self, entry: list[Any], twin: Any) -> Any:
        bits = self.value(entry[1], ABSENT, "generator")
        return twin if twin is not None and twin.bit_generator is bits else np.random.Generator(bits)

    def _make_bits(self, entry: list[Any], twin: Any) -> Any:
        return twin if twin is not None else getattr(np.random, entry[1])(0)

    def _make_partial(self, entry: list[Any], twin: Any) -> Any:
        function, arguments, named = (self.value(node, ABSENT, "partial") for node in entry[1:])
        return functools.partial(function, *arguments, **self._dict(named, entry[3]))

    def _dict(self, made: dict[str, Any], node: Any) -> dict[str, Any]:
        """A dict whose content is wanted before it has been filled."""
        self._fill_dict(made, self._saved.table[node[1]], "partial")
        return made

    def _make_count(self, entry: list[Any], twin: Any) -> Any:
        return itertools.count(entry[1])

    def _make_closure(self, entry: list[Any], twin: Any) -> Any:
        if twin is None:
            raise SnapshotError(f"{entry[1]}: is made at run time, and what was built here has none in its place")
        return twin

    def _fill_closure(self, made: Any, entry: list[Any], path: str) -> None:
        for cell, node in zip(made.__closure__ or (), entry[2], strict=True):
            if node:
                cell.cell_contents = self.value(node[0], ABSENT, path)
        made.__defaults__, made.__kwdefaults__ = self.value(entry[3], made.__defaults__, path), self.value(entry[4], ABSENT, path)

    def _fill_bits(self, made: Any, entry: list[Any], path: str) -> None:
        made.state = self._plain(entry[2])

    def _plain(self, node: Any) -> Any:
        """Dicts in dicts, as the state of a random generator is, whether they have been filled already or not."""
        if isinstance(node, list) and node[0] == "@" and self._saved.table[node[1]][0] == "dict":
            return {key: self._plain(item) for key, item in self._saved.table[node[1]][2]}
        return self.value(node, ABSENT, "state")

    def _fill_object(self, made: Any, entry: list[Any], path: str) -> None:
        now = attributes(made)
        for name, node in entry[2].items():
            object.__setattr__(made, name, self.value(node, now.get(name, ABSENT), f"{path}.{name}"))
        for name in now.keys() - entry[2].keys():
            object.__delattr__(made, name)

    def _fill_list(self, made: Any, entry: list[Any], path: str) -> None:
        twins = [*made, *[ABSENT] * len(entry[1])]
        made[:] = [self.value(node, twin, path) for node, twin in zip(entry[1], twins, strict=False)]

    def _fill_deque(self, made: Any, entry: list[Any], path: str) -> None:
        made.extend(self.value(node, ABSENT, path) for node in entry[2])

    def _fill_set(self, made: Any, entry: list[Any], path: str) -> None:
        made.clear()
        made.update(self.value(node, ABSENT, path) for node in entry[1])

    def _fill_bytearray(self, made: Any, entry: list[Any], path: str) -> None:
        made[:] = self._saved.arrays[entry[1]].tobytes()

    def _fill_dict(self, made: Any, entry: list[Any], path: str) -> None:
        keyed = [(self.value(key, ABSENT, path), node) for key, node in entry[2]]
        found = {key: self.value(node, made.get(key, ABSENT), f"{path}[{key!r}]") for key, node in keyed}
        made.clear()
        made.update(found)

    _fill_defaultdict = _fill_dict
