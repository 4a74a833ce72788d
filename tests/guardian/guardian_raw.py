"""A client that says what it wants to a guardian, in bare ZeroMQ: right or wrong, twice, late, or to nobody."""

from __future__ import annotations

import json
import secrets
from types import TracebackType
from typing import Any, Self

import zmq

WHO = {"user": "test", "host": "here", "pid": 1}


class Raw:
    """A DEALER socket. keys: (server's public, own public, own secret)."""

    def __init__(self, address: str, keys: tuple[bytes, bytes, bytes] | None = None) -> None:
        self._context: zmq.Context[Any] = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        self.socket.linger = 0
        if keys is not None:
            self.socket.curve_serverkey, self.socket.curve_publickey, self.socket.curve_secretkey = keys
        self.socket.connect(address.replace("zmq://", "tcp://"))
        self.session, self.count, self.seq = "", 0, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self.socket.close()
        self._context.term()

    def send(self, header: Any, *frames: bytes) -> None:
        """One message."""
        self.socket.send_multipart([header if isinstance(header, bytes) else json.dumps(header).encode(), *frames])

    def heard(self, wait_s: float = 5.0) -> dict[str, Any] | None:
        """The header of the next message, or None."""
        if not self.socket.poll(1000 * wait_s):
            return None
        found: dict[str, Any] = json.loads(self.socket.recv_multipart()[0])
        return found

    def ask(self, header: Any, *frames: bytes) -> dict[str, Any]:
        """Its answer."""
        self.send(header, *frames)
        found = self.heard()
        assert found is not None, f"no answer to {header}"
        return found

    def hello(self, nonce: str = "") -> dict[str, Any]:
        """Ask for the lease; in `session` if it was given."""
        about = self.ask({"op": "hello", "version": 1, "nonce": nonce or secrets.token_hex(16), "who": WHO})
        self.session = about.get("result", {}).get("session", "")
        return about

    def beat(self) -> dict[str, Any]:
        """A beat's answer."""
        self.count += 1
        return self.ask({"op": "beat", "session": self.session, "count": self.count})

    def request(self, op: str, **fields: Any) -> dict[str, Any]:
        """The next request of the session."""
        self.seq += 1
        return {"op": op, "session": self.session, "seq": self.seq, **fields}
