"""Jobs on this computer: a process each, so that one that dies takes nothing with it."""

from __future__ import annotations

import os
import queue

from labonn.errors import SweepError
from labonn.sweeps.job import Job
from labonn.sweeps.process import Process, end
from labonn.sweeps.store import Store
from labonn.sweeps.sweep import Told


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class LocalRunner:
    """Up to `width` processes at once.

    Args:
        store: where the jobs' runs and logs go. width: None: as many as this process may use cores.

    Attributes:
        processes: under way, by job.
    """

    def __init__(self, store: Store, width: int | None = None) -> None:
        self.width = cores() if width is None else width
        if self.width < 1:
            raise SweepError(f"--workers {self.width}: at least 1")
        self._store, self._news = store, queue.SimpleQueue[Told]()
        self.processes = dict[Job, Process]()

    def start(self, job: Job) -> None:
        """Begin a job in a process of its own."""
        self.processes[job] = Process(job, self._store.begin(job), self._store.log(job), self._news.put)

    def news(self, timeout_s: float | None = None) -> Told | None:
        """The next thing that a process tells, or that it has died."""
        try:
            told = self._news.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if told.done is not None or told.failure is not None:
            del self.processes[told.job]
        return told

    def close(self) -> None:
        """End all processes, and remove what they have begun."""
        end(self.processes.values())
        for job in self.processes:
            self._store.forget(job)
        self.processes.clear()
