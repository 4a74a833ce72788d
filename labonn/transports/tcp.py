"""Instruments on a plain TCP socket: tcp://host:port."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

from labonn.errors import ConnectError, LinkClosedError
from labonn.links import CONNECT_TIMEOUT_S
from labonn.transports.lines import LineLink, line_options

CHUNK = 1 << 16


class SocketStream:
    """A connected socket, told to send every request at once (TCP_NODELAY)."""

    def __init__(self, connection: socket.socket, where: str) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket, self._where = connection, where

    def write(self, data: bytes) -> None:
        """Send all of `data`."""
        try:
            self._socket.settimeout(None)
            self._socket.sendall(data)
        except OSError as problem:
            raise self._gone(problem) from problem

    def read(self, timeout_s: float, awaited: int = 0) -> bytes:
        """What has come; b"" after `timeout_s` of nothing."""
        try:
            self._socket.settimeout(timeout_s)
            data = self._socket.recv(CHUNK)
        except (BlockingIOError, TimeoutError):
            return b""
        except OSError as problem:
            raise self._gone(problem) from problem
        if not data:
            raise self._gone("it closed the connection")
        return data

    def clear(self) -> bool:
        """A socket cannot call back what the instrument has yet to send."""
        return False

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _gone(self, problem: OSError | str) -> LinkClosedError:
        return LinkClosedError(f"{self._where}: the instrument is gone ({problem}); check its power and network, then open the bench again")


def open_link(url: str, **options: Any) -> LineLink:
    """The link to tcp://host:port; options as in `labonn.transports.lines`.

    Raises:
        ConnectError: nothing answers there within 0.3 s.
    """
    merged = line_options(url, options)
    parts = urlsplit(url)
    try:
        address = (parts.hostname or "", parts.port or 0)
    except ValueError as problem:
        raise ConnectError(f"{url}: {problem}; write tcp://host:port") from problem
    if not all(address):
        raise ConnectError(f"{url}: needs a host and a port; write tcp://host:port")
    where = f"tcp://{address[0]}:{address[1]}"

    def connected() -> SocketStream:
        try:
            return SocketStream(socket.create_connection(address, CONNECT_TIMEOUT_S), where)
        except OSError as problem:
            raise ConnectError(f"{where}: nothing answers ({problem}); {_advice(problem)}") from problem

    return LineLink(connected, where, merged)


def _advice(problem: OSError) -> str:
    if isinstance(problem, ConnectionRefusedError):
        return "a computer is there, but nothing listens on this port: check that the instrument is on, and the port's number"
    if isinstance(problem, socket.gaierror):
        return "no computer has this name: check it, or write the number of its address"
    return "check that the instrument is on, its address, the cable, and that no other program holds its only connection"
