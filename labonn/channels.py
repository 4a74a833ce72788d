"""Channels and their limits as data: checked before any byte leaves, never clipped in silence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labonn.errors import LimitError
from labonn.showing import Sheet, Shown
from labonn.showing.benches import spec_sheet
from labonn.units import format_quantity, format_range

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class NumberedNames(Sequence[str]):
    """Names made when asked for ("ch5", or "r3c17" with a row length), so that 100,000 of them cost nothing."""

    prefix: str
    size: int
    row_length: int = 0

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(self.size)))
        i = range(self.size)[index]
        return f"r{i // self.row_length}c{i % self.row_length}" if self.row_length else f"{self.prefix}{i}"


def per_channel(value: ArrayLike, count: int) -> Floats:
    """`value` as a read-only (count,) float64 array; one number serves all channels without being copied."""
    array = np.broadcast_to(np.asarray(value, dtype=np.float64), (count,))
    array.flags.writeable = False
    return array


@dataclass(frozen=True, repr=False)
class ChannelSpec(Shown):
    """What the C channels of a port can do.

    Attributes:
        names: (C,) names as the instrument numbers them.
        unit: SI unit of the values ("V", "A", "degC"; "1" for a field transmission).
        lower: (C,) lowest allowed values; for a detector the range.
        upper: (C,) highest allowed values.
        step: (C,) size of one code; 0 where the instrument takes floats.
        settle_s: (C,) seconds from a set until the output may be used.
        depth: frames that the instrument's memory holds; 1 = cannot be sequenced.
        lower_rule, upper_rule: (C,) or one: whose rule the limit is ("driver", "bench.toml").
    """

    names: Sequence[str]
    unit: str
    lower: Floats
    upper: Floats
    step: Floats
    settle_s: Floats
    depth: int = 1
    lower_rule: tuple[str, ...] = ("driver",)
    upper_rule: tuple[str, ...] = ("driver",)

    def __post_init__(self) -> None:
        for field in ("lower", "upper", "step", "settle_s"):
            object.__setattr__(self, field, per_channel(getattr(self, field), len(self.names)))

    def __len__(self) -> int:
        return len(self.names)

    def _sheet(self) -> Sheet:
        return spec_sheet(self)

    def check(self, port: str, bank: Floats, first_row: int = 0) -> None:
        """Raise LimitError unless all of `bank` (K, C) is inside the limits; NaN and infinities are outside.

        Args:
            port, first_row: for the message: whose channels these are, and the number of the bank's first row.
        """
        if bank.size == 0:
            return
        low, high = _extremes(bank, self.lower, self.upper)
        if not (np.all(low >= self.lower[: low.size]) and np.all(high <= self.upper[: high.size])):
            self._raise(port, bank, first_row)

    def _raise(self, port: str, bank: Floats, first_row: int) -> None:
        row, channel = np.argwhere(~((bank >= self.lower) & (bank <= self.upper)))[0]
        value = float(bank[row, channel])
        rules = self.lower_rule if value < self.lower[channel] else self.upper_rule
        low, high = float(self.lower[channel]), float(self.upper[channel])
        told = format_quantity(value, self.unit)
        if told in (format_quantity(low, self.unit), format_quantity(high, self.unit)):
            told = format_quantity(value, self.unit, digits=12)  # too near the limit for six digits to show the difference
        raise LimitError(
            f"{port}/{self.names[int(channel)]}: {told} in row {first_row + row} "
            f"is outside {format_range(low, high, self.unit)} ({rules[int(channel) % len(rules)]})"
        ) from None

    def clip(self, values: Floats) -> Floats:
        """`values` (K, C) moved to the nearest allowed ones, for an optimizer that projects on purpose."""
        lower, upper = _rounded_up(self.lower, values.dtype), -_rounded_up(-self.upper, values.dtype)
        return np.clip(values, lower, upper)

    def tighten(self, lower: ArrayLike | None, upper: ArrayLike | None, rule: str) -> ChannelSpec:
        """The spec with tighter limits where `lower` and `upper` are tighter; they never widen."""
        count, spec = len(self), self
        if lower is not None:
            wanted = per_channel(lower, count)
            rules = _rules(self.lower_rule, wanted > self.lower, rule)
            spec = replace(spec, lower=np.maximum(wanted, self.lower), lower_rule=rules)
        if upper is not None:
            wanted = per_channel(upper, count)
            rules = _rules(self.upper_rule, wanted < self.upper, rule)
            spec = replace(spec, upper=np.minimum(wanted, self.upper), upper_rule=rules)
        return spec


def _rounded_up(bound: Floats, dtype: np.dtype[Any]) -> Floats:
    """The lowest numbers of `dtype` that are not below `bound`: float32(0.1) would be above a limit of 0.1."""
    near = bound.astype(dtype)
    return np.where(near < bound, np.nextafter(near, near.dtype.type(np.inf)), near)


def _extremes(bank: Floats, lower: Floats, upper: Floats) -> tuple[Floats, Floats]:
    """Lowest and highest values to compare: one number where all channels share one limit, else one a channel."""
    if lower.strides == (0,) and upper.strides == (0,):
        return bank.min(keepdims=True).ravel(), bank.max(keepdims=True).ravel()
    return bank.min(axis=0), bank.max(axis=0)


def _rules(old: tuple[str, ...], tighter: NDArray[np.bool_], rule: str) -> tuple[str, ...]:
    if tighter.all():
        return (rule,)
    return tuple(rule if tight else old[i % len(old)] for i, tight in enumerate(tighter))


def join(specs: Sequence[ChannelSpec]) -> ChannelSpec:
    """One spec for a port made of several instruments, in their order."""
    if len(specs) == 1:
        return specs[0]
    stack: dict[str, Any] = {field: np.concatenate([getattr(s, field) for s in specs]) for field in ("lower", "upper", "step", "settle_s")}
    names = tuple(f"{i}:{name}" for i, s in enumerate(specs) for name in s.names)
    rules: dict[str, Any] = {
        field: tuple(getattr(s, field)[i % len(getattr(s, field))] for s in specs for i in range(len(s)))
        for field in ("lower_rule", "upper_rule")
    }
    return ChannelSpec(names, specs[0].unit, depth=min(s.depth for s in specs), **stack, **rules)
