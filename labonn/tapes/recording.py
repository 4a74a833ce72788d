"""Recording: links that write every exchange on a tape while they pass it on."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from labonn.benchfile import PortFile
from labonn.clock import Clock
from labonn.errors import LabonnError, LinkClosedError
from labonn.links import AnyLink, Buffer
from labonn.tapes.text import FIRST_LINE, RECONNECT, Part, call_parts, field, message_parts, value_part

KEY_FILES = re.compile(r"((?:server|client)_key=)[^&#]*")


class Recorder:
    """A tape that is being written; every exchange is handed to the system at once, so that a killed run leaves its tape.

    Trouble with the disk must not keep anybody from making a bench safe: it ends the recording, and `close` tells it.

    Args:
        path: a new file. bench: its name. versions: of the packages, for the header. clock: the bench's.

    Raises:
        LabonnError: the file is there already, or cannot be made.
    """

    def __init__(self, path: Path, bench: str, versions: dict[str, str], clock: Clock) -> None:
        self.path, self._clock = path, clock
        self._lock = threading.Lock()
        self._problem: OSError | None = None
        try:
            self._file = path.open("xb", buffering=0)
        except FileExistsError:
            raise LabonnError(f"{path}: is there already; a tape is never overwritten") from None
        except OSError as problem:
            raise LabonnError(f"{path}: no tape can be made there: {problem.strerror or problem}") from None
        self.write(FIRST_LINE, f"# bench: {bench}", f"# {', '.join(f'{name} {number}' for name, number in versions.items())}")

    def write(self, *lines: str) -> None:
        """Some lines, together.

        Raises:
            LinkClosedError: the tape is closed.
        """
        if self._file.closed:
            raise LinkClosedError(f"{self._file.name}: the tape is closed")
        data = memoryview("".join(line + "\n" for line in lines).encode("ascii", "backslashreplace"))
        with self._lock:
            try:
                while self._problem is None and data:
                    data = data[self._file.write(data) :]
            except OSError as problem:
                self._problem = problem

    def now(self) -> str:
        """The bench's time, as it stands on a tape."""
        return f"{self._clock.now():.9f}"

    def link(self, port: PortFile, index: int, link: AnyLink) -> AnyLink:
        """`link`, recorded."""
        name = track_name(port.name, index)
        made = RecordedMessages if hasattr(link, "exchange_parts") else RecordedBytes if hasattr(link, "exchange") else RecordedCalls
        url = KEY_FILES.sub(r"\1…", port.links[index])
        self.write(f"{self.now()} {name} = {made.KIND} {port.driver_name} {url}")
        return made(self, name, link)

    def close(self) -> None:
        """End the tape; LabonnError if it is not whole."""
        self._file.close()
        if self._problem is not None:
            problem, self._problem = self._problem, None
            raise LabonnError(f"{self.path}: the tape is not whole: {problem.strerror or problem}")


def track_name(port: str, index: int) -> str:
    """What a link is called on a tape."""
    return f"{quote(port)}/{index}"


class _Recorded:
    """What recorded links share."""

    def __init__(self, tape: Recorder, name: str, link: Any) -> None:
        self._tape, self._name, self._link = tape, name, link

    def _pass_on(self, sent: list[Part], mark: str, action: Callable[[], Any], received: Callable[[Any], list[Part]]) -> Any:
        """Do it, and write it down with its outcome."""
        began, asked = self._tape.now(), "\t".join(field(part, whole=False) for part in sent)
        heard = len(getattr(self._link, "unasked", ()))
        try:
            reply = action()
            parts = received(reply)
        except BaseException as problem:
            kind, words = (type(problem).__name__, str(problem)) if isinstance(problem, Exception) else ("Interrupted", "")
            self._write(began, mark, asked, heard, "!", field(Part(f"{kind}: {words}".encode())))
            raise
        self._write(began, mark, asked, heard, "<", "\t".join(map(field, parts)))
        return reply

    def _write(self, began: str, mark: str, asked: str, heard: int, outcome: str, text: str) -> None:
        ended, name = self._tape.now(), self._name
        aside = [f"{ended} {name} ~ {field(Part(line))}" for line in getattr(self._link, "unasked", ())[heard:]]
        self._tape.write(f"{began} {name} {mark} {asked}", *aside, f"{ended} {name} {outcome} {text}")

    def reconnect(self) -> None:
        """A new connection, on tape as a request without bytes."""
        self._pass_on([Part(b"")], RECONNECT, self._link.reconnect, lambda _: [Part(b"")])

    def close(self) -> None:
        """Close the link; the tape stays open."""
        self._link.close()


