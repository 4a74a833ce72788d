"""QCoDeS parameters of a bench's ports: rows that are set and checked by the bench, readings that play one table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qcodes.parameters import MultiParameter, Parameter, ParameterWithSetpoints
from qcodes.validators import Arrays, Numbers

from labonn.channels import ChannelSpec, Floats
from labonn.setpoints import Setpoints

if TYPE_CHECKING:
    from labonn.adapters.qcodes_ports import DetectorPort


class RowLimits(Arrays):
    """Arrays (C,) within the limits of every channel; what is not raises LimitError.

    Args:
        port: for messages. spec: its limits.
    """

    def __init__(self, port: str, spec: ChannelSpec) -> None:
        super().__init__(float(spec.lower.min()), float(spec.upper.max()), shape=(len(spec),))
        self._port, self._spec = port, spec

    def validate(self, value: Any, context: str = "") -> None:
        """Check it."""
        row = np.asarray(value, np.float64)
        if not np.isnan(row).all():  # what is read where nobody knows it
            self._spec.check(self._port, np.atleast_1d(row)[None])
            super().validate(row, context)


class ChannelLimits(Numbers):
    """Numbers within the limits of one channel; what is not raises LimitError.

    Args:
        points: that check it. port, index: which channel.
    """

    def __init__(self, points: Setpoints, port: str, index: int) -> None:
        spec = points.bench.specs[port]
        super().__init__(float(spec.lower[index]), float(spec.upper[index]))
        self._points, self._port, self._index = points, port, index

    def validate(self, value: Any, context: str = "") -> None:
        """Check it."""
        self._points.check({self._port: {self._index: value}})
        super().validate(value, context)


class PortValues(ParameterWithSetpoints):
    """All channels of an actuator port: setting them is one table, getting them asks no instrument."""

    def __init__(self, name: str, points: Setpoints, port: str, **about: Any) -> None:
        self._points, self._port = points, port
        super().__init__(name, **about)

    def get_raw(self) -> Floats:
        """(C,) what they are set to; NaN: nobody knows."""
        return np.array(self._points.row(self._port))

    def set_raw(self, value: Any) -> None:
        """Play it."""
        self._points.set({self._port: value})


class ChannelValue(Parameter):
    """One channel of an actuator port; the others stay."""

    def __init__(self, name: str, points: Setpoints, port: str, index: int, **about: Any) -> None:
        self._points, self._port, self._index = points, port, index
        spec = points.bench.specs[port]
        label = f"{port} {spec.names[index]}"
        super().__init__(name, unit=spec.unit, label=label, vals=ChannelLimits(points, port, index), **about)
        self._validate_on_get = False  # where nobody knows what it is at, that is NaN

    def get_raw(self) -> float:
        """What it is set to; NaN: nobody knows."""
        return float(self._points.row(self._port)[self._index])

    def set_raw(self, value: Any) -> None:
        """Play it."""
        self._points.set({self._port: {self._index: float(value)}})


class DetectorMean(ParameterWithSetpoints):
    """The mean over the shots of one table, of all channels."""

    def __init__(self, name: str, port: DetectorPort, **about: Any) -> None:
        self._port = port
        super().__init__(name, **about)

    def get_raw(self) -> Floats:
        """(D,), by one play."""
        found: Floats = self._port.take().mean(axis=0)
        return found


class DetectorRecord(ParameterWithSetpoints):
    """Every shot of one table, of all channels."""

    def __init__(self, name: str, port: DetectorPort, **about: Any) -> None:
        self._port = port
        super().__init__(name, **about)

    def get_raw(self) -> Floats:
        """(shots, D), by one play."""
        return self._port.take()


class AllMeans(MultiParameter):
    """The means of all detectors, of the same shots of one table."""

    def __init__(self, name: str, ports: dict[str, DetectorPort], points: Setpoints, **about: Any) -> None:
        self._ports, self._points = ports, points
        specs = {port: points.bench.specs[port] for port in ports}
        super().__init__(
            name,
            names=tuple(ports),
            shapes=tuple((len(spec),) for spec in specs.values()),
            labels=tuple(ports),
            units=tuple(spec.unit for spec in specs.values()),
            setpoints=tuple((tuple(range(len(spec))),) for spec in specs.values()),
            setpoint_names=tuple((f"{port}_channel",) for port in ports),
            setpoint_labels=tuple((f"{port} channel",) for port in ports),
            setpoint_units=tuple(("",) for _ in ports),
            **about,
        )

    def get_raw(self) -> tuple[Floats, ...]:
        """(D,) of every detector, by one play."""
        found = self._points.read(tuple(self._ports))
        return tuple(port.took(found[name]).mean(axis=0) for name, port in self._ports.items())
