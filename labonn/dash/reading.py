"""What towers are made of: stretches of a record's entries, with the numbers of the steps, or of what ports were told and read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from labonn.dash.towers import Array, Table
from labonn.record import Record
from labonn.record.schema import COMMANDS, READINGS

EFFORT = (("entry", "last"), ("step", "last"), ("time", "last"), ("bench_s", "last"), ("shots", "sum"), ("exchanges", "sum"))
SQL = {"last": "max", "sum": "sum"}
SUMMED = ("bad", "saturated")


def read_steps(record: Record, since: int, until: int, size: int) -> Table:
    """What entries took, and the metrics of steps: "metric" low, high, and sums of "metric" and of "metric #", how many."""
    efforts = ", ".join(f"{SQL[how]}({name})" for name, how in EFFORT)
    ends = "max(entry) FILTER (WHERE kind = 'step'), max(step) FILTER (WHERE kind = 'step')"
    what = f"{efforts}, {ends}, group_concat(metrics_of) FILTER (WHERE kind = 'step'), count(*) FILTER (WHERE kind = 'step')"
    stretch, rows = _stretches(record, what, since, until, size)
    numbers = _columns(rows, len(EFFORT) + 2)
    names = [*EFFORT, ("step entry", "last"), ("step step", "last")]
    table = dict(zip(names, numbers, strict=True))
    texts, counts = [row[-2] for row in rows], [row[-1] for row in rows]
    found = _objects(texts)
    for name in record.names("step"):
        table |= _spread(name, _numbers([one.get(name) for one in found]), counts)
    return Table(table, stretch)


def read_ports(record: Record, since: int, until: int, size: int) -> Table:
    """What ports were told and read in steps, port by port: low of min, high of max, sums of mean and of how many, of bad, of saturated."""
    what = "max(entry), max(step), group_concat(commands_of), group_concat(readings_of), count(*)"
    stretch, rows = _stretches(record, what, since, until, size, " AND kind = 'step'")
    entries = _columns(rows, 2)
    table = {("entry", "last"): entries[0], ("step", "last"): entries[1]}
    counts = [row[-1] for row in rows]
    for place, kind, names in ((2, "command", COMMANDS), (3, "reading", READINGS)):
        found = _objects([row[place] for row in rows])
        for port in record.names(kind):
            table |= _summary(port, names, [one.get(port) for one in found], counts)
    return Table(table, stretch)


def sampled_ports(record: Record, points: int, newest: int) -> Table:
    """The same of some entries that lie evenly: at once, but what happened between them is missing."""
    stride = max(1, -(-newest // points))
    query = f"SELECT entry, step, commands_of, readings_of FROM steps WHERE entry = ? AND kind = 'step'{record.counted()}"
    rows = [row for entry in range(newest, 0, -stride) for row in record.query(query, entry)][::-1]
    entries = _columns(rows, 2)
    table = {("entry", "last"): entries[0], ("step", "last"): entries[1]}
    for place, kind, names in ((2, "command", COMMANDS), (3, "reading", READINGS)):
        found = [orjson.loads(row[place]) for row in rows]
        for port in record.names(kind):
            table |= _summary(port, names, [one.get(port) for one in found], [1] * len(rows))
    return Table(table, np.arange(len(rows)))


def _stretches(record: Record, what: str, since: int, until: int, size: int, more: str = "") -> tuple[NDArray[np.int64], list[Any]]:
    where = f"entry > {since} AND entry <= {until}{more}{record.counted()}"
    rows = record.query(
        f"SELECT (entry - {since + 1}) / {size} AS stretch, {what} FROM steps WHERE {where} GROUP BY stretch ORDER BY stretch"
    )
    return np.array([row[0] for row in rows], np.int64), [row[1:] for row in rows]


def _columns(rows: Sequence[Any], count: int) -> list[Array]:
    return list(np.array([row[:count] for row in rows], np.float64).reshape(-1, count).T)


def _objects(texts: Iterable[str | None]) -> list[dict[str, Any]]:
    """All of them by one call: a call for each takes three times as long."""
    found: list[dict[str, Any]] = orjson.loads(f"[{','.join(text for text in texts if text)}]")
    return found


def _numbers(values: list[Any]) -> Array:
    try:
        return np.array(values, np.float64)
    except (TypeError, ValueError):
        return np.array([value if isinstance(value, (int, float)) else np.nan for value in values], np.float64)


def _spread(name: str, values: Array, counts: Sequence[int]) -> dict[tuple[str, str], Array]:
    """Sums, extremes and number of known values of stretches with so many values each."""
    known = np.isfinite(values)
    values = np.where(known, values, np.nan)
    return {
        (name, "sum"): _reduced(np.add, np.where(known, values, 0.0), counts, 0.0),
        (f"{name} #", "sum"): _reduced(np.add, known.astype(np.float64), counts, 0.0),
        (name, "low"): _reduced(np.fmin, values, counts, np.nan),
        (name, "high"): _reduced(np.fmax, values, counts, np.nan),
    }


def _summary(port: str, names: Sequence[str], found: list[Any], counts: Sequence[int]) -> dict[tuple[str, str], Array]:
    nothing = [None] * len(names)
    columns = np.array([nothing if one is None else one for one in found], np.float64).reshape(-1, len(names)).T
    by_name: Mapping[str, Array] = dict(zip(names, columns, strict=True))
    spread = _spread(port, by_name["mean"], counts)
    spread[port, "low"] = _reduced(np.fmin, by_name["min"], counts, np.nan)
    spread[port, "high"] = _reduced(np.fmax, by_name["max"], counts, np.nan)
    for name in SUMMED:
        if name in by_name:
            spread[f"{port} {name}", "sum"] = _reduced(np.add, np.nan_to_num(by_name[name]), counts, 0.0)
    return spread


def _reduced(how: np.ufunc, values: Array, counts: Sequence[int], empty: float) -> Array:
    """Over stretches of so many values each, which may be none."""
    sizes = np.asarray(counts, np.int64)
    reduced = np.full(len(sizes), empty)
    some = sizes > 0
    if some.any():
        starts = np.cumsum(sizes) - sizes
        reduced[some] = how.reduceat(values, starts[some])
    return reduced
