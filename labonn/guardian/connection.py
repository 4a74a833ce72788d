"""A client's connection to a guardian: one request, one reply, in order; whatever is late is dropped."""

from __future__ import annotations

import getpass
import math
import os
import secrets
import shlex
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import zmq

from labonn.errors import ConnectError, DesyncError
from labonn.guardian.arrays import viewed
from labonn.guardian.failures import error_of
from labonn.guardian.keys import LOOPBACK, client_keys
from labonn.guardian.looking import comes_soon
from labonn.links import query_options

ANSWER_S, LOOK_MS = 5.0, 250
SPIN_S = 5e-3  # in which a reply is looked for without falling asleep
SCHEMES = ("zmq", "ipc")
Reply = tuple[dict[str, Any], list[Any]]


def is_url(where: object) -> bool:
    """Whether this names a guardian, not a bench file."""
    return isinstance(where, str) and where.partition("://")[0] in SCHEMES and "://" in where


def who() -> dict[str, Any]:
    """Who this process is."""
    module = getattr(sys.modules.get("__main__"), "__spec__", None)
    name = Path(sys.argv[0]).name if module is None else module.name.partition(".")[0]
    what = shlex.join([name, *sys.argv[1:]])
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        user = "?"
    return {"user": user[:200] or "?", "host": socket.gethostname()[:200] or "?", "pid": os.getpid(), "what": what[:500]}


class Connection:
    """Sockets to one guardian.

    Args:
        url: zmq://HOST:PORT?server_key=FILE&client_key=FILE, or ipc://PATH.

    Raises:
        ConnectError: no such address, keys are needed or cannot be read.
    """

    def __init__(self, url: str) -> None:
        options = query_options(url, {"server_key": "", "client_key": ""})
        parts = urlsplit(url)
        self.url = url.partition("?")[0]
        if not is_url(url) or (parts.scheme == "zmq" and not _port(parts)):
            raise ConnectError(f"{url}: zmq://HOST:PORT or ipc://PATH is wanted, as `labonn serve` prints it")
        keyed = any(options.values())
        if not keyed and parts.scheme == "zmq" and parts.hostname not in LOOPBACK:
            raise ConnectError(f"{url}: a guardian on another computer needs keys: add ?server_key=FILE&client_key=FILE")
        self._keys = client_keys(url, options["server_key"], options["client_key"]) if keyed else None
        self._address = f"tcp://{parts.netloc}" if parts.scheme == "zmq" else self.url
        self._context: zmq.Context[Any] = zmq.Context()
        try:
            self._socket = self.socket()
        except ConnectError:
            self._context.term()
            raise

    def socket(self) -> zmq.Socket[bytes]:
        """A new socket, for one thread."""
        socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        socket.linger, socket.ipv6 = 0, True
        if self._keys is not None:
            socket.curve_serverkey, socket.curve_publickey, socket.curve_secretkey = self._keys
        try:
            socket.connect(self._address)
        except zmq.ZMQError as problem:
            socket.close()
            raise ConnectError(f"{self.url}: cannot be connected to: {problem}") from None
        return socket

    def renew(self) -> None:
        """A new socket: half a message may lie in the old one."""
        self._socket.close()
        self._socket = self.socket()

    def send(self, header: dict[str, Any], frames: Sequence[Any] = ()) -> None:
        """Send, and wait for nothing."""
        self._socket.send_multipart([orjson.dumps(header), *frames])

    def ask_once(self, header: dict[str, Any], key: str, answer_s: float | None = None, gone: Callable[[], bool] | None = None) -> Reply:
        """The answer to a request without a number, which has `key`.

        Args:
            gone: whether the guardian is known to have ended, asked while there is no answer.

        Raises:
            ConnectError: nothing answers.
        """
        answer_s = ANSWER_S if answer_s is None else answer_s
        self.send(header)
        until_s = time.monotonic() + answer_s
        while (left := until_s - time.monotonic()) > 0:
            over = gone is not None and gone()  # asked before the last look for an answer
            if self._socket.poll(math.ceil(1000 * left) if gone is None else LOOK_MS):
                about, frames = self._received()
                if key in about or "error" in about or "refused" in about:
                    return about, frames
            elif over:
                told = "what it guards it makes safe as it ends, and its twin does if it was killed"
                raise ConnectError(f"{self.url}: this guardian ended before it answered; {told}. `labonn safe --bench FILE` makes sure")
        keys = " (or it does not know these keys)" if self._keys is not None else ""
        raise ConnectError(f"{self.url}: no guardian answers there within {answer_s:g} s{keys}; `labonn serve BENCH` starts one")

    def ask(self, header: dict[str, Any], frames: Sequence[Any], check: Callable[[int], bool]) -> Reply:
        """The reply to a numbered request.

        Args:
            check: called with its number while there is no reply; raises if there will be none, True if it should be sent again.
        """
        self.send(header, frames)
        while True:
            while not comes_soon(self._socket, time.perf_counter() + SPIN_S) and not self._socket.poll(LOOK_MS):
                if check(header["seq"]):
                    self.send(header, frames)
            about, arrays = self._received()
            if about.get("seq") == header["seq"] or "ended" in about:
                return about, arrays

    def await_end(self, wait_s: float) -> dict[str, Any] | None:
        """What the guardian tells when it has done all that the end of a lease asks for; None: nothing in time."""
        until_s = time.monotonic() + wait_s
        while (left := until_s - time.monotonic()) > 0:
            if self._socket.poll(math.ceil(1000 * left)) and "ended" in (about := self._received()[0]):
                return about
        return None

    def _received(self) -> Reply:
        frames = self._socket.recv_multipart(copy=False)
        try:
            about = orjson.loads(frames[0].bytes)
            pairs = zip(about.get("arrays", ()), frames[1:], strict=True)
            return about, [viewed(item["dtype"], item["shape"], item["order"], frame.buffer) for item, frame in pairs]
        except (ValueError, AttributeError, KeyError, TypeError) as problem:
            raise DesyncError(f"{self.url}: a reply that no guardian gives: {problem}") from None

    def sound(self, about: dict[str, Any]) -> dict[str, Any]:
        """The reply, unless it tells of an error.

        Raises:
            DesyncError: the request was refused. LeaseError: the lease has ended. Others: what went wrong there.
        """
        if "refused" in about:
            raise DesyncError(f"{self.url}: the guardian refused a message: {about['refused']}")
        for key in ("error", "ended"):
            if key in about:
                raise error_of(about[key])
        return about

    def close(self) -> None:
        """Close everything; other sockets must be closed already."""
        self._socket.close()
        self._context.term()


def nonce() -> str:
    """A word that was never used."""
    return secrets.token_hex(16)


def _port(parts: Any) -> bool:
    try:
        return bool(parts.hostname and parts.port and parts.path in ("", "/"))
    except ValueError:
        return False
