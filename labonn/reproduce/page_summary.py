"""All rows of all experiments on one page: those that a paper has first, the others folded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labonn.report.markup import Html, folded, joined, paragraph, section, tag
from labonn.reproduce.laid import BAD
from labonn.reproduce.numbers import difference, measured, printed
from labonn.reproduce.page_section import anchor, name_of
from labonn.showing.words import counted

HEAD = (("what", None), ("paper", "n"), ("ours", "n"), ("seeds", "n"), ("difference", "n"), ("verdict", None))
TABLE = "rows summary"
Rows = Sequence[tuple[Path, Mapping[str, Any], Sequence[Mapping[str, Any]]]]


def summary(tables: Sequence[tuple[Path, Mapping[str, Any]]]) -> Html:
    """Rows with a paper's number or an aim, then the others."""
    measured_against = [(folder, table, [row for row in table["rows"] if _against(row)]) for folder, table in tables]
    others = [(folder, table, [row for row in table["rows"] if not _against(row)]) for folder, table in tables]
    count = sum(len(rows) for _, _, rows in others)
    parts: list[object] = [_table(measured_against) or paragraph("No row has a number of a paper.", kind="soft")]
    parts += [folded(f"{counted(count, 'row')} that no paper has", _table(others))] if count else []
    return section("All results", *parts)


def _against(row: Mapping[str, Any]) -> bool:
    return row["paper"] is not None or row["aim"] is not None


def _table(tables: Rows) -> Html:
    head = joined(tag("th", name, scope="col", class_=side) for name, side in HEAD)
    body = list[Html]()
    for folder, table, rows in tables:
        if rows:
            start = tag("a", name_of(table), href=f"#{anchor(folder)}")
            body.append(tag("tr", tag("th", start, scope="rowgroup", colspan=len(HEAD)), class_="first"))
            body += [tag("tr", *_cells(row, table)) for row in rows]
    inner = tag("table", tag("thead", tag("tr", head)), tag("tbody", joined(body)), class_=TABLE)
    return tag("div", inner, class_="wide") if body else Html("")


def _cells(row: Mapping[str, Any], table: Mapping[str, Any]) -> list[Html]:
    unit = f" {row['unit']}" if row["unit"] not in ("", "1") else ""
    paper, ours = printed(row["paper"], row["paper_sd"]), measured(row["mean"], row["sd"])
    numbers: list[object] = [f"{paper}{unit if row['paper'] is not None else ''}", f"{ours}{unit if row['mean'] is not None else ''}"]
    numbers += [len(row["ours"]) if row["data"] or len(row["ours"]) > 1 else "", difference(row["difference"], row["sd"])]
    word = row["verdict"] or ("trial" if table["departs"] else "-")
    missed = row["reached"] is False
    told = tag("td", word + (", aim missed" if missed else ""), class_="bad" if row["verdict"] in BAD or missed else None)
    what = tag("td", row["what"], tag("small", row["by"]) if row["by"] else "")
    return [what, *(tag("td", cell, class_="n") for cell in numbers), told]
