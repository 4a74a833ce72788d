"""Framing that all byte links share: requests out, lines in, and no late reply ever taken for an answer."""

from __future__ import annotations

import math
import re
import time
from typing import Any, Protocol

from labonn.errors import DesyncError, LinkClosedError, LinkError, LinkTimeoutError
from labonn.links import DEFAULT_TIMEOUT_S, query_options

LINE_OPTIONS: dict[str, Any] = {"write_end": "\n", "read_end": "\n", "timeout_s": DEFAULT_TIMEOUT_S, "quiet_s": 0.05, "unasked": ""}
LONGEST_REPLY_S = 60.0  # a port that never falls silent must not hold the bench


class Stream(Protocol):
    """A connection as bytes; the only thing that a transport has to bring.

    `read` returns what has come, waiting at most `timeout_s` for the first byte (b"" = nothing; 0 never waits).
    `clear` empties the instrument's output; True if no reply to an earlier request can come any more.
    All raise LinkClosedError when the connection is gone.
    """

    def write(self, data: bytes) -> None: ...
    def read(self, timeout_s: float) -> bytes: ...
    def clear(self) -> bool: ...
    def close(self) -> None: ...


def line_options(url: str, options: dict[str, Any], **extra: Any) -> dict[str, Any]:
    """Options of a line link: defaults, overridden by the driver's, overridden by the URL's query.

    Raises:
        LinkError: an unknown option, or a time that is not positive and finite.
    """
    known = {**LINE_OPTIONS, "baud": 9600, **extra}
    for key in options:
        if key not in known:
            raise LinkError(f"{url}: unknown option {key!r} of a link; known are {', '.join(known)}")
    merged = query_options(url, {**known, **options})
    for key in ("timeout_s", "quiet_s"):
        if not (math.isfinite(merged[key]) and merged[key] > 0):
            raise LinkError(f"{url}: {key} is {merged[key]:g}; it must be positive and finite")
    if not merged["read_end"]:
        raise LinkError(f"{url}: read_end is empty; a line link needs the terminator of a reply")
    return merged


def cut(data: bytes, end: bytes, lines: int) -> tuple[bytes, bytes] | None:
    """(the first `lines` lines joined by newlines, what follows them), or None while they are incomplete; -1: all."""
    if lines == 1:
        line, found, rest = data.partition(end)
        return (line, rest) if found else None
    parts = data.split(end) if lines < 0 else data.split(end, lines)
    if lines < 0:
        return (b"\n".join(parts[:-1]), b"") if len(parts) > 1 and not parts[-1] else None
    return (b"\n".join(parts[:lines]), parts[lines]) if len(parts) > lines else None


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


def stale(where: str, found: bytes) -> DesyncError:
    """The error for input that was there before the request was sent."""
    return DesyncError(f"{where}: input that no request awaits was dropped: {shown(found)} (a late or doubled reply); nothing was sent")


class LineLink:
    """A Link over any stream.

    A reply that missed its time stays *owed*: whatever comes before the next request is dropped with one DesyncError, and the
    next reply is trusted only after the line has been silent for another `timeout_s`, because an instrument answers in order.

    Attributes:
        exchanges: requests so far. unasked: lines set aside because they match the option `unasked`; a driver may take them.
    """

    def __init__(self, stream: Stream, where: str, options: dict[str, Any]) -> None:
        self._stream, self._where = stream, where
        self._write_end, self._read_end = options["write_end"].encode(), options["read_end"].encode()
        self._timeout_s, self._quiet_s = options["timeout_s"], options["quiet_s"]
        self._pattern = pattern(options["unasked"])
        self._owed, self._closed = False, False
        self.exchanges = 0
        self.unasked: list[bytes] = []

    def exchange(self, request: bytes, lines: int = 1) -> bytes:
        """One request and its reply of `lines` lines (labonn.links.Link).

        Raises:
            LinkTimeoutError: the reply is not complete in time. DesyncError: input that no request awaits.
            LinkClosedError: the connection is gone.
        """
        if self._closed:
            raise LinkClosedError(f"{self._where}: this link was closed")
        self.exchanges += 1
        self._drop_stale(self._timeout_s if self._owed and lines < 0 else 0.0)
        self._stream.write(request + self._write_end)
        if lines == 0:
            return b""
        reply, rest = self._receive(request, lines)
        if self._owed:
            rest += self._until_quiet(self._timeout_s)
            self._owed = False
        if rest:
            rest = self._aside(rest + self._until_quiet(self._quiet_s))
        if rest:
            raise surplus(self._where, request, rest)
        return reply

    def close(self) -> None:
        """Let go of the connection; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self._stream.close()

    def _aside(self, data: bytes) -> bytes:
        data, aside = set_aside(data, self._read_end, self._pattern)
        self.unasked += aside
        return data

    def _drop_stale(self, wait_s: float) -> None:
        found = self._stream.read(wait_s)
        if found and (found := self._aside(found + self._until_quiet(self._quiet_s))):
            self._owed = False
            raise stale(self._where, found)

    def _until_quiet(self, quiet_s: float) -> bytes:
        found, began = b"", time.monotonic()
        while more := self._stream.read(quiet_s):
            found += more
            if time.monotonic() - began > LONGEST_REPLY_S:
                raise DesyncError(f"{self._where}: still sending after {LONGEST_REPLY_S:g} s: {shown(found)}")
        return found

    def _receive(self, request: bytes, lines: int) -> tuple[bytes, bytes]:
        data, began = b"", time.monotonic()
        while True:
            chunk = self._stream.read(self._timeout_s)
            if not chunk:
                self._owed = not self._stream.clear()
                after = f"{self._timeout_s:g} s of silence; {shown(data)} had come" if data else f"{self._timeout_s:g} s"
                raise LinkTimeoutError(f"{self._where}: no complete reply to {shown(request)} after {after}; what it did is unknown")
            data += chunk
            if lines < 0:
                data += self._until_quiet(self._quiet_s)
            data = self._aside(data)
            if (done := cut(data, self._read_end, lines)) is not None:
                return done
            if time.monotonic() - began > LONGEST_REPLY_S:
                raise DesyncError(f"{self._where}: the reply to {shown(request)} does not end: {shown(data)}")
