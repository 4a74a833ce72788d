"""The ports of a bench as QCoDeS instrument modules: an array parameter for all channels, one each for a few of them."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qcodes.instrument import InstrumentModule
from qcodes.parameters import Parameter
from qcodes.validators import Arrays

from labonn.adapters.qcodes_values import ChannelValue, DetectorMean, DetectorRecord, PortValues, RowLimits
from labonn.channels import Floats
from labonn.errors import TableError
from labonn.setpoints import Channel, Setpoints

if TYPE_CHECKING:
    from labonn.adapters.qcodes_bench import BenchInstrument

MOST_PARAMETERS = 64  # channels that have a parameter from the start; those of wider ports get one when they are asked for


class _Port(InstrumentModule):
    """What both kinds share: the bench's channels, by name and number."""

    def __init__(self, parent: BenchInstrument, port: str, points: Setpoints) -> None:
        super().__init__(parent, port)
        self.points, self.port, self.spec = points, port, points.bench.specs[port]
        self._by_channel: dict[int, Any] = {}
        self.add_parameter(
            "channel_number", label=f"{port} channel", get_cmd=partial(np.arange, len(self.spec)), set_cmd=False,
            vals=Arrays(shape=(len(self.spec),)), snapshot_value=False,
        )  # fmt: skip

    def _add_channels(self) -> None:
        if len(self.spec) <= MOST_PARAMETERS:
            for index in range(len(self.spec)):
                self.channel(index)

    def channel(self, channel: Channel) -> Any:
        """The parameter of one channel, by its name or number, made when it is first asked for."""
        index = self.points.index(self.port, channel)
        if index not in self._by_channel:
            name = re.sub(r"\W", "_", self.spec.names[index])
            name = f"ch_{name}" if not name.isidentifier() or hasattr(self, name) else name
            self._by_channel[index] = self._make(name, index)
        return self._by_channel[index]

    def _make(self, name: str, index: int) -> Any:
        raise NotImplementedError


class ActuatorPort(_Port):
    """An actuator: `values` (C,), a parameter a channel, `temperature` where it is measured. Sets are checked, and played at once."""

    def __init__(self, parent: BenchInstrument, port: str, points: Setpoints) -> None:
        super().__init__(parent, port, points)
        self.add_parameter(
            "values", PortValues, points=points, port=port, unit=self.spec.unit, label=port, vals=RowLimits(port, self.spec),
            setpoints=(self.channel_number,), snapshot_value=len(self.spec) <= MOST_PARAMETERS,
        )  # fmt: skip
        if callable(getattr(points.bench.ports[port], "temperature", None)):
            self.add_parameter(
                "temperature", get_cmd=self._temperature, set_cmd=False, unit="degC", label=f"{port} temperature",
                vals=Arrays(shape=(len(self.spec),)), snapshot_get=False,
            )  # fmt: skip
        self._add_channels()

    def set_channels(self, values: dict[Channel, float]) -> None:
        """Several channels, by names or numbers, in one table; the others stay."""
        self.points.set({self.port: values})

    def snapshot_base(self, update: bool | None = False, params_to_skip_update: Any = None) -> dict[Any, Any]:
        """As they are now: that asks no instrument."""
        for name, parameter in self.parameters.items():
            if name != "temperature":
                parameter.get()
        return super().snapshot_base(update, params_to_skip_update)

    def _make(self, name: str, index: int) -> Any:
        return self.add_parameter(name, ChannelValue, points=self.points, port=self.port, index=index)

    def _temperature(self) -> Floats:
        with self.points.turn:
            return np.asarray(self.points.bench.ports[self.port].temperature(), np.float64)


class DetectorPort(_Port):
    """A detector: every `get` plays one table of the bench's `shots` and `dwell`, with what the actuators are set to.

    `mean` (D,) and a parameter a channel are means over the shots, `record` is (shots, D). `standard_error` (NaN of one shot) and
    `saturated` (readings at an end of the range) belong to the last play, and play nothing.
    """

    def __init__(self, parent: BenchInstrument, port: str, points: Setpoints) -> None:
        super().__init__(parent, port, points)
        self._record: Floats | None = None
        unit, count = self.spec.unit, len(self.spec)
        self.add_parameter(
            "shot_time", unit="s", label="time in the table", get_cmd=self._times, set_cmd=False,
            vals=Arrays(shape=(self._shots,)), snapshot_value=False,
        )  # fmt: skip
        along = (self.channel_number,)
        self.add_parameter("mean", DetectorMean, port=self, unit=unit, label=port, vals=Arrays(shape=(count,)), setpoints=along)
        self.add_parameter(
            "record", DetectorRecord, port=self, unit=unit, label=port, vals=Arrays(shape=(self._shots, count)),
            setpoints=(self.shot_time, self.channel_number),
        )  # fmt: skip
        self.add_parameter(
            "standard_error", unit=unit, label=f"{port} standard error", get_cmd=self._error, set_cmd=False,
            vals=Arrays(shape=(count,)), snapshot_get=False,
        )  # fmt: skip
        if hasattr(points.bench.ports[port], "saturated"):
            self.add_parameter("saturated", get_cmd=self._saturated, set_cmd=False, label=f"{port} saturated readings", snapshot_get=False)
        self._add_channels()

    def take(self) -> Floats:
        """(shots, D), by one play."""
        return self.took(self.points.read((self.port,))[self.port])

    def took(self, record: Floats) -> Floats:
        """Keep what was read; the same in float64."""
        self._record = record.astype(np.float64)
        return self._record

    def _make(self, name: str, index: int) -> Any:
        label = f"{self.port} {self.spec.names[index]}"
        read: Any = partial(self._one, index)
        return self.add_parameter(name, Parameter, get_cmd=read, set_cmd=False, unit=self.spec.unit, label=label, snapshot_get=False)

    def _one(self, index: int) -> float:
        return float(self.take()[:, index].mean())

    def _shots(self) -> int:
        return self.points.shots

    def _times(self) -> Floats:
        return np.arange(self.points.shots) * self.points.dwell_s

    def _saturated(self) -> int:
        return int(self.points.bench.ports[self.port].saturated)

    def _error(self) -> Floats:
        if self._record is None:
            raise TableError(f"{self.port}: nothing was measured yet; get its mean or record first")
        count, width = self._record.shape
        return np.full(width, np.nan) if count == 1 else np.asarray(self._record.std(axis=0, ddof=1) / np.sqrt(count))
