"""Experiments by name: modules with a docstring, `cases`, `rows` and, mostly, `figure`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from labonn import registry
from labonn.errors import ProcedureError
from labonn.plotting.look import Look
from labonn.reproduce.choices import Choices
from labonn.reproduce.rows import Row
from labonn.sweeps import Job, Outcome

GROUP = "labonn.experiments"
ALL = "all"
Found = Mapping[str, Sequence[Outcome]]


@dataclass(frozen=True)
class Experiment:
    """A module that declares one: its docstring (first line: the title) and

    SOURCE                         where it is published, as "Guo et al. 2021, Fig. 3"
    cases(choices)                 case -> jobs, one a seed; the same job in several experiments is done once
    rows(choices, found)           table rows from case -> outcomes (those that there are)
    figure(choices, found, look)   a matplotlib Figure (labonn.plotting.files.new_figure); may be missing
    notes(choices, found)          what has to be said, a text a paragraph; may be missing
    """

    name: str
    module: ModuleType

    @property
    def title(self) -> str:
        """First line of the module's docstring."""
        return (self.module.__doc__ or "").strip().partition("\n")[0]

    @property
    def source(self) -> str:
        """Where it is published."""
        return str(getattr(self.module, "SOURCE", ""))

    def cases(self, choices: Choices) -> dict[str, list[Job]]:
        """Its jobs."""
        return {case: list(jobs) for case, jobs in self.module.cases(choices).items()}

    def rows(self, choices: Choices, found: Found) -> list[Row]:
        """Its table."""
        return list(self.module.rows(choices, found))

    def notes(self, choices: Choices, found: Found) -> list[str]:
        """What has to be said."""
        return list(self.module.notes(choices, found)) if hasattr(self.module, "notes") else []

    def figure(self, choices: Choices, found: Found, look: Look) -> Any:
        """Its figure, or None."""
        return self.module.figure(choices, found, look) if hasattr(self.module, "figure") else None


def experiments(names: Sequence[str]) -> list[Experiment]:
    """Those of these names; all of them for "all".

    Raises:
        ProcedureError: there is none of that name, or its module cannot be imported.
    """
    known = list(registry.registered(GROUP))
    wanted = known if ALL in names else list(dict.fromkeys(names))
    return [Experiment(name, registry.load(GROUP, name, ProcedureError)) for name in wanted]
