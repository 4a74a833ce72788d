"""The index of a store: one line for every time a calibration became current; lines are only ever added, under a lock."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from labonn.calibration.calibration import utc
from labonn.errors import CalibrationError

FILE = "index.jsonl"
ACTIONS = ("save", "use", "rollback")
Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class Entry:
    """From this time on `id` was current for the port, kind, instrument and world.

    Attributes:
        action: how it became current.
    """

    time: str
    port: str
    kind: str
    instrument: str
    world: str
    id: str
    action: str

    @property
    def key(self) -> Key:
        """What it is current for."""
        return self.port, self.kind, self.instrument, self.world


class Index:
    """Args: folder: the store's; it need not be there yet."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def entries(self) -> list[Entry]:
        """All of them, in time; a last line that was cut off by a crash never happened.

        Raises:
            CalibrationError: a line is not one of ours.
        """
        try:
            lines = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        return [self._entry(line, number) for number, line in enumerate(lines[:-1], start=1) if line.strip()]

    def append(self, key: Key, id: str, action: str) -> None:
        """Make `id` current for `key`; on the disk when this returns."""
        with self.locked():
            self.append_locked(key, id, action)

    def append_locked(self, key: Key, id: str, action: str) -> None:
        """As `append`, for who holds the lock."""
        self._drop_cut_off()
        line = json.dumps(asdict(Entry(utc(), *key, id, action)), ensure_ascii=False).encode() + b"\n"
        with self._path.open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else, in any process, reads what is current and writes what will be."""
        with (self._path.parent / "index.lock").open("a+b") as file:
            _lock(file.fileno())
            yield  # the system lets go when the file is closed, however that happens

    def _drop_cut_off(self) -> None:
        """The last line has no end if a computer lost its power in it; the next line must not stand on it."""
        with contextlib.suppress(FileNotFoundError), self._path.open("r+b") as file:
            whole = file.read()
            if not whole.endswith(b"\n"):
                file.truncate(whole.rfind(b"\n") + 1)

    def _entry(self, line: bytes, number: int) -> Entry:
        try:
            entry = Entry(**json.loads(line))
            if entry.action not in ACTIONS or not all(isinstance(text, str) for text in asdict(entry).values()):
                raise ValueError("not an entry")
            return entry
        except (ValueError, TypeError):
            raise CalibrationError(f"{self._path}: line {number} is not an entry of this index; mend it or delete that line") from None


def _lock(descriptor: int) -> None:
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except ImportError:  # Windows
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)  # type: ignore[attr-defined]
