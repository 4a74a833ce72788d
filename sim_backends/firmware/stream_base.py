"""What the DAC and the ADC of drivers/STREAM_PROTOCOL.md share: headers, sequence numbers, repetition, refusals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from sim_backends.firmware.stream_messages import Array, Part, Refusal, checksum, decode, encode, intact, shown
from sim_backends.firmware.troubles import Troubles

BLOCK_BYTES = 1 << 24
GIGABIT_S = 8e-9  # seconds a byte on the wire
MOST_BURSTS = 1 << 20
MISREAD = 1.01
Result = tuple[dict[str, Any], list[Array]]


class StreamFirmware:
    """What both instruments share: headers, sequence numbers, repetition, refusals.

    Args:
        channels: C. bits: 4 to 16, or 32 or 64 for floats. full_scale_v: codes span minus to plus this. depth: rows of memory.
        serial: as `identify` tells it. min_dwell_s: shortest shot.

    Attributes:
        faults: kinds that it can have.
    """

    kind = ""
    faults: tuple[str, ...] = ("refuse", "ignore", "misread", "power_cycle")
    settings: tuple[str, ...] = ()

    def __init__(self, channels: int, bits: int, full_scale_v: float, depth: int, serial: str, min_dwell_s: float = 1e-7) -> None:
        if bits not in (*range(4, 17), 32, 64):
            raise ValueError(f"bits = {bits}: converters have 4 to 16 bits, or 32 or 64 (floats)")
        self.channels, self.bits, self.depth, self.serial, self.min_dwell_s = channels, bits, depth, serial, min_dwell_s
        self.format = {32: "<f4", 64: "<f8"}.get(bits, "<i2")
        self.full_scale_v = full_scale_v
        self._last: tuple[Any, Any, list[bytes]] = (None, None, [])
        self._session: Any = None
        self._sessions = 0
        self.troubles = Troubles()

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
        checked = False
        try:
            parts, checked = intact(parts)
            header, arrays = decode(parts)
            seq = header["seq"]
            if header["op"] == "identify":
                self._begin_session(header.get("session"))
            key = (self._session, seq)
            if header["op"] != "identify" and key == self._last[:2]:
                return self._last[2]
            operation = getattr(self, f"_op_{header['op']}", None)
            if operation is None:
                raise Refusal("op", f"unknown operation {shown(header['op'])}")
            result, out = self._obey(header["op"], operation, header, arrays)
            reply = encode({"seq": seq, "sessions": self._sessions, **result}, out, checked)
            self._last = (*key, reply)
        except Refusal as refusal:
            error = {"code": refusal.code, "text": str(refusal)}
            told = [orjson.dumps({"seq": seq, "sessions": self._sessions, "error": error})]
            return [*told, checksum(told)] if checked else told
        return reply

    def inject(self, kind: str, value: float | None) -> None:
        """Have a fault of `faults`."""
        if kind == "power_cycle":
            self.power_cycle()
        else:
            self.troubles.begin(kind, value, self.channels if kind in ("stuck", "saturated", "nan") else 0)

    def power_cycle(self) -> None:
        """Forget everything, as after the mains came back."""
        self._session, self._sessions, self._last = None, 0, (None, None, [])

    def _begin_session(self, session: Any) -> None:
        """Of a client that names one; another identification of the same client begins none."""
        if session is not None:
            self._session = session
            self._sessions += 1

    def _obey(self, op: str, operation: Callable[..., Result], header: dict[str, Any], arrays: list[Array]) -> Result:
        if not self.troubles or op not in self.settings:
            return operation(header, arrays)
        if self.troubles.take("refuse"):
            raise Refusal("state", "out of service")
        if not self.troubles.take("ignore"):
            operation(header, arrays)
        result, out = self._told(op)
        factor = self.troubles.value("misread", MISREAD)
        return result, [array * factor for array in out] if out and self.troubles.take("misread") else out

    def _told(self, op: str) -> Result:
        """What the reply to a setting says of what is now."""
        raise NotImplementedError

    def _identity(self) -> dict[str, Any]:
        limit = self.full_scale_v
        return {
            "protocol": "labonn-stream/1", "kind": self.kind,
            "maker": "emulated", "model": self.kind.upper(), "serial": self.serial,
            "channels": self.channels, "depth": self.depth, "format": self.format, "bits": self.bits, "scale": self.scale, "offset": 0.0,
            "lower": -limit, "upper": limit, "min_dwell_s": self.min_dwell_s, "bursts": MOST_BURSTS, "checks": ["crc32"],
        }  # fmt: skip

    def _op_identify(self, header: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], list[Array]]:
        return self._identity(), []

    def _dwell(self, header: dict[str, Any]) -> float:
        dwell_s = header.get("dwell_s")
        if isinstance(dwell_s, bool) or not isinstance(dwell_s, (int, float)) or not self.min_dwell_s <= dwell_s <= 1e3:
            raise Refusal("argument", f"dwell_s = {shown(dwell_s)}: {self.min_dwell_s:g} to 1000 s")
        return float(dwell_s)

    def _bursts(self, header: dict[str, Any]) -> int:
        bursts = header.get("bursts", 1)
        if type(bursts) is not int or not 1 <= bursts <= MOST_BURSTS:
            raise Refusal("argument", f"bursts = {shown(bursts)}: 1 to {MOST_BURSTS}")
        return bursts
