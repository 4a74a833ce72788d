"""One port's share of a joint limit: what every row of a bank draws, summed without expanding sparse banks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labonn.banks import Bank, Changes, Dither, Ints
from labonn.channels import Floats

BLOCK = 1 << 17  # numbers in memory at once
BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float64)


@dataclass(frozen=True)
class Share:
    """One port's part of a joint limit: weights (C,) of the magnitudes of its values, or of their squares."""

    weights: Floats
    squared: bool

    def of(self, values: Floats) -> Floats:
        """(…, C) values -> (…) sums."""
        return np.asarray(self._weighted(values).sum(axis=-1))

    def of_bank(self, bank: Bank) -> Floats:
        """(K,) sums of a bank's frames: of a sparse one from its base and what differs from it, in O(size of what was sent)."""
        if isinstance(bank, Changes):
            return self._of_changes(bank)
        if isinstance(bank, Dither):
            return self._of_dither(bank)
        weights = self.weights
        parts = [self._cost(bank[start:stop]) @ weights for start, stop in blocks(bank.shape[0], bank.shape[1])]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _cost(self, values: Floats) -> Floats:
        return np.square(values, dtype=np.float64) if self.squared else np.abs(values, dtype=np.float64)

    def _weighted(self, values: Floats) -> Floats:
        return np.asarray(self._cost(values) * self.weights)

    def _of_changes(self, bank: Changes) -> Floats:
        base = self._weighted(bank.base)
        values = bank.values.astype(bank.base.dtype, copy=False)
        differ = self._cost(values) * self.weights[bank.channels] - base[bank.channels]
        return np.asarray(base.sum() + np.where(counting(bank.channels), differ, 0.0).sum(axis=1))

    def _of_dither(self, bank: Dither) -> Floats:
        minus, plus = (self._weighted(frame) for frame in _levels(bank))
        differ = np.zeros(8 * bank.signs.shape[1])  # spare bits mean nothing
        differ[: len(plus)] = plus - minus
        of_byte = differ.reshape(-1, 8) @ BITS.T  # (bytes, 256): what every byte of signs adds
        columns = np.arange(len(of_byte))
        sums = [of_byte[columns, bank.signs[start:stop]].sum(axis=1) for start, stop in blocks(*bank.signs.shape)]
        return np.asarray(minus.sum() + np.concatenate(sums))


def _levels(bank: Dither) -> tuple[Floats, Floats]:
    """(C,) frames of all minus and all plus, as `rows` would give them."""
    swing = bank.amplitude * np.array([[-1.0], [1.0]])
    minus, plus = np.asarray(bank.base + swing, dtype=bank.base.dtype)
    return minus, plus


def counting(channels: Ints) -> NDArray[np.bool_]:
    """(K, n) whether a change counts: of a channel that is named twice in a row, the last one does."""
    if channels.shape[1] < 2:
        return np.ones(channels.shape, np.bool_)
    order = np.argsort(channels, axis=1, kind="stable")
    ranked = np.take_along_axis(channels, order, axis=1)
    last = np.ones(channels.shape, np.bool_)
    last[:, :-1] = ranked[:, 1:] != ranked[:, :-1]
    found = np.empty_like(last)
    np.put_along_axis(found, order, last, axis=1)
    return found


def blocks(rows: int, columns: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of as many rows as may be in memory at once."""
    step = max(1, BLOCK // max(1, columns))
    return ((start, min(start + step, rows)) for start in range(0, rows, step))