class RecordedBytes(_Recorded):
    """A Link on tape."""

    KIND = "bytes"

    def __init__(self, tape: Recorder, name: str, link: Any) -> None:
        super().__init__(tape, name, link)
        self.exchanges = 0
        if hasattr(link, "unasked"):
            self.unasked: list[bytes] = link.unasked

    def exchange(self, request: bytes, lines: int = 1) -> bytes:
        """One request and its reply (labonn.links.Link)."""
        self.exchanges += 1
        mark = ">" if lines == 1 else f">{lines}"
        reply: bytes = self._pass_on([Part(bytes(request))], mark, lambda: self._link.exchange(request, lines), lambda got: [Part(got)])
        return reply


class RecordedMessages(_Recorded):
    """A MessageLink on tape."""

    KIND = "messages"

    def __init__(self, tape: Recorder, name: str, link: Any) -> None:
        super().__init__(tape, name, link)
        self.exchanges = 0

    def exchange_parts(self, parts: Sequence[Buffer]) -> list[bytes]:
        """One multipart request and its reply (labonn.links.MessageLink)."""
        self.exchanges += 1
        sent = message_parts(parts)
        reply: list[bytes] = self._pass_on(sent, ">", lambda: self._link.exchange_parts(parts), lambda got: [Part(bytes(p)) for p in got])
        return reply


class RecordedCalls:
    """An instrument's function table on tape: calls with what they take and give, and attributes that are read.

    What cannot be taped is refused once, by the call that met it; from then on this table is passed on as it is, so that `safe` works.
    """

    KIND = "calls"

    def __init__(self, tape: Recorder, name: str, table: Any) -> None:
        self._recorded, self._whole = _Recorded(tape, name, table), True

    def __getattr__(self, name: str) -> Any:
        table = self._recorded._link
        if name == "exchanges" or name.startswith("_"):
            raise AttributeError(name)
        found = getattr(table, name, None)
        if callable(found):
            return lambda *given, **named: self._call(found, name, given, named)
        return self._taped([Part(f".{name}".encode())], name, lambda: getattr(table, name)) if self._whole else getattr(table, name)

    def _call(self, function: Any, name: str, given: Sequence[Any], named: dict[str, Any]) -> Any:
        if not self._whole:
            return function(*given, **named)
        try:
            sent = call_parts(self._recorded._name, name, given, named)
        except LabonnError:
            self._whole = False
            raise
        return self._taped(sent, name, lambda: function(*given, **named))

    def _taped(self, sent: list[Part], name: str, action: Callable[[], Any]) -> Any:
        def received(result: Any) -> list[Part]:
            try:
                return [value_part(self._recorded._name, name, result)]
            except LabonnError:
                self._whole = False
                raise

        return self._recorded._pass_on(sent, ">", action, received)


class RecordedClock:
    """The bench's clock; whoever looks at it in a replay sees the same time."""

    def __init__(self, tape: Recorder, clock: Clock) -> None:
        self._tape, self._clock, self.concurrent = tape, clock, clock.concurrent

    def now(self) -> float:
        """The bench's time."""
        now = self._clock.now()
        self._tape.write(f"{now!r} clock @")
        return now

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self._clock.wait(seconds)
