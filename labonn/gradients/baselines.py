"""Unperturbed settings spread among others: pairs of neighbours that measure noise, loss and slow drift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labonn.banks import Ints
from labonn.channels import Floats
from labonn.errors import ProcedureError

LEAST = 8  # pairs: sigma is then known to a quarter


@dataclass(frozen=True)
class Baselines:
    """Places in time.

    Attributes:
        pairs: (K, 2) settings that are theta itself, the first and the last of the table among them. others: (n,) all the rest, in order.
    """

    pairs: Ints
    others: Ints

    @property
    def settings(self) -> int:
        return self.pairs.size + len(self.others)

    def sigma(self, losses: Floats) -> float:
        """Standard deviation of one evaluation; only changes faster than from one setting to the next count, so drift does not."""
        first, second = losses[self.pairs].T
        return float(np.std(second - first, ddof=1) / np.sqrt(2))

    def drift(self, losses: Floats) -> Floats:
        """(n,) loss at theta at the times of the other settings, interpolated."""
        return np.asarray(np.interp(self.others, self.pairs.mean(axis=1), losses[self.pairs].mean(axis=1)))

    def drift_variance(self) -> Floats:
        """(n,) variance of `drift`, in units of sigma squared."""
        times = self.pairs.mean(axis=1)
        after = np.clip(np.searchsorted(times, self.others), 1, len(times) - 1)
        weight = (self.others - times[after - 1]) / (times[after] - times[after - 1])
        return np.asarray((weight**2 + (1 - weight) ** 2) / 2)


def spread(count: int, group: int, pairs: int) -> Baselines:
    """`pairs` pairs spread evenly among `count` other settings, of which each `group` neighbours stay together."""
    if pairs < 3:
        raise ProcedureError(f"{pairs} pairs of baselines; sigma needs 3 or more")
    groups = count // group
    gaps = np.round(np.arange(pairs) * groups / (pairs - 1)).astype(np.int64)
    others = np.arange(count) + 2 * np.searchsorted(gaps, np.arange(count) // group, side="right")
    starts = gaps * group + 2 * np.arange(pairs)
    return Baselines(starts[:, None] + np.arange(2), others)
