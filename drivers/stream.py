"""Client side of the streaming protocol (STREAM_PROTOCOL.md): one request, one checked reply."""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from labonn.errors import DesyncError, IdentityError, RefusedError
from labonn.links import MessageLink

PROTOCOL = "labonn-stream/1"
BLOCK_BYTES = 1 << 24  # a bank goes out in blocks of at most this
FORMATS = ("<i2", "<f4", "<f8")
_DTYPES = (*FORMATS, "<u4")
LARGEST_CODE = 32767.5  # that rounds to an <i2
TRIES = 3  # of safe: a link tells of a stray reply once, and is clean afterwards


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
        if self.bits not in (*range(8, 17), 32, 64):
            raise ValueError(f"bits = {self.bits}: 8 to 16, or 32 or 64 for floats")
        if not 0 < self.full_scale_v < math.inf or self.depth < 1:
            raise ValueError(f"full_scale_v = {self.full_scale_v:g}, depth = {self.depth}: must be positive, and finite")


class StreamClient:
    """Sequence numbers, arrays and refusals of one instrument.

    Args:
        link: to the instrument, whose only user this is. port: for messages. kind: "dac" or "adc", what it must be.

    Attributes:
        most_bursts: firings after one arm. banks: forms of a bank that it takes.
    """

    def __init__(self, link: MessageLink, port: str, kind: str, channels: int) -> None:
        self._link, self._port, self._seq = link, port, 0
        self.about, _ = self.ask("identify", session=secrets.token_hex(8))
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
        self.identity = " ".join(str(self.about.get(key, "?")) for key in ("maker", "model", "serial"))

    def ask(self, op: str, arrays: Sequence[NDArray[Any]] = (), **arguments: Any) -> tuple[dict[str, Any], list[NDArray[Any]]]:
        """One operation.

        Raises:
            RefusedError: with the instrument's code and words. DesyncError: a reply to something else, or not a reply at all.
        """
        self._seq += 1
        header = {"op": op, "seq": self._seq, **arguments}
        if arrays:
            header["arrays"] = [{"dtype": a.dtype.str, "shape": a.shape} for a in arrays]
        reply = self._link.exchange_parts([orjson.dumps(header), *(a.tobytes() for a in arrays)])
        about, out = self._parse(op, reply)
        if about.get("seq") != self._seq:
            raise DesyncError(f"{self._port}: asked {op} as number {self._seq}, got the reply to number {about.get('seq')!r}")
        if "error" in about:
            error = about["error"] if isinstance(about["error"], dict) else {"text": about["error"]}
            raise RefusedError(f"{self._port}: {op} refused: {error.get('text')} ({error.get('code')})")
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

    def safe(self) -> None:
        """Disarm; tried again after an answer to something else, because this must work from any state."""
        for attempt in range(TRIES):
            try:
                self.ask("safe")
                return
            except DesyncError:
                if attempt == TRIES - 1:
                    raise

    def close(self) -> None:
        """Let go of the instrument."""
        self._link.close()
