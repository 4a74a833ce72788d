"""Qontrol's ASCII commands and replies as values: encoders, the error table, decoders."""

from __future__ import annotations

import itertools
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from labonn.errors import DesyncError, IdentityError, RefusedError

MEANINGS = {
    0: "unknown error", 1: "over-voltage", 2: "over-current", 3: "power error", 4: "calibration error", 5: "output error",
    10: "unrecognised command", 11: "bad parameter", 12: "bad channel", 13: "operation forbidden", 14: "buffer overflow",
    15: "serial error", 16: "timed out", 17: "SPI error", 18: "ADC error", 19: "I2C error", 20: "interlock triggered",
    30: "errors suppressed", 31: "firmware trap", 90: "powered up",
}  # fmt: skip
ERROR_LINE = re.compile(r"[A-Za-z]{1,3}(\d{1,3}):(\d{1,5})")
VALUE_LINE = re.compile(r"([+-]?\d{1,6}(?:\.\d{1,12})?) ?(mA|V)")
MODULE_LINE = re.compile(r"([A-Za-z]+(\d{1,2})[A-Za-z]*)-([0-9A-Fa-f*]{1,16}):(\d{1,4})")
OK_BYTES, QUERY_BYTES, REPLY_BYTES = len("\nOK\n"), len("I123?\n"), len("+1.000000 mA\n")
READ_BYTES = QUERY_BYTES + REPLY_BYTES
LONGEST_JOINED = 256  # bytes of a request, which a source must hold while it answers
ID_LINE = re.compile(r"[A-Za-z]+\d{1,2}[A-Za-z]*-[0-9A-Fa-f*]{1,16}")


@dataclass(frozen=True)
class Quantity:
    """One of the two things that the source sets.

    Attributes:
        letter: in commands. unit: SI. machine_unit: on the wire. scale: of the machine's unit in SI. full: full scale in SI.
    """

    letter: str
    unit: str
    machine_unit: str
    scale: float
    full: float

    def text(self, value: float) -> str:
        """`value` as the machine takes it; fine enough for its 16 bits."""
        return f"{value / self.scale:.6f}"

    def read(self, where: str, lines: Sequence[str]) -> list[float]:
        """SI values of reply lines."""
        return [self.scale * value for value in values_of(where, lines, self.machine_unit)]


def vector_set(quantity: Quantity, first: int, values: Sequence[float]) -> str:
    """Sets the channels of one module from `first` on: `IVEC8=1.000000,…`."""
    return f"{quantity.letter}VEC{first}={','.join(map(quantity.text, values))}"


def shortest_sets(
    quantity: Quantity, changed: Sequence[int], values: Sequence[float], read_bytes: int = READ_BYTES
) -> tuple[list[str], Sequence[int]]:  # fmt: skip
    """(commands that set `changed` channels of one module, channels that they write), in as few bytes on the wire as there may be.

    Args:
        changed: numbers of channels, ascending. values: of all channels from the first to the last of them.
        read_bytes: what it costs to read a written channel back.
    """
    first, count = changed[0], len(values)
    singles = [f"{quantity.letter}{channel}={quantity.text(values[channel - first])}" for channel in changed]
    if len(changed) == 1:
        return singles, changed
    vector = vector_set(quantity, first, values)
    if len(vector) + OK_BYTES + count * read_bytes < sum(map(len, singles)) + len(changed) * (OK_BYTES + read_bytes):
        return [vector], range(first, first + count)
    return singles, changed


def exchanges_of(sets: Iterable[tuple[list[str], Sequence[int]]]) -> Iterator[tuple[list[str], list[int]]]:
    """Joins commands of several modules into as few exchanges as LONGEST_JOINED allows: (commands, channels that they write)."""
    commands: list[str] = []
    channels: list[int] = []
    size = 0
    for more, written in sets:
        length = sum(map(len, more)) + len(more) + QUERY_BYTES * len(written)
        if commands and size + length > LONGEST_JOINED:
            yield commands, channels
            commands, channels, size = [], [], 0
        commands, channels, size = commands + more, [*channels, *written], size + length
    if commands:
        yield commands, channels


