"""SI units: factors to multiply with, quantities in text ("4.0 V", "20 mA") to and from bare floats."""

from __future__ import annotations

import math
import re

mA = 1e-3
uA = 1e-6
mV = 1e-3
mW = 1e-3
uW = 1e-6
nW = 1e-9
ms = 1e-3
us = 1e-6
ns = 1e-9
nm = 1e-9
um = 1e-6

_PREFIXES = {"n": 1e-9, "u": 1e-6, "µ": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
_TIMES = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
_QUANTITY = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(\S*)\s*")


def parse_quantity(text: str | float, unit: str) -> float:
    """The value of `text` in `unit`.

    Args:
        text: a number with its unit ("4.0 V", "20 mA", "60 degC"); a bare number counts as `unit`.
        unit: the SI unit without prefix ("V", "A", "s", "degC"), or "1" for a ratio.

    Raises:
        ValueError: not a finite number, or the unit is another one.
    """
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        raise ValueError(f"{text!r} is not a quantity in {unit}")
    match = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    if isinstance(text, str) and match is None:
        raise ValueError(f'{text!r} is not a number with a unit; write for instance "1.5 {unit}"')
    number, written = (float(match[1]), match[2]) if match else (float(text), "")
    if not math.isfinite(number):
        raise ValueError(f"{text!r} is not finite")
    if written in ("", unit):
        return number
    prefix = written.removesuffix(unit)
    if written.endswith(unit) and unit != "1" and prefix in _PREFIXES:
        return number * _PREFIXES[prefix]
    near = next((one for one in (prefix + unit for prefix in _PREFIXES) if one.lower() == written.lower()), "")
    raise ValueError(f"{text!r} is in {written!r}, not in {unit}{f'; did you mean {near}?' if near else ''}")


def parse_rate(text: str | float, unit: str) -> float:
    """The value of `text` in `unit` a second: "0.5 V/s", "10 degC/min", "1 V/us"; a bare number counts as `unit` a second.

    Raises:
        ValueError: not a finite number, another unit, or not over a time.
    """
    quantity, slash, time = text.rpartition("/") if isinstance(text, str) else (text, "", "s")
    if isinstance(text, str) and not slash:
        quantity, time = text, "s" if text.strip()[-1:].isdigit() else ""
    if time.strip() not in _TIMES:
        raise ValueError(f'{text!r} is not a rate; write for instance "0.5 {unit}/s" or "10 {unit}/min"')
    return parse_quantity(quantity, unit) / _TIMES[time.strip()]


def format_quantity(value: float, unit: str, digits: int = 6) -> str:
    """`value` with at most so many digits and a readable prefix: 0.0042 A -> "4.2 mA"."""
    if unit in ("1", ""):
        return f"{value:.{digits}g}"
    if unit in ("degC", "dB") or value == 0 or not math.isfinite(value):
        return f"{value:.{digits}g} {unit}"
    for prefix in ("G", "M", "k", "", "m", "u", "n"):
        if abs(value) >= _PREFIXES[prefix] * (1 - 1e-9):
            return f"{value / _PREFIXES[prefix]:.{digits}g} {prefix}{unit}"
    return f"{value:.{digits}g} {unit}"


def format_rate(value: float, unit: str) -> str:
    """`value` a second: "0.5 V/s"; degrees a minute, as ovens have them."""
    return f"{format_quantity(60 * value, unit)}/min" if unit == "degC" else f"{format_quantity(value, unit)}/s"


def format_range(low: float, high: float, unit: str) -> str:
    """A range with its unit once where that is enough: "0 to 4 V", "-3.6 to 3.6 V", "-100 mV to 4 V"."""
    first, last = format_quantity(low, unit), format_quantity(high, unit)
    number, _, own = first.partition(" ")
    return f"{number if low == 0 or last.endswith(' ' + own) else first} to {last}"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, in two numbers at most."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
