"""What `labonn reproduce` tells at its end: tables, what has to be said about them, and what failed."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labonn.reproduce.choices import Choices
from labonn.reproduce.running import Reproduced

NUMBERS = ("paper", "ours", "difference")


def show(told: Sequence[Reproduced], choices: Choices, report: Path | None) -> None:
    """For people, on stdout."""
    from labonn.cli.output import print_lines

    for one in told:
        _experiment(one)
    lines = [_counted(told)] if len(told) > 1 and not choices.departs else []
    failures = list(dict.fromkeys(failure for one in told for failure in one.failures))
    lines += [_failed(failure) for failure in failures]
    lines += ["what is finished stays: the same command does the others again"] if failures else []
    lines += [f"report: {report}"] if report else []
    if lines:
        print_lines(["", *(_plain(line) for line in lines)])


def as_json(told: Sequence[Reproduced], choices: Choices, report: Path | None) -> dict[str, Any]:
    """Everything, by experiment."""
    found = {}
    for one in told:
        failures = [
            {"title": failure.job.title, "seed": failure.job.seed, "key": failure.job.key, "told": failure.told, "log": failure.log}
            for failure in one.failures
        ]
        kept = one.written
        found[one.experiment.name] = {**kept.table, "folder": kept.folder, "figures": kept.figures, "failures": failures}
    return {"departs": choices.departs, "experiments": found, "report": report}


def _experiment(one: Reproduced) -> None:
    from labonn.cli.output import folded, paint, print_lines
    from labonn.reproduce.laid import laid

    table = one.written.table
    source = f" ({table['source']})" if table["source"] else ""
    print()
    print_lines([_plain(f"{table['experiment']}: {table['title'].rstrip('.')}{source}")])
    if table["departs"]:
        print_lines([f"{table['departs']}"])
    shown = laid(table)
    if shown.rows:
        print()
        _table(shown)
    if shown.below:
        print_lines(["", *map(_plain, shown.below)])
    for note in table["notes"]:
        print_lines(["", _plain(note)])
    for problem in one.written.problems:
        print("\n".join(["", *(paint(row, "red") for row in folded(f"problem: {_plain(problem)}", hang=2))]))
    print_lines(["", f"in {one.written.folder}: {', '.join(_files(one))}"])


def _files(one: Reproduced) -> list[str]:
    return ["table.md", "table.csv", "table.json", *(path.name for path in one.written.figures)]


def _table(shown: Any) -> None:
    from rich.table import Table
    from rich.text import Text

    from labonn.cli.output import coloured, console

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold" if coloured() else "")
    for heading in shown.head:
        right = heading.startswith(NUMBERS)
        table.add_column(Text(_plain(heading)), justify="right" if right else "left", no_wrap=heading != "what", overflow="fold")
    for place, row in enumerate(shown.rows):
        style = "red" if place in shown.bad and coloured() else ""
        table.add_row(*(Text(_plain(cell), style=style if head == "verdict" else "") for head, cell in zip(shown.head, row, strict=True)))
    screen = console()
    with screen.capture() as caught:
        screen.print(table)
    print("\n".join(line.rstrip() for line in caught.get().splitlines()))


def _counted(told: Sequence[Reproduced]) -> str:
    """How many rows are as the paper has them; those that are not by experiment."""
    verdicts = Counter[str]()
    worse = Counter[str]()
    for one in told:
        for row in one.written.table["rows"]:
            verdicts[row["verdict"]] += 1
            worse[one.experiment.name] += _worse(row)
    words = [f"{verdicts[word]} {word}" for word in ("within", "better", "below", "above", "other") if verdicts[word]]
    off = ", ".join(name for name, count in worse.items() if count)
    return f"of {sum(verdicts.values())} rows {', '.join(words) or 'none has a verdict'}{f'; look at {off}' if off else ''}"


def _worse(row: Mapping[str, Any]) -> bool:
    from labonn.reproduce.laid import BAD

    return row["verdict"] in BAD or row["reached"] is False


def _failed(failure: Any) -> str:
    from labonn.cli.output import paint

    log = f"; all that it said: {failure.log}" if failure.log else ""
    return f"{paint('failed', 'red')}: {failure.job.title or failure.job.work}, seed {failure.job.seed}: {failure.told}{log}"


def _plain(text: str) -> str:
    """For terminals of few letters, too."""
    return text if (sys.stdout.encoding or "").lower().startswith("utf") else text.replace("±", "+-").replace("…", "...")
