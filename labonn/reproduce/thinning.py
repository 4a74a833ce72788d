"""Makes the records of a sweep's runs small: a hundred of them stay on one disk."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path

from labonn.record.schema import FILE

KEPT, KEPT_DETAILS = 1000, 200  # steps of which commands and readings are kept; frames, histograms, ranges and maps of one name
DETAILS = {"frames": "port", "histograms": "port", "ranges": "port", "maps": "name"}


def thin(folder: Path, kept: int = KEPT, details: int = KEPT_DETAILS) -> None:
    """Of a finished run with more steps than `kept`, keep what was commanded and read for some of them only, evenly spaced.

    All steps keep their metrics, times, and counts of tables, shots and exchanges; an event says what was done. Of frames, histograms,
    ranges and maps at most `details` a port stay, the newest among them.
    """
    with contextlib.closing(sqlite3.connect(folder / FILE, isolation_level=None)) as db:
        (steps,) = db.execute("SELECT count(*) FROM steps WHERE kind = 'step'").fetchone()
        every = -(-steps // kept)
        if every <= 1:
            return
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE steps SET commands_of = '{}', readings_of = '{}' WHERE kind = 'step' AND entry % ? != 0", (every,))
        for table, key in DETAILS.items():
            _thin_details(db, table, key, details)
        about = f"commands and readings are kept of every {every}th step only, and few frames and histograms, as of all runs of a sweep"
        query = "SELECT max(session), (SELECT max(entry) FROM steps), ?, 'info', ? FROM sessions"
        db.execute(f"INSERT INTO events (session, entry, time, level, text) {query}", (time.time(), about))
        db.execute("COMMIT")
        db.execute("VACUUM")


def _thin_details(db: sqlite3.Connection, table: str, key: str, kept: int) -> None:
    of_one = f"OVER (PARTITION BY {key}"
    ranked = f"SELECT entry, {key}, row_number() {of_one} ORDER BY entry DESC) - 1 AS place, count(*) {of_one}) AS number FROM {table}"
    surplus = f"SELECT entry, {key} FROM ({ranked}) WHERE place % ((number + ? - 1) / ?) != 0"
    db.execute(f"DELETE FROM {table} WHERE (entry, {key}) IN ({surplus})", (kept, kept))
