"""A small curve of numbers as text: braille dots, or ASCII where there are none."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

POINTS = 256
DECADES = 1.0  # from which on a curve of positive values is logarithmic
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a braille character, from above
ASCII = '"-_'  # from above


class Curve:
    """A series of any length in at most 256 points, each the mean of as many values."""

    def __init__(self) -> None:
        self._points: list[float] = []
        self._each = 1
        self._sum, self._count = 0.0, 0

    def add(self, value: float) -> None:
        """One more value; what is not finite is left out."""
        if not math.isfinite(value):
            return
        self._sum, self._count = self._sum + value, self._count + 1
        if self._count == self._each:
            self._points.append(self._sum / self._count)
            self._sum, self._count = 0.0, 0
            if len(self._points) == POINTS:
                self._points = [(one + two) / 2 for one, two in zip(self._points[::2], self._points[1::2], strict=True)]
                self._each *= 2

    @property
    def points(self) -> list[float]:
        """The means so far, the unfinished last one too."""
        return [*self._points, self._sum / self._count] if self._count else list(self._points)


def drawn(points: Sequence[float], width: int, rows: int = 2, name: str = "", ascii_only: bool = False) -> list[str]:
    """Rows of text, with the name, the highest and the lowest value before them; none for less than two points.

    Args:
        width: of the rows, in characters. rows: how many.
    """
    if len(points) < 2:
        return []
    high, low = max(points), min(points)
    logarithmic = low > 0 and math.log10(high / low) >= DECADES
    ends, names = [f"{high:.3g}", f"{low:.3g}"], [name, "log" if logarithmic else ""]
    wide, label = max(map(len, ends)), max(map(len, names))
    columns = width - wide - label - 2
    if columns < 4:
        return []
    values = [math.log(point) for point in points] if logarithmic else list(points)
    picture = (_ascii if ascii_only else _braille)(values, columns, rows)
    heads = [f"{names[0]:<{label}} {ends[0]:>{wide}}", *[" " * (label + 1 + wide)] * (rows - 2), f"{names[1]:<{label}} {ends[1]:>{wide}}"]
    return [f"{head} {line}".rstrip() for head, line in zip(heads, picture, strict=True)]


def _braille(values: Sequence[float], columns: int, rows: int) -> list[str]:
    dots, level = 4 * rows - 1, 0
    cells = [[0x2800] * columns for _ in range(rows)]
    for place, depth in enumerate(_depths(values, 2 * columns, dots)):
        level = level if place else depth
        for dot in range(min(level, depth), max(level, depth) + 1) if abs(level - depth) > 1 else (depth,):
            cells[dot // 4][place // 2] |= DOTS[dot % 4][place % 2]
        level = depth
    return ["".join(map(chr, row)).replace("\u2800", " ") for row in cells]


def _ascii(values: Sequence[float], columns: int, rows: int) -> list[str]:
    cells = [[" "] * columns for _ in range(rows)]
    for place, depth in enumerate(_depths(values, columns, len(ASCII) * rows - 1)):
        cells[depth // len(ASCII)][place] = ASCII[depth % len(ASCII)]
    return ["".join(row) for row in cells]


def _depths(values: Sequence[float], columns: int, deepest: int) -> list[int]:
    """For every column how far below the highest value: 0 to `deepest`."""
    high, span = max(values), (max(values) - min(values)) or 1.0
    return [round(deepest * (high - value) / span) for value in _stretched(values, columns)]


def _stretched(values: Sequence[float], columns: int) -> list[float]:
    """As many values as columns: means of those that share one, straight lines between those that are further apart."""
    count = len(values)
    if count >= columns:
        edges = [place * count // columns for place in range(columns + 1)]
        return [sum(values[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]
    found = []
    for column in range(columns):
        place = column * (count - 1) / (columns - 1)
        first = min(int(place), count - 2)
        found.append(values[first] + (place - first) * (values[first + 1] - values[first]))
    return found
