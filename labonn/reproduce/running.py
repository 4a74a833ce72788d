"""Carries out experiments: one sweep over all their jobs, then a table and a figure each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from labonn.reproduce.choices import Choices
from labonn.reproduce.experiment import Experiment
from labonn.reproduce.writing import Written, written
from labonn.sweeps import Failure, Store, sweep
from labonn.sweeps.local import LocalRunner
from labonn.sweeps.sweep import Runner, Watcher


@dataclass(frozen=True)
class Reproduced:
    """What an experiment has given: its table and figure, and jobs that failed."""

    experiment: Experiment
    written: Written
    failures: tuple[Failure, ...]


def reproduce(
    wanted: Sequence[Experiment], choices: Choices, store: Store, runner: Callable[[], Runner], watcher: Watcher | None = None
) -> list[Reproduced]:
    """All jobs of all experiments in one sweep; then each experiment's files are written below the store's folder.

    Raises:
        ProcedureError: settings that no experiment knows. SweepError: the sweep could not go on.
    """
    cases = {one.name: one.cases(choices) for one in wanted}
    choices.check()
    jobs = [job for one in cases.values() for some in one.values() for job in some]
    done = all(store.find(job) is not None for job in jobs)
    working: Runner = LocalRunner(store, 1) if done else runner()  # who only draws again needs no cluster
    try:
        swept = sweep(jobs, store, working, watcher)
    finally:
        working.close()
    told = []
    for one in wanted:
        mine = cases[one.name]
        failed = tuple(failure for failure in swept.failures if any(failure.job in some for some in mine.values()))
        told.append(Reproduced(one, written(one, choices, mine, swept.outcomes, store.folder), failed))
    return told
