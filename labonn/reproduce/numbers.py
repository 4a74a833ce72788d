"""Numbers of tables as text: as many digits as their errors allow."""

from __future__ import annotations

import math

NONE = "-"
LARGE, SMALL = 1e6, 1e-3  # from there on, and below, with a power of ten


def measured(value: float | None, sd: float | None = None) -> str:
    """ "97.31 ± 0.12"; of an error two digits count."""
    if value is None:
        return NONE
    if sd is None:
        return single(value)
    if sd == 0:
        return f"{single(value)} ± 0"
    places = _places(value, sd)
    return f"{value:.3g} ± {sd:.2g}" if places is None else f"{value:,.{places}f} ± {sd:,.{places}f}"


def difference(value: float | None, sd: float | None) -> str:
    """With its sign, and the digits of what was measured."""
    if value is None:
        return NONE
    places = _places(value, sd) if sd else None
    if abs(value) < 1e-12:
        return "0"
    return f"{value:+.2g}" if places is None else f"{value:+,.{places}f}"


def printed(value: float | None, sd: float | None = None) -> str:
    """A number as a paper has it."""
    if value is None:
        return NONE
    return f"{value:g}" + (f" ± {sd:g}" if sd else "")


def single(value: float) -> str:
    """A number without an error."""
    if value and not SMALL <= abs(value) < LARGE:
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"


def _places(value: float, sd: float) -> int | None:
    """Behind the point; None: with a power of ten."""
    if not abs(value) < LARGE or sd < SMALL**2:
        return None
    return max(0, 1 - math.floor(math.log10(sd) + 1e-9))
