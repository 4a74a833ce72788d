"""What a channel of a Keysight 33500 puts out: standard functions, arbitrary waveforms and sequences as arrays over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import max_len_seq

from sim_backends.firmware.keysight33500_arbs import Codes
from sim_backends.firmware.keysight33500_limits import FULL_CODE
from sim_backends.firmware.keysight33500_memory import Memory, Sequence, Step

Floats = NDArray[np.float64]
ENDLESS = ("repeatInf", "repeatTilTrig")
WAITS = ("onceWaitTrig", *ENDLESS)
PRBS_BITS = (7, 9, 11, 15, 20, 23)


def standard(function: str, cycles: Floats, settings: Mapping[str, Any], random: np.random.Generator) -> Floats:
    """-1 to 1 of a standard function, `cycles` periods after its phase 0."""
    x = cycles - np.floor(cycles)
    if function == "SIN":
        return np.asarray(np.sin(2 * np.pi * x))
    if function == "SQU":
        return np.where(x < settings["duty"] / 100, 1.0, -1.0)
    if function in ("RAMP", "TRI"):
        return ramp(x, 0.5 if function == "TRI" else settings["symmetry"] / 100)
    if function == "PULS":
        period = settings["period"]
        return pulse(x, settings["width"] / period, settings["lead"] / period, settings["trail"] / period)
    if function == "NOIS":
        return np.asarray(np.clip(random.standard_normal(x.shape) / 3.0, -1, 1))
    return np.zeros_like(x)


def ramp(x: Floats, symmetry: float) -> Floats:
    """Phase 0 is where it crosses zero going up; rises during `symmetry` of a period."""
    rise = symmetry / 2
    x = (x + rise) - np.floor(x + rise)
    up = 2 * x / symmetry - 1 if symmetry else np.full_like(x, -1.0)
    down = 1 - 2 * (x - symmetry) / (1 - symmetry) if symmetry < 1 else np.full_like(x, 1.0)
    return np.where(x < symmetry, up, down)


def pulse(x: Floats, width: float, lead: float, trail: float) -> Floats:
    """Phase 0 is where the leading edge begins; edges are from 10 to 90 %, the width from half to half, all in periods."""
    lead, trail = lead / 0.8, trail / 0.8
    ends = lead / 2 + width - trail / 2
    return np.asarray(np.interp(x, [0.0, lead, max(ends, lead), max(ends, lead) + trail], [-1.0, 1.0, 1.0, -1.0]), np.float64)


def prbs(times: Floats, bits: int, rate: float) -> Floats:
    """The pseudo-random sequence of `bits` stages, a bit every 1/`rate`."""
    chips = max_len_seq(bits)[0]
    return np.asarray(2.0 * chips[np.floor(times * rate).astype(np.int64) % len(chips)] - 1)


def arb(times: Floats, codes: Codes, rate: float, cycles: float) -> Floats:
    """-1 to 1 of a waveform that starts at 0 and lasts so many cycles; outside of them its first sample."""
    at = np.floor(times * rate)
    playing = (at >= 0) & (at < cycles * codes.size)
    index = np.where(playing, at, 0).astype(np.int64) % codes.size
    return codes[index] / FULL_CODE


def path_from(sequence: Sequence, first: int) -> tuple[list[Step], int]:
    """(steps played from step `first` on until one of them waits or repeats for ever, that step; -1: the sequence goes round for ever)."""
    count = len(sequence.steps)
    played = []
    for i in range(count):
        at = (first + i) % count
        played.append(sequence.steps[at])
        if sequence.steps[at].control in WAITS:
            return played, at
    return played, -1


def played(times: Floats, steps: list[Step], memory: Memory, rate: float, round_: bool) -> Floats:
    """-1 to 1 of steps that start at 0, before that their first sample; `round_`: again and again, else the last one holds or repeats."""
    arbs = {name: memory.arbs[name] for name in dict.fromkeys(step.arb for step in steps)}
    starts = dict(zip(arbs, np.cumsum([0, *(codes.size for codes in arbs.values())]).tolist(), strict=False))
    store = np.concatenate(list(arbs.values()))
    sizes = np.array([arbs[step.arb].size for step in steps])
    lasts = sizes * [step.repeats if step.control == "repeat" else 1 for step in steps]
    edges = np.concatenate([[0], np.cumsum(lasts)])
    at = np.floor(np.minimum(np.maximum(times * rate, 0), 2.0**62)).astype(np.int64)
    at = at % edges[-1] if round_ else at
    step = np.minimum(np.searchsorted(edges, at, side="right") - 1, len(steps) - 1)
    inside = at - edges[step]
    beyond = at >= edges[-1]
    held = sizes[step] - 1 if steps[-1].control == "onceWaitTrig" else inside % sizes[step]
    sample = np.where(beyond, held, inside % sizes[step])
    return np.asarray(store[np.array([starts[s.arb] for s in steps])[step] + sample] / FULL_CODE)
