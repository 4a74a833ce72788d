"""What both sides of a Red Pitaya share: the line to its SCPI server (TCP port 5000, OS 2.00-23 or later), errors and identity.

A message ends with `\\r\\n`. Several messages go out in one exchange, each query is answered by a line, and the last asks for the
error queue: `*CLS`, commands, queries, `SYST:ERR:NEXT?`. A refused query has no answer line, which the link tells as a timeout.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from labonn.errors import DesyncError, IdentityError, RefusedError
from labonn.links import BLOCK, Link

CLOCK_S = 8e-9  # of inputs and outputs, 125 MS/s
BUFFER = 16384  # samples of either memory
LINK_OPTIONS: dict[str, Any] = {"write_end": "\r\n", "read_end": "\r\n", "timeout_s": 3.0}
END = "\r\n"
ERRORS = "SYST:ERR:NEXT?"
IDENTITY = re.compile(r"REDPITAYA,INSTR(\d{4}),[^,]*,([^,]*)")
ERROR = re.compile(r'([+-]?\d{1,5}),"(.*)"')
OLDEST = 2023  # of INSTRxxxx


class RedPitayaLine:
    """The SCPI server of one board.

    Args:
        link: to the server. port: for messages.

    Attributes:
        board: its name. identity: with what its server calls itself; it tells no serial number.
    """

    def __init__(self, link: Link, port: str) -> None:
        self._link, self._port = link, port
        told = link.exchange(b"*IDN?").decode("latin-1")
        found = IDENTITY.fullmatch(told)
        if found is None:
            raise IdentityError(f"{port}: answers {told!r} to '*IDN?'; a Red Pitaya answers 'REDPITAYA,INSTR2023,…'")
        if int(found[1]) < OLDEST:
            raise IdentityError(f"{port}: {told!r} is a server older than OS 2.00-23, whose blocks have wrong lengths; update the board")
        self.board = self.checked((), ("SYST:BRD:NAME?",))[0]
        self.identity = f"Red Pitaya {self.board} (INSTR{found[1]} {found[2]})"

    def checked(self, commands: Sequence[str], queries: Sequence[str] = ()) -> list[str]:
        """The answers to `queries` after `commands`, in one exchange with the error queue, which is emptied before any command.

        Raises:
            RefusedError: with the server's words. DesyncError: the answer is not what was asked for.
        """
        messages = [*(("*CLS", *commands) if commands else ()), *queries, ERRORS]
        reply = self._link.exchange(END.join(messages).encode(), len(queries) + 1).decode("latin-1")
        *answers, errors = reply.split("\n")
        found = ERROR.fullmatch(errors)
        if found is None or len(answers) != len(queries):
            raise DesyncError(f"{self._port}: {reply[:200]!r} does not end with the error queue that was asked for")
        if int(found[1]):
            what = END.join(command[:60] for command in (*commands, *queries))
            raise RefusedError(f"{self._port}: {what!r} was refused: {errors}")
        return answers

    def block(self, query: str) -> bytes:
        """The data of the block that answers `query`."""
        return self._link.exchange(query.encode(), BLOCK)

    def number(self, text: str, lower: float, upper: float) -> float:
        """The number in an answer.

        Raises:
            DesyncError: it is none, or outside what it can be.
        """
        found = re.fullmatch(r"[+-]?\d{1,12}(\.\d{1,12})?([eE][+-]?\d{1,2})?", text)
        if found is None or not lower <= float(text) <= upper:
            raise DesyncError(f"{self._port}: {text!r} is not a number from {lower:g} to {upper:g}")
        return float(text)

    def close(self) -> None:
        """Let go of the board."""
        self._link.close()
