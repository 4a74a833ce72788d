"""What was fired on a chip's bench, as settings of the chip: tables played from memory, and bursts between sets of held sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]
FEW = 8  # channels in which settings may differ from their base before they are taken as they are


@dataclass(frozen=True)
class Dense:
    """(S, P) of the parameter port, in its unit."""

    values: Values

    def part(self, part: slice) -> Dense:
        return Dense(self.values[part])


@dataclass(frozen=True)
class Sparse:
    """A base (P,), and (S, n) channels and their values, in the port's unit."""

    base: Values
    channels: Values
    values: Values

    def part(self, part: slice) -> Sparse:
        return Sparse(self.base, self.channels[part], self.values[part])


Settings = Dense | Sparse


@dataclass
class Fired:
    """One table as fired, in one go or in bursts.

    Attributes:
        orders: port -> (T,) of one burst. banks: port -> frames, or a sparse bank. shots, dwell_s: of one burst.
        wanted: detector ports that record. state, before: (P,) of held sources at the first burst and before they were set to that
            (None: the port plays from memory). times: bench second of every burst. ages: seconds since the held sources were set, at every
            burst. edits: channel -> value set since the burst before.
    """

    orders: Mapping[str, Values]
    banks: Mapping[str, Any]
    shots: int
    dwell_s: float
    wanted: tuple[str, ...]
    state: Values | None
    before: Values | None
    times: list[float] = field(default_factory=list)
    ages: list[float] = field(default_factory=list)
    edits: list[dict[int, float]] = field(default_factory=list)


def slots_of(orders: Mapping[str, Values], port: str, shots: int) -> int:
    """Shots a setting lasts in a table: as long as the parameter port and every other port repeat themselves setting by setting.

    Raises:
        ValueError: the table is not of this kind.
    """
    order = orders[port]
    edges = np.flatnonzero(np.diff(order)) + 1
    length = int(np.gcd.reduce(np.diff(np.concatenate([[0], edges, [shots]]))))
    for name, other in orders.items():
        if name not in (port, "reinject") and length < shots and not np.array_equal(other[length:], other[:-length]):
            raise ValueError(f"{name} does not repeat itself every {length} shots, as {port} does")
    return length


def sequenced(order: Values, length: int, bank: Any, per_v: float) -> Settings:
    """The settings of a table played from memory; `per_v` turns volts into the port's unit."""
    rows = order[::length]
    if isinstance(bank, np.ndarray):
        return Dense(bank[rows] * per_v)
    if hasattr(bank, "channels"):
        values = np.asarray(bank.values[rows], np.float64)
        return Sparse(np.asarray(bank.base, np.float64) * per_v, bank.channels[rows].astype(np.intp), values * per_v)
    return Dense(bank.rows(rows) * per_v)


def held(fired: Fired) -> Settings:
    """The settings of bursts, from what was set between them; the base is what every channel was most of the time."""
    assert fired.state is not None
    count, state = len(fired.times), fired.state
    history: dict[int, list[tuple[int, float]]] = {}
    for burst, edits in enumerate(fired.edits):
        for channel, value in edits.items():
            history.setdefault(channel, [(0, float(state[channel]))]).append((burst, value))
    base, different = state.copy(), [dict[int, float]() for _ in range(count)]
    for channel, steps in history.items():
        lasting: dict[float, int] = {}
        ends = [*(burst for burst, _ in steps[1:]), count]
        for (burst, value), end in zip(steps, ends, strict=True):
            lasting[value] = lasting.get(value, 0) + end - burst
        usual = max(lasting, key=lambda value: lasting[value])
        base[channel] = usual
        for (burst, value), end in zip(steps, ends, strict=True):
            for row in range(burst, end) if value != usual else ():
                different[row][channel] = value
    most = max(map(len, different))
    if most > FEW:
        dense = np.repeat(base[None], count, axis=0)
        for row, changes in enumerate(different):
            dense[row, list(changes)] = list(changes.values())
        return Dense(dense)
    channels, values = np.zeros((count, max(most, 1)), np.intp), np.full((count, max(most, 1)), base[0])
    for row, changes in enumerate(different):
        named = list(changes.items()) or [(0, base[0])]
        for column in range(channels.shape[1]):  # the last one again where a row has fewer
            channels[row, column], values[row, column] = named[min(column, len(named) - 1)]
    return Sparse(base, channels, values)


def frames(settings: Settings, part: slice) -> Values:
    """(n, P) of the parameter port, dense."""
    if isinstance(settings, Dense):
        return settings.values[part]
    rows = np.repeat(settings.base[None], len(settings.channels[part]), axis=0)
    np.put_along_axis(rows, settings.channels[part], settings.values[part], axis=1)
    return rows
