"""Where the actuators of a chip lie, and how much heat of each reaches its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

Stage = Sequence[Any] | int


def positions(stages: Sequence[Stage], per_coupler: int = 1) -> NDArray[np.float64]:
    """(P, 2) column and row of every actuator in pitches, stages one behind the other.

    Args:
        stages: in the order of the light; of a mesh its layout, which is the upper port of every coupler of each column (the actuator
            lies between two ports), of a column of amplifiers their number.
        per_coupler: actuators of one coupler, which share its column.
    """
    places, column = list[NDArray[np.float64]](), 0
    for stage in stages:
        columns = [np.arange(stage) - 0.5] if isinstance(stage, int) else [np.asarray(tops) for tops in stage]
        count = 1 if isinstance(stage, int) else per_coupler
        for tops in columns:
            rows = np.repeat(tops + 0.5, count)
            within = np.tile((np.arange(count) + 0.5) / count - 0.5, len(tops))
            places.append(np.stack([column + within, rows], axis=1))
            column += 1
    return np.concatenate(places) if places else np.zeros((0, 2))


def crosstalk(places: ArrayLike, nearest: float, decay: float, reach: float) -> csr_array | None:
    """(P, P) nearest * exp(-d/decay) between different actuators at most `reach` pitches apart, 0 elsewhere; None without any."""
    where = np.asarray(places, np.float64)
    pairs = cKDTree(where).query_pairs(reach, output_type="ndarray") if nearest and len(where) else np.zeros((0, 2), np.intp)
    if not len(pairs):
        return None
    one, two = pairs.T
    values = nearest * np.exp(-np.linalg.norm(where[one] - where[two], axis=1) / decay)
    both = np.concatenate([one, two]), np.concatenate([two, one])
    return csr_array((np.concatenate([values, values]), both), shape=(len(where), len(where)))


def mixed(mixing: csr_array | None, own: NDArray[np.float64]) -> NDArray[np.float64]:
    """(…, P) own values with what comes from the others."""
    if mixing is None:
        return own
    rows = own.reshape(-1, own.shape[-1])
    return np.asarray(own + (mixing @ rows.T).T.reshape(own.shape))
