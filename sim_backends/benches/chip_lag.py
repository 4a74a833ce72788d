"""Settings that follow one another faster than their actuators settle: what detectors read on the way from one to the next.

To first order in a step, what a detector reads moves on the same exponential as the actuators; the error is of second order in the
step, and weighted with q (1 - q), q being the share of the way that is still to come.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Fields = NDArray[Any]
NEGLIGIBLE = 1e-6  # of a step
SHORT = 1e-4  # left over at the end of a slot, below which only the setting before counts


def delayed(settled: Fields, before: Fields, left: Fields, at_end: Fields) -> Fields:
    """(S, B, D) readings on the way, from those of settled actuators.

    Args:
        settled: (S, B, D). before: (B, D) of the setting before the first one. left: (S, B) share of the step that is still to come at
            every shot. at_end: (S,) the same at the end of every setting.
    """
    states = np.empty((len(settled) + 1, *before.shape), settled.dtype)
    states[0] = before
    r = float(at_end[0])
    if len(at_end) > 1 and not np.allclose(at_end, r, rtol=1e-9, atol=1e-12):
        for k, share in enumerate(at_end.astype(settled.dtype)):
            states[k + 1] = settled[k] + share * (states[k] - settled[k])
    else:
        states[1:] = lfilter([1 - r], [1, -r], settled, axis=0, zi=r * before[None])[0]
    share = left.astype(settled.dtype)[:, :, None]
    return np.asarray(settled + share * (states[:-1] - settled))


def with_lag(
    read: Callable[[bool], dict[str, Fields]], before: Callable[[], dict[str, Fields]], left: Fields, at_end: Fields,
    alike: Callable[[], dict[str, Fields]] | None,
) -> dict[str, Fields]:  # fmt: skip
    """port -> (S, B, D) readings with lag.

    Args:
        read: of settled actuators, (S, B, D) a port; with noise or without. before: (1, B, D) without noise, of the setting before.
        left, at_end: as of `delayed`. alike: as `read`, without noise, with the same light in all settings, where `read` has not: only
            actuators lag, and only they may differ between what is mixed. None: the light of `read` is the same in all.
    """
    readings = read(True)
    late = left > NEGLIGIBLE
    if not late.any():
        return readings
    first = before()
    if alike is None and at_end.max() < SHORT:
        shots = np.flatnonzero(late.any(axis=0))[-1] + 1
        for port, volts in readings.items():
            head = volts[:, :shots]
            earlier = np.concatenate([first[port][:, :shots], head[:-1]])
            volts[:, :shots] = head + left[:, :shots, None].astype(volts.dtype) * (earlier - head)
        return readings
    settled = read(False) if alike is None else alike()
    for port, volts in readings.items():
        volts += delayed(settled[port], first[port][0], left, at_end) - settled[port]
    return readings
