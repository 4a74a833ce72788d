"""Multipart instruments in process, and served on a ZeroMQ socket."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol

import zmq

from labonn.clock import Clock, turn
from labonn.links import Buffer


class MessageFirmware(Protocol):
    """An emulated instrument that takes multipart messages."""

    def handle_parts(self, parts: Sequence[Buffer]) -> list[bytes]: ...
    def wire_s(self, sent: int, received: int) -> float: ...


def answer(firmware: MessageFirmware, clock: Clock, parts: Sequence[Buffer]) -> list[bytes]:
    """The firmware's reply; the time on its wire passes on the simulated clock."""
    with turn(clock):
        reply = firmware.handle_parts(parts)
    clock.wait(firmware.wire_s(sum(map(len, parts)), sum(map(len, reply))))
    return reply


class SimulatedMessageLink:
    """A MessageLink into an emulated instrument of this process."""

    def __init__(self, firmware: MessageFirmware, clock: Clock) -> None:
        self._firmware, self._clock = firmware, clock
        self.exchanges = 0

    def exchange_parts(self, parts: Sequence[Buffer]) -> list[bytes]:
        """The reply to `parts`."""
        self.exchanges += 1
        return answer(self._firmware, self._clock, parts)

    def close(self) -> None:
        """Nothing to let go of."""


class ZmqServer:
    """Serves an emulated instrument on a loopback socket, in a thread; `url` is where."""

    def __init__(self, firmware: MessageFirmware, clock: Clock, port: int = 0) -> None:
        self._firmware, self._clock = firmware, clock
        self._context = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.REP)
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
                self._socket.send_multipart(answer(self._firmware, self._clock, self._socket.recv_multipart()))

    def close(self) -> None:
        """Stop serving."""
        self._stop.set()
        self._thread.join()
        self._socket.close()
        self._context.term()
