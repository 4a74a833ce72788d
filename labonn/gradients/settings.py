"""Banks of a chip's settings: cut into what memories hold, and turned from parameters into amperes or volts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from labonn.banks import Bank, Changes, Dither
from labonn.chips import ChipOptics


def parts_of(settings: Bank, most: int) -> Iterator[Bank]:
    """The bank in parts of at most `most` settings, in the same form; as it is where it is no larger."""
    count = settings.shape[0]
    for start in range(0, count, most):
        part = slice(start, start + most)
        if count <= most:
            yield settings
        elif isinstance(settings, Changes):
            yield Changes(settings.base, settings.channels[part], settings.values[part])
        elif isinstance(settings, Dither):
            yield Dither(settings.base, settings.amplitude, settings.signs[part])
        else:
            yield settings[part]


def driven(optics: ChipOptics, settings: Bank, dtype: type) -> Bank:
    """The instrument's bank for a bank of parameters, in the same form."""
    if isinstance(settings, Changes):
        values = optics.drive(settings.values, settings.channels)
        return Changes(optics.drive(settings.base).astype(dtype), settings.channels, values.astype(dtype))
    if isinstance(settings, Dither):
        low, high = optics.drive(settings.base - settings.amplitude), optics.drive(settings.base + settings.amplitude)
        return Dither((0.5 * (low + high)).astype(dtype), (0.5 * (high - low)).astype(dtype), settings.signs)
    return np.asarray(optics.drive(settings), dtype)
