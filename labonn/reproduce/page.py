"""All experiments of a folder as one HTML page, from the files that are there: it can be made again at any time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from labonn.errors import ProcedureError
from labonn.report.markup import Html, joined, paragraph, section, tag
from labonn.report.page import page
from labonn.reproduce.laid import BAD
from labonn.reproduce.page_figures import Figures
from labonn.reproduce.page_section import anchor, name_of, section_of
from labonn.reproduce.page_summary import summary

REPORT = "report.html"
TITLE = "Published results, reproduced"
NOTHING = "`labonn reproduce all --quick --report` is a first look at everything"
WRONG = (AttributeError, KeyError, TypeError, ValueError)  # what a table that is not as it should be leads to
LATER = ("-quick", "-other")  # what departs from the paper is shown where there is nothing else


def page_of(out: Path) -> bytes:
    """The page's content.

    Raises:
        ProcedureError: no experiment has a table there.
    """
    found, problems, left_out = _tables(out)
    figures, tables, sections = Figures(), list[tuple[Path, dict[str, Any]]](), list[Html]()
    for folder, table in found:
        try:
            sections.append(section_of(folder, table, out, figures))
            tables.append((folder, table))
        except WRONG as problem:
            problems.append(f"{folder.name}/table.json cannot be read: {type(problem).__name__}: {problem}")
    if not tables:
        raise ProcedureError(f"{out}: no experiment has a table there; {NOTHING}{''.join(f'; {one}' for one in problems)}")
    told = [*problems, *figures.problems]
    if left_out:
        told.append(f"Left out, as there are full runs of the same: {', '.join(left_out)}.")
    parts = [
        tag("h1", TITLE, id="top"),
        _counts([table for _, table in tables]),
        *(paragraph(line, kind="soft") for line in told),
        section("Contents", _contents(tables)),
        summary(tables),
        *sections,
    ]
    style = (files("labonn.reproduce") / "page.css").read_text(encoding="utf-8")
    return page(TITLE, joined(parts), "the tables, figures and jobs of its folder", style)


Tables = Sequence[tuple[Path, dict[str, Any]]]


def _tables(out: Path) -> tuple[Tables, list[str], list[str]]:
    """Folders with their tables, what is broken, and what is left out."""
    found: dict[str, tuple[Path, dict[str, Any]]] = {}
    problems, left_out = list[str](), list[str]()
    for path in sorted(out.glob("*/table.json"), key=lambda path: (path.parent.name.endswith(LATER), path.parent.name)):
        try:
            table = json.loads(path.read_bytes())
            name = str(table["experiment"])
            if not all(key in table for key in ("rows", "notes", "cases", "departs")):
                raise ValueError("something is missing in it")
        except (OSError, ValueError, KeyError, TypeError) as problem:
            problems.append(f"{path.relative_to(out)} cannot be read: {problem}")
            continue
        if name in found:
            left_out.append(path.parent.name)
        else:
            found[name] = (path.parent, table)
    return sorted(found.values(), key=lambda one: one[0].name), problems, left_out


def _contents(tables: Tables) -> Html:
    links = ((tag("a", tag("b", name_of(table)), href=f"#{anchor(folder)}"), str(table["title"]).rstrip(".")) for folder, table in tables)
    return tag("nav", tag("ul", joined(tag("li", link, " ", title) for link, title in links)))


def _counts(tables: Sequence[dict[str, Any]]) -> Html:
    """The most important numbers."""
    rows = [row for table in tables for row in table["rows"]]
    verdicts = Counter(row["verdict"] for row in rows)
    aims = [row["reached"] for row in rows if row["reached"] is not None]
    told = {"experiments": len(tables), "rows": len(rows)}
    told |= {"within the errors": verdicts["within"], "better than the paper": verdicts["better"]}
    told |= {"worse, or other than it": sum(verdicts[word] for word in BAD)}
    cells = [tag("div", tag("b", count), tag("span", what)) for what, count in told.items()]
    if aims:
        cells.append(tag("div", tag("b", f"{sum(aims)} of {len(aims)}"), tag("span", "aims reached")))
    trials = sum(bool(table["departs"]) for table in tables)
    if trials:
        cells.append(tag("div", tag("b", trials), tag("span", "experiments only as a trial: not comparable")))
    return tag("div", joined(cells), class_="keys")
