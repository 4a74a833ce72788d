"""NI-DAQmx as its drivers use it: the Python package `nidaqmx` loaded when asked for, one task at a time, errors by their numbers.

Link: nidaqmx://Dev1, the device's name in NI MAX. The seam is the package itself with the names that it has (Task, system, constants,
errors, stream_readers, stream_writers); `device` is added. Facts from the package's documentation and the NI-DAQmx Help.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from labonn.channels import Floats
from labonn.errors import (
    ConnectError,
    IdentityError,
    LabonnError,
    LinkClosedError,
    LinkTimeoutError,
    MissingPackageError,
    RefusedError,
    TableError,
    UnknownStateError,
)

PARTS = ("system", "constants", "errors", "stream_readers", "stream_writers")
DRIVER = "install NI-DAQmx of National Instruments (python -m nidaqmx installdriver, or ni.com/downloads)"
TOO_LATE = (-200284, -200474, -200560, -200292)
NOT_THERE = (-200220, -200324, -201401)
GONE = (-201003, -50405, -50808, -88708, -88709, -88710)
RESERVED = (-50103, -200022, -201105)


class ReservedError(RefusedError):
    """Another task, of this program or another, has the channels or their clock."""


@dataclass(frozen=True)
class Sdk:
    """The package `nidaqmx` by the names that it has, and the name of one device."""

    device: str
    Task: Any
    system: Any
    constants: Any
    errors: Any
    stream_readers: Any
    stream_writers: Any


def load_sdk(url: str) -> Sdk:
    """The package, and the device that `url` names.

    Raises:
        MissingPackageError: nidaqmx is not installed, or the NI-DAQmx driver that it calls is not.
        ConnectError: the computer has no such device.
    """
    scheme, _, device = url.partition("://")
    if scheme != "nidaqmx" or not device or "/" in device:
        raise ConnectError(f"{url}: an NI device is linked by nidaqmx://NAME, its name in NI MAX (nidaqmx://Dev1)")
    try:
        task = import_module("nidaqmx").Task
        sdk = Sdk(device, task, *(import_module(f"nidaqmx.{part}") for part in PARTS))
    except (ImportError, AttributeError) as problem:
        raise MissingPackageError(f'an NI device needs the package nidaqmx ({problem}): pip install "labonn[ni]"') from None
    try:
        with calls(sdk, url):
            known = list(sdk.system.System.local().devices.device_names)
    except absent(sdk) as problem:
        raise MissingPackageError(f"{url}: {one_line(problem)}; {DRIVER}") from None
    if device not in known:
        raise ConnectError(f"{url}: NI-DAQmx has no device {device!r}; it has {', '.join(known) or 'none'}")
    return sdk


def attached(lines: str) -> list[tuple[str, str, dict[str, Any]]]:
    """(URL, what it is, options of the bench file) of every device with such lines ("ao" or "ai") that the NI driver knows.

    Raises:
        LabonnError: the package, or the NI driver that it calls, is not installed.
    """
    try:
        local = import_module("nidaqmx.system").System.local()
        devices = [device for device in local.devices if getattr(device, f"{lines}_physical_chans").channel_names]
        return [(f"nidaqmx://{d.name}", f"National Instruments {d.product_type} {d.serial_num:X}", {}) for d in devices]
    except ImportError as problem:
        raise MissingPackageError(f'NI devices need the package nidaqmx ({problem}): pip install "labonn[ni]"') from None
    except Exception as problem:  # the package raises errors of its own kinds, without the NI driver too
        raise ConnectError(f"NI-DAQmx: {one_line(problem)}") from problem


def absent(sdk: Sdk) -> tuple[type[Exception], ...]:
    """What the package raises without NI's driver behind it; not of the kind of its other errors."""
    return sdk.errors.DaqNotFoundError, sdk.errors.DaqNotSupportedError, sdk.errors.DaqFunctionNotSupportedError


