"""NI-DAQmx with one DAQ device, as the object model of the Python package `nidaqmx`, from its documentation and the NI-DAQmx Help.

Rates, ranges and resolution are those of the device's specifications (nidaqmx_models.py). Refusals are DaqError with NI's numbers.

| part of the package | implemented | refused or missing |
| --- | --- | --- |
| Task | start, stop (warning 200010), close, control, is_task_done, wait_until_done (-200560), read, write | events, save, -200088 |
| channels | voltage: ranges (-200077, -200082), lines (-200170, -200430, -200489), terminals of inputs | other quantities, scales |
| timing | on demand; own sample clock, finite and continuous, rate made of the timebase (-200077) | external clocks -200452 |
| triggers | start trigger on a rising edge: ai/, ao/StartTrigger, PFI, RTSI, other devices' (-89120) | reference, pause, retriggerable |
| stream_writers, stream_readers | AnalogMultiChannelWriter and Reader, many samples | the others |
| buffers | one write a start (-200462, -200547, -200609, -200561, -200524), regenerated; -200288 to a running task | streaming, FIFOs |
| reading | -200284 with the time-out passed, -200278 | overwriting -200279 |
| resources | lines, output clock, inputs by one task at a time (-50103) | routes |
| system | devices, their facts, reset_device (tasks are idle then), -200220, unplugged -201003 | MAX, self-test, calibration |

Departures: the multiplexer reads all inputs at the same time, outputs settle at once, writes to the device take no time.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim_backends.firmware import nidaqmx_constants
from sim_backends.firmware.nidaqmx_channels import OVER
from sim_backends.firmware.nidaqmx_constants import refused
from sim_backends.firmware.nidaqmx_models import MODELS
from sim_backends.firmware.nidaqmx_streams import AnalogMultiChannelReader, AnalogMultiChannelWriter
from sim_backends.firmware.nidaqmx_system import System
from sim_backends.firmware.nidaqmx_tasks import RUNNING
from sim_backends.firmware.nidaqmx_tasks import Task as DeviceTask
from sim_backends.firmware.troubles import Troubles

Floats = NDArray[np.float64]
USUAL = "PCIe-6363"
ERRORS = ("DaqError", "DaqNotFoundError", "DaqNotSupportedError", "DaqFunctionNotSupportedError", "DaqResourceWarning", "DaqWarning")


@dataclass(frozen=True)
class Wave:
    """What a generation puts out: (C, N) samples of some lines at a rate from a moment on, `count` of them (None: without end)."""

    lines: list[int]
    samples: Floats
    rate: float
    began_s: float
    count: int | None


class NiDaqTable:
    """The package's names for one device.

    Args:
        product: model, one of MODELS. serial: its number. seed: of its noise. noise: of the inputs, in what the specifications say.

    Attributes:
        faults: kinds that it can have. calls: functions whose calls can fail, as `failure` says -> those of what they return.
        device: its name. time_s: its own time, which readings and waits let pass.
        inputs: (T,) seconds after the trigger -> (T, D) volts of all inputs of the device, or of those that are recorded, in their order.
        passes: called with the seconds of a call. on_fire: called when a record starts by software. unplugged: may be set while it runs.
    """

    faults = ("refuse", "stuck", "saturated", "no_trigger", "power_cycle")
    calls = MappingProxyType({"Task": ("start", "stop", "control", "write", "take", "wait_until_done")})

    def __init__(self, product: str = USUAL, serial: int = 0x1C0FFEE, seed: int = 0, noise: float = 1.0) -> None:
        if product not in MODELS:
            raise ValueError(f"product = {product!r}: emulated are {', '.join(MODELS)}")
        self.model, self.device, self.serial = MODELS[product], "Dev1", serial
        self.noise, self._random = noise, np.random.default_rng(seed)
        self.inputs: Callable[[Floats], Floats] = lambda times_s: np.zeros((len(times_s), self.model.inputs))
        self.on_fire: Callable[[], None] = lambda: None
        self.passes: Callable[[float], None] = lambda seconds: None
        self.time_s, self._trigger_s, self.unplugged = 0.0, 0.0, False
        self._levels = np.zeros(self.model.outputs)
        self.troubles = Troubles()
        self._waves: dict[str, Wave] = {}
        self._tasks: dict[str, DeviceTask] = {}
        self._holders: dict[str, str] = {}
        self._numbers, self._lock = itertools.count(), threading.Lock()  # tasks of one device may be in several threads
        self.constants = nidaqmx_constants
        self.errors = SimpleNamespace(**{name: getattr(nidaqmx_constants, name) for name in ERRORS})
        self.stream_readers = SimpleNamespace(AnalogMultiChannelReader=AnalogMultiChannelReader)
        self.stream_writers = SimpleNamespace(AnalogMultiChannelWriter=AnalogMultiChannelWriter)
        self.system = SimpleNamespace(System=SimpleNamespace(local=lambda: System(self)))

    @classmethod
    def for_port(cls, options: Mapping[str, Any], channels: int, seed: int) -> NiDaqTable:
        """The device that a port's options name, with `noise` of its own if they have it; its serial number follows from the seed."""
        return cls(options.get("product") or USUAL, 0x1C00000 + seed % 0x400000, seed, float(options.get("noise", 1.0)))

    def Task(self, new_task_name: str = "") -> DeviceTask:
        """A new task."""
        return DeviceTask(self, new_task_name)

    @property
    def volts_v(self) -> Floats:
        """(C,) what all outputs of the device are at now."""
        return np.asarray(self._at(np.array([self.time_s]))[0])

    def sampled(self, times_s: Floats) -> Floats:
        """(T, C) volts of all outputs at these times after the last trigger."""
        return self._at(np.asarray(times_s, np.float64) + self._trigger_s)

    def inject(self, kind: str, value: float | None) -> None:
        """Have a fault of `faults`."""
        if kind == "power_cycle":
            self.reset()
        else:
            self.troubles.begin(kind, value, {"stuck": self.model.outputs, "saturated": self.model.inputs}.get(kind, 0))

    def failure(self, kind: str) -> Exception:
        """What a call that fails raises."""
        return refused(-201003 if kind == "drop" else -200284, Device_Specified=self.device)

    def external_trigger(self) -> None:
        """An edge at every terminal from outside (PFI, RTSI, other devices)."""
        self._trigger_s = self.time_s
        own = f"/{self.device}/a"
        self._edge(lambda source: not source.startswith(own))

    def register(self, task: DeviceTask, name: str) -> str:
        """A task's name, made up if it has none."""
        self.present()
        if name in self._tasks:
            raise refused(-200089, Task_Name=name)
        name = name or f"_unnamedTask<{next(self._numbers):X}>"
        self._tasks[name] = task
        return name

    def forget(self, task: DeviceTask) -> None:
        """It was closed."""
        self._tasks.pop(task.saved_name, None)

    def present(self) -> None:
        """Raise if the device is not there."""
        if self.unplugged:
            raise refused(-201003, Device_Specified=self.device)

    def reset(self) -> None:
        """End all tasks; outputs as after power-on."""
        self.present()
        for task in list(self._tasks.values()):
            task.abort()
        self._levels[:] = 0.0

    def pass_s(self, seconds: float) -> None:
        """Time passes, for the bench too."""
        self.time_s += seconds
        self.passes(seconds)

    def reserve(self, task: DeviceTask) -> None:
        """What a task needs, all or nothing."""
        clocked = ["ao/SampleClock"] if task.timing.rate else []
        wanted = ["ai"] if task.inputs else [*(f"ao{channel.number}" for channel in task.chans), *clocked]
        with self._lock:
            for name in wanted:
                holder = self._holders.get(name, task.saved_name)
                if holder != task.saved_name:
                    raise refused(-50103, task.saved_name, Device=self.device, Resource=name, Reserved_by=holder)
            self._holders.update(dict.fromkeys(wanted, task.saved_name))

    def release(self, task: DeviceTask) -> None:
        """It needs nothing any more."""
        with self._lock:
            self._holders = {name: holder for name, holder in self._holders.items() if holder != task.saved_name}

    def begin(self, task: DeviceTask, fired: bool = True) -> None:
        """A task's trigger has come: by its own start, or (not `fired`) by an edge."""
        task.began_s = self._trigger_s = self.time_s
        if task.inputs:
            if fired:
                self.on_fire()
            self._edge(lambda source: source == f"/{self.device}/ai/StartTrigger")
            if task.finite:
                task.record = self.converted(task, 0, task.timing.count)
            return
        assert task.buffer is not None
        lines, rate = [channel.number for channel in task.chans], self.model.rate(task.timing.rate)
        self._waves[task.saved_name] = Wave(lines, task.buffer, rate, self.time_s, task.timing.count if task.finite else None)
        self._edge(lambda source: source == f"/{self.device}/ao/StartTrigger")

    def ended(self, task: DeviceTask) -> None:
        """Its outputs stay where they are."""
        wave = self._waves.get(task.saved_name)
        if wave is not None:
            self._levels[wave.lines] = self.volts_v[wave.lines]
            del self._waves[task.saved_name]

    def hold(self, task: DeviceTask, volts: Floats) -> None:
        """Outputs are set now."""
        self._levels[[channel.number for channel in task.chans]] = volts
        self._keep_stuck()

    def _keep_stuck(self) -> None:
        """An output that is stuck is at 0 V."""
        if "stuck" in self.troubles:
            self._levels[self.troubles.index("stuck", self.model.outputs)] = 0.0

    def converted(self, task: DeviceTask, first: int, count: int) -> Floats:
        """(D, count) samples that a task's clock takes from number `first` on."""
        began_s = self._trigger_s if task.began_s is None else task.began_s
        return self._read(task, (first + np.arange(count)) / self.model.rate(task.timing.rate), began_s)

    def measured(self, task: DeviceTask, count: int) -> Floats:
        """(D, count) samples taken by software now."""
        return self._read(task, np.full(count, self.time_s - self._trigger_s), self._trigger_s)

    def _read(self, task: DeviceTask, times_s: Floats, began_s: float) -> Floats:
        outside = [channel for channel in task.chans if channel.kind == "ai"]
        light = np.asarray(self.inputs(times_s), np.float64) if outside else np.zeros((len(times_s), 0))
        allowed = {(len(times_s), self.model.inputs), (len(times_s), len(outside))}
        if light.shape not in allowed:
            wanted = f"{len(times_s)} times of {len(outside)} channels, or of {self.model.inputs}"
            raise ValueError(f"inputs gave {light.shape}; {wanted} are wanted")
        whole = light.shape[1] == self.model.inputs
        outputs, rows = self._at(times_s + began_s), []
        for channel in task.chans:
            if channel.kind == "internal":
                volts = outputs[:, channel.number]
            else:
                volts = light[:, channel.number if whole else outside.index(channel)]
            rows.append(self._spoilt(channel, channel.taken(volts, self._random, self.noise)))
        return np.stack(rows)

    def _spoilt(self, channel: Any, volts: Floats) -> Floats:
        """An input may be at the end of its range."""
        if "saturated" in self.troubles and channel.kind == "ai" and channel.number == self.troubles.index("saturated", self.model.inputs):
            return np.full_like(volts, OVER * channel.span[1])
        return volts

    def _edge(self, reaches: Callable[[str], bool]) -> None:
        for task in list(self._tasks.values()):
            source = task.triggers.start_trigger.source
            waits = task.state == RUNNING and task.began_s is None and task.timing.rate and source and reaches(source)
            if waits and not self.troubles.take("no_trigger"):
                self.begin(task, fired=False)

    def _at(self, moments_s: Floats) -> Floats:
        """(T, C) volts at moments of this device's own time."""
        found = np.repeat(self._levels[None], len(moments_s), axis=0)
        for wave in list(self._waves.values()):
            index = np.floor((moments_s - wave.began_s) * wave.rate + 1e-6).astype(np.int64)
            playing = index >= 0
            index = index if wave.count is None else np.minimum(index, wave.count - 1)
            found[np.ix_(np.flatnonzero(playing), np.array(wave.lines))] = wave.samples[:, index[playing] % wave.samples.shape[1]].T
        if "stuck" in self.troubles:
            found[:, self.troubles.index("stuck", self.model.outputs)] = 0.0
        return found
