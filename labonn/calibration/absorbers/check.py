"""The drift check of absorbers: fields at which a cell tells most of its optical depth, with modulators full on.

Light is set by amplifiers, and before the first cell by columns of its SLM at +1 and -1, so that the modulators need
not be half open, where drifts of their bias would count.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from labonn.bench import Plan
from labonn.calibration.absorbers.fitting import CellFit, TapPoints
from labonn.calibration.absorbers.model import responses, slope
from labonn.calibration.absorbers.sweep import BEFORE, BEHIND, CellSweep
from labonn.calibration.calibration import DriftCheck, LightBefore
from labonn.calibration.validity import SEEN
from labonn.channels import Floats
from labonn.shots import Ints

CHECKED, REPEATS = 3, 64  # fields for each cell, and shots of each
DARK = 0.005  # of what a saturation field gives: by so much detectors' offsets drift in hours
PART = 0.03  # of a reading: that much may its detector's phase drift do to it
CLEAR = 10.0  # field before the first cell, which hardly absorbs it, so that further ones get light
TELLING = 0.5  # of the largest change of light with the optical depth


def telling_fields(found: CellFit, h: int) -> Floats:
    """(CHECKED,) fields at which the light behind a cell changes most with its optical depth."""
    fields = np.geomspace(0.1, 40, 200)
    change = np.abs(fields * responses(found.kind.cell, fields[None], found.depth[h].reshape(1, 1), found.kind.gaussian)[2][0])
    some = fields[change > TELLING * change.max()]
    return np.asarray(some[np.linspace(0, len(some) - 1, CHECKED).astype(np.int64)])


def drift_check(sweep: CellSweep, fields: Floats, rows: Ints, points: TapPoints, found: CellFit, ovens: Floats) -> Plan[DriftCheck]:
    """Play the check, and remember what was read.

    Args:
        fields, rows: of the sweep's points. ovens: the bank that they hold: the same array is not set again, and not waited for.
    """
    amplifier, inputs, spec = sweep.optics.amplifier, sweep.layers.sizes[0], sweep.currents
    cells, amplitudes = len(found.depth), amplifier.amplitude(spec)
    wanted, nets, first = [], [], _field(points, found, 0, (fields == fields.max()) & (rows == 0))
    for h in range(cells):
        base = int(np.argmin(spec[:, h]))
        there = _field(points, found, h, (fields == fields.max()) & (rows == base))
        for field in telling_fields(found, h):
            amplitude, net = amplitudes[base, h] * field / there, inputs
            if amplitude < sweep.lowest:
                least = CLEAR / first if h else 0.0
                net = max(int(max(amplitude / sweep.lowest, least) * inputs) // 2 * 2, 2) - inputs % 2
                amplitude *= inputs / net
            wanted.append(np.where(np.arange(sweep.layers.count) == h, np.clip(amplitude, sweep.lowest, sweep.highest), amplitudes[0]))
            nets.append(net)
    columns = np.arange(inputs)[None, :] < (inputs + np.array(nets)[:, None]) // 2
    weights = np.repeat(np.where(columns, 1.0, -1.0).astype(np.float32)[:, None, :], sweep.layers.sizes[1], axis=1)
    patterns, which = np.unique(weights.reshape(len(nets), -1), axis=0, return_inverse=True)
    lit = replace(sweep, repeats=REPEATS, currents=amplifier.current(np.array(wanted)), held={**sweep.held, "weights1": patterns})
    table = lit.table(np.full(len(nets), fields.max()), np.arange(len(nets)), {"ovens": ovens}, {"weights1": which.ravel()})
    readings = yield table
    light, seen = (readings[port].astype(np.float64).reshape(len(nets), REPEATS, -1) for port in (BEFORE, BEHIND))
    meant = np.repeat(np.arange(cells), CHECKED)[:, None] == points.cell
    return replace(_check(seen, meant, found, table, sweep.dwell_s), before=_before(light.mean(axis=1), found))


def _before(light: Floats, found: CellFit) -> LightBefore:
    """Where a cell begins to be clear a reading behind it follows the light many times over, which is not the cell's doing."""
    dark, kind = np.where(found.taken, found.taps.parameters[:, 3], 0.0), found.kind
    steep = slope(kind.cell, found.taps.parameters, light.T, kind.leaky, kind.gaussian).T
    return LightBefore(BEFORE, light, dark, np.where(found.taken, steep * (light - dark), 0.0), found.cells)


def _field(points: TapPoints, found: CellFit, h: int, some: Any) -> float:
    """The field before a cell, as most of its taps see it, at some points."""
    own = found.taken & (points.cell == h)
    parameters = found.taps.parameters[own]
    fields = np.abs((points.x[own][:, some] - parameters[:, 3, None]) / parameters[:, 0, None])
    return float(np.median(fields))


def _check(seen: Floats, meant: Any, found: CellFit, table: Any, dwell_s: float) -> DriftCheck:
    """Of frames (K, REPEATS, D); `meant` (K, D): a frame of one cell says nothing of the others."""
    expected, sigma = seen.mean(axis=1), seen.std(axis=1, ddof=1) / np.sqrt(REPEATS)
    sigma = np.hypot(sigma, PART / SEEN * np.abs(expected))  # a tolerance of a channel would be one for all of its frames
    tolerance = np.where(found.taken, DARK * np.abs(found.taps.parameters[:, 1]), np.inf)
    banks = {port: np.asarray(bank) for port, bank in table.banks.items()}
    sigma = np.where(meant, sigma, np.inf)
    return DriftCheck(banks, dict(table.orders), dwell_s, REPEATS, BEHIND, "V", expected, sigma, tolerance, free_scale=False)
