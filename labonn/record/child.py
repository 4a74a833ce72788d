"""The process that writes a record: SQL in by standard input, one byte out for every transaction on the disk.

A process and not a thread: a training shares its interpreter's lock with no one, and what it has sent is written even if it is killed.
Run as a script by an isolated interpreter, this knows nothing but SQLite: `child.py FILE LOG_PAGES BUSY_S STATEMENT`, the last being what
is to be executed should the input end without a goodbye. Input: frames of 4 bytes (length, big-endian) and either JSON, a list of
[statement, rows] in which a list stands for the bytes whose base64 it holds; or, which is quicker, lines: one of JSON, a statement and
the first values of a row, and lines that are its other values as they stand. `null` is the goodbye.
Output: "." for each frame; "!" and JSON [kind of error, words] for the one that failed, which is the last.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import signal
import sqlite3
import sys
import time
from typing import Any

LOOK_S = 0.25  # from one look whether the file is still there to the next
CLOSING_S = 1.0  # that whoever reads just now has to let go
NAP_S, AWAKE_S = 0.001, 1.0  # looks for input once a millisecond while there is some: waking a process costs its waker far more


class GoneError(Exception):
    """SQLite goes on writing to a file that was deleted; we do not."""


def main(path: str, log_pages: str, busy_s: str, unexpected: str) -> int:
    """Write until the goodbye, or the end of the input."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # the run decides when it ends; its end is ours
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    try:
        db = sqlite3.connect(path, timeout=float(busy_s), isolation_level=None)
        with contextlib.closing(db):
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute(f"PRAGMA wal_autocheckpoint = {int(log_pages)}")
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if serve(db, path):
                close(db)
            elif unexpected:
                db.execute(unexpected)
    except Exception as problem:  # of whatever kind: the run must hear of it
        kind = getattr(problem, "sqlite_errorname", type(problem).__name__)
        with contextlib.suppress(OSError):
            os.write(1, b"!" + json.dumps([kind, str(problem)]).encode())
        return 1
    return 0


def serve(db: sqlite3.Connection, path: str) -> bool:
    """Execute frames; whether a goodbye came."""
    files, looked_s = {name: identity(name) for name in (path, f"{path}-wal")}, time.monotonic()
    frames = Frames(0)
    while (frame := frames.next()) is not None:
        if frame == b"null":
            return True
        write(db, frame)
        if time.monotonic() - looked_s > LOOK_S:
            looked_s = time.monotonic()
            for name, known in files.items():
                if identity(name) != known:
                    raise GoneError(name)
        with contextlib.suppress(BrokenPipeError):  # killed, and yet what it had sent is to be written
            os.write(1, b".")
    return False


class Frames:
    """The frames that come in by a pipe."""

    def __init__(self, pipe: int) -> None:
        self._pipe, self._read, self._heard_s = pipe, b"", 0.0
        if os.name == "posix":
            os.set_blocking(pipe, False)

    def next(self) -> bytes | None:
        """The next frame; None at the end of the input, or if there is only a part of one."""
        while True:
            end = 4 + int.from_bytes(self._read[:4], "big")
            if 4 < end <= len(self._read):
                frame, self._read = self._read[4:end], self._read[end:]
                return frame
            try:
                part = os.read(self._pipe, 1 << 20)
            except BlockingIOError:
                self._wait()
                continue
            if not part:
                return None
            self._read += part
            self._heard_s = time.monotonic()

    def _wait(self) -> None:
        if time.monotonic() - self._heard_s < AWAKE_S:
            select.select([], [], [], NAP_S)
        else:
            select.select([self._pipe], [], [])


def write(db: sqlite3.Connection, frame: bytes) -> None:
    """All of a message in one transaction."""
    first, *others = frame.decode().split("\n")
    message = json.loads(first)
    if others:
        statement, *values = message
        db.execute(statement, [*values, *others])
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        for statement, rows in message:
            db.executemany(statement, map(stored, rows))
        db.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise


def stored(row: list[Any]) -> list[Any]:
    """A row as SQLite takes it."""
    return [base64.b64decode(value[0]) if type(value) is list else value for value in row]


def close(db: sqlite3.Connection) -> None:
    """Make it a file that needs no log beside it, unless somebody keeps it open: who watches a run has it open for a moment only."""
    db.execute("PRAGMA busy_timeout = 0")
    until_s = time.monotonic() + CLOSING_S
    while True:
        with contextlib.suppress(sqlite3.OperationalError):
            db.execute("PRAGMA journal_mode = DELETE")
            return
        if time.monotonic() > until_s:
            return
        select.select([], [], [], NAP_S)


def identity(name: str) -> tuple[int, int] | None:
    """Which file this is; None: none."""
    try:
        found = os.stat(name)
    except OSError:
        return None
    return found.st_dev, found.st_ino


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
