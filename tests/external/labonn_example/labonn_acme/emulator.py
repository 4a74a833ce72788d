"""Acme LS8 current source from its (made-up) programming manual: bytes in, bytes out, as strict as the instrument."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

FULL_SCALE_MA, CHANNELS, BITS_A_BYTE, BAUD, LONGEST = 200.0, 8, 10, 57600, 256
UNKNOWN, BAD_VALUE, OVER_LIMIT = "1 unknown command", "2 bad value", "3 over limit"


class Refused(Exception):
    """Answered by `ERR`."""


class AcmeLs8Firmware:
    """Eight sources. `currents_a` (8,) is what flows."""

    def __init__(self, serial: int = 1) -> None:
        self.serial, self.on = serial, False
        self.limits_ma, self.set_ma = np.full(CHANNELS, FULL_SCALE_MA), np.zeros(CHANNELS)
        self._input, self._told = b"", np.full(CHANNELS, np.nan)

    @classmethod
    def for_port(cls, options: Mapping[str, Any], channels: int, seed: int) -> AcmeLs8Firmware:
        """The instrument of a port; its serial number follows from the seed."""
        return cls(1000 + seed % 9000)

    @property
    def currents_a(self) -> NDArray[np.float64]:
        return self.set_ma * 1e-3 * self.on

    def changes(self) -> tuple[list[int], list[float], list[float]]:
        """(channels, volts, amperes) that are others than at the last call, into 10 ohm."""
        now = self.currents_a
        channels = np.flatnonzero(now != self._told).tolist()
        self._told = now
        return channels, (10 * now[channels]).tolist(), now[channels].tolist()

    def wire_s(self, sent: int, received: int) -> float:
        """Seconds on the serial line."""
        return (sent + received) * BITS_A_BYTE / BAUD

    def feed(self, data: bytes) -> bytes:
        """Replies to all lines that `data` completes."""
        *lines, self._input = (self._input + data).split(b"\n")
        self._input = self._input[-LONGEST:]
        return b"".join(self._answer(line.decode("latin-1").strip()) for line in lines)

    def _answer(self, line: str) -> bytes:
        command, _, value = line.partition(" ")
        try:
            return f"OK {self._run(command, value)}\n".encode()
        except Refused as refused:
            return f"ERR {refused}\n".encode()

    def _run(self, command: str, value: str) -> str:
        if command in ("ID", "MAX") and not value:
            return f"ACME LS8 {self.serial}" if command == "ID" else f"{FULL_SCALE_MA:.3f}"
        if command == "OUT":
            if value not in ("", "0", "1"):
                raise Refused(BAD_VALUE)
            self.on = value == "1" if value else self.on
            return f"{self.on:d}"
        if command not in ("LIM", "CUR"):
            raise Refused(UNKNOWN)
        held = self.limits_ma if command == "LIM" else self.set_ma
        if value:
            held[:] = self._values(value, np.full(CHANNELS, FULL_SCALE_MA) if command == "LIM" else self.limits_ma)
        return ",".join(f"{one:.3f}" for one in held)

    def _values(self, text: str, most: NDArray[np.float64]) -> NDArray[np.float64]:
        try:
            values = np.array([float(one) for one in text.split(",")])
        except ValueError:
            raise Refused(BAD_VALUE) from None
        if values.shape != (CHANNELS,) or not np.all(np.isfinite(values)):
            raise Refused(BAD_VALUE)
        if np.any((values < 0) | (values > most + 1e-9)):
            raise Refused(OVER_LIMIT)
        return np.round(values, 3)
