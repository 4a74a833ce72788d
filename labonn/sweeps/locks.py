"""Locks on jobs, between the sweeps that share a store."""

from __future__ import annotations

import errno
import os
import weakref
from pathlib import Path

BUSY = (errno.EACCES, errno.EAGAIN)
RANGE = 1 << 62  # offsets


class Locks:
    """A byte of one file stands for a job; the system unlocks what a process had when that ends, however it does.

    On Windows, and on file systems without locks, nobody is kept from anything.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def take(self, key: str) -> bool:
        """Whether the job is ours now."""
        try:
            import fcntl
        except ImportError:
            return True
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            weakref.finalize(self, os.close, self._file)
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(key))
        except OSError as problem:
            return problem.errno not in BUSY
        return True

    def give(self, key: str) -> None:
        """Others may have it."""
        if self._file is not None:
            import fcntl

            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _place(key))


def _place(key: str) -> int:
    return int(key, 16) % RANGE
