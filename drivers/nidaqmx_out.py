"""Analog outputs of a National Instruments DAQ device as modulators, by NI-DAQmx (drivers/nidaqmx_table.py).

Sequenced: a bank stays in the computer; the rows that an order names go to a buffer of one finite generation, one sample a shot (or a
multiple), which starts on a digital edge, by default the start of the same device's inputs. Devices without such a clock hold one row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np

from drivers.held import HeldBank
from drivers.nidaqmx_clock import check_clock, samples_a_shot
from drivers.nidaqmx_table import (
    OneTask,
    ReservedError,
    Sdk,
    attached,
    calls,
    identity_of,
    lines_of,
    load_sdk,
    ranges_of,
    read_back,
    terminal,
)
from labonn.channels import ChannelSpec, Floats
from labonn.errors import InstrumentError, LinkError, TableError, UnknownStateError
from labonn.shots import Bank, Ints, rows_of
from labonn.units import format_quantity

ECHO_V = 1e-6  # limits are told back as they were set
MOST_SAMPLES = 1 << 24  # of one buffer, all channels together
TRIES = 3


@dataclass(frozen=True)
class NiDaqOutOptions:
    """Bench-file keys of analog outputs.

    Attributes:
        channels, first: how many outputs, from ao<first> on.
        trigger: terminal whose rising edge starts a table, of this device ("PFI0") or of any ("/Dev2/ai/StartTrigger").
        product: model that the device must be ("USB-6363"); empty: any.
        depth: rows of a bank; 1 holds one row, set by software.
        readback_v: read held and safe outputs back by the device's internal channels, and how far off they may be; 0: do not.
        settle_s: of what is behind the outputs, until it may be used.
        timeout_s: for the device to answer.
    """

    channels: int
    first: int = 0
    trigger: str = "ai/StartTrigger"
    product: str = ""
    depth: int = 65536
    readback_v: float = 0.0
    settle_s: float = 0.0
    timeout_s: float = 2.0

    def __post_init__(self) -> None:
        if not (self.channels >= 1 and self.first >= 0 and self.depth >= 1 and self.trigger):
            given = f"channels = {self.channels}, first = {self.first}, depth = {self.depth}, trigger = {self.trigger!r}"
            raise ValueError(f"{given}: 1 or more, 0 or more, 1 or more, the name of a terminal")
        if not (0 <= self.readback_v < math.inf and 0 <= self.settle_s < math.inf and 0 < self.timeout_s < math.inf):
            given = f"readback_v = {self.readback_v:g}, settle_s = {self.settle_s:g}, timeout_s = {self.timeout_s:g}"
            raise ValueError(f"{given}: not negative, timeout_s positive, all finite")


class NiDaqOut:
    """Modulators in volts on some analog outputs of one device."""

    Options: ClassVar[type] = NiDaqOutOptions
    kind: ClassVar[str] = "Modulators"
    transport: ClassVar[str] = "sdk"
    link_options: ClassVar[dict[str, Any]] = {}
    shares: ClassVar[str] = "nidaqmx"
    load_sdk = staticmethod(load_sdk)
    attached = staticmethod(partial(attached, "ao"))

    def __init__(self, sdk: Sdk, options: NiDaqOutOptions, port: str) -> None:
        self._sdk, self._options, self._port = sdk, options, port
        self._tasks = OneTask(sdk)
        with calls(sdk, port):
            self._device = sdk.system.System.local().devices[sdk.device]
            self.identity = identity_of(self._device, port, options.product)
            names = list(self._device.ao_physical_chans.channel_names)
            self._lines = lines_of(names, "ao", options.first, options.channels, port, sdk.device)
            sampled = options.depth > 1 and self._device.ao_samp_clk_supported
            self._rates = (self._device.ao_min_rate, self._device.ao_max_rate) if sampled else (0.0, 0.0)
            self._range = ranges_of(self._device.ao_voltage_rngs)[-1]
            lower, upper, step, settle_s = map(np.asarray, (*self._range, 0.0, options.settle_s))
            short = tuple(line.rpartition("/")[2] for line in self._lines)
            self.spec = ChannelSpec(short, "V", lower, upper, step, settle_s, depth=options.depth if sampled else 1)
            self._codes = 2.0 ** self._tasks.open("identify", self._build).ao_channels[0].ao_resolution
            self._tasks.close()
        self.spec = replace(self.spec, step=np.asarray((self._range[1] - self._range[0]) / self._codes))
        self._held = HeldBank(port, self.identity)
        self._bank: Bank | None = None
        self._row: Floats | None = None
        self._samples, self._started = 0, False  # loaded and not played; whether the open task was started
        self._due = False

    def prepare(self, spec: ChannelSpec) -> None:
        """The limits become those of the channels, which NI-DAQmx then refuses to leave; read back; outputs at the safe level."""
        self.spec = spec
        self._safe_level()
        ranges: list[float] = []
        with calls(self._sdk, self._port):
            channels = self._tasks.open("limits", self._build).ao_channels
            for number, wanted in enumerate(self._limits()):
                has = channels[number].ao_min, channels[number].ao_max
                if not np.allclose(has, wanted, rtol=0, atol=ECHO_V):
                    limits = f"{has[0]:g} to {has[1]:g} V after {wanted[0]:g} to {wanted[1]:g} V were set"
                    self._wrong(f"{self._lines[number]} has limits of {limits}")
                ranges.append(channels[number].ao_dac_rng_high - channels[number].ao_dac_rng_low)
            self._tasks.close()
        self.spec = replace(spec, step=np.asarray(ranges) / self._codes)

    def load(self, bank: Bank | None, order: Ints, dwell_s: float) -> None:
        """Write the rows that `order` names into the buffer; `None` takes them from the bank before.

        Raises:
            TableError: nothing to take them from, too many, or shots that the device's clock cannot make.
        """
        self.confirm()
        self._row, self._samples = None, 0
        if self.spec.depth == 1:
            self._row = self._held.row(bank, order, self.spec)
            return
        self._bank = self._bank if bank is None else bank
        if self._bank is None or self._bank.shape[1] != len(self.spec):
            has = "no bank was loaded before" if self._bank is None else f"a row has {self._bank.shape[1]} values"
            raise TableError(f"{self._port}: {has}; the port has {len(self.spec)} channels")
        repeats = samples_a_shot(self._port, len(order), dwell_s, *self._rates)
        if (wanted := len(order) * repeats * len(self.spec)) > MOST_SAMPLES:
            raise TableError(f"{self._port}: {len(order)} shots are {wanted} samples, more than {MOST_SAMPLES} (driver)")
        frames = np.repeat(rows_of(self._bank, order), repeats, axis=0).T
        self.spec.check(self._port, frames.T)
        with calls(self._sdk, self._port):
            self._stop()
            task = self._tasks.open((len(order), repeats, dwell_s), lambda task: self._sequence(task, len(order), repeats, dwell_s))
            writer = self._sdk.stream_writers.AnalogMultiChannelWriter(task.out_stream, auto_start=False)
            written = writer.write_many_sample(np.ascontiguousarray(frames, np.float64), timeout=self._options.timeout_s)
            if written != frames.shape[1]:
                self._tasks.close()
                self._wrong(f"{frames.shape[1]} samples were written, the device took {written}")
        self._samples = written

    def arm(self) -> None:
        """Wait for the edge; held, set the loaded row now."""
        if self._row is not None:
            self._now(self._row)
            return
        if not self._samples:
            raise TableError(f"{self._port}: nothing is loaded")
        self._samples, self._started = 0, True
        with calls(self._sdk, self._port):
            self._tasks.task.start()

    def fired(self, bursts: int) -> None:
        """The trigger is said to have come; when the outputs are used next, they must have played."""
        self._due = self._started

    def confirm(self) -> None:
        """Raise UnknownStateError unless the last table was played."""
        with calls(self._sdk, self._port):
            lacking = self._due and self._tasks.task is not None and not self._tasks.task.is_task_done()
            self._due = False
            if lacking:
                told = f"no edge came at {self._options.trigger}, and what was measured meanwhile is not of that table"
                self._wrong(f"the last table was not played: {told}")

    def safe(self) -> None:
        """0 V, or the nearest that is allowed; tried again after an error, with a reset of the device if another task has the outputs."""
        for attempt in range(TRIES):
            try:
                self._safe_level()
                return
            except (LinkError, InstrumentError) as problem:
                if attempt == TRIES - 1:
                    raise
                if isinstance(problem, ReservedError) or isinstance(problem.__cause__, ReservedError):
                    with calls(self._sdk, self._port):
                        self._device.reset_device()

    def close(self) -> None:
        """Let go of the outputs, which stay as they are."""
        self._row, self._samples, self._started, self._due = None, 0, False, False
        with calls(self._sdk, self._port):
            self._tasks.close()

    def _safe_level(self) -> None:
        self.close()
        self._now(np.clip(np.zeros(len(self.spec)), self.spec.lower, self.spec.upper))
        self.close()

    def _now(self, volts: Floats) -> None:
        """Set all outputs by software, and read them back if that is wanted."""
        with calls(self._sdk, self._port):
            task = self._tasks.open("now", self._build)
            written = task.write(volts.tolist() if volts.size > 1 else float(volts[0]), auto_start=True, timeout=self._options.timeout_s)
            if written != 1:
                self._wrong(f"one sample was written, the device took {written}")
        if self._options.readback_v:
            found = self._read_back()
            worst = int(np.argmax(~(np.abs(found - volts) <= self._options.readback_v)))
            if not abs(found[worst] - volts[worst]) <= self._options.readback_v:
                told = f"set to {format_quantity(float(volts[worst]), 'V')} it reads back {format_quantity(float(found[worst]), 'V')}"
                self._wrong(f"{self._lines[worst]}: {told}, more than {format_quantity(self._options.readback_v, 'V')} off")

    def _read_back(self) -> Floats:
        try:
            with calls(self._sdk, self._port):
                return read_back(self._sdk, self._device, self._lines, self._options.timeout_s)
        except ReservedError as problem:
            raise UnknownStateError(f"{self._port}: set without an error, but not read back while inputs record ({problem})") from problem

    def _sequence(self, task: Any, shots: int, repeats: int, dwell_s: float) -> None:
        constants, rate = self._sdk.constants, repeats / dwell_s
        self._build(task)
        task.timing.cfg_samp_clk_timing(rate, sample_mode=constants.AcquisitionType.FINITE, samps_per_chan=shots * repeats)
        task.triggers.start_trigger.cfg_dig_edge_start_trig(terminal(self._sdk.device, self._options.trigger), constants.Edge.RISING)
        check_clock(self._port, rate, task.timing.samp_clk_rate, shots, dwell_s)

    def _stop(self) -> None:
        """What has been played may be written again; what was never triggered is closed, or NI-DAQmx would warn."""
        if self._started and self._tasks.task is not None and self._tasks.task.is_task_done():
            self._tasks.task.stop()
        else:
            self._tasks.close()
        self._started = False

    def _build(self, task: Any) -> None:
        for line, (low, high) in zip(self._lines, self._limits(), strict=True):
            task.ao_channels.add_ao_voltage_chan(line, min_val=low, max_val=high)

    def _limits(self) -> list[tuple[float, float]]:
        """Lowest and highest volts of each channel, which NI-DAQmx wants to differ."""
        found = zip(self.spec.lower.tolist(), self.spec.upper.tolist(), strict=True)
        return [(a, b) if a < b else (max(a - ECHO_V, self._range[0]), min(b + ECHO_V, self._range[1])) for a, b in found]

    def _wrong(self, what: str) -> None:
        raise UnknownStateError(f"{self._port}: {what} ({self.identity})")
