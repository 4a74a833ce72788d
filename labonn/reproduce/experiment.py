"""Experiments by name: modules with a docstring, `cases`, `rows` and, mostly, `figure`."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from labonn import registry
from labonn.errors import LabonnError, ProcedureError
from labonn.plotting.look import Look
from labonn.procedures import imported, module_of
from labonn.reproduce.choices import Choices
from labonn.reproduce.given import words_of
from labonn.reproduce.rows import Row
from labonn.sweeps import Job, Outcome

GROUP = "labonn.experiments"
ALL = "all"
TAKEN = ("jobs", "logs", "runs", "tries")  # by a sweep, in the folder in which experiments have theirs
WANTED = {"cases": "cases(choices)", "rows": "rows(choices, found)"}
Found = Mapping[str, Sequence[Outcome]]


@dataclass(frozen=True)
class Experiment:
    """A module that declares one: its docstring (first line: the title) and

    SOURCE                         where it is published, as "Guo et al. 2021, Fig. 3"
    cases(choices)                 case -> jobs, one a seed; the same job in several experiments is done once
    rows(choices, found)           table rows from case -> outcomes (those that there are)
    figure(choices, found, look)   a matplotlib Figure (labonn.plotting.files.new_figure); may be missing
    notes(choices, found)          what has to be said, a text a paragraph; may be missing

    Attributes:
        name: it is called. given: how it was asked for: its name, or its file.
    """

    name: str
    module: ModuleType
    given: str = ""

    @property
    def file(self) -> Path:
        """Of its module."""
        return Path(self.module.__file__ or "").resolve()

    @property
    def title(self) -> str:
        """First line of the module's docstring."""
        return (self.module.__doc__ or "").strip().partition("\n")[0]

    @property
    def about(self) -> str:
        """The rest of it."""
        return (self.module.__doc__ or "").strip().partition("\n")[2].strip()

    @property
    def source(self) -> str:
        """Where it is published."""
        return str(getattr(self.module, "SOURCE", ""))

    def cases(self, choices: Choices) -> dict[str, list[Job]]:
        """Its jobs.

        Raises:
            ProcedureError: they cannot be made, by a mistake of the module; its line is named.
        """
        try:
            made = self.module.cases(choices)
            if not isinstance(made, Mapping):
                raise ProcedureError(f"the experiment {self.name}: {WANTED['cases']} gives {made!r:.60}; wanted is case -> jobs")
            return {case: self._jobs(case, jobs) for case, jobs in made.items()}
        except LabonnError:
            raise
        except Exception as problem:
            raise ProcedureError(f"the experiment {self.name}: its jobs cannot be made: {told_of(problem)}") from problem

    def _jobs(self, case: str, jobs: Iterable[Job]) -> list[Job]:
        found = list(jobs)
        for job in found:
            if not isinstance(job, Job):
                told = f"{WANTED['cases']} has {job!r:.60} among the jobs of {case!r}; wanted are labonn.sweeps.Job"
                raise ProcedureError(f"the experiment {self.name}: {told}")
        return found

    def rows(self, choices: Choices, found: Found) -> list[Row]:
        """Its table.

        Raises:
            ProcedureError: it gives something else.
        """
        made = self.module.rows(choices, found)
        rows = list(made) if isinstance(made, Iterable) else [made]
        for row in rows:
            if not isinstance(row, Row):
                raise ProcedureError(f"{WANTED['rows']} gives {row!r:.60}; wanted are labonn.reproduce.Row")
        return rows

    def notes(self, choices: Choices, found: Found) -> list[str]:
        """What has to be said."""
        told = self.module.notes(choices, found) if hasattr(self.module, "notes") else []
        return [told] if isinstance(told, str) else [str(one) for one in told or ()]

    def figure(self, choices: Choices, found: Found, look: Look) -> Any:
        """Its figure, or None."""
        return self.module.figure(choices, found, look) if hasattr(self.module, "figure") else None


def told_of(problem: Exception) -> str:
    """An error with its place; those of the project say theirs themselves."""
    if isinstance(problem, LabonnError):
        return str(problem)
    last = traceback.extract_tb(problem.__traceback__)[-1]
    return f"{last.filename}, line {last.lineno}: {type(problem).__name__}: {problem}"


def experiments(names: Sequence[str]) -> list[Experiment]:
    """Those of these names, or in Python files of these paths; all that are registered for "all".

    Raises:
        ProcedureError: there is none of that name, or its module cannot be imported, or lacks a function that makes an experiment; or
            two would have the same folder.
    """
    points = registry.registered(GROUP)
    wanted = [*points, *(name for name in names if name != ALL)] if ALL in names else names
    found: dict[str, Experiment] = {}
    for one in map(_load, dict.fromkeys(wanted)):
        other = found.setdefault(one.name, one)
        if other.file != one.file:
            told = f"{other.given} and {one.given} are both called {one.name}, and would write to the same folder"
            raise ProcedureError(f"{told}; give one of them another name")
    return list(found.values())


def _load(name: str) -> Experiment:
    points, path = registry.registered(GROUP), Path(name)
    if name.endswith(".py") or "/" in name or "\\" in name:
        one, where = Experiment(path.stem, _module(path, name), name), name
    elif name in points:
        where = points[name].value
        one = Experiment(name, imported(where, points[name].load), name)
    else:
        hint = f"there is a file {name}.py, to take it write ./{name}.py" if Path(f"{name}.py").exists() else "`labonn reproduce` lists all"
        hint = f"settings are given as --set {name}" if "=" in name else hint
        try:
            return Experiment(name, registry.load(GROUP, name, ProcedureError), name)
        except ProcedureError as problem:
            raise ProcedureError(f"{str(problem).partition('; registered are')[0]}; {hint}") from None
    for function, told in WANTED.items():
        if not callable(getattr(one.module, function, None)):
            raise ProcedureError(f"{where}: an experiment has a function {told}; this module has none")
    return one


def _module(path: Path, name: str) -> ModuleType:
    if path.stem in TAKEN:
        raise ProcedureError(f"{name}: no experiment can be called {path.stem}, as a folder of jobs, logs, runs or tries in --out")
    try:
        return module_of(path, "experiment", "`labonn reproduce`")
    except SystemExit:
        raise ProcedureError(f"{name} cannot be imported: it ends Python, by sys.exit") from None
    except OSError as problem:
        raise ProcedureError(f"{name} cannot be read: {problem.strerror or problem}") from problem


def settings() -> list[str]:
    """NAME=VALUE of all settings that registered experiments ask for, with their full values; broken experiments are left out."""
    choices = Choices(pretended=True)
    for name in registry.registered(GROUP):
        with contextlib.suppress(Exception):  # they are told of where they are asked for
            _load(name).cases(choices)
    return [f"{name}={words_of(value)}" for name, value in sorted(choices.asked.items())]
