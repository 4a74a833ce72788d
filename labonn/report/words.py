"""Numbers of a run in words, with units and errors."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from labonn.plotting.confusion import binomial_error
from labonn.showing.words import seconds
from labonn.units import format_quantity

NAMES = {
    "test_accuracy": "test accuracy", "validation_accuracy": "validation accuracy", "bench_time_s": "bench time",
    "training_time_s": "training time", "evaluations": "hardware evaluations",
}  # fmt: skip
UNITS = {"seconds": "s", "downhill": "1/s", "error": "1/rad", "scatter": "1/rad", "reported": "1/rad"}  # of methods that are compared
_COUNTS = re.compile(r"([\d,]+) (training|validation|test)")


def when(moment: Any) -> str:
    """A UTC time of seconds since 1970."""
    if not isinstance(moment, (int, float)):
        return "not known"
    try:
        return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, OSError, ValueError):
        return "not known"


def label(name: str) -> str:
    """A result's name for people."""
    return NAMES.get(name, name.removesuffix("_s").replace("_", " "))


def share(value: float, count: int) -> str:
    """A share of so many images in percent, with one standard error (binomial)."""
    error = binomial_error(value, count)
    return f"{100 * value:.1f} %" if math.isnan(error) else f"{100 * value:.1f} ± {100 * error:.1f} %"


def value_of(name: str, value: Any, counts: Mapping[str, int]) -> str:
    """A result's value; `counts`: images of each part of the data."""
    if isinstance(value, bool) or value is None:
        return "-" if value is None else "yes" if value else "no"
    if isinstance(value, (int, float)):
        return _number(name, value, counts)
    if isinstance(value, list):
        return ", ".join(value_of("", one, counts) for one in value[:20]) + (f" and {len(value) - 20} more" if len(value) > 20 else "")
    return str(value)


def _number(name: str, value: float, counts: Mapping[str, int]) -> str:
    if name.endswith("accuracy"):
        part = name.removesuffix("_accuracy")
        return share(value, counts.get(part, 0))
    if name.endswith("_s"):
        return seconds(float(value))
    return f"{value:,}" if isinstance(value, int) else f"{value:.5g}"


def counts_of(data: Any) -> dict[str, int]:
    """Images of each part of the data, from words such as "mini: 5,000 training, 500 validation, 500 test images"."""
    return {part: int(number.replace(",", "")) for number, part in _COUNTS.findall(data)} if isinstance(data, str) else {}


def limit(about: Mapping[str, Any], name: str) -> str:
    """A port's limit: one value, or lowest to highest of its channels."""
    value, unit = about.get(name), str(about.get("unit", ""))
    if isinstance(value, (int, float)):
        return format_quantity(float(value), unit)
    if isinstance(value, list) and value and all(isinstance(one, (int, float)) for one in value):
        low, high = min(value), max(value)
        return f"{format_quantity(low, unit)} to {format_quantity(high, unit)}, by channel" if low != high else format_quantity(low, unit)
    return "not known"


def rule(about: Mapping[str, Any]) -> str:
    """Whose rules the limits are."""
    rules = [about.get("lower_rule"), about.get("upper_rule")]
    flat = [one for found in rules for one in (found if isinstance(found, list) else [found]) if isinstance(one, str)]
    return ", ".join(dict.fromkeys(flat))
