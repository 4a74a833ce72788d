"""Tables of experiments as plain values, and as files: JSON, CSV, Markdown."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

from labonn.reproduce.laid import laid
from labonn.reproduce.rows import Row
from labonn.runs import plain

COLUMNS = (
    "what", "unit", "paper", "paper_sd", "mean", "sd", "ours", "difference", "verdict", "aim", "reached", "higher", "by", "data",
    "evaluations", "remark",
)  # fmt: skip


def values(row: Row, comparable: bool = True) -> dict[str, Any]:
    """A row's columns as plain values. comparable: with what the paper did; if not, nothing is said of how they compare."""
    found = {name: getattr(row, name) for name in COLUMNS}
    return plain(found if comparable else {**found, "difference": None, "verdict": "", "reached": None})  # type: ignore[no-any-return]


def as_json(table: Mapping[str, Any]) -> bytes:
    """The whole of it."""
    return (json.dumps(plain(table), indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def as_csv(table: Mapping[str, Any]) -> bytes:
    """A line a row; seeds in one cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in table["rows"]:
        writer.writerow({**row, "ours": " ".join("nan" if number is None else f"{number:.6g}" for number in row["ours"])})
    return text.getvalue().encode()


def as_markdown(table: Mapping[str, Any]) -> bytes:
    """Title, table and what is to be said, ready for a README."""
    shown = laid(table)
    about = ", ".join(part for part in (table["source"], f"`{table['command']}`") if part)
    lines = [f"**{table['title']}** ({about})", ""]
    if table["departs"]:
        lines += [f"{table['departs']}.", ""]
    if shown.rows:
        lines += [f"| {' | '.join(map(_cell, shown.head))} |", f"| --- |{' ---: |' * (len(shown.head) - 1)}"]
        lines += [f"| {' | '.join(map(_cell, row))} |" for row in shown.rows] + [""]
    for line in (*shown.below, *table["notes"], *table["problems"]):
        lines += [f"- {_text(line)}"]
    return ("\n".join(lines).rstrip() + "\n").encode()


def _cell(text: str) -> str:
    return _text(text).replace("|", "\\|")


def _text(text: str) -> str:
    return text.replace("<", "\\<")
