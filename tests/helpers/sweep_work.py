"""Work for jobs of sweeps: what jobs do well, and what they do wrong."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

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
