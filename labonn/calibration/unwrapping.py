"""Phases from folded fringes: I = offset - amplitude cos(phase), where the phase only grows, unwrapped at the extrema."""

from __future__ import annotations

import numpy as np

from labonn.channels import Floats

BAND = 0.25  # of the half swing around the middle: only a crossing of the whole band is the next half turn
NOISE = 0.02  # of the half swing


def unwrapped(y: Floats, low: Floats | None = None, high: Floats | None = None, noise: float = NOISE) -> Floats:
    """(C, n) phases in radians, beginning between 0 and 2 pi, of fringes (C, n) whose phase grows by less than half a turn a point.

    Args:
        low, high: (C,) of the fringes; None: the lowest and highest points. noise: in half swings; how far a fringe has to turn back at
            an end of the record to have turned there.
    """
    y = np.asarray(y, np.float64)
    low = y.min(axis=1) if low is None else low
    high = y.max(axis=1) if high is None else high
    half = np.maximum(0.5 * (high - low), 1e-300)
    level = np.clip((y - 0.5 * (high + low)[:, None]) / half[:, None], -1, 1)
    folded = np.arccos(-level)  # 0 at the lowest, pi at the highest
    turns = _turns(level, noise)
    phase = np.pi * turns + np.where(np.mod(turns, 2) == 1, np.pi - folded, folded)
    return np.asarray(phase - 2 * np.pi * np.floor(phase[:, :1] / (2 * np.pi)))


def _turns(level: Floats, noise: float) -> Floats:
    """(C, n) extrema at or before every point, 1 more for fringes that begin by falling: even while rising, odd while falling."""
    channels, points = level.shape
    rows = np.arange(channels)
    turned = np.zeros((channels, points))
    side, where = np.zeros(channels), np.zeros(channels, np.intp)  # of the band; the farthest point on this side
    begins_falling = level[:, -1] < level[:, 0]
    for n in range(points):
        now = level[:, n]
        beyond = np.where(now > BAND, 1.0, np.where(now < -BAND, -1.0, 0.0))
        known, fresh = side != 0, (side == 0) & (beyond != 0)
        crossed = known & (beyond == -side)
        first = crossed & ~turned.any(axis=1)
        begins_falling = np.where(first, side < 0, begins_falling)
        at_once = first & (np.abs(level[rows, where] - level[:, 0]) <= noise)  # it began on the far side of its extremum
        turned[rows[crossed], np.where(at_once, 0, where)[crossed]] += 1
        side = np.where(crossed | fresh, beyond, side)
        farther = (side * now > side * level[rows, where]) | crossed | fresh
        where = np.where(farther, n, where)
    back = (side != 0) & (np.abs(level[rows, where] - level[:, -1]) > noise)
    once = back & ~turned.any(axis=1)  # less than half a turn, around one extremum
    begins_falling = np.where(once, side < 0, begins_falling)
    turned[rows[back], where[back]] += 1
    return np.asarray(np.cumsum(turned, axis=1) + begins_falling[:, None])
