"""Runs in a folder: which there are, which one is meant, and each in a few words."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from labonn.errors import LabonnError, RecordError
from labonn.record.liveness import is_written
from labonn.record.reading import Record, open_record
from labonn.record.schema import FILE

LATEST = "latest"
STAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Summary:
    """A run in a few words.

    Attributes:
        id: its folder's name without the procedure's. status: as Record.status. steps: done. best: (metric, value), or None.
        started: UTC, seconds. took_s: so far, or until its last sign of life. problem: what ended it, if that was one.
    """

    id: str
    folder: Path
    procedure: str
    status: str
    steps: int | None
    best: tuple[str, float] | None
    started: float | None
    took_s: float | None
    problem: str | None = None


def runs(out: Path) -> list[Path]:
    """The folders of all runs in `out`, newest first."""
    with suppress(OSError):
        found = [path.parent for path in out.glob("*/settings.json")]
        return sorted(found, key=lambda folder: (folder.name[:16], _number(folder)), reverse=True)
    return []


def find(wanted: str, out: Path) -> Path:
    """The folder of the run that is meant: a folder, the name of one in `out`, its id, a beginning that only it has, or "latest".

    Raises:
        LabonnError: none is, or several are.
    """
    if (Path(wanted) / "settings.json").is_file():
        return Path(wanted)
    folders = runs(out)
    if wanted == LATEST and folders:
        return folders[0]
    named = [folder for folder in folders if wanted in (folder.name, run_id(folder))]
    named = named or [folder for folder in folders if folder.name.startswith(wanted) and wanted]
    if len(named) == 1:
        return named[0]
    if named:
        raise LabonnError(f"{wanted}: several runs in {out} begin so: {', '.join(folder.name for folder in named[:5])}")
    there = ", ".join(folder.name for folder in folders[:3]) or "none"
    raise LabonnError(f"{wanted}: no run is called so; newest in {out}: {there}")


def run_id(folder: Path) -> str:
    """The name of the run's folder without that of the procedure."""
    return folder.name.replace(f"-{_json(folder / 'settings.json').get('procedure')}", "", 1)


def summary(folder: Path) -> Summary:
    """The run in that folder, whether it has a record or not."""
    settings = _json(folder / "settings.json")
    plain = Summary(run_id(folder), folder, str(settings.get("procedure", "?")), "", None, None, _stamp(folder), None)
    try:
        with open_record(folder, briefly=True) as record:
            return _recorded(record, plain)
    except RecordError as problem:
        result = _json(folder / "result.json")
        status = str(result.get("status") or ("running" if is_written(folder) else "died"))
        best = best_of({name: [value] for name, value in (result.get("result") or {}).items() if isinstance(value, float)})
        told = str(problem) if (folder / FILE).exists() else result.get("problem")
        return replace(plain, status=status, best=best, problem=told)


def _recorded(record: Record, plain: Summary) -> Summary:
    sessions, status = record.sessions(), record.status()
    if not sessions:
        return replace(plain, status=status)
    took = sum(_length(session, record, session is sessions[-1] and status == "running") for session in sessions)
    kind = "report" if record.names("report") else "step"
    best = best_of({name: record.metrics(name, kind=kind)["value"].tolist() for name in _judged(record.names(kind))[:1]})
    steps, started = record.newest().get("step", 0), sessions[0]["started"]
    return replace(plain, status=status, steps=steps, best=best, started=started, took_s=took, problem=sessions[-1]["problem"])


def _length(session: Mapping[str, Any], record: Record, running: bool) -> float:
    """Seconds of one session; of one that died, until its last entry."""
    end = time.time() if running else session["ended"]
    if session["status"] in (None, "died") and not running:
        end = record.last_time(session["session"])
    return max(0.0, float((end or session["started"]) - session["started"]))


def best_of(series: Mapping[str, list[float]]) -> tuple[str, float] | None:
    """The metric by which runs are compared, and its best value: an accuracy (validation before test before training), or a loss."""
    for name in _judged(list(series)):
        values = [value for value in series[name] if value is not None and math.isfinite(value)]
        if values:
            return name, float(np.max(values) if "accuracy" in name else np.min(values))
    return None


def _judged(names: list[str]) -> list[str]:
    """Those that tell how good a run is, the most telling first."""
    order = ("validation_accuracy", "test_accuracy", "accuracy", "validation_loss", "loss")
    return [name for wanted in order for name in sorted(names) if name.endswith(wanted)]


def _stamp(folder: Path) -> float | None:
    with suppress(ValueError):
        return datetime.strptime(folder.name[:16], STAMP).replace(tzinfo=UTC).timestamp()
    return None


def _number(folder: Path) -> int:
    """Of runs that began in the same second."""
    last = folder.name.rpartition("-")[2]
    return int(last) if last.isdecimal() else 1


def _json(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    return {}
