"""An SLM behind a server of drivers/SLM_PROTOCOL.md, as messages in and messages out.

| subsystem | implemented | refused or missing |
| --- | --- | --- |
| header | `op`, `seq`, `session`, one part of data | too long, more parts, wrong types (`header`), unknown operations (`op`) |
| `query` | all fields | |
| `open`, `release` | one owner, taken over when it was quiet for `lease_s` | `busy`, `lease` |
| `show`, `safe` | fractions of the panel, `none` and `zlib`, 8 to 16 bits, rising ids | `size`, `data`, `id`; `panel` never happens |
| sockets | | those of whoever serves it, and CURVE with them |
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from sim_backends.firmware.slm_window import Codes, block_of, panel_of
from sim_backends.firmware.troubles import Troubles

Part = bytes | memoryview | bytearray
WIRE_BYTE_S = 8e-9  # gigabit Ethernet
LONGEST = {"header": 4096, "name": 80}


class _No(Exception):
    """A refusal: its code and its words."""


class SlmServerFirmware:
    """A panel of `size` (rows, columns) pixels that shows what the owner of its lease sends.

    Attributes:
        frame: the last frame as it was sent (read-only), or None before the first. version: number of frames shown.
        time_s: spent on the wire. now: the clock of the lease, in seconds. faults: kinds that it can have.
    """

    faults = ("refuse", "unseen", "power_cycle")

    def __init__(self, size: tuple[int, int], bits: int = 8, serial: str = "0000") -> None:
        if not 8 <= bits <= 16:
            raise ValueError(f"bits = {bits}: an SLM has 8 to 16")
        self.size, self.bits, self.serial = size, bits, serial
        self.frame: Codes | None = None
        self.version, self.time_s = 0, 0.0
        self.now: Callable[[], float] = time.monotonic
        self._owner: dict[str, Any] | None = None
        self._troubles = Troubles()

    def inject(self, kind: str, value: float | None) -> None:
        """Have a fault of `faults`."""
        if kind == "power_cycle":
            self.frame, self.version, self._owner = None, self.version + 1, None
        else:
            self._troubles.begin(kind, value)

    @classmethod
    def for_port(cls, options: Mapping[str, Any], channels: int, seed: int) -> SlmServerFirmware:
        """The server that a port's bench-file options describe."""
        return cls(panel_of(options, channels), int(options.get("bits", 8)), f"{seed & 0xFFFF:04X}")

    def wire_s(self, sent: int, received: int) -> float:
        """Seconds that an exchange takes."""
        taken = (sent + received) * WIRE_BYTE_S
        self.time_s += taken
        return taken

    def block(self, rows: int, columns: int) -> Codes:
        """(rows, columns) codes at the centres of a centred block of macropixels; all 0 (black) before the first frame."""
        if self.frame is None:
            return np.zeros((rows, columns), np.uint8 if self.bits == 8 else np.uint16)
        return block_of(self.frame, self.size, rows, columns)

    def handle_parts(self, parts: Sequence[Part]) -> list[bytes]:
        """The reply to a request; never raises, whatever the bytes."""
        reply: dict[str, Any] = {"seq": None}
        try:
            if len(parts) not in (1, 2) or len(parts[0]) > LONGEST["header"]:
                raise _No("header", f"one header of at most {LONGEST['header']} bytes, and at most one part of data")
            asked = _read(bytes(parts[0]))
            reply["seq"] = asked["seq"]
            ops = {"query": self._query, "open": self._take, "show": self._show, "safe": self._dark, "release": self._release}
            if asked["op"] not in ops:
                raise _No("op", f"there is no operation {asked['op'][:40]!r}")
            if (asked["op"] == "show") != (len(parts) == 2):
                raise _No("header", "data belongs to show, and show has data")
            if self._owner is not None and self._owner["session"] == asked["session"]:
                self._owner["heard"] = self.now()
            reply.update(ops[asked["op"]](asked, bytes(parts[-1])))
        except _No as no:
            reply["error"] = dict(zip(("code", "text"), no.args, strict=True))
        return [json.dumps(reply).encode()]

    def _query(self, asked: dict[str, Any], data: bytes) -> dict[str, Any]:
        owner, shown = (self._owner["name"], self._owner["shown"]) if self._owner else (None, 0)
        return {
            "protocol": "labonn-slm/1", "maker": "emulated", "model": "SLM", "serial": self.serial, "panel": list(self.size),
            "bits": self.bits, "encodings": ["none", "zlib"], "owner": owner, "shown": shown,
        }  # fmt: skip

    def _take(self, asked: dict[str, Any], data: bytes) -> dict[str, Any]:
        name, lease_s = asked.get("name"), asked.get("lease_s")
        if not isinstance(name, str) or len(name) > LONGEST["name"]:
            raise _No("header", f"name: a text of at most {LONGEST['name']} characters")
        if isinstance(lease_s, bool) or not isinstance(lease_s, (int, float)) or not 1 <= lease_s <= 86400:
            raise _No("header", "lease_s: 1 to 86400 s")
        now, owner = self.now(), self._owner
        if owner is None or owner["session"] != asked["session"]:
            if owner is not None and now - owner["heard"] < owner["lease_s"]:
                left_s = owner["lease_s"] - (now - owner["heard"])
                raise _No("busy", f"the SLM belongs to {owner['name']!r} for another {left_s:.1f} s if that stays quiet")
            owner = self._owner = {"session": asked["session"], "shown": 0, "newest": 0}
        owner.update(name=name, lease_s=lease_s, heard=now)
        return {"lease_s": lease_s, "shown": owner["shown"]}

    def _owned(self, asked: dict[str, Any]) -> dict[str, Any]:
        if self._owner is None or self._owner["session"] != asked["session"]:
            raise _No("lease", f"no lease: {'it is free' if self._owner is None else repr(self._owner['name']) + ' has it'}")
        return self._owner

    def _show(self, asked: dict[str, Any], data: bytes) -> dict[str, Any]:
        owner = self._numbered(asked)
        return self._put(owner, asked["id"], self._decode(asked, data))

    def _dark(self, asked: dict[str, Any], data: bytes) -> dict[str, Any]:
        return self._put(self._numbered(asked), asked["id"], np.zeros((1, 1), np.uint8 if self.bits == 8 else np.uint16))

    def _release(self, asked: dict[str, Any], data: bytes) -> dict[str, Any]:
        self._owned(asked)
        self._owner = None
        return {}

    def _numbered(self, asked: dict[str, Any]) -> dict[str, Any]:
        owner = self._owned(asked)
        if type(asked.get("id")) is not int or not 0 < asked["id"] <= 2**53:
            raise _No("header", "id: a whole number from 1 to 2^53")
        if asked["id"] <= owner["newest"]:
            raise _No("id", f"id {asked['id']} comes after id {owner['newest']}")
        return owner

    def _put(self, owner: dict[str, Any], number: int, frame: Codes) -> dict[str, Any]:
        if self._troubles.take("refuse"):
            raise _No("panel", "the display failed")
        if not self._troubles.take("unseen"):
            frame.flags.writeable = False
            self.frame, self.version = frame, self.version + 1
        before = owner["shown"]
        owner["shown"] = owner["newest"] = number
        return {"shown": number, "before": before}

    def _decode(self, asked: dict[str, Any], data: bytes) -> Codes:
        wanted, shape, encoding = "|u1" if self.bits == 8 else "<u2", asked.get("shape"), asked.get("encoding")
        if not isinstance(shape, list) or [type(n) for n in shape] != [int, int] or min(shape) < 1:
            raise _No("size", "shape: [rows, columns]")
        if any(pixels % n for pixels, n in zip(self.size, shape, strict=True)):
            raise _No("size", f"{shape} is no whole fraction of {list(self.size)}")
        if asked.get("dtype") != wanted or encoding not in ("none", "zlib"):
            raise _No("header", f"dtype {wanted!r} for {self.bits} bits; encoding 'none' or 'zlib'")
        length = shape[0] * shape[1] * (1 if self.bits == 8 else 2)
        if encoding == "zlib":
            data = _unpacked(data, length)
        if len(data) != length:
            raise _No("size", f"{length} bytes are wanted for {shape}, {len(data)} came")
        frame = np.frombuffer(data, wanted).reshape(shape)
        if frame.max() > (1 << self.bits) - 1:
            raise _No("data", f"code {frame.max()} needs more than {self.bits} bits")
        return frame if self.bits == 8 else frame.astype(np.uint16)


def _read(text: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError):
        raise _No("header", "the header is not JSON") from None
    fields = {"op": str, "seq": int, "session": str}
    if not isinstance(asked, dict) or any(type(asked.get(key)) is not kind for key, kind in fields.items()):
        raise _No("header", "op and session are texts, seq a whole number")
    if not 0 <= asked["seq"] <= 2**53 or not 8 <= len(asked["session"]) <= 64:
        raise _No("header", "seq is 0 to 2^53, session has 8 to 64 characters")
    return asked


def _unpacked(data: bytes, length: int) -> bytes:
    if len(data) > length + length // 1000 + 64:
        raise _No("size", f"{len(data)} packed bytes are more than {length} can need")
    stream = zlib.decompressobj()
    try:
        raw = stream.decompress(data, length + 1)
    except zlib.error:
        raise _No("data", "the zlib stream is damaged") from None
    if len(raw) <= length and not (stream.eof and stream.unused_data == b""):
        raise _No("data", "the zlib stream is longer or shorter than its data")
    return raw
