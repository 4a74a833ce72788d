"""Steps up and down of all channels of a port at once, sampled on the way, around several levels: one table.

In every cycle some channels go up and down, some down and up, some stay, in orders of their own: what others add to a reading is seen
while its own channel stays, and is subtracted. Where the read-out is a fringe, some levels are at its turning points and tell nothing;
of every channel the level is taken at which its reading changes most, and the fringe, whose ends the other levels have shown, is taken
out of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from labonn.calibration.fitting import Mask
from labonn.calibration.settling.place import Place
from labonn.calibration.sweeps import FULL, Points
from labonn.channels import Floats
from labonn.shots import Ints, Readings, ShotTable

BEFORE = 4  # of so many samples of a level one is looked at before the step
TAIL = 4  # the last part of a level, likewise, which tells where it settles
IDLE, UP, DOWN = 0, 1, 2  # what a channel does in a cycle
LEVELS = 3  # of a cycle: where it begins, the other one, and back
NOISE = 20.0  # times the difference of two readings: what changes by less is no fringe
OWN, OTHER = 0.8, 0.95  # correlation with its own steps, or with another's, below and above which a channel is swapped


@dataclass(frozen=True)
class StepSweep:
    """Detector d reads channel d.

    At every base a channel goes up by a step and down again, or the other way round, in half of the cycles, each level for `samples` shots.

    Attributes:
        port, detector: names. unit: of readings. full_scale: (D,) of the detector.
        bases: (B, C) lower levels, steps: (B, C) what they go up by; of the port.
        samples: shots a level. cycles: of each base, a multiple of 4. dwell_s: of a shot.
        late_s: from a step to its first shot, of a port that is held.
        held: port -> (n,) values meanwhile.
    """

    port: str
    detector: str
    unit: str
    full_scale: Floats
    bases: Floats
    steps: Floats
    samples: int = 64
    cycles: int = 24
    dwell_s: float = 2e-7
    late_s: float = 0.0
    held: Mapping[str, Floats] = field(default_factory=dict)

    @property
    def times_s(self) -> Floats:
        """(n,) seconds after a step, in the middle of shots; the first ones are before it."""
        before = -(np.arange(self.samples // BEFORE)[::-1] + 0.5) * self.dwell_s
        return np.concatenate([before, self.late_s + (np.arange(self.samples) + 0.5) * self.dwell_s])

    @property
    def window_s(self) -> float:
        """How long a step is watched."""
        return self.late_s + self.samples * self.dwell_s

    @cached_property
    def states(self) -> Ints:
        """(cycles, C) what a channel does in a cycle, in an order of its own."""
        pattern = np.tile([UP, DOWN, IDLE, IDLE], self.cycles // 4)
        return np.random.default_rng(1).permuted(np.tile(pattern, (self.bases.shape[1], 1)), axis=1).T

    @cached_property
    def high(self) -> Mask:
        """(cycles, levels, C) whether a channel is at its high level."""
        odd = (np.arange(LEVELS) % 2 == 1)[:, None]
        states = self.states[:, None, :]
        return np.asarray(((states == UP) & odd) | ((states == DOWN) & ~odd))

    def table(self) -> ShotTable:
        """Everything."""
        bank = (self.bases[:, None, None] + self.steps[:, None, None] * self.high).reshape(-1, self.bases.shape[1])
        banks: dict[str, Any] = {self.port: bank, **{port: row[None, :] for port, row in self.held.items()}}
        return ShotTable(banks, {self.port: np.repeat(np.arange(len(bank)), self.samples)}, self.dwell_s, (self.detector,))

    def points(self, readings: Readings, place: Place | None = None) -> tuple[Points, Place]:
        """((C, 2 n) seconds and readings of rises and falls, the mean of all cycles, (C,) where they were looked at).

        Args:
            place: of an earlier sweep; None: where a channel's reading changes most.
        """
        channels, each = self.bases.shape[1], np.arange(self.bases.shape[1])
        volts = readings[self.detector][:, :channels].astype(np.float64)
        shape = (len(self.bases), self.cycles, LEVELS * self.samples, channels)
        y: Floats = volts.reshape(shape)
        used = (np.abs(volts) < FULL * self.full_scale[:channels]).reshape(shape)
        known = place or self._place(y, used)
        here, good = known.straight(y[known.base, :, :, each], used[known.base, :, :, each])  # (C, cycles, shots)
        place = place or replace(known, follows=self._followed(here))
        does = self.states.T
        idle = self._mean(here, good, (1, 2), does == IDLE)[0]
        ways = []
        for steps in ((1, 2), (2, 1)):  # at which rises and falls come, of a channel that begins by going up, or down
            parts = [self._mean(here, good, (step,), does == way) for step, way in zip(steps, (UP, DOWN), strict=True)]
            ways.append((0.5 * (parts[0][0] + parts[1][0]) - idle + idle.mean(axis=1, keepdims=True), parts[0][1] & parts[1][1]))
        seconds = np.broadcast_to(np.tile(self.times_s, 2), (channels, 2 * len(self.times_s)))
        (up, up_used), (down, down_used) = ways
        both, both_used = np.concatenate([up, down], axis=1), np.concatenate([up_used, down_used], axis=1)
        return Points(seconds, both, both_used, np.full(channels, np.nan)), place

    def _place(self, y: Floats, used: Mask) -> Place:
        """Bases with the largest difference between the ends of high and low levels, saturated ones last, and their fringes."""
        count, channels = len(self.bases), self.bases.shape[1]
        tails = y.reshape(count, self.cycles, LEVELS, self.samples, channels)[:, :, :, -max(2, self.samples // TAIL) :]
        ends, noise = tails.mean(axis=3), np.median(np.abs(np.diff(tails, axis=3)), axis=(0, 1, 2, 3))
        upper, lower = (np.sum(ends * of, axis=(1, 2)) / of.sum(axis=(0, 1)) for of in (self.high, ~self.high))  # (B, C)
        change = np.where(used.all(axis=(1, 2)), 1.0, 1e-3) * np.abs(upper - lower)
        path = np.stack([lower, upper], axis=1).reshape(2 * count, channels)
        turns = np.sum(np.diff(np.sign(np.diff(lower, axis=0)), axis=0) != 0, axis=0)
        least, most = path.min(axis=0), path.max(axis=0)
        half = 0.5 * (most - least)
        fringe = (turns >= 2) & (half > NOISE * noise)  # both ends of one were passed
        return Place(
            np.argmax(change, axis=0),
            0.5 * (most + least),
            np.where(fringe, half, np.inf),
            1 - used.mean(axis=(0, 1, 2)),
            np.full(channels, -1),
        )

    def _followed(self, y: Floats) -> Ints:
        """(C,) as of `Place`, of readings (C, cycles, shots): what they step by in a cycle is compared with what all channels do in it."""
        levels = y.reshape(len(y), self.cycles, LEVELS, self.samples)[..., -max(2, self.samples // TAIL) :].mean(axis=3)
        seen = levels[:, :, 1] - 0.5 * (levels[:, :, 0] + levels[:, :, 2])
        does = np.where(self.states.T == UP, 1.0, np.where(self.states.T == DOWN, -1.0, 0.0))
        size = np.linalg.norm(seen, axis=1)[:, None] * np.linalg.norm(does, axis=1)
        alike = np.abs(seen @ does.T) / np.maximum(size, 1e-300)
        other = np.argmax(alike, axis=1)
        return np.where((np.diagonal(alike) < OWN) & (alike.max(axis=1) > OTHER), other, -1)

    def _mean(self, y: Floats, used: Mask, steps: tuple[int, ...], which: Mask) -> tuple[Floats, Mask]:
        """((C, n) means around these steps of the cycles `which` (C, cycles), (C, n) none of them saturated)."""
        window = np.arange(-(self.samples // BEFORE), self.samples)
        parts = [slice(step * self.samples + window[0], (step + 1) * self.samples) for step in steps]
        weight = which[:, :, None] / which.sum(axis=1)[:, None, None]
        mean = np.mean([np.sum(y[:, :, part] * weight, axis=1) for part in parts], axis=0)
        return mean, np.all([np.all(used[:, :, part] | ~which[:, :, None], axis=1) for part in parts], axis=0)

    def at(self, place: Place) -> StepSweep:
        """Every channel at its own base alone."""
        each = np.arange(self.bases.shape[1])
        return replace(self, bases=self.bases[place.base, each][None], steps=self.steps[place.base, each][None])

    def otherwise(self, factor: float) -> StepSweep:
        """The same steps, seen at other times."""
        return replace(self, dwell_s=self.dwell_s * factor)


def bases_of(lower: Floats, upper: Floats, count: int, part: float) -> tuple[Floats, Floats]:
    """((B, C) bases, (B, C) steps): bases spread over the range, nearer to each other at its end, and steps of that part of it."""
    span, step = upper - lower, part * (upper - lower)
    share = np.sqrt((np.arange(count) + 0.5) / count)[:, None]
    return lower + share * (span - step), np.broadcast_to(step, (count, len(span))).copy()
