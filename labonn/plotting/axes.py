"""Axes that can be read: powers of ten without formulas, values with a prefix, legends beside what they explain."""

from __future__ import annotations

from typing import Any

import numpy as np

from labonn.units import format_quantity, parse_quantity

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def log_scale(axis: Any) -> None:
    """Make an axis, on which everything is drawn already, logarithmic."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
    low, high = axis.get_view_interval()
    few = low > 0 and high / low < 30
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: power(value)))
    axis.set_minor_formatter(NullFormatter())


def power(value: float) -> str:
    """0.01, 1, 1000; 10⁻⁴, 2·10⁵."""
    if value <= 0 or 1e-3 <= value < 1e4:
        return f"{value:g}"
    digits, _, exponent = f"{value:.0e}".partition("e")
    raised = str(int(exponent)).translate(_RAISED)
    return f"10{raised}" if digits == "1" else f"{digits}·10{raised}"


def prefixed(value: float, unit: str) -> tuple[float, str]:
    """(factor, unit with prefix) that make such values readable."""
    if not 0 < value < np.inf or unit in ("", "1"):
        return 1.0, unit
    prefix = format_quantity(value, unit, 3).partition(" ")[2]
    try:
        return 1 / parse_quantity(f"1 {prefix}", unit), prefix
    except ValueError:  # a unit that takes no prefix
        return 1.0, unit


def legend_above(axes: Any, columns: int) -> None:
    """Above the axes, where it hides nothing."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, borderaxespad=0.2, columnspacing=1.2)


def few_ticks(axis: Any, most: int = 3) -> None:
    """At most so many steps between numbers."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=most, steps=[1, 2, 2.5, 5, 10]))
