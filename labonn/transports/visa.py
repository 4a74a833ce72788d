"""Instruments behind VISA (GPIB, USB, LAN, serial): visa://RESOURCE, for instance visa://TCPIP::10.0.0.7::5025::SOCKET."""

from __future__ import annotations

import socket
from typing import Any

from labonn.errors import ConnectError, LinkClosedError, MissingPackageError
from labonn.links import CONNECT_TIMEOUT_S
from labonn.transports.lines import LineLink, Stream, line_options
from labonn.transports.tcp import SocketStream

CHUNK = 1 << 16


class VisaStream:
    """A message-based VISA resource."""

    def __init__(self, resource: Any, where: str) -> None:
        self._resource, self._where = resource, where
        self._counts_input = resource.resource_name.startswith("ASRL")

    def write(self, data: bytes) -> None:
        """Send all of `data`."""
        from pyvisa.errors import VisaIOError

        try:
            self._resource.write_raw(data)
        except (VisaIOError, OSError) as problem:
            raise self._gone(problem) from problem

    def read(self, timeout_s: float) -> bytes:
        """What has come; b"" after `timeout_s` of nothing."""
        from pyvisa.constants import StatusCode
        from pyvisa.errors import VisaIOError

        try:
            if self._counts_input and (waiting := self._resource.bytes_in_buffer):
                return bytes(self._resource.read_bytes(waiting))
            if not timeout_s:  # reading GPIB or USB without a request is an error in the instrument
                return b""
            if (timeout_ms := 1000 * timeout_s) != self._resource.timeout:
                self._resource.timeout = timeout_ms
            return bytes(self._resource.read_bytes(1) if self._counts_input else self._resource.read_raw(CHUNK))
        except VisaIOError as problem:
            if problem.error_code == StatusCode.error_timeout:
                return b""
            raise self._gone(problem) from problem
        except OSError as problem:
            raise self._gone(problem) from problem

    def clear(self) -> bool:
        """Device clear: on GPIB, USB and VXI-11 the instrument forgets the reply that it owes."""
        from pyvisa.errors import VisaIOError

        if self._counts_input:
            return False
        try:
            self._resource.clear()
        except (VisaIOError, OSError):
            return False
        return True

    def close(self) -> None:
        """Close the resource; the resource manager is shared and stays."""
        self._resource.close()

    def _gone(self, problem: Exception) -> LinkClosedError:
        return LinkClosedError(f"{self._where}: the instrument is gone ({problem}); check its power and cable, then open the bench again")


class _OwnedSocket(SocketStream):
    """The socket of a VISA session, used directly, closed through VISA."""

    def __init__(self, connection: socket.socket, where: str, resource: Any) -> None:
        super().__init__(connection, where)
        self._resource = resource

    def close(self) -> None:
        self._resource.close()


def open_link(url: str, **options: Any) -> LineLink:
    """The link to a VISA resource; `backend` ("@py", "@ivi", a library's path), `baud`, and the options of `labonn.transports.lines`.

    Raises:
        MissingPackageError: PyVISA is not installed. ConnectError: the resource cannot be opened.
    """
    try:
        import pyvisa
    except ImportError as problem:
        raise MissingPackageError(f'{url}: needs PyVISA, which is not installed: pip install "labonn[visa]"') from problem
    merged = line_options(url, options, backend="")
    name = url.partition("://")[2].partition("?")[0]
    try:
        resource = pyvisa.ResourceManager(merged["backend"]).open_resource(name, open_timeout=int(1000 * CONNECT_TIMEOUT_S))
    except Exception as problem:  # backends raise bare Exception, too
        raise ConnectError(
            f"visa://{name}: cannot be opened ({problem}); check that the instrument is on, the resource name and the cable; "
            "`python -m visa info` lists the VISA backends"
        ) from problem
    try:
        stream = _stream(resource, f"visa://{name}", merged)
    except BaseException:
        resource.close()
        raise
    return LineLink(stream, f"visa://{name}", merged)


def _stream(resource: Any, where: str, options: dict[str, Any]) -> Stream:
    connection = _own_socket(resource)
    if connection is None:
        stream = VisaStream(resource, where)
        if resource.resource_name.startswith("ASRL"):
            resource.baud_rate = options["baud"]
        resource.read_termination = resource.write_termination = None
        return stream
    if problem := connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise ConnectError(f"{where}: nothing answers (error {problem}); check that the instrument is on, its address and port")
    return _OwnedSocket(connection, where, resource)


def _own_socket(resource: Any) -> socket.socket | None:
    """The plain socket below a SOCKET resource of the pure-Python backend, which leaves Nagle's delay on (44 ms a write and query)."""
    sessions = getattr(resource.visalib, "sessions", {})
    found = getattr(sessions.get(resource.session), "interface", None)
    return found if isinstance(found, socket.socket) else None
