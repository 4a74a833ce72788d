"""Shots in samples of an NI device's clocks: how many, whether the device is fast enough, whether its clock can make them; pure."""

from __future__ import annotations

import math

from labonn.errors import TableError
from labonn.units import format_quantity

DRIFT = 0.02  # of a shot, over the whole table
FEWEST = 2  # samples that a buffer has
ROUNDING = 1 + 1e-9


def samples_a_shot(port: str, shots: int, dwell_s: float, slowest: float, fastest: float) -> int:
    """Output samples a shot: one, more where the clock would be too slow (`slowest`, samples per second) or the buffer too short.

    Raises:
        TableError: the shot is too short for `fastest`.
    """
    repeats = max(math.ceil(slowest * dwell_s), math.ceil(FEWEST / shots), 1)
    if repeats / dwell_s > fastest * ROUNDING:
        told = f"{shots} shots of {format_quantity(dwell_s, 's')} are too short"
        limit = f"{format_quantity(repeats / fastest, 's')} ({repeats} samples a shot, ao_max_rate = {format_quantity(fastest, 'Sa/s')})"
        raise TableError(f"{port}: {told}; the device's limit is {limit}")
    return repeats


def most_a_channel(single: float, several: float, channels: int, simultaneous: bool) -> float:
    """Highest input samples per second and channel: one converter goes from channel to channel, or each channel has its own."""
    return single if channels == 1 or simultaneous else min(single, several / channels)


def check_input(port: str, dwell_s: float, samples: int, channels: int, slowest: float, fastest: float) -> None:
    """TableError unless `samples` a shot are between `slowest` and `fastest` per second and channel."""
    rate = samples / dwell_s
    if slowest / ROUNDING <= rate <= fastest * ROUNDING:
        return
    short = rate > fastest
    bound = format_quantity(samples / (fastest if short else slowest), "s")
    told = f"a shot of {format_quantity(dwell_s, 's')} is too {'short' if short else 'long'}; the limit is {bound}"
    name = "min(ai_max_single_chan_rate, ai_max_multi_chan_rate / channels)" if short else "ai_min_rate"
    limit = format_quantity(fastest if short else slowest, "Sa/s")
    raise TableError(f"{port}: {told} ({samples} samples a shot on {channels} channels, {limit} a channel: {name})")


def check_clock(port: str, wanted: float, actual: float, shots: int, dwell_s: float) -> None:
    """TableError if a clock, whose timebase is divided by an integer, runs away from the shots by more than a little.

    Args:
        wanted, actual: samples per second, as asked for and as told back.
    """
    off = shots * abs(wanted / actual - 1) if actual > 0 else math.inf
    if off > DRIFT or not actual > 0:
        nearest = format_quantity(dwell_s * wanted / actual, "s", 9) if actual > 0 else "none"
        told = f"a shot of {format_quantity(dwell_s, 's', 9)} cannot be made by the device's clock, which takes {nearest}"
        raise TableError(f"{port}: {told}: {off:.3g} shots apart after {shots}, allowed are {DRIFT}; choose a shot that it can make")
