"""Where to begin: parameters in the right basin, for all channels at once, from data that fold, settle, or are mostly noise."""

from __future__ import annotations

import numpy as np

from labonn.calibration.fitting import Mask
from labonn.channels import Floats

FREQUENCIES = 96
LONGEST = 3.0  # times the span: the longest half period that is looked for
TINY = 1e-300


def fringe_start(x: Floats, y: Floats, used: Mask | None = None, longest: float = LONGEST, frequencies: int = FREQUENCIES) -> Floats:
    """(C, 4) offset, amplitude (positive), half period and phase of y = offset + amplitude cos(pi x / half + phase).

    A least-squares periodogram: for each of so many half periods, from `longest` times the span of x down to two mean spacings of its
    different values, offset and both quadratures are solved for, and the best is taken. Nothing has to be sorted, or equally spaced.

    Args:
        x, y: (C, n) points, or (n,) x for all channels. used: (C, n) points to use.
    """
    y = np.asarray(y, np.float64)
    x = np.broadcast_to(np.asarray(x, np.float64), y.shape)
    weight = np.ones_like(y) if used is None else used.astype(np.float64)
    y = np.where(weight > 0, y, 0.0)
    centre, span, spacing = _extent(x)
    u = x - centre[:, None]
    low, high = 1 / (longest * span), 0.5 / spacing
    best = np.full(len(y), np.inf)
    found = np.zeros((len(y), 4))
    for part in np.linspace(0, 1, frequencies):
        rate = np.pi * (low + part * np.maximum(high - low, 0))
        coefficients, left = _quadratures(u * rate[:, None], y, weight)
        wins = left < best * (1 - 1e-9)
        best = np.where(wins, left, best)
        offset, cos, sin = coefficients.T
        phase = np.arctan2(-sin, cos) - rate * centre
        here = np.stack([offset, np.hypot(cos, sin), np.pi / rate, phase], axis=1)
        found = np.where(wins[:, None], here, found)
    found[:, 3] = np.mod(found[:, 3] + np.pi, 2 * np.pi) - np.pi
    return found


def settling_start(t: Floats, y: Floats, used: Mask | None = None, steps: int = 24) -> Floats:
    """(C, 4) level, drop, tau and onset of y = level - drop exp(-(t - onset)/tau), flat before the onset.

    For onsets and time constants on a grid over the record, level and drop are solved for, and the best pair is taken.

    Args:
        t: (n,) seconds, rising. y: (C, n).
    """
    y = np.asarray(y, np.float64)
    weight = np.ones_like(y) if used is None else used.astype(np.float64)
    y = np.where(weight > 0, y, 0.0)
    span, spacing = float(t[-1] - t[0]), float(np.diff(t).mean())
    best, found = np.full(len(y), np.inf), np.zeros((len(y), 4))
    for onset in np.concatenate([[0.0], np.linspace(spacing, 0.6 * span, steps)]) + t[0]:
        for tau in np.geomspace(spacing / 3, 2 * span, steps):
            shape = np.exp(-np.maximum(t - onset, 0) / tau)
            level, drop, left = _line(np.broadcast_to(shape, y.shape), y, weight)
            wins = left < best * (1 - 1e-9)
            best = np.where(wins, left, best)
            here = np.stack([level, -drop, np.full_like(level, tau), np.full_like(level, onset)], axis=1)
            found = np.where(wins[:, None], here, found)
    return found


def settling(parameters: Floats, t: Floats) -> tuple[Floats, Floats]:
    """level - drop exp(-(t - onset)/tau), flat before the onset; a curve for `fit`. Wait onset + 4 tau."""
    level, drop, tau, onset = (parameters[:, i, None] for i in range(4))
    after = t > onset
    late = np.where(after, t - onset, 0.0) / tau
    shape = np.exp(-late)
    by_tau = -drop * shape * late / tau
    by_onset = np.where(after, -drop * shape / tau, 0.0)
    return level - drop * shape, np.stack([np.ones_like(shape), -shape, by_tau, by_onset], axis=-1)


def _extent(x: Floats) -> tuple[Floats, Floats, Floats]:
    """(C,) middle, span and mean spacing of the different values of x."""
    ordered = np.sort(x, axis=1)
    span = ordered[:, -1] - ordered[:, 0]
    steps = (np.diff(ordered, axis=1) > 1e-9 * np.maximum(span, TINY)[:, None]).sum(axis=1)
    span = np.where(span > 0, span, 1.0)
    return 0.5 * (ordered[:, -1] + ordered[:, 0]), span, span / np.maximum(steps, 1)


def _quadratures(angle: Floats, y: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """((C, 3) offset, cosine and sine, (C,) what they leave) of weighted least squares."""
    basis = np.stack([np.ones_like(angle), np.cos(angle), np.sin(angle)], axis=-1)
    weighted = basis * weight[..., None]
    normal = np.einsum("cni,cnj->cij", weighted, basis)
    normal += 1e-12 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(3) + TINY * np.eye(3)
    right = np.einsum("cni,cn->ci", weighted, y)
    coefficients = np.linalg.solve(normal, right[..., None])[..., 0]
    left = np.square(y - np.einsum("cni,ci->cn", basis, coefficients))
    return coefficients, (left * weight).sum(axis=1)


def _line(shape: Floats, y: Floats, weight: Floats) -> tuple[Floats, Floats, Floats]:
    """(level, factor, what they leave) of y = level + factor shape."""
    total = np.maximum(weight.sum(axis=1), TINY)
    mean_s, mean_y = (weight * shape).sum(axis=1) / total, (weight * y).sum(axis=1) / total
    s, d = shape - mean_s[:, None], y - mean_y[:, None]
    power = (weight * s * s).sum(axis=1)
    factor = (weight * s * d).sum(axis=1) / np.maximum(power, TINY)
    left = (weight * np.square(d - factor[:, None] * s)).sum(axis=1)
    return mean_y - factor * mean_s, np.where(power > TINY, factor, 0.0), left
