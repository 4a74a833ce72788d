"""Emulated byte instruments served on a TCP port or a pseudo terminal of this computer, to any program that knows the real ones."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Protocol

from labonn.clock import Clock, turn
from labonn.errors import ConnectError
from sim_backends.simlinks import ByteFirmware

CHUNK = 1 << 16


class _Client(Protocol):
    """One end of a connection."""

    def fileno(self) -> int: ...
    def recv(self, size: int, /) -> bytes: ...
    def send(self, data: memoryview, /) -> int: ...
    def close(self) -> None: ...


class _Served(ABC):
    """A thread that answers clients, one after another; ends with `close` or the end of a `with` block, which gives the URL.

    The wire time of a request passes on the clock before its reply goes out, as in process: a run over either is the same.
    """

    def __init__(self, url: str, firmware: ByteFirmware, clock: Clock) -> None:
        self.url = url
        self._firmware, self._clock = firmware, clock
        self._wake, self._stop = socket.socketpair()
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"serve {url}", daemon=True)
        self._thread.start()

    def __enter__(self) -> str:
        return self.url

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving; raises what broke the emulator, if anything did."""
        if self._thread.is_alive():
            with contextlib.suppress(OSError):
                self._stop.send(b"x")
            self._thread.join()
        self._wake.close()
        self._stop.close()
        self._release()
        if self._problem is not None:
            problem, self._problem = self._problem, None
            raise problem

    def _run(self) -> None:
        try:
            while (client := self._next()) is not None:
                try:
                    if not self._answer(client):
                        return
                finally:
                    client.close()
        except Exception as problem:  # told to whoever closes: a thread has nobody else
            self._problem = problem

    def _answer(self, client: _Client) -> bool:
        """Serve one client until it hangs up (True) or serving stops (False)."""
        sent = 0
        while self._ready(client, for_writing=False):
            try:
                data = client.recv(CHUNK)
            except OSError:
                return True
            if not data:
                return True
            sent += len(data)
            try:
                with turn(self._clock):
                    reply = self._firmware.feed(data)
            except ConnectionError:  # a fault that was asked for
                return True
            if reply:
                self._clock.wait(self._firmware.wire_s(sent, len(reply)))
                sent = 0
            left = memoryview(reply)
            while left:
                if not self._ready(client, for_writing=True):
                    return False
                try:
                    left = left[client.send(left) :]
                except OSError:
                    return True
        return False

    def _ready(self, client: _Client | socket.socket, for_writing: bool) -> bool:
        """Wait for `client`; False when serving is to stop."""
        ends = [client] if for_writing else []
        readable, _, _ = select.select([self._wake] if for_writing else [self._wake, client], ends, [])
        return self._wake not in readable

    @abstractmethod
    def _next(self) -> _Client | None:
        """The next client, or None when serving is to stop."""

    @abstractmethod
    def _release(self) -> None:
        """Let go of what was opened."""


class TcpServed(_Served):
    """One client at a time; the next is accepted when it has gone."""

    def __init__(self, firmware: ByteFirmware, clock: Clock, host: str, port: int) -> None:
        if host not in ("127.0.0.1", "localhost"):
            raise ConnectError(f"{host}: emulated instruments are served on this computer only; use 127.0.0.1")
        self._listener = socket.create_server((host, port))
        super().__init__(f"tcp://127.0.0.1:{self._listener.getsockname()[1]}", firmware, clock)

    def _next(self) -> _Client | None:
        if not self._ready(self._listener, for_writing=False):
            return None
        client, _ = self._listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def _release(self) -> None:
        self._listener.close()


class _Terminal:
    """The instrument's end of a pseudo terminal."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        return self._fd

    def recv(self, size: int, /) -> bytes:
        return os.read(self._fd, size)

    def send(self, data: memoryview, /) -> int:
        return os.write(self._fd, data[:512])  # a full terminal would block; select promises room for this much

    def close(self) -> None:
        """The terminal outlives its clients."""


class PtyServed(_Served):
    """A serial port that is not there; its clients open it by name, one at a time."""

    def __init__(self, firmware: ByteFirmware, clock: Clock) -> None:
        import tty

        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)  # held open, so that the line survives its clients
        self._fds = [self._ours, self._theirs]
        super().__init__(f"serial://{os.ttyname(self._theirs)}", firmware, clock)

    def _next(self) -> _Client | None:
        return _Terminal(self._ours)

    def _release(self) -> None:
        while self._fds:
            os.close(self._fds.pop())


def serve_tcp(firmware: ByteFirmware, clock: Clock, host: str = "127.0.0.1", port: int = 0) -> TcpServed:
    """Serve on a TCP port of this computer (0: any free one): `with serve_tcp(…) as url`.

    Raises:
        ConnectError: `host` is not this computer.
    """
    return TcpServed(firmware, clock, host, port)


def serve_pty(firmware: ByteFirmware, clock: Clock) -> PtyServed:
    """Serve on a pseudo terminal: `with serve_pty(…) as url` gives serial:///dev/pts/N."""
    return PtyServed(firmware, clock)
