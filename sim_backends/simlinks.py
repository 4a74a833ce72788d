"""Byte instruments in process: the link that feeds an emulator and lets the time of its wire pass on the simulated clock."""

from __future__ import annotations

from typing import Protocol

from labonn.clock import Clock
from labonn.errors import LinkClosedError, LinkTimeoutError
from labonn.links import BLOCK, DEFAULT_TIMEOUT_S
from labonn.transports.framing import cut, no_block, pattern, set_aside, shown, stale, surplus


class ByteFirmware(Protocol):
    """An emulated instrument that speaks bytes."""

    def feed(self, data: bytes) -> bytes: ...
    def wire_s(self, sent: int, received: int) -> float: ...


class SimulatedLink:
    """A Link into an emulated instrument of this process; cuts lines exactly as the real links do.

    Args:
        firmware: the instrument. clock: the bench's; it advances by the wire time of every exchange, by `timeout_s` for a lost reply.
        write_end, read_end, timeout_s, unasked: as of a real link (labonn.transports.lines).
        baud, quiet_s: of a real wire; taken so that a driver's `link_options` fit, without effect here.
        where: names the instrument in messages.

    Attributes:
        firmware, exchanges: the instrument, and requests so far. reconnects: how often the connection was made anew.
        unasked: lines set aside because they match the option `unasked`.
    """

    def __init__(
        self,
        firmware: ByteFirmware,
        clock: Clock,
        write_end: str = "\n",
        read_end: str = "\n",
        timeout_s: float = DEFAULT_TIMEOUT_S,
        unasked: str = "",
        baud: int = 9600,
        quiet_s: float = 0.05,
        where: str = "sim://",
    ) -> None:
        self.firmware = firmware
        self._clock, self._where = clock, where
        self._write_end, self._read_end, self._timeout_s = write_end.encode(), read_end.encode(), timeout_s
        self._pattern = pattern(unasked)
        self._left, self._closed, self._dropped = b"", False, False
        self.exchanges, self.reconnects = 0, 0
        self.unasked: list[bytes] = []

    def exchange(self, request: bytes, lines: int = 1) -> bytes:
        """One request and its reply (labonn.links.Link)."""
        if self._closed:
            raise LinkClosedError(f"{self._where}: this link was closed")
        if self._dropped:
            raise LinkClosedError(f"{self._where}: not connected")
        self.exchanges += 1
        if self._left:
            found, self._left = self._left, b""
            raise stale(self._where, found)
        wire = request + self._write_end
        try:
            data = self.firmware.feed(wire)
        except ConnectionError as problem:
            self._dropped = True
            raise LinkClosedError(f"{self._where}: {problem}; what the request did is unknown") from None
        self._clock.wait(self.firmware.wire_s(len(wire), len(data)))
        if self._pattern is not None and lines != BLOCK:
            data, aside = set_aside(data, self._read_end, self._pattern)
            self.unasked += aside
        if lines == 0:
            self._left = data
            return b""
        try:
            done = cut(data, self._read_end, lines)
        except ValueError as problem:
            raise no_block(self._where, request, data, problem) from None
        if done is None:
            self._clock.wait(self._timeout_s)
            came = f"; {shown(data)} had come" if data else ""
            raise LinkTimeoutError(
                f"{self._where}: no complete reply to {shown(request)} after {self._timeout_s:g} s{came}; what it did is unknown"
            )
        if done[1]:
            raise surplus(self._where, request, done[1])
        return done[0]

    def reconnect(self) -> None:
        """A new connection to the same instrument; what was left of an earlier reply is dropped."""
        if self._closed:
            raise LinkClosedError(f"{self._where}: this link was closed")
        self._left, self._dropped = b"", False
        self.reconnects += 1

    def close(self) -> None:
        """Let go of the instrument; it stays as it is."""
        self._closed = True
