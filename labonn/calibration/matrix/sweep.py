"""Whole weight matrices: each beam on its own, all beams under codes, and between them a reference that tells light and sign.

Beams carry a field of +level, 0 or -level; detectors read y = W s + offset, up to a common factor that may drift. The codes are rows of
a Hadamard matrix, each with a random sign: orthogonal to each other, to an offset and to a linear drift, so that W = Y S^T / N is the
least-squares solution. Single beams, before the codes and behind them, tell whether it is the same one by one, and at both ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import hadamard

from labonn.calibration.sweeps import FULL, LEAST_BITS
from labonn.channels import Floats
from labonn.optics import Modulator
from labonn.shots import Ints, Readings, ShotTable

EVERY = 64  # shots from reference to reference
LEAST_CODED = 512  # shots
LIT = 5.0  # standard deviations of a reading, which references have at least
FAINT = 1e-3  # of what is believed of them, likewise
DEGREE = 2  # of the polynomial that the light follows in time


@dataclass(frozen=True)
class Measured:
    """What a table said.

    Attributes:
        weights: (D, C) of codes. error: (D,) standard error of each. single: (2, D, C) of single beams, before and behind the codes.
        offset: (D,) in fields, of the coded frames. noise: (D,) standard deviation of a shot. saturated: (D,) shots.
        light: (K,) of the references around 1, signed. times_s: (K,) theirs. lit: whether they are more than noise. shots: T.
    """

    weights: Floats
    error: Floats
    single: Floats
    offset: Floats
    noise: Floats
    saturated: Ints
    light: Floats
    times_s: Floats
    lit: bool
    shots: int


@dataclass(frozen=True)
class MatrixSweep:
    """Beams of a port of modulators through a matrix to homodyne detectors.

    Attributes:
        port: that the matrix belongs to. source: of the beams. detector: what reads. unit: of its readings. full_scale: (D,).
        believed: (D, C) weights. volts_per_field: of the detectors. modulator: believed curve of the sources.
        rows, beams: names of detectors' channels and beams. held: port -> (n,) what else is set. level: field of a beam.
        dwell_s: of a shot. seed: of codes and vectors.
    """

    port: str
    source: str
    detector: str
    unit: str
    full_scale: Floats
    believed: Floats
    volts_per_field: float
    modulator: Modulator
    rows: Sequence[str]
    beams: Sequence[str]
    held: Mapping[str, Floats] = field(default_factory=dict)
    level: float = 1.0
    dwell_s: float = 1e-5
    seed: int = 0

    @cached_property
    def codes(self) -> Floats:
        """(M, C) signs of the coded frames, one after another."""
        count, size = self.believed.shape[1], 4
        while size - 1 - (size.bit_length() - 1) < count:
            size *= 2
        rows = [i for i in range(size) if i.bit_count() >= LEAST_BITS][:count]
        signs = np.random.default_rng([self.seed, count]).choice([-1.0, 1.0], count)
        return np.asarray(hadamard(size)[rows].T * signs, np.float64)

    @cached_property
    def reference(self) -> Floats:
        """(C,) random signs: light as strong as that of any coded frame, at most detectors."""
        return np.random.default_rng([self.seed, len(self.beams), 1]).choice([-1.0, 1.0], len(self.beams))

    @property
    def repeats(self) -> int:
        """Of the codes, so that there are enough shots to tell the noise."""
        return max(1, -(-LEAST_CODED // len(self.codes)))

    @cached_property
    def bank(self) -> Floats:
        """(2 C + M + 2, C) signs: each beam at +1 and -1, the codes, the reference and its opposite."""
        count = self.believed.shape[1]
        single = np.repeat(np.eye(count), 2, axis=0) * np.where(np.arange(2 * count) % 2, -1.0, 1.0)[:, None]
        return np.concatenate([single, self.codes, self.reference[None], -self.reference[None]])

    @cached_property
    def order(self) -> Ints:
        """(T,) rows of the bank: single beams, codes, single beams; the reference in front of every EVERY shots, and at the end."""
        count, codes = 2 * self.believed.shape[1], len(self.codes)
        plain = np.concatenate([np.arange(count), np.tile(count + np.arange(codes), self.repeats), np.arange(count)])
        return with_references(plain, count + codes)

    def volts(self, signs: Floats) -> Floats:
        """Of the modulators, for frames of signs."""
        return self.modulator.volts((self.level * signs).astype(np.float32))

    def table(self, bank: Floats, order: Ints) -> ShotTable:
        """Frames of signs in an order."""
        banks: dict[str, Any] = {self.source: self.volts(bank), **{port: row[None, :] for port, row in self.held.items()}}
        return ShotTable(banks, {self.source: order}, self.dwell_s, (self.detector,))

    def fields(self, readings: Readings) -> tuple[Floats, Ints]:
        """((T, D) fields over the level, (D,) shots at the end of the detector's range)."""
        volts = readings[self.detector][:, : len(self.believed)].astype(np.float64)
        saturated = np.sum(np.abs(volts) >= FULL * self.full_scale[: len(self.believed)], axis=0)
        return volts / (self.volts_per_field * self.level), saturated

    def measured(self, readings: Readings) -> Measured:
        """The matrix that a table of `bank` and `order` shows."""
        seen, saturated = self.fields(readings)
        count, codes = 2 * self.believed.shape[1], len(self.codes)
        at, light, size, noise = references(seen, self.order, count + codes)
        lit = size > max(LIT * noise, FAINT * float(np.linalg.norm(self.believed @ self.reference)))
        now = np.polynomial.Polynomial.fit(at, np.abs(light), DEGREE)(np.arange(len(seen)))[:, None]
        coded = (self.order >= count) & (self.order < count + codes)
        alone = np.flatnonzero(self.order < count).reshape(2, -1, 2)  # before and behind, beam, sign
        offset = seen[coded].mean(axis=0)
        flat = (seen - offset) / now
        frames = self.codes[self.order[coded] - count]
        weights = flat[coded].T @ frames / len(frames)
        left = flat[coded] - frames @ weights.T
        noise = np.sqrt(np.square(left).sum(axis=0) / max(len(frames) - frames.shape[1] - 1, 1))
        single = 0.5 * (flat[alone[..., 0]] - flat[alone[..., 1]]).swapaxes(1, 2)
        error = noise / np.sqrt(len(frames))
        return Measured(weights, error, single, offset, noise, saturated, light, at * self.dwell_s, lit, len(seen))


def with_references(plain: Ints, first: int) -> Ints:
    """`plain` with rows `first` and `first` + 1 before every EVERY shots, and at the end."""
    parts = [part for start in range(0, len(plain), EVERY) for part in ([first, first + 1], plain[start : start + EVERY])]
    return np.concatenate([*parts, [first, first + 1]]).astype(np.int64)


def references(seen: Floats, order: Ints, first: int) -> tuple[Floats, Floats, float, float]:
    """((K,) shots of the references, (K,) light of them around 1, its size in fields, noise of a reading beside it).

    The light is negative where the sign is another one than at the beginning.
    """
    at = np.flatnonzero(order == first)
    each = 0.5 * (seen[at] - seen[at + 1])
    main = np.linalg.svd(each, full_matrices=False)[2][0]
    light = each @ main
    noise = float(np.sqrt(np.mean(np.square(each - light[:, None] * main))))
    size = float(np.mean(np.abs(light)))
    scale = (size or 1.0) * (1.0 if light[0] >= 0 else -1.0)
    return at.astype(np.float64), light / scale, size, noise
