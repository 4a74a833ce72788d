"""Calibrations of a report: what the run believed, what its drift checks said, and what it measured itself."""

from __future__ import annotations

import re
from typing import Any

from labonn.calibration import Calibration
from labonn.plotting import calibrations as drawn
from labonn.plotting.past import Past
from labonn.report.markup import Html, folded, joined, paragraph, section, table, tag
from labonn.report.pictures import Pictures
from labonn.report.words import when
from labonn.showing.calibrations import HEAD, calibration_sheet
from labonn.showing.words import counted
from labonn.units import format_quantity

BELIEVES = re.compile(r"believes (\S+) calibration ([0-9a-f]{12}) of (\S+) \((\S+)\), valid until (.+)")
TELLING = ("no calibration", "has drifted", "takes its place", "SLM responses measured", "are believed", "through the")
MOST_FIGURES = 8


def believed(past: Past, events: list[dict[str, Any]]) -> Html:
    """What was believed, until when; and what was not calibrated at all."""
    texts = [str(event.get("text", "")) for event in events]
    untils = {match[2]: (match[4], match[5]) for text in texts for match in BELIEVES.finditer(text)}
    last = past.sessions[-1] if past.sessions else {}
    found = last.get("calibrations") if isinstance(last.get("calibrations"), dict) else {}
    rows = [_row(past, what, str(id), untils) for what, id in (found or {}).items()]
    parts: list[object] = []
    if rows:
        parts.append(table(("port and kind", "id", "measured", "valid until", "fresh points"), rows))
    elif not past.sessions:
        parts.append(paragraph("Which calibrations were believed is not on record.", kind="soft"))
    elif not past.procedure.startswith("calibrate_"):
        parts.append(paragraph("No calibration was believed: everything is taken to be nominal, or was measured by the run itself."))
    told = [text.partition("\n")[0] for text in texts if any(word in text for word in TELLING)]
    parts += [tag("ul", joined(tag("li", text) for text in dict.fromkeys(told)))] if told else []
    return section("Calibrations that were believed", *parts, _checks(past))


def _row(past: Past, what: str, id: str, untils: dict[str, tuple[str, str]]) -> list[object]:
    folder = past.options.get("calibrations")
    kept = drawn.loaded(past, [(id, str(folder))])[0] if folder else []
    if kept:
        return [what, id, kept[0].time, kept[0].expires or "it drifts", _fresh(kept[0])]
    measured, until = untils.get(id, ("not known", "not known"))
    return [what, id, measured, until, "its file is not here any more"]


def _fresh(one: Calibration) -> str:
    words = drawn.summed_up(one)
    return words.partition(": ")[2]


def _checks(past: Past) -> Html:
    """Drift checks and the like, by the record."""
    rows = list[list[object]]()
    for check in past.ask(lambda record: record.checks(), []):
        passed = bool(check.get("passed"))
        value = check.get("value")
        shown = f"{value:.4g}" if isinstance(value, (int, float)) else "not known"
        ends = " to ".join(f"{end:.4g}" if isinstance(end, float) and abs(end) < 1e300 else "any" for end in (check["low"], check["high"]))
        word = tag("span", "passed" if passed else "failed", class_="good" if passed else "bad")
        rows.append([when(check.get("time")), check.get("name"), shown, ends, word, check.get("text") or ""])
    return joined((tag("h3", "Checks"), table(("when", "check", "value", "allowed", "", ""), rows, (2,)))) if rows else Html("")


def measured(past: Past, pictures: Pictures) -> Html:
    """Calibrations that the run made: tables, curves, residuals."""
    made = drawn.kept_by(past)
    if not made:
        return Html("")
    found, problems = drawn.loaded(past, made)
    parts: list[object] = [paragraph(problem, kind="bad") for problem in problems]
    for place, one in enumerate(found):
        parts.append(_one(one, pictures, figures=place < MOST_FIGURES))
    return section("Calibrations that were measured", *parts)


def _one(one: Calibration, pictures: Pictures, figures: bool) -> Html:
    sheet = calibration_sheet(one)
    rows = [list(row) for row in sheet.rows]
    parts: list[object] = [tag("h3", sheet.title), tag("ul", joined(tag("li", fact) for fact in sheet.facts)), table(HEAD, rows)]
    if figures:
        drawings = [
            pictures.figure(f"residuals of fresh points, {one.kind} of {one.port}", lambda f: drawn.draw_residuals(f.subplots(), one))
        ]
        if drawn.has_curve(one):
            caption = f"curves that were found, {one.kind} of {one.port}; bands are 3 standard errors"
            drawings.insert(0, pictures.figure(caption, lambda f: drawn.draw_curves(f.subplots(), one)))
        parts.append(tag("div", joined(drawings), class_="figures"))
    excluded = [[channel, why] for channel, why in one.excluded.items()]
    parts.append(folded(f"{counted(len(excluded), 'channel')} left out", table(("channel", "why"), excluded)) if excluded else "")
    conditions = [[name, _condition(value)] for name, value in {**one.instruments, **one.conditions}.items()]
    parts.append(folded("instruments and conditions", table(("", ""), conditions)))
    return joined(parts)


def _condition(value: Any) -> str:
    return format_quantity(value, "1") if isinstance(value, float) else str(value)[:400]
