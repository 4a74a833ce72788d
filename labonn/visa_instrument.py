"""An emulated instrument as a VISA library sees it: what waits to be read, its status byte and service requests, who has locked it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labonn.clock import Clock

MESSAGE_AVAILABLE, SERVICE = 16, 64
INTERRUPTED, UNTERMINATED = -410, -420


class VisaInstrument:
    """One emulator behind one resource name, however many sessions are open to it.

    Args:
        name: canonical resource name. firmware: of bytes. clock: the bench's; what the wire takes passes on it.
        write_end: what ends a message. whole: messages end by a signal (GPIB, USB, VXI-11), not by bytes in a stream (socket, serial).

    Attributes:
        output: what waits to be read. requested: called when the instrument begins to request service.
    """

    def __init__(self, name: str, firmware: Any, clock: Clock, write_end: bytes, whole: bool) -> None:
        self.name, self.firmware, self.clock, self.whole = name, firmware, clock, whole
        self.output = bytearray()
        self.requested: dict[int, Callable[[], None]] = {}  # by session
        self._write_end = write_end
        self._status = getattr(firmware, "status", None)
        self._master, self._requests = False, False
        self._locked: dict[int, int] = {}  # session -> how often
        self._key: str | None = None  # shared by all who have locked it; None: by one alone

    def receive(self, data: bytes, end: bool = True) -> None:
        """Bytes of a program; `end` says that they complete a message. An answer that nobody read is lost, as on the bus."""
        if self.whole:
            if self.output:
                self.output.clear()
                self._protocol_error(INTERRUPTED)
            if end and (not data.endswith(self._write_end) or b"#" in data):  # a block may end with just that byte
                data += self._write_end
        reply = self.firmware.feed(data)
        self.clock.wait(self.firmware.wire_s(len(data), len(reply)))
        self.output += reply
        self._watch()

    def give(self, count: int) -> bytes:
        """The first `count` bytes that wait."""
        found = bytes(self.output[:count])
        del self.output[:count]
        if not self.output:
            self._watch()
        return found

    def listen(self) -> bool:
        """Whether anything waits, now that the program asks for it; an instrument that was never asked notes that."""
        if not self.output:
            self.output += self.firmware.feed(b"")  # what became ready since
            if not self.output and self.whole:
                self._protocol_error(UNTERMINATED)
        return bool(self.output)

    def clear(self) -> None:
        """Device clear for messages; of a stream only what has come is dropped."""
        self.output.clear()
        if self.whole and hasattr(self.firmware, "clear"):
            self.firmware.clear()
        self._watch()

    def trigger(self) -> bool:
        """Group execute trigger; False for an instrument that knows none."""
        if self.whole and self._status is not None:
            self.receive(b"*TRG" + self._write_end)
            return True
        return False

    def poll(self) -> int:
        """The status byte by serial poll: bit 6 is the request, which the poll answers."""
        byte = self._byte() & ~SERVICE | (SERVICE if self._requests else 0)
        self._requests = False
        return byte

    def _byte(self) -> int:
        waits = bool(self.output)
        if self._status is None:
            return MESSAGE_AVAILABLE if waits else 0
        self._status.message_available = waits
        byte = int(self._status.byte())
        self._status.message_available = False
        return byte

    def _watch(self) -> None:
        """A request begins when the summary of what was enabled comes up, and ends when it goes down."""
        if self._status is None:
            return
        before, self._master = self._master, bool(self._byte() & SERVICE)
        self._requests = self._master and (self._requests or not before)
        if self._master and not before:
            for tell in list(self.requested.values()):
                tell()

    def _protocol_error(self, number: int) -> None:
        if self._status is not None:
            self._status.error(number)

    def lock(self, session: int, key: str | None) -> bool:
        """Lock it for a session, alone or with all who know `key`; False while others have."""
        others = any(holder != session for holder in self._locked)
        if others and (key is None or key != self._key):
            return False
        if not self._locked:
            self._key = key
        self._locked[session] = self._locked.get(session, 0) + 1
        return True

    def unlock(self, session: int) -> bool:
        """Undo one lock; False if the session has none."""
        count = self._locked.pop(session, 0)
        if count > 1:
            self._locked[session] = count - 1
        return count > 0

    def forget(self, session: int) -> None:
        """A session is gone, with its locks."""
        self._locked.pop(session, None)
        self.requested.pop(session, None)

    def open_to(self, session: int) -> bool:
        """Whether a session may use it."""
        return not self._locked or session in self._locked
