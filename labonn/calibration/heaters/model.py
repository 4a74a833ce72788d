"""Heaters of interferometers: volts to a heater's own phase, all heaters' phases to what a photodiode reads; with derivatives.

A heater's power P obeys P R(P) = V^2 (1 + cubic V), R growing in proportion to P; its own phase psi grows in proportion to P, so that
psi + droop psi^2 = per_square V^2 (1 + cubic V). The phase of interferometer i is offset_i + psi_i + sum over others of x_ij psi_j, and
its photodiode reads low + (high - low) sin^2(phase/2). Neither powers nor resistances are needed, and none can be known from light.
"""

from __future__ import annotations

import numpy as np

from labonn.calibration.fitting import Curve, Mask
from labonn.calibration.models import Model
from labonn.calibration.starts import fringe_start
from labonn.channels import Floats
from labonn.shots import Ints

OWN = ("low", "high", "offset", "per_square", "droop", "cubic")
BINS = 48  # of the squares of volts, for the start
LEAST_ROOT = 1e-3


def own_phase(parameters: Floats, volts: Floats) -> tuple[Floats, Floats]:
    """((…, n) psi, (…, n, 3) derivatives by per_square, droop and cubic) of volts (…, n), of parameters (…, 6) as in OWN."""
    per_square, droop, cubic = (parameters[..., i, None] for i in (3, 4, 5))
    by_square = np.square(volts) * (1 + cubic * volts)
    root = np.sqrt(np.maximum(1 + 4 * droop * per_square * by_square, LEAST_ROOT))
    psi = 2 * per_square * by_square / (1 + root)
    slopes = [by_square / root, -np.square(psi) / root, per_square * volts**3 / root]
    return psi, np.stack(slopes, axis=-1)


def volts_of(parameters: Floats, psi: Floats) -> Floats:
    """(…, C) volts for own phases psi (…, C), not negative, of parameters (C, 6); the exact inverse of `own_phase`."""
    per_square, droop, cubic = (parameters[:, i] for i in (3, 4, 5))
    wanted = psi * (1 + droop * psi) / per_square
    volts = np.sqrt(wanted)
    for _ in range(50):  # each is nearer by a factor of about cubic V/2, a percent
        volts, before = np.sqrt(wanted / (1 + cubic * volts)), volts
        if np.nanmax(np.abs(volts - before), initial=0.0) < 1e-13:
            break
    return np.asarray(volts)


def _read(parameters: Floats, phase: Floats) -> tuple[Floats, Floats, Floats]:
    """(readings, derivatives (…, 2) by low and high, derivative by the phase)."""
    low, high = parameters[:, 0, None], parameters[:, 1, None]
    share = 0.5 * (1 - np.cos(phase))
    return low + (high - low) * share, np.stack([1 - share, share], axis=-1), 0.5 * (high - low) * np.sin(phase)


def alone(parameters: Floats, volts: Floats) -> tuple[Floats, Floats]:
    """The curve of a heater without neighbours."""
    psi, by_own = own_phase(parameters, volts)
    value, by_ends, by_phase = _read(parameters, parameters[:, 2, None] + psi)
    return value, np.concatenate([by_ends, by_phase[..., None], by_phase[..., None] * by_own], axis=-1)


def simple(parameters: Floats, volts: Floats) -> tuple[Floats, Floats]:
    """The curve of a heater of constant resistance, alone: (C, 4) parameters, which others' heat cannot lead far astray."""
    value, slope = alone(padded(parameters), volts)
    return value, slope[..., :4]


def padded(parameters: Floats) -> Floats:
    """(C, 6) parameters of heaters of constant resistance (C, 4)."""
    return np.pad(parameters, ((0, 0), (0, len(OWN) - parameters.shape[1])))


def others_of(count: int) -> Ints:
    """(C, C - 1) numbers of all other channels, in their order."""
    grid = np.tile(np.arange(count), (count, 1))
    return grid[~np.eye(count, dtype=bool)].reshape(count, count - 1)


def placed(channels: int, rows: Ints, count: int) -> Floats:
    """(C, n) points of `together`: the rows (n,) of its drives, of `count`, told for every channel."""
    return np.asarray(np.arange(channels)[:, None] * float(count) + rows)


