"""A record as files for other programs: CSV tables, or one netCDF file."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from labonn.errors import MissingPackageError, RecordError
from labonn.record.datasets import xarray
from labonn.record.reading import Record

KINDS = ("step", "report", "part", "end")


def to_csv(record: Record, folder: Path) -> list[Path]:
    """One file a table, in `folder`, which is made.

    Returns:
        The files: steps (with the metrics of each), reports, commands, readings, events, errors, checks, sessions; those that have rows.

    Raises:
        RecordError: they cannot be written.
    """
    tables: dict[str, Iterable[Mapping[str, Any]]] = {
        "steps": steps(record), "reports": record.reports(), "commands": summaries(record, "command"),
        "readings": summaries(record, "reading"), "events": record.events(), "errors": record.errors(), "checks": record.checks(),
        "sessions": record.sessions(),
    }  # fmt: skip
    written = []
    for name, rows in tables.items():
        found = list(rows)
        if found:
            written.append(folder / f"{name}.csv")
            with whole(written[-1]) as part, part.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(dict.fromkeys(key for row in found for key in row)))
                writer.writeheader()
                writer.writerows({key: _cell(value) for key, value in row.items()} for row in found)
    return written


def steps(record: Record) -> Iterator[dict[str, Any]]:
    """A row for every step, with its metrics."""
    columns = record.steps()
    series = {name: record.metrics(name, kind="step")["value"] for name in record.names("step")}
    for place in range(len(columns["entry"])):
        yield {name: values[place] for name, values in columns.items()} | {name: values[place] for name, values in series.items()}


def summaries(record: Record, kind: str) -> Iterator[dict[str, Any]]:
    """A row for every entry and port."""
    for port in record.names(kind):
        for of in KINDS:
            found = (record.commands if kind == "command" else record.readings)(port, kind=of)
            for place in range(len(found["entry"])):
                yield {"port": port, "kind": of} | {name: values[place] for name, values in found.items()}


def to_netcdf(record: Record, path: Path) -> Path:
    """Everything that comes step by step, as `Record.to_xarray` has it, as one file.

    Raises:
        MissingPackageError: xarray or h5netcdf is not installed. RecordError: it cannot be written.
    """
    xarray("--netcdf")
    try:
        import_module("h5netcdf")
    except ImportError:
        raise MissingPackageError('--netcdf needs h5netcdf, which is not installed: pip install "labonn[export]"') from None
    data = record.to_xarray()
    with whole(path) as part:
        data.to_netcdf(part, engine="h5netcdf")
    return path


def _cell(value: Any) -> Any:
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    plain = value.item() if hasattr(value, "item") else value
    return "" if isinstance(plain, float) and plain != plain else plain


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A place to write a file to, which gets its name once it is whole."""
    part = path.with_name(f".part-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        os.replace(part, path)
    except OSError as problem:
        raise RecordError(f"{path}: cannot be written: {problem.strerror or problem}") from problem
    finally:
        with suppress(OSError):
            part.unlink()
