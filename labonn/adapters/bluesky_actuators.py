"""Actuator ports, and single channels of them, as Bluesky devices: Movable, Locatable, Checkable, Readable, Stageable, Stoppable."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from labonn.adapters.bluesky_keys import DataKey, Reading, data_key, key_of, limits_of, port_configuration, reading
from labonn.adapters.bluesky_staging import Staging
from labonn.adapters.bluesky_worker import PlayStatus, Worker


class BenchActuator:
    """An actuator port (values are (C,) arrays, numbers if it has one channel), or one channel of it (numbers).

    `set` plays the new row at once, checked before anything is sent; the status is done when the port has it, and has settled. Bluesky's
    step scans take numbers; rows go by `bps.mv`, or many of them by a fly scan.

    Args:
        name: of the device, and of its data key. port, index: which channel; None: all. parent: the port's device.
    """

    def __init__(self, worker: Worker, staging: Staging, name: str, port: str, index: int | None, parent: BenchActuator | None) -> None:
        self._worker, self._staging = worker, staging
        self._name, self._port, self._parent = name, port, parent
        self._spec = worker.points.bench.specs[port]
        self._index = 0 if index is None and len(self._spec) == 1 else index

    @property
    def name(self) -> str:
        """Of the device, and of what it reads."""
        return self._name

    @property
    def parent(self) -> BenchActuator | None:
        """The port's device, of a channel's."""
        return self._parent

    @property
    def position(self) -> Any:
        """What it is set to."""
        row = self._worker.points.row(self._port)
        return np.array(row) if self._index is None else float(row[self._index])

    @property
    def hints(self) -> dict[str, Any]:
        """What to plot: numbers, not arrays."""
        return {"fields": [] if self._index is None else [self._name]}

    def set(self, value: Any) -> PlayStatus:
        """Set it.

        Raises:
            LimitError, TableError: here, not in the status; nothing was sent.
        """
        return self._worker.set(f"set {self._name}", self._values(value))

    def check_value(self, value: Any) -> None:
        """Raise LimitError or TableError if `set` would."""
        self._worker.points.check(self._values(value))

    def locate(self) -> dict[str, Any]:
        """What it is set to; drivers have read that back."""
        return {"setpoint": self.position, "readback": self.position}

    def read(self) -> dict[str, Reading]:
        """What it is set to, and since when."""
        return {self._name: reading(self.position, self._worker.times[self._port])}

    def describe(self) -> dict[str, DataKey]:
        """Unit, shape, limits."""
        shape = (len(self._spec),) if self._index is None else ()
        return {self._name: data_key(self._source, shape, self._spec.unit, limits_of(self._spec, self._index, "control"))}

    def read_configuration(self) -> dict[str, Reading]:
        """Who it is, its limits, and what it does between tables (Setpoints.between)."""
        return {key: reading(value) for key, value in self._configuration().items()}

    def describe_configuration(self) -> dict[str, DataKey]:
        """Of `read_configuration`."""
        return {key: key_of(value, self._source) for key, value in self._configuration().items()}

    def stage(self) -> list[Any]:
        """Part of a plan from now on."""
        self._staging.stage(self._name)
        return [self]

    def unstage(self) -> PlayStatus:
        """Once the plan has let go all actuators, the bench is made safe (Staging)."""
        return self._staging.unstage(self._name)

    def stop(self, success: bool = True) -> None:
        """Called at every pause and every end: nothing moves by itself, outputs stay; without success everything is made safe."""
        if not success:
            self._worker.make_safe(f"{self._name} was stopped").wait()

    @property
    def _source(self) -> str:
        where = self._port if self._index is None else f"{self._port}/{self._spec.names[self._index]}"
        return f"labonn:{self._worker.points.bench.file.name}:{where}"

    def _values(self, value: Any) -> dict[str, Any]:
        if self._index is not None and self._parent is not None:
            return {self._port: {self._index: float(value)}}
        return {self._port: value}

    def _configuration(self) -> dict[str, Any]:
        about = port_configuration(self._worker.points.bench, self._port, self._name)
        return about | {f"{self._name}_between": self._worker.points.between(self._port)}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._source})"


class WarmActuator(BenchActuator):
    """Heaters, ovens or coolers that measure their temperature: Triggerable, and read back where they are, beside what they were told."""

    _measured: tuple[Any, float] | None = None

    def trigger(self) -> PlayStatus:
        """Measure the temperature."""
        return self._worker.start(f"measure the temperature of {self._name}", self._measure)

    def locate(self) -> dict[str, Any]:
        """What it is set to, and the temperature that was measured last."""
        return super().locate() if self._measured is None else {"setpoint": self.position, "readback": self._measured[0]}

    def read(self) -> dict[str, Reading]:
        """With the temperature that was measured last; NaN: none was."""
        nothing = np.full(len(self._spec), np.nan) if self._index is None else np.nan, time.time()
        return super().read() | {f"{self._name}_temperature": reading(*(self._measured or nothing))}

    def describe(self) -> dict[str, DataKey]:
        """With the temperature."""
        shape = (len(self._spec),) if self._index is None else ()
        return super().describe() | {f"{self._name}_temperature": data_key(self._source, shape, "degC")}

    def _measure(self) -> None:
        points = self._worker.points
        with points.turn:
            measured = np.asarray(points.bench.ports[self._port].temperature(), np.float64)
        self._measured = measured if self._index is None else float(measured[self._index]), time.time()
