"""Parameters of SCPI commands: what a data element may be, what it means, and how a response shows it (IEEE 488.2 chapters 7, 8)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sim_backends.firmware.scpi_errors import ScpiError
from sim_backends.firmware.scpi_text import block_end

DECIMAL = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:\s*E\s*([+-]?\d+))?\s*([A-Z/%]*)", re.ASCII)
BASES = {"H": 16, "Q": 8, "B": 2}
MULTIPLIERS = {"": 1.0, "EX": 1e18, "PE": 1e15, "T": 1e12, "G": 1e9, "MA": 1e6, "K": 1e3, "M": 1e-3} | {
    "U": 1e-6, "N": 1e-9, "P": 1e-12, "F": 1e-15, "A": 1e-18
}  # fmt: skip
MEGA = ("HZ", "OHM")  # IEEE 488.2, 7.7.3: MHZ and MOHM are mega
LARGEST_EXPONENT, MOST_DIGITS, LONGEST_WORD, LONGEST_SUFFIX = 32000, 255, 12, 12
MOST_LISTED = 10000
NOT_ALLOWED = {"number": -128, "word": -148, "string": -158, "block": -168, "expression": -178}


class Parameter(Protocol):
    """Reads one data element (raises ScpiError), shows one value."""

    def read(self, text: bytes) -> Any: ...
    def shown(self, value: Any) -> str: ...


def forms(name: str) -> tuple[str, str]:
    """("VOLT", "VOLTAGE") of "VOLTage"."""
    return "".join(c for c in name if not c.islower()), name.upper()


def kind_of(text: bytes) -> str:
    """What sort of data element it is.

    Raises:
        ScpiError: -101, it cannot start one.
    """
    first = text[:1]
    if first in (b'"', b"'"):
        return "string"
    if first == b"(":
        return "expression"
    if first == b"#":
        return "block" if text[1:2].isdigit() else "number"
    if first.isdigit() or first in (b"+", b"-", b"."):
        return "number"
    if first.isalpha():
        return "word"
    raise ScpiError(-101)


def word_of(text: bytes) -> str:
    """Character program data, in capitals."""
    word = text.decode("latin-1").upper()
    if not re.fullmatch(r"[A-Z]\w*", word, re.ASCII):
        raise ScpiError(-141)
    if len(word) > LONGEST_WORD:
        raise ScpiError(-144)
    return word


def number_of(text: bytes, unit: str = "") -> float:
    """A decimal number with an optional multiplier and unit, or #H, #Q, #B."""
    upper = text.decode("latin-1").upper()
    if upper[0] == "#":
        try:
            return float(int(upper[2 : 2 + MOST_DIGITS], BASES[upper[1:2]]))
        except (KeyError, ValueError):
            raise ScpiError(-121) from None
    found = DECIMAL.fullmatch(upper)
    if found is None:
        raise ScpiError(-121)
    digits, exponent, suffix = found.groups()
    if len(digits) > MOST_DIGITS:
        raise ScpiError(-124)
    if exponent and (len(exponent) > 6 or abs(int(exponent)) > LARGEST_EXPONENT):
        raise ScpiError(-123)
    value = float(f"{digits}E{exponent or 0}") * _multiplier(suffix, unit.upper())
    if not math.isfinite(value):
        raise ScpiError(-123)
    return value


def _multiplier(suffix: str, unit: str) -> float:
    if not suffix or suffix == unit:
        return 1.0
    if not unit:
        raise ScpiError(-138)
    if len(suffix) > LONGEST_SUFFIX:
        raise ScpiError(-134)
    prefix = suffix.removesuffix(unit)
    if prefix == "M" and suffix != "M" and unit in MEGA:
        return 1e6
    if prefix not in MULTIPLIERS or suffix in ("A", "F"):  # alone these are another unit, not atto and femto
        raise ScpiError(-131)
    return MULTIPLIERS[prefix]


@dataclass(frozen=True)
class Number:
    """A number between `low` and `high`; MINimum, MAXimum, DEFault; INFinity where `infinite`; rounded where `whole`."""

    low: float
    high: float
    default: float
    unit: str = ""
    whole: bool = False
    infinite: bool = False

    def read(self, text: bytes) -> float:
        """The value, inside the range (-222)."""
        kind = kind_of(text)
        if kind == "word":
            return self.named(text)
        if kind != "number":
            raise ScpiError(NOT_ALLOWED[kind])
        value = number_of(text, self.unit)
        value = round(value) if self.whole else value
        if not self.low <= value <= self.high:
            raise ScpiError(-222)
        return value

    def named(self, text: bytes) -> float:
        """The value of MIN, MAX, DEF or INF."""
        word = word_of(text)
        named = {"MINimum": self.low, "MAXimum": self.high, "DEFault": self.default} | ({"INFinity": math.inf} if self.infinite else {})
        for name, value in named.items():
            if word in forms(name):
                return value
        raise ScpiError(-141)

    def shown(self, value: float) -> str:
        """NR1 of whole numbers, else NR3; 9.9E37 is infinity."""
        if math.isinf(value):
            return "9.900000E+37"
        return str(round(value)) if self.whole else f"{value:.6E}"


