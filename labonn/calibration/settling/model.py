"""How readings follow an actuator that rises and falls: flat until an onset, then level - drop e + bend e^2, e = exp(-(t - onset)/tau).

`bend` is what the read-out's own curve (a fringe, say) adds to a small step, to second order. Rise and fall have parameters of their own;
points of both stand side by side, those of the rise first.
"""

from __future__ import annotations

import numpy as np

from labonn.calibration.fitting import Mask
from labonn.calibration.models import Model
from labonn.calibration.starts import settling_start
from labonn.channels import Floats

UNITS = ("y", "y", "y", "s", "s")
ONE = ("level", "drop", "bend", "tau", "onset")
BOTH = tuple(f"{name}_{way}" for way in ("rise", "fall") for name in ONE)
K = len(ONE)
TAUS, ONSETS = (K - 2, 2 * K - 2), (K - 1, 2 * K - 1)  # places of tau and onset in BOTH


def one_way(parameters: Floats, t: Floats) -> tuple[Floats, Floats]:
    """((C, n) readings, (C, n, 5) derivatives) of parameters (C, 5) at seconds (C, n) after the step; before the onset they are flat."""
    level, drop, bend, tau, onset = (parameters[:, i, None] for i in range(K))
    tau = np.maximum(tau, 1e-300)
    after = t > onset
    late = np.where(after, t - onset, 0.0) / tau
    e = np.exp(-late)
    by_e = 2 * bend * e - drop
    value = level - drop * e + bend * np.square(e)
    return value, np.stack([np.ones_like(e), -e, np.square(e), by_e * e * late / tau, np.where(after, by_e * e / tau, 0.0)], axis=-1)


def both_ways(parameters: Floats, t: Floats) -> tuple[Floats, Floats]:
    """The same of parameters (C, 10) at seconds (C, 2 n), rise and fall side by side."""
    half = t.shape[1] // 2
    rise, fall = one_way(parameters[:, :K], t[:, :half]), one_way(parameters[:, K:], t[:, half:])
    slopes = np.zeros((*t.shape, 2 * K))
    slopes[:, :half, :K], slopes[:, half:, K:] = rise[1], fall[1]
    return np.concatenate([rise[0], fall[0]], axis=1), slopes


def _start(t: Floats, y: Floats, used: Mask) -> Floats:
    """Without a bend; all channels have the same times."""
    half, parts = t.shape[1] // 2, []
    for way in (slice(None, half), slice(half, None)):
        seconds = t[0, way]
        level, drop, tau, onset = settling_start(seconds[seconds > 0], y[:, way][:, seconds > 0], used[:, way][:, seconds > 0]).T
        parts.append(np.stack([level, drop, np.zeros_like(drop), tau, np.maximum(onset, 0.0)], axis=1))
    return np.concatenate(parts, axis=1)


def swing(parameters: Floats) -> Floats:
    """(C,) how far readings go when the actuator rises."""
    return np.abs(parameters[:, 1] - parameters[:, 2])


SETTLING = Model(
    "first-order-settling", 1, BOTH, UNITS * 2, both_ways, _start, swing, {"tau_rise": "tau_rise", "tau_fall": "tau_fall"}
)  # fmt: skip


def waits_s(parameters: Floats, remain: float) -> Floats:
    """(C,) seconds after which at most `remain` of a step is still to come, up or down."""
    tau, onset = parameters[:, TAUS], parameters[:, ONSETS]
    return np.asarray((np.maximum(onset, 0) + tau * np.log(1 / remain)).max(axis=1))
