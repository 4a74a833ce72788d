"""A sweep: jobs to a runner, results to a store, failures tried again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from labonn.sweeps.job import Job
from labonn.sweeps.store import Outcome, Store
from labonn.sweeps.working import Done

TRIES = 2


@dataclass(frozen=True)
class Failure:
    """A job that failed at every try. told: by the last one. log: where all that it said is."""

    job: Job
    told: str
    log: str = ""


@dataclass(frozen=True)
class Told:
    """News of a job: how far it is, or how it ended (`done` or `failure` given)."""

    job: Job
    share: float = 0.0
    words: str = ""
    done: Done | None = None
    failure: Failure | None = None


class Runner(Protocol):
    """Where jobs are carried out."""

    width: int  # how many at once

    def start(self, job: Job) -> None:
        """Begin; at most `width` are under way."""
        ...

    def news(self) -> Told:
        """Wait for the next thing to tell."""
        ...

    def close(self) -> None:
        """End what is under way."""
        ...


class Watcher(Protocol):
    """Who looks at a sweep's progress."""

    def begun(self, jobs: int, finished: int) -> None: ...
    def told(self, news: Told, under_way: int) -> None: ...


@dataclass(frozen=True)
class Swept:
    """outcomes: of finished jobs. failures: of the others. again: how many of the finished ones had been so before."""

    outcomes: Mapping[Job, Outcome]
    failures: tuple[Failure, ...]
    again: int


def sweep(jobs: Iterable[Job], store: Store, runner: Runner, watcher: Watcher | None = None, tries: int = TRIES) -> Swept:
    """Carry out the jobs that the store does not have yet, long ones first; each result is kept as soon as it is there.

    Raises:
        SweepError: the store is broken, or the runner lost.
    """
    wanted = list(dict.fromkeys(jobs))
    outcomes = {job: found for job in wanted if (found := store.find(job)) is not None}
    again, failures, tried = len(outcomes), list[Failure](), dict[Job, int]()
    waiting = sorted((job for job in wanted if job not in outcomes), key=lambda job: job.cost)
    if watcher is not None:
        watcher.begun(len(wanted), again)
    under_way = 0
    while waiting or under_way:
        while waiting and under_way < runner.width:
            job = waiting.pop()
            tried[job] = tried.get(job, 0) + 1
            runner.start(job)
            under_way += 1
        news = runner.news()
        if news.done is not None:
            done = news.done
            outcomes[news.job] = store.keep(news.job, done.result, done.run, done.seconds, done.where)
        elif news.failure is not None and tried[news.job] < tries:
            waiting.append(news.job)
        elif news.failure is not None:
            failures.append(news.failure)
        under_way -= news.done is not None or news.failure is not None
        if watcher is not None:
            watcher.told(news, under_way)
    return Swept(outcomes, tuple(failures), again)
