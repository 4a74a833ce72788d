"""Where a sweep keeps what is finished: one file a job, whole or not at all, beside the run folders that the jobs made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from labonn.errors import SweepError
from labonn.plotting.files import write_whole
from labonn.runs import plain
from labonn.sweeps.job import Job
from labonn.versions import versions


@dataclass(frozen=True)
class Outcome:
    """What a job has given.

    Attributes:
        result: plain values, as the work returned them. run: folder of the run that has it all, or None. seconds: that it took.
    """

    result: Mapping[str, Any]
    run: Path | None
    seconds: float

    def arrays(self, name: str) -> dict[str, Any]:
        """The arrays of <name>.npz in the run's folder.

        Raises:
            SweepError: the folder, or the file, is gone.
        """
        path = (self.run or Path()) / f"{name}.npz"
        try:
            with np.load(path) as found:
                return dict(found)
        except OSError as problem:
            raise SweepError(f"{path}: {problem.strerror or problem}; remove its file in jobs, and the job is done again") from problem


class Store:
    """A folder with `jobs/<key>.json`, finished jobs, and `runs`, their run folders.

    Attributes:
        folder: where. runs: for run folders.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.runs = folder, folder / "runs"
        self._jobs = folder / "jobs"

    def find(self, job: Job) -> Outcome | None:
        """What that job has given; None: it is not finished here.

        Raises:
            SweepError: its file is broken.
        """
        path = self._path(job)
        try:
            kept = json.loads(path.read_bytes())
            run = None if kept["run"] is None else self.runs / kept["run"]
            return Outcome(kept["result"], run, kept["seconds"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise SweepError(f"{path}: no result of a job ({problem}); remove it, and the job is done again") from problem

    def keep(self, job: Job, result: Mapping[str, Any], run: str | None, seconds: float, where: str) -> Outcome:
        """Write down that a job is finished. run: name of its folder in `runs`. where: who computed it."""
        about = {"work": job.work, "settings": job.settings, "seed": job.seed, "places": job.places, "title": job.title}
        about |= {"finished": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "seconds": seconds, "where": where, "versions": versions()}
        self._jobs.mkdir(parents=True, exist_ok=True)
        kept = plain({**about, "run": run, "result": result})
        write_whole(self._path(job), json.dumps(kept, indent=1, allow_nan=False, ensure_ascii=False).encode())
        return Outcome(kept["result"], None if run is None else self.runs / run, seconds)

    def _path(self, job: Job) -> Path:
        return self._jobs / f"{job.key}.json"
