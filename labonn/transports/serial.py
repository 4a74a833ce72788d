"""Instruments on a serial port, 8 data bits, no parity, 1 stop bit: serial:///dev/ttyUSB0?baud=115200 (or serial://COM3)."""

from __future__ import annotations

import errno
import os
from typing import Any

import serial
from serial.tools import list_ports

from labonn.errors import ConnectError, LinkClosedError
from labonn.transports.lines import LineLink, line_options


class SerialStream:
    """An open serial port, owned alone."""

    def __init__(self, port: serial.Serial, where: str) -> None:
        self._port, self._where = port, where

    def write(self, data: bytes) -> None:
        """Send all of `data`."""
        try:
            self._port.write(data)
        except OSError as problem:  # pyserial's own errors are OSErrors
            raise self._gone(problem) from problem

    def read(self, timeout_s: float, awaited: int = 0) -> bytes:
        """What has come; b"" after `timeout_s` of nothing."""
        try:
            waiting = self._port.in_waiting
            if waiting or not timeout_s:
                return self._port.read(waiting) if waiting else b""
            if timeout_s != self._port.timeout:  # setting it reprograms the port: only when it changes
                self._port.timeout = timeout_s
            first = self._port.read(1)
            return first + self._port.read(self._port.in_waiting) if first else b""
        except OSError as problem:
            raise self._gone(problem) from problem

    def clear(self) -> bool:
        """A serial port cannot call back what the instrument has yet to send."""
        return False

    def close(self) -> None:
        """Close the port."""
        self._port.close()

    def _gone(self, problem: OSError) -> LinkClosedError:
        return LinkClosedError(f"{self._where}: the port is gone ({problem}); check cable and power, then open the bench again")


def open_link(url: str, **options: Any) -> LineLink:
    """The link to a serial port; `baud` and the options of `labonn.transports.lines`.

    Raises:
        ConnectError: there is no such port, or another program holds it.
    """
    merged = line_options(url, options)
    name = url.partition("://")[2].partition("?")[0]

    def connected() -> SerialStream:
        try:
            port = serial.Serial(name, merged["baud"], timeout=merged["timeout_s"], write_timeout=merged["timeout_s"], exclusive=True)
        except (OSError, ValueError) as problem:
            raise ConnectError(f"serial://{name}: {_why(name, problem)}") from problem
        return SerialStream(port, f"serial://{name}")

    return LineLink(connected, f"serial://{name}", merged)


def _why(name: str, problem: Exception) -> str:
    """Why a port cannot be opened, and what to do about it."""
    number = getattr(problem, "errno", None)
    if number in (errno.EACCES, errno.EPERM):
        return f"you may not use this port: `sudo usermod -aG {_group(name)} $USER`, then log in again"
    if number in (errno.EBUSY, errno.EAGAIN):
        return "is in use; see that no other program holds it (`labonn status` tells of guardians)"
    if number == errno.ENOENT:
        there = ", ".join(sorted(p.device for p in list_ports.comports())) or "none"
        return f"there is no such port; this computer has: {there}; check the cable, and `labonn discover`"
    return f"cannot be opened ({problem}); check the cable, and that no other program holds it"


def _group(name: str) -> str:
    """The group that may use the port; Debian's, where that cannot be told."""
    try:
        import grp

        return grp.getgrgid(os.stat(name).st_gid).gr_name
    except (ImportError, OSError, KeyError):
        return "dialout"
