"""nidaqmx.system with one device: what it is, what it can do, how to reset it."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple

from sim_backends.firmware.nidaqmx_constants import refused


class DriverVersion(NamedTuple):
    """Of NI-DAQmx."""

    major_version: int
    minor_version: int
    update_version: int


class Device:
    """A device by its name, which need not exist until something is asked of it."""

    def __init__(self, table: Any, name: str) -> None:
        self._table, self.name = table, name

    def _model(self) -> Any:
        if self.name.lower() != self._table.device.lower():
            raise refused(-200220, Device_Specified=self.name)
        self._table.present()
        return self._table.model

    def _lines(self, kind: str, count: int) -> Any:
        return SimpleNamespace(channel_names=[f"{self._table.device}/{kind}{number}" for number in range(count)])

    product_type = property(lambda self: self._model().product)
    serial_num = property(lambda self: self._table.serial if self._model() else 0)
    is_simulated = property(lambda self: self._model() is not None)
    ao_physical_chans = property(lambda self: self._lines("ao", self._model().outputs))
    ai_physical_chans = property(lambda self: self._lines("ai", self._model().inputs))
    ao_voltage_rngs = property(lambda self: [volts for pair in self._model().output_ranges for volts in pair])
    ai_voltage_rngs = property(lambda self: [volts for pair in self._model().input_ranges for volts in pair])
    ao_samp_clk_supported = property(lambda self: bool(self._model().output_rates))
    ao_max_rate = property(lambda self: max(self._clocked()))
    ao_min_rate = property(lambda self: self._model().slowest if self._clocked() else 0.0)
    ai_max_single_chan_rate = property(lambda self: self._model().single)
    ai_max_multi_chan_rate = property(lambda self: self._model().several)
    ai_min_rate = property(lambda self: self._model().slowest)
    ai_simultaneous_sampling_supported = property(lambda self: self._model() is None)

    def _clocked(self) -> tuple[float, ...]:
        rates: tuple[float, ...] = self._model().output_rates
        if not rates:
            raise refused(-200452, Property="DAQmx_Dev_AO_MaxRate", Device=self.name)
        return rates

    def reset_device(self) -> None:
        """End all tasks."""
        self._model()
        self._table.reset()


class Devices:
    """The devices of the computer: one."""

    def __init__(self, table: Any) -> None:
        self._table = table

    @property
    def device_names(self) -> list[str]:
        """Names of those that are there."""
        return [] if self._table.unplugged else [self._table.device]

    def __getitem__(self, index: int | str) -> Device:
        return Device(self._table, index if isinstance(index, str) else self.device_names[index])

    def __iter__(self) -> Iterator[Device]:
        return (Device(self._table, name) for name in self.device_names)

    def __len__(self) -> int:
        return len(self.device_names)

    def __contains__(self, name: str) -> bool:
        return name in self.device_names


class System:
    """System.local()."""

    def __init__(self, table: Any) -> None:
        self.devices = Devices(table)
        self.driver_version = DriverVersion(24, 8, 0)
