"""Questions to a guardian that need no lease: how things are, and that everything be made safe now."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from labonn.errors import LabonnError
from labonn.guardian.connection import Connection, nonce, who
from labonn.guardian.places import guardians

SAFE_S = 120.0  # ramps take their time


def status(url: str) -> dict[str, Any]:
    """How a guardian and its bench are.

    Raises:
        ConnectError: none answers.
    """
    with contextlib.closing(Connection(url)) as connection:
        about, _ = connection.ask_once({"op": "status"}, "status")
        found: dict[str, Any] = connection.sound(about)["status"]
        return found


def statuses() -> list[dict[str, Any]]:
    """How all guardians of this user on this computer are; of one that does not answer what its file tells, and "silent": why."""
    told = guardians()
    with ThreadPoolExecutor(max(1, len(told))) as pool:  # one that hangs must not keep the others waiting
        return list(pool.map(_status_or_silence, told))


def _status_or_silence(told: dict[str, Any]) -> dict[str, Any]:
    if told.get("keys"):
        return {**told, "silent": "it wants keys: labonn status 'zmq://HOST:PORT?server_key=FILE&client_key=FILE'"}
    try:
        return status(told["address"])
    except LabonnError as problem:
        return {**told, "silent": str(problem)}


class BenchUrl:
    """A guardian's URL where a path of a bench file is wanted as well."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __str__(self) -> str:
        return self.url

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other)

    def __hash__(self) -> int:
        return hash(self.url)

    def is_file(self) -> bool:
        """Its guardian has one."""
        return True

    def read_bytes(self) -> bytes:
        """The bench file, as the guardian tells it."""
        with contextlib.closing(Connection(self.url)) as connection:
            about, _ = connection.ask_once({"op": "file"}, "file")
            return str(connection.sound(about)["file"]["text"]).encode()


def make_safe(url: str) -> dict[str, Any]:
    """Make everything safe now; whoever has the lease loses it.

    Returns:
        safe: ports. holder: who had the lease, or None.

    Raises:
        ConnectError: no guardian answers. UnknownStateError: not everything could be made safe.
    """
    status(url)  # which answers at once, if it answers at all
    here = _listed(url)
    with contextlib.closing(Connection(url)) as connection:
        request = {"op": "safe", "nonce": nonce(), "who": who()}
        about, _ = connection.ask_once(request, "safe", SAFE_S, (lambda: not _listed(url)) if here else None)
        return connection.sound(about)


def _listed(url: str) -> bool:
    """Whether it is a guardian of this user on this computer, and runs."""
    return any(told["address"] == url.partition("?")[0] for told in guardians())
