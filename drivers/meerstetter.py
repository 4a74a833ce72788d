"""Meerstetter TEC controllers (TEC-Family) as ovens: target temperatures out, object temperatures back, over MeCom (drivers/mecom.py).

`VS`/`?VR` + parameter id (4 hex) + instance (2 hex); ids from Meerstetter's MeComAPI (MeCom.h) and pyMeCom (commands.py).
`?VL` gives a parameter's range: 2 digits of type, then minimum and maximum. Status 104: 1 ready, 2 run, 3 error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from drivers import mecom
from drivers.held import HeldBank
from drivers.insist import insistent
from labonn.channels import ChannelSpec, Floats
from labonn.errors import DesyncError, LabonnError, TableError, UnknownStateError
from labonn.links import Link
from labonn.shots import Bank, Ints

SERIAL_NUMBER, STATUS, ERROR_NUMBER, ERROR_INSTANCE, ERROR_PARAMETER = 102, 104, 105, 106, 107
OBJECT, ENABLE, TARGET, UPPER_THRESHOLD = 1000, 2010, 3000, 4011
OFF, ON, RUNNING, IN_ERROR = 0, 1, 2, 3


@dataclass(frozen=True)
class MeerstetterOptions:
    """Bench-file keys of a Meerstetter controller.

    Attributes:
        instances: temperature loops that the port uses, from the first on.
        address: of the controller on its bus; 0 is whichever answers.
        tolerance_c: how near its target an oven counts as there (`reached`).
        margin_c: the controller switches off by itself this far above the port's upper limit.
        settle_s: from a new target until the oven is there; vapour cells lag by minutes.
    """

    instances: int = 1
    address: int = 2
    tolerance_c: float = 0.1
    margin_c: float = 5.0
    settle_s: float = 1800.0

    def __post_init__(self) -> None:
        if not (1 <= self.instances <= 255 and 0 <= self.address <= 254):
            raise ValueError(f"instances = {self.instances}, address = {self.address}: 1 to 255, and 0 to 254")
        for name in ("tolerance_c", "margin_c", "settle_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} = {getattr(self, name):g}: not negative, and finite")


class Meerstetter:
    """Ovens on the loops of one controller, in degC."""

    Options: ClassVar[type] = MeerstetterOptions
    kind: ClassVar[str] = "Heaters"
    transport: ClassVar[str] = "serial"
    link_options: ClassVar[dict[str, Any]] = {"write_end": "\r", "read_end": "\r", "baud": 57600, "timeout_s": 1.0}

    @classmethod
    def recognise(cls, link: Link) -> tuple[str, dict[str, Any]] | None:
        """(identity, options of the bench file) if a controller answers to the address of all."""
        query = mecom.frame(0, 1, b"?IF")
        return mecom.payload_of("discover", query, link.exchange(query)).decode("latin-1").strip(), {"address": 0}

    def __init__(self, link: Link, options: MeerstetterOptions, port: str) -> None:
        self._link, self._options, self._port, self._sequence = link, options, port, 0
        name = self._ask(b"?IF", port).decode("latin-1").strip()
        number = mecom.integer(port, self._ask(mecom.get(SERIAL_NUMBER, 1), port))
        self.identity = f"{name} {number}"
        names = tuple(f"loop{i + 1}" for i in range(options.instances))
        ranges = [self._range(i) for i in range(options.instances)]
        lower, upper = (np.array(bound) for bound in zip(*ranges, strict=True))
        self.spec = ChannelSpec(names, "degC", lower, upper, np.asarray(0.0), np.asarray(options.settle_s))
        self._held = HeldBank(port, self.identity)
        self._row: Floats | None = None
        self._on = False

    def prepare(self, spec: ChannelSpec) -> None:
        """Write the upper error thresholds; outputs stay as they are.

        The lower threshold stays: an oven starts at room temperature, far below its lower limit, and must not trip there.
        """
        for i in range(self._options.instances):
            self._put(UPPER_THRESHOLD, i, float(spec.upper[i] + self._options.margin_c))
        self.spec = spec

    def load(self, bank: Bank | None, order: Ints, dwell_s: float) -> None:
        """Remember the one row that `order` names; an oven holds it, whatever the dwell time."""
        self._row = self._held.row(bank, order, self.spec)

    def arm(self) -> None:
        """Write the targets, read them back, enable the loops, and make sure that the controller is not in its error state.

        Raises:
            RefusedError: with the controller's words. UnknownStateError: it holds something else, or switched itself off.
        """
        if self._row is None:
            raise TableError(f"{self._port}: nothing is loaded")
        self._on = True
        for i, target_c in enumerate(self._row):
            self._put(TARGET, i, float(target_c))
        for i in range(self._options.instances):
            self._check_status()
            self._put(ENABLE, i, ON)
        self._check_status()

    def confirm(self) -> None:
        """Raise UnknownStateError unless the controller still runs, which it does not after an error or a loss of power."""
        if self._on and (status := self._check_status()) != RUNNING:
            told = "has it lost its power, or did somebody reset it?"
            raise UnknownStateError(f"{self._port}: {self.identity} does not run any more (status {status}): {told}")

    def temperature(self) -> Floats:
        """(C,) object temperatures.

        Raises:
            UnknownStateError: a sensor gives no number.
        """
        read = [mecom.floats(self._at(i), self._ask(mecom.get(OBJECT, i + 1), self._at(i)))[0] for i in range(self._options.instances)]
        for i, value in enumerate(read):
            if not math.isfinite(value):
                raise UnknownStateError(f"{self._at(i)}: the object temperature reads {value}; is its sensor connected?")
        return np.array(read)

    def reached(self) -> bool:
        """Whether every oven is within `tolerance_c` of the loaded targets."""
        if self._row is None:
            raise TableError(f"{self._port}: nothing is loaded")
        return bool(np.all(np.abs(self.temperature() - self._row) <= self._options.tolerance_c))

    def safe(self) -> None:
        """Switch every loop off, tried again after a link error; what can be switched off is, before anything is raised."""
        problem: LabonnError | None = None
        self._on = False
        for i in range(self._options.instances):
            try:
                self._switch_off(i)
            except LabonnError as failed:
                problem = problem or failed
        if problem is not None:
            raise problem

    def close(self) -> None:
        """Let go of the controller."""
        self._link.close()

    def _at(self, index: int) -> str:
        return f"{self._port}/loop{index + 1}"

    def _range(self, index: int) -> tuple[float, float]:
        where = self._at(index)
        low, high = mecom.floats(where, self._ask(mecom.limits(TARGET, index + 1), where), count=2, skip=2)
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise DesyncError(f"{where}: the range of the target temperature reads {low:g} to {high:g} degC")
        return low, high

    def _put(self, parameter: int, index: int, value: float | int) -> None:
        """Write a parameter and read it back."""
        where = self._at(index)
        if self._ask(mecom.put(parameter, index + 1, value), where):
            raise DesyncError(f"{where}: parameter {parameter} was answered by a value instead of an acknowledge")
        held = self._ask(mecom.get(parameter, index + 1), where)
        if held != mecom.put(parameter, index + 1, value)[-8:]:
            is_float = isinstance(value, float)
            read = mecom.floats(where, held)[0] if is_float else mecom.integer(where, held)
            raise UnknownStateError(f"{where}: parameter {parameter} was set to {value:g} and reads back {read:g}")

    def _check_status(self) -> int:
        status = mecom.integer(self._port, self._ask(mecom.get(STATUS, 1), self._port))
        if status == IN_ERROR:
            ids = (ERROR_NUMBER, ERROR_INSTANCE, ERROR_PARAMETER)
            number, instance, parameter = (mecom.integer(self._port, self._ask(mecom.get(id_, 1), self._port)) for id_ in ids)
            raise UnknownStateError(
                f"{self._port}/loop{instance}: {self.identity} is in its error state (error {number}, parameter {parameter}) and has "
                "switched its outputs off; find the cause, then reset it"
            )
        return status

    @insistent
    def _switch_off(self, index: int) -> None:
        self._put(ENABLE, index, OFF)

    def _ask(self, payload: bytes, where: str) -> bytes:
        self._sequence = (self._sequence + 1) & 0xFFFF
        query = mecom.frame(self._options.address, self._sequence, payload)
        return mecom.payload_of(where, query, self._link.exchange(query))
