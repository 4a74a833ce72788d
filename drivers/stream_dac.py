"""Streaming multi-channel DAC with bank memory and trigger, for modulators (drivers/STREAM_PROTOCOL.md).

Request: JSON header + raw arrays; `bank` fills the memory in blocks, `arm` sends an order and waits for the trigger line,
`safe` gates every beam off. Codes are 8 to 16 bits or floats: volts = offset + scale x code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from drivers.stream import BLOCK_BYTES, ConverterOptions, StreamClient
from labonn.channels import ChannelSpec, NumberedNames
from labonn.errors import UnknownStateError
from labonn.links import MessageLink
from labonn.shots import Bank, Ints, dense


@dataclass(frozen=True)
class StreamDacOptions(ConverterOptions):
    """Bench-file keys of a streaming DAC: those of every converter, and of what is behind it.

    Attributes:
        settle_s: of the modulators behind it; shots should last longer.
    """

    settle_s: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.settle_s < math.inf:
            raise ValueError(f"settle_s = {self.settle_s:g}: must not be negative, and finite")


class StreamDac:
    """Modulators (volts) on a streaming DAC."""

    Options: ClassVar[type] = StreamDacOptions
    kind: ClassVar[str] = "Modulators"
    transport: ClassVar[str] = "zmq"
    link_options: ClassVar[dict[str, Any]] = {}
    most_bits: ClassVar[int] = 64

    def __init__(self, link: MessageLink, options: StreamDacOptions, port: str) -> None:
        self._stream = StreamClient(link, port, "dac", options.channels)
        self._port, self.identity, number = port, self._stream.identity, self._stream.number
        self._format, self._scale, self._offset = self._stream.format, number("scale"), number("offset")
        floats = self._format in ("<f4", "<f8")
        names = NumberedNames("ch", options.channels)
        lower, upper, step, settle_s = map(np.asarray, (number("lower"), number("upper"), 0.0 if floats else self._scale, options.settle_s))
        self.spec = ChannelSpec(names, "V", lower, upper, step, settle_s, depth=int(number("depth")))
        self._order: Ints = np.zeros(0, "<u4")
        self._with_order: list[Any] = []
        self._dwell_s = 0.0

    def prepare(self, spec: ChannelSpec) -> None:
        """Write the limits into the instrument's registers, read them back, gate the beams off."""
        wanted = [np.array(spec.lower, "<f8"), np.array(spec.upper, "<f8")]
        _, registers = self._stream.ask("limits", wanted)
        if len(registers) != 2 or not all(np.array_equal(a, b) for a, b in zip(registers, wanted, strict=True)):
            raise UnknownStateError(f"{self._port}: the limit registers do not hold what was written")
        self.safe()

    def load(self, bank: Bank | None, order: Ints, dwell_s: float) -> None:
        """Fill the bank memory unless `bank` is None; remember the order for `arm`, with which a bank of one block goes."""
        self._with_order = []
        if bank is not None:
            codes = self._codes(dense(bank))
            if codes.nbytes <= BLOCK_BYTES:
                self._with_order = [codes]
            else:
                self._send(codes)
        self._order, self._dwell_s = np.ascontiguousarray(order, "<u4"), dwell_s

    def arm(self) -> None:
        """Wait for the trigger."""
        sent, self._with_order = self._with_order, []
        self._stream.ask("arm", [self._order, *sent], dwell_s=self._dwell_s)

    def safe(self) -> None:
        """All beams dark."""
        self._stream.safe()

    def close(self) -> None:
        """Let go of the instrument."""
        self._stream.close()

    def _codes(self, volts: Any) -> Any:
        if self._format != "<i2":
            return np.ascontiguousarray(volts, self._format)
        return np.rint((volts - self._offset) * volts.dtype.type(1 / self._scale)).astype("<i2")

    def _send(self, codes: Any) -> None:
        rows = max(1, BLOCK_BYTES // (codes.itemsize * codes.shape[1]))
        for start in range(0, len(codes), rows):
            block = codes[start : start + rows]
            reply, _ = self._stream.ask("bank", [block], start=start, rows=len(codes))
            if reply.get("loaded") != start + len(block):
                raise UnknownStateError(f"{self._port}: {start + len(block)} rows sent, the instrument has {reply.get('loaded')}")
