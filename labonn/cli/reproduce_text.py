"""Tables of `labonn reproduce` for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labonn.reproduce.choices import Choices
from labonn.reproduce.rows import Row
from labonn.reproduce.running import Reproduced


def show(told: Sequence[Reproduced], choices: Choices, args: Any) -> None:
    """On stdout."""
    from labonn.cli.output import print_json, print_lines
    from labonn.reproduce.writing import values

    if args.json:
        print_json({one.experiment.name: {"rows": [values(row) for row in one.rows], "notes": one.notes} for one in told})
        return
    for one in told:
        print(f"\n{one.experiment.name}: {one.experiment.title}")
        print_lines(_line(row) for row in one.rows)
        print_lines([f"note: {note}" for note in one.notes])


def _line(row: Row) -> str:
    sd = "" if row.sd is None else f" +- {row.sd:.2g}"
    paper = "-" if row.paper is None else f"{row.paper:g}" + (f" +- {row.paper_sd:g}" if row.paper_sd else "")
    return f"  {row.what}: paper {paper}, ours {row.mean:.4g}{sd} {row.unit} ({len(row.ours)}) {row.verdict}"
