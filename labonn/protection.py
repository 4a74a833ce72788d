"""What protects a bench beyond the limits of single channels: joint limits, slew limits, interlocks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from labonn.banks import Bank, extremes_of, rows_of
from labonn.benchfile import BenchFile
from labonn.channels import ChannelSpec, Floats
from labonn.clock import Clock
from labonn.devices import Actuator, Detector
from labonn.errors import BenchFileError
from labonn.interlocks import Interlocks
from labonn.levels import Levels
from labonn.limits import JointLimits, joints_of
from labonn.ramps import Moves, Put, measures
from labonn.rests import Rests
from labonn.segments import Segment
from labonn.shots import ShotTable
from labonn.slews import Slew, check_sequence, slew_of


class Protection:
    """Of one open bench.

    Args:
        file: its bench file. devices, specs: by port; specs may be tightened later. clock: the bench's.

    Attributes:
        joints, slews, interlocks: what the file has.

    Raises:
        BenchFileError: what the file has does not fit the open ports; all of it.
    """

    def __init__(self, file: BenchFile, devices: Mapping[str, Any], specs: Mapping[str, ChannelSpec], clock: Clock) -> None:
        self._specs = specs
        actuators = {name: specs[name] for name, device in devices.items() if isinstance(device, Actuator)}
        dark = {name for name in actuators if getattr(devices[name], "dark_between", False)}
        found, problems = _all_of(
            lambda: {name: slew for name in file.ports if (slew := _slew(file, name, devices, actuators)) is not None},
            lambda: joints_of(file.limits, file.name, actuators),
            lambda: Interlocks(
                file.interlocks, file.name, specs,
                [name for name, device in devices.items() if isinstance(device, Detector)],
                [name for name in actuators if measures(devices[name])],
            ),
        )  # fmt: skip
        if problems:
            raise BenchFileError("\n".join(problems))
        slews, joints, interlocks = found
        self.slews: dict[str, Slew] = slews
        self.interlocks: Interlocks = interlocks
        self._resting = frozenset(name for name, spec in actuators.items() if spec.depth > 1 and name not in dark)
        self.joints = JointLimits(joints, self._resting)
        in_joints = {port for joint in joints for port in joint.shares}
        self._levels = Levels(specs, in_joints | {port for port in slews if specs[port].depth == 1}, dark, clock)
        self._rests = Rests(specs, {port: slew for port, slew in slews.items() if specs[port].depth > 1}, dark)
        self._moves = Moves(devices, slews, specs, self.joints, self._levels, clock)

    def check(self, table: ShotTable, banks: Mapping[str, Bank]) -> None:
        """Raise LimitError if `table` crosses a joint limit, or a slew limit of a sequenced port; `banks` are those of all its ports."""
        self.joints.check(table, banks, self._levels)
        for port, slew in self.slews.items():
            if port in table.orders and self._specs[port].depth > 1:
                check_sequence(port, self._specs[port], slew, banks[port], table.orders[port], table.dwell_s)
        self._rests.check(table, banks)

    def played(self, table: ShotTable, banks: Mapping[str, Bank]) -> None:
        """A table has been played to its end; `banks` are those of all its ports."""
        self._rests.played(table, banks)

    def broken_off(self) -> None:
        """A table was not played to its end."""
        self._rests.lost()

    def in_the_way(self, segment: Segment) -> list[str]:
        """Sequenced ports that have to be made safe first, because of the row that they keep from the table before."""
        found = set(self._rests.unknown()) & segment.orders.keys()
        for joint in self.joints.joints:
            keep = [port for port in joint.shares if port in self._resting and port in segment.orders and self._levels.highest(port).any()]
            highest = {port: self._highest(port, segment) for port in (joint.shares if keep else ())}
            if not joint.allows(sum(float(joint.shares[port].of(values)) for port, values in highest.items())):
                found.update(keep)
        return sorted(found)

    def _highest(self, port: str, segment: Segment) -> Floats:
        """(C,) magnitudes that a port may have between now and the end of `segment`."""
        bank = segment.held[port][0] if port in segment.held else segment.banks.get(port) if port in self._resting else None
        now = self._levels.highest(port)
        return now if bank is None else np.maximum(now, np.abs(extremes_of(bank)).max(axis=0))

    def lead(self, wanted: Mapping[str, tuple[Bank, int]], put: Put, make_safe: Callable[[str], None]) -> None:
        """Bring held ports so near to these rows of banks that they may be set at once (labonn.ramps)."""
        followed = {port: _row(bank, row) for port, (bank, row) in wanted.items() if port in self._levels}
        if followed:
            self._moves.lead(followed, put, make_safe)

    def down(self, port: str, put: Put) -> None:
        """Ramp a port to its safe level where it has a slew limit, and where it is is known."""
        self._moves.down(port, put)

    def setting(self, port: str, bank: Bank, row: int) -> contextlib.AbstractContextManager[None]:
        """While a held port is being set."""
        return self._levels.moving(port, _row(bank, row)) if port in self._levels else contextlib.nullcontext()

    def loading(self, port: str, bank: Bank) -> contextlib.AbstractContextManager[None]:
        """While a sequenced port gets a bank."""
        return self._levels.loading(port, bank) if port in self._levels else contextlib.nullcontext()

    def made_safe(self, port: str) -> None:
        """A port has just been made safe, or prepared."""
        self._levels.made_safe(port)
        self._rests.made_safe(port)

    def lost(self, port: str) -> None:
        """Nobody knows what a port is at."""
        self._levels.lost(port)
        self._rests.lost([port])


def _slew(file: BenchFile, name: str, devices: Mapping[str, Any], actuators: Mapping[str, ChannelSpec]) -> Slew | None:
    port = file.ports[name]
    if name not in actuators:
        if port.slew is not None:
            raise BenchFileError(f"{file.name}: ports.{name}.slew: is a detector, which is not set to anything")
        return None
    spec = actuators[name]
    return slew_of(name, port.rates(spec.unit, len(spec), file.name), spec, file.name, measures(devices[name]))


def _row(bank: Bank, row: int) -> Floats:
    return np.asarray(rows_of(bank, np.array([row]))[0], np.float64)


def _all_of(*makers: Callable[[], Any]) -> tuple[list[Any], list[str]]:
    """(what they make, what is wrong in the bench file)."""
    made, problems = [], []
    for make in makers:
        try:
            made.append(make())
        except BenchFileError as problem:
            problems.append(str(problem))
    return made, problems
