"""The sweep of all cells at once: input light of both signs over decades, and amplifiers in steps, so that every cell sees weak and strong.

What counts are the taps before and behind each cell in the same shot. The first cell follows the input light; a further cell gets what
those before it let through, whatever that is, times the steps of its own amplifier. Columns of the SLMs at +1 and -1 interfere where
light would otherwise be too strong for the detectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from labonn.calibration.absorbers.fitting import TapPoints
from labonn.calibration.sweeps import FULL
from labonn.channels import ChannelSpec, Floats
from labonn.layers import Layers
from labonn.optics import Optics
from labonn.shots import Ints, Readings, ShotTable

BEFORE, BEHIND = "forward_in", "forward_out"
FILL = 0.7  # of the detectors' range, as believed
DECADES = 2.5  # of input fields
OVERDRIVEN = 2.5  # light before a further cell if the one before it absorbed nothing, over what fits the detectors
DIM = 1 / 3  # of the points, the dimmest, which tell the noise of the detectors


@dataclass(frozen=True)
class CellSweep:
    """How light is driven, and what is read.

    Attributes:
        layers, optics: of the bench. held: port -> bank of one row: the SLMs. currents: (G, L) of the amplifiers, row by row.
        most: largest field of the inputs. lowest, highest: amplitudes that all amplifiers reach.
        full_scale, step: (2, D) of the detectors before and behind the cells.
        repeats: shots a point, in a row. dwell_s: of a shot.
    """

    layers: Layers
    optics: Optics
    held: Mapping[str, Floats]
    currents: Floats
    most: float
    lowest: float
    highest: float
    full_scale: Floats
    step: Floats
    repeats: int = 8
    dwell_s: float = 2e-6

    def levels(self, count: int, fresh: int = 0) -> Floats:
        """(2 count,) input fields of both signs, in equal factors; or `fresh` of each sign, half way between those."""
        steps: Floats = np.arange(count, dtype=np.float64)
        if fresh:
            steps = np.floor(np.linspace(0, count - 2, min(fresh, count - 1))) + 0.5
        sizes = self.most * 10 ** (-DECADES * steps / (count - 1))
        return np.concatenate([sizes, -sizes])

    def table(
        self, fields: Floats, rows: Ints, more: Mapping[str, Floats] | None = None, frames: Mapping[str, Ints] | None = None
    ) -> ShotTable:
        """Point p plays inputs of fields[p] with row rows[p] of the currents, `repeats` times.

        Args:
            more: port -> bank of one row, beside those that are held. frames: port -> (N,) rows of banks that have several.
        """
        kinds, which = np.unique(fields, return_inverse=True)
        volts = np.repeat(self.optics.modulator.volts(kinds.astype(np.float32))[:, None], self.layers.sizes[0], axis=1)
        banks: dict[str, Any] = {"input": volts, "gain": self.currents, **self.held, **(more or {})}
        orders = {port: np.repeat(order, self.repeats) for port, order in {"input": which, "gain": rows, **(frames or {})}.items()}
        return ShotTable(banks, orders, self.dwell_s, (BEFORE, BEHIND))

    def points(self, readings: Readings) -> TapPoints:
        """Means over the repeats of each point, their errors, and what is of use."""
        volts = [readings[port].astype(np.float64).reshape(-1, self.repeats, readings[port].shape[1]) for port in (BEFORE, BEHIND)]
        means = [part.mean(axis=1).T for part in volts]
        used = np.all([np.all(np.abs(v) < FULL * full, axis=1).T for v, full in zip(volts, self.full_scale, strict=True)], axis=0)
        off = [part - part.mean(axis=1, keepdims=True) for part in volts]
        pairs = ((off[0], off[0]), (off[1], off[1]), (off[0], off[1]))
        spread = np.array([(one * two).sum(axis=1).T for one, two in pairs]) / (self.repeats - 1)
        dim = np.abs(means[0]) <= np.quantile(np.abs(means[0]), DIM, axis=1)[:, None]
        variance = np.where(dim, spread[:2], 0.0).sum(axis=2) / dim.sum(axis=1)
        rounding = _rounding(variance, self.step)
        errors = np.sqrt(variance / self.repeats + np.square(rounding)) + 1e-12
        cell = np.repeat(np.arange(len(self.layers.hidden)), self.layers.hidden)
        return TapPoints(means[0], means[1], errors[0], errors[1], used, cell, spread / self.repeats, rounding)


def _rounding(variance: Floats, step: Floats) -> Floats:
    """(2, D) what rounding to codes leaves in means of many, where there is little noise to blur it."""
    codes = np.where(step > 0, step, 1.0)
    blurred = np.exp(-np.minimum(4 * np.pi**2 * variance / np.square(codes), 700.0))
    return np.asarray(np.where(step > 0, np.sqrt(blurred / 12) * step, 0.0))


def cell_sweep(layers: Layers, optics: Optics, specs: Mapping[str, ChannelSpec], rows: int, repeats: int, dwell_s: float) -> CellSweep:
    """The sweep for a bench, as its light is believed to be.

    Args:
        rows: steps of each further cell's amplifier.
    """
    spec, volts = specs["gain"], optics.detectors.forward
    low, high = optics.amplifier.amplitude(np.stack([np.maximum(spec.lower, 0), spec.upper]))
    wanted = FILL * min(float(np.min(specs[port].upper)) for port in (BEFORE, BEHIND)) / volts
    amplitudes, held = np.array(low, np.float64), {}
    amplitudes[0] = np.clip(wanted / layers.sizes[0], low[0], high[0])
    most = min(1.0, wanted / (layers.sizes[0] * amplitudes[0]))
    for index, (port, lines, columns) in enumerate(zip(layers.weights(), layers.sizes[1:], layers.sizes, strict=False)):
        raised = columns
        if 0 < index < len(layers.hidden):
            raised = _raised(columns, 1 / float(high[index]))
            amplitudes[index] = np.clip(OVERDRIVEN / (2 * raised - columns), low[index], high[index])
        held[port] = np.tile(np.where(np.arange(columns) < raised, 1.0, -1.0).astype(np.float32), lines)[None, :]
    steps = [amplitudes]
    for index in range(1, len(layers.hidden)):
        falling = np.geomspace(amplitudes[index], low[index], rows)[1:]
        steps += [np.where(np.arange(layers.count) == index, amplitude, amplitudes) for amplitude in falling]
    currents = spec.clip(optics.amplifier.current(np.array(steps)))
    scales = [np.asarray(getattr(specs[port], name)) for name in ("upper", "step") for port in (BEFORE, BEHIND)]
    reached, (full, step) = (float(low.max()), float(high.min())), np.array(scales).reshape(2, 2, -1)
    return CellSweep(layers, optics, held, currents, most, *reached, full, step, repeats, dwell_s)


def _raised(columns: int, net: float) -> int:
    """Columns at +1, the others at -1, so that about `net` columns are left of all; at least one."""
    return min(columns, max(round((columns + net) / 2), columns // 2 + 1))


def scrambled(levels: Floats, rows: int, passes: int, seed: int) -> tuple[Floats, Ints]:
    """((N,) fields, (N,) rows): in each pass every row with all levels, in random orders; rows as blocks, up and down again."""
    rng = np.random.default_rng([seed, len(levels), passes])
    order = np.concatenate([np.arange(rows)[:: 1 - 2 * (p % 2)] for p in range(passes)])
    return np.concatenate([rng.permutation(levels) for _ in order]), np.repeat(order, len(levels))
