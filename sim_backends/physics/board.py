"""An activation board: detected volts go through a converter into a lookup table, and from there through a converter to modulators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.interpolate import CubicSpline

from sim_backends.physics.arrays import Floats, require
from sim_backends.physics.modulators import Modulators


@dataclass(frozen=True)
class BoardSettings:
    """The board's converters.

    Attributes:
        bits: of the converter in front of the table, whose code is looked up; 0 interpolates the table smoothly instead.
    """

    bits: int = 14

    def __post_init__(self) -> None:
        require(self, 0, 16, "bits")

    @classmethod
    def ideal(cls) -> BoardSettings:
        """A smooth table."""
        return cls(bits=0)


class Board:
    """`channels` inputs and modulators around one table, whose points span -range_v to range_v.

    Args:
        modulators: behind the board; their own imperfections are theirs.
    """

    def __init__(self, settings: BoardSettings, modulators: Modulators, channels: int, range_v: float) -> None:
        self._bits, self._modulators, self._channels, self._range_v = settings.bits, modulators, channels, range_v
        self._table: Floats = np.zeros(0)
        self._key: tuple[int, np.dtype[Any]] | None = None
        self._fields: Floats = np.zeros(0)

    def fields(self, volts: Floats, table: Floats, now_s: float) -> Floats:
        """(R, B, n) fields behind the modulators for volts (R, B, n) at the inputs, which are used up; beyond the range its ends count.

        Args:
            table: (points,) output volts.
        """
        if not self._bits:
            out = self._interpolated(volts, table).reshape(-1, self._channels)
            return self._modulators.fields(out, now_s).reshape(volts.shape)
        key = self._modulators.key(now_s), volts.dtype
        if table is not self._table or key != self._key:
            nearest = np.rint(np.linspace(0, len(table) - 1, 2**self._bits)).astype(np.intp)
            every = np.repeat(table[nearest, None].astype(np.float64), self._channels, axis=1)
            self._fields = self._modulators.fields(every, now_s).astype(volts.dtype).ravel()
            self._table, self._key = table, key
        return self._looked_up(volts)

    def _looked_up(self, volts: Floats) -> Floats:
        """The code of a reading picks the field of its channel."""
        top = 2**self._bits - 1
        volts *= volts.dtype.type(top / (2 * self._range_v))
        volts += volts.dtype.type(top / 2 + 0.5)
        np.clip(volts, 0, top, out=volts)
        codes = volts.astype(np.int32)
        codes *= self._channels
        codes += np.arange(self._channels, dtype=np.int32)
        return np.take(self._fields, codes, mode="clip", out=volts)

    def _interpolated(self, volts: Floats, table: Floats) -> Floats:
        """By cubic splines, piece by piece as polynomials."""
        if table is not self._table:
            self._table, self._fields = table, CubicSpline(np.arange(len(table)), table.astype(np.float64)).c
        pieces = len(table) - 1
        place = np.clip((volts / self._range_v + 1) * (pieces / 2), 0, pieces)
        piece = np.minimum(place.astype(np.intp), pieces - 1)
        x, c = place - piece, self._fields
        return np.asarray(((c[0][piece] * x + c[1][piece]) * x + c[2][piece]) * x + c[3][piece], volts.dtype)
