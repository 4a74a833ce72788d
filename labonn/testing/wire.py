"""What stands between an emulated instrument and its link, and breaks chosen exchanges in the ways that wires break them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from labonn.errors import LinkClosedError

FAULTS = ("lost", "unheard", "truncated", "doubled", "late", "foreign")
FOREIGN = b"%% of another instrument %%"
Fault = str | Callable[[Any], Any] | BaseException | None


class Wire:
    """The faults of an emulator's exchanges, one each, in order; None and the end of the list leave an exchange as it is.

    `lost`: the reply does not come. `unheard`: nor did the request arrive. `truncated`: the reply ends half way. `doubled`: it comes
    twice. `late`: it comes ahead of the next one. `foreign`: another instrument's comes in its place. `earlier` (of messages): the one
    before comes again in its place. Or a function of the reply, or an exception to be raised (the instrument then hears nothing).

    Attributes:
        faults: of the next exchanges. requests, replies: of all exchanges so far, as they came out of the wire. hits: faults that changed
            something. dropped: whether the connection is gone. owed: the late reply that is still under way.
    """

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.requests: list[Any] = []
        self.replies: list[Any] = []
        self.hits, self.dropped = 0, False
        self.owed: Any = None

    def next(self) -> Fault:
        """The fault of the exchange that begins."""
        if self.dropped:
            raise LinkClosedError("the connection was dropped")
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, BaseException):
            self.hits += 1
            raise fault
        return fault

    @contextlib.contextmanager
    def broken(self, *faults: Fault) -> Iterator[None]:
        """Faults of the exchanges in here; what is left of them is forgotten behind."""
        self.faults = list(faults)
        try:
            yield
        finally:
            self.faults = []


class ByteWire(Wire):
    """Of an emulator with `feed`. An exchange begins with a request, however many pieces come of its reply."""

    def __init__(self, emulator: Any, read_end: bytes) -> None:
        super().__init__()
        self._feed, self._end = emulator.feed, read_end
        emulator.feed = self.feed

    def feed(self, data: bytes) -> bytes:
        """The reply as it leaves the wire."""
        fault = self.next()
        self.requests.append(data)
        reply = b"" if fault == "unheard" else bytes(self._feed(data))
        owed, self.owed = self.owed or b"", None
        out = self._broken(fault, reply)
        self.hits += out != reply or fault == "unheard"
        if owed and not out:  # still later: alone, nobody could tell it from the right one
            self.owed, owed = owed + (self.owed or b""), b""
        self.replies.append(owed + out)
        return owed + out

    def _broken(self, fault: Fault, reply: bytes) -> bytes:
        if callable(fault):
            return bytes(fault(reply))
        if fault == "late":
            self.owed = reply
        if fault == "foreign":
            return FOREIGN + self._end if reply else reply
        return {"lost": b"", "late": b"", "truncated": reply[: len(reply) // 2], "doubled": 2 * reply}.get(str(fault), reply)


class MessageWire(Wire):
    """Of an emulator with `handle_parts`; the links take no reply, or several, from its `replies`."""

    def __init__(self, emulator: Any) -> None:
        super().__init__()
        self._handle, self._earlier = emulator.handle_parts, [b""]
        emulator.replies = self.arriving

    def arriving(self, parts: Sequence[Any]) -> list[list[bytes]]:
        """The messages as they leave the wire."""
        fault = self.next()
        self.requests.append([bytes(part) for part in parts])
        reply: list[bytes] = [] if fault == "unheard" else self._handle(parts)
        owed, self.owed = self.owed or [], [reply] if fault == "late" else None
        self.hits += fault is not None
        earlier, self._earlier = self._earlier, reply or self._earlier
        if fault == "earlier":
            return [earlier]
        out = [*owed, *self._broken(fault, reply)]
        self.replies.append([part for message in out for part in message])
        return out

    def _broken(self, fault: Fault, reply: list[bytes]) -> list[list[bytes]]:
        if callable(fault):
            return [list(fault(reply))]
        if fault == "truncated":
            return [[*reply[:-1], reply[-1][: len(reply[-1]) // 2]]]
        return {None: [reply], "doubled": [reply, reply], "foreign": [[FOREIGN]]}.get(fault, [])  # type: ignore[arg-type]


def wired(emulator: Any, read_end: str = "\n") -> Wire:
    """The wire of an emulator from now on; a function table's is put in by `Table`."""
    if hasattr(emulator, "handle_parts"):
        return MessageWire(emulator)
    return ByteWire(emulator, read_end.encode()) if hasattr(emulator, "feed") else Wire()
