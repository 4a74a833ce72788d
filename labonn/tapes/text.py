"""How a tape is written: bytes, arrays and calls as tab-separated fields of a text line, and back.

    TIME LINK = KIND DRIVER URL      a link was opened; KIND is bytes, messages or calls
    TIME LINK > FIELDS               a request: its bytes, the parts of a message, or a call's name and arguments; `>3` awaits 3 lines,
                                     `>-2` a block; `>reconnect` is a new connection
    TIME LINK ~ FIELD                a line that the instrument sent unasked, before its reply
    TIME LINK < FIELDS               the reply
    TIME LINK ! ERROR: words         the error in its place
    TIME clock @                     somebody looked at the bench's clock

A field is printable text with Python's escapes (\\n, \\t, \\\\), or `base64:…`, `zlib:…` (base64 too), or in long binary requests, which
replay only compares, `sha256:<digest>:<length>`. Arrays in calls have their type and shape in front: `|u1[2,3]:base64:…`.
"""

from __future__ import annotations

import ast
import binascii
import hashlib
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labonn.errors import LinkError

FIRST_LINE = "# labonn-tape 1"
RECONNECT = ">reconnect"
PRINTABLE = bytes([*range(0x20, 0x7F), *b"\t\r\n"])
CODINGS = (b"base64:", b"zlib:", b"sha256:")
LONGEST_WHOLE = 4096  # bytes of a binary part of a request; of a longer one only the digest is kept
SAMPLE, WORTH_PACKING = 4096, 0.7
ARRAY = re.compile(r"([<>|][a-zA-Z]\d+)\[([\d,]*)\]:(.*)")
SESSION = re.compile(rb'("session" ?: ?")[^"]*"')


@dataclass(frozen=True)
class Part:
    """A piece of a request or reply: its bytes, and for an array what stands in front of them."""

    data: bytes
    head: str = ""


def field(part: Part, whole: bool = True) -> str:
    """The text of a part; with `whole` false a long binary one becomes its digest."""
    return part.head + (_payload(part.data) if whole or len(part.data) <= LONGEST_WHOLE or _is_text(part.data) else _digest(part.data))


def _is_text(data: bytes) -> bool:
    return not data.translate(None, PRINTABLE) and not data.startswith(CODINGS)


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}:{len(data)}"


def _payload(data: bytes) -> str:
    if _is_text(data):
        return data.decode("ascii").encode("unicode_escape").decode("ascii")
    if len(data) > SAMPLE // 8 and len(zlib.compress(data[:SAMPLE], 1)) < WORTH_PACKING * min(len(data), SAMPLE):
        return "zlib:" + _base64(zlib.compress(data, 1))
    return "base64:" + _base64(data)


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def data_of(payload: str) -> bytes:
    """The bytes that a payload stands for.

    Raises:
        ValueError: it was damaged, or it is only a digest.
    """
    coding, _, rest = payload.partition(":")
    if coding == "base64":
        return binascii.a2b_base64(rest, strict_mode=True)
    if coding == "zlib":
        try:
            return zlib.decompress(binascii.a2b_base64(rest, strict_mode=True))
        except zlib.error as problem:
            raise ValueError(str(problem)) from None
    if payload.startswith("sha256:"):
        raise ValueError("a digest has no bytes")
    return payload.encode("ascii").decode("unicode_escape").encode("latin-1")


def same(text: str, part: Part) -> bool:
    """Whether a field of the tape stands for this part."""
    if not text.startswith(part.head):
        return False
    payload = text[len(part.head) :]
    return payload == _digest(part.data) if payload.startswith("sha256:") else data_of(payload) == part.data


def message_parts(parts: Sequence[Any]) -> list[Part]:
    """Parts of a multipart request; a session in its JSON header, drawn anew by every run, as `*`."""
    found = [bytes(part) for part in parts]
    if found and found[0].startswith(b"{") and b'"session"' in found[0]:
        found[0] = SESSION.sub(rb'\1*"', found[0])
    return [Part(part) for part in found]


def call_parts(where: str, name: str, given: Sequence[Any], named: dict[str, Any]) -> list[Part]:
    """A call of an instrument's function table: its name, and a part an argument.

    Raises:
        LinkError: an argument is neither an array nor text, a number, or a tuple or list of them.
    """
    arguments = [value_part(where, name, value) for value in given]
    return [Part(name.encode()), *arguments, *(value_part(where, name, value, f"{key}=") for key, value in named.items())]


def value_part(where: str, name: str, value: Any, key: str = "") -> Part:
    """One argument or result of a call."""
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biufcS":
        return Part(np.ascontiguousarray(value).tobytes(), f"{key}{value.dtype.str}[{','.join(map(str, value.shape))}]:")
    written = repr(value)
    try:
        plain = ast.literal_eval(written) == value
    except (ValueError, SyntaxError, TypeError, RecursionError):
        plain = False
    if not plain:
        told = f"{where}: {name} takes or gives {type(value).__name__} {written[:40]}, which cannot be taped"
        raise LinkError(f"{told} (only arrays, numbers, texts, and tuples and lists of them can); run without --record")
    return Part((key + written).encode())


def value_of(text: str) -> Any:
    """The result of a call, from its field.

    Raises:
        ValueError: it was damaged.
    """
    found = ARRAY.fullmatch(text)
    if found is None:
        return ast.literal_eval(data_of(text).decode())
    shape = tuple(int(n) for n in found[2].split(",") if n)
    return np.frombuffer(data_of(found[3]), found[1]).reshape(shape).copy()[()]
