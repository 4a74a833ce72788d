"""Parameter shift for phases: what a phase does is a sum of sines of known periods, so a few far points give its derivative unbiased."""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple

import numpy as np

from labonn.banks import Changes
from labonn.channels import Floats
from labonn.errors import ProcedureError
from labonn.gradients.baselines import LEAST, spread
from labonn.gradients.differences import central
from labonn.gradients.objective import Estimate
from labonn.gradients.onchip import OnChip
from labonn.shots import Ints, Readings, ShotTable


def shift(objective: OnChip, theta: Floats, shift_rad: float = np.pi / 2, step: float = 0.1) -> Generator[ShotTable, Readings, Estimate]:
    """Phases of the last linear block (2a, attenuators 2, 2b) by parameter shift, those before it by central differences of `step`.

    An output is a + sum over a few known frequencies w of b cos(w theta) + c sin(w theta) in each phase of that block, so its derivative
    follows from the values at theta and at two other points for every frequency, evenly spaced: for one frequency and on both sides this is
    w [I(+D) - I(-D)] / (2 sin w D) (PHYSICS.md section 3, where w = 1). At a limit the points lie to one side. The loss's gradient is the
    chain rule over the measured outputs.

    Args:
        shift_rad: D, between neighbouring points; a quarter of the range (a sixth for two frequencies) where that is less.

    Raises:
        ProcedureError: a chip of gain sections, which have no period, or a shift that is none.
    """
    optics, theta = objective.optics, np.asarray(theta, np.float64)
    if optics.design.coupler == "pt":
        raise ProcedureError("shift: gain sections are no phases; parameter shift is for heater chips (use central differences)")
    if not 0 < shift_rad < np.inf:
        raise ProcedureError(f"shift: a shift of {shift_rad} rad; a positive number is wanted")
    block = optics.model.slices["2a"].start
    before = objective.played
    first = yield from central(objective, theta, step, subset=np.arange(block), scaled=False)
    gradient, error = first.gradient.copy(), first.standard_error.copy()
    notes, losses = first.notes, list[float]()
    for which, frequencies in groups(objective, block):
        found = yield from _group(objective, theta, which, frequencies, shift_rad)
        gradient[which], error[which] = found.gradient, found.standard_error
        notes, losses = notes + found.notes, [*losses, found.loss]
    settings, shots, tables = (objective.played - before).tolist()
    loss = float(np.mean(losses or [first.loss]))
    return Estimate(gradient, error, settings, shots, tables, loss, first.sigma, notes, "shift")


def groups(objective: OnChip, block: int) -> list[tuple[Ints, tuple[float, ...]]]:
    """Parameters from number `block` on that can move, by the frequencies of their sines in the outputs.

    Fields turn by theta/2 with differential phases and attenuators, by theta with phases in one arm; beside light that does not pass there,
    powers have these frequencies and their doubles, but with phases in one arm, where the double cancels.
    """
    optics = objective.optics
    halves = np.ones(optics.model.count, bool) if optics.design.coupler == "rotation" else optics.amplifiers
    free = (objective.upper > objective.lower) & (np.arange(len(halves)) >= block)
    of_halves = (0.5,) if optics.design.readout == "homodyne" else (0.5, 1.0)
    found = [(np.flatnonzero(free & halves), of_halves), (np.flatnonzero(free & ~halves), (1.0,))]
    return [(which, frequencies) for which, frequencies in found if len(which)]


class _Found(NamedTuple):
    """(n,) derivatives and their standard errors, the mean loss at theta, notes."""

    gradient: Floats
    standard_error: Floats
    loss: float
    notes: tuple[str, ...]


def _group(
    objective: OnChip, theta: Floats, which: Ints, frequencies: tuple[float, ...], shift_rad: float
) -> Generator[ShotTable, Readings, _Found]:
    """Derivatives by the parameters `which` alone, in one table; every parameter's points are neighbours in time, theta between them."""
    others = 2 * len(frequencies)
    offsets, one_sided = points(theta[which], objective.lower[which], objective.upper[which], shift_rad, others)
    times = spread(others * len(which), others, max(LEAST, round(len(which) ** 0.5)))
    channels = np.full((times.settings, 1), which[0])
    values = np.full((times.settings, 1), theta[which[0]])
    channels[times.others, 0], values[times.others, 0] = np.repeat(which, others), (theta[which, None] + offsets).ravel()
    outputs = np.asarray((yield from objective.outputs(Changes(theta, channels, values))), np.float64)
    baselines = outputs[times.pairs.ravel()]
    here, noise = baselines.mean(axis=0), np.diff(outputs[times.pairs], axis=1).var(axis=0)[0] / 2
    slope = objective.optics.slope(here, objective.labels) / len(objective.rows)
    weights = derivative_weights(offsets, frequencies)
    along = np.tensordot(outputs[times.others] - here, slope, axes=2).reshape(len(which), others)
    error = np.sqrt((np.sum(weights**2, axis=1) + weights.sum(axis=1) ** 2 / len(baselines)) * np.sum(slope**2 * noise))
    notes = (f"{one_sided} of {len(which)} shifts to one side, at a limit",) if one_sided else ()
    loss = float(objective.optics.loss(here, objective.labels).mean())
    return _Found(np.sum(weights * along, axis=1), error, loss, notes)


def points(at: Floats, lower: Floats, upper: Floats, shift_rad: float, count: int) -> tuple[Floats, int]:
    """((n, count) offsets of other points, evenly spaced around 0 or, at a limit, more of them on the inner side; how many are so)."""
    size = np.minimum(shift_rad, (upper - lower) / (count + 2))
    room_below, room_above = np.floor((at - lower) / size), np.floor((upper - at) / size)
    below = np.clip(count // 2, count - room_above, room_below).astype(np.int64)
    steps = np.arange(count) - below[:, None]
    return size[:, None] * np.where(steps >= 0, steps + 1, steps), int(np.count_nonzero(below != count // 2))


def derivative_weights(offsets: Floats, frequencies: tuple[float, ...]) -> Floats:
    """(n, count) weights of the values at `offsets` less the value at 0, in the derivative at 0 of a sum of sines."""
    angles = offsets[:, :, None] * np.array(frequencies)
    rises = np.concatenate([np.cos(angles) - 1, np.sin(angles)], axis=2)  # of every sine, at every offset
    wanted = np.concatenate([np.zeros(len(frequencies)), frequencies])
    return np.linalg.solve(rises.swapaxes(1, 2), np.broadcast_to(wanted[:, None], (len(offsets), rises.shape[2], 1)))[:, :, 0]
