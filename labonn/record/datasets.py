"""A record as an xarray data set: what came step by step, with units, times and ports as coordinates."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from labonn.errors import MissingPackageError, RecordError
from labonn.record.schema import COMMANDS, READINGS

if TYPE_CHECKING:
    from xarray import Dataset

    from labonn.record.reading import Record

TIMES = {"time": "end of the step, UTC", "bench_s": "the bench's clock", "entry": "number in the record", "session": "of the run"}
COLUMNS = {
    "wall_s": "time since the entry before",
    "play_s": "time that the bench played",
    "tables": "tables played",
    "shots": "shots fired",
    "exchanges": "requests to instruments",
}
KINDS = {"command": ("actuator", COMMANDS), "reading": ("detector", READINGS)}
WORDS = {"min": "lowest", "mean": "mean", "max": "highest", "rms": "root mean square", "std": "standard deviation"}
Variables = dict[str, Any]


def xarray(what: str) -> Any:
    """The package.

    Raises:
        MissingPackageError: it is not installed; `what` needs it.
    """
    try:
        return import_module("xarray")
    except ImportError:
        raise MissingPackageError(f'{what} needs xarray, which is not installed: pip install "labonn[export]"') from None


def dataset(record: Record, points: int | None = None, details: Sequence[str] = ()) -> Dataset:
    """The record as it is at this moment; `Record.to_xarray` says what is in it."""
    found = xarray("to_xarray")
    with record.at_once():
        columns, hardware = record.steps(points), record.hardware()
        metrics, cubes = _cells(record, points, len(columns["step"]))
        variables = _own(columns) | _metrics(record, columns, metrics, points)
        coords = _times(columns)
        for kind in KINDS:
            _add_ports(kind, record.names(kind), cubes[kind], hardware, coords, variables)
        _add_reports(record, coords, variables)
        for port in details:
            _add_details(record, port, hardware.get(port, {}), coords, variables)
        made: Dataset = found.Dataset(variables, coords, _attributes(record))
        return made


def _cells(record: Record, points: int | None, count: int) -> tuple[Variables, Variables]:
    """Metrics by name, (steps,); and by kind what was commanded and read, (steps, ports, columns); NaN where there is nothing."""
    metrics: Variables = {name: np.full(count, np.nan) for name in record.names("step")}
    ports = {kind: {port: number for number, port in enumerate(record.names(kind))} for kind in KINDS}
    cubes: Variables = {kind: np.full((count, len(ports[kind]), len(names)), np.nan) for kind, (_, names) in KINDS.items()}
    for place, (of_step, *of_ports) in enumerate(record.cells(points)):
        for name, value in orjson.loads(of_step).items():
            metrics[name][place] = _number(value)
        for kind, cells in zip(KINDS, of_ports, strict=True):
            for port, values in orjson.loads(cells).items():
                cubes[kind][place, ports[kind][port]] = values
    return metrics, cubes


def _times(columns: Mapping[str, Any]) -> Variables:
    """What tells the steps apart."""
    coords: Variables = {"step": ("step", columns["step"], {"long_name": "step"})}
    for name, told in TIMES.items():
        values = columns[name]
        if name == "time":
            values = (1e9 * values).astype("int64").astype("datetime64[ns]")
        coords[name] = ("step", values, {"long_name": told, **({"units": "s"} if name == "bench_s" else {})})
    return coords


def _own(columns: Mapping[str, Any]) -> Variables:
    return {name: ("step", columns[name], {"long_name": told, **_unit_of(name)}) for name, told in COLUMNS.items()}


def _unit_of(name: str) -> dict[str, str]:
    """Names that end in _s are seconds, as everywhere in the project."""
    return {"units": "s"} if name.endswith("_s") else {}


def _metrics(record: Record, columns: Mapping[str, Any], metrics: Variables, points: int | None) -> Variables:
    """Of a thinned record, means of the stretches that end at the points, and their lowest and highest values."""
    found: Variables = {}
    for name, each in metrics.items():
        variable, about = _free(name, "metric"), {"long_name": name.replace("_", " "), **_unit_of(name)}
        if points is None:
            found[variable] = ("step", each, about)
            continue
        series = record.metrics(name, points, kind="step")
        for key, suffix, told in (("value", "", ", mean"), ("low", "_low", ", lowest"), ("high", "_high", ", highest")):
            values = _at(columns["entry"], series["entry"], series[key])
            found[variable + suffix] = ("step", values, {**about, "long_name": f"{about['long_name']}{told} of a stretch of steps"})
    return found


def _at(entries: Any, ends: Any, values: Any) -> Any:
    """(n,) values of the first stretches that end at these entries or later."""
    places = np.searchsorted(ends, entries)
    known = places < len(ends)
    return np.where(known, values[np.minimum(places, max(len(ends) - 1, 0))], np.nan) if len(ends) else np.full(len(entries), np.nan)


def _free(name: str, prefix: str) -> str:
    """A metric keeps its own name unless the record has something else of that name."""
    taken = {*TIMES, *COLUMNS, "step", "report"} | {f"{kind}_{column}" for kind, (_, names) in KINDS.items() for column in names}
    return f"{prefix}_{name}" if name in taken else name


def _add_ports(kind: str, ports: Sequence[str], cube: Any, hardware: Mapping[str, Any], coords: Variables, variables: Variables) -> None:
    """What was commanded or read, over steps and ports."""
    dimension, names = KINDS[kind]
    if not ports:
        return
    units = [str(hardware.get(port, {}).get("unit", "")) for port in ports]
    coords[dimension] = (dimension, ports)
    coords[f"{dimension}_unit"] = (dimension, units)
    for number, name in enumerate(names):
        of_values = name in WORDS
        about = {"long_name": f"{WORDS[name]} value {'commanded' if kind == 'command' else 'read'}" if of_values else name}
        if of_values and len(set(units)) == 1:
            about["units"] = units[0]
        variables[f"{kind}_{name}"] = (("step", dimension), cube[:, :, number], about)


def _add_reports(record: Record, coords: Variables, variables: Variables) -> None:
    """Rows of metrics (an epoch each, say), over a dimension of their own."""
    rows, columns = record.reports(), record.steps(kind="report")
    if not rows:
        return
    coords["report"] = ("report", np.arange(1, len(rows) + 1), {"long_name": "row of the metrics"})
    for name in ("step", "entry", "bench_s"):
        coords[f"report_{name}"] = ("report", columns[name], {"long_name": f"{name} at the report", **_unit_of(name)})
    for name in dict.fromkeys(key for row in rows for key in row):
        variable = f"report_{name}" if f"report_{name}" not in coords else f"report_metric_{name}"
        variables[variable] = (
            "report",
            np.array([_number(row.get(name)) for row in rows]),
            {"long_name": name.replace("_", " "), **_unit_of(name)},
        )
    for port, found in record.temperatures().items():
        about = {"long_name": f"temperature of {port}, mean of its channels", "units": "degC"}
        variables[f"temperature_{port}"] = ("report", _by_entry(columns["entry"], found["entry"], found["mean"]), about)


def _by_entry(wanted: Any, entries: Any, values: Any) -> Any:
    there = dict(zip(entries.tolist(), values.tolist(), strict=True))
    return np.array([there.get(entry, np.nan) for entry in wanted.tolist()])


def _add_details(record: Record, port: str, about: Mapping[str, Any], coords: Variables, variables: Variables) -> None:
    """Frames of an actuator, or histograms of a detector, at the steps at which there are some.

    Raises:
        RecordError: there is no such port.
    """
    if port in record.names("command"):
        found, unit = record.frames(port), str(about.get("unit", ""))
        values, places = found["values"], [f"{port}_channel"]
        if len(about.get("shape", ())) == 2 and values.size:
            values, places = values.reshape(len(values), *about["shape"]), [f"{port}_row", f"{port}_column"]
        variables[f"frame_{port}"] = ((f"{port}_step", *places), values, {"long_name": f"{port} in the last shot", "units": unit})
    elif port in record.names("reading"):
        found = record.histograms(port)
        variables[f"histogram_{port}"] = ((f"{port}_step", "bin"), found["counts"], {"long_name": f"readings of {port}"})
        for end in ("low", "high"):
            coords[f"{port}_{end}"] = (f"{port}_step", found[end], {"units": str(about.get("unit", ""))})
    else:
        ports = ", ".join([*record.names("command"), *record.names("reading")])
        raise RecordError(f"{record.path}: has no port {port!r}; ports are {ports}")
    coords[f"{port}_step"] = (f"{port}_step", found["step"], {"long_name": "step"})


def _attributes(record: Record) -> dict[str, str]:
    """Plain text, as every file format takes it."""
    sessions = record.sessions()
    if not sessions:
        return {"status": record.status()}
    last = sessions[-1]
    wanted = ("procedure", "command", "settings", "bench_file", "versions", "calibrations", "seed", "dry_run", "host", "user")
    told = {name: last[name] if isinstance(last[name], str) else json.dumps(last[name]) for name in wanted}
    told["started"] = f"{datetime.fromtimestamp(sessions[0]['started'], UTC):%Y-%m-%dT%H:%M:%SZ}"
    return {**told, "run": record.path.parent.name, "status": record.status(), "hardware": json.dumps(record.hardware())}


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else float("nan")
