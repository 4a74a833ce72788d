"""What ports were commanded and what they read over a whole run: extremes of stretches of steps, in one pass over the record."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import orjson

from labonn.channels import Floats
from labonn.record.querying import connect, holes
from labonn.record.reading import Record
from labonn.shots import Ints

CHUNK = 512  # entries that are in memory at a time
STRETCHES = 300


@dataclass(frozen=True)
class History:
    """Of one port.

    Attributes:
        steps, bench_s: (n,) at which stretches end. low, mean, high: (n,) of a stretch. shots: in all. bad, saturated: readings, in all.
        detector: whether these are readings. over: which part of the run this is, in words.
    """

    steps: Ints
    bench_s: Floats
    low: Floats
    mean: Floats
    high: Floats
    shots: int
    bad: int = 0
    saturated: int = 0
    detector: bool = False
    over: str = "steps"

    @property
    def extremes(self) -> tuple[float, float]:
        """Of the whole run."""
        return float(np.nanmin(self.low)), float(np.nanmax(self.high))


class _Stretches:
    """Sums of one port, by stretch."""

    def __init__(self, count: int) -> None:
        self.low, self.high = np.full(count, np.inf), np.full(count, -np.inf)
        self.total, self.number = np.zeros(count), np.zeros(count)
        self.steps, self.bench_s = np.zeros(count, np.int64), np.zeros(count)
        self.shots = self.bad = self.saturated = 0

    def add(self, places: Ints, ends: tuple[Ints, Floats], low: Floats, mean: Floats, high: Floats) -> None:
        good = np.isfinite(low) & np.isfinite(high) & np.isfinite(mean)
        places = places[good]
        np.minimum.at(self.low, places, low[good])
        np.maximum.at(self.high, places, high[good])
        np.add.at(self.total, places, mean[good])
        np.add.at(self.number, places, 1)
        for seen, end in zip((self.steps, self.bench_s), ends, strict=True):
            np.maximum.at(seen, places, end[good])

    def history(self, detector: bool, over: str) -> History | None:
        known = self.number > 0
        if not known.any():
            return None
        mean = self.total[known] / self.number[known]
        ends = self.steps[known], self.bench_s[known]
        return History(*ends, self.low[known], mean, self.high[known], self.shots, self.bad, self.saturated, detector, over)


def histories(record: Record, stretches: int = STRETCHES) -> dict[str, History]:
    """port -> its history: of the steps, or of everything else if it had no part in those; a port that did nothing is not there."""
    db = connect(record.path)
    try:
        where = f"1{holes(db)}"
        (newest,) = db.execute(f"SELECT ifnull(max(entry), 0) FROM steps WHERE {where}").fetchone()
        size = max(1, -(-newest // stretches))
        found: dict[tuple[str, bool, bool], _Stretches] = {}
        wanted = "entry, step, bench_s, commands_of, readings_of, kind = 'step'"
        cursor = db.execute(f"SELECT {wanted} FROM steps WHERE {where} ORDER BY entry")
        while rows := cursor.fetchmany(CHUNK):
            places = np.array([(row[0] - 1) // size for row in rows], np.int64)
            ends = np.array([row[1] for row in rows], np.int64), np.array([row[2] for row in rows], np.float64)
            for detector in (False, True):
                texts = [(row[4 if detector else 3], bool(row[5])) for row in rows]
                _chunk(found, texts, places, ends, detector, newest // size + 1)
    finally:
        db.close()
    told, steps = dict[str, History](), any(step for _, _, step in found)
    for (port, detector, step), one in sorted(found.items(), key=lambda item: item[0][2]):
        history = one.history(detector, "steps" if step else "between steps" if steps else "the run")
        told |= {port: history} if history is not None else {}
    return told


def _chunk(
    found: dict[tuple[str, bool, bool], _Stretches],
    texts: list[tuple[str | None, bool]],
    places: Ints,
    ends: tuple[Ints, Floats],
    detector: bool,
    count: int,
) -> None:
    cells: dict[tuple[str, bool, bool], list[tuple[int, list[float]]]] = {}
    for place, (text, step) in enumerate(texts):
        if text:
            for port, values in orjson.loads(text).items():
                cells.setdefault((port, detector, step), []).append((place, values))
    for key, seen in cells.items():
        one = found.setdefault(key, _Stretches(count))
        where = np.array([place for place, _ in seen])
        table = np.array([values for _, values in seen], np.float64)  # None becomes NaN
        low, mean, high = table[:, (2, 3, 4) if detector else (3, 4, 5)].T
        one.add(places[where], (ends[0][where], ends[1][where]), low, mean, high)
        one.shots += int(np.nansum(table[:, 1]))
        if detector:
            one.bad += int(np.nansum(table[:, 6]))
            one.saturated += int(np.nansum(table[:, 7]))
