"""Sweeps: every channel of a port through its range, all in one table, each channel in an order of its own.

In `DirectSweep` every channel has a detector of its own; in `CodedSweep` many channels meet at every detector, and are told apart by codes.
Orders differ from channel to channel so that light, gain and drift are the same on the mean at all levels of every channel, and so that a
reading tells which channel it answers to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from scipy.linalg import hadamard

from labonn.calibration.fitting import Mask
from labonn.calibration.places import followed, placed
from labonn.channels import Floats
from labonn.errors import CalibrationError
from labonn.shots import Ints, Readings, ShotTable

FULL = 0.995  # of a detector's range: readings beyond are taken as saturated
LEAST_BITS = 2  # set in the number of a code: codes that no linear drift looks like
MOST_CODED_ROWS = 1 << 18


@dataclass(frozen=True)
class Points:
    """What a sweep gave.

    Attributes:
        x, y: (C, N) in the order of time. used: (C, N) not saturated. dark: (C,) reading without light, NaN where it was not measured.
    """

    x: Floats
    y: Floats
    used: Mask
    dark: Floats

    @property
    def saturated(self) -> Ints:
        """(C,) points at the end of a detector's range."""
        return np.asarray(np.sum(~self.used, axis=1))

    def half(self, second: bool) -> Points:
        """The points of the first or second half of the time."""
        middle = self.x.shape[1] // 2
        part = slice(middle, None) if second else slice(None, middle)
        return Points(self.x[:, part], self.y[:, part], self.used[:, part], self.dark)


