"""What a Dask worker does for a sweep: a job in a child process, in a scratch folder that is sent back."""

from __future__ import annotations

import platform
import queue
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from labonn.errors import SweepError
from labonn.sweeps import places
from labonn.sweeps.job import Job
from labonn.sweeps.packing import packed
from labonn.sweeps.process import Process, end
from labonn.sweeps.store import LOG
from labonn.sweeps.sweep import Told
from labonn.sweeps.working import Done
from labonn.versions import versions

LOOK_S = 1.0  # from one look whether the job is still wanted to the next
RUNS = "runs"
UNDER_WAY = set[str]()  # keys of this worker's jobs


@dataclass(frozen=True)
class Sent:
    """What comes back of a job.

    Attributes:
        done: or None. failed: why it is not. folder: its run folders and log, packed. refused: as a Failure is.
    """

    done: Done | None
    failed: str
    folder: bytes
    refused: bool = False


def code() -> dict[str, str]:
    """Whose code works here: labonn's version, and the commit if there is one."""
    known = versions()
    return {name: known[name] for name in ("labonn", "labonn commit") if name in known}


def told(found: Mapping[str, str]) -> str:
    """For people."""
    commit = found.get("labonn commit")
    return f"labonn {found['labonn']}{f' (commit {commit[:12]})' if commit else ''}"


def same(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Commits count where both are known."""
    return all(one[name] == other[name] for name in one if name in other)


def missing(wanted: Sequence[tuple[Mapping[str, Any], Mapping[str, str]]]) -> str:
    """What is wrong with the folders that jobs need (settings, places), on this computer; empty: nothing."""
    try:
        for settings, folders in wanted:
            places.check(settings, folders)
    except SweepError as problem:
        return str(problem)
    return ""


def carry_out(fields: Mapping[str, Any], client: Mapping[str, str], topic: str) -> Sent:
    """Do a job, in a task of Dask.

    Args:
        fields: of the Job. client: its `code`, which is to be ours. topic: of the events by which news is told: [key, share, words].
    """
    worker, job = import_module("distributed").get_worker(), Job(**fields)
    here = f"worker {worker.address} on {platform.node()}"
    if not same(client, code()):
        return Sent(None, f"{here}: has {told(code())}, and this sweep {told(client)}; the same is wanted", b"")
    scratch = Path(tempfile.mkdtemp(prefix="labonn-", dir=worker.local_directory))
    try:
        last = _followed(job, scratch / RUNS, worker, topic)
        failed = "" if last.failure is None else f"{here}: {last.failure.told}"
        return Sent(last.done, failed, packed(scratch / RUNS), last.failure is not None and last.failure.refused)
    except OSError as problem:
        return Sent(None, f"{here}: {problem}", b"")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _followed(job: Job, runs: Path, worker: Any, topic: str) -> Told:
    """The last news of the job's process, which is ended when nobody wants it any more."""
    news, task = queue.SimpleQueue[Told](), worker.get_current_task()
    runs.mkdir()
    process = Process(job, runs, runs / LOG, news.put)
    UNDER_WAY.add(task)
    try:
        while True:
            try:
                found = news.get(timeout=LOOK_S)
            except queue.Empty:
                state = worker.state.tasks.get(task)
                if state is None or state.state == "cancelled":
                    raise SweepError(f"job {job.key}: is not wanted any more") from None
                continue
            if found.done is not None or found.failure is not None:
                return found
            worker.log_event(topic, [job.key, found.share, found.words])
    finally:
        end([process])
        UNDER_WAY.discard(task)


def busy() -> int:
    """How many jobs have processes here."""
    return len(UNDER_WAY)
