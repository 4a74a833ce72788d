"""A read-only connection to a record, which of its entries count, and columns as arrays."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from labonn.errors import RecordError
from labonn.record.schema import BUSY_S, FILE, MAPS, VERSION, check_version

BRIEF_S = 1.0  # that a reader who has others waiting waits itself
WAL_FORMAT = b"\x02\x02"  # bytes 18 and 19 of the file, https://www.sqlite.org/fileformat.html
Columns = dict[str, NDArray[Any]]
INTEGERS = {"entry", "session", "step", "tables", "shots", "exchanges", "rows", "bad", "saturated"}
TEXTS = {"kind"}


def file_of(path: Path | str) -> Path:
    """The record's file for that file itself, or a run's folder.

    Raises:
        RecordError: there is none.
    """
    path = Path(path)
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise RecordError(f"{path}: {f'there is no {FILE} in this folder' if path.is_dir() else 'no such file'}")
    return file


def connect(file: Path, briefly: bool = False) -> sqlite3.Connection:
    """A connection that can change nothing, and does not disturb whoever writes.

    Args:
        briefly: for a moment only: no file is made beside a record that nobody writes, and what begins to be written meanwhile is not seen.

    Raises:
        RecordError: it cannot be read, or is something else.
    """
    problem: sqlite3.Error | None = None
    alone = "" if file.with_name(f"{file.name}-wal").exists() else "&immutable=1"  # where a reader can make no index, it needs none
    modes = (alone, "") if briefly and _has_log(file) else ("", alone)
    for mode in dict.fromkeys(modes):
        uri = f"file:{quote(str(file.absolute()))}?mode=ro{mode}"
        db = sqlite3.connect(uri, uri=True, timeout=BRIEF_S if briefly else BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            if check_version(db) < VERSION:
                db.executescript(MAPS.replace("CREATE TABLE", "CREATE TEMPORARY TABLE"))  # empty ones
        except sqlite3.Error as refused:
            db.close()
            problem = problem or refused
        else:
            return db
    raise RecordError(f"{file}: {problem}") from problem


def _has_log(file: Path) -> bool:
    """Whether it is written by way of a log, or was left so by whoever died writing."""
    with contextlib.suppress(OSError), file.open("rb") as opened:
        return opened.read(20)[18:20] == WAL_FORMAT
    return False


def holes(db: sqlite3.Connection, column: str = "entry") -> str:
    """ " AND ..." for a WHERE that leaves out what does not count, because a later session went on from before it."""
    gaps = db.execute("SELECT after + 1, before - 1 FROM resumptions WHERE before - after > 1").fetchall()
    return "".join(f" AND {column} NOT BETWEEN {first} AND {last}" for first, last in gaps)


def columns(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> Columns:
    """An array a column: integers, text, or floats with NaN for what is none."""
    found = list(zip(*rows, strict=True)) or [()] * len(names)
    return {name: _array(name, values) for name, values in zip(names, found, strict=True)}


def _array(name: str, values: Sequence[Any]) -> NDArray[Any]:
    if name in INTEGERS:
        return np.array(values, np.int64)
    if name in TEXTS:
        return np.array(values, np.str_)
    try:
        return np.array(values, np.float64)  # None becomes NaN
    except ValueError:
        return np.array([np.nan if isinstance(value, str) else value for value in values], np.float64)


def evenly(since: int, newest: int, points: int) -> list[int]:
    """About `points` numbers from above `since` to `newest`, that always among them, equally far apart."""
    stride = max(1, -(-(newest - since) // max(points, 1)))
    return list(range(newest, since, -stride))[::-1]


def thinned(series: Columns, points: int) -> Columns:
    """At most `points` stretches of a series: last entry and step, mean value, low and high of each."""
    values, count = series["value"], len(series["value"])
    size = max(1, -(-count // max(points, 1)))
    starts = np.arange(0, count, size)
    ends = np.minimum(starts + size, count) - 1
    found = {name: series[name][ends] for name in ("entry", "step")}
    if not count:
        return {**found, "value": values, "low": values, "high": values}
    known = np.isfinite(values)
    numbers = np.add.reduceat(known.astype(np.float64), starts)
    mean = np.add.reduceat(np.where(known, values, 0.0), starts) / np.where(numbers > 0, numbers, np.nan)
    return {**found, "value": mean, "low": np.fmin.reduceat(values, starts), "high": np.fmax.reduceat(values, starts)}
