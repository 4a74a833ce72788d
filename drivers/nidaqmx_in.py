"""Analog inputs of a National Instruments DAQ device as photodetectors and as the bench's trigger, by NI-DAQmx (drivers/nidaqmx_table.py).

A record is one finite acquisition: so many samples a shot, of which the first ones are left out (the outputs move then) and the rest
averaged. Its start is the trigger: the device's ai/StartTrigger goes to the outputs that wait for it.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from drivers.nidaqmx_clock import FEWEST, check_clock, check_input, most_a_channel
from drivers.nidaqmx_table import OneTask, Sdk, attached, calls, identity_of, lines_of, load_sdk, ranges_of, terminal
from labonn.channels import ChannelSpec, Floats
from labonn.errors import DesyncError, LabonnError, LimitError, ReadingError, TableError, UnknownStateError

TERMINALS = {"default": "DEFAULT", "rse": "RSE", "nrse": "NRSE", "diff": "DIFF", "pseudo_diff": "PSEUDO_DIFF"}


@dataclass(frozen=True)
class NiDaqInOptions:
    """Bench-file keys of analog inputs.

    Attributes:
        channels, first: how many inputs, from ai<first> on.
        terminals: "default", "rse", "nrse", "diff" or "pseudo_diff". range_v: full scale at first; 0: the largest.
        samples: of a shot. skip: of these left out, from the first on.
        trigger: terminal whose rising edge starts a record ("PFI0"); empty: these inputs start it, and are the trigger of others.
        product: model that the device must be ("USB-6363"); empty: any.
        depth: shots of a record. timeout_s: for the device to answer, besides the time of the record.
    """

    channels: int
    first: int = 0
    terminals: str = "default"
    range_v: float = 0.0
    samples: int = 2
    skip: int = 1
    trigger: str = ""
    product: str = ""
    depth: int = 65536
    timeout_s: float = 2.0

    def __post_init__(self) -> None:
        if not (self.channels >= 1 and self.first >= 0 and self.depth >= 1 and 0 <= self.skip < self.samples):
            given = f"channels = {self.channels}, first = {self.first}, depth = {self.depth}, samples = {self.samples}, skip = {self.skip}"
            raise ValueError(f"{given}: 1 or more, 0 or more, 1 or more, more than skip, 0 or more")
        if self.terminals not in TERMINALS:
            raise ValueError(f"terminals = {self.terminals!r}: one of {', '.join(TERMINALS)}")
        if not (0 <= self.range_v < math.inf and 0 < self.timeout_s < math.inf):
            raise ValueError(f"range_v = {self.range_v:g}, timeout_s = {self.timeout_s:g}: not negative, positive, both finite")


class NiDaqIn:
    """Photodetectors in volts on some analog inputs of one device; can be the bench's trigger.

    Attributes:
        saturated: samples of the last record at an end of the range. full_scale: (D,) volts, the ranges taken.
    """

    Options: ClassVar[type] = NiDaqInOptions
    kind: ClassVar[str] = "Photodetectors"
    transport: ClassVar[str] = "sdk"
    link_options: ClassVar[dict[str, Any]] = {}
    shares: ClassVar[str] = "nidaqmx"
    load_sdk = staticmethod(load_sdk)
    attached = staticmethod(partial(attached, "ai"))

    def __init__(self, sdk: Sdk, options: NiDaqInOptions, port: str) -> None:
        self._sdk, self._options, self._port = sdk, options, port
        self._tasks = OneTask(sdk)
        count = options.channels
        with calls(sdk, port):
            device = sdk.system.System.local().devices[sdk.device]
            self.identity = identity_of(device, port, options.product)
            self._lines = lines_of(list(device.ai_physical_chans.channel_names), "ai", options.first, count, port, sdk.device)
            self._ranges = ranges_of(device.ai_voltage_rngs)
            single, several = device.ai_max_single_chan_rate, device.ai_max_multi_chan_rate
            self._slowest = device.ai_min_rate
            self._fastest = most_a_channel(single, several, count, bool(device.ai_simultaneous_sampling_supported))
            lowest, highest = self._ranges[-1]
            self._taken = [self._smallest(options.range_v or highest, channel) for channel in range(count)]
            codes = 2.0 ** self._tasks.open("identify", self._build).ai_channels[0].ai_resolution
            self._tasks.close()
        lower, upper, step, settle_s = map(np.asarray, (lowest, highest, (highest - lowest) / codes, 0.0))
        names = tuple(line.rpartition("/")[2] for line in self._lines)
        self.spec = ChannelSpec(names, "V", lower, upper, step, settle_s, depth=options.depth)
        self._shots, self._dwell_s, self._armed, self._started, self.saturated = 0, 0.0, False, False, 0
        self.full_scale = np.array([high for _, high in self._taken])

    def set_range(self, full_scale_v: float | Floats) -> Floats:
        """Take, channel by channel, the smallest range that holds `full_scale_v` volts; (D,) the ranges taken.

        Raises:
            LimitError: beyond the largest range. UnknownStateError: the device takes a smaller range than was asked for.
        """
        wanted = np.broadcast_to(np.asarray(full_scale_v, np.float64), (len(self.spec),))
        taken = [self._smallest(float(volts), channel) for channel, volts in enumerate(wanted)]
        self._forget()
        self._taken = taken
        with calls(self._sdk, self._port):
            channels = self._tasks.open("ranges", self._build).ai_channels
            found = np.array([channels[number].ai_rng_high for number in range(len(taken))])
            self._tasks.close()
        if not np.all(found >= wanted * (1 - 1e-9)):
            short = int(np.argmin(found >= wanted))
            told = f"a range of {wanted[short]:g} V was asked for, the device takes {found[short]:g} V"
            raise UnknownStateError(f"{self._port}/{self.spec.names[short]}: {told} ({self.identity})")
        self.full_scale = found
        return found

    def arm(self, shots: int, dwell_s: float) -> None:
        """Set a record up, and wait for its edge if it has one.

        Raises:
            TableError: the device cannot take so many samples in a shot, or its clock cannot make the shots.
        """
        samples = self._options.samples
        if shots > self._options.depth:
            raise TableError(f"{self._port}: {shots} shots; a record holds 1 to {self._options.depth} (depth)")
        check_input(self._port, dwell_s, samples, len(self.spec), self._slowest, self._fastest)
        with calls(self._sdk, self._port):
            if self._armed or self._started:
                self._forget()
            self._shots, self._dwell_s = shots, dwell_s
            task = self._tasks.open((shots, dwell_s), lambda task: self._record(task, shots, dwell_s))
            task.control(self._sdk.constants.TaskMode.TASK_COMMIT)
            self._armed = True
            if self._options.trigger:
                self._start(task)

    def fire(self, shots: int, dwell_s: float) -> None:
        """Start the record, and with it every output that waits for it; of nobody who reads, see it through.

        Raises:
            TableError: these inputs wait for a trigger themselves.
        """
        if self._options.trigger:
            raise TableError(f"{self._port}: waits for an edge at {self._options.trigger} (trigger); it cannot be the bench's trigger")
        unread = not self._armed
        if unread:
            self.arm(shots, dwell_s)
        with calls(self._sdk, self._port):
            self._start(self._tasks.task)
            if unread:
                self._tasks.task.wait_until_done(timeout=shots * dwell_s + self._options.timeout_s)
                self._stop()

    def fetch(self) -> Floats:
        """(T, D) volts of the record, each the mean of its shot's samples.

        Raises:
            LinkTimeoutError: it did not come in time. DesyncError: it has another length. ReadingError: it has what is no number.
        """
        if not self._started:
            raise TableError(f"{self._port}: nothing was recorded since the last fetch")
        count = self._count()
        data = np.full((len(self.spec), count), np.nan)
        try:
            with calls(self._sdk, self._port):
                reader = self._sdk.stream_readers.AnalogMultiChannelReader(self._tasks.task.in_stream)
                read = reader.read_many_sample(data, count, timeout=self._shots * self._dwell_s + self._options.timeout_s)
                if read != count:
                    raise DesyncError(f"{self._port}: {read} samples a channel came, {count} were to come")
                self._stop()
        except BaseException:
            with suppress(LabonnError):  # what led here matters more
                self._forget()
            raise
        return self._means(data)

    def close(self) -> None:
        """Let go of the inputs."""
        self._forget()

    def _means(self, data: Floats) -> Floats:
        kept = data[:, : self._shots * self._options.samples]
        used = kept.reshape(len(self.spec), self._shots, -1)[:, :, self._options.skip :]
        if not np.isfinite(used).all():
            channel, shot, _ = np.argwhere(~np.isfinite(used))[0]
            raise ReadingError(f"{self._port}/{self.spec.names[channel]}: reads what is no number in shot {shot}")
        low, high = np.array(self._taken).T[:, :, None, None]
        self.saturated = int(np.count_nonzero((used <= low) | (used >= high)))
        return np.ascontiguousarray(used.mean(axis=2).T)

    def _smallest(self, volts: float, channel: int) -> tuple[float, float]:
        largest = max(high for _, high in self._ranges)
        if not 0 < volts <= largest * (1 + 1e-9):
            name = self._lines[channel].rpartition("/")[2]
            raise LimitError(f"{self._port}/{name}: a range of {volts:g} V is not above 0 and up to {largest:g} V (driver)")
        return next(pair for pair in self._ranges if pair[1] >= volts * (1 - 1e-9))

    def _build(self, task: Any) -> None:
        terminals = self._sdk.constants.TerminalConfiguration[TERMINALS[self._options.terminals]]
        for line, (low, high) in zip(self._lines, self._taken, strict=True):
            task.ai_channels.add_ai_voltage_chan(line, terminal_config=terminals, min_val=low, max_val=high)

    def _record(self, task: Any, shots: int, dwell_s: float) -> None:
        constants, rate = self._sdk.constants, self._options.samples / dwell_s
        self._build(task)
        task.timing.cfg_samp_clk_timing(rate, sample_mode=constants.AcquisitionType.FINITE, samps_per_chan=self._count())
        if self._options.trigger:
            task.triggers.start_trigger.cfg_dig_edge_start_trig(terminal(self._sdk.device, self._options.trigger), constants.Edge.RISING)
        check_clock(self._port, rate, task.timing.samp_clk_rate, shots, dwell_s)

    def _start(self, task: Any) -> None:
        self._armed, self._started = False, True
        task.start()

    def _stop(self) -> None:
        """The task may serve again; until then the inputs are free, for outputs to be read back."""
        self._tasks.task.stop()
        self._tasks.task.control(self._sdk.constants.TaskMode.TASK_UNRESERVE)
        self._started = False

    def _count(self) -> int:
        """Samples of a record, which are two at least."""
        return max(self._shots * self._options.samples, FEWEST)

    def _forget(self) -> None:
        self._armed = self._started = False
        with calls(self._sdk, self._port):
            self._tasks.close()
