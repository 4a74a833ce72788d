"""Faults on the wire of emulated instruments, or in the calls of those that have functions, and when those inside them begin."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from labonn.clock import Clock
from labonn.errors import LabonnError
from labonn.faults import IN_THE_INSTRUMENT, OF_THE_COMPUTER, ON_CALLS, ON_THE_WIRE, Fault

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

ASLEEP_S = 3600.0
DIGIT = re.compile(rb"[0-9]")


class Faulty:
    """What stands between an emulator and whoever uses it.

    Args:
        name: of the instrument, for messages. clock: the bench's.

    Attributes:
        emulator: itself. exchanges: requests, or calls, so far. struck: faults that have happened, each time anew.
    """

    kinds: Sequence[str] = tuple(ON_THE_WIRE)

    def __init__(self, name: str, emulator: Any, clock: Clock) -> None:
        self._name, self.emulator, self._clock = name, emulator, clock
        self._faults: list[list[Any]] = []  # [fault, times left]
        self._random = np.random.default_rng(0)
        self.exchanges = 0
        self.struck: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Have this fault.

        Raises:
            LabonnError: the instrument cannot have it.
        """
        inside = [kind for kind in IN_THE_INSTRUMENT if kind in getattr(self.emulator, "faults", ())]
        if fault.kind == "full_disk" and resource is None:
            raise LabonnError(f"fault {fault.text!r}: this system cannot limit the size of files")
        if fault.kind not in (*self.kinds, *OF_THE_COMPUTER, *inside):
            raise LabonnError(f"fault {fault.text!r}: {self._name} has {', '.join([*self.kinds, *OF_THE_COMPUTER, *inside])}")
        self._faults.append([fault, fault.times])

    def calm(self) -> None:
        """Forget all faults; what they have changed inside the instrument stays."""
        self._faults.clear()

    def due(self) -> str:
        """What is wrong with the exchange that begins; faults inside the instrument begin before it."""
        number, self.exchanges = self.exchanges, self.exchanges + 1
        for entry in self._faults:
            fault, left = entry
            early = number < fault.after if fault.after_s is None else self._clock.now() < fault.after_s
            if left <= 0 or early:
                continue
            entry[1] -= 1
            self.struck.append(fault)
            if fault.kind in self.kinds:
                return str(fault.kind)
            if fault.kind == "clock_jump":
                self._clock.wait(ASLEEP_S if fault.value is None else fault.value)
            elif fault.kind == "full_disk":
                fill_disk(int(fault.value or 0))
            else:
                self._inject(fault)
        return ""

    def _inject(self, fault: Fault) -> None:
        try:
            self.emulator.inject(fault.kind, fault.value)
        except ValueError as problem:
            raise LabonnError(f"fault {fault.text!r}: {self._name}: {problem}") from None


class Wire(Faulty):
    """Of an instrument that speaks bytes, or messages."""

    def __init__(self, name: str, emulator: Any, clock: Clock) -> None:
        super().__init__(name, emulator, clock)
        self._withheld: list[Any] = []
        self._earlier: Any = None
        self._messages = hasattr(emulator, "handle_parts")
        if self._messages:
            self._ask, emulator.handle_parts = emulator.handle_parts, self._first
            emulator.replies = self.replies
        else:
            self._ask, emulator.feed = emulator.feed, self.feed

    def feed(self, data: bytes) -> bytes:
        """As the emulator's own, disturbed."""
        return b"".join(self._disturbed(data, b"", lambda reply: not reply))

    def replies(self, parts: Sequence[Any]) -> list[list[bytes]]:
        """The messages that come back to this one: none, one, or more."""
        return [reply for reply in self._disturbed(parts, [], lambda reply: reply is None) if reply]

    def _first(self, parts: Sequence[Any]) -> list[bytes]:
        return next(iter(self.replies(parts)), [])

    def _disturbed(self, request: Any, nothing: Any, silent: Any) -> list[Any]:
        kind = self.due()
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
        if kind not in ("garbled", "truncated", "flipped"):
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
        if kind == "flipped":
            digits = [found.start() for found in DIGIT.finditer(data)] or range(len(data))
            spoilt[digits[int(self._random.integers(len(digits)))]] ^= 1
            return bytes(spoilt)
        for place in self._random.integers(0, len(spoilt), max(1, len(spoilt) // 8)):
            spoilt[place] ^= int(self._random.integers(1, 256))
        return bytes(spoilt)


class Calls(Faulty):
    """Of an instrument that has functions: those named in its `calls`, and those of what they return."""

    kinds = ON_CALLS

    def __init__(self, name: str, emulator: Any, clock: Clock) -> None:
        super().__init__(name, emulator, clock)
        for function, inner in emulator.calls.items():
            setattr(emulator, function, self._around(getattr(emulator, function), inner))

    def _around(self, function: Callable[..., Any], inner: Sequence[str]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            kind = self.due()
            if kind in ("drop", "deaf"):
                raise self.emulator.failure(kind)
            found = function(*args, **kwargs)
            for name in inner:
                setattr(found, name, self._around(getattr(found, name), ()))
            if kind == "timeout":
                raise self.emulator.failure(kind)
            return found[..., : found.shape[-1] // 2] if kind == "truncated" and isinstance(found, np.ndarray) else found

        return call


def fill_disk(most_bytes: int) -> None:
    """No file of this process may grow beyond this, by the system's own limit; writing fails as it does on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def wire_of(name: str, emulator: Any, clock: Clock) -> Faulty:
    """What an emulator of either kind can be disturbed by."""
    return (Wire if hasattr(emulator, "feed") or hasattr(emulator, "handle_parts") else Calls)(name, emulator, clock)
