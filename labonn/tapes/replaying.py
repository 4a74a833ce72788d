"""Replaying: links that answer as a tape has it, and only to exactly what was asked on it."""

from __future__ import annotations

import builtins
import mmap
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from labonn import errors
from labonn.errors import ConnectError, DesyncError
from labonn.links import AnyLink, Buffer
from labonn.tapes.recording import track_name
from labonn.tapes.text import FIRST_LINE, RECONNECT, Part, call_parts, data_of, field, message_parts, same, value_of

AROUND = 24  # characters shown before and after the first difference
CLOCK = "clock"


@dataclass(frozen=True)
class Exchange:
    """One entry of a tape: the line it begins on, `>` and how many lines were awaited, its fields, and what came of it."""

    line: int
    mark: str
    request: list[str]
    unasked: list[str]
    outcome: str
    reply: list[str]


class Track:
    """The entries of one link, one after another."""

    def __init__(self, tape: Tape, name: str) -> None:
        self.tape, self.name = tape, name
        self._places, self._next = tape.places[name], 0

    @property
    def where(self) -> str:
        """Tape and link, for messages."""
        return f"{self.tape.path.name}: {self.name}"

    @property
    def left(self) -> int:
        """Lines that were not played."""
        return len(self._places) - self._next

    def line(self) -> tuple[int, str, str, str] | None:
        """(its number, time, mark, text) of the next line; None at the end of the tape."""
        if not self.left:
            return None
        number, start, end = self._places[self._next]
        self._next += 1
        time, _, mark, *rest = self.tape.text[start:end].decode("ascii").split(" ", 3)
        return number, time, mark, rest[0] if rest else ""

    def peek(self) -> Exchange | None:
        """The next exchange, without playing it."""
        before = self._next
        found = self.exchange()
        self._next = before
        return found

    def exchange(self) -> Exchange | None:
        """The next exchange; None if the tape ends before its reply."""
        asked = self.line()
        unasked: list[str] = []
        while asked is not None and (reply := self.line()) is not None:
            if reply[2] != "~":
                return Exchange(asked[0], asked[2], asked[3].split("\t"), unasked, reply[2], reply[3].split("\t"))
            unasked.append(reply[3])
        return None


