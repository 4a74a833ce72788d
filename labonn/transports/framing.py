"""Framing as pure functions: where a reply ends in a stream of bytes, what came unasked, and the words for what is out of place."""

from __future__ import annotations

import re

from labonn.errors import DesyncError
from labonn.links import BLOCK, LIST

LONGEST_BLOCK = 1 << 28  # bytes; a longer one is a head that was cut in half


def cut(data: bytes, end: bytes, lines: int) -> tuple[bytes, bytes] | None:
    """(the first `lines` lines joined by newlines, what follows them), or None while they are incomplete; LIST: all.

    Raises:
        ValueError: a BLOCK was wanted, and this is none.
    """
    if lines == BLOCK:
        span = block_span(data)
        return cut_block(data, *span, end) if span is not None and len(data) >= span[1] + len(end) else None
    if lines == 1:
        line, found, rest = data.partition(end)
        return (line, rest) if found else None
    parts = data.split(end) if lines == LIST else data.split(end, lines)
    if lines == LIST:
        return (b"\n".join(parts[:-1]), b"") if len(parts) > 1 and not parts[-1] else None
    return (b"\n".join(parts[:lines]), parts[lines]) if len(parts) > lines else None


def block_span(data: bytes) -> tuple[int, int] | None:
    """(where the contents of the definite-length block that `data` begins with start, where they end); None while that is unknown.

    Raises:
        ValueError: no such block.
    """
    if data[:1] not in b"#" or data[1:2] not in b"123456789":
        raise ValueError("a definite-length block begins with '#' and a digit")
    if len(data) < 2:
        return None
    start = 2 + int(data[1:2])
    length = data[2:start]
    if length and not length.isdigit():
        raise ValueError(f"{shown(length)} is not its length")
    if len(length) < start - 2:
        return None
    if int(length) > LONGEST_BLOCK:
        raise ValueError(f"a block has {LONGEST_BLOCK} bytes at most")
    return start, start + int(length)


def cut_block(data: bytes, start: int, stop: int, end: bytes) -> tuple[bytes, bytes]:
    """(the contents of a complete block, what follows its terminator).

    Raises:
        ValueError: something else than the terminator follows the contents.
    """
    if not data.startswith(end, stop):
        raise ValueError(f"{shown(data[stop : stop + 60])} follows the block's {stop - start} bytes, not {end!r}")
    return data[start:stop], data[stop + len(end) :]


def set_aside(data: bytes, end: bytes, unasked: re.Pattern[bytes] | None) -> tuple[bytes, list[bytes]]:
    """(`data` without the complete lines that match `unasked`, those lines)."""
    if unasked is None or not unasked.search(data):
        return data, []
    *lines, tail = data.split(end)
    aside = [line for line in lines if unasked.fullmatch(line)]
    return b"".join(line + end for line in lines if not unasked.fullmatch(line)) + tail, aside


def pattern(unasked: str) -> re.Pattern[bytes] | None:
    """The compiled `unasked` option; None where an instrument never speaks unasked."""
    return re.compile(unasked.encode()) if unasked else None


def shown(data: bytes) -> str:
    """Bytes for a message, shortened."""
    return repr(data) if len(data) <= 80 else f"{data[:60]!r}… ({len(data)} bytes)"


def surplus(where: str, request: bytes, rest: bytes) -> DesyncError:
    """The error for a reply with more lines than its request asks for."""
    return DesyncError(f"{where}: more came than {shown(request)} asks for: {shown(rest)}; the answer is not to be trusted")


def no_block(where: str, request: bytes, data: bytes, problem: ValueError) -> DesyncError:
    """The error for a reply that should be a block."""
    return DesyncError(f"{where}: {shown(data)} is not the block that {shown(request)} asks for: {problem}")


def stale(where: str, found: bytes) -> DesyncError:
    """The error for input that was there before the request was sent."""
    return DesyncError(f"{where}: input that no request awaits was dropped: {shown(found)} (a late or doubled reply); nothing was sent")
