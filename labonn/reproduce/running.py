"""Carries out experiments: one sweep over all their jobs, then a table and a figure each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from labonn.reproduce.choices import Choices
from labonn.reproduce.experiment import Experiment
from labonn.reproduce.rows import Row
from labonn.sweeps import Failure, Store, sweep
from labonn.sweeps.sweep import Runner, Watcher


@dataclass(frozen=True)
class Reproduced:
    """What an experiment has given: its table, what has to be said, its figure's files, jobs that failed, and how many are left out."""

    experiment: Experiment
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    figures: tuple[Path, ...]
    failures: tuple[Failure, ...]


def reproduce(
    wanted: Sequence[Experiment], choices: Choices, store: Store, runner: Callable[[], Runner], watcher: Watcher | None = None
) -> list[Reproduced]:
    """All jobs of all experiments in one sweep; then each experiment's files are written below the store's folder.

    Raises:
        ProcedureError: settings that no experiment knows. SweepError: the sweep could not go on.
    """
    from labonn.reproduce.writing import written

    cases = {one.name: one.cases(choices) for one in wanted}
    choices.check()
    jobs = [job for one in cases.values() for some in one.values() for job in some]
    working = runner()
    try:
        swept = sweep(jobs, store, working, watcher)
    finally:
        working.close()
    told = []
    for one in wanted:
        mine = cases[one.name]
        found = {case: [swept.outcomes[job] for job in some if job in swept.outcomes] for case, some in mine.items()}
        failed = tuple(failure for failure in swept.failures if any(failure.job in some for some in mine.values()))
        rows, notes = one.rows(choices, found), one.notes(choices, found)
        figures = written(one, choices, found, rows, notes, store.folder / one.name)
        told.append(Reproduced(one, tuple(rows), tuple(notes), tuple(figures), failed))
    return told
