"""The sweep of gain sections: at each current the light before a section is switched through several powers, so that only light that
follows them counts as signal; what a section emits by itself does not.

All sections at once, each through currents and powers in orders of its own, in one table: in the dark, and then so many currents, at each
of them so many powers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from labonn.calibration.sweeps import FULL, Points
from labonn.channels import Floats
from labonn.errors import CalibrationError
from labonn.shots import Ints, Readings, ShotTable

HARMONICS = 40  # of a converter's steps
FINEST = 1e-9  # of the largest reading: least standard error, where nothing is noisy
DARK = 64  # times the repeats: shots in the dark


@dataclass(frozen=True)
class Straightening:
    """What a calibration of detectors says of a port: readings v above the dark level mean v/(1 - compression v).

    Attributes:
        compression, errors: (D,) in 1/V, and standard errors; 0 for detectors that are taken as linear.
        shift: (D,) volts by which dark levels are taken to be higher than they were measured.
    """

    compression: Floats
    errors: Floats
    shift: Floats | float = 0.0

    @classmethod
    def none(cls, count: int) -> Straightening:
        """Linear."""
        return cls(np.zeros(count), np.zeros(count))

    def of(self, volts: Floats) -> Floats:
        """Readings (…, D) above the dark level, as a linear detector would give them."""
        return np.asarray(volts / np.maximum(1 - self.compression * volts, 1e-3))

    def moved(self) -> Straightening:
        """With a compression that is larger by a standard error."""
        return replace(self, compression=self.compression + self.errors)

    def shifted(self, volts: Floats) -> Straightening:
        """With other dark levels."""
        return replace(self, shift=volts)


@dataclass(frozen=True)
class GainSweep:
    """Section c between monitor c and detector c.

    Attributes:
        port, detector, monitor, light: names: of the sections, their detectors, the monitors and the modulators before them.
        unit: of readings. full_scale: (2, C) of monitors and detectors. levels: (K, C) values of the modulators at each current.
        held, dark, rest: as in DirectSweep. repeats: shots of each current and power. straight: of monitors and detectors.
        step: (2, C) of the detectors' codes. unknown: channels that are not to be fitted, and why.
    """

    port: str
    detector: str
    monitor: str
    light: str
    unit: str
    full_scale: Floats
    step: Floats
    levels: Floats
    rest: Floats
    held: Mapping[str, Floats]
    dark: Mapping[str, Floats]
    straight: tuple[Straightening, Straightening]
    repeats: int = 4
    dwell_s: float = 1e-6
    seed: int = 0
    unknown: Mapping[int, str] = field(default_factory=dict)

    @property
    def powers(self) -> int:
        """K, at each current."""
        return len(self.levels)

    def modulated(self, currents: int) -> Floats:
        """(currents * K, C) values of the modulators: at each current all levels, each channel in an order of its own."""
        rng, (count, channels) = np.random.default_rng([self.seed, currents, 3]), self.levels.shape
        order = rng.permuted(np.tile(np.arange(count)[:, None], (currents, 1, channels)), axis=1)
        return np.asarray(np.take_along_axis(self.levels[None], order, axis=1).reshape(-1, channels))

    def table(self, x: Floats) -> ShotTable:
        """In the dark first; then all currents x (C, N) with all powers."""
        dark, shots = DARK * self.repeats, x.shape[1] * self.powers * self.repeats
        lit = np.concatenate([np.zeros(dark, np.int64), np.ones(shots, np.int64)])
        light = self.modulated(x.shape[1])
        banks: dict[str, Any] = {self.port: np.concatenate([self.rest[None, :], x.T]), self.light: np.concatenate([light[:1], light])}
        orders = {
            self.port: np.concatenate([np.zeros(dark, np.int64), 1 + np.repeat(np.arange(x.shape[1]), self.powers * self.repeats)]),
            self.light: np.concatenate([np.zeros(dark, np.int64), 1 + np.repeat(np.arange(len(light)), self.repeats)]),
        }
        for port, row in self.held.items():
            banks[port], orders[port] = np.stack([self.dark.get(port, row), row]), lit
        return ShotTable(banks, orders, self.dwell_s, (self.monitor, self.detector))

    def points(self, x: Floats, readings: Readings) -> Points:
        """x (C, N K, 2): current and monitored power; y: readings above the dark level; all straightened."""
        volts, used, dark = self._seen(readings)
        power, reading = (one.mean(axis=1).T for one in volts)
        both = np.stack([np.repeat(x, self.powers, axis=1), power], axis=-1)
        used[list(self.unknown)] = False
        return Points(both, reading, used, dark)

    def sigma(self, points: Points, readings: Readings) -> Floats:
        """(C, N K) standard errors of points: of readings and monitors together, whose noise in common (the light's) does not count.

        From how repeats scatter: a constant and a part that goes with the reading, of each channel.
        """
        (power, reading), _, _ = self._seen(readings)
        slope = (points.y / np.where(points.x[..., 1] > 0, points.x[..., 1], 1.0)).T[:, None, :]
        slope = np.where(points.x[..., 1].T[:, None, :] > 0.05 * power.max(axis=(0, 1)), slope, 0.0)
        scatter = np.var(reading - slope * power, axis=1, ddof=1).T
        level = np.maximum(points.y, 0.0)
        basis = np.stack([np.ones_like(level), level], axis=-1) * points.used[..., None]
        normal = np.einsum("cni,cnj->cij", basis, basis) + 1e-30 * np.eye(2)
        found = np.linalg.solve(normal, np.einsum("cni,cn->ci", basis, scatter)[..., None])[..., 0]
        variance = np.maximum(found[:, :1] + found[:, 1:] * level, 0.2 * scatter.mean(axis=1, keepdims=True))
        error = steps_error(np.sqrt(np.maximum(variance, 0.0)), np.hypot(*self.step)[:, None], self.repeats)
        return np.asarray(np.maximum(error, FINEST * np.max(np.abs(points.y), axis=1, keepdims=True) + FINEST**2))

    def dark_errors(self, readings: Readings) -> list[Floats]:
        """(C,) standard errors of the dark levels of monitors and detectors."""
        count, dark = len(self.rest), DARK * self.repeats
        levels = [readings[port][:dark, :count].astype(np.float64) for port in (self.monitor, self.detector)]
        return [steps_error(np.std(level, axis=0, ddof=1), step, dark) for level, step in zip(levels, self.step, strict=True)]

    def swapped(self, points: Points, readings: Readings, silent: Any) -> Ints:
        """(C,) of -1: `labonn.calibration.gain_sections.judging` tells swapped ones, by current and by light."""
        return np.full(len(silent), -1)

    def frames(self, x: Floats, repeats: int) -> ShotTable:
        """A table of these frames, with light."""
        light = self.modulated(x.shape[1])[: x.shape[1]]
        banks: dict[str, Any] = {self.port: np.ascontiguousarray(x.T), self.light: light, **{p: r[None, :] for p, r in self.held.items()}}
        order = np.repeat(np.arange(x.shape[1]), repeats)
        return ShotTable(banks, {self.port: order, self.light: order}, self.dwell_s, (self.detector,))

    def columns(self) -> Ints:
        """Of the detector that matter."""
        return np.arange(len(self.rest))

    def _seen(self, readings: Readings) -> tuple[list[Floats], Any, Floats]:
        """([powers, readings] (N K, repeats, C), (C, N K) not saturated, (C,) dark level of the detector)."""
        count, dark, found = len(self.rest), DARK * self.repeats, []
        used: Any = True
        for port, full, straight in zip((self.monitor, self.detector), self.full_scale, self.straight, strict=True):
            volts = readings[port][:, :count].astype(np.float64)
            if not np.all(np.isfinite(volts)):
                raise CalibrationError(f"{port}: gives what is no number")
            shots = volts[dark:].reshape(-1, self.repeats, count)
            used = used & np.all(np.abs(shots) < FULL * full, axis=1)
            level = volts[:dark].mean(axis=0) + straight.shift
            found.append(straight.of(shots - level))
        return found, used.T, level


def steps_error(noise: Floats, step: Floats, shots: int) -> Floats:
    """Standard errors of means of so many readings that scatter by `noise`, in steps of a converter.

    Noise makes a mean finer than a step. What noise of less than about half a step leaves of the step's error are the harmonics of its
    saw tooth; noise before the converter, which it is that counts, is found from how readings scatter.
    """
    safe = np.where(step > 0, step, 1.0)
    grid = np.linspace(0, 1, 201)
    before = np.interp(np.square(noise / safe), np.square(grid) + 1 / 12 - _saw_tooth(grid), grid)
    left = np.where(np.square(noise / safe) < 1, _saw_tooth(before), 0.0)
    return np.asarray(np.sqrt(np.square(noise) / shots + np.square(step) * left))


def _saw_tooth(noise: Floats) -> Floats:
    """Mean square of a mean's error, in steps, for noise in steps: the sum over k of exp[-(2 pi k noise)^2]/(2 pi^2 k^2)."""
    k = np.arange(1, HARMONICS + 1)
    return np.asarray(np.sum(np.exp(-np.square(2 * np.pi * k * noise[..., None])) / (2 * np.square(np.pi * k)), axis=-1))
