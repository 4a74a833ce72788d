"""Constants and errors of NI-DAQmx, by the names and numbers of the Python package's nidaqmx.constants and nidaqmx.errors."""

from __future__ import annotations

from enum import Enum
from typing import Any, TypeVar

READ_ALL_AVAILABLE = -1
WAIT_INFINITELY = -1.0

Kind = TypeVar("Kind", bound=Enum)


class AcquisitionType(Enum):
    """How many samples."""

    FINITE = 10178
    CONTINUOUS = 10123
    HW_TIMED_SINGLE_POINT = 12522


class Edge(Enum):
    """Of a digital signal."""

    RISING = 10280
    FALLING = 10171


class ResolutionType(Enum):
    """Units of a converter's resolution."""

    BITS = 10109


class TaskMode(Enum):
    """Transitions of a task."""

    TASK_START = 0
    TASK_STOP = 1
    TASK_VERIFY = 2
    TASK_COMMIT = 3
    TASK_RESERVE = 4
    TASK_UNRESERVE = 5
    TASK_ABORT = 6


class TerminalConfiguration(Enum):
    """Of an analog input."""

    DEFAULT = -1
    DIFF = 10106
    NRSE = 10078
    PSEUDO_DIFF = 12529
    RSE = 10083


class VoltageUnits(Enum):
    """Of a voltage channel."""

    VOLTS = 10348
    FROM_CUSTOM_SCALE = 10065
    FROM_TEDS = 12516


def own(kind: type[Kind], value: Any) -> Kind:
    """`value` as one of these constants; the package's own have the same numbers."""
    return kind(getattr(value, "value", value))


WORDS = {
    -50103: "The specified resource is reserved. The operation could not be completed as specified.",
    -88709: "The specified operation cannot be performed because a task has been aborted or a device has been removed from the system.",
    -89120: "Source terminal to be routed could not be found on the device.",
    -200077: "Requested value is not a supported value for this property.",
    -200082: "Minimum is greater than or equal to the maximum.",
    -200088: "Task specified is invalid or does not exist.",
    -200089: "Task name specified conflicts with an existing task name.",
    -200170: "Physical channel specified does not exist on this device.",
    -200220: "Device identifier is invalid.",
    -200278: "The application is not able to read the requested samples: they will never be available.",
    -200284: "Some or all of the samples requested have not yet been acquired.",
    -200288: "Attempted to write samples that will never be generated.",
    -200292: "Some or all of the samples to write could not be written to the buffer yet.",
    -200430: "I/O type of the physical channel is incompatible with the virtual channel.",
    -200452: "Specified property is not supported by the device or is not applicable to the task.",
    -200459: "Write failed, because there are no output channels in this task to which data can be written.",
    -200460: "Read failed, because there are no channels in this task from which data can be read.",
    -200461: "Specified channel cannot be found in the task.",
    -200462: "Generation cannot be started, because the output buffer is empty.",
    -200478: "Specified operation cannot be performed when there are no channels in the task.",
    -200479: "Specified operation cannot be performed while the task is running.",
    -200489: "Specified channel cannot be added to the task, because a channel with the same name is already in the task.",
    -200524: "Write cannot be performed: the number of channels in the data does not match the number of channels in the task.",
    -200547: "Attempted to write more samples than the automatically configured buffer holds.",
    -200559: "Task contains multiple channel types.",
    -200560: "Wait Until Done did not indicate that the task was done within the specified timeout.",
    -200561: "Attempted writing analog data that is too large or too small.",
    -200609: "Generation cannot be started because the selected buffer size is too small.",
    -200846: "Write cannot be performed when auto start is false, the task is not running, and its timing is On Demand.",
    -201003: "Device cannot be accessed. It may have been disconnected or removed.",
}  # fmt: skip


class Error(Exception):
    """Root of the package's errors."""


class DaqNotFoundError(Error):
    """No NI-DAQmx driver."""


class DaqNotSupportedError(Error):
    """No NI-DAQmx for this system."""


class DaqFunctionNotSupportedError(Error):
    """Not in the installed version."""


class DaqError(Error):
    """What NI-DAQmx refused; its number is `error_code`."""

    def __init__(self, message: str, error_code: int, task_name: str = "") -> None:
        self.error_code = int(error_code)
        name = f"\n\nTask Name: {task_name}" if task_name else ""
        super().__init__(f"{message}{name}\n\nStatus Code: {self.error_code}")


class DaqWarning(Warning):
    """What NI-DAQmx did, but not as asked; its number is `error_code`."""

    def __init__(self, message: str, error_code: int) -> None:
        self.error_code = int(error_code)
        super().__init__(f"\nWarning {error_code} occurred.\n\n{message}")


class DaqResourceWarning(ResourceWarning):
    """A task that was closed before."""


def refused(code: int, task: str = "", **facts: Any) -> DaqError:
    """The error of a number, with facts as NI-DAQmx lists them (Property, Requested_Value, …)."""
    listed = "\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in facts.items())
    return DaqError(WORDS[code] + (f"\n{listed}" if listed else ""), code, task)
