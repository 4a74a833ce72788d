"""Detectors as one Bluesky device: Triggerable, Readable, Configurable, Stageable; one table a trigger, whatever it reads."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labonn.adapters.bluesky_keys import DataKey, Reading, data_key, key_of, limits_of, port_configuration, reading
from labonn.adapters.bluesky_worker import PlayStatus, Worker
from labonn.channels import Floats
from labonn.errors import TableError


class BenchDetector:
    """Whole detector ports ((D,) arrays, numbers if a port has one channel) or single channels (numbers), all of the same shots.

    `trigger` plays one table of `shots` shots of `dwell_s` with what the actuators are set to. Read are the mean over its shots and, as
    `_sem`, its standard error (NaN from one shot); of ports that can tell, as `_saturated`, how many readings were at an end of the range.

    Args:
        name: of the device. columns: data key -> (port, channel number; None: all). shots, dwell_s: of a trigger; s.
    """

    parent = None

    def __init__(
        self, worker: Worker, name: str, columns: Mapping[str, tuple[str, int | None]], shots: int = 1, dwell_s: float | None = None
    ) -> None:  # fmt: skip
        self._worker, self._name = worker, name
        self._ports: Sequence[str] = tuple(dict.fromkeys(port for port, _ in columns.values()))
        specs = worker.points.bench.specs
        self._columns = {k: (port, 0 if index is None and len(specs[port]) == 1 else index) for k, (port, index) in columns.items()}
        self._shots, self._dwell_s = shots, worker.points.dwell_s if dwell_s is None else dwell_s
        self._saturating = [port for port in self._ports if hasattr(worker.points.bench.ports[port], "saturated")]
        self._taken: dict[str, Reading] = {}

    @property
    def name(self) -> str:
        """Of the device."""
        return self._name

    @property
    def hints(self) -> dict[str, Any]:
        """What to plot: numbers, not arrays."""
        return {"fields": [key for key, (_, index) in self._columns.items() if index is not None]}

    def trigger(self) -> PlayStatus:
        """Play."""
        self._taken = {}
        return self._worker.start(f"trigger {self._name}", self._take)

    def _take(self) -> None:
        points = self._worker.points
        with points.turn:
            found = points.read(self._ports, self._shots, self._dwell_s)
            saturated = {port: int(points.bench.ports[port].saturated) for port in self._saturating}
        now, taken = time.time(), {}
        for key, (port, index) in self._columns.items():
            values = found[port].astype(np.float64) if index is None else found[port][:, index].astype(np.float64)
            taken[key], taken[f"{key}_sem"] = reading(values.mean(axis=0), now), reading(_standard_error(values), now)
        self._taken = taken | {f"{self._prefix(port)}_saturated": reading(count, now) for port, count in saturated.items()}

    def read(self) -> dict[str, Reading]:
        """What was measured at the last trigger.

        Raises:
            TableError: it was not triggered, or that failed.
        """
        if not self._taken:
            raise TableError(f"{self._name}: nothing was measured; trigger it first")
        return dict(self._taken)

    def describe(self) -> dict[str, DataKey]:
        """Unit, shape, range."""
        keys: dict[str, DataKey] = {}
        for key, (port, index) in self._columns.items():
            spec = self._worker.points.bench.specs[port]
            shape = (len(spec),) if index is None else ()
            keys[key] = data_key(self._source(port), shape, spec.unit, limits_of(spec, index, "display"))
            keys[f"{key}_sem"] = data_key(self._source(port), shape, spec.unit)
        count = {"dtype": "integer", "shape": [], "dtype_numpy": "<i8"}
        return keys | {f"{self._prefix(port)}_saturated": {"source": self._source(port), **count} for port in self._saturating}

    def configure(self, *, shots: int | None = None, dwell_s: float | None = None) -> tuple[dict[str, Reading], dict[str, Reading]]:
        """Other shots or dwell time from the next trigger on (`bps.configure(device, shots=100)`); (configuration before, after)."""
        before = self.read_configuration()
        if shots is not None and shots < 1:
            raise TableError(f"{self._name}: {shots} shots; a trigger needs at least one")
        self._shots = self._shots if shots is None else shots
        self._dwell_s = self._dwell_s if dwell_s is None else dwell_s
        return before, self.read_configuration()

    def read_configuration(self) -> dict[str, Reading]:
        """Shots, dwell time, and of each port who it is and its range."""
        return {key: reading(value) for key, value in self._configuration().items()}

    def describe_configuration(self) -> dict[str, DataKey]:
        """Of `read_configuration`."""
        return {key: key_of(value, f"labonn:{self._worker.points.bench.file.name}") for key, value in self._configuration().items()}

    def stage(self) -> list[Any]:
        """Forget what was measured before."""
        self._taken = {}
        return [self]

    def unstage(self) -> list[Any]:
        """Outputs stay as they are: they belong to the actuators."""
        return [self]

    def _configuration(self) -> dict[str, Any]:
        own = {f"{self._name}_shots": self._shots, f"{self._name}_dwell_s": self._dwell_s}
        bench = self._worker.points.bench
        ports = [port_configuration(bench, port, self._prefix(port)) for port in self._ports]
        return own | {key: value for port in ports for key, value in port.items()}

    def _prefix(self, port: str) -> str:
        """Of what belongs to a port: the first key of it."""
        return next(key for key, (of, _) in self._columns.items() if of == port)

    def _source(self, port: str) -> str:
        return f"labonn:{self._worker.points.bench.file.name}:{port}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name}: {', '.join(self._columns)})"


def _standard_error(values: Floats) -> Floats:
    """Of the mean over the first axis; NaN where that is one."""
    count = len(values)
    if count == 1:
        return np.full(values.shape[1:], np.nan)
    return np.asarray(values.std(axis=0, ddof=1) / np.sqrt(count))
