"""Messages of the streaming protocol as its instruments read and write them: a JSON header, then raw arrays."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

Array = NDArray[Any]
Part = bytes | memoryview | bytearray
FORMATS = ("<i2", "<u4", "<f4", "<f8", "|u1")


class Refusal(Exception):
    """A request that the instrument refuses: code and words."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def decode(parts: Sequence[Part]) -> tuple[dict[str, Any], list[Array]]:
    """(header, arrays) of a request; Refusal where the bytes are not what the header says."""
    try:
        header = orjson.loads(parts[0])
        described = header.get("arrays", [])
        if not isinstance(header.get("op"), str) or len(described) != len(parts) - 1:
            raise Refusal("header", "a header has an op and describes every array")
        if type(header.get("seq")) is not int or not isinstance(header.get("session", ""), str):
            raise Refusal("header", "seq is a whole number, and session a text")
        arrays = []
        for about, part in zip(described, parts[1:], strict=True):
            if about["dtype"] not in FORMATS:
                raise Refusal("header", f"dtype {shown(about['dtype'])}: known are {', '.join(FORMATS)}")
            if not all(type(n) is int and n >= 0 for n in about["shape"]):
                raise Refusal("header", f"shape {shown(about['shape'])}: a list of numbers from 0")
            arrays.append(np.frombuffer(part, about["dtype"]).reshape(about["shape"]))
    except Refusal:
        raise
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, OverflowError) as problem:
        raise Refusal("header", f"not a labonn-stream/1 request: {type(problem).__name__}") from problem
    return header, arrays


def shown(value: Any) -> str:
    """What was sent, for a message; it may be anything, of any length and depth."""
    try:
        text = repr(value)
    except RecursionError:
        return "(something deep)"
    return text if len(text) <= 40 else f"{text[:37]}..."


def encode(header: dict[str, Any], arrays: Sequence[Array], checked: bool = False) -> list[bytes]:
    """The parts of a reply; the header gets the description of its arrays, and the last part is a checksum if that is wanted."""
    header["arrays"] = [{"dtype": a.dtype.str, "shape": a.shape} for a in arrays]
    parts = [orjson.dumps(header), *(a.tobytes() for a in arrays)]
    return [*parts, checksum(parts)] if checked else parts


def checksum(parts: Sequence[Part]) -> bytes:
    """CRC-32 of all parts, one after another, as four bytes."""
    found = 0
    for part in parts:
        found = zlib.crc32(part, found)
    return found.to_bytes(4, "little")


def intact(parts: Sequence[Part]) -> tuple[Sequence[Part], bool]:
    """(the parts without their checksum, whether they have one), by the header; Refusal where it is another one."""
    try:
        wanted = orjson.loads(parts[0]).get("check")
    except (ValueError, IndexError, AttributeError):
        return parts, False  # `decode` says what is wrong
    if wanted is None:
        return parts, False
    if wanted != "crc32":
        raise Refusal("header", f"check {shown(wanted)}: known is crc32")
    if len(parts) < 2 or bytes(parts[-1]) != checksum(parts[:-1]):
        raise Refusal("check", "the checksum is that of another message")
    return parts[:-1], True
