"""What all byte links share: requests out, replies in, and no late reply ever taken for an answer."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from typing import Any, Protocol

from labonn.errors import DesyncError, LinkClosedError, LinkError, LinkTimeoutError
from labonn.links import BLOCK, DEFAULT_TIMEOUT_S, LIST, query_options
from labonn.transports.framing import block_span, cut, cut_block, no_block, pattern, set_aside, shown, stale, surplus

LINE_OPTIONS: dict[str, Any] = {"write_end": "\n", "read_end": "\n", "timeout_s": DEFAULT_TIMEOUT_S, "quiet_s": 0.05, "unasked": ""}
LONGEST_REPLY_S = 60.0  # a port that never falls silent must not hold the bench


class Stream(Protocol):
    """A connection as bytes; the only thing that a transport has to bring.

    `read` returns what has come, waiting at most `timeout_s` for the first byte (b"" = nothing; 0 never waits); `awaited` is how many
    bytes are still to come, where that is known.
    `clear` empties the instrument's output; True if no reply to an earlier request can come any more.
    All raise LinkClosedError when the connection is gone.
    """

    def write(self, data: bytes) -> None: ...
    def read(self, timeout_s: float, awaited: int = 0) -> bytes: ...
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


class Gone:
    """The stream of a link that is not connected."""

    def __init__(self, where: str) -> None:
        self._where = where

    def write(self, data: bytes) -> None:
        """Nobody is there."""
        raise LinkClosedError(f"{self._where}: not connected")

    def read(self, timeout_s: float, awaited: int = 0) -> bytes:
        """Nobody is there."""
        raise LinkClosedError(f"{self._where}: not connected")

    def clear(self) -> bool:
        """Nobody is there."""
        return False

    def close(self) -> None:
        """Nothing to let go of."""


class LineLink:
    """A Link over any stream.

    A reply that missed its time stays *owed*: whatever comes before the next request is dropped with one DesyncError, and the
    next reply is trusted only after the line has been silent for another `timeout_s`, because an instrument answers in order.
    So is the first reply of a new connection, behind which a serial adapter may still hold what the old one was owed.

    Args:
        connected: opens the stream; called once here, and by every `reconnect`. where: for messages. options: of `line_options`.

    Attributes:
        exchanges: requests so far. reconnects: connections but the first.
        unasked: lines set aside because they match the option `unasked`; a driver may take them.
    """

    def __init__(self, connected: Callable[[], Stream], where: str, options: dict[str, Any]) -> None:
        self._connected, self._where = connected, where
        self._stream: Stream = connected()
        self._write_end, self._read_end = options["write_end"].encode(), options["read_end"].encode()
        self._timeout_s, self._quiet_s = options["timeout_s"], options["quiet_s"]
        self._pattern = pattern(options["unasked"])
        self._owed, self._closed = False, False
        self.exchanges, self.reconnects = 0, 0
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
        self._drop_stale(self._timeout_s if self._owed and lines == LIST else 0.0)
        self._stream.write(request + self._write_end)
        if lines == 0:
            return b""
        reply, rest = self._receive_block(request) if lines == BLOCK else self._receive(request, lines)
        if self._owed:
            rest += self._until_quiet(self._timeout_s)
            self._owed = False
        if rest:
            rest = self._aside(rest + self._until_quiet(self._quiet_s))
        if rest:
            raise surplus(self._where, request, rest)
        return reply

    def reconnect(self) -> None:
        """A new connection to the same place; what still comes of the old one is dropped.

        Raises:
            ConnectError: nothing answers there. LinkClosedError: this link was closed, or is gone again.
        """
        if self._closed:
            raise LinkClosedError(f"{self._where}: this link was closed")
        old, self._stream = self._stream, Gone(self._where)
        with contextlib.suppress(Exception):  # a broken connection may well refuse to be closed
            old.close()
        self._stream = self._connected()
        self.reconnects += 1
        self._owed = not self._stream.clear()
        if self._owed:
            self._until_quiet(self._quiet_s)

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
            data += self._more(request, data)
            if lines == LIST:
                data += self._until_quiet(self._quiet_s)
            data = self._aside(data)
            if (done := cut(data, self._read_end, lines)) is not None:
                return done
            if time.monotonic() - began > LONGEST_REPLY_S:
                raise DesyncError(f"{self._where}: the reply to {shown(request)} does not end: {shown(data)}")

    def _receive_block(self, request: bytes) -> tuple[bytes, bytes]:
        """Pieces are joined once, and no byte of the contents is looked at."""
        data, pieces = b"", [b""]
        try:
            while (span := block_span(data)) is None:
                data += self._more(request, data)
            pieces, size = [data], len(data)
            while size < span[1] + len(self._read_end):
                pieces.append(self._more(request, data, span[1] + len(self._read_end) - size))
                size += len(pieces[-1])
            return cut_block(b"".join(pieces), *span, self._read_end)
        except ValueError as problem:
            self._until_quiet(self._timeout_s if self._owed else self._quiet_s)
            self._owed = not self._stream.clear()  # whose reply that was is unknown: ours may still be under way
            raise no_block(self._where, request, data, problem) from None

    def _more(self, request: bytes, data: bytes, awaited: int = 0) -> bytes:
        """What comes next of a reply; LinkTimeoutError if nothing does."""
        chunk = self._stream.read(self._timeout_s, awaited)
        if chunk:
            return chunk
        self._owed = not self._stream.clear()
        after = f"{self._timeout_s:g} s of silence; {shown(data)} had come" if data else f"{self._timeout_s:g} s"
        raise LinkTimeoutError(f"{self._where}: no complete reply to {shown(request)} after {after}; what it did is unknown")
