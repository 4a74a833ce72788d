"""A client's heartbeat: a thread that tells the guardian that the client lives, as long as it does."""

from __future__ import annotations

import threading
import time
from typing import Any

import orjson
import zmq

from labonn.errors import LabonnError, LinkClosedError
from labonn.guardian.failures import error_of

A_LEASE = 5  # beats
AGAIN_S = 10.0  # until a request of which the guardian knows nothing is sent again
LOST = 3  # leases without an answer until the guardian counts as gone


class Beats:
    """Beats until `close`, while the thread that made it lives and is not hung.

    Args:
        socket: of its own, closed at the end. url: for messages. session, lease_s: as the guardian gave them.
        patience_s: seconds between two calls of the bench from which on the client counts as hung.

    Attributes:
        ended: why there is no lease any more; None while there is. accepted, answered: numbers of requests, as the guardian knows them.
    """

    def __init__(self, socket: zmq.Socket[bytes], url: str, session: str, lease_s: float, patience_s: float) -> None:
        self._socket, self._url, self._session, self._lease_s, self._patience_s = socket, url, session, lease_s, patience_s
        self._owner = threading.current_thread()
        self._heard_s = self._left_s = time.monotonic()
        self._inside, self._over = 0, threading.Event()
        self.ended: LabonnError | None = None
        self.accepted = self.answered = 0
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def __enter__(self) -> None:
        """A call of the bench begins."""
        self._inside += 1

    def __exit__(self, *_: object) -> None:
        self._left_s = time.monotonic()
        self._inside -= 1

    def check(self) -> None:
        """Raise why there is no lease any more, or that the guardian is gone."""
        if self.ended is not None:
            raise type(self.ended)(str(self.ended))
        silent_s = time.monotonic() - self._heard_s
        if silent_s > LOST * self._lease_s:
            told = f"{self._url}: the guardian has not answered for {silent_s:.1f} s"
            raise LinkClosedError(f"{told}; when it is gone its twin makes everything safe, and says so in the guardian's log")

    def lost(self, seq: int, sent_s: float) -> bool:
        """Whether a request sent then, or the reply to it, seems to have got lost; sending it again does no harm."""
        return self.answered >= seq or (self.accepted < seq and self._heard_s > sent_s + AGAIN_S)

    def _alive(self) -> bool:
        return self._owner.is_alive() and (self._inside > 0 or time.monotonic() - self._left_s < self._patience_s)

    def _run(self) -> None:
        period_s, count = self._lease_s / A_LEASE, 0
        try:
            while not self._over.wait(period_s) and self.ended is None:
                if self._alive():
                    count += 1
                    self._socket.send(orjson.dumps({"op": "beat", "session": self._session, "count": count}), zmq.DONTWAIT)
                while self._socket.poll(0):
                    self._heard(orjson.loads(self._socket.recv()))
        except zmq.Again:
            pass  # the guardian takes nothing more: `check` will find it silent
        finally:
            self._socket.close()

    def _heard(self, about: dict[str, Any]) -> None:
        if "beat" in about:
            self._heard_s = time.monotonic()
            self.accepted, self.answered = about["accepted"], about["answered"]
        elif "error" in about:
            self.ended = error_of(about["error"])

    def close(self) -> None:
        """The last beat was the last."""
        self._over.set()
        self._thread.join()
