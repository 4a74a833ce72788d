"""Qontrol multi-channel current and voltage sources (Q8iv, Q8a, Q8b in a chain), from the Qontrol programming manual.

ASCII `CMD[channel][?|=value[,value…]]\\n`; `OK`, a value a line, or `E<code>:<channel>`. Milliamperes and volts on the wire.
A set that is refused changes nothing and says so only in its reply; a current that needs more than VMAX is limited in silence.
So every set is checked for `OK` and read back, and only channels that read back as set are left out of the next one.
E90 (powered up) may arrive unasked: registers are lost then.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from drivers import qontrol_ascii
from drivers.held import HeldBank
from drivers.insist import insistent
from drivers.qontrol_ascii import Quantity, blocks, by_module, exchanges_of, limits_set, shortest_sets, values_of, vector_set
from drivers.qontrol_line import QontrolLine
from labonn.channels import ChannelSpec, Floats
from labonn.errors import BenchFileError, DesyncError, IdentityError, LabonnError, TableError, UnknownStateError
from labonn.links import Link
from labonn.shots import Bank, Ints
from labonn.units import format_quantity, mA

CODES = 0xFFFF


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

    @classmethod
    def recognise(cls, link: Link) -> tuple[str, dict[str, Any]] | None:
        """(identity, options of the bench file) if the first module answers as one; its chain is found when the bench is opened."""
        first = link.exchange(b"id?").decode("latin-1").strip()
        return (first, {}) if qontrol_ascii.ID_LINE.fullmatch(first) else None

    def __init__(self, link: Link, options: QontrolOptions, port: str) -> None:
        self._line, self._port, self._first = QontrolLine(link, port), port, options.first
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
        self._allowed = options.tolerance * self._set.full
        self._compliance = self._compliance_of(options.compliance_v if by_current else options.compliance_a)
        self.compliance_v = self._compliance if by_current else volts.full
        self._blocks = blocks(options.first, self._count, modules)
        self._ends = [end for _, end in self._blocks]
        names = tuple(f"ch{options.first + i}" for i in range(self._count))
        full, step, settle_s = map(np.asarray, (self._set.full, self._set.full / CODES, options.settle_s))
        self.spec = ChannelSpec(names, self._set.unit, np.asarray(0.0), full, step, settle_s)
        self._held = HeldBank(port, self._name)
        self._row: Floats | None = None
        self._bank: Bank | None = None
        self._seen = False  # the loaded row is of the same bank as the row before
        self._verified: Floats | None = None  # what the outputs are known to be

    def prepare(self, spec: ChannelSpec) -> None:
        """Set all to zero, write IMAX and VMAX (the tightened limit and the compliance) and read them back."""
        self._line.forget_power_up()  # everything is written here
        self._output(np.zeros(self._count))
        self._limit(self._set, spec.upper)
        self._limit(self._other, np.full(self._count, self._compliance))
        self.spec = spec

    def load(self, bank: Bank | None, order: Ints, dwell_s: float) -> None:
        """Remember the one row that `order` names; the source holds it, whatever the dwell time."""
        if bank is not None:
            self._seen, self._bank = self._bank is bank, bank
        self._row = self._held.row(bank, order, self.spec)

    def arm(self) -> None:
        """Set now what differs in the loaded row from what is known to be, and read it back; all, after any failure.

        Raises:
            RefusedError: with the instrument's words. UnknownStateError: an output is not what was set, or power was lost.
        """
        if self._row is None:
            raise TableError(f"{self._port}: nothing is loaded")
        known, self._verified = self._verified, None
        seen, self._seen = self._seen, False
        if seen and known is not None and np.array_equal(self._row, known):
            self._still_there(known)
            self._verified = known
            return
        self._write(self._row, range(self._count) if known is None else np.flatnonzero(self._row != known).tolist())
        self._verified = self._row

    def confirm(self) -> None:
        """Raise UnknownStateError unless the outputs still are what they were set to, told by one channel, and power was never lost."""
        if self._verified is not None:
            self._still_there(self._verified)

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
        problem: LabonnError | None = None
        self._verified = None
        for zero in (lambda: self._line.set(["safe"]), self._zero):
            try:
                insistent(zero)()
            except LabonnError as failed:
                problem = problem or failed
        try:
            insistent(self._check_zero)()
        except LabonnError as failed:
            raise failed from problem

    def close(self) -> None:
        """Let go of the instrument."""
        self._line.close()

    def _identify(self) -> tuple[str, list[int]]:
        """(type and serial number of every module, their numbers of channels)."""
        first = self._line.ask(b"id?")[0]
        if not qontrol_ascii.ID_LINE.fullmatch(first):
            raise IdentityError(f"{self._port}: answers {first!r} to 'id?'; a Qontrol source answers like 'Q8iv-0001'")
        self._line.set(["nup=0"])
        modules = qontrol_ascii.modules_of(self._port, self._line.ask(b"nupall?", -1))
        return ",".join(name for name, _ in modules), [count for _, count in modules]

    def _quantity(self, letter: str, machine_unit: str, scale: float) -> Quantity:
        full = float(values_of(self._port, self._line.ask(f"{letter.lower()}full?".encode()), machine_unit)[0])
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
            wanted = values[first - self._first : end - self._first].tolist()
            held = quantity.read(self._port, self._line.set(*limits_set(quantity, first, wanted)))
            self._same(f"{quantity.letter}MAX", quantity, wanted, held, quantity.full / CODES, range(first, end))

    def _output(self, values: Floats) -> None:
        """Set all channels, whatever is known, and read them back."""
        self._verified = None
        self._write(values, range(self._count))
        self._verified = values

    def _write(self, row: Floats, changed: Sequence[int]) -> None:
        """Set the channels of `row` that are `changed` and read them back, all of the chain's where that is shorter on the wire."""
        modules = by_module([index + self._first for index in changed], self._ends)
        sets = [self._sets(row, channels) for channels in modules]
        written = sum(len(channels) for _, channels in sets)
        if not sets or written * qontrol_ascii.READ_BYTES > (1 + self._chain) * qontrol_ascii.REPLY_BYTES:
            for channels in modules:
                self._line.set(self._sets(row, channels, read_bytes=0)[0])
            read = self._read_all()
            self._line.check_power(self._name)
            self._compare(row.tolist(), read, range(self._first, self._first + self._count))
            return
        for commands, channels in exchanges_of(sets):
            lines = self._line.set(commands, [f"{self._set.letter}{channel}?" for channel in channels])
            self._line.check_power(self._name)
            self._compare([row.item(channel - self._first) for channel in channels], self._set.read(self._port, lines), channels)

    def _still_there(self, row: Floats) -> None:
        """Of a row of the same table that is held already one channel is read back: all were verified when they were set."""
        lines = self._line.ask(f"{self._set.letter}{self._first}?".encode(), 1)
        self._line.check_power(self._name)
        self._compare([row.item(0)], self._set.read(self._port, lines), [self._first])

    def _sets(self, row: Floats, channels: Sequence[int], read_bytes: int = qontrol_ascii.READ_BYTES) -> tuple[list[str], Sequence[int]]:
        values = row[channels[0] - self._first : channels[-1] + 1 - self._first].tolist()
        return shortest_sets(self._set, channels, values, read_bytes)

    def _read_all(self) -> list[float]:
        lines = self._line.ask(f"{self._set.letter}all?".encode(), self._chain)
        return self._set.read(self._port, lines)[self._first : self._first + self._count]

    def _zero(self) -> None:
        for first, end in self._blocks:
            self._line.set([vector_set(self._set, first, [0.0] * (end - first))])

    def _check_zero(self) -> None:
        self._compare([0.0] * self._count, self._read_all(), range(self._first, self._first + self._count))

    def _compare(self, wanted: Sequence[float], read: Sequence[float], channels: Sequence[int]) -> None:
        self._same("the output", self._set, wanted, read, self._allowed, channels)

    def _same(
        self, what: str, quantity: Quantity, wanted: Sequence[float], read: Sequence[float], allowed: float, channels: Sequence[int]
    ) -> None:  # fmt: skip
        """A difference means compliance, an open load, or a lost set."""
        bad = [i for i, (w, r) in enumerate(zip(wanted, read, strict=True)) if not abs(r - w) <= allowed]
        if bad:
            i = bad[0]
            w, r, a = (format_quantity(v, quantity.unit) for v in (wanted[i], read[i], allowed))
            compliance = format_quantity(self._compliance, self._other.unit)
            raise UnknownStateError(
                f"{self._port}/ch{channels[i]}: {what} was set to {w} and reads back {r}, more than {a} away "
                f"({len(bad)} of {len(read)} channels are): the compliance of {compliance} is reached, the load open, or the set was lost"
            )
