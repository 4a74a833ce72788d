"""A whole shot table as one fly scan: Flyable, Preparable, EventPageCollectable; hardware-timed, one event a shot, arrays in pages."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from labonn.adapters.bluesky_keys import DataKey, Reading, data_key, key_of, limits_of, reading
from labonn.adapters.bluesky_staging import Staging
from labonn.adapters.bluesky_worker import PlayStatus, Worker, done
from labonn.errors import TableError
from labonn.shots import Bank, Readings, ShotTable, rows_of

MOST_VALUES = 1024  # channels of an actuator whose values stand in every event; of wider ones the number of the bank's row does


class BenchFlyer:
    """Plays the table that it was last prepared for.

    Its stream has the device's name. An event is a shot: what every detector that is read gave, and what every actuator of the table was
    at. All shots of a table have the time at which they were fetched; in the table they are `dwell_s` apart. In one run a device takes
    tables of the same ports only.

    Args:
        name: of the device and its stream. table: the first to prepare for. prefix: of data keys.
        whole: one event a table, of arrays (shots, channels), in place of one a shot, for which Bluesky itself needs some 0.1 ms each;
            tables of one run then have the same number of shots.
    """

    parent = None

    def __init__(
        self, worker: Worker, staging: Staging, name: str, table: ShotTable | None = None, prefix: str = "", whole: bool = False
    ) -> None:  # fmt: skip
        self._worker, self._staging, self._name, self._prefix, self._whole = worker, staging, name, prefix, whole
        self._table: ShotTable | None = None
        self._banks: dict[str, Bank] = {}
        self._playing: PlayStatus | None = None
        self.readings: Readings = {}
        self._fetched = 0.0
        if table is not None:
            self.prepare(table)

    @property
    def name(self) -> str:
        """Of the device, and of its stream."""
        return self._name

    @property
    def hints(self) -> dict[str, Any]:
        """What to plot: numbers, not arrays."""
        return {"fields": [key for key, about in self._keys().items() if not about["shape"]]} if self._table is not None else {}

    def prepare(self, table: ShotTable) -> PlayStatus:
        """Take a table; it is checked against limits when it is played, before anything is sent."""
        self._table, self._playing, self.readings = table, None, {}
        return done(f"prepare {self._name}")

    def kickoff(self) -> PlayStatus:
        """Begin to play."""
        self._ready()
        self._worker.check_allowed()
        self._playing = self._worker.start(f"play {self._name}", self._play)
        return done(f"kick off {self._name}")

    def complete(self) -> PlayStatus:
        """Done when everything was played and fetched."""
        if self._playing is None:
            raise TableError(f"{self._name}: was not kicked off")
        return self._playing

    def _play(self) -> None:
        table, points = self._ready(), self._worker.points
        with points.turn:
            self._banks = {port: table.banks[port] if port in table.banks else points.in_memory(port) for port in table.orders}
            self.readings = points.play(table)
        self._fetched = time.time()
        self._worker.times.update(dict.fromkeys(table.orders, self._fetched))

    def describe_collect(self) -> dict[str, dict[str, DataKey]]:
        """Of all events."""
        return {self._name: self._keys()}

    def collect_pages(self) -> Iterator[dict[str, Any]]:
        """One page, if it was played to its end."""
        if not self.readings:
            return
        table, data = self._ready(), {}
        for port, order in table.orders.items():
            wide = len(self._worker.points.bench.specs[port]) > MOST_VALUES
            data[self._key(port)] = np.asarray(order) if wide else _scalars(rows_of(self._banks[port], order))
        data |= {self._prefix + port: _scalars(found) for port, found in self.readings.items()}
        times = [self._fetched] * (1 if self._whole else table.shots)
        events = {key: values[None] for key, values in data.items()} if self._whole else data
        yield {"data": events, "timestamps": dict.fromkeys(data, times), "time": times}

    def read_configuration(self) -> dict[str, Reading]:
        """Dwell time and shots."""
        return {key: reading(value) for key, value in self._configuration().items()}

    def describe_configuration(self) -> dict[str, DataKey]:
        """Of `read_configuration`."""
        return {key: key_of(value, self._source()) for key, value in self._configuration().items()}

    def stage(self) -> list[Any]:
        """Part of a plan from now on."""
        self._staging.stage(self._name)
        return [self]

    def unstage(self) -> PlayStatus:
        """Once the plan has let go all actuators, the bench is made safe (Staging)."""
        return self._staging.unstage(self._name)

    def _configuration(self) -> dict[str, Any]:
        table = self._ready()
        return {f"{self._name}_dwell_s": table.dwell_s, f"{self._name}_shots": table.shots}

    def _keys(self) -> dict[str, DataKey]:
        table, bench, keys = self._ready(), self._worker.points.bench, {}
        for port in table.orders:
            spec = bench.specs[port]
            if len(spec) > MOST_VALUES:
                keys[self._key(port)] = data_key(self._source(port), self._shape(1)) | {"dtype_numpy": "<i8"}
            else:
                limits = limits_of(spec, None, "control")
                keys[self._key(port)] = data_key(self._source(port), self._shape(len(spec)), spec.unit, limits)
        for port in self._worker.points.detectors if table.read is None else table.read:
            spec = bench.specs[port]
            limits = limits_of(spec, None, "display")
            keys[self._prefix + port] = data_key(self._source(port), self._shape(len(spec)), spec.unit, limits)
        return keys

    def _shape(self, channels: int) -> tuple[int, ...]:
        """Of an event."""
        return ((self._ready().shots,) if self._whole else ()) + (() if channels == 1 else (channels,))

    def _key(self, port: str) -> str:
        return f"{self._prefix}{port}" + ("_row" if len(self._worker.points.bench.specs[port]) > MOST_VALUES else "")

    def _source(self, port: str = "") -> str:
        return f"labonn:{self._worker.points.bench.file.name}" + (f":{port}" if port else "")

    def _ready(self) -> ShotTable:
        if self._table is None:
            raise TableError(f"{self._name}: has no table; prepare it for one")
        return self._table

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name}: {'nothing' if self._table is None else f'{self._table.shots} shots'})"


def _scalars(values: Any) -> Any:
    """(T, C) as float64, (T,) if C is 1."""
    found = np.asarray(values, np.float64)
    return found[:, 0] if found.shape[1] == 1 else found
