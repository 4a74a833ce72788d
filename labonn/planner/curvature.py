"""Slopes and higher derivatives from perturbations of several sizes: as large as the noise asks for, as small as a cubic allows."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass

import numpy as np

from labonn.channels import Floats
from labonn.planner.powers import TINY, Curve, Power, Sigma, power
from labonn.planner.probes import Halves
from labonn.shots import Readings, ShotTable

CERTAIN = 4.0  # of changes of slopes, which are looked for at several steps: one that is not there would make all steps too small
RUNGS = 8
SHARE = 0.1  # of the slope that the cubic term may make at the smaller step; beyond, orders above the third count too
CHANGE = 5 / 8  # variance of the change of a slope from step h to 2 h, in sigma^2 / h^2
RICHARDSON = 65 / 36  # variance of a slope from both, against that from h
SECOND = 5 / 6  # variance of the second derivative / 2, in sigma^2 / h^4, the interpolated loss at the point included


@dataclass(frozen=True)
class Shape:
    """The loss along n lines through the point, per unit of the step.

    Attributes:
        slopes: (n,) first derivatives; the variance of their noise is `factor` sigma^2. slope: their mean square.
        images: that of each image by itself.
        both, one: errors of slopes from differences to both sides, and to one side.
        second: mean square of half the second derivative. spread: its variance over lines.
        step: the largest that was played. start: the smallest that showed the third derivative.
    """

    slopes: Floats
    factor: float
    slope: Power
    images: float
    both: Curve
    one: Curve
    second: Power
    spread: Power
    step: float
    start: float


Found = Mapping[float, Halves]
Play = Callable[[float], Generator[ShotTable, Readings, Halves]]


def climb(play: Play, start: float, reach: float, smallest: float, sigma: Sigma) -> Generator[ShotTable, Readings, Shape]:
    """Play steps, doubled until the third derivative is seen or `reach` ends it, halved while the loss is no cubic."""
    low = max(min(start, reach / 2), min(smallest, reach / 2))
    found: dict[float, Halves] = {}
    for step in (low, 2 * low):
        found[step] = yield from play(step)
    for _ in range(RUNGS):
        changes, slope = _changes(found, sigma), power(found[low].odd / low, sigma, 1 / (2 * low**2))
        visible = slope.seen and slope.value > 2 * sigma.value**2 / low**2
        if changes[low].seen and changes[low].value > (3 * SHARE) ** 2 * slope.value and visible and low / 2 >= smallest:
            low /= 2
            found[low] = yield from play(low)
        elif not any(change.seen for change in changes.values()) and 2 * max(found) <= reach * (1 + 1e-9):
            top = 2 * max(found)
            found[top] = yield from play(top)
        else:
            break
    return shape_of(found, sigma)


def shape_of(found: Found, sigma: Sigma) -> Shape:
    """Derivatives from the smallest steps that show them, bounds from the largest."""
    steps, changes = np.array(sorted(found)), _changes(found, sigma)
    step = next((low for low in changes if changes[low].seen), float(steps[-1]))
    scale = 1.0
    slopes = found[step].odd / step
    if 2 * step in found:  # the third order is taken off
        slopes, scale = (4 * slopes - found[2 * step].odd / (2 * step)) / 3, RICHARDSON
    factor = scale / (2 * step**2)
    slope = power(slopes, sigma, factor)
    for low in (h for h in steps if h < step):  # what saturates at larger steps is too small there
        smaller = power(found[low].odd / low, sigma, 1 / (2 * low**2))
        slope = smaller if smaller.seen and smaller.value > slope.value else slope
    images = float(np.mean((found[step].images / step) ** 2)) - sigma.image**2 / (2 * step**2)
    seconds = [power(found[h].even / h**2, sigma, SECOND / h**4, tamed=True) for h in steps]
    spreads = [power(_apart(found[h].even) / h**2, sigma, 1 / (2 * h**4)) for h in steps]
    both = _both(steps, changes)
    return Shape(
        slopes, factor, slope, max(images, slope.value), both, _one(steps, seconds, both), _first_seen(seconds), _first_seen(spreads),
        float(steps[-1]), step,
    )  # fmt: skip


def _changes(found: Found, sigma: Sigma) -> dict[float, Power]:
    """Step h -> mean square of what slopes change by from h to 2 h: h^2 / 2 of the third derivative, of a cubic."""
    pairs = [h for h in sorted(found) if 2 * h in found]
    return {h: power(found[2 * h].odd / (2 * h) - found[h].odd / h, sigma, CHANGE / h**2, CERTAIN, True) for h in pairs}


def _both(steps: Floats, changes: Mapping[float, Power]) -> Curve:
    """Errors are the sum of all changes from small steps up; below the smallest the law is that of a cubic.

    A square that is barely seen is at most that of the next larger step, one that is not seen at most half of it, where a cubic has a
    sixteenth: if waves are steep, a few parameters saturate early, and a cubic through larger steps would have that far too small.
    """
    squares: list[float] = []
    for change in reversed(list(changes.values())):
        most = np.inf if change.far or not squares else squares[-1] * (1.0 if change.seen else 0.5)
        squares.append(min(change.safe, most))
    roots = np.sqrt(np.maximum(squares[::-1], TINY))
    return Curve(steps, np.concatenate([[roots[0] / 3], roots[0] / 3 + np.cumsum(roots)]), 2)


def _one(steps: Floats, seconds: list[Power], both: Curve) -> Curve:
    """Half the second derivative times the step, and the error of both sides; what is not seen is in proportion to the next larger step."""
    squares: list[float] = []
    for h, second in zip(steps[::-1], seconds[::-1], strict=True):
        bound = second.safe * h**2
        squares.append(bound if second.seen or not squares else min(bound, squares[-1]))
    return Curve(steps, np.sqrt(np.array(squares[::-1]) + both.errors**2), 1)


def _apart(values: Floats) -> Floats:
    """Differences from the mean, with the variance of the values."""
    return np.asarray((values - values.mean()) * math.sqrt(len(values) / max(len(values) - 1, 1)))


def _first_seen(powers: list[Power]) -> Power:
    return next((p for p in powers if p.seen), powers[-1])
