"""One instrument behind several ports: a source meter's two sides, a laser and its cooler; one link, whose exchanges take turns."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from labonn.benchfile import PortFile, shared_urls
from labonn.links import AnyLink

LinkOf = Callable[[PortFile, int], AnyLink]


class SharedLinks:
    """Opens every link once, however many ports have its URL.

    Args:
        ports: of the bench file. link_of: opens one link.
    """

    def __init__(self, ports: Mapping[str, PortFile], link_of: LinkOf) -> None:
        self._link_of = link_of
        self._owners = {url: _Owner() for url in shared_urls(ports)}

    def link(self, port: PortFile, index: int) -> AnyLink:
        """The link, or this port's share of it."""
        owner = self._owners.get(port.links[index])
        return self._link_of(port, index) if owner is None else owner.share(lambda: self._link_of(port, index))


class _Owner:
    """The one who holds a shared link; the last share that is closed closes it."""

    def __init__(self) -> None:
        self.turn = threading.RLock()
        self.link: AnyLink = None
        self._open = 0

    def share(self, opening: Callable[[], AnyLink]) -> AnyLink:
        """A new share; a function table is given as it is."""
        with self.turn:
            if self.link is None:
                self.link = opening()
            if not (hasattr(self.link, "exchange") or hasattr(self.link, "exchange_parts")):
                return self.link
            self._open += 1
            return SharedMessages(self) if hasattr(self.link, "exchange_parts") else SharedLines(self)

    def release(self) -> None:
        """One share less."""
        with self.turn:
            self._open -= 1
            if self._open == 0:
                link, self.link = self.link, None
                link.close()


class _Shared:
    """One port's share of a link.

    Attributes:
        exchanges: requests of this port so far.
    """

    def __init__(self, owner: _Owner) -> None:
        self._owner, self._closed = owner, False
        self._link: Any = owner.link
        self.exchanges = 0

    def reconnect(self) -> None:
        """A new connection for all shares."""
        with self._owner.turn:
            self._link.reconnect()

    def close(self) -> None:
        """Give back the share."""
        if not self._closed:
            self._closed = True
            self._owner.release()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._link, name)


class SharedLines(_Shared):
    """A share of a line link."""

    def exchange(self, request: bytes, lines: int = 1) -> bytes:
        """One request and its reply (labonn.links.Link), when it is this port's turn."""
        with self._owner.turn:
            self.exchanges += 1
            reply: bytes = self._link.exchange(request, lines)
            return reply


class SharedMessages(_Shared):
    """A share of a message link."""

    def exchange_parts(self, parts: Sequence[Any]) -> list[bytes]:
        """One message and its reply, when it is this port's turn."""
        with self._owner.turn:
            self.exchanges += 1
            replies: list[bytes] = self._link.exchange_parts(parts)
            return replies
