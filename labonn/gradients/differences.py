"""Finite differences of the measured loss, one parameter after the other: central and forward, of all parameters or of some."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from labonn.banks import Changes, Ints
from labonn.channels import Floats
from labonn.errors import ProcedureError
from labonn.gradients.baselines import LEAST, Baselines, spread
from labonn.gradients.objective import Estimate, Estimates, Objective, measure
from labonn.gradients.spans import Span, span


def central(
    objective: Objective,
    theta: Floats,
    step: ArrayLike,
    subset: Ints | None = None,
    repeats: int = 1,
    blocked: bool = False,
    baselines: int | None = None,
    scaled: bool = True,
) -> Estimates:
    """[f(theta + D) - f(theta - D)] / 2 D of every parameter; bias D^2 f'''/6, variance sigma^2 / (2 D^2 repeats).

    Both sides of a parameter are neighbours in time, in the orders + - and - + by turns (two repeats: + - - +); slower drift than that is
    taken away by baselines between them.

    Args:
        step: D, one number or (P,); what a limit cuts is shortened, the difference taken over the true distance, and noted.
        subset: (b,) parameters drawn at random without repetition; their derivatives are scaled by P / b, the others are 0.
        blocked: all upward settings, then all downward ones, drift left in: to compare with.
        baselines: pairs of settings at theta, spread evenly; None: half the root of the number of parameters, 8 at least.
        scaled: false for a subset that was not drawn at random: its derivatives as they are.
    """
    if repeats < 1:
        raise ProcedureError(f"repeats is {repeats}; 1 or more")
    reach = span(objective, theta, step)
    chosen = _chosen(reach, subset)
    wanted = max(LEAST, round(math.sqrt(len(chosen)) / 2)) if baselines is None else baselines
    upward = np.arange(len(chosen) * repeats) % 2 == 0
    high, low = (np.repeat(side[chosen], repeats) for side in (reach.high, reach.low))
    pairs = np.stack([np.where(upward, high, low), np.where(upward, low, high)], axis=1)
    values = np.concatenate([high, low]) if blocked else pairs.ravel()
    moved = np.tile(np.repeat(chosen, repeats), 2) if blocked else np.repeat(chosen, 2 * repeats)
    times = spread(len(values), 1 if blocked else 2 * repeats, wanted)
    measured = yield from measure(objective, _bank(reach, times, moved, values))
    losses = measured.mean
    if blocked:
        above, below = losses[times.others].reshape(2, -1)
        rises = above - below
    else:
        first, second = (losses[times.others] - times.drift(losses)).reshape(-1, 2).T
        rises = np.where(upward, first - second, second - first)
    distance = (reach.high - reach.low)[chosen]
    raw = rises.reshape(-1, repeats).mean(axis=1) / distance
    sigma = times.sigma(losses)
    gradient, error = _scaled(reach, chosen, raw, sigma * math.sqrt(2 / repeats) / distance, subset if scaled else None)
    loss = float(losses[times.pairs].mean())
    return Estimate(gradient, error, times.settings, measured.shots, measured.tables, loss, sigma, reach.notes(), "central")


def forward(objective: Objective, theta: Floats, step: ArrayLike, subset: Ints | None = None, baselines: int | None = None) -> Estimates:
    """[f(theta + D) - f(theta)] / D of every parameter; bias D f''/2, variance 1 + 1/3 times sigma^2 / D^2 on average.

    f(theta) is interpolated in time between pairs of baselines, so that slow drift cancels.

    Args:
        step: D, one number or (P,); where there is more room below theta the difference goes downward, and that is noted.
        subset: as for `central`.
        baselines: pairs of settings at theta, spread evenly; None: one about every sqrt(P) settings, 8 at least.
    """
    reach = span(objective, theta, step)
    chosen = _chosen(reach, subset)
    wanted = max(LEAST, math.ceil(math.sqrt(len(chosen))) + 1) if baselines is None else baselines
    values = np.where(reach.up(), reach.high, reach.low)[chosen]
    times = spread(len(chosen), 1, wanted)
    measured = yield from measure(objective, _bank(reach, times, chosen, values))
    losses = measured.mean
    distance = values - reach.theta[chosen]
    raw = (losses[times.others] - times.drift(losses)) / distance
    sigma = times.sigma(losses)
    gradient, error = _scaled(reach, chosen, raw, sigma * np.sqrt(1 + times.drift_variance()) / np.abs(distance), subset)
    loss = float(losses[times.pairs].mean())
    return Estimate(gradient, error, times.settings, measured.shots, measured.tables, loss, sigma, reach.forward_notes(), "forward")


def _chosen(reach: Span, subset: Ints | None) -> Ints:
    """Parameters to move."""
    if subset is None:
        return np.flatnonzero(reach.free)
    wanted, count = np.asarray(subset), len(reach.theta)
    if wanted.ndim != 1 or len(wanted) == 0 or not np.issubdtype(wanted.dtype, np.integer):
        raise ProcedureError(f"subset is a (b,) array of integers, not {wanted.dtype}{list(wanted.shape)}")
    if wanted.min() < 0 or wanted.max() >= count or len(np.unique(wanted)) < len(wanted):
        raise ProcedureError(f"subset names parameters {wanted.min()} to {wanted.max()}; each of 0 to {count - 1} may be named once")
    chosen = wanted[reach.free[wanted]]
    if len(chosen) == 0:
        raise ProcedureError("no parameter of the subset can move: every lower limit is the upper limit")
    return np.asarray(chosen)


def _bank(reach: Span, times: Baselines, moved: Ints, values: Floats) -> Changes:
    """One change a setting; a baseline changes parameter 0 to what it is."""
    channels = np.zeros((times.settings, 1), dtype=np.int64)
    changed = np.full((times.settings, 1), reach.theta[0])
    channels[times.others, 0], changed[times.others, 0] = moved, values
    return Changes(reach.theta, channels, changed)


def _scaled(reach: Span, chosen: Ints, raw: Floats, noise: Floats, subset: Ints | None) -> tuple[Floats, Floats]:
    """(P,) gradient and standard error of the whole from derivatives of the chosen parameters and their noise.

    With a subset drawn at random a component is P/b times its derivative with probability b/P: variance (P/b - 1) g^2 + (P/b) noise^2, with
    the mean of g^2 over the subset for all, as the unmeasured ones are not known.
    """
    count = len(reach.theta)
    scale = 1.0 if subset is None else count / len(subset)
    gradient, variance = np.zeros(count), np.zeros(count)
    gradient[chosen] = scale * raw
    variance[reach.free] = np.mean(noise**2)
    variance[chosen] = noise**2
    squares = max(float(np.mean(raw**2 - noise**2)), 0.0)
    error = np.where(reach.free, np.sqrt((scale - 1) * squares + scale * variance), 0.0)
    return gradient, error
