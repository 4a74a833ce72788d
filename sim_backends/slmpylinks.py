"""slmPy's network server in process: the real link's framing and compression over an emulator's bytes."""

from __future__ import annotations

from labonn.clock import Clock
from labonn.errors import LinkClosedError, LinkTimeoutError
from labonn.links import DEFAULT_TIMEOUT_S
from labonn.transports.slmpy import SlmPyLink
from sim_backends.simlinks import ByteFirmware


class FeedWire:
    """A wire into an emulator that answers a whole message at once; its time passes on the simulated clock."""

    def __init__(self, firmware: ByteFirmware, clock: Clock, where: str) -> None:
        self._firmware, self._clock, self._where = firmware, clock, where
        self._closed = False

    def exchange(self, request: bytes, lines: int = 1) -> bytes:
        """The emulator's answer to a whole message."""
        if self._closed:
            raise LinkClosedError(f"{self._where}: this link was closed")
        try:
            reply = self._firmware.feed(request)
        except ConnectionError as problem:
            raise LinkClosedError(f"{self._where}: {problem}; what the request did is unknown") from None
        self._clock.wait(self._firmware.wire_s(len(request), len(reply)))
        if not reply:
            self._clock.wait(DEFAULT_TIMEOUT_S)
            raise LinkTimeoutError(f"{self._where}: no answer within {DEFAULT_TIMEOUT_S:g} s")
        return reply

    def reconnect(self) -> None:
        """A new connection to the same emulator."""

    def close(self) -> None:
        """Let go of the emulator; it stays as it is."""
        self._closed = True


def simulated_link(firmware: ByteFirmware, clock: Clock, where: str = "sim://") -> SlmPyLink:
    """What `slmpynet://host:port` gives, into an emulator of this process."""
    return SlmPyLink(FeedWire(firmware, clock, where), url=where)