@contextmanager
def calls(sdk: Sdk, where: str) -> Iterator[None]:
    """Turns the package's errors into those of this project, with the words of NI-DAQmx; others are its own failures."""
    try:
        yield
    except sdk.errors.DaqError as problem:
        raise typed(problem.error_code, f"{where}: {one_line(problem)}") from problem
    except LabonnError:
        raise
    except absent(sdk):
        raise
    except Exception as problem:
        raise UnknownStateError(f"{where}: the package nidaqmx failed: {type(problem).__name__}: {problem}") from problem


def typed(code: int, words: str) -> LabonnError:
    """The error for a number of NI-DAQmx."""
    kinds = ((TOO_LATE, LinkTimeoutError), (NOT_THERE, ConnectError), (GONE, LinkClosedError), (RESERVED, ReservedError))
    return next((kind for codes, kind in kinds if code in codes), RefusedError)(words)


def one_line(problem: Exception) -> str:
    """The words of an error, which come in paragraphs."""
    return "; ".join(line.strip().rstrip(".") for line in str(problem).splitlines() if line.strip())


class OneTask:
    """The one task that a port has: its lines are reserved until it is closed, and what was set up may serve again.

    Attributes:
        task: the open task, or None.
    """

    def __init__(self, sdk: Sdk) -> None:
        self._sdk = sdk
        self._key: Hashable = None
        self.task: Any = None

    def open(self, key: Hashable, build: Callable[[Any], None]) -> Any:
        """The task set up as `key` says: the one there is, or a new one that `build` sets up."""
        if self.task is None or key != self._key:
            self.close()
            self.task, self._key = self._sdk.Task(), key
            try:
                build(self.task)
            except BaseException:
                self.close()
                raise
        return self.task

    def close(self) -> None:
        """Abort the task and give its lines back."""
        task, self.task = self.task, None
        if task is not None:
            task.close()


def identity_of(device: Any, port: str, product: str) -> str:
    """Maker, model and serial number of a device as on its label; IdentityError if `product` names another model."""
    found = f"National Instruments {device.product_type}, serial number {device.serial_num:08X}"
    if product and device.product_type != product:
        raise IdentityError(f"{port}: {device.name} is {found}; the bench file says product = {product!r}")
    return found


def lines_of(names: Sequence[str], kind: str, first: int, count: int, port: str, device: str) -> list[str]:
    """The names ("Dev1/ao0") of `count` lines from number `first`; TableError if the device has not so many."""
    wanted = [f"{device}/{kind}{number}" for number in range(first, first + count)]
    missing = [name for name in wanted if name not in names]
    if missing:
        has = f"{names[0]} to {names[-1]}" if names else "none"
        raise TableError(f"{port}: {missing[0]} does not exist; first = {first} and channels = {count}, the device has {has}")
    return wanted


def ranges_of(pairs: Sequence[float]) -> list[tuple[float, float]]:
    """(lowest, highest) volts of every range, the narrowest first, from the flat list of NI-DAQmx."""
    return sorted(zip(pairs[::2], pairs[1::2], strict=True), key=lambda pair: (pair[1] - pair[0], pair[1]))


def read_back(sdk: Sdk, device: Any, lines: Sequence[str], timeout_s: float) -> Floats:
    """(C,) volts that some analog outputs really have, by the internal channels that many devices have for it (_ao0_vs_aognd)."""
    lowest, highest = ranges_of(device.ai_voltage_rngs)[-1]
    task = sdk.Task()
    try:
        for line in lines:
            task.ai_channels.add_ai_voltage_chan(line.replace("/ao", "/_ao") + "_vs_aognd", min_val=lowest, max_val=highest)
        return np.atleast_1d(np.asarray(task.read(timeout=timeout_s), np.float64))
    finally:
        task.close()


def terminal(device: str, name: str) -> str:
    """The full name of a terminal: "PFI0" is /Dev1/PFI0; one that begins with a slash may be of another device."""
    return name if name.startswith("/") else f"/{device}/{name}"
