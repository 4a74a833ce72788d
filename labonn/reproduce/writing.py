"""An experiment's files: table.json, .csv and .md, figure.pdf, .png and .svg."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from labonn.plotting.files import encoded, form_of
from labonn.plotting.look import PAGE, WIDTHS, Look, looking
from labonn.reproduce.choices import Choices
from labonn.reproduce.experiment import Experiment, Found, told_of
from labonn.reproduce.laid import laid
from labonn.reproduce.tables import as_csv, as_json, as_markdown, values
from labonn.sweeps import Job, Outcome, Store
from labonn.sweeps.store import write

LOOK = Look(width_mm=WIDTHS["double"])
PAPER, ON_PAGE = ("figure.pdf", "figure.png"), "figure.svg"
MOST_SVG = 250_000  # bytes, above which a page takes the PNG
T = TypeVar("T")


@dataclass(frozen=True)
class Written:
    """What came of an experiment's jobs.

    Attributes:
        table: as in table.json. folder: of the files. figures: that were drawn. problems: why something could not be made.
    """

    table: Mapping[str, Any]
    folder: Path
    figures: tuple[Path, ...]
    problems: tuple[str, ...]


def written(one: Experiment, choices: Choices, cases: Mapping[str, Sequence[Job]], outcomes: Mapping[Job, Outcome], out: Path) -> Written:
    """Table, notes and figure of what is finished, as files in a folder below `out`; what cannot be made is a problem, not an error.

    Raises:
        SweepError: the files cannot be written.
    """
    found = {case: [outcomes[job] for job in jobs if job in outcomes] for case, jobs in cases.items()}
    missing = sum(job not in outcomes for jobs in cases.values() for job in jobs)
    problems: list[str] = []
    rows = _tried("table", missing, problems, lambda: _values(one, choices, found), list[dict[str, Any]]())
    notes = _tried("notes", missing, problems, lambda: one.notes(choices, found), list[str]())
    figures = _tried("figure", missing, problems, lambda: _drawn(one, choices, found), dict[str, bytes]())
    table = {**_about(one, choices, cases), "missing": missing, "problems": problems, "notes": notes, "rows": rows}
    folder = folder_of(one, choices, out)
    _write(folder, {**figures, "table.json": as_json(table), "table.csv": as_csv(table), "table.md": as_markdown(table)})
    return Written(table, folder, tuple(folder / name for name in figures), tuple(problems))


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """A figure that is not made any more does not stay."""
    path = folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in (folder / name for name in (*PAPER, ON_PAGE) if name not in files):
            path.unlink(missing_ok=True)
        for name, content in files.items():
            path = folder / name
            write(path, content)
    except OSError as problem:
        raise Store.trouble(path, problem) from problem


def folder_of(one: Experiment, choices: Choices, out: Path) -> Path:
    """Where its files are: what departs from the paper does not take the place of what does not."""
    return out / (one.name + ("" if not choices.departs else "-quick" if choices.quick and not choices.given else "-other"))


def command_of(one: Experiment, choices: Choices) -> str:
    """The command that does it again."""
    words = ["labonn", "reproduce", one.given or one.name, *(["--quick"] if choices.quick else [])]
    words += ["--seeds", str(choices.seeds)] if choices.seeds is not None else []
    words += ["--data", choices.data] if choices.data != "data" and not choices.quick else []
    words += ["--set", *(f"{name}={value}" for name, value in choices.given.items())] if choices.given else []
    return shlex.join(words).encode(errors="replace").decode()  # a path may be of another encoding


def _about(one: Experiment, choices: Choices, cases: Mapping[str, Sequence[Job]]) -> dict[str, Any]:
    """What a page wants to know beside the rows; jobs by key, as their files are called."""
    jobs = {case: [{"key": job.key, "title": job.title, "seed": job.seed} for job in some] for case, some in cases.items()}
    return {
        "experiment": one.name, "title": one.title, "source": one.source, "about": one.about, "command": command_of(one, choices),
        "quick": choices.quick, "departs": choices.departs, "seeds": len(choices.numbers), "cases": jobs,
    }  # fmt: skip


def _values(one: Experiment, choices: Choices, found: Found) -> list[dict[str, Any]]:
    rows = [values(row, comparable=not choices.departs) for row in one.rows(choices, found)]
    laid({"rows": rows})  # what cannot be told as text is not written either
    return rows


def _drawn(one: Experiment, choices: Choices, found: Found) -> dict[str, bytes]:
    """Once for paper, and once for pages of two themes; files by name."""
    with looking(LOOK):
        figure = one.figure(choices, found, LOOK)
        if figure is None:
            return {}
        files = {name: encoded(figure, form_of(Path(name))) for name in PAPER}
    look = Look(width_mm=LOOK.width_mm, dpi=150, style=PAGE)
    with looking(look):
        content = encoded(one.figure(choices, found, look), "svg")
    return files if len(content) > MOST_SVG else {**files, ON_PAGE: content}


def _tried(what: str, missing: int, problems: list[str], make: Callable[[], T], otherwise: T) -> T:
    """Experiments are asked for tables of what is not there, too; one that cannot does not take the others' tables along."""
    try:
        return make()
    except Exception as problem:
        why = f" ({missing} of its jobs have no result)" if missing else ""
        problems.append(f"its {what} cannot be made{why}: {told_of(problem)}")
        return otherwise
