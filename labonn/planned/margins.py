"""How near the commanded values of a port come to its limits, and whose limits these are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from labonn.banks import Bank, extremes_of
from labonn.channels import ChannelSpec, Floats
from labonn.limits import Joint
from labonn.shots import ShotTable
from labonn.units import format_quantity, format_range

NEAR = 0.05  # of the allowed range


@dataclass(frozen=True)
class Margin:
    """What a port was commanded, against its limits.

    Attributes:
        lowest, highest: of all values, in `unit`. lower, upper: limits of the channel that comes nearest to one of its own.
        channel: its name. rule: whose limit that is ("driver", "bench.toml"). left: what is left to it, as a part of the range; None: no
            limit but the level that is safe comes near, or the range is open. near: whether `left` is little.
    """

    lowest: float
    highest: float
    unit: str
    lower: float
    upper: float
    channel: str
    rule: str
    left: float | None

    @property
    def near(self) -> bool:
        """Whether hardly anything is left."""
        return self.left is not None and self.left < NEAR

    def allowed(self) -> str:
        """The range, in words."""
        return format_range(self.lower, self.upper, self.unit)


class Reached:
    """The lowest and highest value of every channel of a port so far."""

    def __init__(self, spec: ChannelSpec) -> None:
        self._low, self._high = np.full(len(spec), np.inf), np.full(len(spec), -np.inf)

    def add(self, bank: Bank) -> None:
        """All frames of a bank."""
        ends = extremes_of(bank)
        np.minimum(self._low, ends.min(axis=0), out=self._low)
        np.maximum(self._high, ends.max(axis=0), out=self._high)

    def margin(self, spec: ChannelSpec) -> Margin:
        """Against these limits; a limit of zero is where a port rests, and is not counted as near."""
        span = spec.upper - spec.lower
        below, above = (
            _left(gap, span, bound) for gap, bound in ((self._low - spec.lower, spec.lower), (spec.upper - self._high, spec.upper))
        )
        nearest = np.minimum(below, above)
        channel = int(np.argmin(nearest))
        rules = spec.lower_rule if below[channel] < above[channel] else spec.upper_rule
        left = float(nearest[channel])
        return Margin(
            float(self._low.min()), float(self._high.max()), spec.unit, float(spec.lower[channel]), float(spec.upper[channel]),
            str(spec.names[channel]), rules[channel % len(rules)], left if math.isfinite(left) else None,
        )  # fmt: skip


def _left(gap: Floats, span: Floats, bound: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.maximum(gap, 0.0) / span  # rounding to float32 may seem to cross
    return np.where((bound == 0) | ~np.isfinite(span) | ~(span > 0), np.inf, found)


@dataclass(frozen=True)
class JointMargin:
    """What several channels drew together at most, against a joint limit of the bench file."""

    name: str
    highest: float
    most: float
    unit: str
    rule: str

    def __str__(self) -> str:
        left = 100 * (1 - self.highest / self.most)
        values = f"at most {format_quantity(self.highest, self.unit, 4)} of {format_quantity(self.most, self.unit)}"
        return f"{self.name}: {values}, {left:.3g} % left ({self.rule})"


class JointReached:
    """The highest total of a joint limit so far, shot by shot, with the most that ports outside the table may be at."""

    def __init__(self, joint: Joint) -> None:
        self._joint, self._highest = joint, 0.0
        self._sums: dict[str, tuple[Bank, Floats]] = {}

    def add(self, table: ShotTable, banks: Mapping[str, Bank]) -> None:
        """A table that was played; `banks` are those that all ports had last."""
        moved = [port for port in self._joint.shares if port in table.orders]
        if not moved:
            return
        still = sum(float(self._of(port, banks[port]).max()) for port in self._joint.shares if port not in moved and port in banks)
        played = [self._of(port, banks[port])[table.orders[port]] for port in moved]
        self._highest = max(self._highest, still + float(np.sum(played, axis=0).max()))

    def _of(self, port: str, bank: Bank) -> Floats:
        known = self._sums.get(port)
        if known is None or known[0] is not bank:
            known = self._sums[port] = bank, self._joint.shares[port].of_bank(bank)
        return known[1]

    def margin(self) -> JointMargin:
        """Against the limit."""
        return JointMargin(self._joint.name, self._highest, self._joint.most, self._joint.unit, self._joint.rule)