def together(drives: Floats, own: Floats) -> Curve:
    """The curve of all heaters of a bank: (C, 6 + C - 1) parameters, the last ones x_ij of the others in their order.

    What the others' own phases are is taken from `own`: an error there is a hundred times less in a phase that has a percent of it.

    Args:
        drives: (R, C) volts of all rows that were played, to which points refer by `placed`. own: (C, 6) as in OWN.
    """
    count, others = len(drives), others_of(drives.shape[1])
    psi_all = own_phase(own, drives.T)[0].T

    def curve(parameters: Floats, x: Floats) -> tuple[Floats, Floats]:
        channels, rows = (x[:, 0] // count).astype(np.intp), np.mod(x[0], count).astype(np.intp)
        psi, by_own = own_phase(parameters[:, :6], drives[rows][:, channels].T)
        heat = np.moveaxis(psi_all[rows][:, others[channels]], 0, 1)  # (c, n, C - 1)
        phase = parameters[:, 2, None] + psi + (heat @ parameters[:, 6:, None])[..., 0]
        value, by_ends, by_phase = _read(parameters, phase)
        slopes = np.empty((*phase.shape, parameters.shape[1]))
        slopes[..., :2], slopes[..., 2] = by_ends, by_phase
        np.multiply(by_own, by_phase[..., None], out=slopes[..., 3:6])
        np.multiply(heat, by_phase[..., None], out=slopes[..., 6:])
        return value, slopes

    return curve


def start_alone(volts: Floats, y: Floats, used: Mask) -> Floats:
    """(C, 4) parameters to begin with: the best fringe in V^2, of means of neighbouring squares, so that the right fringe is found."""
    squares = np.square(volts)
    order = np.argsort(squares, axis=1)
    parts = np.array_split(order, min(BINS, squares.shape[1]), axis=1)
    weight = [np.take_along_axis(used, part, 1) for part in parts]
    count = [np.maximum(w.sum(axis=1), 1) for w in weight]
    means = [
        np.stack([(np.take_along_axis(of, p, 1) * w).sum(axis=1) / n for p, w, n in zip(parts, weight, count, strict=True)], axis=1)
        for of in (squares, y)
    ]
    seen = np.stack([w.any(axis=1) for w in weight], axis=1)
    offset, amplitude, half, phase = fringe_start(means[0], means[1], seen).T
    return folded(np.stack([offset - amplitude, offset + amplitude, phase + np.pi, np.pi / half], axis=1))


def folded(parameters: Floats) -> Floats:
    """`low` below `high`, and the offset from -pi to pi."""
    low, high, offset, *rest = parameters.T
    offset = np.where(low > high, offset + np.pi, offset)
    offset = np.mod(offset + np.pi, 2 * np.pi) - np.pi
    return np.stack([np.minimum(low, high), np.maximum(low, high), offset, *rest], axis=1)


def _swing(parameters: Floats) -> Floats:
    return np.abs(parameters[:, 1] - parameters[:, 0])


UNITS = ("y", "y", "rad", "rad/V^2", "1/rad", "1/V")
BANK = "thermo-optic-bank"
WATCHED = {"offset": "offset", "high": "high"}
HEATER = Model(BANK, 1, OWN, UNITS, alone, lambda x, y, used: padded(start_alone(x, y, used)), _swing, WATCHED, folded)
SIMPLE = Model("thermo-optic-simple", 1, OWN[:4], UNITS[:4], simple, start_alone, _swing, WATCHED, folded)


def bank_model(drives: Floats, own: Floats, start: Floats | None = None) -> Model:
    """All heaters together, as `together` has them; fits begin at `start`, or at `own` without crosstalk."""
    more = drives.shape[1] - 1
    begin = np.concatenate([own, np.zeros((len(own), more))], axis=1) if start is None else start
    names = (*OWN, *(f"x{i}" for i in range(more)))
    curve = together(drives, own)
    return Model(BANK, 1, names, (*UNITS, *["1"] * more), curve, lambda x, y, used: begin, _swing, WATCHED, folded)
