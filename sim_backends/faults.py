"""Faults on the wire of emulated instruments, and the moment at which those inside them begin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from labonn.clock import Clock
from labonn.errors import LabonnError
from labonn.faults import IN_THE_INSTRUMENT, ON_THE_WIRE, Fault


class Wire:
    """What stands between an emulator and whoever talks to it.

    Args:
        name: of the instrument, for messages. clock: the bench's.

    Attributes:
        exchanges: requests so far. struck: faults that have happened, each time anew.
    """

    def __init__(self, name: str, emulator: Any, clock: Clock) -> None:
        self._name, self._emulator, self._clock = name, emulator, clock
        self._faults: list[list[Any]] = []  # [fault, times left]
        self._random = np.random.default_rng(0)
        self._withheld: list[Any] = []
        self._earlier: Any = None
        self.exchanges = 0
        self.struck: list[Fault] = []
        self._messages = hasattr(emulator, "handle_parts")
        if self._messages:
            self._ask, emulator.handle_parts = emulator.handle_parts, self._first
            emulator.replies = self.replies
        else:
            self._ask, emulator.feed = emulator.feed, self.feed

    def add(self, fault: Fault) -> None:
        """Have this fault.

        Raises:
            LabonnError: the instrument cannot have it.
        """
        if fault.kind not in ON_THE_WIRE and fault.kind not in getattr(self._emulator, "faults", ()):
            own = [kind for kind in IN_THE_INSTRUMENT if kind in getattr(self._emulator, "faults", ())]
            raise LabonnError(f"fault {fault.text!r}: {self._name} has {', '.join([*ON_THE_WIRE, *own])}")
        self._faults.append([fault, fault.times])

    def feed(self, data: bytes) -> bytes:
        """As the emulator's own, disturbed."""
        return b"".join(self._disturbed(data, b"", lambda reply: not reply))

    def replies(self, parts: Sequence[Any]) -> list[list[bytes]]:
        """The messages that come back to this one: none, one, or more."""
        return [reply for reply in self._disturbed(parts, [], lambda reply: reply is None) if reply]

    def _first(self, parts: Sequence[Any]) -> list[bytes]:
        return next(iter(self.replies(parts)), [])

    def _disturbed(self, request: Any, nothing: Any, silent: Any) -> list[Any]:
        kind = self._due()
        self.exchanges += 1
        if kind == "drop" and not self._messages:
            raise ConnectionResetError(f"{self._name}: the connection broke")
        if kind in ("deaf", "drop"):
            return []
        reply = self._ask(request)
        if silent(reply):
            return []
        before, self._withheld = self._withheld, []
        if kind == "timeout":
            return before
        if kind == "late":
            self._withheld = [reply]
            return before
        if kind == "foreign":
            return [*before, nothing if self._earlier is None else self._earlier]
        self._earlier = reply
        return [*before, *self._spoilt(kind, reply)]

    def _spoilt(self, kind: str, reply: Any) -> list[Any]:
        if kind == "doubled":
            return [reply, reply]
        if kind not in ("garbled", "truncated"):
            return [reply]
        if not self._messages:
            return [self._broken(kind, reply)]
        sizes = [len(part) for part in reply]
        longest = sizes.index(max(sizes))
        return [[self._broken(kind, part) if i == longest else part for i, part in enumerate(reply)]]

    def _broken(self, kind: str, data: bytes) -> bytes:
        if kind == "truncated":
            return data[: len(data) // 2]
        spoilt = bytearray(data)
        for place in self._random.integers(0, len(spoilt), max(1, len(spoilt) // 8)):
            spoilt[place] ^= int(self._random.integers(1, 256))
        return bytes(spoilt)

    def _due(self) -> str:
        """What is wrong with this exchange; faults inside the instrument begin before it."""
        for entry in self._faults:
            fault, left = entry
            early = self.exchanges < fault.after if fault.after_s is None else self._clock.now() < fault.after_s
            if left <= 0 or early:
                continue
            entry[1] -= 1
            self.struck.append(fault)
            if fault.kind in ON_THE_WIRE:
                return str(fault.kind)
            self._emulator.inject(fault.kind, fault.value)
        return ""
