"""Faults inside an emulated instrument that have begun: most strike once, some stay."""

from __future__ import annotations


class Troubles:
    """Kinds of faults that have been asked for, each with its number if it has one."""

    def __init__(self) -> None:
        self._begun: dict[str, float | None] = {}

    def __bool__(self) -> bool:
        return bool(self._begun)

    def __contains__(self, kind: str) -> bool:
        return kind in self._begun

    def begin(self, kind: str, value: float | None, channels: int = 0) -> None:
        """From now on.

        Args:
            channels: how many there are, if the number is that of one.

        Raises:
            ValueError: there is no such channel.
        """
        self._begun[kind] = value
        if channels:
            self.index(kind, channels)

    def take(self, kind: str) -> bool:
        """Whether it strikes now; then it is over."""
        if kind not in self._begun:
            return False
        del self._begun[kind]
        return True

    def value(self, kind: str, default: float) -> float:
        """Its number."""
        value = self._begun.get(kind)
        return default if value is None else value

    def index(self, kind: str, count: int) -> int:
        """Its number as that of one of `count` channels, from 0; 0 if it has none.

        Raises:
            ValueError: there is no such channel.
        """
        number = self.value(kind, 0)
        if number != int(number) or not 0 <= number < count:
            raise ValueError(f"{kind} = {number:g}: channels are 0 to {count - 1}")
        return int(number)
