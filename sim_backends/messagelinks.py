"""Multipart instruments in process, and served on a ZeroMQ socket."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol

import zmq

from labonn.clock import Clock, turn
from labonn.errors import DesyncError, LinkTimeoutError
from labonn.links import DEFAULT_TIMEOUT_S, Buffer


class MessageFirmware(Protocol):
    """An emulated instrument that takes multipart messages."""

    def handle_parts(self, parts: Sequence[Buffer]) -> list[bytes]: ...
    def wire_s(self, sent: int, received: int) -> float: ...


def answers(firmware: MessageFirmware, clock: Clock, parts: Sequence[Buffer]) -> list[list[bytes]]:
    """The firmware's reply, or none or several from one with a fault; the time on its wire passes on the simulated clock."""
    with turn(clock):
        replies: list[list[bytes]] = firmware.replies(parts) if hasattr(firmware, "replies") else [firmware.handle_parts(parts)]
    received = sum(len(part) for reply in replies for part in reply)
    clock.wait(firmware.wire_s(sum(map(len, parts)), received))
    return replies


class SimulatedMessageLink:
    """A MessageLink into an emulated instrument of this process; as over a socket, what is late or double is never an answer."""

    def __init__(self, firmware: MessageFirmware, clock: Clock, where: str = "sim://", timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self._firmware, self._clock, self._where, self._timeout_s = firmware, clock, where, timeout_s
        self._unread = 0
        self.exchanges, self.reconnects = 0, 0

    def exchange_parts(self, parts: Sequence[Buffer]) -> list[bytes]:
        """The reply to `parts` (labonn.transports.zmq)."""
        if self._unread:
            self._unread = 0
            raise DesyncError(f"{self._where}: a reply that nobody waited for (a late or doubled one); nothing was sent")
        self.exchanges += 1
        replies = answers(self._firmware, self._clock, parts)
        if not replies:
            self._clock.wait(self._timeout_s)
            raise LinkTimeoutError(f"{self._where}: no reply within {self._timeout_s:g} s; what the instrument did is unknown")
        self._unread = len(replies) - 1
        return replies[0]

    def reconnect(self) -> None:
        """A new connection to the same instrument; replies to the old one are dropped."""
        self._unread = 0
        self.reconnects += 1

    def close(self) -> None:
        """Nothing to let go of."""


class ZmqServer:
    """Serves an emulated instrument on a loopback socket, in a thread; `url` is where."""

    def __init__(self, firmware: MessageFirmware, clock: Clock, port: int = 0) -> None:
        self._firmware, self._clock = firmware, clock
        self._context = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.ROUTER)
        self._socket.linger = 0
        try:
            self._socket.bind(f"tcp://127.0.0.1:{port or '*'}")
        except zmq.ZMQError:
            self._socket.close()
            self._context.term()
            raise
        self.url = "zmq://" + self._socket.getsockopt_string(zmq.LAST_ENDPOINT).removeprefix("tcp://")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=f"serve {self.url}", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._stop.is_set():
            if self._socket.poll(50):
                message = self._socket.recv_multipart()
                head = message.index(b"") + 1 if b"" in message else len(message)  # a DEALER's or REQ's envelope
                for reply in answers(self._firmware, self._clock, message[head:]):
                    self._socket.send_multipart([*message[:head], *reply])

    def close(self) -> None:
        """Stop serving."""
        self._stop.set()
        self._thread.join()
        self._socket.close()
        self._context.term()
