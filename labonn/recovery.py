"""Ports that survive a broken connection: `reconnect = N` in the bench file.

After a link error the port's link is connected anew, at most N times with growing pauses. The same instrument must answer; its
driver forgets all it knew of it, writes the limits again and goes to the safe level, and the bench plays the segment that was
interrupted once more: rows are absolute values, so that setting them twice is setting them once. Where firing twice does harm a bench
must not have this key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from labonn.benchfile import PortFile
from labonn.clock import Clock
from labonn.errors import BenchFileError, IdentityError, LinkError
from labonn.links import Buffer

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 10.0


class ReturningLink:
    """A link that can be connected again together with the driver on it.

    Args:
        link: what it passes on to. port, index: whose. name: of the instrument, for messages.

    Attributes:
        device: the driver, set by whoever makes it. failed: whether an exchange has failed since it was last connected.

    Raises:
        BenchFileError: nothing of this kind can be connected again.
    """

    def __init__(self, link: Any, port: PortFile, index: int, name: str) -> None:
        if not hasattr(link, "reconnect"):
            raise BenchFileError(f"ports.{port.name}.reconnect: {port.links[index]} has no connection that could be made again")
        self._link, self._name = link, name
        self.port, self.url = port, port.links[index]
        self.device: Any = None
        self.failed = False
        self._range: Any = None

    def exchange(self, request: bytes, lines: int = 1) -> bytes:
        """One request and its reply (labonn.links.Link)."""
        try:
            reply: bytes = self._link.exchange(request, lines)
        except LinkError:
            self.failed = True
            raise
        return reply

    def exchange_parts(self, parts: Sequence[Buffer]) -> list[bytes]:
        """One multipart request and its reply (labonn.links.MessageLink)."""
        try:
            replies: list[bytes] = self._link.exchange_parts(parts)
        except LinkError:
            self.failed = True
            raise
        return replies

    def __getattr__(self, name: str) -> Any:
        return getattr(self._link, name)

    def carry(self, device: Any) -> None:
        """`device` is the driver on this link; what range a detector is set to is remembered for it."""
        self.device = device
        if hasattr(device, "set_range"):
            set_range = device.set_range

            def remembered(full_scale: Any) -> Any:
                taken = set_range(full_scale)
                self._range = full_scale
                return taken

            device.set_range = remembered

    def restore(self) -> None:
        """Connect again, make sure that the same instrument answers, and let its driver begin anew.

        Raises:
            LinkError: it cannot be reached, or does not answer as it should. IdentityError: another one answers.
        """
        self._link.reconnect()
        before, options = self.device.identity, self.port.options
        found = self.port.driver(self, options, self._name).identity
        if found != before:
            raise IdentityError(f"{self._name}: after the connection broke {found!r} answers in place of {before!r}")
        self.port.driver.__init__(self.device, self, options, self._name)  # identifies and reads; all that it remembered is gone
        if self._range is not None:
            self.device.set_range(self._range)
        self.failed = False


class Recovery:
    """The links of a bench that can come back.

    Args:
        links: all of the bench's. clock: the bench's.

    Attributes:
        counts: how often each port was brought back.

    Raises:
        BenchFileError: two ports that share an instrument do not have the same `reconnect`.
    """

    def __init__(self, ports: Iterable[PortFile], links: Iterable[Any], clock: Clock) -> None:
        self._most = {port.name: port.reconnect for port in ports}
        self._links = [link for link in links if isinstance(link, ReturningLink)]
        self._clock = clock
        self.counts: Counter[str] = Counter()
        urls = {link.url: link.port for link in self._links}
        for port in ports:
            for url in port.links:
                if url in urls and urls[url].reconnect != port.reconnect:
                    told = f"{port.reconnect}, and {urls[url].reconnect} in ports.{urls[url].name}"
                    raise BenchFileError(f"ports.{port.name}.reconnect = {told}: two sides of one instrument need the same")

    def most(self, names: Iterable[str]) -> int:
        """How often all these ports may be brought back for one segment; 0: never."""
        return min((self._most[name] for name in names), default=0)

    def with_siblings(self, names: Iterable[str]) -> list[str]:
        """These ports, and those that share an instrument with a link of theirs that failed.

        A driver may find a reply wrong that its link found whole: then all links of that port have failed.
        """
        named = set(names)
        for link in self._links:
            whole = not any(other.failed for other in self._links if other.port is link.port)
            link.failed = link.failed or (link.port.name in named and whole)
        urls = {link.url for link in self._links if link.port.name in named and link.failed}
        for link in self._links:
            if link.url in urls:
                link.failed = True
                named.add(link.port.name)
        return sorted(named)

    def reconnect(self, name: str) -> None:
        """Connect all the port's links again, with nothing done to the instrument or its driver.

        Raises:
            LinkError: it cannot be reached.
        """
        for link in self._links:
            if link.port.name == name:
                link.reconnect()

    def bring_back(self, name: str, prepare: Callable[[], None]) -> None:
        """Connect the port's failed links again, then `prepare` it.

        Raises:
            LinkError: the last attempt's. InstrumentError: the instrument is another one, or does not take its limits.
        """
        for attempt in range(self._most[name]):
            if attempt:
                self._clock.wait(min(FIRST_PAUSE_S * 2**attempt, LONGEST_PAUSE_S))
            try:
                for link in self._links:
                    if link.port.name == name and link.failed:
                        link.restore()
                prepare()
            except LinkError:
                if attempt == self._most[name] - 1:
                    raise
            else:
                self.counts[name] += 1
                return
