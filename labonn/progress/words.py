"""How progress words numbers and times, and breaks them into lines."""

from __future__ import annotations

from collections.abc import Sequence


def thousands(value: float) -> str:
    """Three digits: 950, 37k, 1.77M."""
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * factor:
            return f"{value / factor:.3g}{letter}"
    return f"{value:.3g}"


def clock(seconds: float) -> str:
    """0:07, 12:30, 1:05:00, 3 d 4 h."""
    minutes, rest = divmod(round(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def rounded(seconds: float) -> float:
    """To what a person would say: 2.5 % or finer; never less than a second."""
    grain = max((grain for grain in (1, 5, 15, 60, 300, 900, 3600) if seconds >= 40 * grain), default=1)
    return max(1.0, grain * round(seconds / grain))


def number(value: float | str) -> str:
    """A count with commas, anything else in three digits."""
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"


def flowing(parts: Sequence[str], width: int) -> list[str]:
    """Parts with commas between, in lines of at most `width`; a part is broken only if it alone is longer."""
    lines: list[str] = []
    for place, part in enumerate(parts):
        piece = part if place == len(parts) - 1 else f"{part},"
        if lines and len(lines[-1]) + 1 + len(piece) <= width:
            lines[-1] += f" {piece}"
        else:
            lines += [piece[start : start + width] for start in range(0, len(piece), width)]
    return lines
