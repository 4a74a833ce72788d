"""The sweep of detectors: a source (or whatever is upstream) block by block at one of its levels, and inside a block a modulator right
before the detectors through its levels, each channel in an order of its own; every setting several times, for the noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from labonn.calibration.fitting import Mask
from labonn.calibration.sweeps import FULL
from labonn.channels import Floats
from labonn.shots import Ints, Readings, ShotTable

DARK = 256  # shots in the dark, before and again behind the sweep


@dataclass(frozen=True)
class Settings:
    """What a table passes.

    Attributes:
        sources: (I,) numbers of source levels, a block each. rows: (I * J, n) values of the modulators. index: (C, I * J) number of the
            modulator level that each detector has at each of them. levels: J.
    """

    sources: Ints
    rows: Floats
    index: Ints
    levels: int

    @property
    def blocks(self) -> int:
        """I."""
        return len(self.sources)


@dataclass(frozen=True)
class Cells:
    """What was read, setting by setting.

    Attributes:
        x: (C, n, 2) numbers of block and level. mean, variance: (C, n) of the repeats. used: (C, n) not saturated.
    """

    x: Floats
    mean: Floats
    variance: Floats
    used: Mask


@dataclass(frozen=True)
class ProductSweep:
    """Detectors behind a source and a modulator.

    Attributes:
        port, unit: of the detectors. full_scale, step: (D,) of them. columns: (C,) of their channels that are calibrated.
        source: name of the upstream port, and its levels: (L, n). fast: name of the modulators.
        dark: port -> (n,) values without light; a port that is not in it, nor held, is not played and so dark.
        held: port -> (n,) values. repeats: shots of each setting. dwell_s: of a shot.
        spread: whether the repeats of a setting are spread over its block, where light flickers, or follow each other.
    """

    port: str
    unit: str
    full_scale: Floats
    step: Floats
    columns: Ints
    source: str
    levels: Floats
    fast: str
    dark: Mapping[str, Floats]
    held: Mapping[str, Floats]
    repeats: int = 16
    dwell_s: float = 1e-6
    spread: bool = False

    def table(self, settings: Settings) -> ShotTable:
        """All settings."""
        inside, rows = settings.levels * self.repeats, np.arange(len(settings.rows))
        played = np.tile(rows.reshape(-1, settings.levels), self.repeats).ravel() if self.spread else np.repeat(rows, self.repeats)
        banks = {self.source: np.array(self.levels), self.fast: np.array(settings.rows), **{p: r[None, :] for p, r in self.held.items()}}
        orders = {self.source: np.repeat(settings.sources, inside), self.fast: played}
        return ShotTable(banks, orders, self.dwell_s, (self.port,))

    def dark_table(self, shots: int = DARK) -> ShotTable:
        """Without light."""
        banks = {port: row[None, :] for port, row in {**self.held, **self.dark}.items()}
        return ShotTable(banks, {port: np.zeros(shots, np.int64) for port in banks}, self.dwell_s, (self.port,), shots)

    def seen(self, readings: Readings) -> Floats:
        """(T, C) volts."""
        return readings[self.port][:, self.columns].astype(np.float64)

    def cells(self, settings: Settings, readings: Readings) -> Cells:
        """Means and variances of the repeats."""
        inside = (self.repeats, settings.levels) if self.spread else (settings.levels, self.repeats)
        each = self.seen(readings).reshape(settings.blocks, *inside, -1)
        shots = (each.swapaxes(1, 2) if self.spread else each).reshape(len(settings.rows), self.repeats, -1)
        used = np.all(np.abs(shots) < FULL * self.full_scale[self.columns], axis=1).T
        block = np.broadcast_to(np.repeat(np.arange(settings.blocks), settings.levels), settings.index.shape)
        x = np.stack([block, settings.index], axis=-1).astype(np.float64)
        return Cells(x, shots.mean(axis=1).T, shots.var(axis=1, ddof=1).T, used)

    def direct(self, lower: Floats, upper: Floats, sources: Ints, levels: int, seed: int, between: bool = False) -> Settings:
        """Each detector behind a modulator of its own, from `lower` to `upper` (C,); `between`: half way between those levels."""
        rng, count = np.random.default_rng([seed, levels, len(sources), 4 + between]), len(self.columns)
        part = (np.arange(levels) + 0.5) / levels if between else np.arange(levels) / (levels - 1)
        order = rng.permuted(np.tile(np.arange(levels)[:, None], (len(sources), 1, count)), axis=1).reshape(-1, count)
        rows = np.array(lower + (upper - lower) * part[order])
        return Settings(sources, rows, order.T, levels)
