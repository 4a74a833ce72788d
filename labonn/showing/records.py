"""Runs to look at: how one went and how far it is, and several side by side; read from their records alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from labonn.showing.sheets import Sheet
from labonn.showing.words import counted, seconds

RECENT = 50  # entries, among the last of which is a step
RUNS_HEAD = ("run", "procedure", "status", "steps", "best", "took")


def record_sheet(record: Any, one: Any) -> Sheet:
    """Of a record and its summary."""
    sessions = record.sessions()
    if not sessions:
        return Sheet(f"Run {one.folder.name}: {one.status}; nothing is on record yet")
    first, newest = sessions[0], record.newest()
    title = f"Run {one.folder.name}: {one.status}, {counted(newest.get('step') or 0, 'step')}{_best(one, ', best ')}"
    rows = [(name, "step", *_newest(record, name, newest)) for name in record.names("step")]
    reports = record.reports()
    rows += [(name, "report", _number(value), str(len(reports))) for name, value in (reports[-1] if reports else {}).items()]
    result = sessions[-1]["result"]
    rows = rows or [(name, "result", _number(value), "") for name, value in (result or {}).items() if not isinstance(value, list | dict)]
    folded = ("result", _lines(result)), ("bench file", first["bench_file"] or ""), ("versions", _lines(first["versions"]))
    return Sheet(title, _facts(record, one, sessions, newest), ("metric", "of every", "newest", "count"), rows, (2, 3), folded)


def _facts(record: Any, one: Any, sessions: Sequence[Any], newest: Any) -> list[str]:
    first, last = sessions[0], sessions[-1]
    took = "" if one.took_s is None else f", took {seconds(one.took_s)}"
    started = f"{datetime.fromtimestamp(first['started'], UTC):%Y-%m-%d %H:%M:%S} UTC"
    facts = [first["command"] or f"seed {first['seed']}", f"started {started} on {first['host']}{took}"]
    facts.append(f"{'dry run, ' if first['dry_run'] else ''}seed {first['seed']}, {seconds(newest.get('bench_s') or 0.0)} of bench time")
    facts += [f"went on after step {later['resumed_after']:,}" for later in sessions if later["resumed_after"] is not None]
    facts += [f"believes {', '.join(f'{what} {id}' for what, id in last['calibrations'].items())}"] if last["calibrations"] else []
    facts += [f"ended by {last['problem']}"] if last["problem"] else []
    ports = {"actuators": record.names("command"), "detectors": record.names("reading")}
    facts += [f"{what}: {', '.join(names)}" for what, names in ports.items() if names]
    return [*facts, f"folder: {one.folder}"]


def _newest(record: Any, name: str, newest: Any) -> tuple[str, str]:
    found = record.metrics(name, since=max(0, newest["entry"] - RECENT), kind="step")["value"]
    return (_number(float(found[-1])) if len(found) else "-"), f"{newest['step']:,}"


def _number(value: Any) -> str:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return "-" if value is None else str(value)
    return f"{value:,}" if isinstance(value, int) else "-" if math.isnan(value) else f"{value:.5g}"


def _lines(values: Any) -> str:
    return "\n".join(f"{name}: {value}" for name, value in values.items()) if isinstance(values, dict) else str(values)


def _best(one: Any, before: str = "") -> str:
    if one.best is None:
        return "" if before else "-"
    name, value = one.best
    shown = f"{100 * value:.1f} %" if "accuracy" in name else f"{value:.4g}"
    return f"{before}{name.replace('_', ' ')} {shown}" if before else shown


def runs_sheet(found: Sequence[Any]) -> Sheet:
    """Of the summaries of several runs."""
    rows = [
        (
            one.id, one.procedure, one.status, "-" if one.steps is None else f"{one.steps:,}", _best(one),
            "-" if one.took_s is None else seconds(one.took_s),
        )
        for one in found
    ]  # fmt: skip
    return Sheet(counted(len(rows), "run"), (), RUNS_HEAD, rows, (3, 4, 5))


def folder_sheet(run: Any) -> Sheet:
    """Of a run that is being written."""
    newest = ", ".join(f"{name} {_number(value)}" for name, value in (run.rows[-1] if run.rows else {}).items())
    facts = [f"newest: {newest}"] if newest else []
    return Sheet(f"Run {run.folder.name}: {counted(len(run.rows), 'row')} of metrics, seed {run.seed}", [*facts, f"folder: {run.folder}"])
