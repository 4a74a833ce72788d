"""Laser diode current source of a Stanford Research LDC500, LDC501, LDC502, as current source of one gain section (drivers/ldc500.py).

`SILD <mA>` sets, `SILM` and `SVLM` limit, `LDON` switches; over its voltage limit, or with the interlock open, it switches itself off.
Then it stays off: a set never switches a laser on again that tripped since the last `safe`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from drivers.insist import insistent
from drivers.ldc500 import FULL_A, Ldc500Half, number, token, tripped
from labonn.channels import ChannelSpec
from labonn.errors import RefusedError
from labonn.links import Link
from labonn.units import format_quantity

OFF_ON, RANGES = ("OFF", "ON"), ("LOW", "HIGH")
STEP, ECHO = 1e-5, 2e-5  # of the full scale: one digit, and how far a read-back may be off
ECHO_V = 0.011


@dataclass(frozen=True)
class Ldc500LaserOptions:
    """Bench-file keys of the laser half.

    Attributes:
        limit_a: the highest current that it may ever drive, written to SILM; None: what SILM is, which is then only lowered.
        compliance_v: it switches off above this voltage (SVLM).
        range: "low", "high", or "" to leave it.
        settle_s: from a set until the output may be used; its own filter has 2.5 ms.
        lan: whether the link goes to its LAN port, which must be unlocked.
    """

    limit_a: float | None = None
    compliance_v: float = 3.0
    range: str = ""
    settle_s: float = 0.025
    lan: bool = False

    def __post_init__(self) -> None:
        if self.limit_a is not None and not 0 < self.limit_a <= 2:
            raise ValueError(f"limit_a = {self.limit_a:g}: above 0, up to 2 A")
        if not (0.1 <= self.compliance_v <= 10 and 0 <= self.settle_s < math.inf):
            raise ValueError(f"compliance_v = {self.compliance_v:g}, settle_s = {self.settle_s:g}: 0.1 to 10 V; not negative, and finite")
        if self.range not in ("", "low", "high"):
            raise ValueError(f'range = {self.range!r}: "low", "high" or ""')


class Ldc500Laser(Ldc500Half):
    """One channel, from 0 to SILM."""

    Options: ClassVar[type] = Ldc500LaserOptions
    kind: ClassVar[str] = "GainSections"

    def __init__(self, link: Link, options: Ldc500LaserOptions, port: str) -> None:
        super().__init__(link, port, options.lan)
        self._options = options
        self.compliance_v = options.compliance_v
        high, limit = self._line.ask("RNGE?", "SILM?")
        self._high = RANGES.index(options.range.upper()) if options.range else token(port, high, RANGES)
        full = FULL_A[self._line.model][self._high]
        most = min(full, 1e-3 * number(port, limit) if options.limit_a is None else options.limit_a)
        lower, upper, step, settle_s = map(np.asarray, (0.0, most, full * STEP, options.settle_s))
        self.spec, self._echo_a = ChannelSpec(("ld",), "A", lower, upper, step, settle_s), full * ECHO

    def prepare(self, spec: ChannelSpec) -> None:
        """Laser off; constant current without modulation; range, voltage and current limits, read back."""
        self.safe()
        self._line.forget_errors()
        mode, modulated = self._line.checked(("SMOD 0", "MODU 0"), "SMOD?", "MODU?")
        upper = math.floor(1e6 * float(spec.upper[0]) + 1e-6) * 1e-6  # never above, in whole digits of SILM
        limits = (f"RNGE {self._high}", f"SVLM {self.compliance_v:.3f}", f"SILM {1e3 * upper:.3f}")
        high, volts, limit = self._line.checked(limits, "RNGE?", "SVLM?", "SILM?")
        state = token(self._port, mode, ("CC", "CP")), token(self._port, modulated, OFF_ON), token(self._port, high, RANGES)
        held_v, held_a = number(self._port, volts), 1e-3 * number(self._port, limit)
        if state != (0, 0, self._high) or abs(held_v - self.compliance_v) > ECHO_V or not upper - self._echo_a <= held_a <= upper + 1e-9:
            self._wrong(f"mode {mode}, modulation {modulated}, range {high}, {held_v:g} V and {held_a:g} A were read back after {limits!r}")
        self.spec = replace(spec, upper=np.asarray(min(held_a, float(spec.upper[0]))))

    def arm(self) -> None:
        """Set the loaded row, laser on.

        Raises:
            RefusedError: with the instrument's words. UnknownStateError: it reads back otherwise, or tripped since.
        """
        wanted = self._loaded()
        commands = (f"SILD {1e3 * wanted:.3f}", *(() if self._on else ("LDON 1",)))
        try:
            level, on = self._line.checked(commands, "SILD?", "LDON?")
        except RefusedError as refused:
            raise RefusedError(f"{refused}; its interlock answers {self._line.ask('ILOC?')[0]!r}") from None
        self._check(wanted, level, on)

    def _check(self, wanted: float, level: str, on: str) -> None:
        held, running = 1e-3 * number(self._port, level), token(self._port, on, OFF_ON)
        if not running:
            why = tripped(int(self._line.numbers("LDEV?")[0]))
            self._wrong(f"at {format_quantity(wanted, 'A')} the laser has switched itself off ({why}); find the cause, then make it safe")
        self._on = True
        if abs(held - wanted) > self._echo_a:
            self._wrong(f"set to {format_quantity(wanted, 'A')} it reads back {format_quantity(held, 'A')}")

    def confirm(self) -> None:
        """Raise UnknownStateError unless the laser still is on at the current that `arm` set."""
        if self._on:
            level, on = self._line.ask("SILD?", "LDON?")
            self._check(self._loaded(), level, on)

    def output(self, on: bool) -> None:
        """The loaded row, or 0 A and the laser off."""
        (self.arm if on else self.safe)()

    def measured(self) -> tuple[float, float]:
        """(amperes through the diode, volts at it), as the instrument measures them."""
        milliamperes, volts = self._line.numbers("RILD?", "RVLD?")
        return 1e-3 * milliamperes, volts

    @insistent
    def safe(self) -> None:
        """Laser off, then 0 A, verified; tried again after a link error."""
        on, level, *_ = self._line.ask("LDON 0", "SILD 0", "LDON?", "SILD?", "LEXE?", "LCME?")
        if token(self._port, on, OFF_ON) or number(self._port, level):
            self._wrong(f"switched off it reads back {on}, {level} mA")
        self._on = False
