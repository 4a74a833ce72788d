"""Qontrol multi-channel current and voltage sources (Q8iv, Q8a, Q8b in a chain), from the Qontrol programming manual.

ASCII `CMD[channel][?|=value[,value…]]\\n`; `OK`, a value a line, or `E<code>:<channel>`. Milliamperes and volts on the wire.
A set that is refused changes nothing and says so only in its reply; a current that needs more than VMAX is limited in silence.
So every set is checked for `OK` and read back. E90 (powered up) may arrive unasked: registers are lost then.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from drivers.held import HeldBank
from drivers.qontrol_ascii import ID_LINE, Quantity, blocks, check_ok, limits_set, lines_of, modules_of, values_of, vector_set
from labonn.channels import ChannelSpec, Floats
from labonn.errors import BenchFileError, DesyncError, IdentityError, LabonnError, LinkClosedError, LinkError, TableError, UnknownStateError
from labonn.links import Link
from labonn.shots import Bank, Ints
from labonn.units import format_quantity, mA

CODES = 0xFFFF
TRIES = 3  # of a safe command: a link reports a stale reply once, and is clean afterwards


@dataclass(frozen=True)
class QontrolOptions:
    """Bench-file keys of a Qontrol source.

    Attributes:
        mode: "current" (gain sections, in A) or "voltage" (heaters and absorbers, in V).
        channels: how many of the chain's channels the port uses; 0 is all from `first` on.
        first: number of its first channel.
        compliance_v: highest voltage in current mode (VMAX register); full scale if absent.
        compliance_a: highest current in voltage mode (IMAX register); full scale if absent.
        tolerance: how far a read-back may be from what was set, in full scales.
        settle_s: from a set until the output may be used.
    """

    mode: str = "current"
    channels: int = 0
    first: int = 0
    compliance_v: float | None = None
    compliance_a: float | None = None
    tolerance: float = 0.005
    settle_s: float = 0.001

    def __post_init__(self) -> None:
        if self.mode not in ("current", "voltage"):
            raise ValueError(f'mode = {self.mode!r}: "current" or "voltage"')
        if self.channels < 0 or self.first < 0:
            raise ValueError(f"channels = {self.channels}, first = {self.first}: not negative")
        if not (0 < self.tolerance < 1 and 0 <= self.settle_s < math.inf):
            raise ValueError(f"tolerance = {self.tolerance:g}, settle_s = {self.settle_s:g}: 0 to 1, and not negative")


class Qontrol:
    """Channels of a chain of Qontrol modules on one serial line, held at currents or voltages.

    Attributes:
        compliance_v: no output goes above this voltage.
    """

    Options: ClassVar[type] = QontrolOptions
    kind: ClassVar[str] = "GainSections"
    transport: ClassVar[str] = "serial"
    link_options: ClassVar[dict[str, Any]] = {"write_end": "\n", "read_end": "\n", "baud": 115200, "timeout_s": 1.0, "unasked": r"E90:\d+"}

    def __init__(self, link: Link, options: QontrolOptions, port: str) -> None:
        self._link, self._port, self._first, self._tolerance = link, port, options.first, options.tolerance
        self.identity, modules = self._identify()
        self._name = self.identity.partition(",")[0] + (f" and {len(modules) - 1} more" if len(modules) > 1 else "")
        self._chain = sum(modules)
        self._count = options.channels or self._chain - options.first
        if self._count < 1 or options.first + self._count > self._chain:
            raise BenchFileError(
                f"{port}: first = {options.first}, channels = {options.channels}: {self._name} has channels 0 to {self._chain - 1}"
            )
        volts, amperes = self._quantity("V", "V", 1.0), self._quantity("I", "mA", mA)
        by_current = options.mode == "current"
        self._set, self._other = (amperes, volts) if by_current else (volts, amperes)
        self._compliance = self._compliance_of(options.compliance_v if by_current else options.compliance_a)
        self.compliance_v = self._compliance if by_current else volts.full
        self._blocks = blocks(options.first, self._count, modules)
        names = tuple(f"ch{options.first + i}" for i in range(self._count))
        full, step, settle_s = map(np.asarray, (self._set.full, self._set.full / CODES, options.settle_s))
        self.spec = ChannelSpec(names, self._set.unit, np.asarray(0.0), full, step, settle_s)
        self._held = HeldBank(port, self._name)
        self._row: Floats | None = None

    def prepare(self, spec: ChannelSpec) -> None:
        """Set all to zero, write IMAX and VMAX (the tightened limit and the compliance) and read them back."""
        if unasked := getattr(self._link, "unasked", None):
            unasked.clear()  # a power-up before now does no harm: everything is written here
        self._output(np.zeros(self._count))
        self._limit(self._set, spec.upper)
        self._limit(self._other, np.full(self._count, self._compliance))
        self.spec = spec

    def load(self, bank: Bank | None, order: Ints, dwell_s: float) -> None:
        """Remember the one row that `order` names; the source holds it, whatever the dwell time."""
        self._row = self._held.row(bank, order, self.spec)

    def arm(self) -> None:
        """Set the loaded row now, a module an exchange, and read all outputs back.

        Raises:
            RefusedError: with the instrument's words. UnknownStateError: an output is not what was set, or power was lost.
        """
        if self._row is None:
            raise TableError(f"{self._port}: nothing is loaded")
        self._output(self._row)

    def output(self, on: bool) -> None:
        """The loaded row (on) or zero (off): a Qontrol source has no output switch."""
        if on:
            self.arm()
        else:
            self._output(np.zeros(self._count))

    def safe(self) -> None:
        """Zero on all channels of the chain, by `safe` and by zeros, tried again after a link error; verified by reading back.

        Raises:
            LabonnError: the outputs could not be verified to be zero.
        """
        zeros, problem = np.zeros(self._count), None
        for zero in (lambda: self._ask_ok(b"safe"), lambda: self._send(zeros)):
            try:
                self._insist(zero)
            except LabonnError as failed:
                problem = problem or failed
        try:
            self._insist(lambda: self._compare(zeros))
        except LabonnError as failed:
            raise failed from problem

    def close(self) -> None:
        """Let go of the instrument."""
        self._link.close()

    def _identify(self) -> tuple[str, list[int]]:
        """(type and serial number of every module, their numbers of channels)."""
        first = self._ask(b"id?")[0]
        if not ID_LINE.fullmatch(first):
            raise IdentityError(f"{self._port}: answers {first!r} to 'id?'; a Qontrol source answers like 'Q8iv-0001'")
        self._ask_ok(b"nup=0")
        modules = modules_of(self._port, self._ask(b"nupall?", -1))
        return ",".join(name for name, _ in modules), [count for _, count in modules]

    def _quantity(self, letter: str, machine_unit: str, scale: float) -> Quantity:
        full = float(values_of(self._port, self._ask(f"{letter.lower()}full?".encode()), machine_unit)[0])
        if full <= 0:
            raise DesyncError(f"{self._port}: a full scale of {full:g} {machine_unit}")
        return Quantity(letter, machine_unit[-1], machine_unit, scale, full * scale)

    def _compliance_of(self, wanted: float | None) -> float:
        quantity = self._other
        value = quantity.full if wanted is None else wanted
        if not 0 < value <= quantity.full:
            raise BenchFileError(
                f"{self._port}: compliance_{quantity.unit.lower()} = {format_quantity(value, quantity.unit)} is outside 0 to "
                f"{format_quantity(quantity.full, quantity.unit)} (full scale of {self._name}; zero would allow nothing)"
            )
        return value

    def _limit(self, quantity: Quantity, values: Floats) -> None:
        """Write a limit register of every channel and read it back, a module an exchange."""
        for first, end in self._blocks:
            wanted = values[first - self._first : end - self._first]
            lines = self._ask(limits_set(quantity, first, wanted.tolist()), 2 * wanted.size)
            check_ok(self._port, lines[: wanted.size])
            held = quantity.read(self._port, lines[wanted.size :])
            self._same(f"{quantity.letter}MAX", quantity, wanted, held, quantity.full / CODES, first)

    def _output(self, values: Floats) -> None:
        self._send(values)
        self._compare(values)
        if getattr(self._link, "unasked", None):
            raise UnknownStateError(f"{self._port}: {self._name} powered up by itself (E90): its limits are lost; open the bench again")

    def _send(self, values: Floats) -> None:
        for first, end in self._blocks:
            self._ask_ok(vector_set(self._set, first, values[first - self._first : end - self._first].tolist()))

    def _compare(self, values: Floats) -> None:
        """Read all outputs back; a difference means compliance, an open load, or a lost set."""
        read = self._set.read(self._port, self._ask(f"{self._set.letter}all?".encode(), self._chain))
        part = read[self._first : self._first + self._count]
        self._same("the output", self._set, values, part, self._tolerance * self._set.full, self._first)

    def _same(self, what: str, quantity: Quantity, wanted: Floats, read: Floats, allowed: float, first: int) -> None:
        bad = np.flatnonzero(~(np.abs(read - wanted) <= allowed))
        if bad.size:
            i = int(bad[0])
            w, r, a = (format_quantity(float(v), quantity.unit) for v in (wanted[i], read[i], allowed))
            compliance = format_quantity(self._compliance, self._other.unit)
            raise UnknownStateError(
                f"{self._port}/ch{first + i}: {what} was set to {w} and reads back {r}, more than {a} away "
                f"({bad.size} of {read.size} channels are): the compliance of {compliance} is reached, the load open, or the set was lost"
            )

    def _insist(self, action: Callable[[], None]) -> None:
        for attempt in range(TRIES):
            try:
                action()
                return
            except LinkError as problem:
                if isinstance(problem, LinkClosedError) or attempt == TRIES - 1:
                    raise

    def _ask(self, request: bytes, lines: int = 1) -> list[str]:
        return lines_of(self._port, request, self._link.exchange(request, lines), lines)

    def _ask_ok(self, request: bytes) -> None:
        check_ok(self._port, self._ask(request))
