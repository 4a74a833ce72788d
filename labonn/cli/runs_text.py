"""Runs as text, in 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from labonn.cli.output import columns, folded, paint
from labonn.progress.words import clock
from labonn.record.finding import Summary
from labonn.units import duration

SHOWN_ROWS, SHOWN_EVENTS = 12, 10
HEADINGS = ("run", "procedure", "status", "steps", "best", "took")
LEFT, CUT, STATUS = 3, 1, 2  # columns that are flush left; the one that is cut where there is no room; the one in colours
STATUS_COLOURS = {"running": "green", "failed": "red", "died": "red"}
LEVEL_COLOURS = {"warning": "yellow", "error": "red"}


def listing(found: Sequence[Summary]) -> str:
    """A line a run."""
    rows = [HEADINGS, *map(_row, found)]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    widths[CUT] -= max(0, sum(widths) + len(widths) - 1 - columns())
    return "\n".join(_line(row, widths) for row in rows)


def _row(one: Summary) -> tuple[str, ...]:
    steps = "-" if one.steps is None else f"{one.steps:,}"
    return one.id, one.procedure, one.status, steps, _best(one), "-" if one.took_s is None else clock(one.took_s)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    placed = []
    for place, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        fitted = cell if len(cell) <= width else f"{cell[: width - 1]}…"
        whole = fitted.ljust(width) if place < LEFT else fitted.rjust(width)
        placed.append(paint(whole, STATUS_COLOURS.get(cell) if place == STATUS else None))
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
    if one.status in ("died", "interrupted", "failed") and any((one.folder / "checkpoints").glob("[0-9]*.npz")):
        lines.append(f"next      labonn run {one.procedure} --resume {one.folder}")
    believed = about["sessions"][-1]["calibrations"] or {}
    lines += [f"believed  {', '.join(f'{what} {id}' for what, id in believed.items())}"] if believed else []
    first_rows, *rest = (folded(line, hang=10) for line in lines)
    first_rows[0] = first_rows[0].replace(f": {one.status}", f": {paint(one.status, STATUS_COLOURS.get(one.status))}", 1)
    return "\n".join([*first_rows, *(row for rows in rest for row in rows)])


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
    return "\n".join([title, *(row for line in lines for row in _painted(folded(f"  {line}", hang=4)))]) if lines else ""


def _painted(rows: list[str]) -> list[str]:
    """The level of an event in its colour."""
    for level, colour in LEVEL_COLOURS.items():
        rows[0] = rows[0].replace(f" {level}: ", f" {paint(level, colour)}: ", 1)
    return rows


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
    few, shown, rest, left = thin(rows, SHOWN_ROWS), [], [], columns()
    for name in dict.fromkeys(name for row in rows for name in row):
        words, cells = name.split("_"), [_number(row.get(name)) for row in few]
        width = 2 + max(map(len, (*words, *cells)))
        if width <= left:
            left -= width
            shown.append((words, cells, width))
        else:
            rest.append(name)
    height = max(len(words) for words, _, _ in shown)
    placed = [[cell.rjust(width) for cell in (*[""] * (height - len(words)), *words, *cells)] for words, cells, width in shown]
    told = f", {len(few)} of {len(rows):,} rows" if len(few) < len(rows) else ""
    more = f" (--json has {', '.join(rest)} too)" if rest else ""
    return "\n".join([*folded(f"metrics{told}{more}"), *("".join(line).rstrip() for line in zip(*placed, strict=True))])


def _number(value: Any) -> str:
    if isinstance(value, float):
        return "-" if value != value else f"{value:.4g}"
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
