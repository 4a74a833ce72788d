"""Server side of the SLM protocol (SLM_PROTOCOL.md): messages in, frames to a window's function table, messages out."""

from __future__ import annotations

import json
import math
import time
import zlib
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from drivers.macropixels import Codes
from drivers.slm_monitor import Window
from labonn.errors import LabonnError
from labonn.links import Buffer

PROTOCOL = "labonn-slm/1"
MOST_HEADER = 4096
MOST_ID = 1 << 53
ENCODINGS = ("none", "zlib")
LEASE_S = (1.0, 86400.0)


class Refused(Exception):
    """A request that is refused: code and words."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class SlmService:
    """One SLM and whoever has the lease.

    Args:
        window: what shows frames. bits: of a code. now: seconds, for the lease.
    """

    def __init__(self, window: Window, bits: int = 8, now: Callable[[], float] = time.monotonic) -> None:
        self._window, self._bits, self._now = window, bits, now
        self._panel = window.size()
        self._dtype = np.dtype("|u1" if bits == 8 else "<u2")
        self._owner, self._name, self._lease_s, self._heard_s = "", "", 0.0, -math.inf
        self._shown = self._last = 0  # id on the panel, highest id of this lease

    @property
    def most_bytes(self) -> int:
        """The longest part of a request that can be right."""
        return max(MOST_HEADER, _most_packed(self._panel[0] * self._panel[1] * self._dtype.itemsize))

    def handle(self, parts: Sequence[Buffer]) -> list[bytes]:
        """The reply to one request; never raises, whatever the bytes."""
        about: dict[str, Any] = {"seq": None}
        try:
            header = _header(parts)
            about["seq"] = header["seq"]
            about |= self._answered(header, parts[1:])
        except Refused as refusal:
            about["error"] = {"code": refusal.code, "text": str(refusal)}
        return [json.dumps(about).encode()]

    def blacken(self) -> None:
        """The first frame, before anybody asks."""
        self._window.show(np.zeros((1, 1), self._dtype.newbyteorder("=")))

    def _answered(self, header: dict[str, Any], data: Sequence[Buffer]) -> dict[str, Any]:
        operation = self._operations.get(header["op"])
        if operation is None:
            raise Refused("op", f"unknown operation {header['op']!r:.40}; known are {', '.join(self._operations)}")
        if bool(data) != (header["op"] == "show"):
            raise Refused("header", f"{header['op']} has {len(data)} parts of data; show has one, the others none")
        if header["session"] == self._owner:
            self._heard_s = self._now()
        return operation(self, header, *data)

    def _query(self, header: dict[str, Any]) -> dict[str, Any]:
        identity = {"protocol": PROTOCOL, "maker": "labonn", "model": self._window.name(), "serial": ""}
        about = {"panel": list(self._panel), "bits": self._bits, "encodings": list(ENCODINGS)}
        return {**identity, **about, "owner": self._name if self._owner else None, "shown": self._shown}

    def _open(self, header: dict[str, Any]) -> dict[str, Any]:
        name: Any = header.get("name")
        lease_s: Any = header.get("lease_s")
        if not isinstance(name, str) or len(name) > 80 or type(lease_s) not in (int, float) or not LEASE_S[0] <= lease_s <= LEASE_S[1]:
            raise Refused("header", f"open has a name of at most 80 characters and lease_s of {LEASE_S[0]:g} to {LEASE_S[1]:g} s")
        quiet_s = self._now() - self._heard_s
        if self._owner not in ("", header["session"]) and quiet_s < self._lease_s:
            raise Refused("busy", f"{self._name!r} has this SLM; it was heard {quiet_s:.1f} s ago and may be quiet for {self._lease_s:g} s")
        if self._owner != header["session"]:
            self._shown = self._last = 0
        self._owner, self._name, self._lease_s, self._heard_s = header["session"], name, float(lease_s), self._now()
        return {"lease_s": self._lease_s, "shown": self._shown}

    def _show(self, header: dict[str, Any], data: Buffer) -> dict[str, Any]:
        number = self._new_id(header)
        return self._put(number, decoded(header, data, self._panel, self._bits, self._dtype))

    def _safe(self, header: dict[str, Any]) -> dict[str, Any]:
        return self._put(self._new_id(header), np.zeros((1, 1), self._dtype.newbyteorder("=")))

    def _release(self, header: dict[str, Any]) -> dict[str, Any]:
        self._check_owner(header)
        self._owner, self._name, self._shown, self._last = "", "", 0, 0
        return {}

    _operations: ClassVar[dict[str, Callable[..., dict[str, Any]]]] = {
        "query": _query, "open": _open, "show": _show, "safe": _safe, "release": _release,
    }  # fmt: skip

    def _check_owner(self, header: dict[str, Any]) -> None:
        if header["session"] != self._owner:
            holder = f"{self._name!r} has it" if self._owner else "nobody has; open it again"
            raise Refused("lease", f"this session has no lease, {holder}")

    def _new_id(self, header: dict[str, Any]) -> int:
        self._check_owner(header)
        number = header.get("id")
        if type(number) is not int or not 1 <= number <= MOST_ID:
            raise Refused("header", "a frame's id is a whole number from 1 to 2^53")
        if number <= self._last:
            raise Refused("id", f"frame {number} is late or repeated: {self._last} came already, {self._shown} is shown")
        return number

    def _put(self, number: int, frame: Codes) -> dict[str, Any]:
        before, self._last = self._shown, number
        try:
            self._window.show(frame)
        except (LabonnError, ValueError, RuntimeError) as problem:
            raise Refused("panel", f"the display failed: {problem}"[:500]) from problem
        self._shown = number
        return {"shown": number, "before": before}


def _header(parts: Sequence[Buffer]) -> dict[str, Any]:
    """The checked header of a request."""
    if not 1 <= len(parts) <= 2 or len(parts[0]) > MOST_HEADER:
        raise Refused("header", f"a request is a header of at most {MOST_HEADER} bytes and at most one part of data")
    try:
        header = json.loads(bytes(parts[0]))
    except (ValueError, RecursionError) as problem:
        raise Refused("header", f"not JSON: {problem}"[:200]) from None
    if not isinstance(header, dict):
        raise Refused("header", "a header is an object")
    seq, session = header.get("seq"), header.get("session")
    if type(seq) is not int or not 0 <= seq <= MOST_ID or not isinstance(header.get("op"), str):
        raise Refused("header", "a header has op, a text, and seq, a whole number from 0 to 2^53")
    if not isinstance(session, str) or not 8 <= len(session) <= 64:
        raise Refused("header", "a header has session, a text of 8 to 64 characters")
    return header


def decoded(header: dict[str, Any], data: Buffer, panel: tuple[int, int], bits: int, dtype: np.dtype[Any]) -> Codes:
    """The frame in a part of data; every size is checked before memory is taken."""
    shape: Any = header.get("shape")
    pair = isinstance(shape, list) and len(shape) == 2 and all(type(n) is int and n > 0 for n in shape)
    if not pair or panel[0] % shape[0] or panel[1] % shape[1]:
        raise Refused("size", f"shape {shape!r:.40} does not divide the panel of {panel[0]} x {panel[1]} pixels")
    if header.get("dtype") != dtype.str or header.get("encoding") not in ENCODINGS:
        raise Refused("header", f"a frame of {bits} bits has dtype {dtype.str!r} and encoding {' or '.join(map(repr, ENCODINGS))}")
    count = shape[0] * shape[1] * dtype.itemsize
    raw = data if header["encoding"] == "none" else _inflated(data, count)
    if len(raw) != count:
        raise Refused("size", f"{shape[0]} x {shape[1]} samples are {count} bytes, not {len(raw)}")
    frame: Codes = np.frombuffer(raw, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)
    if bits not in (8, 16) and int(frame.max()) >= 1 << bits:
        raise Refused("data", f"code {int(frame.max())} is above {(1 << bits) - 1} ({bits} bits)")
    return frame


def _most_packed(count: int) -> int:
    return count + count // 1000 + 64


def _inflated(data: Buffer, count: int) -> bytes:
    if len(data) > _most_packed(count):
        raise Refused("size", f"{len(data)} bytes of zlib for a frame of {count}; at most {_most_packed(count)}")
    inflate = zlib.decompressobj()
    try:
        raw = inflate.decompress(data, count + 1)
    except zlib.error as problem:
        raise Refused("data", f"damaged: {problem}") from None
    if len(raw) <= count and (not inflate.eof or inflate.unused_data):
        raise Refused("data", "the zlib stream does not end, or something is behind it")
    return raw
