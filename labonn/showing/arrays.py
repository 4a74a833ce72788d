"""Arrays in a few words, large ones by some of their values."""

from __future__ import annotations

from typing import Any

import numpy as np

from labonn.units import format_quantity, format_range

MOST_LOOKED_AT = 1 << 22  # values; of larger arrays so many that lie evenly over it


def span(low: Any, high: Any, unit: str = "1", digits: int = 4) -> str:
    """From the lowest to the highest of two arrays, with the unit; one value if that is all; "none" of nothing."""
    lows, highs = (known(values) for values in (low, high))
    if not lows.size or not highs.size:
        return "none" if not np.size(low) else "not known"
    first, last = float(lows.min()), float(highs.max())
    if first == last:
        return format_quantity(first, unit, digits)
    return format_range(float(f"{first:.{digits}g}"), float(f"{last:.{digits}g}"), unit)


def known(values: Any) -> Any:
    """The finite numbers of an array, of a very large one some."""
    flat = np.asarray(values).ravel()
    flat = flat[:: max(1, flat.size // MOST_LOOKED_AT)]
    return flat[np.isfinite(flat)] if flat.dtype.kind in "fc" else flat


def shape(values: Any) -> str:
    """ "8 x 784"."""
    return " x ".join(f"{number:,}" for number in np.shape(values)) or "1"


def array(values: Any, unit: str = "1") -> str:
    """Shape and range."""
    return f"{shape(values)}, {span(values, values, unit)}"
