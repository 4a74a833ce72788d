"""A stream whose lines keep clear of a frame that is drawn on the same terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, TextIO


class Above:
    """Stands for a stream: whole lines are written at once, `aside`; the rest waits until it is a line.

    Attributes:
        stream: for which it stands.
    """

    def __init__(self, stream: TextIO, aside: Callable[[], AbstractContextManager[None]]) -> None:
        self.stream, self._aside, self._begun = stream, aside, ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Lines at once, the rest once it is a line."""
        whole, newline, rest = (self._begun + text).rpartition("\n")
        self._begun = rest
        if newline:
            self._put(whole + newline)
        return len(text)

    def writelines(self, lines: Sequence[str]) -> None:
        """All of them."""
        self.write("".join(lines))

    def rest(self) -> None:
        """What is not a line yet."""
        begun, self._begun = self._begun, ""
        if begun:
            self.stream.write(begun)
            self.stream.flush()

    def _put(self, text: str) -> None:
        with self._aside():
            self.stream.write(text)
            self.stream.flush()
