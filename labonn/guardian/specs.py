"""Channel specs and what else is known of a bench's ports from the beginning, as values that can be sent."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from labonn.channels import ChannelSpec, NumberedNames
from labonn.guardian.arrays import Values, unpack
from labonn.guardian.messages import ATTRIBUTES, METHODS

FIELDS = tuple(field.name for field in dataclasses.fields(ChannelSpec) if field.name != "names")


def packed_spec(spec: ChannelSpec, values: Values) -> dict[str, Any]:
    """All fields of a spec; one number for all channels stays one."""
    names: Any = list(spec.names)
    if isinstance(spec.names, NumberedNames):
        names = dataclasses.asdict(spec.names)
    told = {name: getattr(spec, name) for name in FIELDS}
    shared = {name: value[0] for name, value in told.items() if isinstance(value, np.ndarray) and value.size and not any(value.strides)}
    return {"names": names, **{name: values.pack(value) for name, value in {**told, **shared}.items()}}


def spec_of(told: dict[str, Any], arrays: Sequence[Any]) -> ChannelSpec:
    """The spec that was packed."""
    names = told["names"]
    found = NumberedNames(**names) if isinstance(names, dict) else tuple(names)
    return ChannelSpec(found, **{name: unpack(value, arrays) for name, value in told.items() if name != "names"})


def packed_port(device: Any, spec: ChannelSpec, values: Values) -> dict[str, Any]:
    """A port: its spec, its fixed attributes, and which methods and changing attributes it has."""
    own = {name: values.pack(getattr(device, name)) for name in ATTRIBUTES if hasattr(device, name)}
    methods = [name for name in METHODS if callable(getattr(device, name, None))]
    return {"spec": packed_spec(spec, values), "own": own, "methods": methods}
