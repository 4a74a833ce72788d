"""A run by itself: its settings, versions, instruments, how far it is, and what it told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from labonn.dash.curves import ports as port_curves
from labonn.dash.details import bounds, hardware_of, ports_with_frames
from labonn.dash.library import is_name
from labonn.dash.problems import NotThereError
from labonn.dash.watched import Watched
from labonn.record import Record
from labonn.record.finding import run_id
from labonn.record.querying import Columns

MOST_EVENTS = 2000  # told at once: the newest


def about(run: Watched) -> dict[str, Any]:
    """All that does not change step by step."""
    with run.visit() as (record, _):
        sessions = record.sessions()
        reports = record.query("SELECT metrics_of FROM steps WHERE kind = 'report' ORDER BY entry DESC LIMIT 1")
        last: dict[str, Any] = sessions[-1] if sessions else {}
        settings, newest = last.get("settings") or {}, record.newest()
        return {
            "name": run.folder.name,
            "id": run_id(run.folder),
            "procedure": last.get("procedure"),
            "status": record.status(),
            "newest": newest,
            "total_steps": total_steps(settings, newest, json.loads(reports[0][0]) if reports else {}),
            "sessions": [{key: value for key, value in one.items() if key != "bench_file"} for one in sessions],
            "settings": flat(settings),
            "versions": last.get("versions") or {},
            "calibrations": last.get("calibrations") or {},
            "hardware": {moment: record.hardware(moment) for moment in ("start", "end")},
            "metrics": {kind: record.names(kind) for kind in ("step", "report")},
            "ports": {kind: record.names(kind) for kind in ("command", "reading")},
            "maps": {name: layout.packed() for name, layout in record.map_layouts().items()},
            "frames": ports_with_frames(run, record),
            "result": last.get("result") or None,
            "problem": last.get("problem"),
            "files": sorted(path.name for path in run.folder.glob("*.png") if not path.name.startswith(".")),
        }


def flat(settings: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """{"options": {"lr": 1}} as {"options.lr": 1}."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found |= flat(value, f"{before}{key}.") if isinstance(value, Mapping) and value else {f"{before}{key}": value}
    return found


def total_steps(settings: Mapping[str, Any], newest: Mapping[str, Any], report: Mapping[str, Any]) -> int | None:
    """Of the whole run: the option, or as many an epoch as so far; None if nobody can tell."""
    options = settings.get("options") or {}
    steps, epochs, done = options.get("steps"), options.get("epochs"), report.get("epoch")
    if isinstance(steps, int) and options.get("hardware_time") is None:
        return steps
    if isinstance(epochs, int) and isinstance(done, (int, float)) and done > 0 and newest:
        return round(epochs * float(report.get("steps", _steps_at(newest, done))) / done)
    return None


def _steps_at(newest: Mapping[str, Any], epochs: float) -> float:
    return float(newest["step"]) if newest["kind"] == "report" else float(newest["step"]) // epochs * epochs


def bench_file(run: Watched) -> str:
    """As the newest session had it."""
    with run.visit() as (record, _):
        return bench_file_of(record)


def bench_file_of(record: Record) -> str:
    return str((record.query("SELECT bench_file FROM sessions ORDER BY session DESC LIMIT 1") or [("",)])[0][0] or "")


def figure(run: Watched, name: str) -> Path:
    """A PNG file of the run's folder itself.

    Raises:
        NotThereError: there is none of that name.
    """
    path = run.folder / name
    if not is_name(name) or not name.endswith(".png") or not path.is_file():
        raise NotThereError(f"{name}: no figure is called so in {run.folder.name}; its page lists those that are there")
    return path


def port_panels(run: Watched, points: int) -> tuple[dict[str, Any], bool]:
    """port -> what it is, its limits, and what it was told or read; and whether that is complete (curves.ports)."""
    found, complete = port_curves(run, points)
    with run.visit() as (record, _):
        hardware, warmth = hardware_of(record), _warmth(run, record)
        commands, readings = record.names("command"), record.names("reading")
    panels: dict[str, Any] = {}
    for port in dict.fromkeys((*commands, *readings, *warmth)):
        known = hardware.get(port, {})
        panel: dict[str, Any] = {"kind": "reading" if port in readings else "command"}
        panel |= {name: known.get(name) for name in ("unit", "channels", "driver", "identity")} | bounds(known)
        panels[port] = panel | found.get(port, {})
        if port in warmth:
            panels[port]["temperature"] = {name: values[-points:] for name, values in warmth[port].items()}
    return panels, complete


def _warmth(run: Watched, record: Record) -> dict[str, Columns]:
    """port -> temperatures; those that are known are not read again."""
    known = run.warmth
    for port, new in record.temperatures(max((int(one["entry"][-1]) for one in known.values()), default=0)).items():
        if len(new["entry"]):
            known[port] = {name: np.concatenate((known[port][name], new[name])) for name in new} if port in known else new
    return known


def log(run: Watched, since: int) -> dict[str, Any]:
    """Events after that number (the newest, if they are very many), errors and checks."""
    with run.visit() as (record, _):
        events = record.events(since)[-MOST_EVENTS:]
        return {"events": events, "errors": record.errors(), "checks": record.checks()}
