"""Limits as they are written down: [[limits]] of a bench file, and tighter limits from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from labonn.channels import ChannelSpec
from labonn.errors import LimitError
from labonn.units import format_quantity, parse_quantity

UNITS = ("V", "A", "W")


@dataclass(frozen=True)
class PortLimits:
    """Tighter limits of one port that do not stand in the bench file; those of a calibration.

    Attributes:
        lower, upper: in the port's unit, one or one a channel; None: as they are. rule: whose they are, for messages ("cal.json").
    """

    port: str
    lower: ArrayLike | None = None
    upper: ArrayLike | None = None
    rule: str = "calibration"

    def tightened(self, spec: ChannelSpec) -> ChannelSpec:
        """`spec` with these limits where they are tighter.

        Raises:
            LimitError: they are no numbers, too few or too many, or leave nothing.
        """
        try:
            tight = spec.tighten(self.lower, self.upper, self.rule)
        except (ValueError, TypeError) as problem:
            raise LimitError(f"{self.port}: limits of {len(spec)} channels cannot be made of {self.rule}: {problem}") from None
        if not (tight.lower <= tight.upper).all():
            channel = int(np.argmin(tight.lower <= tight.upper))
            low, high = (format_quantity(float(bound[channel]), spec.unit) for bound in (tight.lower, tight.upper))
            rules = (of[channel % len(of)] for of in (tight.lower_rule, tight.upper_rule))
            told = " and ".join(f"{what} {rule}" for what, rule in zip((f"not below {low} by", f"not above {high} by"), rules, strict=True))
            raise LimitError(f"{self.port}/{spec.names[channel]}: no value is {told}")
        return tight


@dataclass(frozen=True)
class JointLimit:
    """One of the bench file's [[limits]].

    Attributes:
        ports: names of ports, or of single channels ("gain/ch3").
        sum: highest sum of the magnitudes of all their values, whatever their signs: what a supply has to give.
        power: highest power of all of them together, instead; resistance: behind every channel in V or A, one or one a channel.
    """

    ports: tuple[str, ...]
    sum: Any = None
    power: Any = None
    resistance: Any = None

    def __post_init__(self) -> None:
        if not self.ports or len(set(self.ports)) < len(self.ports):
            raise ValueError(f"ports = {list(self.ports)}: at least one, and none twice")
        if (self.sum is None) == (self.power is None):
            raise ValueError('either sum = "2.0 A" or power = "5 W" is wanted')
        if self.sum is not None and self.resistance is not None:
            raise ValueError("resistance goes with power, not with sum")
        if self.power is not None:
            self.most("W")
        elif all(_problem(self.sum, unit) for unit in UNITS):
            raise ValueError(f"sum: {self.sum!r} is no quantity above zero in V, A or W")
        self.ohms()

    def __str__(self) -> str:
        ports, ohms = ", ".join(self.ports), self.ohms()
        if self.power is None:
            return f"the sum of {ports} up to {self.sum}"
        behind = f" in {format_quantity(min(ohms), 'ohm')}" if ohms else ""
        behind += f" to {format_quantity(max(ohms), 'ohm')}" if min(ohms, default=0) < max(ohms, default=0) else ""
        return f"the power of {ports}{behind} up to {self.power}"

    def most(self, unit: str) -> float:
        """The highest allowed, in the unit of the sum; ValueError if it is no such quantity."""
        key, given = ("sum", self.sum) if self.power is None else ("power", self.power)
        if problem := _problem(given, unit):
            raise ValueError(f"{key}: {problem}")
        return parse_quantity(given, unit)

    def ohms(self) -> list[float]:
        """Of `resistance`; ValueError if one of them is no resistance."""
        given = self.resistance if isinstance(self.resistance, list) else [] if self.resistance is None else [self.resistance]
        for one in given:
            if problem := _problem(one, "ohm"):
                raise ValueError(f"resistance: {problem}")
        return [parse_quantity(one, "ohm") for one in given]


def _problem(given: Any, unit: str) -> str | None:
    """Why it is no quantity above zero."""
    try:
        return None if parse_quantity(given, unit) > 0 else f"{given!r} is not above zero"
    except ValueError as problem:
        return str(problem)
