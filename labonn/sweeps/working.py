"""What happens at a worker: one job, in one process with one BLAS thread."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labonn.errors import SweepError
from labonn.runs import plain
from labonn.sweeps import places
from labonn.sweeps.job import Job, Task, function


@dataclass(frozen=True)
class Done:
    """What a worker gives back.

    Attributes:
        result: plain values. run: name of the run's folder, the `run` of what the work returned. seconds: that it took.
        where: on which computer.
    """

    result: dict[str, Any]
    run: str | None
    seconds: float
    where: str


def carry_out(job: Job, runs: Path, tell: Callable[[float, str], None]) -> Done:
    """Do the job here; run folders go to `runs`.

    Raises:
        SweepError: a folder that it needs is not here, or another one; its result names no run folders where it should.
            Whatever its work raises.
    """
    from threadpoolctl import threadpool_limits

    begun = time.perf_counter()
    places.check(job.settings, job.places)
    work = function(job.work)
    with threadpool_limits(1, user_api="blas"):
        result = dict(plain(work(Task(job, runs, tell))))
    return Done(result, _run_of(result, job), time.perf_counter() - begun, platform.node())


def _run_of(result: dict[str, Any], job: Job) -> str | None:
    """Taken out of the result: the name of its run's folder."""
    run, folders = result.pop("run", None), result.get("folders", [])
    if (run is None or _is_name(run)) and isinstance(folders, list) and all(map(_is_name, folders)):
        return None if run is None else str(run)
    told = f"`run` is the name of a run folder, `folders` a list of names; they are {run!r:.60} and {folders!r:.60}"
    raise SweepError(f"the result of the work {job.work!r}: {told}")


def _is_name(given: Any) -> bool:
    return isinstance(given, str) and Path(given).name == given
