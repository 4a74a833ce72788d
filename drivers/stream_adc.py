"""Streaming multi-channel ADC with a trigger, for homodyne photodetector arrays (drivers/STREAM_PROTOCOL.md).

Request: JSON header + raw arrays; `arm` prepares a record of so many shots, `fire` starts every armed instrument on the
trigger line, `fetch` reads the record in blocks. Codes are 4 to 16 bits or floats: volts = offset + scale x code.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from drivers.stream import ConverterOptions, StreamClient, recognised
from labonn.channels import ChannelSpec, Floats, NumberedNames
from labonn.errors import DesyncError, LimitError, UnknownStateError
from labonn.links import MessageLink


@dataclass(frozen=True)
class StreamAdcOptions(ConverterOptions):
    """Bench-file keys of a streaming ADC: those of every converter, with a longer record."""

    depth: int = 1048576


class StreamAdc:
    """Photodetectors (volts) on a streaming ADC; can be the bench's trigger.

    Attributes:
        saturated: codes at an end of the range in the last record. full_scale: (D,) volts, the ranges taken.
        most_bursts: firings that one record may hold.
    """

    Options: ClassVar[type] = StreamAdcOptions
    kind: ClassVar[str] = "Photodetectors"
    transport: ClassVar[str] = "zmq"
    link_options: ClassVar[dict[str, Any]] = {}
    most_bits: ClassVar[int] = 64
    recognise = staticmethod(partial(recognised, kind="adc"))

    def __init__(self, link: MessageLink, options: StreamAdcOptions, port: str) -> None:
        self._stream = StreamClient(link, port, "adc", options.channels)
        self._port, self.identity, number = port, self._stream.identity, self._stream.number
        self.most_bursts: int = self._stream.most_bursts
        self._float = self._stream.format != "<i2"
        self._scale: Any = np.float32(number("scale"))
        self._offset = number("offset")
        ranges = self._stream.about.get("ranges") or [number("upper")]
        if not isinstance(ranges, list) or not all(type(r) in (int, float) and 0 < r < np.inf for r in ranges):
            raise DesyncError(f"{port}: the identification has ranges = {ranges!r}, not a list of volts")
        self._ranges_v, self._largest_v = ranges, float(max(ranges))
        names = NumberedNames("ch", options.channels)
        lower, upper, step, settle_s = map(np.asarray, (number("lower"), number("upper"), 0.0 if self._float else number("scale"), 0.0))
        self.spec = ChannelSpec(names, "V", lower, upper, step, settle_s, depth=int(number("depth")))
        self._shots, self._record, self.saturated = 0, 0, 0
        self.full_scale = np.array(self.spec.upper)

    def set_range(self, full_scale_v: float | Floats) -> Floats:
        """Take, channel by channel, the smallest range that holds `full_scale_v` volts; (D,) the ranges taken.

        Raises:
            LimitError: beyond the largest range. UnknownStateError: the instrument took a smaller range than was asked for.
        """
        count, largest = len(self.spec), self._largest_v
        wanted = np.array(np.broadcast_to(np.asarray(full_scale_v, "<f8"), (count,)))
        if not (np.all(wanted > 0) and np.all(wanted <= largest)):
            channel = int(np.argmin((wanted > 0) & (wanted <= largest)))
            raise LimitError(f"{self._port}/ch{channel}: a range of {wanted[channel]:g} V is not above 0 and up to {largest:g} V (driver)")
        _, arrays = self._stream.ask("range", [wanted])
        good = len(arrays) == 2 and all(a.shape == (count,) and np.all(a > 0) and np.all(np.isfinite(a)) for a in arrays)
        if not good or not np.all(arrays[0] >= wanted * (1 - 1e-9)) or not np.isin(arrays[0], self._ranges_v).all():
            raise UnknownStateError(f"{self._port}: ranges were asked for, and the instrument did not take them")
        self._scale, self.full_scale = arrays[1].astype(np.float32), arrays[0]
        return arrays[0]

    def arm(self, shots: int, dwell_s: float, bursts: int = 1) -> None:
        """Wait for the trigger, which comes `bursts` times for so many shots each."""
        several: dict[str, Any] = {"bursts": bursts} if bursts > 1 else {}
        self._shots = 0
        about, _ = self._stream.ask("arm", shots=shots, dwell_s=dwell_s, **several)
        self._stream.check_armed(about, shots)
        self._shots, self._record = shots * bursts, self._stream.seq

    def fire(self, shots: int, dwell_s: float) -> None:
        """Start every armed instrument."""
        self._stream.ask("fire", shots=shots, dwell_s=dwell_s)

    def fetch(self) -> Floats:
        """(T, D) volts of the last record, all its bursts; float32, or float64 from an instrument that sends it."""
        blocks: list[Floats] = []
        received = 0
        while received < self._shots:
            about, arrays = self._stream.ask("fetch", start=received)
            good = len(arrays) == 1 and arrays[0].dtype == self._stream.format and arrays[0].ndim == 2
            good = good and arrays[0].shape[1] == len(self.spec) and 0 < len(arrays[0]) <= self._shots - received
            good = good and type(about.get("saturated")) is int
            good = good and about.get("start") == received and about.get("shots") == self._shots
            if not good or about.get("record", self._record) != self._record:
                where = f"at row {received} of {self._shots}"
                raise DesyncError(f"{self._port}: a block of the record is missing or of another record, {where}")
            blocks.append(self._volts(arrays[0]))
            received += len(arrays[0])
            self.saturated = about["saturated"]
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)

    def safe(self) -> None:
        """Forget what was armed."""
        self._stream.safe()

    def close(self) -> None:
        """Let go of the instrument."""
        self._stream.close()

    def _volts(self, codes: Any) -> Floats:
        if self._float:
            return np.asarray(codes)
        scale = self._scale
        if np.ndim(scale) and np.all(scale == scale[0]):
            scale = scale[0]  # one number for all channels is three times as fast
        volts: Floats = np.multiply(codes, scale, dtype=np.float32)
        return volts if self._offset == 0 else volts + np.float32(self._offset)
