"""Interlocks: readings and temperatures that stop a run and make the bench safe when they leave their range; `[[interlocks]]`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labonn.channels import ChannelSpec, Floats
from labonn.clock import Clock
from labonn.errors import BenchFileError, InterlockError, LabonnError
from labonn.shots import Ints, Readings
from labonn.units import format_quantity, parse_quantity

EVERY_S = 1.0


@dataclass(frozen=True)
class Interlock:
    """One of the bench file's [[interlocks]].

    Attributes:
        port, channel: which channel of which port is watched; "all": every one of them.
        lower, upper: its range, one of them at least.
        what: "reading" of a detector, in every table that reads it; or "temperature" of heaters, asked for between tables.
        every_s: seconds of the bench's time after which a temperature is asked for again (1).
    """

    port: str
    channel: str = "all"
    lower: Any = None
    upper: Any = None
    what: str = "reading"
    every_s: float | None = None

    def __post_init__(self) -> None:
        if self.what not in ("reading", "temperature"):
            raise ValueError(f'what = {self.what!r}: "reading" or "temperature"')
        if self.lower is None and self.upper is None:
            raise ValueError("a lower or an upper end of the range is wanted")
        if self.every_s is not None and (self.what == "reading" or not 0 <= self.every_s < math.inf):
            raise ValueError(f"every_s = {self.every_s:g}: not negative, finite, and of a temperature: readings are watched in every table")

    def __str__(self) -> str:
        allowed = " and ".join(f"{what} {end}" for what, end in (("at least", self.lower), ("at most", self.upper)) if end is not None)
        channels = "every channel" if self.channel == "all" else self.channel
        every = "" if self.what == "reading" else f", asked for every {EVERY_S if self.every_s is None else self.every_s:g} s"
        return f"{self.port}, {channels}: {self.what} {allowed}{every}"

    def range(self, unit: str) -> tuple[float, float]:
        """(lower, upper) in `unit`, infinite where it is open; ValueError for another unit, or if nothing lies between."""
        ends = []
        for key, open_end in (("lower", -math.inf), ("upper", math.inf)):
            given = getattr(self, key)
            try:
                ends.append(open_end if given is None else parse_quantity(given, unit))
            except ValueError as problem:
                raise ValueError(f"{key}: {problem}") from None
        if not ends[0] < ends[1]:
            raise ValueError(f"lower = {self.lower!r} is not below upper = {self.upper!r}")
        return ends[0], ends[1]


@dataclass(frozen=True)
class Watch:
    """An interlock on an open port.

    Attributes:
        port, names, channels: what is watched. lower, upper, unit: its range. rule: whose it is. every_s: of a temperature.
    """

    port: str
    names: Sequence[str]
    channels: Ints
    lower: float
    upper: float
    unit: str
    rule: str
    every_s: float

    def check(self, rows: Floats, moment: Callable[[int], str]) -> None:
        """Raise InterlockError if any of `rows` (T, D) is outside; NaN is."""
        values = rows[:, self.channels]
        inside = (values >= self.lower) & (values <= self.upper)
        if not inside.all():
            row, column = np.argwhere(~inside)[0]
            raise self.tripped(self.names[int(self.channels[column])], float(values[row, column]), moment(int(row)))

    def tripped(self, name: str, value: float, when: str) -> InterlockError:
        """What to raise."""
        low, high = (format_quantity(end, self.unit) for end in (self.lower, self.upper))
        allowed = f"above {high}" if self.lower == -math.inf else f"below {low}" if self.upper == math.inf else f"outside {low} to {high}"
        told = format_quantity(value, self.unit)
        told = format_quantity(value, self.unit, digits=12) if told in (low, high) else told
        return InterlockError(f"{self.port}/{name}: {told}{when} is {'not a number, ' if math.isnan(value) else ''}{allowed} ({self.rule})")


class Interlocks:
    """All interlocks of an open bench; InterlockError from any of them means that it has to be made safe.

    Args:
        interlocks: of the bench file `file`. specs: of all ports. detectors: names of those that give readings.
        measuring: names of ports that tell temperatures.

    Raises:
        BenchFileError: no such port or channel, or a range in another unit; all of them.
    """

    def __init__(
        self, interlocks: Sequence[Interlock], file: str, specs: Mapping[str, ChannelSpec], detectors: Sequence[str],
        measuring: Sequence[str],
    ) -> None:  # fmt: skip
        self._readings: list[Watch] = []
        self._temperatures: list[Watch] = []
        self._asked_s: dict[str, float] = {}
        problems: list[str] = []
        for number, one in enumerate(interlocks):
            kind, ports = (self._readings, detectors) if one.what == "reading" else (self._temperatures, measuring)
            try:
                kind.append(_watch(one, f"interlocks[{number}], {file}", specs, ports))
            except ValueError as problem:
                problems.append(f"{file}: interlocks[{number}].{problem}")
        if problems:
            raise BenchFileError("\n".join(problems))

    def check(self, readings: Readings, first: int) -> None:
        """Raise InterlockError if a reading is out of range; `first` is the number of the first shot among those of the table."""
        for watch in self._readings:
            if watch.port in readings:
                watch.check(readings[watch.port], lambda row: f" in shot {first + row}")

    def ask(self, clock: Clock, temperatures: Callable[[str], Floats]) -> None:
        """Ask for temperatures whose time has come, and raise InterlockError if one is out of range, or cannot be had."""
        now_s = clock.now() if self._temperatures else 0.0
        asked: dict[str, Floats] = {}
        for watch in self._temperatures:
            if now_s - self._asked_s.get(watch.rule, -math.inf) < watch.every_s:
                continue
            if watch.port not in asked:
                try:
                    asked[watch.port] = temperatures(watch.port)
                except LabonnError as problem:
                    raise InterlockError(f"{watch.port}: its temperature is not known ({watch.rule}): {problem}") from problem
            watch.check(asked[watch.port][None], lambda row: "")
            self._asked_s[watch.rule] = now_s

    def forget(self) -> None:
        """After the bench was made safe everything is asked for again."""
        self._asked_s.clear()


def _watch(one: Interlock, rule: str, specs: Mapping[str, ChannelSpec], ports: Sequence[str]) -> Watch:
    if one.port not in ports:
        needed = "is read" if one.what == "reading" else "tells a temperature"
        raise ValueError(f"port: {one.port!r} is no port that {needed}; there are: {', '.join(ports) or 'none'}")
    spec = specs[one.port]
    if one.channel != "all" and one.channel not in spec.names:
        raise ValueError(f"channel: {one.port!r} has no channel {one.channel!r}; they are {spec.names[0]} to {spec.names[-1]}, or \"all\"")
    unit = spec.unit if one.what == "reading" else "degC"
    channels = np.arange(len(spec)) if one.channel == "all" else np.array([spec.names.index(one.channel)])
    return Watch(one.port, spec.names, channels, *one.range(unit), unit, rule, EVERY_S if one.every_s is None else one.every_s)
