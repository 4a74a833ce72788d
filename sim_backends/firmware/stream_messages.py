"""Messages of the streaming protocol as its instruments read and write them: a JSON header, then raw arrays."""

from __future__ import annotations

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


def encode(header: dict[str, Any], arrays: Sequence[Array]) -> list[bytes]:
    """The parts of a reply; the header gets the description of its arrays."""
    header["arrays"] = [{"dtype": a.dtype.str, "shape": a.shape} for a in arrays]
    return [orjson.dumps(header), *(a.tobytes() for a in arrays)]
