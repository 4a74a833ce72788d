"""An instrument that speaks IEEE 488.2 and SCPI-99: bytes in, the common commands, error queue and status registers, responses out.

A message is units joined by `;`: a unit without a leading `:` continues below the path of the unit before, common commands (`*…`)
leave the path alone. Responses of one message are joined by `;`. A refused unit changes nothing, tells the error queue, and the
units after it are still done. Everything is bounded: a message too long is -363, the queue too long is -350.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sim_backends.firmware.scpi_errors import POWER_ON, ScpiError
from sim_backends.firmware.scpi_status import Status
from sim_backends.firmware.scpi_text import Framer, arguments_of, header_of, split
from sim_backends.firmware.scpi_tree import Command, CommandTree, Response
from sim_backends.firmware.scpi_values import Extremes, Number, Parameter

LONGEST_MESSAGE = 1 << 20
MOST_QUEUED = 1 << 24
MISREAD = 1.01


class ScpiInstrument:
    """Settings with defaults, a command tree and a status system; an instrument's own class adds its commands.

    Args:
        identity: the answer to *IDN?. registers: summary bit of the status byte -> name of a register below STATus. errors: kept at most.
        words: of the instrument's own errors. version: of SCPI. longest: bytes of a message.

    Attributes:
        values: what every setting is now, by key. status: registers and error queue. faults: kinds that it can have.
    """

    faults: tuple[str, ...] = ("refuse", "ignore", "misread", "power_cycle")

    def __init__(
        self, identity: str, registers: Mapping[int, str], errors: int = 30, words: Mapping[int, str] | None = None,
        version: str = "1999.0", longest: int = LONGEST_MESSAGE,
    ) -> None:  # fmt: skip
        self.identity, self._version = identity, version
        self.status = Status(registers, errors, words)
        self.values: dict[str, Any] = {}
        self._defaults: dict[str, Any] = {}
        self._troubles: dict[str, float | None] = {}
        self._framer = Framer(longest)
        self._output = b""
        self._tree = CommandTree([*self.common(), *self.status.commands(), *self.commands()])
        self.values = dict(self._defaults)

    def inject(self, fault: str, value: float | None) -> None:
        """Have a fault of `faults` with the next setting, or the next number that is asked for; or lose the power for a moment, now."""
        if fault == "power_cycle":
            self.power_cycle()
        else:
            self._troubles[fault] = value

    def power_cycle(self) -> None:
        """As after the mains came back."""
        self.clear()
        self.status.clear()
        self.status.event = POWER_ON
        self.reset()

    def commands(self) -> Iterable[Command]:
        """The instrument's own commands."""
        return ()

    def reset(self) -> None:
        """*RST: all settings as after power-on."""
        self.values = dict(self._defaults)

    def trigger(self) -> None:
        """*TRG: nothing waits for it."""
        raise ScpiError(-211)

    def test(self) -> int:
        """*TST?: 0 is passed."""
        return 0

    def setting(self, pattern: str, key: str, parameter: Parameter, default: Any, accept: Callable[[Any], Any] | None = None) -> Command:
        """The command and query of a value that is kept; `accept` gives what to keep, or refuses.

        A number's query takes MIN, MAX and DEF.
        """
        self._defaults[key] = default

        def write(value: Any) -> None:
            self.values[key] = value if accept is None else accept(value)

        def query(*extreme: Any) -> str:
            return parameter.shown(extreme[0] if extreme else self.values[key])

        return Command(pattern, write, query, (parameter,), (Extremes(parameter),) if isinstance(parameter, Number) else ())

    def default(self, key: str, value: Any) -> None:
        """Keep a value without a command of its own."""
        self._defaults[key] = value

    def common(self) -> list[Command]:
        """The common commands that need more than the status system."""
        return [
            Command("*IDN", query=lambda: self.identity),
            Command("*RST", self.reset),
            Command("*TST", query=lambda: str(self.test())),
            Command("*TRG", self.trigger),
            Command("*WAI", lambda: None),
            Command(":SYSTem:VERSion", query=lambda: self._version),
        ]

    def feed(self, data: bytes) -> bytes:
        """Response messages, each with its newline, to all messages that `data` completes."""
        replies = []
        for message in self._framer.feed(data):
            response = self.execute(message) if message is not None else self._refuse(-363)
            if response:
                replies.append(response + b"\n")
        return b"".join(replies)

    def write(self, data: bytes) -> None:
        """As on a bus where the answer waits to be read: one message; what was not read before is lost (-410)."""
        if self._output:
            self._refuse(-410)
        response = self.execute(data.removesuffix(b"\n"))
        self._output = response + b"\n" if response else b""

    def read(self) -> bytes:
        """The answer to the last `write`; b"" and -420 if there is none."""
        if not self._output:
            self._refuse(-420)
        output, self._output = self._output, b""
        return output

    def clear(self) -> None:
        """Device clear: input and output are forgotten, settings and errors stay."""
        self._framer.clear()
        self._output = b""

    def execute(self, message: bytes) -> bytes:
        """The response to one message, without its end; b"" if nothing in it asks."""
        responses: list[bytes] = []
        path: tuple[str, ...] = ()
        size = 0
        for unit in split(message, b";"):
            if not unit:
                continue
            self.status.message_available = bool(responses)
            try:
                path, response = self._unit(unit, path)
            except ScpiError as refused:
                self.status.error(refused.number)
                continue
            if response is not None:
                size += len(response)
                if size > MOST_QUEUED:
                    self.status.error(-350)
                    break
                responses.append(response)
        self.status.message_available = False
        return b";".join(responses)

    def _unit(self, unit: bytes, path: tuple[str, ...]) -> tuple[tuple[str, ...], bytes | None]:
        """(the path after it, its response)."""
        header, asked, rest = header_of(unit)
        nodes: tuple[str, ...]
        if header.startswith("*"):
            nodes, after = (header,), path
        else:
            nodes = tuple(header[1:].split(":")) if header.startswith(":") else (*path, *header.split(":"))
            after = nodes[:-1]
        command, suffixes = self._tree.find(nodes)
        action: Callable[..., Response | None] | None = command.query if asked else command.write
        if action is None:
            raise ScpiError(-113)
        arguments = command.arguments(arguments_of(rest), asked)
        if self._troubles and not header.startswith("*") and not asked:
            if "refuse" in self._troubles:
                del self._troubles["refuse"]
                raise ScpiError(-200)
            if "ignore" in self._troubles:
                del self._troubles["ignore"]
                return after, None
        response = action(*suffixes, *arguments)
        if not asked or response is None:
            return after, None
        if "misread" in self._troubles:
            response = self._misread(response)
        return after, response.encode("latin-1", "replace") if isinstance(response, str) else response

    def _misread(self, response: Response) -> Response:
        """A number that is not quite the true one; other responses as they are."""
        try:
            wrong = float(response) * (self._troubles["misread"] or MISREAD)
        except ValueError:
            return response
        del self._troubles["misread"]
        return f"{wrong:.6E}"

    def _refuse(self, number: int) -> bytes:
        self.status.error(number)
        return b""
