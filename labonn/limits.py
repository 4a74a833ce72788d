"""Joint limits: what several channels may draw together at any moment, checked before any byte leaves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from labonn.banks import Bank, Ints
from labonn.channels import ChannelSpec, Floats
from labonn.errors import BenchFileError, LimitError
from labonn.levels import Levels
from labonn.limitfile import UNITS, JointLimit
from labonn.shares import Share
from labonn.shots import ShotTable
from labonn.units import format_quantity

ROUNDING = 1e-7  # of a limit, which a sum of float32 values may seem to be above


@dataclass(frozen=True)
class Joint:
    """A joint limit on open ports.

    Attributes:
        name: "limits[1] (heaters)". most, unit: what it allows. rule: whose it is. shares: port -> its part.
    """

    name: str
    most: float
    unit: str
    rule: str
    shares: Mapping[str, Share]

    def allows(self, total: float | Floats) -> bool:
        """Whether all of `total` is allowed; what is not a number is not."""
        return bool(np.all(total <= self.most * (1 + ROUNDING)))

    def refuse(self, parts: Mapping[str, float], when: str) -> LimitError:
        """What to raise for the parts of its ports at some moment."""
        total, limit = math.fsum(parts.values()), format_quantity(self.most, self.unit)
        told = format_quantity(total, self.unit)
        told = format_quantity(total, self.unit, digits=12) if told == limit else told
        each = ", ".join(f"{port} {format_quantity(part, self.unit, 4)}" for port, part in parts.items())
        return LimitError(f"{self.name}: {told} {when}{f' ({each})' if len(parts) > 1 else ''} is above {limit} ({self.rule})")


def joints_of(limits: Sequence[JointLimit], rule: str, actuators: Mapping[str, ChannelSpec]) -> list[Joint]:
    """The joint limits of a bench whose actuators are these.

    Raises:
        BenchFileError: no such actuator or channel, another unit, or too few or too many resistances; all of them.
    """
    found: list[Joint] = []
    problems: list[str] = []
    for number, limit in enumerate(limits):
        try:
            found.append(_joint(f"limits[{number}] ({', '.join(limit.ports)})", limit, rule, actuators))
        except ValueError as problem:
            problems.append(f"{rule}: limits[{number}].{problem}")
    if problems:
        raise BenchFileError("\n".join(problems))
    return found


def _joint(name: str, limit: JointLimit, rule: str, actuators: Mapping[str, ChannelSpec]) -> Joint:
    chosen = _chosen(limit, actuators)
    units = sorted({actuators[port].unit for port, _ in chosen})
    if limit.power is None and len(units) > 1:
        raise ValueError(f"sum: {' and '.join(units)} do not add up; power does, with a resistance")
    weights = {port: np.zeros(len(actuators[port])) for port, _ in chosen}
    for (port, channels), weight in zip(chosen, _weights(limit, chosen, actuators), strict=True):
        weights[port][channels] = weight
    squared = {port: limit.power is not None and actuators[port].unit != "W" for port in weights}
    unit = units[0] if limit.power is None else "W"
    return Joint(name, limit.most(unit), unit, rule, {port: Share(weights[port], squared[port]) for port in weights})


def _chosen(limit: JointLimit, actuators: Mapping[str, ChannelSpec]) -> list[tuple[str, Ints]]:
    """(port, numbers of its channels) of everything that the limit names, in its order."""
    found: list[tuple[str, Ints]] = []
    for one in limit.ports:
        port, _, channel = one.partition("/")
        if port not in actuators:
            raise ValueError(f"ports: {port!r} is not an actuator; actuators are {', '.join(actuators)}")
        spec = actuators[port]
        if spec.unit not in UNITS:
            raise ValueError(f"ports: {port!r} is in {spec.unit}; only volts, amperes and watts add up")
        if channel and channel not in spec.names:
            raise ValueError(f"ports: {port!r} has no channel {channel!r}; they are {spec.names[0]} to {spec.names[-1]}")
        channels = np.array([spec.names.index(channel)]) if channel else np.arange(len(spec))
        if any(known == port and np.isin(channels, others).any() for known, others in found):
            raise ValueError(f"ports: {one!r} stands there twice")
        found.append((port, channels))
    return found


def _weights(limit: JointLimit, chosen: Sequence[tuple[str, Ints]], actuators: Mapping[str, ChannelSpec]) -> list[ArrayLike]:
    """Of the magnitudes in a sum, and of watts; of squares for V^2/R and I^2 R, whose resistances stand in the order of `ports`."""
    if limit.power is None:
        return [1.0] * len(chosen)
    ohms, units = limit.ohms(), [actuators[port].unit for port, _ in chosen]
    count = sum(len(channels) for (_, channels), unit in zip(chosen, units, strict=True) if unit != "W")
    if len(ohms) != count and not (len(ohms) == 1 and count):
        wanted = f'one, such as "1 kohm", or one for each of {count} channels' if count else "none, the ports are in watts"
        raise ValueError(f"resistance: {len(ohms) or 'none'} given; wanted: {wanted}")
    left = np.array(ohms * count if len(ohms) == 1 else ohms)
    weights: list[ArrayLike] = []
    for (_, channels), unit in zip(chosen, units, strict=True):
        behind = left[: len(channels) if unit != "W" else 0]
        left = left[len(behind) :]
        weights.append({"A": behind, "V": 1 / behind}.get(unit, 1.0))
    return weights


@dataclass
class JointLimits:
    """All joint limits of an open bench.

    Attributes:
        joints: them. resting: sequenced ports that keep one of their rows between tables.
    """

    joints: Sequence[Joint]
    resting: frozenset[str] = frozenset()
    _sums: dict[tuple[str, str], tuple[Bank, Floats]] = field(default_factory=dict)

    def check(self, table: ShotTable, banks: Mapping[str, Bank], levels: Levels) -> None:
        """Raise LimitError unless every shot of `table` is allowed, together with what all other ports are at.

        Args:
            banks: port -> its bank, also where the table has an order alone; inside the limits of its channels.
        """
        for joint in self.joints:
            moved = [port for port in joint.shares if port in table.orders]
            if not moved:
                continue
            still = {port: float(joint.shares[port].of(levels.highest(port))) for port in joint.shares if port not in moved}
            sums = {port: self._sums_of(joint, port, banks[port]) for port in moved}
            if joint.allows(sum(still.values()) + sum(float(part.max()) for part in sums.values())):
                continue
            played = {port: sums[port][table.orders[port]] for port in moved}
            totals = sum(still.values()) + np.sum(list(played.values()), axis=0)
            if not joint.allows(totals):
                shot = int(np.argmax(~(totals <= joint.most * (1 + ROUNDING))))
                parts = {port: still[port] if port in still else float(played[port][shot]) for port in joint.shares}
                raise joint.refuse(parts, f"in shot {shot}")
            self._check_between(joint, still, played)

    def _check_between(self, joint: Joint, still: Mapping[str, float], played: Mapping[str, Floats]) -> None:
        """A port that keeps a row between shots or tables may keep its highest while others are at theirs."""
        resting = [port for port in played if port in self.resting]
        highest = {port: still[port] if port in still else float(played[port].max()) for port in joint.shares}
        if resting and not joint.allows(sum(highest.values())):
            raise joint.refuse(highest, f"while {' and '.join(resting)} may keep any row until the others have changed")

    def _sums_of(self, joint: Joint, port: str, bank: Bank) -> Floats:
        """(K,); remembered for the bank that was asked for last."""
        known = self._sums.get((joint.name, port))
        if known is None or known[0] is not bank:
            known = self._sums[joint.name, port] = bank, joint.shares[port].of_bank(bank)
        return known[1]
