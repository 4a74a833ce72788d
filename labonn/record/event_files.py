"""A record as event files for TensorBoard: of a finished run, or of one under way, which notices nothing of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from labonn.clock import Clock
from labonn.errors import RecordError
from labonn.record.event_values import Value, Values
from labonn.record.opened import options_of
from labonn.record.querying import Columns
from labonn.record.reading import Record

SUFFIX = ".labonn"
POLL_S = 1.0
POINTS = 1000  # of commands and readings, at a time; TensorBoard itself shows no more
DETAILS = 200  # newest histograms and frames of a port, at a time
EVENTS = 200  # newest events that are told
SHOWN = {"command": ("min", "mean", "max"), "reading": ("min", "mean", "max", "bad", "saturated")}
KINDS = ("step", "report", "part", "end")


def export(record: Record, folder: Path) -> Path:
    """Everything there is, in a folder of the run's name; what an earlier export has left there is replaced.

    Returns:
        The run's folder in `folder`; `tensorboard --logdir FOLDER` shows all runs in it.

    Raises:
        MissingPackageError: tensorboardX is not installed. RecordError: the file cannot be written.
    """
    with EventFile(record, folder) as file:
        file.write_new()
        file.end()
        return file.folder


def follow(record: Record, folder: Path, clock: Clock) -> Path:
    """As `export`; then what comes, once a second, until the run has ended."""
    with EventFile(record, folder) as file:
        while True:
            running = record.status() == "running"
            file.write_new()
            if not running:
                file.end()
                return file.folder
            clock.wait(POLL_S)


class EventFile:
    """One event file that grows with a record.

    Args:
        folder: for a folder of the run's name.

    Attributes:
        folder: that of the run.
    """

    def __init__(self, record: Record, folder: Path) -> None:
        self._values, self._record = Values(), record
        self.folder = folder / record.folder.absolute().name
        self._since, self._events = 0, 0
        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            for old in self.folder.glob(f"events.out.tfevents.*{SUFFIX}"):
                old.unlink()
            self._file = self._values.file(self.folder, SUFFIX)
        self._about()

    def write_new(self) -> None:
        """All entries since the last call."""
        with self._record.at_once():
            newest, times = self._record.newest().get("entry", 0), self._times()
            for (entry, step), numbers in self._numbers().items():
                self._put(step, times.get(entry, 0.0), [self._values.number(tag, value) for tag, value in numbers.items()])
            for entry, step, value in self._details():
                self._put(step, times.get(entry, 0.0), [value])
            self._tell_events()
        self._since = newest
        with self._writing():
            self._file.flush()

    def end(self) -> None:
        """How it ended, with what result, beside the settings it was run with."""
        with self._record.at_once():
            result, newest, settings = self._record.result, self._record.newest(), self._record.settings
        status = self._record.status()
        found = result.items() if isinstance(result, Mapping) else ()
        numbers = {f"result/{name}": float(value) for name, value in found if type(value) in (int, float)}
        options = {"procedure": settings.get("procedure"), **options_of(settings)}
        values = [*(self._values.number(tag, value) for tag, value in numbers.items()), *self._values.outcome(options, numbers, status)]
        self._put(int(newest.get("step") or 0), float(newest.get("time") or 0.0), values)
        with self._writing():
            self._file.flush()

    def __enter__(self) -> EventFile:
        return self

    def __exit__(self, *problem: object) -> None:
        self._file.close()

    def _about(self) -> None:
        for first in self._record.sessions()[:1]:
            texts = {"settings": json.dumps(first["settings"], indent=1), "bench file": first["bench_file"]}
            self._put(0, first["started"], [self._values.text(tag, f"```\n{words}\n```") for tag, words in texts.items()])

    def _times(self) -> dict[int, float]:
        """entry -> UTC, of those since the last call."""
        found: dict[int, float] = {}
        for kind in KINDS:
            columns = self._record.steps(since=self._since, kind=kind)
            found.update(zip(columns["entry"].tolist(), columns["time"].tolist(), strict=True))
        return found

    def _numbers(self) -> dict[tuple[int, int], dict[str, float]]:
        """(entry, step) -> tag -> number, in their order, of all that is one number."""
        found: dict[tuple[int, int], dict[str, float]] = {}
        record, since = self._record, self._since

        def add(columns: Columns, tag: str, name: str) -> None:
            for entry, step, value in zip(*(columns[key].tolist() for key in ("entry", "step", name)), strict=True):
                if value == value:
                    found.setdefault((entry, step), {})[tag] = value

        for kind in ("step", "report"):
            for name in record.names(kind):
                add(record.metrics(name, since=since, kind=kind), f"{kind}/{name}", "value")
        for kind, names in SHOWN.items():
            for port in record.names(kind):
                columns = (record.commands if kind == "command" else record.readings)(port, POINTS, since)
                for name in names:
                    add(columns, f"{kind}/{port}/{name}", name)
        for port, columns in record.temperatures(since).items():
            add(columns, f"temperature/{port}", "mean")
        return dict(sorted(found.items()))

    def _details(self) -> Iterator[tuple[int, int, Value]]:
        """(entry, step, value) of histograms, frames and maps."""
        record, since, hardware = self._record, self._since, self._record.hardware()
        for port in record.names("reading"):
            for entry, step, low, high, counts in _rows(record.histograms(port, since, DETAILS), "low", "high", "counts"):
                yield entry, step, self._values.histogram(f"reading/{port}", counts, np.linspace(low, high, len(counts) + 1))
        for port in record.names("command"):
            for entry, step, values in _rows(record.frames(port, since, DETAILS), "values"):
                yield entry, step, self._frame(port, values, hardware.get(port, {}))
        for name in record.map_layouts():
            for entry, step, values in _rows(record.maps(name, since, DETAILS), "values"):
                yield entry, step, self._values.histogram(f"map/{name}", *np.histogram(values, 64))

    def _frame(self, port: str, values: Any, about: Mapping[str, Any]) -> Value:
        """An image between the limits of what has rows and columns; a histogram of others."""
        shape = about.get("shape", ())
        if len(shape) != 2 or int(np.prod(shape)) != values.size:
            return self._values.histogram(f"command/{port}", *np.histogram(values, 64))
        return self._values.image(f"frame/{port}", values.reshape(shape), float(np.min(about["lower"])), float(np.max(about["upper"])))

    def _tell_events(self) -> None:
        """All events so far as one text, whenever there are new ones."""
        events = self._record.events()
        if len(events) > self._events:
            self._events = len(events)
            lines = "\n".join(f"- {event['level']}: {event['text']}" for event in events[-EVENTS:])
            self._put(int(self._record.newest().get("step") or 0), events[-1]["time"], [self._values.text("events", lines)])

    def _put(self, step: int, time: float, values: Sequence[Value]) -> None:
        with self._writing():
            self._file.write_event(self._values.event(step, time, values))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            raise RecordError(f"{self.folder}: cannot be written: {problem.strerror or problem}") from problem


def _rows(columns: Columns, *names: str) -> Iterator[tuple[Any, ...]]:
    """entry, step and the columns of these names, row by row."""
    for entry, step, *values in zip(*(columns[name] for name in ("entry", "step", *names)), strict=True):
        yield int(entry), int(step), *values
