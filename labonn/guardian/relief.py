"""Two threads that take turns at one socket: the main one, and while that is busy with the bench, another."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import zmq


class Relief:
    """Takes messages as soon as the main thread has been busy for a while; a short play costs no change of threads.

    Args:
        context: of a socket that calls it back. busy_s: how long the main thread has been busy, 0 if it is not.
        serve: with a socket that is readable when the main thread wants its turn again: takes messages until then.

    Attributes:
        turn: held by the thread that uses the guardian's socket and decides.
    """

    AFTER_S = 0.025

    def __init__(self, context: zmq.Context[Any], busy_s: Callable[[], float], serve: Callable[[zmq.Socket[bytes]], None]) -> None:
        self.turn = threading.Lock()
        self._busy_s, self._serve = busy_s, serve
        self._back, self._call = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
        self._back.bind("inproc://back")
        self._call.connect("inproc://back")
        self._over, self._wanted = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="relief", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(self.AFTER_S):
            if self._busy_s() > self.AFTER_S and not self._wanted.is_set():
                with self.turn:
                    while self._back.poll(0):
                        self._back.recv()
                    while self._busy_s() and not self._wanted.is_set():
                        self._serve(self._back)

    def take(self) -> None:
        """The main thread's turn again, at once."""
        if not self.turn.acquire(blocking=False):
            self._wanted.set()  # stays, until it has it: on a busy computer it queues so late that the other would take it again
            self._call.send(b"")
            self.turn.acquire()
            self._wanted.clear()

    def close(self) -> None:
        """End the thread; the turn must be free."""
        self._over.set()
        self._thread.join()
        self._call.close()
        self._back.close()
