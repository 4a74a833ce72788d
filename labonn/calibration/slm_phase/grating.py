"""Binary gratings 0/gray on a phase SLM, every region of it with grays of its own, and the light of their zeroth and first orders.

The light of the first order is I1 = A sin^2(phase/2) + B, that of the zeroth I0 = A' cos^2(phase/2) + B', where phase is what the gray adds
to code 0. Edges between pixels are not sharp: of a blur of w in a period p the first order feels (w/p)^2, the zeroth w/p. So the phase is
taken from the first order; with the zeroth it makes up the light of the shot, and tells how large the effect of edges is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from labonn.bench import Bench
from labonn.calibration.fitting import Mask
from labonn.calibration.rigging import LIGHT, held_rows, of_kind, one_of
from labonn.calibration.sweeps import FULL
from labonn.channels import Floats
from labonn.errors import ProcedureError
from labonn.shots import Readings, ShotTable

SAME = 1e-12  # of a field that is shown as it was asked for
MOST_CODES = 0.95  # of the codes; of 16 bits some are too close to their neighbours at the ends


@dataclass(frozen=True)
class Orders:
    """What a sweep gave, in the order of time.

    Attributes:
        grays: (R, N). first, zeroth: (R, N) mean readings less the dark ones. used: (R, N) not saturated.
        scatter: (R, N) standard error of the first order, from its shots. lit: whether a dark level was subtracted.
    """

    grays: Floats
    first: Floats
    zeroth: Floats
    used: Mask
    scatter: Floats
    lit: bool


@dataclass(frozen=True)
class GratingSweep:
    """Gratings along the rows of a port of macropixels.

    Attributes:
        port, detector, unit: names, and the unit of readings; its channels are all first orders, then all zeroth ones.
        full_scale: (2R,) of the detector. shape: of the port. regions: (down, across). period: columns of a period.
        fields: (N,) field that makes the port show each gray, NaN for none. identity: of the SLM, for messages.
        held, dark: port -> (n,) values with and without light.
        repeats: shots a frame. dwell_s: of a shot.
    """

    port: str
    detector: str
    unit: str
    full_scale: Floats
    shape: tuple[int, int]
    regions: tuple[int, int]
    period: int
    fields: Floats
    identity: str = ""
    held: Mapping[str, Floats] = field(default_factory=dict)
    dark: Mapping[str, Floats] = field(default_factory=dict)
    repeats: int = 4
    dwell_s: float = 1e-3

    @property
    def count(self) -> int:
        """R, regions."""
        return self.regions[0] * self.regions[1]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the regions, row by row: r0c0, ..."""
        return tuple(f"r{i // self.regions[1]}c{i % self.regions[1]}" for i in range(self.count))

    def nearest(self, levels: Floats) -> Floats:
        """Whole grays that can be shown, nearest to `levels`."""
        there = np.flatnonzero(np.isfinite(self.fields))
        return np.asarray(there[np.abs(levels[..., None] - there).argmin(axis=-1)] if len(there) < len(self.fields) else np.rint(levels))

    def frames(self, grays: Floats) -> Floats:
        """(N, C) fields of the gratings for grays (R, N); those of every other frame are half a period further.

        Light of the zeroth order that reaches the first one's detector interferes there, with a sign that changes by that.
        """
        (rows, columns), (down, across) = self.shape, self.regions
        half, place = self.period // 2, np.arange(columns // across) + (self.period // 2) * (np.arange(grays.shape[1]) % 2)[:, None]
        along = place % self.period  # (N, columns of a region); in even frames every edge lies inside the region, so that none is missing
        bright = ((along >= half - half // 2) & (along < self.period - half // 2))[:, None, :]
        shown = np.where(bright, self.fields[grays.T.astype(np.intp)][..., None], self.fields[0])  # (N, R, columns of a region)
        lines = shown.reshape(-1, down, 1, columns)
        everywhere = np.broadcast_to(lines, (len(shown), down, rows // down, columns))
        return np.ascontiguousarray(everywhere, np.float32).reshape(-1, rows * columns)

    def table(self, grays: Floats, repeats: int | None = None) -> ShotTable:
        """In the dark first, where it can be dark; then all frames."""
        repeats = repeats or self.repeats
        dark = 4 * self.repeats if self.dark else 0
        shown = np.concatenate([np.zeros(dark, np.int64), np.repeat(np.arange(grays.shape[1]), repeats)])
        banks: dict[str, Any] = {self.port: self.frames(grays)}
        orders = {self.port: shown}
        for port, row in self.held.items():
            banks[port] = np.stack([self.dark.get(port, row), row])
            orders[port] = (np.arange(len(shown)) >= dark).astype(np.int64)
        return ShotTable(banks, orders, self.dwell_s, (self.detector,))

    def orders(self, grays: Floats, readings: Readings) -> Orders:
        """The light of every frame."""
        volts = readings[self.detector][:, : 2 * self.count].astype(np.float64)
        dark = 4 * self.repeats if self.dark else 0
        level = volts[:dark].mean(axis=0) if dark else np.zeros(volts.shape[1])
        shots = volts[dark:].reshape(grays.shape[1], -1, 2, self.count)
        good = np.all(np.abs(shots) < FULL * self.full_scale[: 2 * self.count].reshape(2, -1), axis=(1, 2))
        first, zeroth = (shots.mean(axis=1) - level.reshape(2, -1)).transpose(1, 2, 0)
        scatter = shots[:, :, 0].std(axis=1, ddof=1).T / np.sqrt(shots.shape[1])
        return Orders(grays, first, zeroth, good.T, scatter, bool(dark))


def grating_sweep(
    bench: Bench, port: str, detector: str | None, regions: tuple[int, int], period: int, hold: Sequence[str], repeats: int, dwell_s: float
) -> GratingSweep:  # fmt: skip
    """Gratings on an SLM of a bench; gain sections are the light, and are off for the dark level.

    Raises:
        ProcedureError: regions and period do not divide the port's shape, detectors are missing, or the port cannot show every code.
    """
    device, trigger = bench.ports[port], next(p.name for p in bench.file.ports.values() if p.role == "trigger")
    seen = one_of(bench, "Photodetectors", detector, trigger, "--detector")
    rows, columns = (int(n) for n in device.shape)
    down, across = regions
    if rows % down or columns % (across * period) or period % 2 or period < 2:
        told = f"{down} x {across} regions of whole periods of {period} columns (even) do not divide it"
        raise ProcedureError(f"--regions, --period: {port} has {rows} x {columns} macropixels; {told}")
    if len(bench.specs[seen]) < 2 * down * across:
        told = f"the first and zeroth orders of {down * across} regions want {2 * down * across} (--detector, --regions)"
        raise ProcedureError(f"{seen} has {len(bench.specs[seen])} channels; {told}")
    sources = {name: LIGHT * np.asarray(bench.specs[name].upper) for name in of_kind(bench, "GainSections")}
    held: dict[str, Floats] = {**sources, **held_rows(bench, hold)}
    dark = {name: np.maximum(np.asarray(bench.specs[name].lower), 0.0) for name in sources}
    full, unit = np.asarray(bench.specs[seen].upper), bench.specs[seen].unit
    fields, shape, identity = fields_of_codes(bench, port), (rows, columns), str(device.identity)
    return GratingSweep(port, seen, unit, full, shape, regions, period, fields, identity, held, dark, repeats, dwell_s)


def fields_of_codes(bench: Bench, port: str) -> Floats:
    """(N,) field that makes a port show each of its codes, first to last; NaN for those that crowd so much that no field means them alone.

    Raises:
        ProcedureError: codes are out of reach, as its `lut` or `stroke_rad` have it.
    """
    codes = 2 ** int(bench.file.ports[port].options.bits)
    fields = -np.cos(np.linspace(0, np.pi, codes))
    reached = np.abs(bench.ports[port].shown(fields) - fields) < SAME
    if reached.mean() < MOST_CODES or not reached[0]:
        told = f"its lut or stroke_rad let {reached.sum()} of {codes} codes be shown as if their phases rose evenly from 0 to 2 pi"
        raise ProcedureError(f"{port}: {told}; to calibrate it, leave both out of {bench.file.name}")
    return np.where(reached, fields, np.nan)
