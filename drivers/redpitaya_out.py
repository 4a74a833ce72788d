"""Fast outputs of a Red Pitaya STEMlab 125-14 as modulators, from its SCPI command list (OS 2.00-23 and later).

`SOUR1:TRAC:DATA:DATA a,b,…` fills a waveform of 16,384 values, a phase counter of 2^-16 samples a clock reads it at `SOUR1:FREQ:FIX`,
once (`SOUR1:BURS:STAT BURST`, one cycle) at each trigger: `SOUR:TRIG:INT`, sent by the board's other side, or an edge at DIO0_P.
`SOUR1:FUNC?` and `SOUR1:VOLT?` are not used: the servers of 2.04-35 answer them with two lines, and `TRIG:SOUR?` not at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from drivers.insist import insistent
from drivers.redpitaya import BUFFER, LINK_OPTIONS, RedPitayaLine
from drivers.redpitaya_wave import FEWEST, burst, played
from labonn.channels import ChannelSpec
from labonn.errors import IdentityError, LimitError, TableError, UnknownStateError
from labonn.links import Link
from labonn.shots import Bank, Ints, rows_of

OUTPUTS = (1, 2)
STATE = [f"OUTPUT{n}:STATE?" for n in OUTPUTS]
OFFSETS = [f"SOUR{n}:VOLT:OFFS?" for n in OUTPUTS]
FREQUENCIES = [f"SOUR{n}:FREQ:FIX?" for n in OUTPUTS]
ON, OFF = ("ON", "1"), ("OFF", "0")


@dataclass(frozen=True)
class RedPitayaOutOptions:
    """Bench-file keys of the outputs.

    Attributes:
        trigger: "internal" (the board's inputs with trigger = "outputs" fire them) or "external" (a rising edge at DIO0_P).
        full_scale_v: at the load when the instrument's own scale says 1 V, as it does into 50 ohms; 2 V into a high impedance.
        settle_s: of the modulators behind them.
    """

    trigger: str = "internal"
    full_scale_v: float = 1.0
    settle_s: float = 0.0

    def __post_init__(self) -> None:
        if self.trigger not in ("internal", "external"):
            raise ValueError(f'trigger = {self.trigger!r}: "internal" or "external"')
        if not (0 < self.full_scale_v <= 10 and 0 <= self.settle_s < math.inf):
            raise ValueError(f"full_scale_v = {self.full_scale_v:g}, settle_s = {self.settle_s:g}: above 0 to 10 V, not negative")


class RedPitayaOut:
    """Two outputs, sequenced."""

    Options: ClassVar[type] = RedPitayaOutOptions
    kind: ClassVar[str] = "Modulators"
    transport: ClassVar[str] = "tcp"
    shares: ClassVar[str] = "redpitaya"
    link_options: ClassVar[dict[str, Any]] = LINK_OPTIONS
    idn: ClassVar[str] = r"REDPITAYA,"
    dark_between: ClassVar[bool] = True

    def __init__(self, link: Link, options: RedPitayaOutOptions, port: str) -> None:
        self._line, self._options, self._port = RedPitayaLine(link, port), options, port
        self.identity = self._line.identity
        if "4-INPUT" in self._line.board.upper():
            raise IdentityError(f"{port}: this board ({self._line.board}) has no fast outputs")
        scale, settle_s = np.asarray(options.full_scale_v), np.asarray(options.settle_s)
        self.spec = ChannelSpec(("OUT1", "OUT2"), "V", -scale, scale, scale / (BUFFER // 2), settle_s, depth=BUFFER // FEWEST)
        self._bank: Bank | None = None
        self._on, self._hz = False, 0.0
        self._playing: tuple[Bank, Ints, float] | None = None  # what its memory holds

    def prepare(self, spec: ChannelSpec) -> None:
        """Outputs off; the board has no limit registers, so the (tightened) limits are checked here again before a waveform goes out."""
        self.spec = spec
        self.safe()

    def load(self, bank: Bank | None, order: Ints, dwell_s: float) -> None:
        """Write the waveforms of the whole order, outputs off; nothing if they are there."""
        self._bank = bank if bank is not None else self._bank
        if self._bank is None:
            raise TableError(f"{self._port}: no bank was loaded before")
        same = self._playing is not None and self._playing[0] is self._bank and self._playing[2] == dwell_s
        if same and self._playing is not None and np.array_equal(self._playing[1], order):
            return
        rows = np.asarray(rows_of(self._bank, order), np.float64)
        if len(order) > self.spec.depth or rows.shape[1] != len(self.spec):
            raise TableError(f"{self._port}: {len(order)} rows of {rows.shape[1]} values; at most {self.spec.depth} of {len(self.spec)}")
        self.spec.check(self._port, rows)
        try:
            frequency, index = played(len(order), dwell_s)
        except ValueError as problem:
            raise LimitError(f"{self._port}: {problem} (driver)") from None
        self._playing, self._on, self._hz = None, False, frequency
        idle = np.clip(0.0, self.spec.lower, self.spec.upper)
        setup = burst(rows, idle, index, frequency, self._options.full_scale_v, external=self._options.trigger == "external")
        told = self._line.checked(setup, [*FREQUENCIES, *STATE])
        got = [self._line.number(text, 0, 1e9) for text in told[:2]]
        if any(abs(hz - frequency) > 1e-4 * frequency for hz in got) or any(state not in OFF for state in told[2:]):
            self._wrong(f"set to {frequency:g} Hz with the outputs off it reads back {told}")
        self._playing = (self._bank, np.array(order), dwell_s)

    def arm(self) -> None:
        """Outputs on, at their idle level; the trigger plays the order once."""
        if self._playing is None:
            raise TableError(f"{self._port}: nothing is loaded")
        self._check_on(self._line.checked(["OUTPUT:STATE ON"], [*FREQUENCIES, *STATE]))
        self._on = True

    def confirm(self) -> None:
        """Raise UnknownStateError unless the outputs still are on, with what was loaded."""
        if self._on:
            self._check_on(self._line.checked([], [*FREQUENCIES, *STATE]))

    def _check_on(self, told: list[str]) -> None:
        got = [self._line.number(text, 0, 1e9) for text in told[:2]]
        if any(abs(hz - self._hz) > 1e-4 * self._hz for hz in got) or any(state not in ON for state in told[2:]):
            self._wrong(f"switched on they read back {told}, and {self._hz:g} Hz were set")

    @insistent
    def safe(self) -> None:
        """Amplitudes and offsets 0, outputs off, verified; tried again after a link error."""
        self._playing, self._on = None, False
        sets = [f"OUTPUT{n}:STATE OFF" for n in OUTPUTS] + [f"SOUR{n}:VOLT{what} 0" for n in OUTPUTS for what in ("", ":OFFS")]
        told = self._line.checked(sets, [*STATE, *OFFSETS])
        if any(state not in OFF for state in told[:2]) or any(self._line.number(text, -10, 10) for text in told[2:]):
            self._wrong(f"switched off they read back {told}")

    def close(self) -> None:
        """Let go of the board."""
        self._line.close()

    def _wrong(self, what: str) -> None:
        raise UnknownStateError(f"{self._port}: {what} ({self.identity})")
