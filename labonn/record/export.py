"""A record as files for other programs: CSV tables, or one netCDF file."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from labonn.errors import MissingPackageError, RecordError
from labonn.record.reading import Record
from labonn.record.schema import COMMANDS, READINGS

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
    """Everything that comes step by step as one xarray data set: variables over `entry`, those of ports over `command_port` and
    `reading_port` too, reports over `report`; settings, versions and the bench file as attributes.

    Raises:
        MissingPackageError: xarray or h5netcdf is not installed. RecordError: it cannot be written.
    """
    try:
        xarray = import_module("xarray")
        import_module("h5netcdf")
    except ImportError as missing:
        raise MissingPackageError(
            f'--netcdf needs xarray and h5netcdf ({missing.name} is not installed): pip install "labonn[export]"'
        ) from None
    columns = record.steps()
    coords: dict[str, Any] = {"entry": columns["entry"]}
    variables = {name: ("entry", values) for name, values in columns.items() if name not in ("entry", "kind")}
    for name in record.names("step"):
        variables[f"metric_{name}"] = ("entry", record.metrics(name, kind="step")["value"])
    for kind, names in (("command", COMMANDS), ("reading", READINGS)):
        ports = record.names(kind)
        if ports:
            coords[f"{kind}_port"] = ports
            variables |= _of_ports(record, kind, names, ports, columns["entry"])
    reports = record.reports()
    for name in dict.fromkeys(key for row in reports for key in row):
        variables[f"report_{name}"] = ("report", np.array([_number(row.get(name)) for row in reports]))
    data = xarray.Dataset(variables, coords, _attributes(record))
    with whole(path) as part:
        data.to_netcdf(part, engine="h5netcdf")
    return path


def _of_ports(record: Record, kind: str, names: Sequence[str], ports: Sequence[str], entries: Any) -> dict[str, Any]:
    """(entry, port) arrays; NaN where a port had no part in a step."""
    cubes = {name: np.full((len(entries), len(ports)), np.nan) for name in names}
    for column, port in enumerate(ports):
        found = (record.commands if kind == "command" else record.readings)(port)
        rows = np.searchsorted(entries, found["entry"])
        for name in names:
            cubes[name][rows, column] = found[name]
    return {f"{kind}_{name}": (("entry", f"{kind}_port"), cube) for name, cube in cubes.items()}


def _attributes(record: Record) -> dict[str, str]:
    last = record.sessions()[-1]
    wanted = ("procedure", "command", "settings", "bench_file", "versions", "host", "user")
    told = {name: last[name] if isinstance(last[name], str) else json.dumps(last[name]) for name in wanted}
    return {**told, "status": record.status(), "hardware": json.dumps(record.hardware())}


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else float("nan")


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
