"""Sees what is played while a plan is tried out: how much, how near to limits, and how long it takes."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from labonn.bench import Bench
from labonn.devices import Actuator
from labonn.limits import joints_of
from labonn.planned.margins import JointMargin, JointReached, Margin, Reached
from labonn.planned.tally import ALL, Counts, Tally
from labonn.shots import Bank, Ints, Readings, ShotTable

NEWS_S = 5.0


class Watcher:
    """Observer of a bench (labonn.bench.Observer), which passes on everything to the one there was.

    Args:
        bench: open. tally: that its links count into, too. record, tape: files whose growth is counted; None: there is none.

    Attributes:
        fullest: port -> most rows of a bank that its memory had to hold at once.
    """

    def __init__(self, bench: Bench, tally: Tally, record: Path | None, tape: Path | None) -> None:
        self._bench, self._tally = bench, tally
        self._next: Any = bench.observer
        self._record, self._tape = record, tape
        self._banks: dict[str, Bank] = {}
        self._reached: dict[str, Reached] = {}
        self.fullest: dict[str, int] = {}
        actuators = {name: bench.specs[name] for name, device in bench.ports.items() if isinstance(device, Actuator)}
        self._joints = [JointReached(joint) for joint in joints_of(bench.file.limits, bench.file.name, actuators)]
        self._began_s = self._told_s = time.perf_counter()
        self._played_s = self._own_s = 0.0

    def played(self, table: ShotTable, readings: Readings, seconds: float) -> None:
        """A table was played."""
        began_s = time.perf_counter()
        self._played_s += seconds
        self._tally.add(ALL, tables=1, shots=table.shots, play_s=seconds)
        for port, order in table.orders.items():
            self._tally.add(port, tables=1, shots=table.shots, rows=self._rows(port, table.banks.get(port), order))
        for port in readings:
            self._tally.add(port, tables=1, shots=table.shots)
        for joint in self._joints:
            joint.add(table, self._banks)
        self._tell()
        self._own_s += time.perf_counter() - began_s
        if self._next is not None:
            self._next.played(table, readings, seconds)

    def made_safe(self) -> None:
        """Every actuator is safe."""
        self._banks.clear()
        if self._next is not None:
            self._next.made_safe()

    def failed(self, problem: BaseException) -> None:
        """Playing went wrong."""
        if self._next is not None:
            self._next.failed(problem)

    def now(self) -> Counts:
        """All counts at this moment."""
        here, bench = self._tally.counts, self._bench
        here[ALL, "exchanges"], here[ALL, "bench_s"] = bench.exchanges, bench.clock.now()  # type: ignore[assignment]
        elapsed_s = time.perf_counter() - self._began_s
        here[ALL, "compute_s"] = max(0.0, elapsed_s - self._played_s - self._own_s)  # type: ignore[assignment]
        here[ALL, "record_bytes"], here[ALL, "tape_bytes"] = _record_bytes(self._record), _bytes(self._tape)
        return self._tally.now()

    def margins(self) -> dict[str, Margin]:
        """Of all actuators that were commanded anything."""
        return {port: reached.margin(self._bench.specs[port]) for port, reached in self._reached.items()}

    def joints(self) -> list[JointMargin]:
        """Of all joint limits of the bench file."""
        return [joint.margin() for joint in self._joints]

    def _rows(self, port: str, bank: Bank | None, order: Ints) -> int:
        """How many frames are sent for this."""
        held = self._bench.specs[port].depth == 1
        if bank is not None and bank is not self._banks.get(port):
            self._banks[port] = bank
            self._reached.setdefault(port, Reached(self._bench.specs[port])).add(bank)
            self.fullest[port] = max(self.fullest.get(port, 0), 1 if held else bank.shape[0])
            return 1 + int(np.count_nonzero(np.diff(order))) if held else bank.shape[0]
        return int(np.count_nonzero(np.diff(order))) if held else 0

    def _tell(self) -> None:
        """That it is still going on, now and then."""
        if time.perf_counter() - self._told_s > NEWS_S:
            self._told_s = time.perf_counter()
            tables, shots = (int(self._tally.counts[ALL, kind]) for kind in ("tables", "shots"))
            print(f"labonn: still planning: {tables:,} tables, {shots:,} shots so far", file=sys.stderr, flush=True)


def _bytes(path: Path | None) -> int:
    return path.stat().st_size if path is not None and path.exists() else 0


def _record_bytes(path: Path | None) -> int:
    """Pages of the database, also those that are only in its log so far."""
    if path is None or not path.exists():
        return 0
    with contextlib.closing(sqlite3.connect(path)) as db:
        pages, size = (int(db.execute(f"PRAGMA {what}").fetchone()[0]) for what in ("page_count", "page_size"))
    return pages * size
