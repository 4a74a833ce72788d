"""Tells whether the process that writes a run is still there: it holds a lock that the operating system takes back at its end."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

FILE = "events.log"  # which every run has; `labonn run` locks it from beginning to end
LOOKS_S = 1.0  # in which whoever only looks (`is_written`) has let go again


def hold(folder: Path) -> int | None:
    """Lock the run for this process, however that ends; None: it has been locked already, by whoever made the run. `os.close` lets go."""
    file = os.open(folder / FILE, os.O_RDWR | os.O_CREAT, 0o666)
    until_s = time.monotonic() + LOOKS_S
    while not _locked(file, alone=True):
        if not _locked(file, alone=False) or time.monotonic() > until_s:
            os.close(file)
            return None
    return file


def is_written(folder: Path) -> bool:
    """Whether a process has the run locked now; where there are no such locks nobody can tell, and it is believed."""
    with contextlib.suppress(OSError):
        file = os.open(folder / FILE, os.O_RDONLY)
        try:
            return not _locked(file, alone=False) or os.name == "nt"
        finally:
            os.close(file)
    return False


def _locked(file: int, alone: bool) -> bool:
    """Try to lock an open file for as long as it is open."""
    try:
        import fcntl

        fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except ImportError:  # Windows
        return True
    except OSError:
        return False
    return True
