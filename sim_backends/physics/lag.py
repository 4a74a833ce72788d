"""First-order lag of slow actuators: the exact exponential answer to drives that are constant within slots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import lfilter

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Lag:
    """tau dx/dt = target - x; `tau_s` 0 is immediate."""

    tau_s: float

    def after(self, start: ArrayLike, targets: ArrayLike, elapsed_s: ArrayLike) -> Float64:
        """(…, K) values at times `elapsed_s` (…) after the targets (K,) were set with the actuators at `start` (K,)."""
        left, goal = self.left(np.asarray(elapsed_s, np.float64))[..., None], np.asarray(targets, np.float64)
        return np.asarray(goal + left * (np.asarray(start, np.float64) - goal))

    def starts(self, start: ArrayLike, targets: Float64, slot_s: float) -> Float64:
        """(S + 1, K) values at the beginning of every slot, and at the end of the last.

        Args:
            start: (K,) before the first slot. targets: (S, K), each for `slot_s` seconds.
        """
        first, r = np.asarray(start, np.float64), float(self.left(np.asarray(slot_s)))
        if not len(targets):
            return first[None].copy()
        out = np.empty((len(targets) + 1, targets.shape[1]))
        out[0] = first
        out[1:] = lfilter([1 - r], [1, -r], targets, axis=0, zi=r * first[None])[0]
        return out

    def slots(self, start: ArrayLike, targets: Float64, slot_s: float, sample_s: ArrayLike) -> tuple[Float64, Float64]:
        """(S, n, K) values at times `sample_s` (n,) after the beginning of every slot, and (K,) at the end of the last."""
        begun = self.starts(start, targets, slot_s)
        left = self.left(np.asarray(sample_s, np.float64))[:, None]
        away = begun[:-1] - targets
        return targets[:, None, :] + left * away[:, None, :], begun[-1]

    def left(self, elapsed_s: Float64) -> Float64:
        """The share of a step that is still to come after `elapsed_s`."""
        if np.any(elapsed_s < 0):
            raise ValueError(f"a lag at {np.min(elapsed_s):g} s after a step; allowed is 0 s and more")
        return np.exp(-elapsed_s / self.tau_s) if self.tau_s else np.zeros_like(elapsed_s)
