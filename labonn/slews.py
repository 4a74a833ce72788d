"""Slew limits: `slew = "0.5 V/s"` of a port; and whether a table of a sequenced port changes faster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.banks import Bank, Changes, Dither, Ints, arrays_of, extremes_of, rows_of
from labonn.channels import ChannelSpec, Floats, per_channel
from labonn.errors import BenchFileError, LimitError
from labonn.shares import blocks
from labonn.units import format_quantity, format_rate

SHORTEST_TICK_S, LONGEST_TICK_S = 0.05, 1.0
UNITS = ("V", "A", "W", "degC")
FEW = 16  # changes a row, up to which two sparse rows are compared without expanding them
ROUNDING = 1e-6  # of a step


@dataclass(frozen=True)
class Slew:
    """How fast a port may change.

    Attributes:
        rates: (C,) units a second. tick_s: longest time between two sets of a ramp. rule: whose limit it is.
    """

    rates: Floats
    tick_s: float
    rule: str

    def seconds(self, start: Floats, end: Floats) -> float:
        """How long the way from one row (C,) to another takes at least."""
        return float((np.abs(end - start) / self.rates).max(initial=0.0))


def slew_of(port: str, rates: Sequence[float] | None, spec: ChannelSpec, rule: str, measures: bool) -> Slew | None:
    """The slew limit of an open port; None if it has none.

    A ramp of a held port sets a row every 50 ms; every settling time of its slowest channel if that is longer, up to every second.

    Args:
        measures: whether its driver tells temperatures: an oven's ramp begins where the oven is.

    Raises:
        BenchFileError: not above zero, or nothing that could be ramped.
    """
    if rates is None:
        return None
    if spec.unit not in UNITS:
        raise BenchFileError(f"{rule}: ports.{port}.slew: the port is in {spec.unit!r}; only V, A, W and degC have a slew limit")
    if not min(rates) > 0:
        raise BenchFileError(f"{rule}: ports.{port}.slew = {min(rates):g} {spec.unit}/s: must be above zero")
    if spec.unit == "degC" and spec.depth == 1 and not measures:
        raise BenchFileError(f"{rule}: ports.{port}.slew: its driver tells no temperature, at which a ramp would begin")
    tick_s = min(max(SHORTEST_TICK_S, float(spec.settle_s.max())), LONGEST_TICK_S)
    return Slew(per_channel(rates, len(spec)), tick_s, rule)


def allowed_step(slew: Slew, dwell_s: float, magnitude: Floats, eps: float = float(np.finfo(np.float32).eps)) -> Floats:
    """(C,) largest change from one shot to the next, of values of this magnitude (C,) with this rounding."""
    return np.asarray(slew.rates * dwell_s * (1 + ROUNDING) + eps * magnitude)


def check_sequence(port: str, spec: ChannelSpec, slew: Slew, bank: Bank, order: Ints, dwell_s: float) -> None:
    """Raise LimitError if consecutive shots of a table are further apart than `slew` allows in the time of one.

    What is compared are the pairs of rows that follow one another, each once; a sparse bank's in what differs.
    """
    first = arrays_of(bank)[0]
    ends = extremes_of(bank)
    low, high = ends.min(axis=0).astype(np.float64), ends.max(axis=0).astype(np.float64)
    allowed = allowed_step(slew, dwell_s, np.maximum(np.abs(low), np.abs(high)), float(np.finfo(first.dtype).eps))
    if (high - low <= allowed).all():
        return
    pairs, shots = np.unique(order[:-1].astype(np.int64) * bank.shape[0] + order[1:], return_index=True)
    before, after = np.divmod(pairs, bank.shape[0])
    too_fast = _too_fast(bank, before, after, allowed)
    if too_fast.any():
        _refuse(port, spec, slew, bank, order, int(shots[too_fast].min()), dwell_s)


def _too_fast(bank: Bank, before: Ints, after: Ints, allowed: Floats) -> NDArray[np.bool_]:
    """(pairs,) whether any channel changes by more than `allowed` (C,)."""
    found = np.zeros(len(before), np.bool_)
    if isinstance(bank, Dither):
        ends = extremes_of(bank).astype(np.float64)
        fast = np.packbits(ends[1] - ends[0] > allowed)
        for start, stop in blocks(len(before), len(fast)):
            found[start:stop] = ((bank.signs[before[start:stop]] ^ bank.signs[after[start:stop]]) & fast).any(axis=1)
    elif isinstance(bank, Changes) and bank.channels.shape[1] <= FEW:
        where = np.concatenate([bank.channels[before], bank.channels[after]], axis=1)
        found = (np.abs(_at(bank, after, where) - _at(bank, before, where)) > allowed[where]).any(axis=1)
    else:
        for start, stop in blocks(len(before), bank.shape[1]):
            rows = (rows_of(bank, some[start:stop]).astype(np.float64) for some in (before, after))
            found[start:stop] = (np.abs(np.subtract(*rows)) > allowed).any(axis=1)
    return found


def _at(bank: Changes, rows: Ints, where: Ints) -> Floats:
    """(pairs, m) values of these rows in channels `where` (pairs, m)."""
    values: NDArray[Any] = bank.base[where]
    for change in range(bank.channels.shape[1]):
        here = bank.channels[rows, change][:, None] == where
        values = np.where(here, bank.values[rows, change].astype(bank.base.dtype)[:, None], values)
    return values.astype(np.float64)


def _refuse(port: str, spec: ChannelSpec, slew: Slew, bank: Bank, order: Ints, shot: int, dwell_s: float) -> None:
    before, after = rows_of(bank, order[shot : shot + 2]).astype(np.float64)
    channel = int(np.argmax(np.abs(after - before) / slew.rates))
    step = format_quantity(abs(float(after[channel] - before[channel])), spec.unit)
    rate = format_rate(float(slew.rates[channel]), spec.unit)
    raise LimitError(
        f"{port}/{spec.names[channel]}: {step} in {format_quantity(dwell_s, 's')} from shot {shot} to {shot + 1} "
        f"is faster than {rate} ({slew.rule})"
    )
