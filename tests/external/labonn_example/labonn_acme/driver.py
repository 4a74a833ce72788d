"""Acme LS8 eight-channel current source as gain sections, from its (made-up) programming manual.

Serial, 57600 baud; one line a command, one line a reply: `OK` with what the instrument then holds, or `ERR <number> <words>`.
`ID`; `MAX`: full scale in mA; `LIM` and `CUR` with one value a channel in mA set and read back, without values only read; `OUT 0|1`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from drivers.held import HeldBank
from drivers.insist import insistent
from labonn.channels import ChannelSpec, Floats
from labonn.errors import DesyncError, IdentityError, RefusedError, TableError, UnknownStateError
from labonn.links import Link
from labonn.shots import Bank, Ints
from labonn.units import mA

CHANNELS = 8
STEP_A = 1e-6


@dataclass(frozen=True)
class AcmeLs8Options:
    """Bench-file keys of an LS8: how many of its channels the port uses, from the first; seconds from a set until it may be used."""

    channels: int = CHANNELS
    settle_s: float = 0.001

    def __post_init__(self) -> None:
        if not (1 <= self.channels <= CHANNELS and 0 <= self.settle_s < math.inf):
            raise ValueError(f"channels = {self.channels}, settle_s = {self.settle_s:g}: 1 to {CHANNELS}, and not negative")


class AcmeLs8:
    """Current sources that hold one row."""

    Options: ClassVar[type] = AcmeLs8Options
    kind: ClassVar[str] = "GainSections"
    transport: ClassVar[str] = "serial"
    link_options: ClassVar[dict[str, Any]] = {"write_end": "\n", "read_end": "\n", "baud": 57600, "timeout_s": 1.0}
    compliance_v = 5.0  # fixed in the instrument

    def __init__(self, link: Link, options: AcmeLs8Options, port: str) -> None:
        self._link, self._port = link, port
        self.identity = self._ask("ID")
        if not self.identity.startswith("ACME LS8 "):
            raise IdentityError(f"{port}: answers {self.identity!r} to 'ID'; an LS8 answers 'ACME LS8' and its number")
        names = tuple(f"ch{i + 1}" for i in range(options.channels))
        lower, upper, step, settle_s = map(np.asarray, (0.0, self._numbers("MAX", 1)[0] * mA, STEP_A, options.settle_s))
        self.spec = ChannelSpec(names, "A", lower, upper, step, settle_s)
        self._held = HeldBank(port, self.identity)
        self._row: Floats | None = None

    def prepare(self, spec: ChannelSpec) -> None:
        """Off at zero, limits in its registers."""
        self.safe()
        self._set("LIM", spec.upper)
        self.spec = spec

    def load(self, bank: Bank | None, order: Ints, dwell_s: float) -> None:
        """Remember the one row that `order` names."""
        self._row = self._held.row(bank, order, self.spec)

    def arm(self) -> None:
        """Set the loaded row, outputs on; UnknownStateError if it reads back otherwise."""
        if self._row is None:
            raise TableError(f"{self._port}: nothing is loaded")
        self._set("CUR", self._row)
        self._switch(1)

    def output(self, on: bool) -> None:
        """The loaded row, or zero and off."""
        (self.arm if on else self.safe)()

    @insistent
    def safe(self) -> None:
        """Zero and off, verified."""
        self._set("CUR", np.zeros(len(self.spec)))
        self._switch(0)

    def close(self) -> None:
        """Let go of the instrument."""
        self._link.close()

    def _set(self, name: str, amperes: Floats) -> None:
        """The port's channels to `amperes`, the rest to zero, compared with what the reply says."""
        wanted = np.zeros(CHANNELS)
        wanted[: len(amperes)] = amperes
        sent = f"{name} {','.join(f'{value / mA:.3f}' for value in wanted)}"
        held = np.array(self._numbers(sent, CHANNELS)) * mA
        if np.any(np.abs(held - wanted) > STEP_A):
            raise UnknownStateError(f"{self._port}: {sent!r} reads back {held / mA} mA")

    def _switch(self, on: int) -> None:
        if self._numbers(f"OUT {on}", 1) != [on]:
            raise UnknownStateError(f"{self._port}: the outputs did not switch {'on' if on else 'off'}")

    def _numbers(self, command: str, count: int) -> list[float]:
        reply = self._ask(command)
        try:
            values = [float(text) for text in reply.split(",")]
        except ValueError:
            values = []
        if len(values) != count or not np.all(np.isfinite(values)):
            raise DesyncError(f"{self._port}: {command!r} was answered by {reply!r}, not by {count} numbers")
        return values

    def _ask(self, command: str) -> str:
        reply = self._link.exchange(command.encode()).decode("latin-1")
        state, _, rest = reply.partition(" ")
        if state == "ERR":
            raise RefusedError(f"{self._port}: {command!r} was refused: {rest}")
        if state != "OK":
            raise DesyncError(f"{self._port}: {command!r} was answered by {reply!r}")
        return rest
