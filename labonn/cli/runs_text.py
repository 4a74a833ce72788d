"""Runs as text, in 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from labonn.cli.output import duration
from labonn.record.finding import Summary

WIDTH = 80
SHOWN_ROWS, SHOWN_EVENTS = 12, 10
WIDTHS = {"run": -18, "procedure": -17, "status": -11, "steps": 8, "best": 9, "took": 9}  # below 0: to the left


def listing(found: Sequence[Summary]) -> str:
    """A line a run."""
    return "\n".join(_line(row) for row in (list(WIDTHS), *map(_row, found)))


def _row(one: Summary) -> list[str]:
    steps = "-" if one.steps is None else f"{one.steps:,}"
    return [one.id, one.procedure, one.status, steps, _best(one), "-" if one.took_s is None else duration(one.took_s)]


def _line(cells: Sequence[str]) -> str:
    placed = []
    for cell, width in zip(cells, WIDTHS.values(), strict=True):
        fitted = cell if len(cell) <= abs(width) else f"{cell[: abs(width) - 1]}…"
        placed.append(fitted.rjust(width) if width > 0 else fitted.ljust(-width))
    return " ".join(placed).rstrip()


def _best(one: Summary) -> str:
    if one.best is None:
        return "-"
    name, value = one.best
    return f"{100 * value:.1f} %" if "accuracy" in name else f"{value:.4g}"


def shown(one: Summary, about: Mapping[str, Any]) -> str:
    """Everything worth knowing of one run; `about` as the command's JSON has it."""
    rows, events = about["reports"] or _of_steps(about["metrics"]), about["events"]
    last = "" if len(events) <= SHOWN_EVENTS else f", the last {SHOWN_EVENTS} of {len(events):,}"
    parts = [
        _head(one, about),
        _titled("instruments", [_instrument(port, seen) for port, seen in about["hardware"]["start"].items()]),
        metrics_table(rows),
        _titled(f"events{last}", [_event(event) for event in events[-SHOWN_EVENTS:]]),
        _titled("checks", [_check(check) for check in about["checks"]]),
        _titled("errors", [f"{error['class']}: {error['text']}" for error in about["errors"]]),
    ]
    return "\n\n".join(part for part in parts if part)


def _head(one: Summary, about: Mapping[str, Any]) -> str:
    first, newest = about["sessions"][0], about["newest"]
    problem = f", {one.problem}" if one.problem and one.status != "finished" else ""
    took = "" if one.took_s is None else f", took {duration(one.took_s)}"
    lines = [f"{one.folder.name}: {one.status}{problem}", f"command   {first['command']}", f"folder    {one.folder}"]
    lines.append(f"started   {_when(first['started'], '%Y-%m-%d %H:%M:%S')} UTC by {first['user']} on {first['host']}{took}")
    lines += [f"resumed   after step {later['resumed_after']:,}" for later in about["sessions"] if later["resumed_after"] is not None]
    lines.append(f"done      {newest.get('step', 0):,} steps, {duration(newest.get('bench_s') or 0.0)} of bench time")
    if one.best is not None:
        lines.append(f"best      {one.best[0].replace('_', ' ')} {_best(one)}")
    lines.append(f"seed      {first['seed']}{', a dry run' if first['dry_run'] else ''}")
    lines.append(f"versions  {', '.join(f'{name} {version}' for name, version in (first['versions'] or {}).items())}")
    believed = about["sessions"][-1]["calibrations"] or {}
    lines += [f"believed  {', '.join(f'{what} {id}' for what, id in believed.items())}"] if believed else []
    return "\n".join(_wrapped(line, " " * 10) for line in lines)


def _instrument(port: str, about: Mapping[str, Any]) -> str:
    low, high = (f"{about[key]:g}" if isinstance(about[key], float) else "several" for key in ("lower", "upper"))
    unit = "" if about["unit"] == "1" else f" {about['unit']}"
    return f"{port}: {about['identity']}; {about['channels']:,} x {low} to {high}{unit}"


def _event(event: Mapping[str, Any]) -> str:
    first, _, more = event["text"].partition("\n")
    level = "" if event["level"] == "info" else f"{event['level']}: "
    return f"{_when(event['time'], '%H:%M:%S')} {level}{first}{' …' if more else ''}"


def _check(check: Mapping[str, Any]) -> str:
    return f"{check['name']}: {check['value']:.4g}, {'passed' if check['passed'] else 'failed'} {check['text']}".rstrip()


def _when(seconds: float, form: str) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):{form}}"


def _titled(title: str, lines: Sequence[str]) -> str:
    return "\n".join([title, *(_wrapped(f"  {line}", "    ") for line in lines)]) if lines else ""


def _wrapped(line: str, indent: str) -> str:
    return "\n".join(textwrap.wrap(line, WIDTH, subsequent_indent=indent, break_on_hyphens=False)) or line


def _of_steps(metrics: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Metrics of steps as rows, for a run that reports nothing."""
    rows: dict[int, dict[str, Any]] = {}
    for name, series in metrics.items():
        for step, value in zip(series["step"].tolist(), series["value"].tolist(), strict=True):
            rows.setdefault(step, {"step": step})[name] = value
    return list(rows.values())


def thin(rows: Sequence[Mapping[str, Any]], most: int) -> list[Mapping[str, Any]]:
    """At most `most` rows, evenly chosen, the first and the last among them."""
    if len(rows) <= most:
        return list(rows)
    return [rows[round(place * (len(rows) - 1) / (most - 1))] for place in range(most)]


def metrics_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of numbers under headings of a word a line; as many columns as fit, the others named."""
    if not rows:
        return ""
    few, shown, rest, left = thin(rows, SHOWN_ROWS), [], [], WIDTH
    for name in dict.fromkeys(name for row in rows for name in row):
        words, cells = name.split("_"), [_number(row.get(name)) for row in few]
        width = 2 + max(map(len, (*words, *cells)))
        if width <= left:
            left -= width
            shown.append((words, cells, width))
        else:
            rest.append(name)
    height = max(len(words) for words, _, _ in shown)
    columns = [[cell.rjust(width) for cell in (*[""] * (height - len(words)), *words, *cells)] for words, cells, width in shown]
    told = f", {len(few)} of {len(rows):,} rows" if len(few) < len(rows) else ""
    more = f" (--json has {', '.join(rest)} too)" if rest else ""
    return "\n".join([f"metrics{told}{more}", *("".join(line).rstrip() for line in zip(*columns, strict=True))])


def _number(value: Any) -> str:
    if isinstance(value, float):
        return "-" if value != value else f"{value:.4g}"
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
