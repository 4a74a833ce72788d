"""Where a sweep keeps what is finished: one file a job, whole or not at all, beside the run folders that the jobs made."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labonn.errors import LabonnError, SweepError
from labonn.runs import plain
from labonn.sweeps.job import Job
from labonn.sweeps.locks import Locks
from labonn.versions import versions

LOG = "log.txt"


@dataclass(frozen=True)
class Outcome:
    """What a job has given.

    Attributes:
        result: plain values, as the work returned them. run: folder of the run that has it all, or None. seconds: that it took.
        kept: file that says so.
    """

    result: Mapping[str, Any]
    run: Path | None
    seconds: float
    kept: Path = Path("its file in jobs")

    def arrays(self, name: str) -> dict[str, Any]:
        """The arrays of <name>.npz in the run's folder.

        Raises:
            SweepError: the folder, or the file, is gone or broken.
        """
        import numpy as np

        path = (self.run or Path()) / f"{name}.npz"
        try:
            with np.load(path) as found:
                return dict(found)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as problem:
            told = getattr(problem, "strerror", None) or problem
            raise SweepError(f"{path}: {told}; remove {self.kept}, and the job is done again") from problem


class Store:
    """A folder with `jobs/<key>.json`, finished jobs, and `runs`, their run folders; sweeps may share it.

    Beside them are `tries/<key>`, log and run folders of a job that is under way or has failed, and `logs/<key>.txt`, what others printed.

    Attributes:
        folder: where. runs: for run folders.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.runs = folder, folder / "runs"
        self._jobs, self._locks = folder / "jobs", Locks(folder / ".lock")

    def find(self, job: Job) -> Outcome | None:
        """What that job has given; None: it is not finished here.

        Raises:
            SweepError: its file is broken, or cannot be read.
        """
        path = self._path(job)
        try:
            kept = json.loads(path.read_bytes())
            run = None if kept["run"] is None else self.runs / kept["run"]
            return Outcome(dict(kept["result"]), run, float(kept["seconds"]), path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as problem:
            raise SweepError(f"{path}: cannot be read: {problem.strerror or problem}") from problem
        except (ValueError, KeyError, TypeError) as problem:
            raise SweepError(f"{path}: no result of a job ({problem}); remove it, and the job is done again") from problem

    def claim(self, job: Job) -> bool:
        """Whether it is ours to do now; not so while another sweep has it.

        Raises:
            SweepError: nothing can be written to the folder.
        """
        try:
            return self._locks.take(job.key)
        except OSError as problem:
            raise self.trouble(self.folder, problem) from problem

    def release(self, job: Job) -> None:
        """Other sweeps may have it."""
        self._locks.give(job.key)

    def begin(self, job: Job) -> Path:
        """An empty folder for the run folders of a new try."""
        folder = self.tried(job)
        try:
            if folder.exists():
                shutil.rmtree(folder)
            folder.mkdir(parents=True)
        except OSError as problem:
            raise self.trouble(folder, problem) from problem
        return folder

    def tried(self, job: Job) -> Path:
        """Where the run folders of its last try are, unless that was successful."""
        return self.folder / "tries" / job.key

    def forget(self, job: Job) -> None:
        """Remove what a try has left."""
        shutil.rmtree(self.tried(job), ignore_errors=True)

    def log(self, job: Job) -> Path:
        """File for what its last try prints."""
        return self.tried(job) / LOG

    def keep(self, job: Job, result: Mapping[str, Any], run: str | None, seconds: float, where: str) -> Outcome:
        """Move the run folders of its try to the others, then write down that a job is finished.

        Args:
            run: name of its folder; in `result`, `folders` may have names, too. where: who computed it.

        Raises:
            SweepError: it cannot be written; the job is not finished then.
        """
        about = {"work": job.work, "settings": job.settings, "seed": job.seed, "places": job.places, "title": job.title}
        about |= {"finished": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "seconds": seconds, "where": where, "versions": versions()}
        try:
            names = self._moved(job)
            if "folders" in result:
                result = {**result, "folders": [names.get(name, name) for name in result["folders"]]}
            run = None if run is None else names.get(run, run)
            kept = plain({**about, "run": run, "result": result})
            self._jobs.mkdir(parents=True, exist_ok=True)
            write(self._path(job), json.dumps(kept, indent=1, allow_nan=False, ensure_ascii=False).encode(errors="surrogatepass"))
        except OSError as problem:
            raise self.trouble(self._path(job), problem) from problem
        self.forget(job)
        return Outcome(kept["result"], None if run is None else self.runs / run, seconds, self._path(job))

    def _moved(self, job: Job) -> dict[str, str]:
        """Names of the try's run folders -> their names among the others."""
        folder, names = self.tried(job), dict[str, str]()
        self.runs.mkdir(parents=True, exist_ok=True)
        for one in sorted(folder.iterdir()) if folder.is_dir() else ():
            if one.is_dir() and not one.name.startswith("."):
                names[one.name] = _move(one, self.runs)
        log = self.log(job)
        if log.exists() and log.stat().st_size:
            kept = self.folder / "logs" / f"{job.key}.txt"
            kept.parent.mkdir(exist_ok=True)
            os.replace(log, kept)
        return names

    def _path(self, job: Job) -> Path:
        return self._jobs / f"{job.key}.json"

    @staticmethod
    def trouble(path: Path, problem: OSError) -> SweepError:
        """What to raise if something cannot be written."""
        told = "what was finished before is kept; once that is mended, the same command goes on"
        return SweepError(f"{path}: cannot be written: {problem.strerror or problem}; {told}")


def _move(folder: Path, target: Path) -> str:
    """A name there that is free; renaming to one that another process has just taken fails, for its folder is not empty."""
    for number in itertools.count(1):
        place = target / (folder.name if number == 1 else f"{folder.name}-{number}")
        if not place.exists():
            try:
                os.rename(folder, place)
            except OSError:
                if not place.exists():
                    raise
                continue
            return place.name
    raise AssertionError


def write(path: Path, content: bytes) -> None:
    """As labonn.plotting.files does, whose advice is for figures.

    Raises:
        OSError: it cannot be written there.
    """
    from labonn.plotting.files import write_whole

    try:
        write_whole(path, content)
    except LabonnError as problem:
        raise problem.__cause__ or problem from None
