"""Streaming multi-channel DAC with bank memory and trigger, for modulators (drivers/STREAM_PROTOCOL.md).

Request: JSON header + raw arrays; `bank` fills the memory in blocks, `arm` sends an order and waits for the trigger line,
`safe` gates every beam off. Codes are 4 to 16 bits or floats: volts = offset + scale x code. Sparse banks stay sparse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from drivers.stream import BLOCK_BYTES, ConverterOptions, StreamClient, recognised
from drivers.stream_banks import WireBank, wired
from labonn.channels import ChannelSpec, NumberedNames
from labonn.errors import UnknownStateError
from labonn.links import MessageLink
from labonn.shots import Bank, Ints


@dataclass(frozen=True)
class StreamDacOptions(ConverterOptions):
    """Bench-file keys of a streaming DAC: those of every converter, and of what is behind it.

    Attributes:
        settle_s: of the modulators behind it; shots should last longer.
        a_per_v, w_per_v: of voltage-controlled current sources, or power controllers of heaters, behind it; the port is then in amperes
            or watts, the instrument still in volts.
    """

    settle_s: float = 0.0
    a_per_v: float | None = None
    w_per_v: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.settle_s < math.inf:
            raise ValueError(f"settle_s = {self.settle_s:g}: must not be negative, and finite")
        for name, value in (("a_per_v", self.a_per_v), ("w_per_v", self.w_per_v)):
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} = {value:g}: must be positive, and finite")
        if self.a_per_v is not None and self.w_per_v is not None:
            raise ValueError(f"a_per_v = {self.a_per_v:g}, w_per_v = {self.w_per_v:g}: one of them, a port has one unit")

    @property
    def behind(self) -> tuple[str, float]:
        """(Unit of the port, that a volt)."""
        if self.a_per_v is not None:
            return "A", self.a_per_v
        return ("V", 1.0) if self.w_per_v is None else ("W", self.w_per_v)


class StreamDac:
    """Modulators (volts), current sources (amperes) or power controllers (watts) on a streaming DAC.

    Attributes:
        most_bursts: how often the instrument plays an order after one `arm`.
    """

    Options: ClassVar[type] = StreamDacOptions
    kind: ClassVar[str] = "Modulators"
    transport: ClassVar[str] = "zmq"
    link_options: ClassVar[dict[str, Any]] = {}
    most_bits: ClassVar[int] = 64
    dark_between: ClassVar[bool] = True
    recognise = staticmethod(partial(recognised, kind="dac"))

    def __init__(self, link: MessageLink, options: StreamDacOptions, port: str) -> None:
        self._stream = StreamClient(link, port, "dac", options.channels)
        self._port, self.identity, number = port, self._stream.identity, self._stream.number
        self.most_bursts: int = self._stream.most_bursts
        self._format = self._stream.format
        self._range_v = number("lower"), number("upper")
        unit, self._per_v = options.behind
        self._scale, self._offset = number("scale") * self._per_v, number("offset") * self._per_v
        floats = self._format in ("<f4", "<f8")
        names = NumberedNames("ch", options.channels)
        lower, upper = (np.asarray(limit * self._per_v) for limit in self._range_v)
        step, settle_s = np.asarray(0.0 if floats else self._scale), np.asarray(options.settle_s)
        self.spec = ChannelSpec(names, unit, lower, upper, step, settle_s, depth=int(number("depth")))
        self._order: Ints = np.zeros(0, "<u4")
        self._with_order: WireBank | None = None
        self._dwell_s, self._due = 0.0, 0

    def prepare(self, spec: ChannelSpec) -> None:
        """Write the limits into the instrument's registers, read them back, gate the beams off."""
        within = [np.clip(limit / self._per_v, *self._range_v) for limit in (spec.lower, spec.upper)]  # no last bit beyond its own limits
        wanted = [np.array(limit, "<f8") for limit in within]
        _, registers = self._stream.ask("limits", wanted)
        if len(registers) != 2 or not all(np.array_equal(a, b) for a, b in zip(registers, wanted, strict=True)):
            raise UnknownStateError(f"{self._port}: the limit registers do not hold what was written")
        self.safe()

    def load(self, bank: Bank | None, order: Ints, dwell_s: float) -> None:
        """Fill the bank memory unless `bank` is None; remember the order for `arm`, with which a bank of one block goes."""
        self._with_order = None
        if bank is not None:
            codes = wired(bank, self._codes, self._stream.banks)
            if codes.nbytes <= BLOCK_BYTES:
                self._with_order = codes
            else:
                self._send(codes)
        self._order, self._dwell_s = np.ascontiguousarray(order, "<u4"), dwell_s

    def arm(self, bursts: int = 1) -> None:
        """Wait for the trigger, which comes `bursts` times."""
        bank, self._with_order = self._with_order, None
        several: dict[str, Any] = {"bursts": bursts} if bursts > 1 else {}
        form = {} if bank is None else _form(bank)
        due, self._due = self._due, 0
        arrays = [self._order, *(() if bank is None else bank.block(0, len(bank)))]
        about, _ = self._stream.ask("arm", arrays, dwell_s=self._dwell_s, **several, **form)
        self._stream.check_armed(about, len(self._order))
        self._check_played(due, about)

    def fired(self, bursts: int) -> None:
        """The trigger is said to have come so often since `arm`; the next reply that tells will be held to it."""
        self._due = bursts

    def confirm(self) -> None:
        """Raise UnknownStateError unless the last table was played as often as it should have been."""
        if self._due:
            about, _ = self._stream.ask("state")
            due, self._due = self._due, 0  # only now: a lost answer is asked for again
            self._check_played(due, about)

    def safe(self) -> None:
        """All beams dark."""
        self._due = 0
        self._stream.safe()

    def close(self) -> None:
        """Let go of the instrument."""
        self._stream.close()

    def _check_played(self, due: int, about: dict[str, Any]) -> None:
        played = about.get("played", due)
        if due and played != due:
            told = "its trigger did not come, and what was measured meanwhile is not of that table"
            raise UnknownStateError(f"{self._port}: the last table was played {played!r} times instead of {due}: {told}")

    def _codes(self, values: Any) -> Any:
        if self._format != "<i2":
            return np.ascontiguousarray(values if self._per_v == 1 else values / self._per_v, self._format)
        return np.rint((values - self._offset) * values.dtype.type(1 / self._scale)).astype("<i2")

    def _send(self, codes: WireBank) -> None:
        rows = max(1, BLOCK_BYTES // codes.row_bytes)
        for start in range(0, len(codes), rows):
            stop = min(start + rows, len(codes))
            reply, _ = self._stream.ask("bank", codes.block(start, stop), start=start, rows=len(codes), **_form(codes))
            if reply.get("loaded") != stop:
                raise UnknownStateError(f"{self._port}: {stop} rows sent, the instrument has {reply.get('loaded')}")


def _form(bank: WireBank) -> dict[str, Any]:
    return {"form": bank.form} if bank.form != "dense" else {}
