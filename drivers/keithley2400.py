"""Keithley 2400 source meter as current source of one gain section, from the 2400 Series User's Manual (2400S-900-01), section 18.

SCPI: commands joined by `;`, answered by one line; `:SYST:ERR:ALL?` gives `0,"No error"` or what was refused. A set with its check
is one exchange. Held (depth 1): a list sweep takes a trigger-link pulse a step, a bench's trigger fires once for a whole order.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from drivers.held import HeldBank
from drivers.insist import insistent
from drivers.scpi_line import ScpiLine
from labonn.channels import ChannelSpec, Floats
from labonn.errors import IdentityError, TableError, UnknownStateError
from labonn.links import Link
from labonn.shots import Bank, Ints
from labonn.units import format_quantity

OVER = 1.05  # of a range is its full scale
STEPS = 5e-5 / OVER  # of the full scale
ECHO = 2e-6  # a level is sent and told with seven digits
LOW_V = 20.0  # below it every range of the source is allowed
POWER_ON = 128  # in the event register, since *CLS
OFF_STATES = {"normal": "NORM", "zero": "ZERO", "open": "HIMP", "guard": "GUAR"}
STATE = ":SOUR:CURR?;:OUTP?;:SENS:VOLT:PROT:TRIP?"
SETUP = ":SOUR:CURR:RANG:AUTO?;:SENS:VOLT:PROT?"  # which a loss of power changes


@dataclass(frozen=True)
class Keithley2400Options:
    """Bench-file keys of a 2400.

    Attributes:
        compliance_v: highest voltage that it may drive.
        range_a: source range, which reaches 5 % further; a port's lower limit takes the smallest range that holds it.
        terminals: "front" or "rear". four_wire: sense with wires of its own. off_state: "normal", "zero", "open" or "guard".
        interlock: the output stays off while the output-enable line is open. settle_s: from a set until the output may be used.
    """

    compliance_v: float = 5.0
    range_a: float = 0.1
    terminals: str = "front"
    four_wire: bool = False
    off_state: str = "normal"
    interlock: bool = False
    settle_s: float = 0.005

    def __post_init__(self) -> None:
        if not (0 < self.compliance_v < math.inf and 0 <= self.settle_s < math.inf and 1e-6 <= self.range_a <= 1):
            given = f"compliance_v = {self.compliance_v:g}, settle_s = {self.settle_s:g}, range_a = {self.range_a:g}"
            raise ValueError(f"{given}: positive, not negative, both finite, and 1 uA to 1 A")
        if self.terminals not in ("front", "rear") or self.off_state not in OFF_STATES:
            raise ValueError(f'terminals = {self.terminals!r}, off_state = {self.off_state!r}: "front" or "rear"; {", ".join(OFF_STATES)}')


class Keithley2400:
    """One channel, from 0 to the full scale of its range."""

    Options: ClassVar[type] = Keithley2400Options
    kind: ClassVar[str] = "GainSections"
    transport: ClassVar[str] = "visa"
    link_options: ClassVar[dict[str, Any]] = {"write_end": "\n", "read_end": "\n", "timeout_s": 2.0}
    idn: ClassVar[str] = r"KEITHLEY INSTRUMENTS INC\.,MODEL 24"

    def __init__(self, link: Link, options: Keithley2400Options, port: str) -> None:
        self._line, self._options, self._port = ScpiLine(link, port), options, port
        self.identity = ",".join(self._line.ask("*IDN?").split(",")[:3])
        if not re.match(self.idn, self.identity, re.IGNORECASE):
            raise IdentityError(f"{port}: answers {self.identity!r} to '*IDN?'; a 2400 answers 'KEITHLEY INSTRUMENTS INC.,MODEL 2400,…'")
        self.compliance_v = options.compliance_v
        most = min(self._line.numbers(":SOUR:CURR? MAX", 1)[0], OVER * options.range_a)
        lower, upper, step, settle_s = map(np.asarray, (0.0, most, most * STEPS, options.settle_s))
        self.spec = ChannelSpec(("out",), "A", lower, upper, step, settle_s)
        self._held = HeldBank(port, self.identity)
        self._row: Floats | None = None
        self._on = False

    def prepare(self, spec: ChannelSpec) -> None:
        """Output off at 0 A; range for the limit and compliance, read back: it refuses more by itself."""
        self.safe()
        o, upper = self._options, float(spec.upper[0])
        setup = f"*CLS;:TRIG:CLE;:ROUT:TERM {o.terminals[:4].upper()};:OUTP:SMOD {OFF_STATES[o.off_state]};:SYST:RSEN {o.four_wire:d}"
        setup += f";:OUTP:ENAB {o.interlock:d};:SOUR:CLE:AUTO OFF;:SOUR:FUNC CURR;:SOUR:CURR:MODE FIX;:SOUR:CURR 0"
        setup += f";:SENS:VOLT:PROT {min(o.compliance_v, LOW_V):.6E}"
        self._line.checked(setup, "*OPC?", 1)
        limits = f":SOUR:CURR:RANG {upper:.6E};:SENS:VOLT:PROT {o.compliance_v:.6E}"
        scale, held_v, events = self._line.checked(limits, ":SOUR:CURR:RANG?;:SENS:VOLT:PROT?;*ESR?", 3)
        if int(events) & POWER_ON:
            self._wrong("it lost its power while it was set up")
        if scale < upper * (1 - ECHO) or abs(held_v - o.compliance_v) > ECHO * o.compliance_v:
            self._wrong(f"range {scale:g} A and compliance {held_v:g} V were read back after {limits!r}")
        self.spec = replace(spec, step=np.asarray(scale * STEPS))

    def load(self, bank: Bank | None, order: Ints, dwell_s: float) -> None:
        """Remember the one row that `order` names; the source holds it, whatever the dwell time."""
        self._row = self._held.row(bank, order, self.spec)

    def arm(self) -> None:
        """Set the loaded row, output on; RefusedError with the instrument's words, UnknownStateError for what reads back otherwise."""
        if self._row is None:
            raise TableError(f"{self._port}: nothing is loaded")
        wanted = float(self._row[0])
        self._check(wanted, self._line.checked(f":SOUR:CURR {wanted:.6E};:OUTP ON", f"{STATE};{SETUP}", 5))
        self._on = True

    def confirm(self) -> None:
        """Raise UnknownStateError unless the output still is what `arm` set."""
        if self._on and self._row is not None:
            self._check(float(self._row[0]), self._line.numbers(f"{STATE};{SETUP}", 5))

    def _check(self, wanted: float, read: Sequence[float]) -> None:
        level, on, limited, automatic, held_v = read
        if automatic or abs(held_v - self.compliance_v) > ECHO * self.compliance_v:
            self._wrong(f"range and compliance are not what was set ({held_v:g} V): has it lost its power, or did somebody reset it?")
        if abs(level - wanted) > ECHO * abs(wanted) or on != 1:
            self._wrong(f"set to {format_quantity(wanted, 'A')} it reads back {format_quantity(level, 'A')}, output {on:g}")
        if limited:
            self._wrong(f"at {format_quantity(wanted, 'A')} its compliance of {self.compliance_v:g} V is reached: is the load open?")

    def output(self, on: bool) -> None:
        """The loaded row, or 0 A and the output off."""
        (self.arm if on else self.safe)()

    @insistent
    def safe(self) -> None:
        """0 A, output off, verified; tried again after a link error."""
        self._on = False
        level, on, _ = self._line.numbers(f":ABOR;:SOUR:CURR 0;:OUTP OFF;*CLS;{STATE}", 3)
        if level or on:
            self._wrong(f"switched off it reads back {format_quantity(level, 'A')}, output {on:g}")

    def close(self) -> None:
        """Let go of the instrument."""
        self._line.close()

    def _wrong(self, what: str) -> None:
        raise UnknownStateError(f"{self._port}: {what} ({self.identity})")
