"""Banks as they travel to a streaming DAC (STREAM_PROTOCOL.md): frames, or a base with its changes, or two levels and their signs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.channels import Floats
from labonn.shots import Bank, Changes, Dither, dense

Array = NDArray[Any]


@dataclass(frozen=True)
class WireBank:
    """A bank in codes.

    Attributes:
        form: as the protocol calls it. fixed: arrays that go with every block. rows: arrays that have a row a frame.
    """

    form: str
    fixed: tuple[Array, ...]
    rows: tuple[Array, ...]

    def __len__(self) -> int:
        return len(self.rows[0])

    @property
    def nbytes(self) -> int:
        """Of all arrays."""
        return sum(a.nbytes for a in (*self.fixed, *self.rows))

    @property
    def row_bytes(self) -> int:
        """Of one frame; at least 1."""
        return max(1, sum(a.nbytes for a in self.rows) // len(self))

    def block(self, start: int, stop: int) -> list[Array]:
        """The arrays of frames `start` to `stop` - 1."""
        return [*self.fixed, *(a[start:stop] for a in self.rows)]


def wired(bank: Bank, encode: Callable[[Floats], Array], forms: Collection[str]) -> WireBank:
    """`bank` in one of the `forms` that the instrument takes; its frames where it does not take a sparse bank as it is.

    Every value becomes the code that it would become in a dense bank, whose frames are floats of the base's kind.
    """
    if isinstance(bank, Changes) and "changes" in forms:
        values = encode(bank.values.astype(bank.base.dtype, copy=False))
        return WireBank("changes", (encode(bank.base),), (bank.channels.astype("<u4"), values))
    if isinstance(bank, Dither) and "dither" in forms:
        levels = (bank.base + bank.amplitude * sign for sign in np.array([[-1.0], [1.0]]))
        return WireBank("dither", tuple(encode(np.asarray(level, bank.base.dtype)) for level in levels), (bank.signs,))
    return WireBank("dense", (), (encode(dense(bank)),))
