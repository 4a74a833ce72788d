"""Arrays in snapshots: packed into bytes, put back in the layout they had; large ones that never change, by digest."""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.snapshots.names import SnapshotError

Array = NDArray[Any]
LARGE = 1 << 16  # bytes from which a read-only array is looked up by its digest


def packed(array: Array) -> Array:
    """The bytes of all elements that differ in memory: of a broadcast axis one. No copy is made of what is contiguous."""
    return np.ascontiguousarray(array[_distinct(array.shape, array.strides)]).reshape(-1).view(np.uint8)


def described(array: Array, path: str) -> list[Any]:
    """[dtype, shape, strides, writeable].

    Raises:
        SnapshotError: an array of objects.
    """
    if array.dtype.hasobject or array.dtype.names or type(array) is not np.ndarray:
        raise SnapshotError(f"{path}: {type(array).__name__} of {array.dtype}: arrays of numbers can be saved, this cannot")
    return [array.dtype.str, list(array.shape), list(array.strides), bool(array.flags.writeable)]


def span_of(dtype: np.dtype[Any], shape: list[int], strides: list[int]) -> int:
    """Bytes from the first to the last of an array."""
    return sum(abs(s) * (n - 1) for s, n in zip(strides, shape, strict=True)) + dtype.itemsize if min(shape, default=1) else 0


def laid_out(kind: str, shape: list[int], strides: list[int], writeable: bool, memory: Array, content: Array) -> Array:
    """An array with these strides: sums and products of the same numbers in another layout may differ in the last bit.

    Args:
        memory: of `span_of` bytes. content: as `packed`.
    """
    array: Array = np.ndarray(shape, np.dtype(kind), memory, -_before(shape, strides) if memory.size else 0, strides)
    own = array[_distinct(tuple(shape), tuple(strides))]
    own[...] = content.view(np.dtype(kind)).reshape(own.shape)
    array.flags.writeable = writeable
    return array


def _distinct(shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    """An index; with the ellipsis of an array without axes too it gives an array."""
    return (*(slice(0, 1) if s == 0 and n > 1 else slice(None) for n, s in zip(shape, strides, strict=True)), ...)


def constant(array: Array) -> bool:
    """Whether nobody can write into it, by no view that numpy knows of."""
    above: Any = array
    while isinstance(above, np.ndarray):
        if above.flags.writeable:
            return False
        above = above.base
    return above is None or isinstance(above, bytes)


class Digests:
    """Digests of large constant arrays, each computed once; and those of them that a freshly built twin has as well.

    Attributes:
        given: digest -> arrays: saved by their digest alone.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[Array], str]] = {}
        self.given: dict[str, list[Array]] = {}

    def of(self, array: Array) -> str | None:
        """Its digest; None if it is small, or may change."""
        if array.nbytes < LARGE or not constant(array):
            return None
        known = self._known.get(id(array))
        if known is not None and known[0]() is array:
            return known[1]
        about = f"{array.dtype.str}{array.shape}{array.strides}".encode()
        digest = hashlib.blake2b(packed(array).data, digest_size=20, key=hashlib.sha1(about).digest()).hexdigest()
        self._known[id(array)] = weakref.ref(array), digest
        return digest

    def give(self, arrays: Iterable[Array]) -> None:
        """Arrays that whoever restores will have built too."""
        for array in arrays:
            digest = self.of(array)
            if digest is not None:
                self.given.setdefault(digest, []).append(array)


@dataclass(frozen=True)
class Shared:
    """Memory that several arrays share, and that may be written to.

    Attributes:
        content: bytes of all of it. members: (number of the array, first byte of its first element).
    """

    content: Array
    members: list[tuple[int, int]]


def shared(arrays: Sequence[Array]) -> list[Shared]:
    """Those of `arrays` that have to be put back as views of the same memory, in an order that does not depend on addresses."""
    groups: list[tuple[list[int], int, int]] = []
    end = -1
    for low, high, number in sorted((*_bounds(array), number) for number, array in enumerate(arrays) if array.size):
        if low < end:
            members, start, _ = groups.pop()
            groups.append((sorted([*members, number]), start, max(end, high)))
        else:
            groups.append(([number], low, high))
        end = groups[-1][2]
    together = [group for group in groups if len(group[0]) > 1 and any(arrays[i].flags.writeable for i in group[0])]
    return [_group(arrays, *group) for group in sorted(together)]


def _bounds(array: Array) -> tuple[int, int]:
    """Address of the first byte, and of that after the last."""
    shape, strides = list(array.shape), list(array.strides)
    first: int = array.__array_interface__["data"][0] + _before(shape, strides)
    return first, first + span_of(array.dtype, shape, strides)


def _before(shape: list[int], strides: list[int]) -> int:
    """Bytes from the first element back to the lowest address; not positive."""
    return sum(min(0, s) * (n - 1) for s, n in zip(strides, shape, strict=True))


def _group(arrays: Sequence[Array], members: list[int], start: int, end: int) -> Shared:
    root: Any = arrays[members[0]]
    while isinstance(root.base, np.ndarray):
        root = root.base
    low, _ = _bounds(root)
    whole = root.transpose(np.argsort([-stride for stride in root.strides], kind="stable")).reshape(-1).view(np.uint8)
    return Shared(whole[start - low : end - low], [(i, arrays[i].__array_interface__["data"][0] - start) for i in members])
