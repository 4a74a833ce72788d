"""A run's folder: the settings as run, metrics, weights, figures, events and the result."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labonn.errors import LabonnError, RecordError
from labonn.progress import Activity, Mode, Progress, can_draw
from labonn.showing import Sheet, Shown
from labonn.showing.records import folder_sheet
from labonn.versions import versions

if TYPE_CHECKING:
    from labonn.bench import Bench
    from labonn.checkpoints import Orders
    from labonn.record.layouts import Map
    from labonn.record.recorder import Recorder

Arrays = Callable[[], Mapping[str, Any]]


class Run(Shown):
    """One run's folder, `<UTC time>-<procedure>[-2…]`; nothing in it is ever overwritten by another run.

    Files:
        settings.json: procedure, command line, options, seed, versions, dry_run, ideal, the bench file's name. Written first.
        bench.toml: the bench file, byte for byte as it was used.
        record.sqlite: everything, step by step (labonn.record), from when a bench is observed.
        metrics.jsonl: one JSON object an epoch (or whatever the procedure counts in), flushed line by line.
        metrics.csv: the same, written at the end.
        events.log: UTC time and text, a line each; the record has them too, and these are left should it break.
        <name>.npz: arrays (weights); <name>.png: figures. Both appear whole or not at all.
        result.json: what the procedure returned, and how the run ended: "finished", "interrupted" or "failed". Written last.

    Attributes:
        folder: where it is. procedure: name. seed: for the procedure's own random numbers. mode: how progress is shown.
        orders: what is wanted of checkpoints; None: nothing.
        reopened: of an earlier session, and not taken up yet: what that left is not touched.
        record: what is written into record.sqlite; None: no bench is observed.
        calibrations: that are believed now: "port kind" -> id.
    """

    def __init__(self, folder: Path, procedure: str, seed: int = 0, mode: Mode = "auto") -> None:
        self.folder, self.procedure, self.seed, self.mode = folder, procedure, seed, mode
        self._rows: list[dict[str, Any]] = []
        self._kept: dict[str, Arrays] = {}
        self._made_parent = False
        self.orders: Orders | None = None
        self.reopened = False
        self.record: Recorder | None = None
        self.calibrations: dict[str, str] = {}

    @classmethod
    def create(cls, out: Path, procedure: str, settings: Mapping[str, Any], *, seed: int = 0, mode: Mode = "auto") -> Run:
        """Make a new folder below `out` and write settings.json into it.

        Raises:
            LabonnError: `out` cannot be written to.
        """
        stem = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{procedure}"
        made_parent = not out.exists()
        try:
            run = cls(_new_folder(out, stem), procedure, seed, mode)
            run._made_parent = made_parent
            run.write_text("settings.json", _json({"procedure": procedure, "seed": seed, **settings, "versions": versions()}))
        except OSError as problem:
            raise LabonnError(f"--out {out}: no folder can be made there: {problem.strerror or problem}") from problem
        return run

    def _sheet(self) -> Sheet:
        return folder_sheet(self)

    def path(self, name: str) -> Path:
        """Where a file of that name belongs."""
        return self.folder / name

    def write_text(self, name: str, text: str) -> Path:
        """A whole text file, at once."""
        return self.write_bytes(name, text.encode())

    def write_bytes(self, name: str, content: bytes) -> Path:
        """A whole file, at once."""
        return self._whole(name, lambda part: part.write_bytes(content))

    def observe(self, bench: Bench) -> None:
        """Write down from now on, in record.sqlite, what this bench does.

        Raises:
            RecordError: no record can be written there.
        """
        from labonn.record.recorder import Recorder

        settings = json.loads(self.path("settings.json").read_text(encoding="utf-8"))
        about = {"bench_file": self.path("bench.toml").read_text(encoding="utf-8"), "calibrations": [], **settings, "settings": settings}
        self.record = bench.observer = Recorder(self.folder, bench, about)
        self.record.hardware("start")
        self.record.flush()

    @contextlib.contextmanager
    def alive(self, bench: Bench) -> Iterator[None]:
        """Show on a terminal that something is played, while no progress is shown."""
        if self.mode != "auto" or not can_draw(sys.stderr):
            yield
            return
        with Activity(self.procedure, bench.observer) as activity:
            bench.observer = activity
            try:
                yield
            finally:
                bench.observer = activity.observer

    def believes(self, ids: Mapping[str, str]) -> None:
        """From now on these calibrations are believed: "port kind" -> id."""
        self.calibrations = dict(ids)
        if self.record is not None:
            self.record.believed(self.calibrations)

    def step(self, number: int, maps: Mapping[str, Map] | None = None, **metrics: Any) -> None:
        """Step `number` is done: its numbers go on record, with all that was played for it, and now and then `maps` (Recorder.step)."""
        if self.record is not None:
            self.record.step(number, metrics, maps)

    def metrics(self, row: Mapping[str, Any]) -> None:
        """Append one row of numbers; on the disk when this returns."""
        self._rows.append({key: plain(value) for key, value in row.items()})
        self._append("metrics.jsonl", json.dumps(self._rows[-1], allow_nan=False))
        if self.record is not None:
            self.record.report(self._rows[-1])

    def take_up(self, step: int) -> None:
        """Go on in this folder after that step: what metrics were written after the checkpoint is measured again."""
        if self.record is not None:
            self.record.resumed(step, len(self._rows))
        self.write_text("metrics.jsonl", "".join(f"{json.dumps(row, allow_nan=False)}\n" for row in self._rows))
        self.reopened = False

    def write_settings(self, settings: Mapping[str, Any]) -> None:
        """Replace settings.json."""
        self.write_text("settings.json", _json(settings))

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The metrics so far."""
        return self._rows

    def event(self, text: str, level: str = "info") -> None:
        """Note something that happened, with the time; `level` is "info", "warning" or "error"."""
        self._append("events.log", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}Z {text.replace(chr(10), ' | ')}")
        if self.record is not None:
            self.record.event(text, level)

    def fail(self, problem: BaseException) -> None:
        """This is what ends the run."""
        if self.record is not None:
            self.record.error(problem)

    def save_arrays(self, name: str, **arrays: Any) -> Path:
        """`arrays` as <name>.npz; an older one of this run is replaced only once the new one is whole."""
        import numpy as np

        def write(part: Path) -> None:
            with part.open("wb") as file:
                np.savez(file, **arrays)

        return self._whole(f"{name}.npz", write)

    def save_figure(self, name: str, draw: Callable[[Path], object]) -> Path:
        """<name>.png as `draw(path)` makes it."""
        return self._whole(f"{name}.png", draw)

    def keep(self, name: str, arrays: Arrays) -> None:
        """Save what `arrays()` returns as <name>.npz when the run ends, however it ends."""
        self._kept[name] = arrays

    def progress(self, total_steps: int, unit: str = "epoch", time_s: float | None = None) -> Progress:
        """A progress display as this run's command line wants it; what is played from now on are steps.

        Args:
            total_steps: of the whole run. unit: what its epochs are called. time_s: of bench time, that end it too.
        """
        if self.record is not None:
            self.record.part()
        return Progress(total_steps, self.mode, title=self.procedure, unit=unit, time_s=time_s)

    def finish(self, result: Any = None, status: str = "finished", problem: str | None = None) -> None:
        """Write what was kept, metrics.csv and result.json, and end the record."""
        try:
            if not self.reopened:
                self._finish(result, status, problem)
        finally:
            if self.record is not None:
                self.record.finish(status, problem, result)

    def _finish(self, result: Any, status: str, problem: str | None) -> None:
        try:
            for name, arrays in self._kept.items():
                self.save_arrays(name, **arrays())
            if self._rows:
                self._whole("metrics.csv", self._write_csv)
        finally:
            self.write_text("result.json", _json({"status": status, "problem": problem, "result": plain(result)}))

    def discard(self) -> None:
        """Remove the folder of a run that never began, and the folder above if it was made for it."""
        if self.reopened:
            return
        shutil.rmtree(self.folder)
        if self._made_parent:
            with contextlib.suppress(OSError):
                self.folder.parent.rmdir()

    def _write_csv(self, part: Path) -> None:
        columns = list(dict.fromkeys(key for row in self._rows for key in row))
        with part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self._rows)

    def _append(self, name: str, line: str) -> None:
        try:
            with self.path(name).open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as problem:
            raise RecordError(f"{self.path(name)}: cannot be written: {problem.strerror or problem}") from problem

    def _whole(self, name: str, write: Callable[[Path], object]) -> Path:
        """The temporary name keeps the ending, which tells some writers the format."""
        path, part = self.path(name), self.path(f".part-{name}")
        try:
            write(part)
            os.replace(part, path)
        except OSError as problem:
            raise RecordError(f"{path}: cannot be written: {problem.strerror or problem}") from problem
        finally:
            part.unlink(missing_ok=True)
        return path


def _new_folder(out: Path, stem: str) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    for number in range(1, 1000):
        folder = out / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise LabonnError(f"{out}: has 999 folders {stem}… already")


def plain(value: Any) -> Any:
    """`value` as JSON knows it: arrays as lists, dataclasses as objects, paths as text, NaN and infinities as null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(plain(value), indent=2, allow_nan=False, ensure_ascii=False) + "\n"
