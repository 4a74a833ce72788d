"""Moves of held ports: ramps where they have a slew limit, and ways between two rows on which no joint limit is crossed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from labonn.banks import BLOCK_ROWS, Bank
from labonn.channels import ChannelSpec, Floats
from labonn.clock import Clock
from labonn.levels import Levels
from labonn.limits import JointLimits
from labonn.slews import Slew

Put = Callable[[Mapping[str, tuple[Bank, int]]], Any]


def temperatures(device: Any) -> Floats:
    """(C,) of a port of one or several instruments."""
    return np.concatenate([one.temperature() for one in getattr(device, "devices", [device])])


def measures(device: Any) -> bool:
    """Whether it tells temperatures."""
    return all(hasattr(one, "temperature") for one in getattr(device, "devices", [device]))


class Moves:
    """Brings held ports near the rows that are wanted.

    All ramped ports go in straight lines and arrive together, none faster than its slew. A straight line between two rows that a joint
    limit allows stays inside it, if everything moves at once; instruments and their channels do not. Where the higher ends of all channels
    together would be too much, all go to the lower ends first.

    Args:
        devices: by port. slews: of ports that have one. specs: limits of all ports. joints, levels: the bench's. clock: the bench's.
    """

    def __init__(
        self, devices: Mapping[str, Any], slews: Mapping[str, Slew], specs: Mapping[str, ChannelSpec], joints: JointLimits, levels: Levels,
        clock: Clock,
    ) -> None:  # fmt: skip
        self._devices, self._slews, self._specs, self._joints = devices, slews, specs, joints
        self._levels, self._clock = levels, clock

    def lead(self, wanted: Mapping[str, Floats], put: Put, make_safe: Callable[[str], None]) -> None:
        """Everything before the last set, which may be made at once when this returns.

        Args:
            wanted: port -> (C,) row that it will be set to. put: sets some ports to rows of banks. make_safe: of a port.
        """
        followed = {port: row for port, row in wanted.items() if port in self._levels}
        for port in followed:
            if self._levels.row(port) is None:
                self._find(port, make_safe)
        through = self._lower_ends(followed)
        if through:
            self._approach(through, put)
            put({port: (row[None], 0) for port, row in through.items()})
        self._approach(followed, put)

    def down(self, port: str, put: Put) -> None:
        """Ramp a port to its safe level; nothing where it has no slew limit, or nobody knows where it is or what is safe."""
        start, end = (self._levels.row(port), self._levels.safe_row(port)) if port in self._slews and port in self._levels else (None, None)
        if start is not None and end is not None and not np.array_equal(start, end):
            self._approach({port: end}, put)
            put({port: (end[None], 0)})

    def _find(self, port: str, make_safe: Callable[[str], None]) -> None:
        """Where it is: an oven at its temperature, anything else where it is safe, once it is made so."""
        if self._levels.safe_row(port) is None:
            spec = self._specs[port]
            self._levels.found(port, np.clip(temperatures(self._devices[port]), spec.lower, spec.upper))
        else:
            make_safe(port)

    def _lower_ends(self, wanted: Mapping[str, Floats]) -> dict[str, Floats]:
        """Rows to go through, of ports for which that makes a difference."""
        found: dict[str, Floats] = {}
        for joint in self._joints.joints:
            moved = [port for port in joint.shares if port in wanted]
            ends = {port: np.maximum(self._levels.highest(port), np.abs(wanted[port])) for port in moved}
            highest = sum(float(share.of(ends[p] if p in ends else self._levels.highest(p))) for p, share in joint.shares.items())
            if moved and not joint.allows(highest):
                found.update((port, _lower(self._row(port), wanted[port])) for port in moved)
        return {port: row for port, row in found.items() if not np.array_equal(row, self._row(port))}

    def _approach(self, targets: Mapping[str, Floats], put: Put) -> None:
        """All but the last step to `targets`, and the time before it."""
        seconds = {port: self._slews[port].seconds(self._row(port), row) for port, row in targets.items() if port in self._slews}
        ramped = [port for port in seconds if seconds[port] > 0]
        if not ramped:
            return
        steps = max(math.ceil(seconds[port] / self._slews[port].tick_s * (1 - 1e-9)) for port in ramped)
        rest_s = max(seconds[port] for port in ramped) / steps
        ways = {port: _line(self._row(port), targets[port], steps) for port in ramped}
        for step in range(steps):
            self._clock.wait(max(self._levels.since_s(port) for port in ramped) + rest_s - self._clock.now())
            if step < steps - 1:
                put({port: next(way) for port, way in ways.items()})

    def _row(self, port: str) -> Floats:
        row = self._levels.row(port)
        if row is None:
            raise AssertionError(f"{port}: was not found")
        return row


def _lower(start: Floats, end: Floats) -> Floats:
    return np.where(np.abs(start) <= np.abs(end), start, end)


def _line(start: Floats, end: Floats, steps: int) -> Iterator[tuple[Bank, int]]:
    """(bank, row) of all steps of a straight line but the last; many rows in one bank, so that joined instruments see what differs."""
    for first in range(1, steps, BLOCK_ROWS):
        share = np.arange(first, min(first + BLOCK_ROWS, steps))[:, None] / steps
        bank = np.clip(start + (end - start) * share, np.minimum(start, end), np.maximum(start, end))
        yield from ((bank, row) for row in range(len(bank)))
