"""Curves of a run: what it took, metrics of steps and of reports, what ports were told and read; thinned."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import orjson

from labonn.dash.reading import read_steps, sampled_ports
from labonn.dash.towers import CHUNK, Array, Table, Tower
from labonn.dash.watched import Reports, Watched
from labonn.record import Record
from labonn.record.querying import Columns, thinned

AT_ONCE = 20_000  # entries of ports that are read while somebody waits
MOST_POINTS = 20_000


def curves(run: Watched, points: int, since: int = 0) -> dict[str, Any]:
    """effort, step and report, each a dictionary of columns."""
    with run.visit() as (record, newest):
        run.steps.extend(record, newest)
        everything = run.steps.table(1)
        tower = run.steps
        if since and newest - since <= CHUNK:
            tower = Tower(read_steps, min(since, newest))
            tower.extend(record, newest)
        found = tower.table(points, since)
        _read_reports(run, record)
        before = {name: everything.get(name, "sum").sum() - found.get(name, "sum").sum() for name in ("shots", "exchanges")}
        steps = {name: _metric(found, name) for name in record.names("step")}
        return {"effort": _effort(found, before), "step": steps, "report": _reports(run, points, since)}


def _effort(found: Table, before: dict[str, float]) -> dict[str, Any]:
    effort: dict[str, Any] = {name: _whole(found.get(name, "last")) for name in ("entry", "step")}
    effort |= {name: found.get(name, "last") for name in ("time", "bench_s")}
    return effort | {name: _whole(before[name] + np.cumsum(found.get(name, "sum"))) for name in before}


def _metric(found: Table, name: str) -> dict[str, Any]:
    entry = found.get("step entry", "last")
    there = np.isfinite(entry)
    columns = {"entry": _whole(entry[there]), "step": _whole(found.get("step step", "last")[there])}
    return columns | {key: _brief(values[there]) for key, values in _spread(found, name, "value").items()}


def _spread(found: Table, name: str, mean: str) -> dict[str, Array]:
    count = found.get(f"{name} #", "sum")
    value = found.get(name, "sum") / np.where(count > 0, count, np.nan)
    return {mean: value, "low": found.get(name, "low"), "high": found.get(name, "high")}


def _whole(values: Array) -> Any:
    return np.nan_to_num(values).astype(np.int64)


def _brief(values: Array) -> Any:
    """Seven digits: more than anybody sees, and half as long in JSON."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(values, np.float32)


def _read_reports(run: Watched, record: Record) -> None:
    query = f"SELECT entry, step, metrics_of FROM steps WHERE kind = 'report' AND entry > ?{record.counted()} ORDER BY entry"
    for entry, step, text in record.query(query, run.reported):
        run.reported = entry
        for name, value in orjson.loads(text).items():
            if isinstance(value, (int, float)):
                columns = run.reports.setdefault(name, ([], [], []))
                columns[0].append(entry)
                columns[1].append(step)
                columns[2].append(float(value))


def _reports(run: Watched, points: int, since: int) -> dict[str, Any]:
    firsts = {name: bisect_right(entries, since) for name, (entries, _, _) in run.reports.items()}
    return {name: _report(columns, firsts[name], points) for name, columns in run.reports.items() if firsts[name] < len(columns[0])}


def _report(columns: Reports, first: int, points: int) -> dict[str, Any]:
    entries, steps, values = columns
    series: Columns = {"entry": np.array(entries[first:]), "step": np.array(steps[first:]), "value": np.array(values[first:])}
    if len(series["entry"]) <= points:
        return series
    few = thinned(series, points)
    return {name: few[name] for name in series}


def ports(run: Watched, points: int) -> tuple[dict[str, Any], bool]:
    """port -> its columns; and whether they are complete, or of some entries only because the rest is still to be read (`read_on`)."""
    with run.visit() as (record, newest):
        complete = run.ports.behind(newest) <= AT_ONCE
        if complete:
            run.ports.extend(record, newest)
        found = run.ports.table(points) if complete else sampled_ports(record, points, newest)
        return {port: _port(found, port) for kind in ("command", "reading") for port in record.names(kind)}, complete


def read_on(run: Watched, tower: Literal["steps", "ports"]) -> Iterator[int]:
    """Read what an answer had no time for, a bit at every turn: how much is left."""
    left = 1
    while left:
        with run.visit() as (record, newest):
            one = run.steps if tower == "steps" else run.ports
            one.extend(record, min(newest, one.newest + CHUNK))
            left = one.behind(newest)
        yield left


def _port(found: Table, port: str) -> dict[str, Any]:
    spread = _spread(found, port, "mean")
    there = found.get(f"{port} #", "sum") > 0
    columns = {name: _whole(found.get(name, "last")[there]) for name in ("entry", "step")}
    columns |= {"min": _brief(spread["low"][there]), "mean": _brief(spread["mean"][there]), "max": _brief(spread["high"][there])}
    for name in ("saturated", "bad"):
        if (f"{port} {name}", "sum") in found.columns:
            columns[name] = _whole(found.get(f"{port} {name}", "sum")[there])
    return columns
