"""Client side of the streaming protocol (STREAM_PROTOCOL.md): one request, one checked reply."""

from __future__ import annotations

import math
import secrets
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from drivers.insist import insistent
from labonn.errors import DesyncError, IdentityError, LinkClosedError, RefusedError, UnknownStateError
from labonn.links import MessageLink

PROTOCOL = "labonn-stream/1"
BLOCK_BYTES = 1 << 24  # a bank goes out in blocks of at most this
FORMATS = ("<i2", "<f4", "<f8")
_DTYPES = (*FORMATS, "<u4")
LARGEST_CODE = 32767.5  # that rounds to an <i2
CHECK = "crc32"


@dataclass(frozen=True)
class ConverterOptions:
    """Bench-file keys of both streaming converters.

    Attributes:
        channels: as the instrument must report them.
        bits, full_scale_v, depth: what an emulated one has (a real one reports its own).
    """

    channels: int
    bits: int = 16
    full_scale_v: float = 10.0
    depth: int = 131072

    def __post_init__(self) -> None:
        if self.channels < 1:
            raise ValueError(f"channels = {self.channels}: at least 1")
        if self.bits not in (*range(4, 17), 32, 64):
            raise ValueError(f"bits = {self.bits}: 4 to 16, or 32 or 64 for floats")
        if not 0 < self.full_scale_v < math.inf or self.depth < 1:
            raise ValueError(f"full_scale_v = {self.full_scale_v:g}, depth = {self.depth}: must be positive, and finite")


def recognised(link: MessageLink, kind: str) -> tuple[str, dict[str, Any]] | None:
    """(identity, options of the bench file) if a converter of this kind answers."""
    reply = link.exchange_parts([orjson.dumps({"op": "identify", "seq": 1, "session": secrets.token_hex(8)})])
    try:
        about = orjson.loads(reply[0])
        if (about["protocol"], about["kind"]) != (PROTOCOL, kind):
            return None
        return identity_of(about), {"channels": int(about["channels"])}
    except (ValueError, TypeError, KeyError, IndexError):
        return None


def identity_of(about: dict[str, Any]) -> str:
    """Maker, model and serial number, as a person reads them."""
    return " ".join(str(about.get(key, "?")) for key in ("maker", "model", "serial"))


def checksum(parts: Sequence[bytes]) -> bytes:
    """CRC-32 of all parts of a message, one after another, as four bytes."""
    found = 0
    for part in parts:
        found = zlib.crc32(part, found)
    return found.to_bytes(4, "little")


