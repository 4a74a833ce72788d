"""Values that options and words can have: choices, names that are registered, runs, calibrations, or files.

What answers at a Tab has named tuples and os.path in place of dataclasses and pathlib: importing those takes a third of the time.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from labonn.cli.completion_parsers import Book

FILES = ("FILE", "BENCH", "SCRIPT", "CLIENT.key")
HELP_WIDTH = 60
EMULATED = {("instruments", "instrument"): "drivers", ("emulate", "words"): "emulators"}


class Fitting(NamedTuple):
    """Candidates with a word of help each, and whether files ("files", "dirs" or "none") fit too."""

    values: Sequence[tuple[str, str]]
    files: str = "none"

    def beginning(self, begun: str) -> Fitting:
        """Those that begin so, with their help cut to what a line has room for."""
        kept = [(value, told.partition(";")[0][:HELP_WIDTH]) for value, told in self.values if value.startswith(begun)]
        return self._replace(values=kept)

    def behind(self, start: str) -> Fitting:
        """With that in front of every one."""
        return self._replace(values=[(start + value, told) for value, told in self.values])


class Line(NamedTuple):
    """What the line has so far: command, positional words, options' values by name, benches of the procedure."""

    command: str
    words: Sequence[str]
    given: Mapping[str, Sequence[str]]
    benches: Sequence[str]

    def value(self, name: str, otherwise: str) -> str:
        """The last one of an option."""
        return (self.given.get(name) or [otherwise])[-1]


def values_of(wanted: Mapping[str, Any], line: Line, book: Book) -> Fitting:
    """What an option or a word can be."""
    dest, metavar = wanted["dest"], wanted["metavar"]
    kinds = [kind.strip() for kind in metavar.split("|")]
    if wanted["choices"]:
        return _plain(wanted["choices"])
    if "RUN" in kinds:
        return _plain(_runs(line))
    if "PROCEDURE" in kinds:
        return _plain(book.names("procedures"))._replace(files="files")
    if line.command == "reproduce" and dest in ("names", "set"):
        return _reproduced(dest, line, book)
    if (line.command, dest) in EMULATED:
        return _plain(book.names(EMULATED[line.command, dest]))
    if line.command == "calibrations" and dest in ("id", "other", "port", "kind"):
        return _plain(_calibrations(dest, line))
    literal = [kind for kind in kinds if kind.islower() and len(kinds) > 1]
    files = "files" if set(kinds) & set(FILES) else "dirs" if "DIR" in kinds else "none"
    return _plain([*(line.benches if dest == "bench" else ()), *literal])._replace(files=files)


def _reproduced(dest: str, line: Line, book: Book) -> Fitting:
    """Names of experiments and of their settings, these with the value that they have without `--set`."""
    if dest == "set":
        return _plain(book.settings())
    names = [name for name in [*book.names("experiments"), "all"] if name not in line.words]
    return _plain(names)._replace(files="files")


def _plain(values: Sequence[str]) -> Fitting:
    return Fitting([(value, "") for value in values])


def _runs(line: Line) -> list[str]:
    """Folders in --out, the newest first; for --resume those of its procedure. Looked at here, as labonn.record would import numpy."""
    out = line.value("out", line.value("runs", "runs"))
    names = []
    with contextlib.suppress(OSError):
        names = [entry.name for entry in os.scandir(out) if os.path.exists(os.path.join(entry.path, "settings.json"))]
    if line.command == "run" and line.words:
        procedure = os.path.basename(line.words[0]).removesuffix(".py")
        names = [name for name in names if f"-{procedure}" in name]
    return ["latest", *sorted(names, key=_when, reverse=True)] if names else []


def _when(name: str) -> tuple[str, int]:
    """Of runs that began in the same second the later one has the larger number."""
    last = name.rpartition("-")[2]
    return name[:16], int(last) if last.isdecimal() else 1


def _calibrations(what: str, line: Line) -> list[str]:
    """Ids, the newest first, or ports or kinds, as the folder's index has them."""
    rows: list[dict[str, Any]] = []
    index = os.path.join(line.value("calibrations", "calibrations"), "index.jsonl")
    with contextlib.suppress(OSError, ValueError), open(index, encoding="utf-8") as file:
        rows = [json.loads(row) for row in file if row.strip()]
    key = "id" if what in ("id", "other") else what
    return list(dict.fromkeys(str(row[key]) for row in reversed(rows) if key in row))
