"""Banks of frames: dense, or a base frame with a few changes or a dither, expanded only where a driver wants them so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.channels import ChannelSpec, Floats
from labonn.errors import LimitError, TableError
from labonn.showing import Sheet, Shown
from labonn.showing.tables import bank_sheet

Ints = NDArray[np.integer[Any]]
BLOCK_ROWS = 256  # of frames expanded at once to find the one that is outside the limits


@dataclass(frozen=True, repr=False)
class Changes(Shown):
    """A base frame with a few channels changed in each frame: P finite differences in O(P).

    Attributes:
        base: (C,) values. channels: (K, n) which channels change. values: (K, n) to what; a channel named twice takes the last.
    """

    base: Floats
    channels: Ints
    values: Floats

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.channels), len(self.base)

    def _sheet(self) -> Sheet:
        return bank_sheet(self)

    def rows(self, rows: Ints) -> Floats:
        """(len(rows), C) dense frames."""
        frames = np.repeat(self.base[None, :], len(rows), axis=0)
        np.put_along_axis(frames, self.channels[rows], self.values[rows].astype(frames.dtype), axis=1)
        return frames

    def extremes(self) -> Floats:
        """(2, C) frames that hold the lowest and the highest value of every channel."""
        low, high = self.base.copy(), self.base.copy()
        channels, values = self.channels.ravel(), self.values.astype(self.base.dtype, copy=False).ravel()
        np.minimum.at(low, channels, values)
        np.maximum.at(high, channels, values)
        return np.stack([low, high])

    def columns(self, start: int, stop: int) -> Changes:
        """The frames of channels `start` to `stop` - 1 alone, counted from 0."""
        inside = (self.channels >= start) & (self.channels < stop)
        counts = inside.sum(axis=1)
        front = np.argsort(~inside, axis=1, kind="stable")[:, : int(counts.max(initial=0))]
        channels = np.take_along_axis(self.channels, front, axis=1) - start
        values = np.take_along_axis(self.values, front, axis=1).astype(self.base.dtype, copy=False)
        spare = ~np.take_along_axis(inside, front, axis=1)  # rows with fewer changes repeat their last one, or change nothing
        last = np.maximum(counts - 1, 0)[:, None]
        if spare.any():
            some = counts[:, None] > 0
            channels = np.where(spare, np.where(some, np.take_along_axis(channels, last, axis=1), 0), channels)
            values = np.where(spare, np.where(some, np.take_along_axis(values, last, axis=1), self.base[start]), values)
        return Changes(self.base[start:stop], channels, values)


@dataclass(frozen=True, repr=False)
class Dither(Shown):
    """A base frame with a dither of signs.

    Attributes:
        base: (C,) values. amplitude: (C,) of the dither. signs: (K, ceil(C / 8)) packed bits, 1 = plus (numpy.packbits order).
    """

    base: Floats
    amplitude: Floats
    signs: NDArray[np.uint8]

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.signs), len(self.base)

    def _sheet(self) -> Sheet:
        return bank_sheet(self)

    def rows(self, rows: Ints) -> Floats:
        """(len(rows), C) dense frames."""
        bits = np.unpackbits(self.signs[rows], axis=1, count=len(self.base))
        return np.asarray(self.base + self.amplitude * (2.0 * bits - 1.0), dtype=self.base.dtype)

    def extremes(self) -> Floats:
        """(2, C) frames that hold the lowest and the highest value of every channel."""
        swing = np.abs(self.amplitude) * np.array([[-1.0], [1.0]])
        return np.asarray(self.base + swing, dtype=self.base.dtype)

    def columns(self, start: int, stop: int) -> Dither:
        """The frames of channels `start` to `stop` - 1 alone, counted from 0."""
        first, shift = divmod(start, 8)
        count = -(-(stop - start) // 8)
        signs = self.signs[:, first : first + count] << np.uint8(shift)
        if shift:
            rest = self.signs[:, first + 1 : first + 1 + count] >> np.uint8(8 - shift)
            signs[:, : rest.shape[1]] |= rest
        return Dither(self.base[start:stop], self.amplitude[start:stop], signs)


Bank = Floats | Changes | Dither


def rows_of(bank: Bank, rows: Ints) -> Floats:
    """(len(rows), C) dense frames of any bank."""
    return bank[rows] if isinstance(bank, np.ndarray) else bank.rows(rows)


def columns_of(bank: Bank, start: int, stop: int) -> Bank:
    """The frames of channels `start` to `stop` - 1 alone, in the same form."""
    return np.ascontiguousarray(bank[:, start:stop]) if isinstance(bank, np.ndarray) else bank.columns(start, stop)


def extremes_of(bank: Bank) -> Floats:
    """Frames that are inside the limits exactly when all of the bank is, its base included."""
    return bank if isinstance(bank, np.ndarray) else bank.extremes()


def dense(bank: Bank) -> Floats:
    """The whole bank as (K, C) frames."""
    return bank if isinstance(bank, np.ndarray) else bank.rows(np.arange(bank.shape[0]))


def check_limits(spec: ChannelSpec, port: str, bank: Bank) -> None:
    """Raise LimitError unless all of the bank (base frames too) is inside the limits; the message has the row that is not."""
    with np.errstate(invalid="ignore", over="ignore"):  # NaN and what float32 cannot hold are refused, not warned of
        try:
            spec.check(port, extremes_of(bank))
        except LimitError:
            if not isinstance(bank, np.ndarray):
                for start in range(0, bank.shape[0], BLOCK_ROWS):
                    spec.check(port, bank.rows(np.arange(start, min(start + BLOCK_ROWS, bank.shape[0]))), start)
            raise


def arrays_of(bank: Bank) -> tuple[NDArray[Any], ...]:
    """All arrays of a bank, its frames or its base first."""
    if isinstance(bank, Changes):
        return bank.base, bank.channels, bank.values
    return (bank.base, bank.amplitude, bank.signs) if isinstance(bank, Dither) else (bank,)


def check_shapes(port: str, bank: Bank) -> None:
    """Raise TableError unless shapes and kinds of numbers are those of a bank."""
    first = arrays_of(bank)[0]
    if first.ndim != (2 if first is bank else 1) or bank.shape[0] == 0:
        shape = first.shape if first is bank else bank.shape
        raise TableError(f"{port}: a bank has shape (K, C) with K of 1 or more, and a base (C,); not {shape}")
    if first.dtype not in (np.float32, np.float64):
        raise TableError(f"{port}: a bank has values of float32 or float64, not {first.dtype}")
    channels = bank.shape[1]
    if isinstance(bank, Changes):
        named = bank.channels
        if named.ndim != 2 or named.shape != bank.values.shape or not np.issubdtype(named.dtype, np.integer):
            found = f"{named.dtype}{list(named.shape)} and {list(bank.values.shape)}"
            raise TableError(f"{port}: Changes has channels (K, n) of integers and values (K, n), not {found}")
        if named.size and (named.min() < 0 or named.max() >= channels):
            raise TableError(f"{port}: Changes names channel {int(named.max())} or {int(named.min())}; there are 0 to {channels - 1}")
    if isinstance(bank, Dither):
        wanted = (bank.shape[0], -(-channels // 8))
        if bank.signs.shape != wanted or bank.signs.dtype != np.uint8 or bank.amplitude.shape != (channels,):
            found = f"{bank.amplitude.shape} and {bank.signs.dtype} {bank.signs.shape}"
            raise TableError(f"{port}: Dither has amplitude {(channels,)} and signs uint8 {wanted}, not {found}")
