"""ZeroMQ links: one multipart request, one multipart reply; CURVE keys when not on loopback."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import zmq
import zmq.auth

from labonn.errors import ConnectError, LinkClosedError, LinkTimeoutError
from labonn.links import CONNECT_TIMEOUT_S, DEFAULT_TIMEOUT_S, Buffer, query_options

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ZmqLink:
    """A DEALER socket that speaks to a REP or ROUTER socket.

    After a time-out the socket is thrown away, so that a late reply can never be taken for the next answer.

    Attributes:
        exchanges: requests sent so far.
    """

    def __init__(self, url: str, timeout_s: float, keys: tuple[Path, Path] | None) -> None:
        self._url, self._timeout_s, self._keys = url, timeout_s, keys
        parts = urlsplit(url)
        self._address = f"tcp://{parts.netloc}"
        self._context = zmq.Context()
        self._socket: zmq.Socket[bytes] | None = None
        self._answered = False
        self.exchanges = 0

    def exchange_parts(self, parts: Sequence[Buffer]) -> list[bytes]:
        """The reply to `parts`.

        Raises:
            ConnectError: nothing has ever answered there. LinkTimeoutError: no reply in time. LinkClosedError: this link is closed.
        """
        if self._context.closed:
            raise LinkClosedError(f"{self._url}: this link is closed")
        socket = self._socket or self._open()
        self.exchanges += 1
        socket.send_multipart([b"", *parts])
        timeout_s = self._timeout_s if self._answered else CONNECT_TIMEOUT_S
        if not socket.poll(round(1000 * timeout_s)):
            self._drop()
            if not self._answered:
                raise ConnectError(f"{self._url}: nothing answers there within {timeout_s:g} s; is the instrument on, and the port right?")
            raise LinkTimeoutError(f"{self._url}: no reply within {timeout_s:g} s; what the instrument did is unknown")
        self._answered = True
        return socket.recv_multipart()[1:]

    def _open(self) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        socket.linger = 0
        if self._keys is not None:
            server, client = self._keys
            socket.curve_serverkey, _ = zmq.auth.load_certificate(server)
            public, secret = zmq.auth.load_certificate(client)
            socket.curve_publickey, socket.curve_secretkey = public, secret or b""
        socket.connect(self._address)
        self._socket = socket
        return socket

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
    keys = (Path(settings["server_key"]), Path(settings["client_key"])) if settings["server_key"] else None
    if keys is None and host not in LOOPBACK:
        raise ConnectError(f"{url}: an instrument that is not on loopback needs CURVE keys: add ?server_key=FILE&client_key=FILE")
    for key in keys or ():
        if not key.is_file():
            raise ConnectError(f"{url}: no such key file: {key}")
    return ZmqLink(url, settings["timeout_s"], keys)
