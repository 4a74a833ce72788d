"""A port behind a guardian: a few methods and attributes of its device, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from labonn.channels import ChannelSpec, Floats
from labonn.guardian.arrays import Values, unpack
from labonn.guardian.messages import CHANGING, METHODS

if TYPE_CHECKING:
    from labonn.guardian.client import RemoteBench


class RemotePort:
    """Has what the device has, of what a guardian passes on; the drivers say what the methods do.

    Attributes:
        spec: its channels. own: attributes that do not change.
    """

    def __init__(self, bench: RemoteBench, name: str, spec: ChannelSpec, own: Mapping[str, Any], methods: Sequence[str]) -> None:
        self.__dict__.update(own, spec=spec, _bench=bench, _name=name, _methods=tuple(methods))

    def set_range(self, full_scale: float | Floats) -> Floats:
        """Of a detector."""
        taken: Floats = self._call("set_range", full_scale)
        self.__dict__["full_scale"] = taken
        return taken

    def zero(self) -> float:
        """Of a power meter."""
        return self._call("zero")  # type: ignore[no-any-return]

    def temperature(self) -> Floats:
        """Of ovens and coolers."""
        return self._call("temperature")  # type: ignore[no-any-return]

    def reached(self) -> bool:
        """Of ovens and coolers."""
        return self._call("reached")  # type: ignore[no-any-return]

    def output(self, on: bool) -> None:
        """Of sources."""
        self._call("output", on)

    def measured(self) -> Any:
        """Of laser drivers."""
        return self._call("measured")

    def shown(self, bank: Floats) -> Floats:
        """Of SLMs."""
        return self._call("shown", bank)  # type: ignore[no-any-return]

    def correct(self, commanded: Floats, measured: Floats) -> None:
        """Of SLMs."""
        self._call("correct", commanded, measured)

    def _call(self, method: str, *args: Any) -> Any:
        values = Values([], [])
        packed = [values.pack(value) for value in args]
        fields = {"port": self._name, "method": method, "args": packed, "arrays": values.items}
        result, arrays = self._bench.call("call", fields, values.frames)
        found = unpack(result, arrays)
        return found.copy(order="K") if hasattr(found, "flags") else found  # the caller's own, as a device gives it

    def __getattribute__(self, name: str) -> Any:
        if name in METHODS and name not in object.__getattribute__(self, "_methods"):
            raise AttributeError(f"{self._name}: has no {name!r}")
        return object.__getattribute__(self, name)

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__
        if name in CHANGING and own["_name"] in own["_bench"].state.get(name, {}):
            return own["_bench"].state[name][own["_name"]]
        raise AttributeError(f"{own.get('_name')}: has no {name!r} that a guardian passes on")

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in CHANGING or self._name not in self._bench.state.get(name, {}):
            raise AttributeError(f"{self._name}: {name!r} cannot be set through a guardian")
        self._bench.set(self._name, name, int(value))
