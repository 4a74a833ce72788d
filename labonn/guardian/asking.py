"""Questions to a guardian that need no lease: how things are, and that everything be made safe now."""

from __future__ import annotations

import contextlib
from typing import Any

from labonn.guardian.connection import Connection, nonce, who

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
    with contextlib.closing(Connection(url)) as connection:
        about, _ = connection.ask_once({"op": "safe", "nonce": nonce(), "who": who()}, "safe", SAFE_S)
        return connection.sound(about)
