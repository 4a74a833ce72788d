"""A job in a process of its own, seen from its parent."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from labonn.errors import SweepError
from labonn.sweeps import child
from labonn.sweeps.job import Job
from labonn.sweeps.sweep import Failure, Told
from labonn.sweeps.working import Done

END_S = 12.0  # a run that is asked to end does so after its step, ten seconds later in any case
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Process:
    """Begins at once.

    Args:
        job: what to do. runs: folder for its run folders. log: file for all that it prints.
        hear: called with its news, in a thread of this object's; the last has `done` or `failure`, and then the process is gone.

    Raises:
        SweepError: it cannot be started, or the job is not of plain values.
    """

    def __init__(self, job: Job, runs: Path, log: Path, hear: Callable[[Told], None]) -> None:
        self.job, self.log, self._hear = job, log, hear
        order = _order(job, runs)
        command = [sys.executable, "-u", "-P", child.__file__]
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("wb") as file:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, env=os.environ | ONE_THREAD,
                    encoding="utf-8", start_new_session=True,
                )  # fmt: skip
        except OSError as problem:
            raise SweepError(f"job {job.title or job.work}: no process can be started for it: {problem}") from problem
        with contextlib.suppress(OSError):  # it is dead already, which its listener tells
            self._in.write(order + "\n")
            self._in.flush()
        self._listener = threading.Thread(target=self._listen, name=f"labonn-job-{job.key}", daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def _in(self) -> Any:
        return self._process.stdin

    def _listen(self) -> None:
        last: dict[str, Any] = {}
        out: Any = self._process.stdout
        with out:
            for line in out:
                with contextlib.suppress(ValueError):  # cut off when it was killed
                    last = json.loads(line)
                    if "going" in last:
                        self._hear(Told(self.job, *last["going"]))
        code = self._process.wait()
        with contextlib.suppress(OSError):
            self._in.close()
        if "done" in last:
            self._hear(Told(self.job, 1.0, done=Done(**last["done"])))
        else:
            why = last.get("failed") or ended(code)
            self._hear(Told(self.job, failure=Failure(self.job, why, str(self.log), bool(last.get("refused")))))

    def ask_to_end(self) -> None:
        """By SIGTERM, which a run takes as the wish to stop safely."""
        with contextlib.suppress(OSError):
            self._process.terminate()

    def ended_by(self, seconds: float) -> bool:
        """Whether it and its listener end within that time."""
        self._listener.join(seconds)
        return not self._listener.is_alive()

    def kill(self) -> None:
        """At once."""
        with contextlib.suppress(OSError):
            self._process.kill()
        self._listener.join()


def _order(job: Job, runs: Path) -> str:
    try:
        return json.dumps({"job": asdict(job), "runs": str(runs), "path": sys.path})
    except (TypeError, ValueError) as problem:
        raise SweepError(f"job {job.title or job.work}: places, title and cost are plain values: {problem}") from problem


def end(processes: Iterable[Process]) -> None:
    """All of them: first asked, then killed."""
    those = list(processes)
    for one in those:
        one.ask_to_end()
    for one in those:
        if not one.ended_by(END_S):
            one.kill()


def ended(code: int) -> str:
    """How a process ended that has told nothing."""
    if code >= 0:
        return f"its process ended with code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"its process was ended by {name}" + (", sent by somebody or for want of memory" if name == "SIGKILL" else "")
