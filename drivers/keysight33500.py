"""Keysight 33500B/33600A waveform generator for modulators, from the Trueform Series Operating and Service Guide (33500-90901).

SCPI, answered by one line; `SYST:ERR?` gives `+0,"No error"` or what was refused. An order of shots becomes an arbitrary waveform played
once a trigger (burst), or, if that sends less, a sequence of short ones that waits for it. Outputs wait at the first shot's level.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from drivers.insist import insistent
from drivers.keysight33500_line import GeneratorLine
from drivers.keysight33500_player import FAMILIES, Player
from labonn.channels import ChannelSpec, Floats, NumberedNames
from labonn.errors import IdentityError, LimitError, TableError, UnknownStateError
from labonn.links import Link
from labonn.shots import Bank, Ints, dense
from labonn.units import format_quantity

OUTPUT_OHM, OPEN_V, LEAST_OPEN_VPP = 50.0, 10.0, 2e-3
WITH_ARBS = ("11", "12", "21", "22")


@dataclass(frozen=True)
class Keysight33500Options:
    """Bench-file keys of a generator.

    Attributes:
        channels: 1 or 2, from the first on. load_ohm: at its outputs, 1 to 10000 or inf. model: "33522B"; "" takes any of the family.
        points: samples of a shot, fewer where time or memory asks for it. settle_s: of the modulators behind it.
    """

    channels: int = 2
    load_ohm: float = 50.0
    model: str = ""
    points: int = 1
    settle_s: float = 0.0

    def __post_init__(self) -> None:
        if self.channels not in (1, 2) or not (1 <= self.load_ohm <= 10e3 or self.load_ohm == math.inf):
            raise ValueError(f"channels = {self.channels}, load_ohm = {self.load_ohm:g}: 1 or 2, and 1 to 10000 ohm or inf")
        if not (1 <= self.points <= 1000 and 0 <= self.settle_s < math.inf):
            raise ValueError(f"points = {self.points}, settle_s = {self.settle_s:g}: 1 to 1000, and not negative, finite")


class Keysight33500:
    """One or both channels; the generator is the port's alone, `prepare` resets it."""

    Options: ClassVar[type] = Keysight33500Options
    kind: ClassVar[str] = "Modulators"
    transport: ClassVar[str] = "visa"
    link_options: ClassVar[dict[str, Any]] = {"write_end": "\n", "read_end": "\n", "timeout_s": 5.0}
    idn: ClassVar[str] = r"(Agilent|Keysight) Technologies,33[56]"
    most_bursts: int = 1_000_000_000  # it waits again after every order

    def __init__(self, link: Link, options: Keysight33500Options, port: str) -> None:
        self._line, self._options, self._port = GeneratorLine(link, port, ":SYST:ERR?"), options, port
        self.identity, model = self._line.identify(options.model.upper())
        if model[3:5] not in WITH_ARBS or options.channels > 2 - int(model[4]) % 2:
            raise IdentityError(f"{port}: a {model} has not {options.channels} channels with arbitrary waveforms")
        family = FAMILIES[model[:3]]
        divided = 1 / (1 + OUTPUT_OHM / options.load_ohm)
        self._least_vpp, peak = LEAST_OPEN_VPP * divided, np.asarray(OPEN_V * divided)
        self._codes, settle_s = family.codes, np.asarray(options.settle_s)
        names = NumberedNames("ch", options.channels + 1)[1:]
        self.spec = ChannelSpec(names, "V", -peak, peak, 2 * peak / family.codes, settle_s, depth=family.memory - 1)
        self._player = Player(self._line, port, self.identity, family, options.channels, options.points, self._least_vpp)
        self._rows: Floats | None = None
        self._playing: tuple[bytes, float] | None = None
        self._on = False

    def prepare(self, spec: ChannelSpec) -> None:
        """Reset; load and limits into its registers, read back; outputs off, their range held so that no relay moves between tables."""
        self.safe()
        self._player.forget()
        self._rows, self._playing = None, None
        if (spec.upper - spec.lower < self._least_vpp).any():
            raise LimitError(f"{self._port}: limits are less than {format_quantity(self._least_vpp, 'V')} apart, its least amplitude")
        self.spec = replace(spec, step=(spec.upper - spec.lower) / self._codes)
        self._line.send(b"*RST", "*OPC?", 1)
        for n, low, high in zip(self._player.channels, spec.lower.tolist(), spec.upper.tolist(), strict=True):
            self._player.limit(n, self._options.load_ohm, low, high)

    def load(self, bank: Bank | None, order: Ints, dwell_s: float) -> None:
        """Send what is not there yet: the shots as one waveform, or the rows once and their order as a sequence.

        While it loads, outputs that are on stay within the limits.
        """
        if bank is not None:
            rows = np.asarray(dense(bank), np.float64)
            if rows.shape[1] != len(self.spec):
                raise TableError(f"{self._port}: a row has {rows.shape[1]} values; the port has {len(self.spec)} channels")
            self.spec.check(self._port, rows)
            self._player.forget()
            self._rows, self._playing = rows, None
        held = 0 if self._rows is None else len(self._rows)
        if self._rows is None or order.min() < 0 or order.max() >= held:
            raise TableError(f"{self._port}: the order names rows {order.min()} to {order.max()}; memory holds {held}")
        wanted = np.asarray(order, np.int64).tobytes(), dwell_s
        if wanted != self._playing:
            self._playing = None
            self._player.play(self._rows, order, dwell_s, self.spec)
            self._playing = wanted

    def arm(self, bursts: int = 1) -> None:
        """Outputs on; every trigger plays the whole order."""
        if self._playing is None:
            raise TableError(f"{self._port}: nothing is loaded")
        for n in self._player.channels:
            self._player.verified(n, b":OUTP%d ON" % n, f":OUTP{n}?;:SOUR{n}:VOLT:LIM:STAT?", [1, 1], [0, 0])
        self._on = True

    def confirm(self) -> None:
        """Raise UnknownStateError unless the outputs still are on, within their limits."""
        if self._on:
            asked = [question for n in self._player.channels for question in (f":OUTP{n}?", f":SOUR{n}:VOLT:LIM:STAT?")]
            if not all(states := self._line.numbers(";".join(asked), len(asked))):
                told = "has it lost its power, or did somebody reset it?"
                raise UnknownStateError(f"{self._port}: outputs and limits that are to be on read back {states}: {told} ({self.identity})")

    @insistent
    def safe(self) -> None:
        """Outputs off, verified; tried again after a link error."""
        self._on = False
        channels = self._player.channels
        asked = "".join(f";:OUTP{n} OFF" for n in channels) + "".join(f";:OUTP{n}?" for n in channels)
        states = self._line.numbers(f"*CLS;:ABOR{asked}", len(channels))
        if any(states):
            raise UnknownStateError(f"{self._port}: switched off the outputs read back {states} ({self.identity})")

    def close(self) -> None:
        """Let go of the instrument."""
        self._line.close()
