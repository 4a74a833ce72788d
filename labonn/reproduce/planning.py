"""What experiments would take: jobs, which of them are finished, and how long the others need."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from labonn.errors import SweepError
from labonn.reproduce.choices import Choices
from labonn.reproduce.experiment import Experiment
from labonn.sweeps import Job, Outcome, Store
from labonn.units import duration

START_S = 2.0  # of a process, its imports and its bench, which costs leave out
PLACE, HASH = "{data}", 12  # where data is, which differs from computer to computer; digits of a hash that tell sets apart


@dataclass(frozen=True)
class Case:
    """Jobs that differ in their seeds.

    Attributes:
        name: of the case. jobs: a seed each. finished: those that have a result. settings: of all of them, flat, as text.
    """

    name: str
    jobs: Sequence[Job]
    finished: Mapping[Job, Outcome]
    settings: Mapping[str, str]


@dataclass(frozen=True)
class Planned:
    """An experiment before anything is run; `absent`: data sets that it asked for, and that are not there."""

    experiment: Experiment
    cases: Sequence[Case]
    absent: Sequence[str]

    @property
    def jobs(self) -> set[Job]:
        """All of them, each once."""
        return {job for case in self.cases for job in case.jobs}

    @property
    def finished(self) -> set[Job]:
        """Those that have a result."""
        return {job for case in self.cases for job in case.finished}


def planned(one: Experiment, choices: Choices, store: Store) -> Planned:
    """Look for results, run nothing."""
    cases, own = [], replace(choices, _images={})
    for name, jobs in one.cases(own).items():
        finished = {job: found for job in jobs if (found := _found(store, job)) is not None}
        cases.append(Case(str(name), jobs, finished, flat(jobs[0].settings) if jobs else {}))
    return Planned(one, cases, own.absent)


def _found(store: Store, job: Job) -> Outcome | None:
    try:
        return store.find(job)
    except SweepError:  # told when it is needed
        return None


def width(workers: int | None) -> int:
    """How many jobs at once."""
    return workers or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def seconds(jobs: Iterable[Job], workers: int) -> float:
    """Expected: costs are seconds of one core, and no job is quicker than alone."""
    costs = [job.cost + START_S for job in jobs]
    return max(sum(costs) / workers, max(costs, default=0.0))


def roughly(expected_s: float) -> str:
    """In one number or two, as an estimate deserves."""
    if expected_s < 90:
        return f"{expected_s:.0f} s"
    return f"{expected_s / 60:.0f} min" if expected_s < 5400 else duration(round(expected_s / 600) * 600)


def flat(settings: Any, before: str = "") -> dict[str, str]:
    """Settings as name -> text; steps of runs by their procedure."""
    found: dict[str, str] = {}
    for key, value in settings.items():
        name = f"{before}{key}"
        if key == "steps" and _are_steps(value):
            for procedure, options in value:
                found |= {f"{procedure} ": ""} | flat(options, f"{procedure} ")
        elif isinstance(value, Mapping):
            found |= flat(value, f"{name}.")
        elif value not in ("", PLACE):
            found[name] = _words(value) if not name.endswith("sha256") else str(value)[:HASH]
    return found


def _are_steps(value: Any) -> bool:
    """Whether they are a run's: (procedure, options) each."""
    pairs = isinstance(value, (list, tuple)) and all(isinstance(one, (list, tuple)) and len(one) == 2 for one in value)
    return pairs and all(isinstance(procedure, str) and isinstance(options, Mapping) for procedure, options in value)


def _words(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return " ".join(map(_words, value))
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if "\n" not in text else f"{text.strip().partition(chr(10))[0]} … ({len(text.splitlines())} lines)"


def in_words(settings: Mapping[str, str]) -> str:
    """Settings as text; the options of a procedure behind its name."""
    groups: dict[str, list[str]] = {}
    for name, value in settings.items():
        procedure, _, option = name.rpartition(" ")
        groups.setdefault(procedure, []).extend([f"{option} {value}"] if option else [])
    told = ((f"{procedure}: " if procedure else "") + ", ".join(some) for procedure, some in groups.items())
    return "; ".join(text.removesuffix(": ") for text in told)


def split(cases: Sequence[Mapping[str, str]]) -> tuple[dict[str, str], list[dict[str, str]]]:
    """What all have alike, and what each has of its own."""
    alike = {key: value for key, value in cases[0].items() if all(one.get(key) == value for one in cases)} if cases else {}
    return alike, [{key: value for key, value in one.items() if key not in alike} for one in cases]
