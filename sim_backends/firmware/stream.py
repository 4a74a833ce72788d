"""The streaming DAC and ADC of drivers/STREAM_PROTOCOL.md: bank memory, trigger, converters of 8 to 16 bits or floats."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from sim_backends.firmware.stream_messages import Array, Part, Refusal, decode, encode, shown

BLOCK_BYTES = 1 << 24
RANGES_V = (*(m * 10.0**e for e in range(-3, 1) for m in (1, 2, 5)), 10.0)
GIGABIT_S = 8e-9  # seconds a byte on the wire


class StreamFirmware:
    """What both instruments share: headers, sequence numbers, repetition, refusals.

    Args:
        channels: C. bits: 8 to 16, or 32 or 64 for floats. full_scale_v: codes span minus to plus this. depth: rows of memory.
        serial: as `identify` tells it. min_dwell_s: shortest shot.
    """

    kind = ""

    def __init__(self, channels: int, bits: int, full_scale_v: float, depth: int, serial: str, min_dwell_s: float = 1e-7) -> None:
        if bits not in (*range(8, 17), 32, 64):
            raise ValueError(f"bits = {bits}: converters have 8 to 16 bits, or 32 or 64 (floats)")
        self.channels, self.bits, self.depth, self.serial, self.min_dwell_s = channels, bits, depth, serial, min_dwell_s
        self.format = {32: "<f4", 64: "<f8"}.get(bits, "<i2")
        self.full_scale_v = full_scale_v
        self._last: tuple[Any, Any, list[bytes]] = (None, None, [])
        self._session: Any = None

    @property
    def is_float(self) -> bool:
        """Whether codes are volts."""
        return self.bits > 16

    @property
    def scale(self) -> float:
        """Volts a code."""
        return 1.0 if self.is_float else self.full_scale_v / (2 ** (self.bits - 1) - 1)

    def wire_s(self, sent: int, received: int) -> float:
        """Seconds on a gigabit wire."""
        return (sent + received) * GIGABIT_S

    def handle_parts(self, parts: Sequence[Part]) -> list[bytes]:
        """The reply to one multipart request; never raises, whatever the bytes."""
        seq: Any = None
        try:
            header, arrays = decode(parts)
            seq = header["seq"]
            if header["op"] == "identify":
                self._session = header.get("session")
            key = (self._session, seq)
            if header["op"] != "identify" and key == self._last[:2]:
                return self._last[2]
            operation = getattr(self, f"_op_{header['op']}", None)
            if operation is None:
                raise Refusal("op", f"unknown operation {shown(header['op'])}")
            result, out = operation(header, arrays)
            reply = encode({"seq": seq, **result}, out)
            self._last = (*key, reply)
        except Refusal as refusal:
            return [orjson.dumps({"seq": seq, "error": {"code": refusal.code, "text": str(refusal)}})]
        return reply

    def _identity(self) -> dict[str, Any]:
        limit = self.full_scale_v
        return {
            "protocol": "labonn-stream/1", "kind": self.kind,
            "maker": "emulated", "model": self.kind.upper(), "serial": self.serial,
            "channels": self.channels, "depth": self.depth, "format": self.format, "bits": self.bits, "scale": self.scale, "offset": 0.0,
            "lower": -limit, "upper": limit, "min_dwell_s": self.min_dwell_s,
        }  # fmt: skip

    def _op_identify(self, header: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], list[Array]]:
        return self._identity(), []

    def _dwell(self, header: dict[str, Any]) -> float:
        dwell_s = header.get("dwell_s")
        if isinstance(dwell_s, bool) or not isinstance(dwell_s, (int, float)) or not self.min_dwell_s <= dwell_s <= 1e3:
            raise Refusal("argument", f"dwell_s = {shown(dwell_s)}: {self.min_dwell_s:g} to 1000 s")
        return float(dwell_s)


class StreamDacFirmware(StreamFirmware):
    """The DAC. The light reads `armed`, `order`, `dwell_s`, `bank_version` and `volts()`; the trigger calls `played()`."""

    kind = "dac"

    def __init__(self, channels: int, bits: int = 16, full_scale_v: float = 10.0, depth: int = 131072, serial: str = "SD-0001") -> None:
        super().__init__(channels, bits, full_scale_v, depth, serial)
        self._codes: Array = np.zeros((0, channels), self.format)
        self._rows, self._loaded = 0, 0
        self._lower, self._upper = np.full(channels, -full_scale_v), np.full(channels, full_scale_v)
        self.bank_version = 0
        self.armed = False
        self.order: Array = np.zeros(0, "<u4")
        self.dwell_s = 0.0

    @classmethod
    def for_port(cls, options: Mapping[str, Any], channels: int, seed: int) -> StreamDacFirmware:
        """As the port's options in the bench file want it."""
        return cls(channels, options["bits"], options["full_scale_v"], options["depth"], f"SD-{seed % 10000:04d}")

    def volts(self) -> Array:
        """(T, C) volts of the armed table."""
        rows = self._codes[self.order]
        return rows if self.is_float else np.multiply(rows, np.float32(self.scale), dtype=np.float32)

    def played(self) -> None:
        """The table has been played; the outputs are dark again."""
        self.armed = False

    def _op_limits(self, header: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], list[Array]]:
        if len(arrays) != 2 or any(a.shape != (self.channels,) or a.dtype != np.dtype("<f8") for a in arrays):
            raise Refusal("argument", f"limits are two <f8 arrays of {self.channels} volts")
        lower, upper = arrays
        if not (np.all(lower >= -self.full_scale_v) and np.all(upper <= self.full_scale_v) and np.all(lower <= upper)):
            raise Refusal("limit", f"limits must lie in -{self.full_scale_v:g} to {self.full_scale_v:g} V, lower below upper")
        self._lower, self._upper = lower.copy(), upper.copy()
        return {}, [self._lower, self._upper]

    def _op_bank(self, header: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], list[Array]]:
        start, rows = header.get("start"), header.get("rows")
        if len(arrays) != 1 or arrays[0].ndim != 2 or arrays[0].shape[1] != self.channels or arrays[0].dtype != np.dtype(self.format):
            raise Refusal("argument", f"a bank is one (k, {self.channels}) array of {self.format}")
        codes = arrays[0]
        if type(rows) is not int or not 1 <= rows <= self.depth:
            raise Refusal("memory", f"rows = {shown(rows)}: the memory holds 1 to {self.depth}")
        if type(start) is not int or start != (self._loaded if start else 0) or start + len(codes) > rows or (start and rows != self._rows):
            raise Refusal("memory", f"block {shown(start)}+{len(codes)} of {rows} does not follow the {self._loaded} rows received")
        self._check_codes(codes)
        if start == 0:
            self._codes, self._rows = np.zeros((rows, self.channels), self.format), rows
        self._codes[start : start + len(codes)] = codes
        self._loaded, self.armed = start + len(codes), False
        self.bank_version += 1
        return {"loaded": self._loaded}, []

    def _check_codes(self, codes: Array) -> None:
        if codes.size == 0:
            raise Refusal("argument", "an empty block")
        slack = 0.5 * self.scale if not self.is_float else 1e-6 * self.full_scale_v
        low, high = self._lower.min() - slack, self._upper.max() + slack
        if low == self._lower.max() - slack and high == self._upper.min() + slack:
            bad = not (codes.min() * self.scale >= low and codes.max() * self.scale <= high)
        else:
            volts = codes * self.scale
            bad = not np.all((volts >= self._lower - slack) & (volts <= self._upper + slack))
        if bad:
            raise Refusal("limit", "a code is outside the limit registers")

    def _op_arm(self, header: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], list[Array]]:
        dwell_s = self._dwell(header)
        if len(arrays) not in (1, 2) or arrays[0].ndim != 1 or arrays[0].dtype != np.dtype("<u4") or arrays[0].size == 0:
            raise Refusal("argument", "an order is one (T,) array of <u4; a bank may come with it")
        if len(arrays) == 2:
            if arrays[1].ndim == 2 and int(arrays[0].max()) >= len(arrays[1]):
                raise Refusal("memory", f"the order names row {int(arrays[0].max())}; the bank has {len(arrays[1])}")
            self._op_bank({"start": 0, "rows": len(arrays[1]) if arrays[1].ndim else 0}, arrays[1:])
        if self._loaded != self._rows or self._rows == 0:
            raise Refusal("state", f"the bank is incomplete: {self._loaded} of {self._rows} rows")
        if int(arrays[0].max()) >= self._rows:
            raise Refusal("memory", f"the order names row {int(arrays[0].max())}; the bank has {self._rows}")
        self.order, self.dwell_s, self.armed = arrays[0].copy(), dwell_s, True
        return {"shots": len(self.order)}, []

    def _op_safe(self, header: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], list[Array]]:
        self.armed = False
        return {}, []

    def _op_state(self, header: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], list[Array]]:
        return {"armed": self.armed, "rows": self._rows, "shots": len(self.order) if self.armed else 0}, []


