"""Emulated NI-DAQmx tasks: reserved, started, triggered, done, by the rules of the NI-DAQmx Help (task state model)."""

from __future__ import annotations

import math
import warnings
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sim_backends.firmware.nidaqmx_channels import Channel, Channels, InputChannels, OutputChannels
from sim_backends.firmware.nidaqmx_constants import AcquisitionType, DaqResourceWarning, DaqWarning, TaskMode, own, refused
from sim_backends.firmware.nidaqmx_parts import Stream, Timing, Triggers

Floats = NDArray[np.float64]
UNSET: Any = object()
IDLE, RESERVED, COMMITTED, RUNNING = range(4)
FEWEST = 2
NEARLY = 1e-6  # of a sample
READ_S = 1e-4  # of one sample by software


class Task:
    """A task of a device.

    Args:
        table: the device's. new_task_name: unique; made up if empty.

    Attributes:
        began_s: time of the table when it was triggered; None: not yet.
    """

    def __init__(self, table: Any, new_task_name: str = "") -> None:
        self._table, self.device, self.model = table, table.device, table.model
        self.saved_name: str = table.register(self, new_task_name)
        self.chans: list[Channel] = []
        self.ai_channels, self.ao_channels = InputChannels(self), OutputChannels(self)
        self.timing, self.triggers = Timing(self), Triggers(self)
        self.in_stream = self.out_stream = Stream(self)
        self.state, self._back, self._closed = IDLE, IDLE, False
        self.began_s: float | None = None
        self.buffer: Floats | None = None
        self.record: Floats | None = None
        self._written = self._read = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def name(self) -> str:
        """Of the task."""
        self.alive()
        return self.saved_name

    @property
    def channel_names(self) -> list[str]:
        """Of all channels."""
        return [channel.name for channel in self.chans]

    @property
    def number_of_channels(self) -> int:
        """How many there are."""
        return len(self.chans)

    @property
    def inputs(self) -> bool:
        """Whether it reads."""
        return bool(self.chans) and self.chans[0].kind != "ao"

    @property
    def finite(self) -> bool:
        """Whether it ends by itself."""
        return self.timing.mode is AcquisitionType.FINITE

    def channels_of(self, collection: Channels) -> list[Channel]:
        """Its channels of the collection's kind."""
        self.verify(bare=True)
        return self.chans if self.inputs == isinstance(collection, InputChannels) else []

    def refusal(self, code: int, **facts: Any) -> Exception:
        """The error of a number, with this task's name."""
        return refused(code, self.saved_name, **facts)

    def alive(self) -> None:
        """Raise unless there is such a task on such a device."""
        if self._closed:
            raise self.refusal(-200088)
        self._table.present()

    def at_rest(self) -> None:
        """Raise if it runs."""
        self.alive()
        if self.state == RUNNING:
            raise self.refusal(-200479)

    def verify(self, bare: bool = False) -> None:
        """Raise unless channels and clock fit the device; a bare task needs no channels."""
        self.alive()
        if not self.chans and not bare:
            raise self.refusal(-200478)
        if not self.timing.rate or not self.chans:
            return
        count, model, rates = len(self.chans), self.model, self.model.output_rates
        if self.inputs:
            fastest = model.single if count == 1 else model.several / count
        elif not rates:
            raise self.refusal(-200452, Property="DAQmx_SampTimingType")
        else:
            fastest = rates[min(count, len(rates)) - 1]
        bounds = {"Maximum_Value": fastest, "Minimum_Value": model.slowest}
        if not model.slowest <= self.timing.rate <= fastest * (1 + 1e-9):
            raise self.refusal(-200077, Property="DAQmx_SampClk_Rate", Requested_Value=self.timing.rate, **bounds)
        if self.timing.count < FEWEST and self.finite:
            bounds = {"Requested_Value": self.timing.count, "Minimum_Value": FEWEST}
            raise self.refusal(-200077, Property="DAQmx_SampQuant_SampPerChan", **bounds)

    def control(self, action: Any) -> None:
        """Go to a state."""
        mode = own(TaskMode, action)
        if mode in (TaskMode.TASK_START, TaskMode.TASK_STOP):
            (self.start if mode is TaskMode.TASK_START else self.stop)()
        elif mode in (TaskMode.TASK_ABORT, TaskMode.TASK_UNRESERVE):
            self.alive()
            if mode is TaskMode.TASK_UNRESERVE:
                self.at_rest()
            self.abort()
        else:
            self.verify()
            if mode is not TaskMode.TASK_VERIFY:
                self._reserve(COMMITTED if mode is TaskMode.TASK_COMMIT else RESERVED)

    def start(self) -> None:
        """Run, or wait for the edge."""
        self.at_rest()
        self.verify()
        if not self.inputs and self.timing.rate:
            if self.buffer is None or not self._written:
                raise self.refusal(-200462)
            if self.buffer.shape[1] < FEWEST:
                raise self.refusal(-200609)
        self._back = self.state
        self._reserve(RUNNING)
        self.began_s, self.record, self._read = None, None, 0
        if self.timing.rate and not self.triggers.start_trigger.source:
            self._table.begin(self)

    def stop(self) -> None:
        """As it was before the start."""
        self.alive()
        if self.state != RUNNING:
            return
        done = self.is_task_done()
        self._end(self._back)
        if not done and self.finite:
            told = "Finite acquisition or generation has been stopped before the requested number of samples were acquired or generated."
            warnings.warn(DaqWarning(told, 200010), stacklevel=2)

    def abort(self) -> None:
        """Idle, without a word; what was in the buffer is lost."""
        self._end(IDLE)
        self.buffer = None

    def close(self) -> None:
        """Forget the task."""
        if self._closed:
            warnings.warn(DaqResourceWarning(f"Attempted to close task {self.saved_name!r}, which was closed before."), stacklevel=2)
            return
        self.abort()
        self._closed = True
        self._table.forget(self)

    clear = close

    def is_task_done(self) -> bool:
        """Whether nothing is going on any more."""
        self.alive()
        if self.state != RUNNING or not self.timing.rate:
            return True
        return self.finite and self.began_s is not None and self.passed() >= self.timing.count

    def wait_until_done(self, timeout: float = 10.0) -> None:
        """Let the time pass that it takes."""
        if self.is_task_done():
            return
        if not self.finite or not self.arrive(self.timing.count, timeout):
            raise self.refusal(-200560)

    def write(self, data: Any, auto_start: Any = UNSET, timeout: float = 10.0) -> int:
        """Write samples; (channels, samples), or one number where there is one of them."""
        self.verify()
        if self._table.troubles.take("refuse"):
            raise self.refusal(-200561)
        if self.inputs:
            raise self.refusal(-200459)
        values = np.asarray(data, np.float64)
        count = len(self.chans)
        if values.ndim < 2:
            values = values.reshape(-1, 1) if count > 1 or values.ndim == 0 else values.reshape(1, -1)
        if values.ndim != 2 or values.shape[0] != count or values.shape[1] == 0:
            raise self.refusal(-200524, Number_of_Channels_in_Task=count, Number_of_Channels_in_Data=values.shape[0])
        low, high = (np.array([getattr(c, side) for c in self.chans])[:, None] for side in ("low", "high"))
        outside = ~((values >= low) & (values <= high))
        if outside.any():
            row, column = np.argwhere(outside)[0]
            bounds = {"Maximum_Value": high[row, 0], "Minimum_Value": low[row, 0]}
            raise self.refusal(-200561, Requested_Value=values[row, column], **bounds, Channel_Name=self.chans[row].name)
        begin = values.shape[1] == 1 if auto_start is UNSET else bool(auto_start)
        put_out = np.stack([channel.put_out(row) for channel, row in zip(self.chans, values, strict=True)])
        (self._fill if self.timing.rate else self._set)(put_out, begin)
        return int(values.shape[1])

    def _set(self, values: Floats, begin: bool) -> None:
        """On demand: now."""
        if not begin and self.state != RUNNING:
            raise self.refusal(-200846)
        before = self.state
        self._reserve(max(before, RESERVED))
        self._table.hold(self, values[:, -1])
        self._table.pass_s(READ_S * values.shape[1])
        if before == IDLE:
            self._end(IDLE)

    def _fill(self, values: Floats, begin: bool) -> None:
        """Into the buffer, whose size the first write decides."""
        if self.state == RUNNING:
            raise self.refusal(-200288)
        self.verify()
        if self.buffer is not None and self._written + values.shape[1] > self.buffer.shape[1]:
            raise self.refusal(-200547)
        self._reserve(max(self.state, COMMITTED))
        if self.buffer is None:
            self.buffer = np.zeros(values.shape)
        self.buffer[:, self._written : self._written + values.shape[1]] = values
        self._written += values.shape[1]
        if begin:
            self.start()

    def read(self, number_of_samples_per_channel: Any = UNSET, timeout: float = 10.0) -> Any:
        """Samples as a number or nested lists, as many dimensions as were asked for."""
        single = number_of_samples_per_channel is UNSET
        found = self.take(1 if single else int(number_of_samples_per_channel), timeout)
        if single:
            found = found[:, 0]
        return (found[0] if len(self.chans) == 1 else found).tolist()

    def take(self, count: int, timeout: float) -> Floats:
        """(channels, count) samples; -1: all that a finite task has left."""
        self.verify()
        if not self.inputs:
            raise self.refusal(-200460)
        if not self.timing.rate:
            return self._measure(max(count, 1))
        if self.state != RUNNING:
            self.start()
        count = self.timing.count - self._read if count < 0 and self.finite else max(self.passed() - self._read, 0) if count < 0 else count
        if self.finite and self._read + count > self.timing.count:
            raise self.refusal(-200278)
        if not self.arrive(self._read + count, timeout):
            raise self.refusal(-200284)
        first, self._read = self._read, self._read + count
        samples: Floats = self._table.converted(self, first, count) if self.record is None else self.record[:, first : self._read]
        return samples

    def _measure(self, count: int) -> Floats:
        before = self.state
        self._reserve(max(before, RESERVED))
        try:
            samples: Floats = self._table.measured(self, count)
        finally:
            if before == IDLE:
                self._end(IDLE)
        self._table.pass_s(READ_S * count)
        return samples

    def passed(self) -> int:
        """Samples that the clock has given since the trigger."""
        if self.began_s is None or not self.timing.rate:
            return 0
        given: int = math.floor((self._table.time_s - self.began_s) * self.model.rate(self.timing.rate) + NEARLY)
        return min(given, self.timing.count) if self.finite else given

    def arrive(self, count: int, timeout: float) -> bool:
        """Let time pass until so many samples are through, but no longer than `timeout`; whether they are."""
        if self.began_s is None:
            self._table.pass_s(max(timeout, 0.0))
            return False
        lacking = self.began_s + count / self.model.rate(self.timing.rate) - self._table.time_s
        if lacking > timeout >= 0 and self.passed() < count:
            self._table.pass_s(timeout)
            return False
        self._table.pass_s(max(lacking, 0.0))
        return True

    def _reserve(self, state: int) -> None:
        self._table.reserve(self)
        self.state = max(state, self.state)

    def _end(self, state: int) -> None:
        self._table.ended(self)
        self.state, self.began_s, self.record, self._written = state, None, None, 0
        if state < RESERVED:
            self._table.release(self)
