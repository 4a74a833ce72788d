"""What happens at a worker: one job, in one process with one BLAS thread."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
        SweepError: a folder that it needs is not here, or another one. Whatever its work raises.
    """
    from threadpoolctl import threadpool_limits

    begun = time.perf_counter()
    places.check(job.settings, job.places)
    work = function(job.work)
    with threadpool_limits(1, user_api="blas"):
        result = dict(plain(work(Task(job, runs, tell))))
    return Done(result, result.pop("run", None), time.perf_counter() - begun, platform.node())
