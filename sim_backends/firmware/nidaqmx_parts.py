"""What an emulated NI-DAQmx task is set up by: its timing, its start trigger, its streams."""

from __future__ import annotations

from typing import Any

from sim_backends.firmware.nidaqmx_constants import AcquisitionType, Edge, own
from sim_backends.firmware.nidaqmx_models import check_terminal


class Timing:
    """task.timing; without a clock a task is on demand."""

    __slots__ = ("_task", "count", "mode", "rate")

    def __init__(self, task: Any) -> None:
        self._task = task
        self.rate, self.mode, self.count = 0.0, AcquisitionType.FINITE, 0

    def cfg_samp_clk_timing(
        self, rate: float, source: str = "", active_edge: Any = Edge.RISING, sample_mode: Any = AcquisitionType.FINITE,
        samps_per_chan: int = 1000,
    ) -> None:  # fmt: skip
        """Give the task a sample clock of its own."""
        self._task.at_rest()
        mode = own(AcquisitionType, sample_mode)
        own(Edge, active_edge)
        if source not in ("", "OnboardClock") or mode is AcquisitionType.HW_TIMED_SINGLE_POINT:
            raise self._task.refusal(-200452, Property="DAQmx_SampClk_Src" if source else "DAQmx_SampQuant_SampMode")
        self.rate, self.mode, self.count = float(rate), mode, int(samps_per_chan)

    @property
    def samp_clk_rate(self) -> float:
        """As the clock makes it."""
        self._task.verify()
        return float(self._task.model.rate(self.rate)) if self.rate else 0.0

    @property
    def samp_quant_samp_per_chan(self) -> int:
        """Samples of a finite task."""
        return self.count

    @property
    def samp_quant_samp_mode(self) -> AcquisitionType:
        """Finite or continuous."""
        return self.mode


class StartTrigger:
    """task.triggers.start_trigger."""

    __slots__ = ("_task", "source")

    def __init__(self, task: Any) -> None:
        self._task, self.source = task, ""

    def cfg_dig_edge_start_trig(self, trigger_source: str, trigger_edge: Any = Edge.RISING) -> None:
        """Start on an edge."""
        self._task.at_rest()
        own(Edge, trigger_edge)
        self.source = check_terminal(self._task.device, trigger_source)

    def disable_start_trig(self) -> None:
        """Start at once."""
        self._task.at_rest()
        self.source = ""


class Triggers:
    """task.triggers."""

    __slots__ = ("start_trigger",)

    def __init__(self, task: Any) -> None:
        self.start_trigger = StartTrigger(task)


class Stream:
    """task.in_stream and task.out_stream."""

    __slots__ = ("_task",)

    def __init__(self, task: Any) -> None:
        self._task = task

    @property
    def num_chans(self) -> int:
        """Channels of the task."""
        return len(self._task.chans)

    @property
    def total_samp_per_chan_acquired(self) -> int:
        """Samples that a channel has had since the start."""
        return int(self._task.passed())

    total_samp_per_chan_generated = total_samp_per_chan_acquired
