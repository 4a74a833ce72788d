"""Values that the suite plays and compares: rows that differ, channels of a port, an emulator's state as plain data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from labonn.channels import Floats
from labonn.testing.rig import Rig

GOLDEN = 0.6180339887498949


def spread(count: int, channels: int) -> Floats:
    """(count, channels) numbers from 0.2 to 0.8 that differ from each other as much as they can."""
    return 0.2 + 0.6 * (np.arange(1, count * channels + 1).reshape(count, channels) * GOLDEN % 1)


def own(values: Any, rig: Rig) -> Floats:
    """The channels that the port uses, along the last axis."""
    first = int(getattr(rig.port.options, "first", 0))
    return np.asarray(values, np.float64)[..., first : first + len(rig.spec)]


def frozen(value: Any) -> Any:
    """A value that compares by what it holds; `...` of what is no data."""
    if value is None or isinstance(value, (bool, int, str, bytes)):
        return value
    if isinstance(value, (float, np.generic)):
        return repr(value)
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return frozen({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    if isinstance(value, Mapping):
        return {key: frozen(one) for key, one in value.items()}
    return [frozen(one) for one in value] if isinstance(value, (list, tuple)) else ...
