"""What drivers of SCPI instruments have in common: commands, queries and the error queue in one joined message, answered by one line."""

from __future__ import annotations

import re

from labonn.errors import DesyncError, RefusedError
from labonn.links import Link

ERRORS = re.compile(r'(?:^|;)([+-]?\d{1,4}),"[^"]*"(?:,[+-]?\d{1,4},"[^"]*")*$')
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?(E[+-]?\d{1,3})?")


class ScpiLine:
    """A link to a SCPI instrument.

    Args:
        port: for messages. errors: the query that gives the error queue, and empties it.
    """

    def __init__(self, link: Link, port: str, errors: str = ":SYST:ERR:ALL?") -> None:
        self._link, self._port, self._errors = link, port, errors

    def ask(self, message: str) -> str:
        """The line that answers `message`."""
        return self._link.exchange(message.encode()).decode("latin-1").strip()

    def numbers(self, queries: str, count: int) -> list[float]:
        """The numbers that answer `queries`.

        Raises:
            DesyncError: anything else than so many numbers.
        """
        return self._read(self.ask(queries), count)

    def checked(self, commands: str, queries: str, count: int) -> list[float]:
        """The numbers that answer `queries` after `commands`, in one exchange with the error queue.

        Raises:
            RefusedError: with the instrument's words. DesyncError: the answer is not what was asked for.
        """
        reply = self.ask(f"{commands};{queries};{self._errors}")
        found = ERRORS.search(reply)
        if found is None:
            raise DesyncError(f"{self._port}: {reply!r} does not end with the error queue that was asked for")
        if int(found[1]):
            raise RefusedError(f"{self._port}: {commands!r} was refused: {found[0].lstrip(';')}")
        return self._read(reply[: found.start()], count)

    def close(self) -> None:
        """Let go of the instrument."""
        self._link.close()

    def _read(self, reply: str, count: int) -> list[float]:
        parts = reply.split(";")
        if len(parts) != count or not all(NUMBER.fullmatch(part) for part in parts):
            raise DesyncError(f"{self._port}: {reply!r} is not the {count} numbers that were asked for")
        return [float(part) for part in parts]
