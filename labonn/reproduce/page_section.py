"""An experiment's section of a page: figure, table, notes, settings, and the command that does it again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from labonn.report.markup import Html, code, joined, paragraph, tag
from labonn.reproduce.laid import Laid, laid
from labonn.reproduce.page_figures import Figures
from labonn.reproduce.page_jobs import jobs_of

TO_THE_RIGHT = ("paper", "ours", "difference")


def anchor(folder: Path) -> str:
    """Of its section."""
    return f"of-{folder.name}"


def name_of(table: Mapping[str, Any]) -> str:
    """With what departs from the paper behind it."""
    return f"{table['experiment']}{' (quick)' if table.get('quick') else ' (trial)' if table['departs'] else ''}"


def section_of(folder: Path, table: Mapping[str, Any], out: Path, figures: Figures) -> Html:
    """Everything about one."""
    title = str(table["title"]).rstrip(".")
    shown = laid(table)
    parts: list[object] = [
        tag("h2", tag("a", "contents", href="#top", class_="back"), f"{name_of(table)}: {title}"),
        paragraph(table.get("source"), kind="soft") if table.get("source") else "",
        paragraph(f"{table['departs']}.", kind="banner real") if table["departs"] else "",
        *(paragraph(about) for about in str(table.get("about") or "").split("\n\n") if about.strip()),
        *(paragraph(problem, kind="bad") for problem in table.get("problems") or ()),
        paragraph(f"{table['missing']} of its jobs have no result.", kind="bad") if table.get("missing") else "",
        figures.of(folder, f"{title}{' (' + table['source'] + ')' if table.get('source') else ''}"),
        _rows(shown),
        tag("ul", joined(tag("li", line) for line in shown.below), class_="below") if shown.below else "",
        *(paragraph(note) for note in table["notes"]),
        jobs_of(table, out),
        paragraph("Again:"),
        code(table.get("command") or f"labonn reproduce {table['experiment']}"),
        paragraph("Files: ", joined(_links(folder, out), ", "), kind="soft"),
    ]
    return tag("section", joined(part for part in parts if part), id=anchor(folder))


def _rows(shown: Laid) -> Html:
    if not shown.rows:
        return Html("")
    sides = ["n" if name.startswith(TO_THE_RIGHT) else None for name in shown.head]
    head = joined(tag("th", name, scope="col", class_=side) for name, side in zip(shown.head, sides, strict=True))
    body = [
        tag("tr", *(tag("td", row[at], class_=_kind(name, sides[at], place in shown.bad)) for at, name in enumerate(shown.head)))
        for place, row in enumerate(shown.rows)
    ]
    return tag("div", tag("table", tag("thead", tag("tr", head)), tag("tbody", joined(body)), class_="rows"), class_="wide")


def _kind(name: str, side: str | None, bad: bool) -> str | None:
    return "bad" if bad and name == "verdict" else side


def _links(folder: Path, out: Path) -> list[Html]:
    names = ("table.csv", "table.json", "table.md", "figure.pdf", "figure.png", "figure.svg")
    return [tag("a", name, href=quote(f"{folder.relative_to(out)}/{name}")) for name in names if (folder / name).exists()]
