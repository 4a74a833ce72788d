"""Work for jobs of sweeps: what jobs do well, and what they do wrong."""

from __future__ import annotations

import errno
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

from labonn.errors import ProcedureError
from labonn.sweeps import Task


def _note(task: Task) -> None:
    """A line a call, where the job's places say."""
    if "notes" in task.job.places:
        with Path(task.job.places["notes"]).open("a") as file:
            file.write(f"{task.job.seed} {os.getpid()}\n")


def drawn(task: Task) -> dict[str, Any]:
    """A number that only the seed decides, from a run folder of the same name as all others."""
    _note(task)
    print("drawing")
    task.tell(0.5, "half done")
    time.sleep(task.job.settings.get("seconds", 0.0))
    folder = task.runs / "20260101T000000Z-drawn"
    folder.mkdir()
    number = random.Random(task.job.seed).random()
    (folder / "number.txt").write_text(repr(number))
    return {"number": number, "run": folder.name, "folders": [folder.name], "process": os.getpid()}


def raises(task: Task) -> dict[str, Any]:
    """Fails after it has begun a run folder."""
    _note(task)
    (task.runs / "begun").mkdir()
    print("no luck today")
    raise ValueError("a mirror fell")


def refuses(task: Task) -> dict[str, Any]:
    """Cannot be done with these settings."""
    _note(task)
    raise ProcedureError("--hidden 0: at least 1")


def fills_the_disk(task: Task) -> dict[str, Any]:
    """Finds no space left, and neither does its log."""
    _note(task)
    os.dup2(os.open("/dev/full", os.O_WRONLY), 2)
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def names(task: Task) -> dict[str, Any]:
    """Returns `run` and `folders` as its settings have them."""
    return dict(task.job.settings)


def leaves_something(task: Task) -> dict[str, Any]:
    """Done, but with a thread, and where there is such a thing a forked process, that would go on for long."""
    threading.Thread(target=time.sleep, args=(60,)).start()
    if hasattr(os, "fork") and (pid := os.fork()):
        return {"left": pid}
    time.sleep(60)
    os._exit(0)


def asked_to_end(task: Task) -> dict[str, Any]:
    """As by somebody who does not want its run any more."""
    from labonn.cli.stopping import stoppable

    with stoppable():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    return {}


def killed(task: Task) -> dict[str, Any]:
    """Nobody hears of it again."""
    _note(task)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def second_time(task: Task) -> dict[str, Any]:
    """Fails once."""
    _note(task)
    tries = len(Path(task.job.places["notes"]).read_text().splitlines())
    if tries == 1:
        raise OSError("a cable was loose")
    return {"tries": tries}


def forever(task: Task) -> dict[str, Any]:
    """Until it is ended."""
    _note(task)
    task.tell(0.1, "waiting")
    time.sleep(600)
    return {}