@dataclass(frozen=True)
class Extremes:
    """The optional argument of a query for a number: MIN, MAX or DEF."""

    number: Number

    def read(self, text: bytes) -> float:
        """The value that the word stands for."""
        return self.number.named(text)

    def shown(self, value: float) -> str:
        """As the number itself."""
        return self.number.shown(value)


@dataclass(frozen=True)
class Boolean:
    """ON, OFF, or a number: 0 after rounding is off."""

    def read(self, text: bytes) -> bool:
        """Whether it is on."""
        kind = kind_of(text)
        if kind == "word" and (word := word_of(text)) in ("ON", "OFF"):
            return word == "ON"
        if kind == "number":
            return round(number_of(text)) != 0
        raise ScpiError(-224 if kind == "word" else NOT_ALLOWED[kind])

    def shown(self, value: bool) -> str:
        """1 or 0."""
        return str(int(value))


class Keyword:
    """One of some words, by its short or long form; the value is the short form. `numbers` stand for words and are shown for them."""

    def __init__(self, *names: str, numbers: Sequence[tuple[int, str]] = ()) -> None:
        self._words = {form: forms(name)[0] for name in names for form in forms(name)}
        self._numbers = dict(numbers)

    def read(self, text: bytes) -> str:
        """The short form (-224: another word)."""
        kind = kind_of(text)
        if kind == "number" and self._numbers:
            return self._known(self._numbers.get(round(number_of(text)), ""))
        if kind != "word":
            raise ScpiError(NOT_ALLOWED[kind])
        return self._known(word_of(text))

    def shown(self, value: str) -> str:
        """The short form, or its number."""
        return next((str(number) for number, word in self._numbers.items() if word == value), value)

    def _known(self, word: str) -> str:
        if word not in self._words:
            raise ScpiError(-224)
        return self._words[word]


@dataclass(frozen=True)
class Text:
    """A string in double or single quotes, the quote doubled inside."""

    longest: int = 1024

    def read(self, text: bytes) -> str:
        """What is between the quotes."""
        kind = kind_of(text)
        if kind != "string":
            raise ScpiError(NOT_ALLOWED[kind])
        quote, inside = text[:1], text[1:-1]
        if len(text) < 2 or text[-1:] != quote or quote in inside.replace(quote * 2, b""):
            raise ScpiError(-151)
        if len(inside) > self.longest:
            raise ScpiError(-223)
        return inside.replace(quote * 2, quote).decode("latin-1")

    def shown(self, value: str) -> str:
        """In double quotes."""
        return '"' + value.replace('"', '""') + '"'


@dataclass(frozen=True)
class Block:
    """Definite (#<n><length><bytes>) or indefinite (#0<bytes>) length arbitrary block."""

    def read(self, text: bytes) -> bytes:
        """The bytes."""
        kind = kind_of(text)
        if kind != "block":
            raise ScpiError(NOT_ALLOWED[kind])
        if text[1:2] == b"0":
            return text[2:]
        end = block_end(text, 0, len(text))
        if not end or end > len(text) or text[end:].strip():
            raise ScpiError(-161)
        return text[2 + int(text[1:2]) : end]

    def shown(self, value: bytes) -> str:
        """As a definite-length block."""
        return block(value).decode("latin-1")


@dataclass(frozen=True)
class ChannelList:
    """An expression (@1,3:5) as [1, 3, 4, 5], each within `low` and `high`; ranges may count down."""

    low: int = 1
    high: int = 1024

    def read(self, text: bytes) -> list[int]:
        """The channels in order."""
        kind = kind_of(text)
        if kind != "expression":
            raise ScpiError(NOT_ALLOWED[kind])
        if not re.fullmatch(rb"\(@\s*\d{1,6}(\s*:\s*\d{1,6})?(\s*,\s*\d{1,6}(\s*:\s*\d{1,6})?)*\s*\)", text):
            raise ScpiError(-171)
        found: list[int] = []
        for part in text[2:-1].split(b","):
            first, *last = map(int, part.split(b":"))
            for end in (first, *last):
                if not self.low <= end <= self.high:
                    raise ScpiError(-222)
            last_one = last[0] if last else first
            step = 1 if last_one >= first else -1
            found += range(first, last_one + step, step)
            if len(found) > MOST_LISTED:
                raise ScpiError(-223)
        return found

    def shown(self, value: Sequence[int]) -> str:
        """As a list of single channels."""
        return f"(@{','.join(map(str, value))})"


def block(data: bytes) -> bytes:
    """`data` as a definite-length block."""
    length = str(len(data)).encode()
    return b"#%d%s" % (len(length), length) + data
