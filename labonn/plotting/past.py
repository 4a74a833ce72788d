"""A run that is looked at, from whatever its folder holds: record, metrics, arrays; what is missing or broken is told, not raised."""

from __future__ import annotations

import json
import math
import sqlite3
import zipfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from labonn.errors import LabonnError, RecordError
from labonn.record.finding import Summary, summary
from labonn.record.reading import Record, open_record

Array = NDArray[Any]
POINTS = 600  # of a line
MOST_BYTES = 1 << 30  # of an array file that is read


class Past:
    """One run's folder, read only.

    Attributes:
        folder: the run's. problems: what could not be read, a line each. record: None if there is none that can be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems: list[str] = []
        self._series: dict[str, dict[str, Array]] = {}
        self.record: Record | None = None
        try:
            self.record = open_record(folder)
        except RecordError as problem:
            self.problems.append(str(problem))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        if self.record is not None:
            self.record.close()

    def ask(self, question: Callable[[Record], Any], otherwise: Any) -> Any:
        """What the record says; `otherwise` if there is none, or it is broken there."""
        if self.record is None:
            return otherwise
        try:
            return question(self.record)
        except (sqlite3.Error, LabonnError, ValueError, TypeError, KeyError, IndexError, AttributeError) as problem:
            self._tell(f"{self.record.path.name}: cannot be read whole: {type(problem).__name__}: {problem}")
            return otherwise

    @cached_property
    def settings(self) -> dict[str, Any]:
        """settings.json; empty if there is none."""
        return self._json("settings.json", wanted=True)

    @cached_property
    def outcome(self) -> dict[str, Any]:
        """result.json; empty if there is none."""
        return self._json("result.json", wanted=False)

    @property
    def result(self) -> dict[str, Any]:
        """What the procedure returned, by name."""
        found = self.outcome.get("result")
        return found if isinstance(found, dict) else {}

    @property
    def options(self) -> dict[str, Any]:
        """The command line's."""
        found = self.settings.get("options")
        return found if isinstance(found, dict) else {}

    @property
    def procedure(self) -> str:
        """By name."""
        return str(self.settings.get("procedure", "unknown procedure"))

    @cached_property
    def summary(self) -> Summary:
        """The run in a few words."""
        try:
            return summary(self.folder)
        except (sqlite3.Error, ValueError, TypeError, KeyError, IndexError, AttributeError) as problem:
            self._tell(f"the run cannot be summed up: {type(problem).__name__}: {problem}")
            status = str(self.outcome.get("status", "unknown"))
            return Summary(self.folder.name, self.folder, self.procedure, status, None, None, None, None)

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """Rows of metrics: the record's, or those of metrics.jsonl."""
        found: list[Any] = self.ask(Record.reports, [])
        return [row for row in found or self._lines("metrics.jsonl") if isinstance(row, dict)]

    @cached_property
    def sessions(self) -> list[dict[str, Any]]:
        """Of the record."""
        return list(self.ask(Record.sessions, []))

    @cached_property
    def hardware(self) -> dict[str, dict[str, Any]]:
        """Of the record: port -> what was known of its instruments at the start."""
        return dict(self.ask(Record.hardware, {}))

    @cached_property
    def effort(self) -> dict[str, Array]:
        """Of the record: what it took, thinned; empty if there is none."""
        return dict(self.ask(lambda record: record.effort(POINTS), {}))

    def series(self, name: str) -> dict[str, Array]:
        """Of the record: a metric of the steps, thinned; empty if there is none."""
        if name not in self._series:
            self._series[name] = dict(self.ask(lambda record: record.metrics(name, points=POINTS, kind="step"), {}))
        return self._series[name]

    def names(self, kind: str) -> list[str]:
        """Of the record: metrics of a "step" or a "report", ports that had a "command" or gave a "reading"."""
        return list(self.ask(lambda record: record.names(kind), []))

    def arrays(self, name: str) -> dict[str, Array]:
        """The arrays of <name>.npz; empty if there is none."""
        path = self.folder / f"{name}.npz"
        if not path.is_file():
            return {}
        try:
            with zipfile.ZipFile(path) as archive:
                if sum(member.file_size for member in archive.infolist()) > MOST_BYTES:
                    raise ValueError("over 1 GB of arrays")
            with np.load(path, allow_pickle=False) as found:
                return {key: found[key] for key in found.files}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as problem:
            self._tell(f"{path.name}: cannot be read: {problem}")
            return {}

    def _json(self, name: str, wanted: bool) -> dict[str, Any]:
        path = self.folder / name
        if not path.exists() and not wanted:
            return {}
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as problem:
            self._tell(f"{name}: cannot be read: {problem}")
            return {}
        return found if isinstance(found, dict) else {}

    def _lines(self, name: str) -> list[Any]:
        """Objects, a line each; a last line that was cut off by a crash does not count."""
        rows: list[Any] = []
        with suppress(OSError, ValueError):
            rows.extend(json.loads(line) for line in (self.folder / name).read_text(encoding="utf-8").splitlines())
        return rows

    def _tell(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


def column(rows: list[dict[str, Any]], name: str) -> Array:
    """(n,) one value a row; NaN where there is no number."""
    return np.array([number(row.get(name)) for row in rows], np.float64)


def number(value: Any) -> float:
    """A plain number, or NaN."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300 else math.nan


def settings_of(past: Past) -> Mapping[str, Any]:
    """What decides how a run goes, without seed and places: runs of equal settings are repetitions of each other."""
    left_out = {"seed", "out", "json", "resume", "force", "record", "checkpoint", "guardian", "guardian_url", "guarded", "quiet", "plan"}
    decided = {key: value for key, value in past.options.items() if key not in left_out}
    return {"procedure": past.procedure, **decided}
