"""nidaqmx.stream_readers and nidaqmx.stream_writers for several analog channels, with arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim_backends.firmware.nidaqmx_constants import READ_ALL_AVAILABLE
from sim_backends.firmware.nidaqmx_parts import Stream
from sim_backends.firmware.nidaqmx_tasks import UNSET

Floats = NDArray[np.float64]


class AnalogMultiChannelWriter:
    """Writes arrays to the outputs of a task."""

    def __init__(self, task_out_stream: Stream, auto_start: Any = UNSET) -> None:
        self._task, self.auto_start = task_out_stream._task, auto_start

    def write_many_sample(self, data: Floats, timeout: float = 10.0) -> int:
        """(channels, samples)."""
        if data.ndim != 2:
            raise self._task.refusal(-200524, Number_of_Channels_in_Task=len(self._task.chans), Dimensions_of_Data=data.ndim)
        return int(self._task.write(data, False if self.auto_start is UNSET else self.auto_start, timeout))


class AnalogMultiChannelReader:
    """Reads the inputs of a task into arrays."""

    def __init__(self, task_in_stream: Stream) -> None:
        self._task = task_in_stream._task

    def read_many_sample(self, data: Floats, number_of_samples_per_channel: int = READ_ALL_AVAILABLE, timeout: float = 10.0) -> int:
        """Into `data` (channels, samples); the number of samples a channel."""
        count = number_of_samples_per_channel
        wanted = (len(self._task.chans), data.shape[-1] if count < 0 else count)
        if data.dtype != np.float64 or data.shape != wanted or not data.flags.c_contiguous:
            raise ValueError(f"data is {data.dtype}{data.shape}; a contiguous float64 array {wanted} is wanted")
        found = self._task.take(count, timeout)
        data[:, : found.shape[1]] = found
        return int(found.shape[1])
