"""Which samples of a Red Pitaya's record belong to which shot: decimation, margins, windows; pure functions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.redpitaya import BUFFER, CLOCK_S

DECIMATIONS = [2**n for n in range(17)]
MARGIN = 8  # samples before the trigger, so that one more or less is seen in the positions
RECORD = BUFFER - 2 * MARGIN


@dataclass(frozen=True)
class Windows:
    """Which samples belong to which shot: `first` to before `end`, (T,), counted from the trigger; `decimation` gives their distance."""

    decimation: int
    first: NDArray[np.int64]
    end: NDArray[np.int64]


def windows(shots: int, dwell_s: float, settle: float, delay_s: float) -> Windows:
    """Samples inside each shot at the finest decimation whose record holds all of them.

    Raises:
        ValueError: the record is too long for any, or a shot too short for a sample.
    """
    clocks = (delay_s + shots * dwell_s) / CLOCK_S
    decimation = next((d for d in DECIMATIONS if clocks <= RECORD * d * (1 + 1e-12)), None)
    if decimation is None:
        raise ValueError(f"{shots} shots of {dwell_s:g} s are more than a record's {RECORD * DECIMATIONS[-1] * CLOCK_S:.4g} s")
    sample_s, start_s = decimation * CLOCK_S, delay_s + np.arange(shots) * dwell_s
    first = np.ceil((start_s + settle * dwell_s) / sample_s - 1e-6).astype(np.int64)
    end = np.floor((start_s + dwell_s) / sample_s + 1e-6).astype(np.int64)
    if np.any(end <= first):
        read_s = (1 - settle) * dwell_s
        raise ValueError(f"of a shot of {dwell_s:g} s, {read_s:g} s are read, without a whole sample of {sample_s:g} s; two should fit")
    return Windows(decimation, first, end)
