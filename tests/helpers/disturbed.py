"""A link that breaks chosen exchanges, and the ways to serve an emulator to a driver; for the tests of single drivers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from labonn.links import connect
from sim_backends.served import serve_pty, serve_tcp
from sim_backends.simlinks import SimulatedLink

Fault = Callable[[bytes], bytes] | Exception | None


class Disturbed:
    """A link whose next answers pass through functions (one each, None: untouched).

    Args:
        longest: bytes of a request that the instrument would take.
    """

    def __init__(self, link: Any, longest: int | None = None) -> None:
        self.link, self.exchanges, self._longest = link, 0, longest
        self.faults: list[Fault] = []
        self.asked: list[bytes] = []

    def exchange(self, request: bytes, lines: int = 1) -> bytes:
        self.asked.append(request)
        assert self._longest is None or len(request) <= self._longest, request
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, Exception):
            raise fault
        reply: bytes = self.link.exchange(request, lines)
        return reply if fault is None else fault(reply)

    def close(self) -> None:
        self.link.close()


@contextlib.contextmanager
def served(way: str, firmware: Any, clock: Any, link_options: Mapping[str, Any]) -> Iterator[Any]:
    """A link to it: `in process`, by `tcp`, by `visa` over that, or by a pseudo terminal (`serial`, `pty`)."""
    if way == "in process":
        yield SimulatedLink(firmware, clock, **link_options)
        return
    with (serve_pty if way in ("serial", "pty") else serve_tcp)(firmware, clock) as url:
        url = url if way != "visa" else f"visa://TCPIP::127.0.0.1::{url.rpartition(':')[2]}::SOCKET?backend=@py"
        with contextlib.closing(connect(url, **link_options)) as link:
            yield link
