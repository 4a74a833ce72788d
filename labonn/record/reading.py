"""A run's record, read: arrays for notebooks and dashboards, also while the run is writing."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import orjson

from labonn.record.details import unpacked
from labonn.record.layouts import Layout
from labonn.record.liveness import is_written
from labonn.record.querying import Columns, columns, connect, evenly, file_of, holes, thinned
from labonn.record.schema import COMMANDS, READINGS
from labonn.showing import Sheet, Shown
from labonn.showing.records import record_sheet

if TYPE_CHECKING:
    from xarray import Dataset

STEPS = ("entry", "session", "kind", "step", "time", "wall_s", "bench_s", "play_s", "tables", "shots", "exchanges")


class Record(Shown):
    """One run's record. What it returns are dictionaries of arrays of equal length, oldest first, without what a resumed run did again.

    `since` leaves out entries up to that number: a program that watches a run passes the last `entry` that it has seen.
    `points` thins to at most so many, the newest always among them.

    Args:
        briefly: it is closed in a moment: then not even a file is made beside one that nobody writes.

    Attributes:
        path: of the file.
    """

    def __init__(self, path: Path | str, briefly: bool = False) -> None:
        self.path = file_of(path)
        self._db = connect(self.path, briefly)

    def steps(self, points: int | None = None, since: int = 0, kind: str = "step") -> Columns:
        """When each step ended, and what it took. `kind`: "step", "report" (a row of metrics), "part" or "end" (what lies between)."""
        return columns(STEPS, self._entries(", ".join(STEPS), points, since, kind))

    def names(self, kind: str) -> list[str]:
        """Metrics that come with a "step" or a "report"; ports that had a "command" or gave a "reading"."""
        return [name for (name,) in self._db.execute("SELECT name FROM names WHERE kind = ? ORDER BY name", (kind,))]

    def metrics(self, name: str, points: int | None = None, since: int = 0, kind: str | None = None) -> Columns:
        """entry, step, value; thinned: value is the mean of a stretch of steps, low and high its extremes, step its last.

        Args:
            kind: "step" or "report"; None: of the steps, or of the reports if no step has this name.
        """
        kind = kind or ("step" if name in self.names("step") else "report")
        path = "$." + json.dumps(name)
        if kind == "step" and points is not None:
            return columns(("entry", "step", "value", "low", "high"), self._stretches(path, points, since))
        rows = self._entries("entry, step, json_extract(metrics_of, ?)", None, since, kind, (path,))
        series = columns(("entry", "step", "value"), (row for row in rows if row[2] is not None or kind == "step"))
        return series if points is None else thinned(series, points)

    def reports(self) -> list[dict[str, Any]]:
        """The rows of metrics, as the run gave them."""
        return [orjson.loads(text) for (text,) in self._entries("metrics_of", None, 0, "report")]

    def commands(self, port: str, points: int | None = None, since: int = 0, kind: str = "step") -> Columns:
        """entry, step and a summary of what an actuator port was commanded: tables, shots, rows, min, mean, max, rms."""
        return self._summaries("commands_of", COMMANDS, port, points, since, kind)

    def readings(self, port: str, points: int | None = None, since: int = 0, kind: str = "step") -> Columns:
        """entry, step and a summary of what a detector port read: tables, shots, min, mean, max, std, bad, saturated."""
        return self._summaries("readings_of", READINGS, port, points, since, kind)

    def histograms(self, port: str, since: int = 0, last: int = 1000) -> Columns:
        """entry, step, low, high and counts (n, 64) of a detector port's readings, the newest `last`."""
        rows = self._newest("histograms", "low, high, counts", port, since, last)
        counts = np.array([np.frombuffer(row[4], "<u4") for row in rows], np.int64).reshape(-1, 64)
        return columns(("entry", "step", "low", "high"), [row[:4] for row in rows]) | {"counts": counts}

    def frames(self, port: str, since: int = 0, last: int = 1000) -> Columns:
        """entry, step and values (n, C): all channels of an actuator port at some moments, the newest `last`."""
        rows = self._newest("frames", "channels, low, high, codes", port, since, last)
        values = np.array([unpacked(*row[2:]) for row in rows], np.float32)
        return columns(("entry", "step"), [row[:2] for row in rows]) | {"values": values}

    def map_layouts(self) -> dict[str, Layout]:
        """name -> where the values of a map belong, as the newest session said."""
        rows = self._db.execute("SELECT name, about FROM layouts ORDER BY session")
        return {name: Layout.unpacked(json.loads(about)) for name, about in rows}

    def maps(self, name: str, since: int = 0, last: int = 1000) -> Columns:
        """entry, step and values (n, P) of a map (`map_layouts`), the newest `last`."""
        rows = self._newest("maps", "count, low, high, codes", name, since, last, "name")
        values = np.array([unpacked(*row[2:]) for row in rows], np.float32)
        return columns(("entry", "step"), [row[:2] for row in rows]) | {"values": values}

    def ranges(self, port: str, since: int = 0, last: int = 1000) -> Columns:
        """entry, step, low, high and narrowest: the ranges of a detector port when histograms were made, the newest `last`."""
        names = ("low", "high", "narrowest")
        return columns(("entry", "step", *names), self._newest("ranges", ", ".join(names), port, since, last))

    def temperatures(self, since: int = 0) -> dict[str, Columns]:
        """port -> entry, step, low, mean, high in degC, at every report; NaN where they could not be had."""
        found: dict[str, Columns] = {}
        for (port,) in self._db.execute("SELECT DISTINCT port FROM temperatures ORDER BY port").fetchall():
            rows = self._newest("temperatures", "low, mean, high", port, since, -1)
            found[port] = columns(("entry", "step", "low", "mean", "high"), rows)
        return found

    def effort(self, points: int | None = None, since: int = 0) -> Columns:
        """entry, step, time (UTC), bench_s, and shots, exchanges and tables since the run began; of every entry, or thinned.

        All kinds of entries are counted; with `since` the sums still begin with the run.
        """
        names = ("entry", "step", "time", "bench_s", "shots", "exchanges", "tables")
        where = f"1{holes(self._db)}"
        (newest,) = self._db.execute(f"SELECT ifnull(max(entry), 0) FROM steps WHERE {where}").fetchone()
        size = 1 if points is None else max(1, -(-(newest - since) // max(points, 1)))
        place = f"CASE WHEN entry <= {int(since)} THEN -1 ELSE ({newest} - entry) / {size} END"
        what = "max(entry), max(step), max(time), max(bench_s), sum(shots), sum(exchanges), sum(tables)"
        rows = self._db.execute(f"SELECT {what}, {place} AS stretch FROM steps WHERE {where} GROUP BY stretch ORDER BY 1").fetchall()
        found = columns(names, [row[:-1] for row in rows])
        for name in ("shots", "exchanges", "tables"):
            found[name] = np.cumsum(found[name])
        return {name: values[1:] for name, values in found.items()} if rows and rows[0][-1] == -1 else found

    def events(self, since: int = 0) -> list[dict[str, Any]]:
        """Everything that happened, after the event of that number."""
        return self._rows("SELECT * FROM events WHERE event > ? ORDER BY event", since)

    def errors(self) -> list[dict[str, Any]]:
        """What went wrong."""
        return self._rows("SELECT * FROM errors ORDER BY error")

    def checks(self) -> list[dict[str, Any]]:
        """Drift checks and the like."""
        return self._rows("SELECT * FROM checks ORDER BY number")

    def sessions(self) -> list[dict[str, Any]]:
        """Every process that wrote here: how it was started, with which settings, and how it ended (status None: not, or not yet)."""
        query = "SELECT s.*, e.time AS ended, e.status, e.problem, e.result, r.step AS resumed_after FROM sessions s"
        rows = self._rows(f"{query} LEFT JOIN endings e USING (session) LEFT JOIN resumptions r USING (session) ORDER BY session")
        decoded = ("settings", "versions", "calibrations", "result")
        return [{name: json.loads(value) if value and name in decoded else value for name, value in row.items()} for row in rows]

    def hardware(self, moment: str = "start") -> dict[str, dict[str, Any]]:
        """port -> what was known of its instruments at the "start" or "end" of the last session that noted it."""
        query = "SELECT port, about FROM hardware WHERE moment = ? ORDER BY session"
        return {port: json.loads(about) for port, about in self._db.execute(query, (moment,))}

    def status(self) -> str:
        """How the run ended, by its last session: "finished", "interrupted", "failed"; or "running"; or "died", without a word."""
        query = "SELECT e.status, s.started FROM sessions s LEFT JOIN endings e USING (session) ORDER BY session DESC LIMIT 1"
        for asked in range(2):  # it may end between the two questions
            status, started = self._db.execute(query).fetchone() or (None, 0.0)
            if status:
                return str(status)
            if not asked and is_written(self.path.parent):
                return "running"
        return last_words(self.path.parent, started) or "died"

    def newest(self) -> dict[str, Any]:
        """The columns of the newest entry; empty if there is none."""
        found = self._rows(f"SELECT {', '.join(STEPS)} FROM steps WHERE 1{holes(self._db)} ORDER BY entry DESC LIMIT 1")
        return found[0] if found else {}

    def last_time(self, session: int) -> float | None:
        """When the last entry of a session was made; None if there is none."""
        found = self._db.execute("SELECT time FROM steps WHERE session = ? ORDER BY entry DESC LIMIT 1", (session,)).fetchone()
        return None if found is None else float(found[0])

    def place(self, step: int, reports: int, before: int) -> int:
        """The entry, of those below `before`, at which a run stood that had done so many steps and reports."""
        where = f"entry < ?{holes(self._db)}"
        query = f"SELECT entry FROM steps WHERE kind = 'step' AND step <= ? AND {where} ORDER BY entry DESC LIMIT 1"
        found = self._db.execute(query, (step, before)).fetchone()
        query = f"SELECT entry FROM steps WHERE kind = 'report' AND {where} ORDER BY entry LIMIT 1 OFFSET ?"
        reported = self._db.execute(query, (before, reports - 1)).fetchone() if reports else None
        return max(entry[0] for entry in (found, reported, (0,)) if entry is not None)

    @property
    def folder(self) -> Path:
        """The run's."""
        return self.path.parent

    @property
    def settings(self) -> dict[str, Any]:
        """Command line, options, seed and versions of the last session; empty if none has begun."""
        sessions = self.sessions()
        return dict(sessions[-1]["settings"] or {}) if sessions else {}

    @property
    def result(self) -> Any:
        """What the procedure returned; None as long as it has not."""
        sessions = self.sessions()
        return sessions[-1]["result"] if sessions else None

    def to_xarray(self, points: int | None = None, details: Sequence[str] = ()) -> Dataset:
        """What came step by step as an xarray data set, as it is at this moment; also while the run is writing.

        Dimension `step` has the metrics by their names, wall_s, play_s, tables, shots, exchanges, and as coordinates time, bench_s, entry
        and session; command_min, command_mean, ... have a dimension `actuator` too, reading_min, ... one `detector`. Rows of the run's
        metrics are report_NAME over `report`. Attributes are text: settings, versions, calibrations, bench file, hardware (JSON).

        Args:
            points: at most so many steps; metrics are then means of stretches, with NAME_low and NAME_high.
            details: ports whose frames (frame_PORT) or histograms (histogram_PORT) are wanted too, the newest 1,000.

        Raises:
            MissingPackageError: xarray is not installed. RecordError: there is no such port.
        """
        from labonn.record.datasets import dataset

        return dataset(self, points, details)

    def cells(self, points: int | None = None) -> Iterable[Sequence[str]]:
        """JSON of the metrics, commands and readings of every step, as the table has it."""
        return self._entries("metrics_of, commands_of, readings_of", points, 0, "step")

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """What is asked in here is answered as of one moment, whatever is written meanwhile."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("ROLLBACK")

    def _sheet(self) -> Sheet:
        from labonn.record.finding import summary

        return record_sheet(self, summary(self.folder))

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a question in SQL; the package's docstring tells the tables. Nothing can be changed by it."""
        return self._db.execute(sql, values).fetchall()

    def counted(self, column: str = "entry") -> str:
        """What to add to a WHERE of a `query`, so that entries are left out that a resumed run did again: "" or " AND ..."."""
        return holes(self._db, column)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        cursor = self._db.execute(query, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def _entries(self, what: str, points: int | None, since: int, kind: str, values: tuple[Any, ...] = ()) -> Iterable[Sequence[Any]]:
        """`what` of all entries of a kind, or of some that lie evenly: each found by its number, those between are not read."""
        if points is None or kind != "step":
            where = f"kind = ? AND entry > ?{holes(self._db)}"
            return self._db.execute(f"SELECT {what} FROM steps WHERE {where} ORDER BY entry", (*values, kind, since))
        newest = self._db.execute("SELECT ifnull(max(entry), 0) FROM steps WHERE kind = 'step' AND entry > ?", (since,)).fetchone()[0]
        query = f"SELECT {what} FROM steps WHERE entry = ? AND kind = 'step'{holes(self._db)}"
        found = (self._db.execute(query, (*values, entry)).fetchone() for entry in evenly(since, newest, points))
        return [row for row in found if row is not None]

    def _summaries(self, column: str, names: Sequence[str], port: str, points: int | None, since: int, kind: str) -> Columns:
        rows = self._entries(f"entry, step, {column}", points, since, kind)
        found = ((entry, step, orjson.loads(text).get(port)) for entry, step, text in rows)
        return columns(("entry", "step", *names), ((entry, step, *values) for entry, step, values in found if values is not None))

    def _stretches(self, path: str, points: int, since: int) -> Iterable[Sequence[Any]]:
        """The last entry and step, mean, lowest and highest value of each of some stretches of equally many entries."""
        where = f"kind = 'step' AND entry > ?{holes(self._db)}"
        (newest,) = self._db.execute(f"SELECT ifnull(max(entry), 0) FROM steps WHERE {where}", (since,)).fetchone()
        values = f"SELECT entry, step, json_extract(metrics_of, ?) AS v FROM steps WHERE {where}"
        size = max(1, -(-(newest - since) // max(points, 1)))
        query = f"SELECT max(entry), max(step), avg(v), min(v), max(v) FROM ({values}) GROUP BY (? - entry) / ? ORDER BY 1"
        return self._db.execute(query, (path, since, newest, size))

    def _newest(self, table: str, what: str, port: str, since: int, last: int, key: str = "port") -> list[Any]:
        gaps = holes(self._db, "d.entry")
        found = f"SELECT d.entry, s.step, {what} FROM {table} d JOIN steps s ON s.entry = d.entry"
        query = f"{found} WHERE d.{key} = ? AND d.entry > ?{gaps} ORDER BY d.entry DESC LIMIT ?"
        return self._db.execute(query, (port, since, last)).fetchall()[::-1]


def last_words(folder: Path, started: float) -> str | None:
    """How a run ended whose record could not be written to its end; None: it did not say."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        result = folder / "result.json"
        if result.stat().st_mtime >= started:
            return str(json.loads(result.read_text(encoding="utf-8"))["status"])
    with contextlib.suppress(OSError, ValueError):
        last = (folder / "events.log").read_text(encoding="utf-8").splitlines()[-1:]
        for status in ("failed", "interrupted"):
            if last and last[0].partition(" ")[2].startswith(f"{status}: "):
                return status
    return None


def open_record(path: Path | str, briefly: bool = False) -> Record:
    """The record of a run: its folder, or the file; `briefly`: for a moment (Record).

    Raises:
        RecordError: there is none, or it is not one.
    """
    return Record(path, briefly)
