"""Who may ask: this computer's own pages. Other pages in the same browser, and names that were bent to this computer, may not."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from labonn.dash.problems import ForbiddenError

TOKEN_HEADER = b"x-labonn-token"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
HEADERS = (
    (b"content-security-policy", b"default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)
Message = MutableMapping[str, Any]
Asgi = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


@dataclass(frozen=True)
class Door:
    """Where the dashboard is reached, and what the safe button wants.

    Attributes:
        host: that it listens at. given: the token that the user chose; None: one is made up, and told to pages of this computer only.
    """

    host: str = "127.0.0.1"
    given: str | None = None
    made: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    @property
    def local(self) -> bool:
        """Whether only this computer reaches it."""
        return self.host in LOOPBACK

    @property
    def told(self) -> str | None:
        """The token that pages are told; None: who wants to press the button must know it."""
        return self.made if self.local and self.given is None else None

    @property
    def button(self) -> str:
        """What the safe button needs: "ready", "token" (that the user gave), or "refused"."""
        return "ready" if self.told else "token" if self.given else "refused"

    def knows(self, host: str) -> bool:
        """Whether a Host header names this computer: a name of somebody else's that points here is a trick (DNS rebinding)."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if self.local:
            return name in LOOPBACK
        return name in (*LOOPBACK, self.host.lower(), socket.gethostname().lower(), socket.getfqdn().lower()) or _is_address(name)

    def check_button(self, headers: dict[bytes, bytes]) -> None:
        """Raises ForbiddenError unless this comes from a page of ours, which knows the token."""
        if self.button == "refused":
            why = "the dashboard is reached from other computers and has no token: start it as `labonn dash --host … --token SECRET`"
            raise ForbiddenError(f"the safe button is refused: {why}; or use `labonn safe --bench FILE` where the bench is")
        origin, site = headers.get(b"origin"), headers.get(b"sec-fetch-site", b"none")
        own = origin is None or urlsplit(origin).netloc == headers.get(b"host")
        if not own or site not in (b"same-origin", b"none"):
            raise ForbiddenError("the safe button is refused: this was asked by a page of another address")
        wanted = self.given or self.made
        if not secrets.compare_digest(headers.get(TOKEN_HEADER, b""), wanted.encode()):
            told = "load the page again" if self.told else "give the one that `labonn dash --token` was given"
            raise ForbiddenError(f"the safe button is refused: the token is wrong; {told}")


class Guard:
    """ASGI: refuses what is addressed to another host, and adds headers to every answer."""

    def __init__(self, app: Asgi, door: Door) -> None:
        self._app, self._door = app, door

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        if not self._door.knows(host):
            await _refuse(send, f"this dashboard is not called {host!r}: use the address that `labonn dash` printed")
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                had = {name for name, _ in message["headers"]}
                caching = () if b"cache-control" in had else ((b"cache-control", b"no-cache"),)
                message["headers"] = [*message["headers"], *HEADERS, *caching]
            await send(message)

        await self._app(scope, receive, sent)


async def _refuse(send: Any, why: str) -> None:
    import orjson

    headers = [(b"content-type", b"application/json"), *HEADERS]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": orjson.dumps({"error": why})})


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