class Tape:
    """A tape that was recorded; each of its links is played from its beginning, in its own order.

    Raises:
        ConnectError: there is no such file, or it is no tape.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                self.text: Any = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if os.fstat(file.fileno()).st_size else b""
        except OSError as problem:
            raise ConnectError(f"{path}: no tape can be read there: {problem.strerror or problem}") from None
        if self.text[: len(FIRST_LINE) + 1] != f"{FIRST_LINE}\n".encode():
            raise ConnectError(f"{path}: is not a tape: its first line is not {FIRST_LINE!r}")
        self.kinds: dict[str, str] = {}
        self.places: dict[str, list[tuple[int, int, int]]] = defaultdict(list)  # (line, first and last byte) by link
        self.departed = False
        self._tracks: dict[str, Track] = {}
        self._lock = threading.Lock()
        self._index()

    def _index(self) -> None:
        start, number = 0, 0
        while (end := self.text.find(b"\n", start)) >= 0:  # a last line without its end was never finished
            number += 1
            if self.text[start : start + 1] != b"#":
                head = self.text[start : min(end, start + 400)].split(b" ", 4)
                if len(head) < 3:
                    raise ConnectError(f"{self.path}: line {number} is not one of a tape")
                name = head[1].decode("ascii", "replace")
                if head[2] == b"=":
                    self.kinds[name] = head[3].decode("ascii", "replace") if len(head) > 3 else ""
                else:
                    self.places[name].append((number, start, end))
            start = end + 1

    def track(self, name: str) -> Track:
        """The entries of a link, from the first."""
        with self._lock:
            self._tracks[name] = Track(self, name)
            return self._tracks[name]

    def link(self, port: str, index: int) -> AnyLink:
        """The link that plays `port`'s instrument number `index`.

        Raises:
            ConnectError: the tape has no such link.
        """
        name = track_name(port, index)
        players: dict[str, Callable[[Track], AnyLink]] = {"bytes": PlayedBytes, "messages": PlayedMessages, "calls": PlayedCalls}
        if self.kinds.get(name) not in players:
            raise ConnectError(f"{self.path}: the tape has no link {name}; it has {', '.join(self.kinds) or 'none'}")
        return players[self.kinds[name]](self.track(name))

    def clock(self) -> PlayedClock:
        """The clock as it was read."""
        return PlayedClock(self.track(CLOCK))

    def close(self) -> None:
        """The replay is over; DesyncError if the tape is not, unless that was told already."""
        if self.departed:
            return
        left = {name: len(self.places[name]) if name not in self._tracks else self._tracks[name].left for name in list(self.places)}
        if over := [f"{name} ({count} lines)" for name, count in left.items() if count]:
            raise DesyncError(f"{self.path}: the run ended before the tape; not played: {', '.join(over)}")


class _Played:
    """What played links share."""

    def __init__(self, track: Track) -> None:
        self._track, self._departure = track, ""
        self.exchanges = 0
        self.unasked: list[bytes] = []

    def _play(self, sent: list[Part], read: Callable[[list[str]], Any], mark: str = ">") -> Any:
        """The reply to `sent`, by `read` from its fields."""
        self.exchanges += 1
        if self._departure or self._track.tape.departed:
            raise DesyncError(self._departure or f"{self._track.where}: no answer: the run has left the tape")
        entry = self._track.exchange()
        if entry is None or entry.mark != mark or len(entry.request) != len(sent) or not all(map(_same, entry.request, sent)):
            self._depart(entry, sent, mark)
        try:
            self.unasked += map(data_of, entry.unasked)
            failed = _error(self._track, entry) if entry.outcome == "!" else None
            reply = None if failed else read(entry.reply)
        except (ValueError, SyntaxError) as problem:
            raise DesyncError(f"{self._track.where}: the tape is damaged at line {entry.line} or the next: {problem}") from None
        if failed is not None:
            raise failed
        return reply

    def _depart(self, entry: Exchange | None, sent: list[Part], mark: str) -> NoReturn:
        """Nothing answers any more; whoever goes on asking, to make the bench safe, is told so again."""
        self._track.tape.departed = True
        where = f"{self._track.where}, exchange {self.exchanges}"
        got = " ".join([mark, *(field(part, whole=False) for part in sent)])
        if entry is None:
            self._departure = f"{where}: the tape ends here; got {_window(got, 0)}"
        else:
            expected = " ".join([entry.mark, *entry.request])
            at = next((i for i, (a, b) in enumerate(zip(expected, got, strict=False)) if a != b), min(len(expected), len(got)))
            differ = f"they differ from character {at - len(entry.mark)} on"
            self._departure = f"{where} (line {entry.line}): expected {_window(expected, at)}; got {_window(got, at)}; {differ}"
        raise DesyncError(self._departure)

    def reconnect(self) -> None:
        """A new connection, if the tape has one here."""
        self.exchanges -= 1  # it is none
        self._play([Part(b"")], lambda fields: None, RECONNECT)

    def close(self) -> None:
        """Nothing to let go of."""


class PlayedBytes(_Played):
    """A Link from tape."""

    def exchange(self, request: bytes, lines: int = 1) -> bytes:
        """The reply that is on the tape (labonn.links.Link)."""
        reply: bytes = self._play([Part(bytes(request))], lambda fields: data_of(fields[0]), ">" if lines == 1 else f">{lines}")
        return reply


class PlayedMessages(_Played):
    """A MessageLink from tape."""

    def exchange_parts(self, parts: Sequence[Buffer]) -> list[bytes]:
        """The reply that is on the tape (labonn.links.MessageLink)."""
        reply: list[bytes] = self._play(message_parts(parts), lambda fields: [data_of(text) for text in fields])
        return reply


class PlayedCalls:
    """An instrument's function table from tape."""

    def __init__(self, track: Track) -> None:
        self._played = _Played(track)

    def __getattr__(self, name: str) -> Any:
        if name == "exchanges" or name.startswith("_"):
            raise AttributeError(name)
        entry = self._played._track.peek()
        if entry is not None and entry.request == [f".{name}"]:
            return self._played._play([Part(f".{name}".encode())], _result)
        return lambda *given, **named: self._call(name, given, named)

    def _call(self, name: str, given: Sequence[Any], named: dict[str, Any]) -> Any:
        return self._played._play(call_parts(self._played._track.where, name, given, named), _result)


class PlayedClock:
    """The bench's clock as it was read while the tape was made; nobody waits."""

    concurrent = False

    def __init__(self, track: Track) -> None:
        self._track = track

    def now(self) -> float:
        """What the clock said then."""
        line = self._track.line()
        if line is None:
            self._track.tape.departed = True
            raise DesyncError(f"{self._track.where}: the run looks at the clock more often than the tape has it")
        return float(line[1])

    def wait(self, seconds: float) -> None:
        """Time is on the tape."""


def _result(fields: list[str]) -> Any:
    return value_of(fields[0])


def _same(text: str, part: Part) -> bool:
    try:
        return same(text, part)
    except ValueError:
        return False


def _window(text: str, at: int) -> str:
    mark = text.partition(" ")[0]
    start = max(0, at - AROUND)
    return f"{f'{mark} …' if start else ''}{text[start : at + 2 * AROUND]}{'…' if len(text) > at + 2 * AROUND else ''}"


def _error(track: Track, entry: Exchange) -> Exception:
    """What was raised then."""
    kind, _, words = data_of(entry.reply[0]).decode(errors="replace").partition(": ")
    if kind == "Interrupted":
        return DesyncError(f"{track.where} (line {entry.line}): the run that was taped was interrupted here")
    found = getattr(errors, kind, None) or getattr(builtins, kind, None)
    known = isinstance(found, type) and issubclass(found, Exception)
    return found(words) if known else RuntimeError(f"{kind}: {words}")  # type: ignore[misc]


def open_link(url: str, **options: Any) -> AnyLink:
    """`replay://run.tape#port/index`; what a real link there would be set to has no meaning here."""
    path, _, name = url.partition("://")[2].rpartition("#")
    port, _, index = name.rpartition("/")
    if not path or not port or not index.isdecimal():
        raise ConnectError(f"{url}: a link from a tape is replay://FILE#PORT/INDEX")
    return Tape(Path(path)).link(port, int(index))
