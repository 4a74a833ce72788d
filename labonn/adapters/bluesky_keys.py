"""What Bluesky documents tell of a port: data keys, configuration, readings."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from labonn.channels import ChannelSpec
from labonn.record.hardware import state_of

Reading = dict[str, Any]
DataKey = dict[str, Any]


def reading(value: Any, timestamp: float | None = None) -> Reading:
    """A value and when it was had, seconds since 1970; numbers as Python's, arrays as numpy's."""
    array = np.asarray(value) if not isinstance(value, str) else None
    plain = value if array is None else array.item() if array.ndim == 0 else array
    return {"value": plain, "timestamp": time.time() if timestamp is None else timestamp}


def data_key(source: str, shape: tuple[int, ...], unit: str = "", limits: dict[str, Any] | None = None) -> DataKey:
    """Of float64 numbers; tables show a ten thousandth of the limits."""
    about: DataKey = {"source": source, "dtype": "array" if shape else "number", "shape": list(shape), "dtype_numpy": "<f8"}
    if unit:
        about["units"] = unit
    if limits:
        about["limits"] = limits
        largest = max(abs(bound) for span in limits.values() for bound in span.values())
        if 0 < largest < math.inf:
            about["precision"] = max(0, 4 - math.floor(math.log10(largest)))
    return about


def key_of(value: Any, source: str) -> DataKey:
    """Of a value of a configuration."""
    if isinstance(value, str):
        return {"source": source, "dtype": "string", "shape": []}
    array = np.asarray(value)
    kind = "array" if array.ndim else "integer" if np.issubdtype(array.dtype, np.integer) else "number"
    return {"source": source, "dtype": kind, "shape": list(array.shape), "dtype_numpy": array.dtype.str}


def limits_of(spec: ChannelSpec, index: int | None, what: str) -> dict[str, Any]:
    """The range of one channel, or the widest of all, as a data key has it; `what`: "control" of actuators, "display" of detectors."""
    lower, upper = (spec.lower, spec.upper) if index is None else (spec.lower[index : index + 1], spec.upper[index : index + 1])
    return {what: {"low": float(lower.min()), "high": float(upper.max())}}


def port_configuration(bench: Any, port: str, key: str) -> dict[str, Any]:
    """Name -> value: identity, driver, limits of all channels (of very many: the lowest and the highest), what a detector's range is."""
    state = state_of(bench, (port,), ask=False)[port]
    told = {name: state[name] for name in ("identity", "driver", "lower", "upper")}
    full_scale: ArrayLike | None = getattr(bench.ports[port], "full_scale", None)
    if full_scale is not None:
        told["full_scale"] = np.asarray(full_scale, np.float64)
    return {f"{key}_{name}": np.asarray(value, np.float64) if isinstance(value, list) else value for name, value in told.items()}
