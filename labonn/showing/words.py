"""Counts, sizes and times in a few words."""

from __future__ import annotations

from labonn.units import format_quantity


def size(count: float) -> str:
    """Bytes with a prefix: "412 bytes", "1.23 MB"."""
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count:g} bytes"


def seconds(value: float) -> str:
    """A time with a prefix up to a minute, then in minutes or hours."""
    if value < 60:
        return format_quantity(value, "s", 4)
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def counted(number: int, noun: str) -> str:
    """ "1 row", "2,000 rows"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
