"""Parameters, errors and constants of a Red Pitaya's SCPI server: words, numbers, switches, and settings that every channel has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sim_backends.firmware.scpi_errors import ScpiError
from sim_backends.firmware.scpi_tree import Command
from sim_backends.firmware.scpi_values import Parameter, kind_of, number_of

if TYPE_CHECKING:
    from sim_backends.firmware.redpitaya import RedPitayaFirmware

CLOCK_S = 8e-9  # of both converters
BUFFER = 16384  # samples of an input's memory, and of an output's
FATAL = 9500  # and the number of the library's error
CHANNEL, RANGE, DIRECTION, INPUT_PIN, PIN, VALUE, UNSUPPORTED, NOT_NORMAL = (FATAL + n for n in (0, 6, 7, 9, 10, 15, 16, 17))
WORDS = {
    CHANNEL: "Invalid channel number", RANGE: "Value out of range.", DIRECTION: "LED input direction is not valid.",
    INPUT_PIN: "Writing to input pin is not valid.", PIN: "Invalid Pin number.", VALUE: "Invalid parameter value",
    UNSUPPORTED: "Unsupported Feature", NOT_NORMAL: "Data not normalized",
}  # fmt: skip
ANY_CHANNEL = "{1:99}"  # the server takes any number, and then says that it is wrong


def within(value: float, low: float, high: float) -> float:
    """`value`, or the library's refusal."""
    if not low <= value <= high:
        raise ScpiError(RANGE)
    return value


class Choice:
    """One of some words, in any case, with the values that they stand for."""

    def __init__(self, words: Mapping[str, Any] | Sequence[str]) -> None:
        self._words = dict(words) if isinstance(words, Mapping) else {word: word for word in words}

    def read(self, text: bytes) -> Any:
        """What the word stands for (-224: another word)."""
        word = text.decode("latin-1").upper()
        if word not in self._words:
            raise ScpiError(-224)
        return self._words[word]

    def shown(self, value: Any) -> str:
        """The word."""
        return next(word for word, own in self._words.items() if own == value)


@dataclass(frozen=True)
class Real:
    """A number, with its unit if need be."""

    unit: str = ""

    def read(self, text: bytes) -> float:
        """The number; its range is checked by what takes it."""
        if kind_of(text) != "number":
            raise ScpiError(-104)
        return number_of(text, self.unit)

    def shown(self, value: float) -> str:
        """Six digits, as the server writes them."""
        return f"{value:g}"


@dataclass(frozen=True)
class Whole(Real):
    """A number of which the server takes the part before the point."""

    def read(self, text: bytes) -> int:
        """An integer of 64 bits."""
        return int(within(super().read(text), -(2.0**63), 2.0**63))

    def shown(self, value: float) -> str:
        """Without a point."""
        return str(int(value))


SWITCH = Choice({"ON": True, "OFF": False, "1": True, "0": False})


def numbered(n: int, count: int) -> int:
    """A channel's number, or the refusal of a channel that is not there."""
    if not 1 <= n <= count:
        raise ScpiError(CHANNEL)
    return n


def per_channel(
    own: RedPitayaFirmware, count: int, pattern: str, key: str, parameter: Parameter, default: Any,
    accept: Callable[[int, Any], Any] | None = None,
) -> Command:  # fmt: skip
    """The command and query of a value that every channel has, kept under its key and number; `#` of the pattern is the number."""
    for n in range(1, count + 1):
        own.default(f"{key}{n}", default)

    def write(n: int, value: Any) -> None:
        numbered(n, count)
        own.values[f"{key}{n}"] = value if accept is None else accept(n, value)

    def query(n: int) -> str:
        return parameter.shown(own.values[f"{key}{numbered(n, count)}"])

    return Command(pattern.replace("#", ANY_CHANNEL), write, query, (parameter,))
