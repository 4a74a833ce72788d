"""The recorder: sees what a bench plays and what a run decides, and has it written down, at most one step behind."""

from __future__ import annotations

import contextlib
import getpass
import json
import math
import os
import socket
import sqlite3
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labonn.errors import LabonnError, RecordError
from labonn.record.details import Details
from labonn.record.gathering import Gatherer
from labonn.record.hardware import state_of, temperatures_of
from labonn.record.layouts import Layout, Map
from labonn.record.liveness import hold
from labonn.record.reading import open_record
from labonn.record.schema import FILE, prepared
from labonn.record.writing import Writer, told
from labonn.shots import Readings, ShotTable

PART_S = 10.0  # after which what was played is written down even if no step has ended


class Recorder:
    """One session of a run's record: from the opening of the bench to its end.

    It is a bench's observer (`played`, `made_safe`, `failed`); `step`, `report`, `event`, `check` and `error` are the run's.
    The writing is done by another process (child.py), which also writes down that this one died, should it.
    What cannot be written ends the run by a RecordError, raised by the next `played`, `step` or `report`, and never by what makes the
    bench safe.

    Args:
        folder: the run's. bench: what is played on. about: columns of `sessions`, by name.

    Attributes:
        entries: entries given to the writer so far. step_number: of the last step.
    """

    def __init__(self, folder: Path, bench: Any, about: Mapping[str, Any]) -> None:
        self.path, self._bench = folder / FILE, bench
        self._gatherer, self._details = Gatherer(bench.ports), Details(bench.ports)
        self._shapes: set[tuple[Any, ...]] = set()  # kinds of entries whose names are on record
        self._layouts: dict[str, Layout] = {}
        self.step_number, self._step_before = 0, 0
        self._ticket, self._step_ticket = 0, 0
        self._counted = bench.exchanges, bench.clock.now()
        self._begin_s = time.perf_counter()
        self._last_error: BaseException | None = None
        self._closed = False
        self._lock: int | None = None
        try:
            self.entries, sessions = prepared(self.path)
            self._first_entry, self.session = self.entries + 1, sessions + 1
            self._lock = hold(folder)
            died = f"INSERT INTO endings VALUES ({self.session}, CAST(strftime('%s', 'now') AS REAL), 'died', NULL, NULL)"
            self._writer = Writer(self.path, died)
        except (sqlite3.Error, OSError) as problem:
            self._let_go()
            raise told(self.path, getattr(problem, "sqlite_errorname", ""), str(problem)) from problem
        columns = ("procedure", "command", "settings", "bench_file", "bench", "versions", "calibrations", "seed", "dry_run")
        process = (socket.gethostname(), _user(), os.getpid(), time.time())
        self._writer.put({"sessions": [(self.session, *(_column(about.get(name)) for name in columns), *process)]})

    @property
    def committed_step(self) -> int:
        """The last step that is on the disk."""
        return self.step_number if self._writer.has(self._step_ticket) else self._step_before

    @property
    def writer(self) -> int:
        """The number of the process that writes."""
        return self._writer.process

    # what the bench does

    def played(self, table: ShotTable, readings: Readings, seconds: float) -> None:
        """A table was played, and took so many seconds."""
        if self._closed:
            return
        self._gatherer.add(table, readings, seconds)
        if time.perf_counter() - self._begin_s > PART_S:
            self._enter("part", {})

    def made_safe(self) -> None:
        """Every actuator is safe."""
        self._gatherer.forget()
        self._unheard("events", [self._event("info", "every actuator was made safe")])
        self.hardware("end")

    def failed(self, problem: BaseException) -> None:
        """Playing or making safe went wrong."""
        self._gatherer.forget()
        if isinstance(problem, Exception) and problem is not self._last_error:
            self._last_error = problem
            self._unheard("errors", [self._error(problem)])

    # what the run does

    def step(self, number: int, metrics: Mapping[str, Any], maps: Mapping[str, Map] | None = None) -> None:
        """Step `number` has ended: its numbers, and all that was played since the entry before, are on the disk before the next ends.

        Args:
            maps: name -> parameters that the run has now; they are taken over, and written down now and then.
        """
        self._step_before, self.step_number = self.step_number, number
        for name, one in (maps or {}).items():
            if self._layouts.get(name) is not one.layout:
                self._layouts[name] = one.layout
                self._unheard("layouts", [(self.session, name, _json(one.layout.packed()))])
            self._details.maps[name] = one.values
        self._enter("step", metrics)
        self._step_ticket = self._ticket

    def resumed(self, step: int, reports: int) -> None:
        """The run goes on after that step, and after so many reports; what earlier sessions did since is done again."""
        self.part()
        self.flush()
        with open_record(self.path) as record:
            found = record.place(step, reports, self._first_entry)
        self.step_number = step
        self._writer.put({"resumptions": [(self.session, found, self._first_entry, step)]})

    def believed(self, ids: Mapping[str, str]) -> None:
        """From now on this session believes these calibrations: "port kind" -> id; the events tell which it believed before."""
        self._unheard("believed", [(_json(dict(ids)), self.session)])

    def report(self, metrics: Mapping[str, Any]) -> None:
        """A row of the run's metrics; heaters are asked for their temperatures."""
        self._enter("report", metrics)
        found = temperatures_of(self._bench)
        if found:
            self._unheard("temperatures", [(self.entries, port, *row) for port, row in found.items()])

    def part(self) -> None:
        """What was played since the last entry was not part of the step that follows."""
        if self._gatherer.tables:
            self._enter("part", {})

    def event(self, text: str, level: str = "info") -> None:
        """Something happened; if it cannot be written, the next entry will say so."""
        self._unheard("events", [self._event(level, text)])

    def check(self, name: str, value: float, low: float = -math.inf, high: float = math.inf, text: str = "") -> bool:
        """Something was measured to see whether it is still inside a range, such as the drift of a calibration; whether it is."""
        passed = low <= value <= high
        if not self._closed:
            self._writer.put({"checks": [(self.session, self.entries, time.time(), name, value, low, high, int(passed), text)]})
        return passed

    def error(self, problem: BaseException) -> None:
        """The run ends because of this."""
        if not self._closed and problem is not self._last_error and isinstance(problem, Exception):
            self._last_error = problem
            self._unheard("errors", [self._error(problem)])

    def hardware(self, moment: str) -> None:
        """Write down the state of the bench ("start" or "end")."""
        if not self._closed:
            state = state_of(self._bench)
            self._unheard("hardware", [(self.session, moment, port, _json(about)) for port, about in state.items()])

    def flush(self) -> None:
        """Everything so far is on the disk when this returns."""
        self._writer.wait(self._writer.sent)

    def finish(self, status: str, problem: str | None = None, result: Any = None) -> None:
        """The last entry, the session's end; then the file is closed.

        Raises:
            RecordError: something could not be written.
        """
        if self._closed:
            return
        known = self._writer.heard
        try:
            self._enter("end", {}, last=True)
            self._writer.put({"endings": [(self.session, time.time(), status, problem, _json(result))]})
            self.flush()
        except RecordError:
            if not known:
                raise
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the file without saying how the run ended."""
        if not self._closed:
            self._closed = True
            self._writer.close()
            self._let_go()

    def _let_go(self) -> None:
        if self._lock is not None:
            os.close(self._lock)

    def _enter(self, kind: str, metrics: Mapping[str, Any], last: bool = False) -> None:
        """One more row of `steps`, once the one before it is on the disk."""
        if self._closed:
            return
        gathered, now = self._gatherer, time.perf_counter()
        gathered.sum_up()
        self.entries += 1
        message = self._details.rows(self.entries, gathered.commands, gathered.readings, last)
        about = (
            metrics,
            {port: command.row() for port, command in gathered.commands.items() if command.tables},
            {port: reading.row() for port, reading in gathered.readings.items() if reading.tables},
        )
        shape = (kind, *map(tuple, about))
        if shape not in self._shapes:
            self._shapes.add(shape)
            named = zip((kind, "command", "reading"), about, strict=True)
            message["names"] = [(of, name) for of, names in named for name in names]
        before, self._counted = self._counted[0], self._now()
        columns = (self.session, kind, self.step_number, time.time(), now - self._begin_s, self._counted[1], gathered.play_s)
        message["steps"] = [(self.entries, *columns, gathered.tables, gathered.shots, self._counted[0] - before, *about)]
        gathered.tables, gathered.shots, gathered.play_s = 0, 0, 0.0
        self._begin_s = now
        self._writer.put(message, wait_for=self._ticket)
        self._ticket = self._writer.sent

    def _now(self) -> tuple[int, float]:
        """Exchanges so far and the bench's clock; as they were, if the bench is out of reach, as at the end it may be."""
        try:
            return self._bench.exchanges, self._bench.clock.now()
        except LabonnError:
            return self._counted

    def _event(self, level: str, text: str) -> tuple[Any, ...]:
        return (self.session, self.entries, time.time(), level, text)

    def _error(self, problem: BaseException) -> tuple[Any, ...]:
        told = "\n".join([str(problem), *getattr(problem, "__notes__", ())])
        return (self.session, self.entries, time.time(), type(problem).__name__, told, "".join(traceback.format_exception(problem)))

    def _unheard(self, table: str, values: list[tuple[Any, ...]]) -> None:
        """Written if that is possible: nothing may stand in the way of making a bench safe."""
        if not self._closed:
            with contextlib.suppress(RecordError):
                self._writer.put({table: values})


def _column(value: Any) -> Any:
    return value if value is None or isinstance(value, (int, float, str)) else _json(value)


def _json(value: Any) -> str:
    from labonn.runs import plain

    return json.dumps(plain(value), allow_nan=False, ensure_ascii=False)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without names
        return str(getattr(os, "getuid", int)())
