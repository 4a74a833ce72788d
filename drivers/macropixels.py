"""Macropixels of a spatial light modulator: where they lie on the panel, and which code shows which field.

Optics: LC panel + quarter-wave plate + analyser turn phase into a signed amplitude, field = -cos(phi / 2) with phi = LUT(code),
so that one code per macropixel runs the field from -1 (phi = 0) through 0 to +1 (phi = 2 pi).
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.channels import Floats
from labonn.errors import BenchFileError

Codes = NDArray[np.unsignedinteger[Any]]
FULL_TURN_RAD = 2 * math.pi
PHASE_SLACK_RAD = 1e-6  # a table written with six digits may end just beyond 2 pi
TABLE_BITS = 8  # beyond the codes': enough to tell the crowded fields next to -1 and 1 apart, at no cost in time
MAX_TABLE_BITS = 20


@dataclass(frozen=True)
class Geometry:
    """A block of macropixels centred on a panel; all pairs are (rows, columns).

    Attributes:
        panel: pixels. shape: macropixels of the port. pixel: panel pixels in a macropixel.
        frame: macropixels that cover the panel. corner: first macropixel of the block in the frame.
    """

    panel: tuple[int, int]
    shape: tuple[int, int]
    pixel: tuple[int, int]
    frame: tuple[int, int]
    corner: tuple[int, int]

    @property
    def block(self) -> tuple[slice, slice]:
        """Where the port's macropixels lie in the frame."""
        (top, left), (rows, columns) = self.corner, self.shape
        return slice(top, top + rows), slice(left, left + columns)


