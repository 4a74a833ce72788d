"""Banks as a streaming DAC holds them: frames, or a base with a few changes a frame, or two levels and a bit a channel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sim_backends.firmware.stream_messages import Array, Refusal, shown

FORMS = ("dense", "changes", "dither")


@dataclass(frozen=True)
class Changes:
    """A base frame with a few channels changed in each frame; a channel named twice takes the last.

    Attributes:
        base: (C,). channels, values: (K, n) which channels change in a frame, and to what.
    """

    base: Array
    channels: Array
    values: Array

    def __len__(self) -> int:
        return len(self.channels)

    def rows(self, rows: Array) -> Array:
        """(len(rows), C) frames."""
        frames = np.repeat(self.base[None, :], len(rows), axis=0)
        np.put_along_axis(frames, self.channels[rows].astype(np.intp), self.values[rows], axis=1)
        return frames

    def each(self, change: Callable[[Array], Array]) -> Changes:
        """The same with other values."""
        return Changes(change(self.base), self.channels, change(self.values))


@dataclass(frozen=True)
class Dither:
    """Two levels of every channel, chosen by a bit a frame.

    Attributes:
        minus, plus: (C,). signs: (K, ceil(C / 8)) packed bits, 1 = plus, the first channel in the highest bit.
    """

    minus: Array
    plus: Array
    signs: Array

    def __len__(self) -> int:
        return len(self.signs)

    @property
    def base(self) -> Array:
        """(C,) half-way between the levels."""
        return np.asarray((self.plus + self.minus) / 2, self.plus.dtype)

    @property
    def amplitude(self) -> Array:
        """(C,) half the way from minus to plus; negative where minus is the higher level."""
        return np.asarray((self.plus - self.minus) / 2, self.plus.dtype)

    def rows(self, rows: Array) -> Array:
        """(len(rows), C) frames."""
        bits = np.unpackbits(self.signs[rows], axis=1, count=len(self.plus))
        return np.where(bits, self.plus, self.minus)

    def each(self, change: Callable[[Array], Array]) -> Dither:
        """The same with other values."""
        return Dither(change(self.minus), change(self.plus), self.signs)


Bank = Array | Changes | Dither


def bank_of(form: Any, arrays: list[Array], channels: int, format: str) -> Bank:
    """The bank that a request brings; Refusal where its arrays are not those of its form."""
    kinds, shapes = [a.dtype for a in arrays], [a.shape for a in arrays]
    codes, whole = np.dtype(format), (channels,)
    if form == "dense":
        if kinds != [codes] or len(shapes[0]) != 2 or shapes[0][1] != channels:
            raise Refusal("argument", f"a bank is one (k, {channels}) array of {format}")
        bank: Bank = arrays[0]
    elif form == "changes":
        if kinds != [codes, np.dtype("<u4"), codes] or shapes[0] != whole or len(shapes[1]) != 2 or shapes[1] != shapes[2]:
            raise Refusal("argument", f"changes are ({channels},) of {format}, (k, n) of <u4 and (k, n) of {format}")
        if arrays[1].size and int(arrays[1].max()) >= channels:
            raise Refusal("argument", f"changes name channel {int(arrays[1].max())}; there are 0 to {channels - 1}")
        bank = Changes(*arrays)
    elif form == "dither":
        width = -(-channels // 8)
        if kinds != [codes, codes, np.dtype("|u1")] or shapes[:2] != [whole] * 2 or len(shapes[2]) != 2 or shapes[2][1] != width:
            raise Refusal("argument", f"a dither is twice ({channels},) of {format}, and (k, {width}) of |u1")
        bank = Dither(*arrays)
    else:
        raise Refusal("argument", f"form = {shown(form)}: known are {', '.join(FORMS)}")
    if len(bank) == 0:
        raise Refusal("argument", "an empty block")
    return bank


def rows_of(bank: Bank, rows: Array) -> Array:
    """(len(rows), C) frames of any bank."""
    return bank[rows] if isinstance(bank, np.ndarray) else bank.rows(rows)


def each(bank: Bank, change: Callable[[Array], Array]) -> Bank:
    """The bank with other values."""
    return change(bank) if isinstance(bank, np.ndarray) else bank.each(change)


def followed(held: Bank, more: Bank) -> Bank:
    """`held` with the frames of `more`; Refusal unless both are sparse banks of one base or of the same levels."""
    if isinstance(held, Changes) and isinstance(more, Changes) and _equal((held.base, held.channels[:0]), (more.base, more.channels[:0])):
        return Changes(held.base, np.concatenate([held.channels, more.channels]), np.concatenate([held.values, more.values]))
    if isinstance(held, Dither) and isinstance(more, Dither) and _equal((held.minus, held.plus), (more.minus, more.plus)):
        return Dither(held.minus, held.plus, np.concatenate([held.signs, more.signs]))
    raise Refusal("memory", "a block of another bank")


def _equal(first: tuple[Array, ...], second: tuple[Array, ...]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def inside(bank: Bank, lower: Array, upper: Array) -> bool:
    """Whether all values (base and levels too, played or not) are inside the (C,) bounds; NaN is not."""
    if isinstance(bank, Changes):
        low, high = lower[bank.channels], upper[bank.channels]
        return inside(bank.base[None], lower, upper) and bool(np.all((bank.values >= low) & (bank.values <= high)))
    if isinstance(bank, Dither):
        return inside(np.stack([bank.minus, bank.plus]), lower, upper)
    if lower.min() == lower.max() and upper.min() == upper.max():
        return bool(bank.min() >= lower[0] and bank.max() <= upper[0])
    return bool(np.all((bank >= lower) & (bank <= upper)))
