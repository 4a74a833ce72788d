"""Asks a dashboard as a page does, by the standard library alone."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

DEADLINE_S = 20.0


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON, in which NaN and infinities are refused."""
        return json.loads(self.body, parse_constant=_refused)


def ask(url: str, path: str, headers: Mapping[str, str] | None = None, post: Any = None) -> Answer:
    """One request; `post`: something to send as JSON, or bytes."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=DEADLINE_S)
    with contextlib.closing(connection):
        body = post if isinstance(post, bytes) or post is None else json.dumps(post).encode()
        connection.request("GET" if post is None else "POST", path, body, dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())


def get(url: str, path: str) -> Any:
    """The JSON of an answer that must be one."""
    answer = ask(url, path)
    assert answer.status == 200, answer.body
    return answer.json


@dataclass
class Events:
    """Server-sent events as they come in: (time.monotonic, kind, data). ended: whether the server has hung up."""

    seen: list[tuple[float, str, Any]] = field(default_factory=list)
    ended: bool = False

    def of(self, kind: str) -> list[Any]:
        """The data of all of that kind."""
        return [data for _, one, data in list(self.seen) if one == kind]


@contextlib.contextmanager
def listening(url: str, path: str = "/api/live") -> Iterator[Events]:
    """Events of a stream that is open for this long."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=DEADLINE_S)
    connection.request("GET", path)
    response = connection.getresponse()
    assert response.status == 200, response.read()
    assert response.getheader("content-type", "").startswith("text/event-stream")
    events = Events()

    def read() -> None:
        kind = ""
        with contextlib.suppress(OSError, ValueError, AttributeError, http.client.HTTPException):
            while line := response.readline().decode():
                name, _, value = line.strip().partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    events.seen.append((time.monotonic(), kind, json.loads(value)))
        events.ended = True

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield events
    finally:
        if connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(2)
        thread.join(DEADLINE_S)
        response.close()
        connection.close()


def until(true: Callable[[], Any], what: str = "") -> Any:
    """What it returns as soon as that is true; fails after DEADLINE_S."""
    end_s = time.monotonic() + DEADLINE_S
    while not (found := true()):
        assert time.monotonic() < end_s, f"not in {DEADLINE_S:g} s: {what}"
        threading.Event().wait(0.01)
    return found


def _refused(word: str) -> None:
    raise ValueError(f"{word} is no JSON")
