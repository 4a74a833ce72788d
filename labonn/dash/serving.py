"""The dashboard on a port of this computer: in the foreground until a signal comes, or in a thread of a program."""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import uvicorn

from labonn.dash.app import Pages
from labonn.dash.guarding import Door
from labonn.errors import LabonnError

PORT, TRIED = 8080, 20
NICE = 10  # a run comes first
END_S = 1  # that open answers may take at the end


class Server(uvicorn.Server):
    """uvicorn's, which ends event streams at once: it would wait for them."""

    def __init__(self, pages: Pages) -> None:
        quiet: Any = {"log_level": logging.WARNING, "access_log": False, "ws": "none", "log_config": None}
        quiet |= {"server_header": False, "proxy_headers": False}
        config = uvicorn.Config(pages.app(), loop="asyncio", http="h11", timeout_graceful_shutdown=END_S, **quiet)
        super().__init__(config)
        self._pages = pages

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End."""
        self._pages.live.over.set()
        await super().shutdown(sockets)


def bound(host: str, port: int | None) -> socket.socket:
    """A socket at that port, or without one at the first free port from PORT on.

    Raises:
        LabonnError: it is taken, or there is no such host.
    """
    for one in [port] if port is not None else [*range(PORT, PORT + TRIED), 0]:
        try:
            family, kind, _, _, address = socket.getaddrinfo(host, one, type=socket.SOCK_STREAM)[0]
            made = socket.socket(family, kind, socket.IPPROTO_TCP)  # unless it is called TCP, asyncio lets small answers wait for 40 ms
            if os.name == "posix":
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # or the port stays taken for a minute after a dashboard
            made.bind(address)
        except OSError as problem:
            if isinstance(problem, socket.gaierror):
                raise LabonnError(f"--host {host}: is no address of this computer: {problem.strerror}") from None
            made.close()
            if problem.errno == errno.EADDRINUSE and port is None:
                continue
            why = {errno.EADDRINUSE: "is taken, perhaps by another dashboard; leave --port out for the next free one"}
            told = why.get(problem.errno or 0, f"cannot be used: {problem.strerror}")
            raise LabonnError(f"--port {one} at {host}: {told}") from None
        return made
    raise LabonnError(f"--host {host}: no port is free")


def url_of(host: str, made: socket.socket) -> str:
    """What to type into a browser."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{made.getsockname()[1]}"


def serve(folder: Path, made: socket.socket, door: Door, ready: Callable[[], object] = lambda: None) -> None:
    """Until a signal comes; this process gives way to others from now on."""
    if hasattr(os, "nice"):
        os.nice(NICE)
    server = Server(Pages(folder, door))
    with made:
        made.listen(128)
        ready()
        server.run(sockets=[made])


class Dashboard:
    """In a thread of this process, for programs and tests: `with Dashboard(Path("runs")) as url`.

    Attributes:
        pages: what it answers. url: where.
    """

    def __init__(self, folder: Path, port: int = 0, door: Door | None = None) -> None:
        self.pages = Pages(folder, door or Door())
        self._socket = bound(self.pages.door.host, port)
        self.url = url_of(self.pages.door.host, self._socket)
        self._server = Server(self.pages)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="dashboard")

    def __enter__(self) -> str:
        self._socket.listen(128)  # whoever asks before the server is there waits for it
        self._thread.start()
        return self.url

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()
