"""Parameter shift for phases: what a phase does is a sine of known period, so a few far points give the derivative without any bias."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from labonn.banks import Changes
from labonn.channels import Floats
from labonn.errors import ProcedureError
from labonn.gradients.differences import central
from labonn.gradients.objective import Estimate
from labonn.gradients.onchip import OnChip
from labonn.shots import Ints, Readings, ShotTable

BASELINES = 16


def shift(objective: OnChip, theta: Floats, shift_rad: float = np.pi / 2, step: float = 0.1) -> Generator[ShotTable, Readings, Estimate]:
    """Phases of the last linear block (2a, attenuators 2, 2b) by parameter shift, those before it by central differences of `step`.

    An output (signed field or power) is a + b cos(w theta) + c sin(w theta) in each of those phases, so its derivative follows from the
    values at theta and at two shifted points, +-`shift_rad` where the limits allow it (PHYSICS.md section 3, [I(+D) - I(-D)]/(2 sin D)),
    both on one side where they do not. The loss's gradient is the chain rule over the measured outputs.

    Raises:
        ProcedureError: a chip of gain sections, which have no period.
    """
    design, model = objective.optics.design, objective.optics.model
    if design.coupler == "pt":
        raise ProcedureError("shift: gain sections are no phases; parameter shift is for heater chips (use central differences)")
    last = np.arange(model.slices["2a"].start, model.count)
    before = (objective.settings, objective.shots)
    first = yield from central(objective, theta, step, subset=np.arange(last[0]), scaled=False)
    points, one_sided = shifted_points(theta, last, shift_rad, objective.lower, objective.upper)
    weights = derivative_weights(points - theta[last], frequency(objective)[last])
    channels = np.concatenate([np.tile(last, 2), np.full(BASELINES, last[0])])
    values = np.concatenate([points[1], points[2], np.full(BASELINES, theta[last[0]])])
    outputs = yield from objective.outputs(Changes(np.asarray(theta, np.float64), channels[:, None], values[:, None]))
    at, count = outputs.astype(np.float64), len(last)
    here = at[2 * count :].mean(axis=0)
    noise = at[2 * count :].var(axis=0, ddof=1)
    slope = objective.optics.slope(here, objective.labels) / len(objective.rows)
    moved = weights[0, :, None, None] * here + weights[1, :, None, None] * at[:count] + weights[2, :, None, None] * at[count : 2 * count]
    gradient, error = first.gradient.copy(), first.standard_error.copy()
    gradient[last] = np.einsum("pbo,bo->p", moved, slope)
    spread = weights[1] ** 2 + weights[2] ** 2 + weights[0] ** 2 / BASELINES
    error[last] = np.sqrt(spread * float(np.sum(slope**2 * noise)))
    notes = first.notes + ((f"{one_sided} of {count} shifts to one side, at a limit",) if one_sided else ())
    return Estimate(
        gradient=gradient, standard_error=error, settings=objective.settings - before[0], shots=objective.shots - before[1],
        tables=first.tables + 1, loss=float(objective.optics.loss(here, objective.labels).mean()), sigma=first.sigma, notes=notes, method="shift",
    )  # fmt: skip


def frequency(objective: OnChip) -> Floats:
    """(P,) of every parameter's sine in the outputs: fields of differential phases and attenuators turn by theta/2, all else by theta."""
    design, model = objective.optics.design, objective.optics.model
    halves = np.ones(model.count, bool) if design.coupler == "rotation" else objective.optics.amplifiers
    return np.where(halves & (design.readout == "homodyne"), 0.5, 1.0)


def shifted_points(theta: Floats, which: Ints, shift_rad: float, lower: Floats, upper: Floats) -> tuple[Floats, int]:
    """((3, n) theta and two other points, how many pairs are on one side): +-shift where there is room, else 1 and 2 shifts inward."""
    at, low, high = theta[which], lower[which], upper[which]
    both = (at - shift_rad >= low) & (at + shift_rad <= high)
    inward = np.where(at - low >= high - at, -1.0, 1.0)
    size = np.minimum(shift_rad, np.maximum(at - low, high - at) / 2)
    if np.any(size <= 0):
        i = int(which[np.argmin(size)])
        raise ProcedureError(f"parameter {i} has no range to be shifted in")
    one, two = np.where(both, at - shift_rad, at + inward * size), np.where(both, at + shift_rad, at + 2 * inward * size)
    return np.stack([at, one, two]), int(np.count_nonzero(~both))


def derivative_weights(offsets: Floats, frequencies: Floats) -> Floats:
    """(3, n) weights of the values at three points `offsets` (3, n) from where the derivative of a + b cos(w x) + c sin(w x) is wanted."""
    angles = (frequencies * offsets).T
    design = np.stack([np.ones_like(angles), np.cos(angles), np.sin(angles)], axis=1)
    wanted = np.stack([np.zeros_like(frequencies), np.zeros_like(frequencies), frequencies], axis=1)
    return np.linalg.solve(design, wanted[:, :, None])[:, :, 0].T
