"""Links that count what passes: exchanges, and bytes both ways, by port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labonn.benchfile import PortFile
from labonn.links import AnyLink, Buffer
from labonn.planned.tally import Tally
from labonn.sharing import LinkOf


def counted(link_of: LinkOf, tally: Tally) -> LinkOf:
    """`link_of`, all of whose links count into `tally`."""

    def opened(port: PortFile, index: int) -> AnyLink:
        link = link_of(port, index)
        made = CountedMessages if hasattr(link, "exchange_parts") else CountedLines if hasattr(link, "exchange") else CountedCalls
        return made(link, port.name, tally)

    return opened


class _Counted:
    def __init__(self, link: Any, port: str, tally: Tally) -> None:
        self._link, self._port, self._tally = link, port, tally

    def _count(self, sent: int, received: int) -> None:
        self._tally.add(self._port, exchanges=1, sent=sent, received=received)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._link, name)


class CountedLines(_Counted):
    """A Link."""

    def exchange(self, request: bytes, lines: int = 1) -> bytes:
        """One request and its reply (labonn.links.Link)."""
        reply: bytes = self._link.exchange(request, lines)
        self._count(len(request), len(reply))
        return reply


class CountedMessages(_Counted):
    """A MessageLink."""

    def exchange_parts(self, parts: Sequence[Buffer]) -> list[bytes]:
        """One message and its reply (labonn.links.MessageLink)."""
        replies: list[bytes] = self._link.exchange_parts(parts)
        self._count(sum(_size(part) for part in parts), sum(map(len, replies)))
        return replies


class CountedCalls(_Counted):
    """An SDK's function table: a call is an exchange, what it takes and gives are its bytes."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._link, name)
        if not callable(found):
            return found

        def call(*given: Any, **named: Any) -> Any:
            result = found(*given, **named)
            self._count(_size([*given, *named.values()]), _size(result))
            return result

        return call


def _size(value: Any) -> int:
    """Bytes of arrays and buffers, also in lists; anything else counts as nothing."""
    if isinstance(value, (bytes, bytearray)):
        return len(value)
    if isinstance(value, (list, tuple)):
        return sum(map(_size, value))
    return 0 if isinstance(value, Mapping) else int(getattr(value, "nbytes", 0))
