"""Shot tables as a Keysight 33500 takes them: codes and volts of its converter, binary blocks, waveforms and sequences; pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.channels import Floats
from labonn.shots import Ints

Codes = NDArray[np.int16]
FULL = 32767  # code of half the amplitude above the offset
MOST_REPEATS = 1_000_000
MARKER = "maintain,4"


@dataclass(frozen=True)
class Scale:
    """What full-scale codes are in volts: (C,) peak-to-peak amplitudes and offsets."""

    vpp: Floats
    offset_v: Floats

    def codes(self, rows: Floats) -> Codes:
        """(K, C) codes of rows in volts."""
        return np.rint((rows - self.offset_v) * (2 * FULL / self.vpp)).clip(-FULL, FULL).astype("<i2")


def scale_of(rows: Floats, lower: Floats, upper: Floats, least_vpp: float) -> Scale:
    """The scale by which `rows` use all codes, and no code is outside the limits.

    The manual says both that full-scale codes are half the amplitude and that the amplitude counts from the data's own extremes. With
    all codes in use the two are the same. Rows closer together than the least amplitude use fewer.
    """
    low, high = rows.min(axis=0), rows.max(axis=0)
    vpp = np.maximum(high - low, least_vpp)
    return Scale(vpp, np.clip((low + high) / 2, lower + vpp / 2, upper - vpp / 2))


def same(a: Scale, b: Scale) -> bool:
    """Whether two scales are one."""
    return bool(np.array_equal(a.vpp, b.vpp) and np.array_equal(a.offset_v, b.offset_v))


def block(data: bytes) -> bytes:
    """A definite-length block (IEEE 488.2, 7.7.6)."""
    length = b"%d" % len(data)
    return b"#%d%s" % (len(length), length) + data


def arb(channel: int, name: str, codes: Codes) -> bytes:
    """The command that loads a waveform, least significant byte first (FORMat:BORDer SWAPped)."""
    return f":SOUR{channel}:DATA:ARB:DAC {name},".encode() + block(np.ascontiguousarray(codes, "<i2").tobytes())


def expanded(codes: Codes, order: Ints, points: int, least: int) -> Codes:
    """One channel's shots, `points` samples each, and behind them its first shot again until there are `least` samples, once at least.

    The first sample is the level at which a burst waits, the last one that at which it ends: both are the first shot's.
    """
    samples = np.repeat(codes[order], points)
    return np.append(samples, np.full(max(1, least - samples.size), samples[0], samples.dtype))


def runs(order: Ints) -> tuple[Ints, Ints]:
    """(rows, how often each is repeated) of an order, none more often than a step of a sequence can."""
    starts = np.append(0, np.flatnonzero(np.diff(order)) + 1)
    counts = np.diff(np.append(starts, len(order)))
    steps = -(-counts // MOST_REPEATS)
    rows = np.repeat(order[starts], steps)
    full = np.full(len(rows), MOST_REPEATS)
    full[np.cumsum(steps) - 1] = counts - (steps - 1) * MOST_REPEATS
    return rows, full


def sequence(channel: int, name: str, rows: Ints, counts: Ints) -> bytes:
    """The command that puts waveforms r0, r1, … in order: the first waits for the trigger, then each is repeated so often."""
    steps: list[Any] = [f'"{name}"', f'"r{rows[0]}",1,onceWaitTrig,{MARKER}']
    steps += [f'"r{row}",{count},repeat,{MARKER}' for row, count in zip(rows.tolist(), counts.tolist(), strict=True)]
    return f":SOUR{channel}:DATA:SEQ ".encode() + block(",".join(steps).encode())