def fit(panel: tuple[int, int], shape: tuple[int, int], port: str) -> Geometry:
    """The largest macropixels that tile the panel without a rest and leave room for `shape`; the block is centred (odd rests: up, left).

    Raises:
        BenchFileError: more rows or columns than pixels, or none.
    """
    if not all(0 < count <= pixels for count, pixels in zip(shape, panel, strict=True)):
        pixels = f"{panel[0]} x {panel[1]}"
        raise BenchFileError(f"{port}: shape {shape[0]} x {shape[1]} does not fit a panel of {pixels} pixels; allowed: 1 x 1 to {pixels}")
    height, width = (_largest_divisor(pixels, pixels // count) for count, pixels in zip(shape, panel, strict=True))
    frame = panel[0] // height, panel[1] // width
    return Geometry(panel, shape, (height, width), frame, ((frame[0] - shape[0]) // 2, (frame[1] - shape[1]) // 2))


def _largest_divisor(number: int, most: int) -> int:
    return next(d for d in range(most, 0, -1) if number % d == 0)


def linear_phase(bits: int, stroke_rad: float, port: str) -> Floats:
    """(2**bits,) nominal phase of every code."""
    if not 0 < stroke_rad < math.inf:
        raise BenchFileError(f"{port}: stroke_rad is {stroke_rad} rad; it is positive and finite")
    return np.linspace(0.0, stroke_rad, 2**bits)


def read_phase(path: str | Path, bits: int, port: str) -> Floats:
    """(2**bits,) phase of every code from a measured table, interpolated linearly; NaN for codes that it does not cover.

    The file is CSV with the columns `code` (rising) and `phase_rad` (never falling).
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, skipinitialspace=True))
        points = np.array([(float(row["code"]), float(row["phase_rad"])) for row in rows], np.float64).reshape(-1, 2)
    except OSError as problem:
        raise BenchFileError(f"{port}: lut {str(path)!r} cannot be read: {problem.strerror}") from None
    except (KeyError, TypeError, ValueError) as problem:
        raise BenchFileError(f"{port}: lut {str(path)!r} is not CSV with the columns code, phase_rad in numbers ({problem!r})") from None
    code, phase = points.T
    if len(code) < 2 or code[0] < 0 or code[-1] > 2**bits - 1 or not np.isfinite(points).all():
        raise BenchFileError(f"{port}: lut {str(path)!r} needs two or more finite rows with codes in 0 to {2**bits - 1}")
    fallen = np.flatnonzero((np.diff(code) <= 0) | (np.diff(phase) < 0))
    if fallen.size:
        row = int(fallen[0]) + 1
        before, here = (f"code {code[i]:g}, {phase[i]:g} rad" for i in (row - 1, row))
        raise BenchFileError(f"{port}: lut {str(path)!r} is not monotone: data row {row + 1} ({here}) follows {before}")
    return np.interp(np.arange(2**bits), code, phase, left=np.nan, right=np.nan)


@dataclass(frozen=True)
class Lookup:
    """Field to code by one table, code to field by another.

    Attributes:
        table: (N,) nearest code for the fields -1 to 1 in equal steps. fields: (2**bits,) field that each code stands for.
        scale, offset: index = floor(field * scale + offset), the nearest entry.
        lower, upper: fields that can be shown. step: largest distance of two neighbouring fields.
    """

    table: Codes
    fields: Floats
    scale: float
    offset: float
    lower: float
    upper: float
    step: float


def lookup(phase_rad: Floats, port: str) -> Lookup:
    """The tables for a panel whose codes give `phase_rad` (2**bits,).

    Codes beyond 0 to 2 pi (or NaN) are never used. The limits are the outermost fields; where one is nearer to -1 or 1 than half
    its distance to the next, the limit is -1 or 1.

    Raises:
        BenchFileError: fewer than two distinct fields.
    """
    bits = (len(phase_rad) - 1).bit_length()
    fields = -np.cos(phase_rad / 2)
    usable = np.flatnonzero((phase_rad >= -PHASE_SLACK_RAD) & (phase_rad <= FULL_TURN_RAD + PHASE_SLACK_RAD))
    levels, first = np.unique(fields[usable], return_index=True)
    if len(levels) < 2:
        raise BenchFileError(f"{port}: {len(levels)} code(s) have a phase in 0 to 2 pi rad; a field needs two or more (stroke_rad, lut)")
    codes: Codes = usable[first].astype(np.uint8) if bits <= 8 else usable[first].astype(np.uint16)
    size = 2 ** min(bits + TABLE_BITS, MAX_TABLE_BITS)
    nearest = np.searchsorted((levels[1:] + levels[:-1]) / 2, np.linspace(-1, 1, size))
    lower = -1.0 if levels[0] + 1 <= (levels[1] - levels[0]) / 2 else float(levels[0])
    upper = 1.0 if 1 - levels[-1] <= (levels[-1] - levels[-2]) / 2 else float(levels[-1])
    return Lookup(codes[nearest], fields, (size - 1) / 2, size / 2, lower, upper, float(np.diff(levels).max()))


def inside(values: Floats, tables: Lookup) -> bool:
    """Whether all fields can be shown; NaN cannot."""
    return bool(values.min() >= tables.lower and values.max() <= tables.upper)


def encode(values: Floats, tables: Lookup, scaled: Floats, index: NDArray[np.intp], out: Codes) -> None:
    """Write the nearest code of every field into `out`, of one shape (rows, columns) with `values`, which must be `inside`.

    The scratch arrays `scaled` (float32) and `index` hold a few rows (or more): so much stays in the cache that a whole
    frame would not, and nothing is allocated. The table look-up is over half of the time.
    """
    rows = len(scaled)
    for start in range(0, len(values), rows):
        part = values[start : start + rows]
        some, where = scaled[: len(part)], index[: len(part)]
        np.multiply(part, tables.scale, out=some, casting="same_kind")
        np.add(some, tables.offset, out=some)
        np.copyto(where, some, casting="unsafe")  # truncates; with the half in the offset that is the nearest entry
        np.take(tables.table, where, out=out[start : start + rows], mode="clip")  # "clip" spares numpy a copy of `out`; no index is outside


def fields_of(codes: Codes, tables: Lookup) -> Floats:
    """The field that each code stands for."""
    return tables.fields[codes]


def enlarge(frame: NDArray[Any], stripes: NDArray[Any], panel: NDArray[Any]) -> None:
    """Replicate `frame` (h, w) into `panel` (H, W), H and W multiples of h and w; `stripes` (h, W) is scratch.

    First along the rows, then whole rows: eight times as fast as one four-dimensional assignment.
    """
    (h, w), (height, width) = frame.shape, panel.shape
    stripes.reshape(h, w, width // w)[...] = frame[:, :, None]
    panel.reshape(h, height // h, width)[...] = stripes[:, None, :]
