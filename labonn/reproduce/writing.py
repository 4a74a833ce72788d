"""An experiment's files: table.json, table.csv, figure.pdf and figure.png."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labonn.plotting.files import save, write_whole
from labonn.plotting.look import WIDTHS, Look, looking
from labonn.reproduce.choices import Choices
from labonn.reproduce.experiment import Experiment, Found
from labonn.reproduce.rows import Row
from labonn.runs import plain

LOOK = Look(width_mm=WIDTHS["double"])
COLUMNS = ("what", "unit", "paper", "paper_sd", "mean", "sd", "ours", "difference", "verdict", "aim", "by", "data", "evaluations", "remark")


def written(one: Experiment, choices: Choices, found: Found, rows: Sequence[Row], notes: Sequence[str], folder: Path) -> list[Path]:
    """Write them; the figure's paths."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {"experiment": one.name, "title": one.title, "source": one.source, "quick": choices.quick, "seeds": len(choices.numbers)}
    table = {**about, "notes": list(notes), "rows": [values(row) for row in rows]}
    write_whole(folder / "table.json", (json.dumps(plain(table), indent=1, ensure_ascii=False) + "\n").encode())
    write_whole(folder / "table.csv", _csv(rows))
    with looking(LOOK):
        figure = one.figure(choices, found, LOOK)
        if figure is None:
            return []
        paths = [folder / "figure.pdf", folder / "figure.png"]
        for path in paths:
            save(figure, path)
    return paths


def values(row: Row) -> dict[str, Any]:
    """A row's columns."""
    return {name: getattr(row, name) for name in COLUMNS}


def _csv(rows: Sequence[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({**values(row), "ours": " ".join(f"{number:.6g}" for number in row.ours)})
    return text.getvalue().encode()
