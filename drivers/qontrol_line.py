"""The serial line to a chain of Qontrol sources: asks, checks what was answered, and tries again where that is safe."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.qontrol_ascii import check_ok, lines_of
from labonn.errors import UnknownStateError
from labonn.links import Link


class QontrolLine:
    """What is sent and answered on one link; `port` is for messages."""

    def __init__(self, link: Link, port: str) -> None:
        self._link, self._port = link, port

    def ask(self, request: bytes, lines: int = 1) -> list[str]:
        """The lines of the reply; none of them is an error line."""
        return lines_of(self._port, request, self._link.exchange(request, lines), lines)

    def set(self, commands: Sequence[str], queries: Sequence[str] = ()) -> list[str]:
        """Sets, all of them answered by `OK`, and the answers to queries joined to them."""
        lines = self.ask("\n".join([*commands, *queries]).encode(), len(commands) + len(queries))
        check_ok(self._port, lines[: len(commands)])
        return lines[len(commands) :]

    def forget_power_up(self) -> None:
        """A power-up before now does no harm."""
        if unasked := getattr(self._link, "unasked", None):
            unasked.clear()

    def check_power(self, name: str) -> None:
        """Raise UnknownStateError if the source has said unasked that it has just powered up."""
        if getattr(self._link, "unasked", None):
            raise UnknownStateError(f"{self._port}: {name} powered up by itself (E90): its limits are lost; open the bench again")

    def close(self) -> None:
        """Let go of the link."""
        self._link.close()
