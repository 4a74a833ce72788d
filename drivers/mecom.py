"""MeCom frames, the protocol of Meerstetter controllers: `#AASSSS<payload><CRC16>\\r`, answered by `!AASSSS…`.

Source: Meerstetter's MeComAPI (MeFrame.c, MeCRC16.c, MeCom.c); the terminator belongs to the link.
"""

from __future__ import annotations

import binascii
import struct

from labonn.errors import DesyncError, RefusedError

ERRORS = {
    1: "command not available", 2: "device is busy", 3: "general communication error", 4: "format error",
    5: "parameter is not available", 6: "parameter is read only", 7: "value is out of range", 8: "instance is not available",
    9: "parameter general failure",
}  # fmt: skip


def checksum(data: bytes) -> bytes:
    """Four hex digits: CRC-16-CCITT, polynomial 0x1021, initial 0."""
    return b"%04X" % binascii.crc_hqx(data, 0)


def frame(address: int, sequence: int, payload: bytes) -> bytes:
    """A query without its terminator."""
    head = b"#%02X%04X%b" % (address, sequence, payload)
    return head + checksum(head)


def get(parameter: int, instance: int) -> bytes:
    """Payload that reads a parameter."""
    return b"?VR%04X%02X" % (parameter, instance)


def limits(parameter: int, instance: int) -> bytes:
    """Payload that reads the range of a parameter."""
    return b"?VL%04X%02X" % (parameter, instance)


def put(parameter: int, instance: int, value: float | int) -> bytes:
    """Payload that writes a parameter: a float as IEEE 754, an int as int32."""
    packed = struct.pack(">f", value) if isinstance(value, float) else struct.pack(">i", value)
    return b"VS%04X%02X" % (parameter, instance) + packed.hex().upper().encode()


def payload_of(where: str, query: bytes, answer: bytes) -> bytes:
    """The payload of an answer to `query`; b"" for an acknowledge, which carries the CRC of the query.

    Raises:
        RefusedError: the controller answers with an error code. DesyncError: not an intact answer to this query.
    """
    if answer[:1] != b"!" or answer[1:7] != query[1:7] or len(answer) < 11:
        raise DesyncError(f"{where}: {query!r} was answered by {answer!r}: another device, a late or a broken answer")
    body, check = answer[:-4], answer[-4:]
    if len(answer) == 11 and check == query[-4:]:
        return b""
    if check != checksum(body):
        raise DesyncError(f"{where}: the answer {answer!r} to {query!r} has a wrong checksum")
    payload = body[7:]
    if payload[:1] == b"+":
        code = payload[1:].decode("latin-1")
        meaning = ERRORS.get(int(code, 16), "device specific") if code.isalnum() and code.isascii() and _is_hex(code) else "unreadable"
        raise RefusedError(f"{where}: {query[7:-4].decode()} was refused: +{code} ({meaning})")
    if not payload:
        raise DesyncError(f"{where}: {query!r} was answered by nothing")
    return payload


def floats(where: str, payload: bytes, count: int = 1, skip: int = 0) -> list[float]:
    """`count` float32 from hex digits after `skip` of them."""
    return [struct.unpack(">f", raw)[0] for raw in _words(where, payload, count, skip)]


def integer(where: str, payload: bytes) -> int:
    """An int32 from eight hex digits."""
    return int.from_bytes(_words(where, payload, 1, 0)[0], "big", signed=True)


def _words(where: str, payload: bytes, count: int, skip: int) -> list[bytes]:
    digits = payload[skip:]
    if len(digits) != 8 * count or not digits.isalnum() or not _is_hex(digits.decode("latin-1")):
        raise DesyncError(f"{where}: {payload!r} is not {count} numbers of eight hex digits")
    raw = bytes.fromhex(digits.decode())
    return [raw[4 * i : 4 * i + 4] for i in range(count)]


def _is_hex(text: str) -> bool:
    return all(c in "0123456789ABCDEFabcdef" for c in text)