class StreamClient:
    """Sequence numbers, arrays and refusals of one instrument.

    Args:
        link: to the instrument, whose only user this is. port: for messages. kind: "dac" or "adc", what it must be.

    Attributes:
        most_bursts: firings after one arm. banks: forms of a bank that it takes. seq: number of the last request.
    """

    def __init__(self, link: MessageLink, port: str, kind: str, channels: int) -> None:
        self._link, self._port, self.seq = link, port, 0
        self._sessions: Any = None  # that were begun at the instrument since it has power, ours being the last
        self._checked = False
        self.about = self._identified()
        if self.about.get("protocol") != PROTOCOL or self.about.get("kind") != kind:
            raise IdentityError(f"{port}: a {PROTOCOL} {kind} is wanted; this is {self.about.get('protocol')!r} {self.about.get('kind')!r}")
        if self.about.get("channels") != channels:
            raise IdentityError(f"{port}: the bench file says channels = {channels}; the instrument has {self.about.get('channels')}")
        self.format = str(self.about.get("format"))
        scale, offset, lower, upper, depth = map(self.number, ("scale", "offset", "lower", "upper", "depth"))
        fits = self.format != "<i2" or max(upper - offset, offset - lower) < LARGEST_CODE * scale
        if self.format not in FORMATS or not (scale > 0 and lower <= upper and depth >= 1 and fits):
            told = f"format {self.format!r}, scale {scale:g}, offset {offset:g}, {lower:g} to {upper:g} V, depth {depth:g}"
            raise DesyncError(f"{port}: the identification makes no sense: {told}")
        self.most_bursts: Any = self.about.get("bursts", 1)
        self.banks: Any = self.about.get("banks", ["dense"])
        if type(self.most_bursts) is not int or self.most_bursts < 1 or not isinstance(self.banks, list):
            raise DesyncError(f"{port}: the identification has bursts = {self.most_bursts!r}, banks = {self.banks!r}")
        self.identity = identity_of(self.about)

    def ask(self, op: str, arrays: Sequence[NDArray[Any]] = (), **arguments: Any) -> tuple[dict[str, Any], list[NDArray[Any]]]:
        """One operation.

        Raises:
            RefusedError: with the instrument's code and words. DesyncError: a reply to something else, or not a reply at all.
            LinkClosedError: the instrument has started anew, or serves another client.
        """
        about, out = self._asked(op, arrays, **arguments)
        if about.get("sessions") != self._sessions:
            told = "it has lost its power, or serves another program; its memory and its limits are not what was written"
            raise LinkClosedError(f"{self._port}: the instrument does not know this session any more: {told}")
        if "error" in about:
            error = about["error"] if isinstance(about["error"], dict) else {"text": about["error"]}
            raise RefusedError(f"{self._port}: {op} refused: {error.get('text')} ({error.get('code')})")
        return about, out

    def check_armed(self, about: dict[str, Any], shots: int) -> None:
        """Raise UnknownStateError unless the reply to `arm` says that it is armed for so many shots, by this request."""
        if about.get("shots") != shots or about.get("record", self.seq) != self.seq:
            raise UnknownStateError(f"{self._port}: to be armed for {shots} shots, it says that it is for {about.get('shots')!r}")

    def _identified(self) -> dict[str, Any]:
        """The identification; twice where it can be checked, because it is believed for as long as the link is open."""
        first, _ = self._asked("identify", session=secrets.token_hex(8))
        offered = first.get("checks")
        self._checked = isinstance(offered, list) and CHECK in offered
        self._sessions = first.get("sessions")
        if not self._checked or "error" in first:
            return first
        again, _ = self._asked("identify")
        if {**first, "seq": 0} != {**again, "seq": 0}:
            raise DesyncError(f"{self._port}: identified itself twice, in different words: a reply was garbled on its way")
        return again

    def _asked(self, op: str, arrays: Sequence[NDArray[Any]] = (), **arguments: Any) -> tuple[dict[str, Any], list[NDArray[Any]]]:
        """One operation, whatever the instrument says to it."""
        self.seq += 1
        header = {"op": op, "seq": self.seq, **arguments}
        if self._checked:
            header["check"] = CHECK
        if arrays:
            header["arrays"] = [{"dtype": a.dtype.str, "shape": a.shape} for a in arrays]
        parts = [orjson.dumps(header), *(a.tobytes() for a in arrays)]
        reply = self._link.exchange_parts([*parts, checksum(parts)] if self._checked else parts)
        if self._checked:
            reply, check = reply[:-1], reply[-1:]
            if check != [checksum(reply)]:
                raise DesyncError(f"{self._port}: the reply to {op} was garbled on its way: its checksum is that of another message")
        about, out = self._parse(op, reply)
        if about.get("seq") != self.seq:
            raise DesyncError(f"{self._port}: asked {op} as number {self.seq}, got the reply to number {about.get('seq')!r}")
        return about, out

    def _parse(self, op: str, reply: Sequence[bytes]) -> tuple[dict[str, Any], list[NDArray[Any]]]:
        try:
            about = orjson.loads(reply[0])
            described = about.get("arrays", [])
            if len(described) != len(reply) - 1 or any(d["dtype"] not in _DTYPES or min(d["shape"], default=0) < 0 for d in described):
                raise ValueError("arrays are not as described")
            return about, [np.frombuffer(part, d["dtype"]).reshape(d["shape"]) for d, part in zip(described, reply[1:], strict=True)]
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as problem:
            raise DesyncError(f"{self._port}: the reply to {op} is not a {PROTOCOL} message: {problem}") from problem

    def number(self, key: str) -> float:
        """A number of the identification; DesyncError if it is none."""
        value: Any = self.about.get(key)
        if type(value) not in (int, float) or not abs(value) < float("inf"):
            raise DesyncError(f"{self._port}: the identification has {key} = {value!r}, not a number")
        return float(value)

    @insistent
    def safe(self) -> None:
        """Disarm; tried again after a link error, because this must work from any state. Whoever's session it is: what obeys is safe."""
        about, _ = self._asked("safe")
        if "error" in about or about.get("armed"):
            told = about.get("error", "it is still armed")
            raise UnknownStateError(f"{self._port}: safe was not obeyed: {told}")

    def close(self) -> None:
        """Let go of the instrument."""
        self._link.close()
