"""Jobs on this computer: a process each, so that one that dies takes nothing with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from labonn.errors import SweepError
from labonn.sweeps.job import Job
from labonn.sweeps.store import Store
from labonn.sweeps.sweep import Failure, Told
from labonn.sweeps.working import carry_out

LOGS = "logs"
END_S = 10.0


@dataclass
class _Child:
    job: Job
    process: Any
    log: Path


class LocalRunner:
    """Up to `width` processes at once.

    Args:
        store: whose `runs` and logs the jobs write to. width: None: as many as this process may use cores.
    """

    def __init__(self, store: Store, width: int | None = None) -> None:
        self.width = (
            width if width is not None else len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        )
        if self.width < 1:
            raise SweepError(f"--workers {self.width}: at least 1")
        self._store, self._children = store, dict[Connection, _Child]()

    def start(self, job: Job) -> None:
        """Begin a job in a process of its own."""
        context = multiprocessing.get_context("spawn")
        log = self._store.folder / LOGS / f"{job.key}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        ours, theirs = context.Pipe()
        process = context.Process(target=_child, args=(theirs, job, self._store.runs, log), daemon=True)
        process.start()
        theirs.close()
        self._children[ours] = _Child(job, process, log)

    def news(self) -> Told:
        """The next thing that a child tells, or that it has died."""
        pipe = wait(list(self._children))[0]
        assert isinstance(pipe, Connection)
        child = self._children[pipe]
        try:
            kind, what = pipe.recv()
        except (EOFError, ConnectionError):
            child.process.join()
            kind, what = "failed", f"its process ended with {_exit(child.process.exitcode)}"
        if kind == "going":
            return Told(child.job, *what)
        self._children.pop(pipe)
        pipe.close()
        child.process.join()
        if kind == "done":
            return Told(child.job, 1.0, done=what)
        return Told(child.job, failure=Failure(child.job, what, str(child.log)))

    def close(self) -> None:
        """End all children."""
        for child in self._children.values():
            child.process.terminate()
        for pipe, child in self._children.items():
            child.process.join(END_S)
            if child.process.is_alive():
                child.process.kill()
                child.process.join()
            pipe.close()
        self._children.clear()


def _exit(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"code {code}"


def _child(pipe: Connection, job: Job, runs: Path, log: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the sweep, which ends its children
    with log.open("w", buffering=1, encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        lock = threading.Lock()

        def send(kind: str, what: object) -> None:
            with lock:
                pipe.send((kind, what))

        threading.Thread(target=_end_with_parent, args=(pipe,), daemon=True).start()
        try:
            done = carry_out(job, runs, lambda share, words: send("going", (share, words)))
        except Exception as problem:
            traceback.print_exc(file=sys.stderr)
            send("failed", f"{type(problem).__name__}: {problem}")
        else:
            send("done", done)


def _end_with_parent(pipe: Connection) -> None:
    """A sweep that was killed leaves no children: nothing is ever sent to them, so what arrives is its end."""
    try:
        pipe.recv()
    except (EOFError, OSError):
        os._exit(1)
