"""ZeroMQ links: one multipart request, one multipart reply; CURVE keys when not on loopback."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import zmq
import zmq.auth

from labonn.errors import ConnectError, DesyncError, LinkClosedError, LinkError, LinkTimeoutError
from labonn.links import CONNECT_TIMEOUT_S, DEFAULT_TIMEOUT_S, Buffer, query_options

Keys = tuple[bytes, bytes, bytes]
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ZmqLink:
    """A DEALER socket that speaks to a REP or ROUTER socket.

    After any failed exchange the socket is thrown away, so that a late reply can never be taken for the next answer.

    Attributes:
        exchanges: requests sent so far. reconnects: connections but the first that were asked for.
    """

    def __init__(self, url: str, timeout_s: float, keys: Keys | None) -> None:
        self._url, self._timeout_s, self._keys = url, timeout_s, keys
        parts = urlsplit(url)
        self._address = f"tcp://{parts.netloc}"
        self._context = zmq.Context()
        self._socket: zmq.Socket[bytes] | None = None
        self._answered = False
        self.exchanges, self.reconnects = 0, 0

    def exchange_parts(self, parts: Sequence[Buffer]) -> list[bytes]:
        """The reply to `parts`.

        Raises:
            ConnectError: nothing has ever answered there. LinkTimeoutError: no reply in time. LinkClosedError: this link is closed.
            DesyncError: there was a reply already, to nothing; the request was not sent, and the link is clean again.
        """
        if self._context.closed:
            raise LinkClosedError(f"{self._url}: this link is closed")
        try:
            return self._exchange(self._socket or self._open(), parts)
        except BaseException:  # Ctrl-C too: the reply may still be under way
            self._drop()
            raise

    def _exchange(self, socket: zmq.Socket[bytes], parts: Sequence[Buffer]) -> list[bytes]:
        if socket.poll(0):
            raise DesyncError(f"{self._url}: a reply that nobody waited for (a late or doubled one); nothing was sent")
        self.exchanges += 1
        socket.send_multipart([b"", *parts])
        timeout_s = self._timeout_s if self._answered else CONNECT_TIMEOUT_S
        if not socket.poll(round(1000 * timeout_s)):
            if not self._answered:
                check = "is the instrument on, and the port right?" + ("" if self._keys is None else " or does it not know these keys?")
                raise ConnectError(f"{self._url}: nothing answers there within {timeout_s:g} s; {check}")
            raise LinkTimeoutError(f"{self._url}: no reply within {timeout_s:g} s; what the instrument did is unknown")
        self._answered = True
        return socket.recv_multipart()[1:]

    def _open(self) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        socket.linger, socket.ipv6 = 0, True
        if self._keys is not None:
            socket.curve_serverkey, socket.curve_publickey, socket.curve_secretkey = self._keys
        socket.connect(self._address)
        self._socket = socket
        return socket

    def reconnect(self) -> None:
        """A new socket, which no reply to an earlier request can reach; it connects with the next exchange.

        Raises:
            LinkClosedError: this link is closed.
        """
        if self._context.closed:
            raise LinkClosedError(f"{self._url}: this link is closed")
        self._drop()
        self._answered = False
        self.reconnects += 1

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def close(self) -> None:
        """Close the socket; a second call does nothing."""
        self._drop()
        if not self._context.closed:
            self._context.term()


def open_link(url: str, **options: Any) -> ZmqLink:
    """`zmq://host:port?timeout_s=…&server_key=FILE&client_key=FILE`; the keys are certificate files as zmq.auth writes them."""
    settings = query_options(url, {"timeout_s": DEFAULT_TIMEOUT_S, "server_key": "", "client_key": "", **options})
    parts = urlsplit(url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if host is None or port is None:
        raise ConnectError(f"{url}: zmq://host:port is wanted, with a port of 1 to 65535")
    if not 0 < settings["timeout_s"] < 1e6:
        raise LinkError(f"{url}: timeout_s = {settings['timeout_s']:g} must be positive and finite")
    wants_keys = settings["server_key"] or settings["client_key"]
    if not wants_keys and host not in LOOPBACK:
        raise ConnectError(f"{url}: an instrument that is not on loopback needs CURVE keys: add ?server_key=FILE&client_key=FILE")
    keys = _keys(url, settings["server_key"], settings["client_key"]) if wants_keys else None
    return ZmqLink(url, settings["timeout_s"], keys)


def _keys(url: str, server: str, client: str) -> Keys:
    """The instrument's public key, and our public and secret one."""
    try:
        (server_key, _), (public, secret) = (zmq.auth.load_certificate(Path(file)) for file in (server, client))
    except (OSError, ValueError) as problem:
        raise ConnectError(f"{url}: server_key and client_key must both name key files as zmq.auth writes them: {problem}") from None
    if secret is None:
        raise ConnectError(f"{url}: {client} has no secret key; the client's file that ends in .key_secret is wanted")
    return server_key, public, secret
