"""An order of shots as one period of a Red Pitaya's waveform memory: frequency, samples, text; pure functions."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from drivers.redpitaya import BUFFER, CLOCK_S
from labonn.channels import Floats

FRACTION = 65536  # of a sample is the step of the phase counter
FASTEST = 62.5e6 * CLOCK_S * BUFFER * FRACTION
FEWEST = 10  # samples a shot, so that it never begins late by more than a fifth of it


def played(shots: int, dwell_s: float) -> tuple[float, NDArray[np.int64]]:
    """(frequency in Hz that the phase counter can make exactly, (16384,) which shot each sample belongs to).

    Every shot begins at the first sample that starts in it, so never early.

    Raises:
        ValueError: the shots are too long for the slowest step, or shorter than a clock.
    """
    clocks = dwell_s / CLOCK_S
    step = math.floor(min(BUFFER // shots * FRACTION / clocks * (1 + 1e-12), FASTEST))
    if clocks < 1 - 1e-9 or step < 1:
        longest = BUFFER // shots * FRACTION * CLOCK_S
        raise ValueError(f"a shot of {dwell_s:g} s is outside {CLOCK_S:g} to {longest:.4g} s, {shots} of them in {BUFFER} samples")
    began = np.arange(BUFFER) * (FRACTION / step)
    return step / (BUFFER * FRACTION * CLOCK_S), np.minimum(np.floor(began / clocks + 1e-9), shots - 1).astype(np.int64)


def waveform(rows: Floats, index: NDArray[np.int64], full_scale_v: float) -> str:
    """Samples of -1 to 1 with five digits, comma-separated, from one value a shot."""
    texts = np.array([f"{value:.5f}" for value in (rows / full_scale_v).tolist()])
    return ",".join(texts[index].tolist())


def burst(
    rows: Floats, idle: Floats, index: NDArray[np.int64], frequency: float, full_scale_v: float, external: bool
) -> list[str]:
    """Commands from the generator's reset, which also ends whatever plays, to a burst of one cycle that waits at the `idle` volts."""
    commands = ["GEN:RST"]
    for n, level in enumerate(idle / full_scale_v, 1):
        data = waveform(rows[:, n - 1], index, full_scale_v)
        settings = [f"FREQ:FIX {frequency:.9g}", "VOLT:OFFS 0", "VOLT 1", "BURS:STAT BURST", "BURS:NCYC 1", "BURS:NOR 1"]
        settings += [f"INITVALUE {level:.5f}", f"BURS:LASTVALUE {level:.5f}", f"TRIG:SOUR {'EXT_PE' if external else 'INT'}"]
        commands += [f"SOUR{n}:{setting}" for setting in ("FUNC ARBITRARY", f"TRAC:DATA:DATA {data}", *settings)]
    return commands
