"""Instruments behind VISA (GPIB, USB, LAN, serial): visa://RESOURCE, for instance visa://TCPIP::10.0.0.7::5025::SOCKET."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

from labonn.errors import ConnectError, LinkClosedError, MissingPackageError
from labonn.links import CONNECT_TIMEOUT_S
from labonn.transports.lines import LineLink, Stream, line_options
from labonn.transports.tcp import SocketStream

CHUNK = 1 << 16


class VisaStream:
    """A message-based VISA resource.

    A message from GPIB, USB, VXI-11 or HiSLIP comes whole, whatever bytes it has. A socket's replies have no end of their own: they are
    read to the terminator's last byte, or, once it is known how many bytes a block has left, to that number.

    Args:
        read_end: the terminator of a reply.
    """

    def __init__(self, resource: Any, where: str, read_end: bytes = b"\n") -> None:
        self._resource, self._where, self._last = resource, where, read_end[-1]
        self._counts_input = resource.resource_name.startswith("ASRL")
        self._is_socket = resource.resource_name.endswith("::SOCKET")
        self._ends_at_terminator: bool | None = None

    def write(self, data: bytes) -> None:
        """Send all of `data`."""
        try:
            self._resource.write_raw(data)
        except Exception as problem:  # backends raise bare Exception, too
            raise self._gone(problem) from problem

    def read(self, timeout_s: float, awaited: int = 0) -> bytes:
        """What has come; b"" after `timeout_s` of nothing."""
        from pyvisa.constants import StatusCode
        from pyvisa.errors import VisaIOError

        try:
            if self._counts_input and (waiting := self._resource.bytes_in_buffer):
                return bytes(self._resource.read_bytes(waiting))
            if not timeout_s and not self._is_socket:  # reading GPIB or USB without a request is an error in the instrument
                return b""
            if (timeout_ms := 1000 * timeout_s) != self._resource.timeout:
                self._resource.timeout = timeout_ms
            if self._is_socket:
                self._end_at_terminator(not awaited)
            most = 1 if self._counts_input else min(awaited or CHUNK, CHUNK)
            return bytes(self._resource.read_bytes(most, chunk_size=most, break_on_termchar=True))
        except Exception as problem:
            if isinstance(problem, VisaIOError) and problem.error_code == StatusCode.error_timeout:
                return b""
            raise self._gone(problem) from problem

    def clear(self) -> bool:
        """Device clear: on GPIB, USB, VXI-11 and HiSLIP the instrument forgets the reply that it owes."""
        if self._counts_input or self._is_socket:
            return False
        try:
            self._resource.clear()
        except Exception:  # an instrument that cannot be cleared is waited for instead
            return False
        return True

    def close(self) -> None:
        """Close the resource; the resource manager is shared and stays."""
        self._resource.close()

    def _end_at_terminator(self, wanted: bool) -> None:
        from pyvisa.constants import ResourceAttribute

        if wanted is not self._ends_at_terminator:
            self._resource.set_visa_attribute(ResourceAttribute.termchar, self._last)
            self._resource.set_visa_attribute(ResourceAttribute.termchar_enabled, wanted)
            self._ends_at_terminator = wanted

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

    def connected() -> Stream:
        try:
            resource = pyvisa.ResourceManager(merged["backend"]).open_resource(name, open_timeout=int(1000 * CONNECT_TIMEOUT_S))
        except Exception as problem:  # backends raise bare Exception, too
            told = " ".join(str(problem).split())
            raise ConnectError(
                f"visa://{name}: cannot be opened ({told}); check that the instrument is on, the resource name and the cable; "
                "`labonn discover` lists what VISA sees, `pyvisa-info` its backends"
            ) from problem
        try:
            return _stream(resource, f"visa://{name}", merged)
        except BaseException:
            resource.close()
            raise

    return LineLink(connected, f"visa://{name}", merged)


def _stream(resource: Any, where: str, options: dict[str, Any]) -> Stream:
    below = own_sockets(resource)
    for connection in below:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if len(below) == 1 and resource.resource_name.endswith("::SOCKET"):
        if problem := below[0].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise ConnectError(f"{where}: nothing answers (error {problem}); check that the instrument is on, its address and port")
        return _OwnedSocket(below[0], where, resource)
    _set_up(resource, options["baud"])
    return VisaStream(resource, where, options["read_end"].encode())


def own_sockets(resource: Any) -> list[socket.socket]:
    """The sockets below a resource of the pure-Python backend, which leaves Nagle's delay on (44 ms a write and query).

    SOCKET resources have one, VXI-11 one below its RPC client, HiSLIP two; none is known of other backends and interfaces.
    """
    session = getattr(resource.visalib, "sessions", {}).get(resource.session)
    interface = getattr(session, "interface", None)
    found = (interface, *(getattr(interface, name, None) for name in ("sock", "_sync", "_async")))
    return [each for each in found if isinstance(each, socket.socket)]


def _set_up(resource: Any, baud: int) -> None:
    """No end but the message's own; and what a vendor's VISA needs for a socket (its library has an attribute for Nagle's delay)."""
    from pyvisa.constants import ResourceAttribute, SerialTermination

    resource.read_termination = resource.write_termination = None
    if resource.resource_name.startswith("ASRL"):
        resource.baud_rate = baud
        resource.end_input = SerialTermination.none
    if resource.resource_name.endswith("::SOCKET"):
        for attribute, value in ((ResourceAttribute.tcpip_nodelay, True), (ResourceAttribute.suppress_end_enabled, False)):
            with contextlib.suppress(Exception):  # slower without it, not wrong
                resource.set_visa_attribute(attribute, value)