class StreamAdcFirmware(StreamFirmware):
    """The ADC, with the trigger line. The light sets `on_fire` and calls `record`.

    Attributes:
        on_fire: called with (shots, dwell_s) when the trigger fires; raises Refusal if an armed instrument does not agree.
    """

    kind = "adc"

    def __init__(
        self, channels: int, bits: int = 16, full_scale_v: float = 10.0, depth: int = 1 << 20, serial: str = "SA-0001",
        ranges_v: Sequence[float] = RANGES_V,
    ) -> None:  # fmt: skip
        super().__init__(channels, bits, full_scale_v, depth, serial)
        self.ranges_v = sorted({*ranges_v, full_scale_v})
        self._ranges = np.full(channels, full_scale_v)
        self.on_fire: Callable[[int, float], None] = lambda shots, dwell_s: None
        self.armed_shots, self.dwell_s, self._saturated = 0, 0.0, 0
        self._record: Array | None = None

    @classmethod
    def for_port(cls, options: Mapping[str, Any], channels: int, seed: int) -> StreamAdcFirmware:
        """As the port's options in the bench file want it."""
        return cls(channels, options["bits"], options["full_scale_v"], options["depth"], f"SA-{seed % 10000:04d}")

    def record(self, volts: Array) -> None:
        """(T, D) volts at the inputs become codes; those beyond the range sit at its end and are counted."""
        self.armed_shots = 0
        if self.is_float:
            self._record, self._saturated = volts.astype(self.format), 0
            return
        top = 2 ** (self.bits - 1) - 1
        codes = np.multiply(volts, (top / self._ranges).astype(volts.dtype))
        np.rint(codes, out=codes)
        self._saturated = 0
        if not (codes.max() < top and codes.min() > -top):
            self._saturated = int(np.count_nonzero(np.abs(codes) >= top))
            np.clip(codes, -top, top, out=codes)
        self._record = codes.astype(self.format)

    def _identity(self) -> dict[str, Any]:
        return {**super()._identity(), "ranges": self.ranges_v}

    def _op_range(self, header: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], list[Array]]:
        if len(arrays) != 1 or arrays[0].shape != (self.channels,) or arrays[0].dtype != np.dtype("<f8"):
            raise Refusal("argument", f"full scales are one <f8 array of {self.channels} volts")
        if not (np.all(arrays[0] > 0) and np.all(arrays[0] <= self.ranges_v[-1])):
            raise Refusal("argument", f"a full scale lies above 0 and up to {self.ranges_v[-1]:g} V")
        self._ranges = np.asarray(self.ranges_v)[np.searchsorted(self.ranges_v, arrays[0] * (1 - 1e-12))]
        self._record = None
        return {}, [self._ranges, self._ranges / (2 ** (self.bits - 1) - 1) if not self.is_float else np.ones(self.channels)]

    def _op_arm(self, header: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], list[Array]]:
        shots = header.get("shots")
        if type(shots) is not int or not 1 <= shots <= self.depth:
            raise Refusal("memory", f"shots = {shown(shots)}: the record holds 1 to {self.depth}")
        self.armed_shots, self.dwell_s, self._record = shots, self._dwell(header), None
        return {"shots": shots}, []

    def _op_fire(self, header: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], list[Array]]:
        shots, dwell_s = header.get("shots"), self._dwell(header)
        if type(shots) is not int or shots < 1:
            raise Refusal("argument", f"shots = {shown(shots)}: a positive number")
        self.on_fire(shots, dwell_s)
        return {"shots": shots}, []

    def _op_fetch(self, header: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], list[Array]]:
        start, record = header.get("start", 0), self._record
        if record is None:
            raise Refusal("state", "nothing recorded since the last arm")
        if type(start) is not int or not 0 <= start < len(record):
            raise Refusal("argument", f"start = {shown(start)}: the record has {len(record)} rows")
        rows = max(1, BLOCK_BYTES // (record.itemsize * self.channels))
        return {"start": start, "shots": len(record), "saturated": self._saturated}, [record[start : start + rows]]

    def _op_safe(self, header: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], list[Array]]:
        self.armed_shots = 0
        return {}, []

    def _op_state(self, header: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], list[Array]]:
        return {"armed": self.armed_shots > 0, "rows": 0 if self._record is None else len(self._record), "shots": self.armed_shots}, []
