"""The runs of a folder: which there are, each in a few words, and what is kept of those that somebody looks at."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labonn.dash.problems import NotThereError
from labonn.dash.watched import UNREADABLE, Watched, benchless
from labonn.errors import LabonnError
from labonn.record import open_record
from labonn.record.finding import Summary, runs, summary
from labonn.record.schema import FILE

MOST_KEPT = 24  # runs whose curves stay in memory
SHARE = 0.05  # of the time that may go into summing up a run that goes on


@dataclass
class Listed:
    """A run in a few words. mark: of its files then. due_s: not summed up again before."""

    mark: tuple[Any, ...]
    words: dict[str, Any]
    due_s: float


class Library:
    """All runs in one folder.

    Attributes:
        folder: where they are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._listing = threading.Lock()
        self._watched: dict[str, Watched] = {}
        self._listed: dict[str, Listed] = {}

    def run(self, name: str) -> Watched:
        """The run of that name.

        Raises:
            NotThereError: there is none.
        """
        folder = self.folder / name
        if not is_name(name) or not (folder / "settings.json").is_file():
            raise NotThereError(f"{name}: no run is called so in {self.folder}; /api/runs lists those that are there")
        with self._lock:
            run = self._watched.get(name)
            if run is None:
                run = self._watched[name] = Watched(folder)
            run.used_s = time.monotonic()
            over = sorted(self._watched.values(), key=lambda one: one.used_s)[: max(0, len(self._watched) - MOST_KEPT)]
            for old in over:
                del self._watched[old.folder.name]
        return run

    def list(self) -> list[dict[str, Any]]:
        """All runs in a few words, the newest first."""
        folders = runs(self.folder)
        with self._listing:
            found = {folder.name: self._words(folder) for folder in folders}
            self._listed = {name: self._listed[name] for name in found}
        with self._lock:
            self._watched = {name: run for name, run in self._watched.items() if name in found}
        return list(found.values())

    def state(self) -> tuple[Any, ...]:
        """Changes when a run appears, vanishes, begins or ends; asks only those that have changed."""
        return tuple((one["name"], one["status"]) for one in self.list())

    def _words(self, folder: Path) -> dict[str, Any]:
        mark, now = Watched(folder).mark(), time.monotonic()
        known = self._listed.get(folder.name)
        goes_on = mark[-1:] == (True,) and known is not None and known.mark[-1:] == (True,)
        if known is not None and (mark == known.mark or (goes_on and now < known.due_s)):
            return known.words
        words = _words(folder)
        self._listed[folder.name] = Listed(mark, words, time.monotonic() + (time.monotonic() - now) / SHARE)
        return words


def is_name(name: str) -> bool:
    """Whether this can be the name of a file that is meant to be seen, and leads nowhere else."""
    return name.isprintable() and 0 < len(name.encode(errors="replace")) < 256 and not name.startswith(".") and not set(name) & set("/\\")


def _words(folder: Path) -> dict[str, Any]:
    about = ("dry_run", "bench", "seed", "command")
    words: dict[str, Any] = {"name": folder.name, **_plain(Summary(folder.name, folder, "?", "died", None, None, None, None))}
    words |= dict.fromkeys(about)
    try:
        words |= _plain(summary(folder))
        with open_record(folder, briefly=True) as record:
            found = record.query(f"SELECT {', '.join(about)} FROM sessions ORDER BY session DESC LIMIT 1")
        if found:
            words |= dict(zip(about, found[0], strict=True))
            words["dry_run"] = bool(words["dry_run"])
    except (*UNREADABLE, LabonnError, OSError) as problem:
        if title := benchless(folder):
            return words | {"title": title}
        words["message"] = str(problem) if isinstance(problem, LabonnError) else f"{folder / FILE}: cannot be read: {problem}"
    return words


def _plain(one: Summary) -> dict[str, Any]:
    best = None if one.best is None else {"name": one.best[0], "value": one.best[1]}
    names = ("id", "procedure", "status", "steps", "started", "took_s", "problem")
    return {**{name: getattr(one, name) for name in names}, "best": best}
