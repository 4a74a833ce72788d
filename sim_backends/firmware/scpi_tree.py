"""A command tree of SCPI-99 from patterns such as `[:SOURce{1}]:VOLTage[:LEVel]`: any case, short or long, optional nodes, suffixes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sim_backends.firmware.scpi_errors import ScpiError
from sim_backends.firmware.scpi_values import Parameter, forms

NODE = re.compile(r"(\[?):(\w+?)(?:\{(\d+)(?::(\d+))?\})?(\]?)(?=[:\[]|$)")
SENT = re.compile(r"(\D+)(\d*)", re.ASCII)
MOST_REMEMBERED = 4096
Response = str | bytes


@dataclass(frozen=True)
class Command:
    """One line of an instrument's command list.

    Attributes:
        pattern: `:NODE`, `[:NODE]` if it may be left out, `:NODE{1:2}` with a numeric suffix from 1 to 2 (none sent is 1); or `*CLS`.
        write, query: what the command and its query do; None where there is none. Both get the suffixes that have a choice first.
        takes, asks: parameters of the command and of its query. least: how many of `takes` must be there; -1 is all.
        repeats: the last of `takes` may come any number of times. The query's parameters may all be left out.
    """

    pattern: str
    write: Callable[..., None] | None = None
    query: Callable[..., Response | None] | None = None
    takes: tuple[Parameter, ...] = ()
    asks: tuple[Parameter, ...] = ()
    least: int = -1
    repeats: bool = False

    def arguments(self, texts: Sequence[bytes], asked: bool) -> list[Any]:
        """The values of the data elements.

        Raises:
            ScpiError: -108 too many, -109 too few, or what a parameter refuses.
        """
        parameters, least = (self.asks, 0) if asked else (self.takes, len(self.takes) if self.least < 0 else self.least)
        if len(texts) > len(parameters) and (asked or not self.repeats):
            raise ScpiError(-108)
        if len(texts) < least:
            raise ScpiError(-109)
        return [parameters[min(i, len(parameters) - 1)].read(text) for i, text in enumerate(texts)]


@dataclass
class _Node:
    children: dict[str, _Node] = field(default_factory=dict)
    ends: list[tuple[tuple[range | None, ...], Command]] = field(default_factory=list)


class CommandTree:
    """Finds commands by their headers.

    Raises:
        ValueError: a pattern that cannot be read.
    """

    def __init__(self, commands: Iterable[Command]) -> None:
        self._root = _Node()
        self._known: dict[tuple[str, ...], tuple[Command, tuple[int, ...]]] = {}
        for command in commands:
            for nodes in _variants(command.pattern):
                self._add(nodes, command)

    def find(self, nodes: tuple[str, ...]) -> tuple[Command, tuple[int, ...]]:
        """(command, the suffixes that have a choice) of a header's nodes, in capitals.

        Raises:
            ScpiError: -113 no such header, -114 its suffix is out of range.
        """
        found = self._known.get(nodes)
        if found is None:
            found = self._search(nodes)
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[nodes] = found
        return found

    def _add(self, nodes: Sequence[tuple[str, range | None]], command: Command) -> None:
        node = self._root
        for name, _ in nodes:
            short, long = forms(name)
            child = node.children.get(long) or node.children.get(short) or _Node()
            node.children[short] = node.children[long] = child
            node = child
        node.ends.append((tuple(suffixes for _, suffixes in nodes), command))

    def _search(self, nodes: tuple[str, ...]) -> tuple[Command, tuple[int, ...]]:
        node: _Node | None = self._root
        sent: list[str] = []
        for text in nodes:
            found = SENT.fullmatch(text)
            node = node.children.get(found[1]) if node is not None and found is not None else None
            sent.append(found[2] if found is not None else "")
        if node is None or not node.ends:
            raise ScpiError(-113)
        for ranges, command in node.ends:
            if (chosen := _chosen(sent, ranges)) is not None:
                return command, chosen
        numbered = any(all(own is not None or not text for text, own in zip(sent, ranges, strict=True)) for ranges, _ in node.ends)
        raise ScpiError(-114 if numbered else -113)


def _chosen(sent: Sequence[str], ranges: Sequence[range | None]) -> tuple[int, ...] | None:
    """The suffixes that have a choice, None if one does not fit."""
    chosen: list[int] = []
    for text, allowed in zip(sent, ranges, strict=True):
        if allowed is None:
            if text:
                return None
            continue
        number = int(text or 1)
        if number not in allowed:
            return None
        if len(allowed) > 1:
            chosen.append(number)
    return tuple(chosen)


def _variants(pattern: str) -> Iterable[list[tuple[str, range | None]]]:
    """Every way to write the pattern with and without its optional nodes."""
    if pattern.startswith("*"):
        return [[(pattern, None)]]
    parts = list(NODE.finditer(pattern))
    if "".join(part.group() for part in parts) != pattern or not parts:
        raise ValueError(f"{pattern!r} is not a pattern of a command")
    ways: list[list[list[tuple[str, range | None]]]] = []
    for part in parts:
        optional, name, low, high, _ = part.groups()
        node = (name, range(int(low), int(high or low) + 1) if low else None)
        ways.append([[node], []] if optional else [[node]])
    return [nodes for way in itertools.product(*ways) if (nodes := list(itertools.chain.from_iterable(way)))]
