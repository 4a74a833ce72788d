"""Link of slmPy's network server: a frame with its length in front and compressed, answered by `done` or `err`."""

from __future__ import annotations

import bz2
import gzip
import math
import socket
import struct
import time
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from labonn.errors import ConnectError, DesyncError, LinkClosedError, LinkError, LinkTimeoutError
from labonn.links import CONNECT_TIMEOUT_S, DEFAULT_TIMEOUT_S, Link, query_options

DEFAULT_PORT = 9999
REPLIES = (b"done", b"err")
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "zlib": lambda data: zlib.compress(data, 1),  # replicated pixels: as small as with level 6, in half the time
    "gzip": lambda data: gzip.compress(data, 1),
    "bz2": lambda data: bz2.compress(data, 9),
    "none": lambda data: data,
}


def frame(payload: bytes, compression: str) -> bytes:
    """The message of one image: 4-byte length, little-endian as on the server's PC, and the compressed bytes."""
    data = COMPRESSIONS[compression](payload)
    return struct.pack("<i", len(data)) + data


class SlmPyLink:
    """Frames requests for a wire that carries bytes: a socket, or in a dry run the emulated server's own.

    Attributes:
        exchanges: frames sent so far.
    """

    def __init__(self, wire: Link, compression: str = "zlib", url: str = "slmpynet") -> None:
        _check_compression(url, compression)
        self._wire, self._compression = wire, compression
        self.close = wire.close
        self.exchanges = 0

    def reconnect(self) -> None:
        """A new connection to the same server."""
        self._wire.reconnect()

    def exchange(self, request: bytes, lines: int = 1) -> bytes:
        """Send an image's bytes, return `done` or `err`."""
        self.exchanges += 1
        return self._wire.exchange(frame(request, self._compression), lines)


class TcpWire:
    """A TCP connection that ends with any failed exchange, so that an answer that comes late is never taken for the next one."""

    def __init__(self, url: str, host: str, port: int, timeout_s: float) -> None:
        self._url, self._address, self._timeout_s = url, (host, port), timeout_s
        self._socket: socket.socket | None = self._connected()
        self._closed = False

    def _connected(self) -> socket.socket:
        try:
            connection = socket.create_connection(self._address, CONNECT_TIMEOUT_S)
        except OSError as problem:
            host, port = self._address
            raise ConnectError(f"{self._url}: no slmPy server at {host} port {port} ({problem}); it serves one client, once") from None
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def exchange(self, request: bytes, lines: int = 1) -> bytes:
        """Send a whole message, return its answer; reconnects first if the last exchange failed."""
        if self._closed:
            raise LinkClosedError(f"{self._url}: this link was closed")
        self._socket = self._socket or self._connected()
        try:
            self._check_quiet(self._socket)
            return self._answer(self._socket, request)
        except BaseException as problem:  # Ctrl-C too: the answer to this request may still be under way
            self._drop()
            if isinstance(problem, TimeoutError):
                raise LinkTimeoutError(
                    f"{self._url}: no answer within {self._timeout_s:g} s; the panel may show the old or the new frame "
                    "(an slmPy server whose client has left must be restarted)"
                ) from None
            if isinstance(problem, OSError):
                raise LinkClosedError(f"{self._url}: the connection is gone ({problem})") from None
            raise

    def _check_quiet(self, connection: socket.socket) -> None:
        connection.settimeout(0)
        try:
            stray = connection.recv(64)
        except BlockingIOError:
            return
        self._check_open(stray)
        raise DesyncError(f"{self._url}: {stray!r} came without a request")

    def _answer(self, connection: socket.socket, request: bytes) -> bytes:
        deadline = time.monotonic() + self._timeout_s
        connection.settimeout(self._timeout_s)
        connection.sendall(request)
        reply = b""
        while reply not in REPLIES:
            connection.settimeout(max(deadline - time.monotonic(), 1e-3))
            received = connection.recv(64)
            self._check_open(received)
            reply += received
            if not any(known.startswith(reply) for known in REPLIES):
                raise DesyncError(f"{self._url}: the answer is {reply!r}, not 'done' or 'err'")
        return reply

    def _check_open(self, received: bytes) -> None:
        if not received:
            raise LinkClosedError(f"{self._url}: the server closed the connection")

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def reconnect(self) -> None:
        """A new connection; nothing that still comes of the old one can be read."""
        if self._closed:
            raise LinkClosedError(f"{self._url}: this link was closed")
        self._drop()
        self._socket = self._connected()

    def close(self) -> None:
        """Close the connection for good."""
        self._closed = True
        self._drop()


def _check_compression(url: str, compression: str) -> None:
    if compression not in COMPRESSIONS:
        raise ConnectError(f"{url}: unknown compression {compression!r}; known are {', '.join(COMPRESSIONS)}")


def open_link(url: str, **options: Any) -> SlmPyLink:
    """slmpynet://host:9999?compression=zlib&timeout_s=2; compression zlib, gzip, bz2 or none, as the server was started with."""
    asked = query_options(url, {"compression": "zlib", "timeout_s": DEFAULT_TIMEOUT_S} | options)
    _check_compression(url, asked["compression"])
    if not 0 < asked["timeout_s"] < math.inf:
        raise LinkError(f"{url}: timeout_s is {asked['timeout_s']:g}; it must be positive and finite")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or DEFAULT_PORT
    except ValueError as problem:
        raise ConnectError(f"{url}: {problem}") from None
    if not host:
        raise ConnectError(f"{url}: no host; write slmpynet://host:{DEFAULT_PORT}")
    return SlmPyLink(TcpWire(url, host, port, float(asked["timeout_s"])), asked["compression"], url)
