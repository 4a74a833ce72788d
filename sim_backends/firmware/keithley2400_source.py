"""What a Keithley 2400 does at its terminals: ranges, source resolution, compliance, output-off states, a resistor behind it."""

from __future__ import annotations

import math
from dataclasses import dataclass

RANGES: dict[str, tuple[float, ...]] = {"VOLT": (0.2, 2.0, 20.0, 200.0), "CURR": (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0)}
LIMITS = {"VOLT": 210.0, "CURR": 1.05}
OVER = 1.05  # a range reaches 105 % of its name
RESOLUTION = 5e-5  # of the source, in ranges
HIGH_RANGE_V, HIGH_RANGE_A = 20.0, 0.1  # 22 W: above one of them the other must stay below
OFF_COMPLIANCE = 0.005  # of the current range, with the output off in the normal state
FLOATING_V = 2e-3  # standard deviation at open terminals with the relay open


def other(function: str) -> str:
    """The quantity that is limited while `function` is sourced."""
    return "CURR" if function == "VOLT" else "VOLT"


def range_of(function: str, value: float) -> float:
    """Full scale (105 %) of the most sensitive range that holds `value`."""
    return OVER * next((r for r in RANGES[function] if abs(value) <= OVER * r * (1 + 1e-9)), RANGES[function][-1])


def quantised(function: str, value: float, full_scale: float) -> float:
    """What the source really gives: whole steps of its range."""
    step = full_scale / OVER * RESOLUTION
    return round(value / step) * step


def too_much_power(volts: float, amperes: float) -> bool:
    """Whether the 2400 refuses to go that high in both."""
    return abs(volts) > HIGH_RANGE_V * OVER * (1 + 1e-9) and abs(amperes) > HIGH_RANGE_A * OVER * (1 + 1e-9)


@dataclass(frozen=True)
class Terminals:
    """What really is there.

    Attributes:
        volts, amperes: at the load. limited: the source is in compliance. floating: the output relay is open.
    """

    volts: float
    amperes: float
    limited: bool = False
    floating: bool = False


def driven(function: str, level: float, limit: float, load_ohm: float) -> Terminals:
    """A source of `level` V or A that is limited to `limit` A or V, with a resistor (inf: open, 0: short)."""
    limit = abs(limit)
    if function == "VOLT":
        amperes = level / load_ohm if load_ohm else math.copysign(math.inf, level) if level else 0.0
        if abs(amperes) <= limit:
            return Terminals(level, amperes)
        amperes = math.copysign(limit, amperes)
        return Terminals(amperes * load_ohm, amperes, limited=True)
    volts = level * load_ohm if level else 0.0
    if abs(volts) <= limit:
        return Terminals(volts, level)
    volts = math.copysign(limit, volts)
    return Terminals(volts, volts / load_ohm, limited=True)


def switched_off(state: str) -> Terminals:
    """Output off into a passive load: 0 V (NORM, ZERO), 0 A (GUAR), or the relay open (HIMP); never the setpoint."""
    return Terminals(0.0, 0.0, floating=state == "HIMP")
