"""One run as the dashboard knows it: its record is opened for a moment at a time, and what was read of it is kept."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labonn.dash.problems import NotThereError
from labonn.dash.reading import read_ports, read_steps
from labonn.dash.towers import Tower
from labonn.errors import LabonnError, RecordError
from labonn.record import Record, open_record
from labonn.record.liveness import is_written
from labonn.record.querying import Columns
from labonn.record.schema import FILE

Reports = tuple[list[int], list[int], list[float]]  # entry, step, value
UNREADABLE = (sqlite3.Error, json.JSONDecodeError, UnicodeDecodeError)  # what a damaged record raises
FRESH_S = 0.1  # a file that was written so recently may change once more without a newer time


def benchless(folder: Path) -> str:
    """Title of a computation that had no bench, and so keeps no record (jobs of `labonn reproduce`); empty: it is another run."""
    try:
        settings = json.loads((folder / "settings.json").read_bytes())
    except (OSError, ValueError):
        return ""
    return "" if (folder / FILE).exists() or "command" in settings else str(settings.get("title", ""))


class Watched:
    """A run's folder.

    Attributes:
        lock: held by whoever uses what is kept. steps, ports: towers. reports: by metric, up to the entry `reported`.
        warmth: temperatures, by port. details: newest entry by table and name, of the entries up to `seen`. cache: what was made of them.
        used_s: when it was last asked for (time.monotonic).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        self.used_s = time.monotonic()
        self._known: tuple[Any, ...] = ()
        self._forget(())

    def _forget(self, known: tuple[Any, ...]) -> None:
        """What is kept is of another file, or of entries that no longer count."""
        self._known = known
        self.steps, self.ports = Tower(read_steps), Tower(read_ports)
        self.reports: dict[str, Reports] = {}
        self.reported = 0
        self.warmth: dict[str, Columns] = {}
        self.details: dict[tuple[str, str], int] = {}
        self.seen: dict[str, int] = {}
        self.cache: dict[Any, Any] = {}

    @contextlib.contextmanager
    def visit(self) -> Iterator[tuple[Record, int]]:
        """The record, open for this long, and its newest entry that counts; nobody else reads what is kept meanwhile.

        Raises:
            NotThereError: there is no such run any more. RecordError: its record cannot be read.
        """
        with self.lock:
            self.used_s = time.monotonic()
            if not self.folder.is_dir():
                raise NotThereError(f"{self.folder.name}: this run's folder is not there any more; /api/runs has those that are")
            try:
                with open_record(self.folder, briefly=True) as record:
                    yield record, self._looked_at(record)
            except RecordError as problem:
                if title := benchless(self.folder):
                    told = f"it had no bench, and so has no record; `labonn report {self.folder}` shows what came of it"
                    raise RecordError(f"{title}: {told}") from problem
                raise
            except UNREADABLE as problem:
                self._forget(())
                raise RecordError(f"{self.folder / FILE}: cannot be read: {problem}") from problem
            except OSError as problem:
                raise RecordError(f"{self.folder}: cannot be read: {problem.strerror or problem}") from problem

    def _looked_at(self, record: Record) -> int:
        file, settings = record.path.stat(), (self.folder / "settings.json").stat()  # another file may have the number of one that is gone
        (gone_on,) = record.query("SELECT count(*), ifnull(max(before), 0) FROM resumptions")
        (newest,) = record.query(f"SELECT ifnull(max(entry), 0) FROM steps WHERE 1{record.counted()}")[0]
        known = (file.st_dev, file.st_ino, settings.st_mtime_ns, *gone_on)
        if known != self._known or newest < self.steps.newest:
            self._forget(known)
        return int(newest)

    def mark(self) -> tuple[Any, ...]:
        """Changes whenever the run has gone on: files' times and sizes, and whether a process writes; () if there is no folder."""
        marks: list[Any] = []
        for name in ("settings.json", FILE, f"{FILE}-wal", "result.json"):
            with contextlib.suppress(OSError):
                found = (self.folder / name).stat()
                fresh = time.time() - found.st_mtime < FRESH_S
                marks.append((name, found.st_ino, found.st_size, found.st_mtime_ns, time.monotonic_ns() if fresh else 0))
        return (*marks, is_written(self.folder)) if marks else ()


def told(problem: Exception) -> str:
    """In one line."""
    return " ".join(str(problem).split()) if isinstance(problem, LabonnError) else f"{type(problem).__name__}: {problem}"