class Sweep(Protocol):
    """A way to drive and read all channels of a port; `x` (C, N) are levels in order of time.

    `swapped` tells (C,) to which other channel each one answers, -1 for none, of those that are `silent` at least.
    """

    @property
    def port(self) -> str: ...
    @property
    def detector(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def dwell_s(self) -> float: ...
    @property
    def held(self) -> Mapping[str, Floats]: ...
    def table(self, x: Floats) -> ShotTable: ...
    def points(self, x: Floats, readings: Readings) -> Points: ...
    def swapped(self, points: Points, readings: Readings, silent: Mask) -> Ints: ...
    def frames(self, x: Floats, repeats: int) -> ShotTable: ...
    def columns(self) -> Ints: ...


def scrambled(lower: Floats, upper: Floats, levels: int, passes: int, seed: int) -> Floats:
    """(C, passes * levels) equally spaced levels of every channel, each pass in a random order of the channel's own."""
    rng = np.random.default_rng([seed, levels, passes])
    order = rng.permuted(np.tile(np.arange(levels), (len(lower) * passes, 1)), axis=1).reshape(len(lower), -1)
    return np.asarray(lower[:, None] + (upper - lower)[:, None] * order / (levels - 1))


def fresh(lower: Floats, upper: Floats, levels: int, points: int, seed: int) -> Floats:
    """(C, points) levels half way between those of `scrambled`: spread over the range, others in every channel, none measured before."""
    rng, gaps = np.random.default_rng([seed, levels, points, 1]), levels - 1
    spread = np.floor(np.arange(min(points, gaps)) * gaps / min(points, gaps)).astype(np.int64)
    chosen = rng.permuted((spread + rng.integers(0, gaps, (len(lower), 1))) % gaps, axis=1)
    return np.asarray(lower[:, None] + (upper - lower)[:, None] * (chosen + 0.5) / gaps)


@dataclass(frozen=True)
class DirectSweep:
    """Detector d reads channel d.

    Attributes:
        port, detector: names. unit: of readings. full_scale: (D,) of the detector.
        held: port -> (n,) values during the sweep. dark: port -> (n,) values without light, of the same ports or some of them.
        rest: (C,) of the port while it is dark. repeats: shots a level. dwell_s: of a shot.
    """

    port: str
    detector: str
    unit: str
    full_scale: Floats
    rest: Floats
    held: Mapping[str, Floats] = field(default_factory=dict)
    dark: Mapping[str, Floats] = field(default_factory=dict)
    repeats: int = 4
    dwell_s: float = 1e-4

    def table(self, x: Floats) -> ShotTable:
        """In the dark first, where it can be dark; then all levels."""
        dark = self.repeats if self.dark else 0
        lit = np.concatenate([np.zeros(4 * dark, np.int64), np.ones(x.shape[1] * self.repeats, np.int64)])
        banks: dict[str, Any] = {self.port: np.concatenate([self.rest[None, :], x.T]) if dark else np.ascontiguousarray(x.T)}
        levels = np.repeat(np.arange(x.shape[1]) + bool(dark), self.repeats)
        orders = {self.port: np.concatenate([np.zeros(4 * dark, np.int64), levels])}
        for port, row in self.held.items():
            banks[port] = np.stack([self.dark.get(port, row), row]) if dark else row[None, :]
            orders[port] = lit * bool(dark)
        return ShotTable(banks, orders, self.dwell_s, (self.detector,))

    def points(self, x: Floats, readings: Readings) -> Points:
        """The mean of the shots of every level; dark levels beside."""
        volts = readings[self.detector][:, : len(x)].astype(np.float64)
        dark = 4 * self.repeats if self.dark else 0
        level = volts[:dark].mean(axis=0) if dark else np.full(len(x), np.nan)
        shots = volts[dark:].reshape(-1, self.repeats, len(x))
        used = np.all(np.abs(shots) < FULL * self.full_scale[: len(x)], axis=1)
        return Points(x, shots.mean(axis=1).T, used.T, level)

    def swapped(self, points: Points, readings: Readings, silent: Mask) -> Ints:
        """(C,) whose levels the detectors of silent channels follow, or -1."""
        found, which = np.full(len(silent), -1), np.flatnonzero(silent)
        found[which] = followed(points.x, points.y, points.used, which)
        found[found == np.arange(len(found))] = -1
        return found

    def frames(self, x: Floats, repeats: int) -> ShotTable:
        """A table of these frames, with light."""
        banks: dict[str, Any] = {self.port: np.ascontiguousarray(x.T), **{port: row[None, :] for port, row in self.held.items()}}
        return ShotTable(banks, {self.port: np.repeat(np.arange(x.shape[1]), repeats)}, self.dwell_s, (self.detector,))

    def columns(self) -> Ints:
        """Of the detector that matter."""
        return np.arange(len(self.rest))


@dataclass(frozen=True)
class CodedSweep:
    """Channels that add up at every detector, by homodyne detection, through weights of +1 and -1.

    At every level a channel plays M shots: the level where its row of a Hadamard matrix is +1, `reference` where it is -1. Correlating
    the readings with the row gives its reading at the level minus that at the reference, without any other channel's; multiplying by the
    weights' signs adds up what all detectors saw.

    Attributes:
        port, detector, unit, dwell_s: as in DirectSweep. full_scale: (D,). held: port -> (n,) values, the weights among them.
        signs: (taps, C) weights of the channels at some columns of the detector, first to last. reference: in the port's unit.
    """

    port: str
    detector: str
    unit: str
    full_scale: Floats
    signs: Floats
    held: Mapping[str, Floats] = field(default_factory=dict)
    reference: float = 0.0
    dwell_s: float = 1e-5

    @cached_property
    def codes(self) -> Floats:
        """(C, M) rows of +1 and -1, orthogonal to each other, to a constant and to a linear drift."""
        return orthogonal_codes(self.signs.shape[1])

    def table(self, x: Floats) -> ShotTable:
        """All levels, M shots each."""
        shots = x.shape[1] * self.codes.shape[1]
        if shots > MOST_CODED_ROWS:
            raise CalibrationError(f"{self.port}: {x.shape[1]} levels of {len(x)} channels are {shots} shots; at most {MOST_CODED_ROWS}")
        plus = (self.codes.T > 0)[None, :, :]
        bank = np.where(plus, x.T[:, None, :].astype(np.float32), np.float32(self.reference)).reshape(shots, len(x))
        banks: dict[str, Any] = {self.port: bank, **{port: row[None, :] for port, row in self.held.items()}}
        return ShotTable(banks, {self.port: np.arange(shots)}, self.dwell_s, (self.detector,))

    def points(self, x: Floats, readings: Readings) -> Points:
        """Decoded; taps that saturated at all are left out, and no point is of use where most of them did."""
        volts, good = self._seen(readings)
        y = np.stack([np.einsum("cd,dc->c", part, self.signs[good]) for part in self._decoded(volts, x.shape[1])], axis=1)
        used = np.full(x.shape, bool(good.sum() > len(good) / 2))
        return Points(x, y / max(int(good.sum()), 1), used, np.full(len(x), np.nan))

    def swapped(self, points: Points, readings: Readings, silent: Mask) -> Ints:
        """(C,) at whose place channels come out, or -1."""
        volts, good = self._seen(readings)
        return placed(self._decoded(volts, points.x.shape[1]), self.signs[good]) if good.any() else np.full(len(silent), -1)

    def frames(self, x: Floats, repeats: int) -> ShotTable:
        """A table of these frames."""
        banks: dict[str, Any] = {self.port: np.ascontiguousarray(x.T), **{port: row[None, :] for port, row in self.held.items()}}
        return ShotTable(banks, {self.port: np.repeat(np.arange(x.shape[1]), repeats)}, self.dwell_s, (self.detector,))

    def columns(self) -> Ints:
        """Of the detector that matter."""
        return np.arange(len(self.signs))

    def _seen(self, readings: Readings) -> tuple[Floats, Mask]:
        """((T, good) volts, (taps,) which are good)."""
        volts = readings[self.detector][:, : len(self.signs)]
        good = np.abs(volts).max(axis=0) < FULL * self.full_scale[: len(self.signs)]
        return volts[:, good].astype(np.float64), good

    def _decoded(self, volts: Floats, levels: int) -> list[Floats]:
        """For every level (C, taps), the difference to the reference."""
        size = self.codes.shape[1]
        return [self.codes @ part * (2 / size) for part in volts.reshape(levels, size, -1)]


def orthogonal_codes(wanted: int) -> Floats:
    """(wanted, M) rows of +1 and -1, orthogonal to each other, to a constant and to a linear drift."""
    size = 4
    while size - 1 - size.bit_length() + 1 < wanted:
        size *= 2
    rows = [i for i in range(size) if i.bit_count() >= LEAST_BITS][:wanted]
    return np.asarray(hadamard(size)[rows], np.float64)


def random_signs(taps: int, channels: int, seed: int = 1) -> Floats:
    """(taps, C) weights of +1 and -1, as many of each at every tap as far as possible, so that light in common cancels."""
    rng = np.random.default_rng(seed)
    row = np.where(np.arange(channels) % 2, -1.0, 1.0)
    return np.asarray(rng.permuted(np.tile(row, (taps, 1)), axis=1))
