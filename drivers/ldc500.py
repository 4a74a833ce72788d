"""What both halves of a Stanford Research LDC500, LDC501 or LDC502 have in common, from its Operation and Service Manual, chapter 4.

Four letters, `?` to ask, `;` between commands, every query of a line answered by a line of its own; tokens come as words or numbers.
Refusals are silent: `LEXE?` and `LCME?` tell the last one. A line longer than 64 bytes is thrown away, so none here is.
The words of LCME? are the manual's; those of LEXE? are as in its sister instrument DC205.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

from drivers.held import HeldBank
from labonn.channels import ChannelSpec, Floats
from labonn.errors import DesyncError, IdentityError, RefusedError, TableError, UnknownStateError
from labonn.links import Link
from labonn.shots import Bank, Ints

FULL_A = {"LDC500": (0.05, 0.1), "LDC501": (0.25, 0.5), "LDC502": (1.0, 2.0)}  # low and high range
LINK = {"write_end": "\n", "read_end": "\n", "baud": 9600, "timeout_s": 2.0}
LONGEST = 63  # the input buffer holds 64 bytes with the line's end
IDENTITY = re.compile(r"Stanford[_ ]Research[_ ]Systems,(LDC50\d),")
NUMBER = re.compile(r"[+-]?\d+(\.\d*)?(E[+-]?\d{1,2})?", re.IGNORECASE | re.ASCII)
EXECUTION = {1: "illegal value", 2: "wrong token", 3: "invalid bit", 4: "queue full", 5: "not compatible with its present state"}
COMMAND = {
    1: "illegal command", 2: "undefined command", 3: "illegal query", 4: "illegal set", 5: "missing parameter", 6: "extra parameter",
    7: "null parameter", 8: "parameter buffer overflow", 9: "bad floating-point", 10: "bad integer", 11: "bad integer token",
    12: "bad token value", 13: "bad hex block", 14: "unknown token",
}  # fmt: skip
TRIPS = {10: "over-voltage", 11: "open circuit", 12: "the TEC is off", 13: "above TMAX", 14: "below TMIN", 15: "temperature sensor fault"}


def number(port: str, reply: str) -> float:
    """A reply as a number.

    Raises:
        DesyncError: it is none.
    """
    if NUMBER.fullmatch(reply) is None:
        raise DesyncError(f"{port}: {reply!r} is not the number that was asked for")
    return float(reply)


def token(port: str, reply: str, words: Sequence[str]) -> int:
    """The number of a token, which came as that or as its word."""
    if reply in words:
        return words.index(reply)
    if reply.isascii() and reply.isdigit() and int(reply) < len(words):
        return int(reply)
    raise DesyncError(f"{port}: {reply!r} is not one of {', '.join(words)}, nor their numbers")


def tripped(events: int) -> str:
    """Why the laser switched itself off, from its event register."""
    return ", ".join(word for bit, word in TRIPS.items() if events >> bit & 1) or "no reason is latched: interlock, or its front panel"


class Ldc500Line:
    """The link to a controller, as one half of it uses it.

    Attributes:
        identity: maker, model, serial number. model: "LDC501".
    """

    def __init__(self, link: Link, port: str, lan: bool) -> None:
        self._link, self._port = link, port
        if lan:  # its LAN port wants a blank line and is locked at first
            link.exchange(b"", 0)
            link.exchange(b"ULOC 1", 0)
        (answer,) = self.ask("*IDN?")
        found = IDENTITY.match(answer)
        if found is None or found[1] not in FULL_A:
            raise IdentityError(f"{port}: answers {answer!r} to '*IDN?'; an LDC500 answers 'Stanford_Research_Systems,LDC501,…'")
        self.identity, self.model = ",".join(answer.split(",")[:3]), found[1]

    def ask(self, *queries: str) -> list[str]:
        """The replies to queries, sent together; commands may stand among them.

        Raises:
            DesyncError: another number of lines.
        """
        message = ";".join(queries)
        if len(message) > LONGEST:
            raise ValueError(f"{message!r} has {len(message)} bytes; the controller takes {LONGEST}")
        count = sum(query.endswith("?") for query in queries)
        lines = self._link.exchange(message.encode(), count).decode("latin-1").split("\n")
        if len(lines) != count:
            raise DesyncError(f"{self._port}: {len(lines)} lines answer the {count} queries of {message!r}")
        return [line.strip() for line in lines]

    def numbers(self, *queries: str) -> list[float]:
        """As `ask`, all numbers."""
        return [number(self._port, reply) for reply in self.ask(*queries)]

    def checked(self, commands: Sequence[str], *queries: str) -> list[str]:
        """The replies to `queries` after `commands`, in one exchange with both last errors.

        Raises:
            RefusedError: with the meaning of the instrument's number.
        """
        *replies, execution, command = self.ask(*commands, *queries, "LEXE?", "LCME?")
        for name, meanings, reply in (("LEXE", EXECUTION, execution), ("LCME", COMMAND, command)):
            if not (reply.isascii() and reply.isdigit()):
                raise DesyncError(f"{self._port}: {reply!r} is not what {name}? is answered by")
            if code := int(reply):
                told = f"{';'.join(commands)!r} was refused: {name} {code}, {meanings.get(code, 'not in its manual')}"
                raise RefusedError(f"{self._port}: {told} ({self.identity})")
        return replies

    def forget_errors(self) -> None:
        """Errors of whoever talked to it before are not to be blamed on us."""
        self.numbers("LEXE?", "LCME?")

    def close(self) -> None:
        """Let go of the controller."""
        self._link.close()


class Ldc500Half:
    """What both halves do alike: each holds one row, on the same link."""

    transport: ClassVar[str] = "serial"
    link_options: ClassVar[dict[str, Any]] = dict(LINK)
    idn: ClassVar[str] = r"Stanford_Research_Systems,LDC50"
    shares: ClassVar[str] = "ldc500"
    spec: ChannelSpec

    def __init__(self, link: Link, port: str, lan: bool) -> None:
        self._line, self._port = Ldc500Line(link, port, lan), port
        self.identity = self._line.identity
        self._held = HeldBank(port, self.identity)
        self._row: Floats | None = None
        self._on = False

    def load(self, bank: Bank | None, order: Ints, dwell_s: float) -> None:
        """Remember the one row that `order` names; the controller holds it, whatever the dwell time."""
        self._row = self._held.row(bank, order, self.spec)

    def close(self) -> None:
        """Let go of the controller."""
        self._line.close()

    def _loaded(self) -> float:
        """The loaded value."""
        if self._row is None:
            raise TableError(f"{self._port}: nothing is loaded")
        return float(self._row[0])

    def _wrong(self, what: str) -> None:
        raise UnknownStateError(f"{self._port}: {what} ({self.identity})")
