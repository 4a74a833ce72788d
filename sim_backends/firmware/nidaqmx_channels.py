"""Channels of emulated NI-DAQmx tasks: what add_ao_voltage_chan and add_ai_voltage_chan make, and what a task has of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim_backends.firmware.nidaqmx_constants import ResolutionType, TerminalConfiguration, VoltageUnits, own, refused
from sim_backends.firmware.nidaqmx_models import Model, Range, each, line_of, noise_v, smallest

Floats = NDArray[np.float64]
OVER = 1.05  # inputs are converted to 5 % beyond their range


@dataclass(frozen=True)
class Channel:
    """One voltage channel.

    Attributes:
        name: in its task. physical: its line ("Dev1/ao0"). kind, number: ao, ai or internal, and which. low, high: as asked for.
        span: the range that was chosen. bits: of the converter. terminals: of an input.
    """

    name: str
    physical: str
    kind: str
    number: int
    low: float
    high: float
    span: Range
    bits: int
    terminals: TerminalConfiguration = TerminalConfiguration.DEFAULT

    @property
    def physical_channel(self) -> Any:
        """Its line, which has a name."""
        return SimpleNamespace(name=self.physical)

    ao_min = ai_min = property(lambda self: self.low)
    ao_max = ai_max = property(lambda self: self.high)
    ao_dac_rng_low = ai_rng_low = property(lambda self: self.span[0])
    ao_dac_rng_high = ai_rng_high = property(lambda self: self.span[1])
    ao_resolution = ai_resolution = property(lambda self: float(self.bits))
    ao_resolution_units = ai_resolution_units = property(lambda self: ResolutionType.BITS)
    ai_term_cfg = property(lambda self: self.terminals)

    def put_out(self, volts: Floats) -> Floats:
        """What the converter makes of volts; they were checked."""
        step = (self.span[1] - self.span[0]) / 2**self.bits
        return np.asarray(np.rint(volts / step) * step)

    def taken(self, volts: Floats, random: np.random.Generator, noise: float) -> Floats:
        """What the converter reads of volts: noise, steps, an end."""
        if not np.isfinite(volts).all():
            raise ValueError(f"{self.physical}: the light gave what is no number of volts")
        middle, half = sum(self.span) / 2, OVER * (self.span[1] - self.span[0]) / 2
        step = 2 * half / 2**self.bits
        codes = np.rint((volts - middle + noise * noise_v(half / OVER) * random.standard_normal(volts.shape)) / step)
        return np.asarray(middle + step * np.clip(codes, -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1))


class Channels:
    """The channels of a task, of one kind."""

    def __init__(self, task: Any) -> None:
        self._task = task

    def __getitem__(self, index: int | str) -> Channel:
        found: list[Channel] = self._task.channels_of(self)
        if isinstance(index, str):
            found, index = [c for c in found if c.name == index], 0
        try:
            return found[index]
        except IndexError:
            raise refused(-200461, self._task.saved_name) from None

    def __iter__(self) -> Iterator[Channel]:
        return iter(self._task.channels_of(self))

    def __len__(self) -> int:
        return len(self._task.channels_of(self))

    @property
    def channel_names(self) -> list[str]:
        """Their names."""
        return [channel.name for channel in self]

    @property
    def all(self) -> Channel:
        """Stands for all of them where they are alike."""
        return self[0]

    def _add(self, made: list[Channel]) -> Channel:
        """Add channels, all or none."""
        task, kinds = self._task, {"ao": "ao", "ai": "ai", "internal": "ai"}
        task.alive()
        task.at_rest()
        if {kinds[c.kind] for c in (*task.chans, *made)} == {"ao", "ai"}:
            raise refused(-200559, task.saved_name)
        names = [c.name for c in (*task.chans, *made)]
        if len(set(names)) < len(names):
            raise refused(-200489, task.saved_name)
        task.chans.extend(made)
        return made[0]


def _volts(low: float, high: float, ranges: tuple[Range, ...], kind: str, physical: str, units: Any) -> Range:
    if own(VoltageUnits, units) is not VoltageUnits.VOLTS:
        raise refused(-200452, Property=f"DAQmx_{kind}_Voltage_Units", Channel_Name=physical)
    if not low < high:
        raise refused(-200082, Minimum_Value=low, Maximum_Value=high, Channel_Name=physical)
    found = smallest(ranges, low, high)
    if found is None:
        wrong = "Max" if high > ranges[-1][1] else "Min"
        facts: dict[str, Any] = {"Property": f"DAQmx_{kind}_{wrong}", "Requested_Value": high if wrong == "Max" else low}
        raise refused(-200077, **facts, Maximum_Value=ranges[-1][1], Minimum_Value=ranges[-1][0], Channel_Name=physical)
    return found


def _named(name: str, physical: str, count: int, index: int) -> str:
    return physical if not name else name if count == 1 else f"{name}{index}"


class OutputChannels(Channels):
    """task.ao_channels."""

    def add_ao_voltage_chan(
        self, physical_channel: str, name_to_assign_to_channel: str = "", min_val: float = -10.0, max_val: float = 10.0,
        units: Any = VoltageUnits.VOLTS, custom_scale_name: str = "",
    ) -> Channel:  # fmt: skip
        """Add analog outputs."""
        device, model, names, made = self._task.device, self._task.model, list(each(physical_channel)), []
        for index, physical in enumerate(names):
            kind, number = line_of(device, model, physical)
            if kind != "ao":
                raise refused(-200430, Physical_Channel_Name=physical)
            span = _volts(min_val, max_val, model.output_ranges, "AO", physical, units)
            name = _named(name_to_assign_to_channel, physical, len(names), index)
            made.append(Channel(name, physical, kind, number, float(min_val), float(max_val), span, model.output_bits))
        return self._add(made)


class InputChannels(Channels):
    """task.ai_channels."""

    def add_ai_voltage_chan(
        self, physical_channel: str, name_to_assign_to_channel: str = "", terminal_config: Any = TerminalConfiguration.DEFAULT,
        min_val: float = -5.0, max_val: float = 5.0, units: Any = VoltageUnits.VOLTS, custom_scale_name: str = "",
    ) -> Channel:  # fmt: skip
        """Add analog inputs."""
        device, model, names, made = self._task.device, self._task.model, list(each(physical_channel)), []
        for index, physical in enumerate(names):
            kind, number = line_of(device, model, physical)
            if kind == "ao":
                raise refused(-200430, Physical_Channel_Name=physical)
            terminals = _terminals(own(TerminalConfiguration, terminal_config), kind, number, model, physical)
            span = _volts(min_val, max_val, model.input_ranges, "AI", physical, units)
            name = _named(name_to_assign_to_channel, physical, len(names), index)
            made.append(Channel(name, physical, kind, number, float(min_val), float(max_val), span, model.input_bits, terminals))
        return self._add(made)


def _terminals(wanted: TerminalConfiguration, kind: str, number: int, model: Model, physical: str) -> TerminalConfiguration:
    """How the input is wired; DEFAULT is differential where that can be."""
    known = TerminalConfiguration
    paired = kind == "internal" or number in model.differential
    if wanted is known.DEFAULT:
        return known.DIFF if paired else known.RSE
    if wanted is known.PSEUDO_DIFF or (wanted is known.DIFF and not paired):
        raise refused(-200077, Property="DAQmx_AI_TermCfg", Requested_Value=wanted.name, Channel_Name=physical)
    return wanted