def limits_set(quantity: Quantity, first: int, values: Sequence[float]) -> tuple[list[str], list[str]]:
    """(commands that write the limit registers of channels from `first` on, queries that read them)."""
    names = [f"{quantity.letter}MAX{first + i}" for i in range(len(values))]
    return [f"{name}={quantity.text(value)}" for name, value in zip(names, values, strict=True)], [f"{name}?" for name in names]


def blocks(first: int, count: int, modules: Sequence[int]) -> list[tuple[int, int]]:
    """(first, last + 1) channel of every module's share in `count` channels from `first` on; a vector serves one module."""
    edges = itertools.accumulate(modules, initial=0)
    parts = [(max(first, a), min(first + count, b)) for a, b in itertools.pairwise(edges)]
    return [(a, b) for a, b in parts if a < b]


def by_module(channels: Iterable[int], ends: Sequence[int]) -> list[list[int]]:
    """Ascending channels of a chain, those of one module together; `ends` are the modules' last channels + 1."""
    found: list[list[int]] = []
    end = -1
    for channel in channels:
        if channel >= end:
            end = ends[bisect_right(ends, channel)]
            found.append([])
        found[-1].append(channel)
    return found


def lines_of(where: str, request: bytes, reply: bytes, count: int) -> list[str]:
    """The lines of a reply; any number where `count` is -1.

    Raises:
        RefusedError: one of them is an error line. DesyncError: not text, or another number of lines.
    """
    try:
        lines = reply.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise DesyncError(f"{where}: {_asked(request)} was answered by {reply[:60]!r}, which is not text") from None
    for line in lines:
        if match := ERROR_LINE.fullmatch(line):
            meaning = MEANINGS.get(int(match[1]), "not in the manual")
            raise RefusedError(f"{where}/ch{int(match[2])}: {_asked(request)} was refused: {line} ({meaning}); outputs may be partly set")
    if count > 0 and len(lines) != count:
        raise DesyncError(f"{where}: {_asked(request)} was answered by {len(lines)} lines instead of {count}")
    return lines


def _asked(request: bytes) -> str:
    return repr(request) if len(request) <= 80 else f"{request[:60]!r}…"


def check_ok(where: str, lines: Sequence[str]) -> None:
    """Every line of the reply to a set is `OK`."""
    for line in lines:
        if line != "OK":
            raise DesyncError(f"{where}: a set was answered by {line!r} instead of 'OK'")


def values_of(where: str, lines: Sequence[str], unit: str) -> list[float]:
    """Numbers of lines like `+1.000000 mA`."""
    values = []
    for line in lines:
        match = VALUE_LINE.fullmatch(line)
        if match is None or match[2] != unit:
            raise DesyncError(f"{where}: {line!r} is not a value in {unit}")
        values.append(float(match[1]))
    return values


def modules_of(where: str, lines: Sequence[str]) -> list[tuple[str, int]]:
    """(identity, number of channels) of every module of the chain, in order."""
    found = [match for match in map(MODULE_LINE.fullmatch, lines) if match is not None]
    modules = sorted((int(m[4]), m[1], m[3], int(m[2])) for m in found)
    if len(found) != len(lines) or [m[0] for m in modules] != list(range(len(modules))) or not all(m[3] for m in modules):
        raise DesyncError(f"{where}: {', '.join(lines)[:80]!r} is no list of modules numbered from 0")
    if len(types := {m[1] for m in modules}) != 1:
        raise IdentityError(f"{where}: modules of different types in one chain ({', '.join(sorted(types))}); give each type its own line")
    return [(f"{m[1]}-{m[2]}", m[3]) for m in modules]
