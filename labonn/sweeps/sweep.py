"""A sweep: jobs to a runner, results to a store, failures tried again."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from labonn.sweeps.job import Job
from labonn.sweeps.store import Outcome, Store
from labonn.sweeps.working import Done

TRIES = 2
LOOK_S = 1.0  # from one look at jobs that another sweep has to the next


@dataclass(frozen=True)
class Failure:
    """A job that failed at every try. told: by the last one. log: where all that it said is. refused: it cannot be done as it is set."""

    job: Job
    told: str
    log: str = ""
    refused: bool = False


@dataclass(frozen=True)
class Told:
    """News of a job: how far it is, or how it ended (`done` or `failure` given; `again`: it is tried once more)."""

    job: Job
    share: float = 0.0
    words: str = ""
    done: Done | None = None
    failure: Failure | None = None
    again: bool = False


class Runner(Protocol):
    """Where jobs are carried out."""

    @property
    def width(self) -> int:
        """How many at once, now."""
        ...

    def start(self, job: Job) -> None:
        """Begin; at most `width` are under way."""
        ...

    def news(self, timeout_s: float | None = None) -> Told | None:
        """Wait for the next thing to tell; None: nothing came in that time."""
        ...

    def close(self) -> None:
        """End what is under way."""
        ...


class Watcher(Protocol):
    """Who looks at a sweep's progress."""

    def begun(self, waiting: Iterable[Job], finished: int) -> None:
        """These are to be done; so many others were done before."""
        ...

    def started(self, job: Job) -> None:
        """It is under way."""
        ...

    def told(self, news: Told) -> None:
        """News of a job that was started."""
        ...

    def elsewhere(self, job: Job) -> None:
        """Another sweep has finished it."""
        ...


@dataclass(frozen=True)
class Swept:
    """outcomes: of finished jobs. failures: of the others. again: how many of the finished ones had been so before."""

    outcomes: Mapping[Job, Outcome]
    failures: tuple[Failure, ...]
    again: int


def sweep(jobs: Iterable[Job], store: Store, runner: Runner, watcher: Watcher | None = None, tries: int = TRIES) -> Swept:
    """Carry out the jobs that the store does not have yet, long ones first; each result is kept as soon as it is there.

    Jobs that another sweep with the same store has under way are left to it; should it end without their results, they are done here.

    Raises:
        SweepError: the store is broken or full, or the runner lost.
    """
    wanted = list(dict.fromkeys(jobs))
    under_way = _Sweep(wanted, store, runner, watcher, tries)
    while under_way.step():
        pass
    return Swept({job: under_way.outcomes[job] for job in wanted if job in under_way.outcomes}, tuple(under_way.failures), under_way.again)


class _Sweep:
    """What a sweep knows between two news."""

    def __init__(self, wanted: list[Job], store: Store, runner: Runner, watcher: Watcher | None, tries: int) -> None:
        self._store, self._runner, self._watcher, self._tries = store, runner, watcher, tries
        self.outcomes = {job: found for job in wanted if (found := store.find(job)) is not None}
        self.failures, self.again = list[Failure](), len(self.outcomes)
        self._waiting = sorted((job for job in wanted if job not in self.outcomes), key=lambda job: job.cost)
        self._tried, self._ours = dict[Job, int](), set[Job]()
        if watcher is not None:
            watcher.begun(self._waiting[::-1], self.again)

    def step(self) -> bool:
        """Begin what can be begun, and take in one piece of news; whether there is more to do."""
        while self._waiting and len(self._ours) < self._runner.width and (job := self._next()) is not None:
            self._tried[job] = self._tried.get(job, 0) + 1
            self._ours.add(job)
            self._runner.start(job)
            if self._watcher is not None:
                self._watcher.started(job)
        if self._ours:
            news = self._runner.news(LOOK_S if self._waiting else None)
            if news is not None and news.job in self._ours:
                self._take_in(news)
        elif self._waiting:
            time.sleep(LOOK_S)
        return bool(self._waiting or self._ours)

    def _next(self) -> Job | None:
        """The most costly job that no other sweep has; None: they have all."""
        for place in reversed(range(len(self._waiting))):
            job = self._waiting[place]
            if not self._store.claim(job):
                continue
            del self._waiting[place]
            found = self._store.find(job)
            if found is None:
                return job
            self._store.release(job)
            self.outcomes[job] = found
            if self._watcher is not None:
                self._watcher.elsewhere(job)
        return None

    def _take_in(self, news: Told) -> None:
        job, done = news.job, news.done
        if done is not None:
            self.outcomes[job] = self._store.keep(job, done.result, done.run, done.seconds, done.where)
        elif news.failure is not None and not news.failure.refused and self._tried[job] < self._tries:
            news = replace(news, again=True)
            self._waiting.append(job)
        elif news.failure is not None:
            self.failures.append(news.failure)
        if done is not None or news.failure is not None:
            self._ours.discard(job)
            self._store.release(job)
        if self._watcher is not None:
            self._watcher.told(news)
