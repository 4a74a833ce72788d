"""Events and errors of a report."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from labonn.plotting.past import Past
from labonn.report.markup import Html, code, folded, joined, paragraph, section, table, tag
from labonn.report.words import when
from labonn.showing.words import counted

DULL = ("bench open: ", "every actuator was made safe", "checkpoint")
MOST_SHOWN, MOST_FOLDED = 40, 300
LONG = 4000  # characters of an event


def events_of(past: Past) -> list[dict[str, Any]]:
    """Of the record, or of events.log."""
    return list(past.ask(lambda record: record.events(), [])) or _logged(past)


def _logged(past: Past) -> list[dict[str, Any]]:
    found = list[dict[str, Any]]()
    try:
        lines = (past.folder / "events.log").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return found
    for line in lines:
        stamp, _, text = line.partition(" ")
        try:
            seconds = datetime.fromisoformat(stamp).timestamp()
        except ValueError:
            seconds, text = float("nan"), line
        level = "error" if text.startswith(("failed: ", "interrupted: ")) else "info"
        found.append({"time": seconds, "level": level, "text": text.replace(" | ", "\n")})
    return found


def happened(past: Past, events: list[dict[str, Any]]) -> Html:
    """Events that are worth reading, the others folded."""
    telling = [one for one in events if one.get("level") != "info" or not str(one.get("text", "")).startswith(DULL)]
    loud = [one for one in telling if one.get("level") != "info"]
    shown = telling if len(telling) <= MOST_SHOWN else sorted([*loud[:MOST_SHOWN], *telling[: MOST_SHOWN - len(loud)]], key=_time)
    rest = [one for one in events if not any(one is other for other in shown)]
    parts: list[object] = [_list(shown)]
    if rest:
        parts.append(folded(counted(len(rest), "other event"), _list(rest[:MOST_FOLDED])))
    if len(rest) > MOST_FOLDED:
        parts.append(paragraph(f"{len(rest) - MOST_FOLDED:,} more are in events.log.", kind="soft"))
    return section("Events", *parts) if events else Html("")


def _time(event: dict[str, Any]) -> float:
    return float(event.get("time") or 0.0)


def _list(events: list[dict[str, Any]]) -> Html:
    rows = []
    for one in events:
        text = str(one.get("text", ""))
        text = text if len(text) <= LONG else f"{text[:LONG]} …"
        first, _, more = text.partition("\n")
        kind = "bad" if one.get("level") in ("warning", "error") else None
        rows.append([when(one.get("time"))[11:19], joined((tag("span", first, class_=kind), code(more) if more else ""))])
    return table(("UTC", "event"), rows)


def errors(past: Past) -> Html:
    """What went wrong, by the record."""
    parts = list[object]()
    for one in past.ask(lambda record: record.errors(), []):
        parts.append(paragraph(f"{when(one.get('time'))}: {one.get('class')}: {one.get('text')}", kind="bad"))
        if one.get("traceback"):
            parts.append(folded("where in the code", code(one["traceback"])))
    return section("Errors", *parts)


def missing(past: Past, more: list[str]) -> Html:
    """What this report could not be made of."""
    lines = list(dict.fromkeys([*past.problems, *more]))
    return section("What is missing", tag("ul", joined(tag("li", line) for line in lines))) if lines else Html("")
