"""An activation board: detected volts go through a converter into a lookup table, and from there through a converter to modulators."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.interpolate import make_interp_spline

from sim_backends.physics.arrays import ROWS, Floats, require
from sim_backends.physics.modulators import Modulators

DEGREE = 5  # of the splines through a smooth table: with 4096 points a sigmoid is then exact to rounding


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
        self._alike = False
        self._made_for: tuple[int, np.dtype[Any]] | None = None
        self._first = np.tile(np.arange(channels), ROWS)
        self._made: Floats = np.zeros(0)  # from the table: fields for every code and channel, or the splines' coefficients

    def fields(self, volts: Floats, table: Floats, now_s: float) -> Floats:
        """(R, B, n) fields behind the modulators for volts (R, B, n) at the inputs, which are used up; beyond the range its ends count.

        Args:
            table: (points,) output volts.
        """
        if self._bits:
            return self._looked_up(volts, self._made_of(table, volts.dtype, self._modulators.key(now_s), now_s))
        out = self._interpolated(volts, self._made_of(table, volts.dtype, self._modulators.key(now_s), now_s))
        return out if self._alike else self._modulators.fields(out.reshape(-1, self._channels), now_s).reshape(volts.shape)

    def _made_of(self, table: Floats, dtype: np.dtype[Any], key: int, now_s: float) -> Floats:
        """Made anew only where the table, the precision or (by `key`) the modulators have changed."""
        if (key, dtype) != self._made_for or not np.array_equal(table, self._table):
            self._made = (self._every_code(table.astype(dtype), now_s) if self._bits else self._smooth(table, now_s)).astype(dtype)
            self._table, self._made_for = table.copy(), (key, dtype)
        return self._made

    def _every_code(self, table: Floats, now_s: float) -> Floats:
        """(codes * n,) fields."""
        nearest = np.rint(np.linspace(0, len(table) - 1, 2**self._bits)).astype(np.intp)
        every = np.repeat(table[nearest, None], self._channels, axis=1)
        return self._modulators.fields(every, now_s).ravel()

    def _smooth(self, table: Floats, now_s: float) -> Floats:
        """Splines through the fields where all modulators are alike, or else through the volts."""
        fields = self._modulators.fields(np.repeat(table[:, None].astype(np.float64), self._channels, axis=1), now_s)
        self._alike = not np.ptp(fields, axis=1).any()
        return splines(fields[:, 0] if self._alike else table)

    def _looked_up(self, volts: Floats, every: Floats) -> Floats:
        """The code of a reading picks the field of its channel."""
        top = 2**self._bits - 1
        volts *= volts.dtype.type(top / (2 * self._range_v))
        volts += volts.dtype.type(top / 2 + 0.5)
        codes = np.clip(volts, 0, top, out=volts).astype(np.intp)
        codes &= top  # what is no number looks up something, too; the codes are inside now, and "wrap" checks nothing more
        codes *= self._channels
        rows = math.gcd(codes.size // self._channels, ROWS) * self._channels
        codes.reshape(-1, rows)[:] += self._first[:rows]
        return np.take(every, codes, mode="wrap", out=volts)

    def _interpolated(self, volts: Floats, coefficients: Floats) -> Floats:
        """Piece by piece as polynomials."""
        pieces = volts.dtype.type(coefficients.shape[1])
        volts *= pieces / volts.dtype.type(2 * self._range_v)
        volts += pieces / 2
        np.clip(volts, 0, np.nextafter(pieces, volts.dtype.type(0)), out=volts)
        piece = volts.astype(np.int32)
        volts -= piece
        out: Floats = np.take(coefficients[0], piece)
        term = np.empty_like(out)
        for row in coefficients[1:]:
            out *= volts
            out += np.take(row, piece, mode="clip", out=term)
        return out


def splines(table: Floats) -> Floats:
    """(6, points - 1) coefficients of the splines through a table's points (points,), highest power first, from point to point."""
    points = np.arange(len(table), dtype=np.float64)
    smooth = make_interp_spline(points, table.astype(np.float64), k=DEGREE)
    return np.stack([smooth(points[:-1], nu=k) / math.factorial(k) for k in range(DEGREE, -1, -1)])
