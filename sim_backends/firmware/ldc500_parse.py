"""The command grammar of SRS LDC500 controllers: four letters, `?` to ask, parameters with commas; what LCME? says when it is not kept.

Blanks and case do not matter (`SILD159.9` is `SILD 159.9`). Tokens are words or their numbers; TOKN says which of them replies have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

ILLEGAL, UNDEFINED, NO_QUERY, NO_SET, MISSING, EXTRA, NULL, LONG, BAD_FLOAT, BAD_INTEGER = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
BAD_TOKEN_INTEGER, BAD_TOKEN_VALUE, UNKNOWN_TOKEN = 11, 12, 14
LONGEST_PARAMETER = 20
FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(E[+-]?\d{1,2})?", re.ASCII)
INTEGER = re.compile(r"[+-]?\d{1,10}", re.ASCII)
MNEMONIC = re.compile(r"(?:[A-Z]{4}|\*[A-Z]{3})", re.ASCII)


class CommandError(Exception):
    """A command that cannot be read: its number is LCME?'s."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Kind(Protocol):
    """Reads one parameter, shows one value."""

    def read(self, text: str) -> Any: ...
    def shown(self, value: Any, words: bool) -> str: ...


@dataclass(frozen=True)
class Real:
    """A float, shown with so many digits after the point."""

    digits: int = 3

    def read(self, text: str) -> float:
        """The number (9: none)."""
        if FLOAT.fullmatch(text) is None:
            raise CommandError(BAD_FLOAT)
        return float(text)

    def shown(self, value: float, words: bool) -> str:
        """With a fixed number of digits."""
        return f"{value:.{self.digits}f}"


@dataclass(frozen=True)
class Whole:
    """An integer."""

    def read(self, text: str) -> int:
        """The number (10: none)."""
        if INTEGER.fullmatch(text) is None:
            raise CommandError(BAD_INTEGER)
        return int(text)

    def shown(self, value: int, words: bool) -> str:
        """In decimals."""
        return str(value)


class Token:
    """One of some words, numbered from 0; `also` are further spellings."""

    def __init__(self, *words: str, also: Mapping[str, int] | None = None) -> None:
        self._shown = words
        self._numbers = {word: number for number, word in enumerate(words)} | dict(also or {})

    def read(self, text: str) -> int:
        """Its number (11, 12, 14)."""
        if text[0].isdigit() or text[0] in "+-.":
            if INTEGER.fullmatch(text) is None:
                raise CommandError(BAD_TOKEN_INTEGER)
            if not 0 <= int(text) < len(self._shown):
                raise CommandError(BAD_TOKEN_VALUE)
            return int(text)
        if text not in self._numbers:
            raise CommandError(UNKNOWN_TOKEN)
        return self._numbers[text]

    def shown(self, value: int, words: bool) -> str:
        """As a word or a number."""
        return self._shown[value] if words else str(int(value))


OFF_ON, NO_YES, LOW_HIGH = Token("OFF", "ON"), Token("NO", "YES"), Token("LOW", "HIGH")
REAL, WHOLE = Real(), Whole()


@dataclass(frozen=True)
class Entry:
    """One command.

    Attributes:
        write, ask: what its set and query forms do; None where there is none. takes: parameters of the set form; the first shows the reply.
        bits: an integer may stand before them, and in the query.
    """

    write: Callable[..., None] | None = None
    ask: Callable[..., Any] | None = None
    takes: tuple[Kind, ...] = ()
    bits: bool = False


def parsed(text: str, entries: Mapping[str, Entry]) -> tuple[Entry, bool, list[Any]]:
    """(command, whether it asks, its parameters) of one command in capitals without blanks.

    Raises:
        CommandError: with the number for LCME?.
    """
    name, rest = text[:4], text[4:]
    if MNEMONIC.fullmatch(name) is None:
        raise CommandError(ILLEGAL)
    if name not in entries:
        raise CommandError(UNDEFINED)
    entry, asks = entries[name], rest.startswith("?")
    if (entry.ask if asks else entry.write) is None:
        raise CommandError(NO_QUERY if asks else NO_SET)
    rest = rest[1:] if asks else rest
    texts = rest.split(",") if rest else []
    if not all(texts):
        raise CommandError(NULL)
    if any(len(given) > LONGEST_PARAMETER for given in texts):
        raise CommandError(LONG)
    kinds = () if asks else entry.takes
    most = len(kinds) + entry.bits
    if len(texts) > most:
        raise CommandError(EXTRA)
    if len(texts) < len(kinds):
        raise CommandError(MISSING)
    first: tuple[Kind, ...] = (WHOLE,) if len(texts) > len(kinds) else ()
    return entry, asks, [kind.read(given) for kind, given in zip((*first, *kinds), texts, strict=True)]
