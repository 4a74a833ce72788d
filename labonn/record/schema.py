"""The tables of a run's record; the package's docstring says what is in them."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

FILE = "record.sqlite"
VERSION = 2
APPLICATION = 0x6C61626E  # "labn", in the file's head
BUSY_S = 5.0  # that another program may hold the file before a run gives up
CHECKPOINT_PAGES = 4000  # of the log, 16 MB: seldom enough that waiting for the disk does not show
MAPS = """
CREATE TABLE IF NOT EXISTS layouts (session INTEGER, name TEXT, about TEXT, PRIMARY KEY (session, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS maps (
    entry INTEGER, name TEXT, count INTEGER, low REAL, high REAL, codes BLOB, PRIMARY KEY (entry, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ranges (
    entry INTEGER, port TEXT, low REAL, high REAL, narrowest REAL, PRIMARY KEY (entry, port)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS temperatures (
    entry INTEGER, port TEXT, low REAL, mean REAL, high REAL, problem TEXT, PRIMARY KEY (entry, port)) WITHOUT ROWID;
"""  # which records of version 1 do not have
COMMANDS = ("tables", "shots", "rows", "min", "mean", "max", "rms")
READINGS = ("tables", "shots", "min", "mean", "max", "std", "bad", "saturated")


def _view(name: str, columns: tuple[str, ...]) -> str:
    cells = ", ".join(f"json_extract(e.value, '$[{place}]') AS {column}" for place, column in enumerate(columns))
    return f"CREATE VIEW {name} AS SELECT s.entry, s.step, e.key AS port, {cells} FROM steps s, json_each(s.{name}_of) e;"


TABLES = f"""
CREATE TABLE sessions (
    session INTEGER PRIMARY KEY, procedure TEXT, command TEXT, settings TEXT, bench_file TEXT, bench TEXT, versions TEXT,
    calibrations TEXT, seed INTEGER, dry_run INTEGER, host TEXT, user TEXT, pid INTEGER, started REAL);
CREATE TABLE endings (session INTEGER PRIMARY KEY, time REAL, status TEXT, problem TEXT, result TEXT);
CREATE TABLE resumptions (session INTEGER PRIMARY KEY, after INTEGER, before INTEGER, step INTEGER);
CREATE TABLE hardware (session INTEGER, moment TEXT, port TEXT, about TEXT, PRIMARY KEY (session, moment, port)) WITHOUT ROWID;
CREATE TABLE steps (
    entry INTEGER PRIMARY KEY, session INTEGER, kind TEXT, step INTEGER, time REAL, wall_s REAL, bench_s REAL, play_s REAL,
    tables INTEGER, shots INTEGER, exchanges INTEGER, metrics_of TEXT, commands_of TEXT, readings_of TEXT);
CREATE INDEX marks ON steps (kind, entry) WHERE kind != 'step';
CREATE TABLE names (kind TEXT, name TEXT, PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE TABLE histograms (entry INTEGER, port TEXT, low REAL, high REAL, counts BLOB, PRIMARY KEY (entry, port)) WITHOUT ROWID;
CREATE TABLE frames (entry INTEGER, port TEXT, channels INTEGER, low REAL, high REAL, codes BLOB, PRIMARY KEY (entry, port)) WITHOUT ROWID;
CREATE TABLE events (event INTEGER PRIMARY KEY, session INTEGER, entry INTEGER, time REAL, level TEXT, text TEXT);
CREATE TABLE errors (error INTEGER PRIMARY KEY, session INTEGER, entry INTEGER, time REAL, class TEXT, text TEXT, traceback TEXT);
CREATE TABLE checks (
    number INTEGER PRIMARY KEY, session INTEGER, entry INTEGER, time REAL, name TEXT, value REAL, low REAL, high REAL, passed INTEGER,
    text TEXT);
CREATE VIEW metrics AS SELECT s.entry, s.step, s.kind, e.key AS name, e.value FROM steps s, json_each(s.metrics_of) e;
{_view("commands", COMMANDS)}
{_view("readings", READINGS)}
{MAPS}"""

COLUMNS = {
    "sessions": 14, "endings": 5, "resumptions": 4, "steps": 14, "histograms": 5, "frames": 6, "layouts": 3, "maps": 6, "ranges": 5,
    "temperatures": 6,
}  # fmt: skip
SQL = {table: f"INSERT INTO {table} VALUES ({', '.join('?' * columns)})" for table, columns in COLUMNS.items()}
SQL["believed"] = "UPDATE sessions SET calibrations = ? WHERE session = ?"
SQL["layouts"] = "INSERT OR REPLACE INTO layouts VALUES (?, ?, ?)"
SQL["hardware"] = "INSERT OR REPLACE INTO hardware VALUES (?, ?, ?, ?)"  # a bench may be made safe more than once
SQL["names"] = "INSERT OR IGNORE INTO names VALUES (?, ?)"
SQL["events"] = "INSERT INTO events (session, entry, time, level, text) VALUES (?, ?, ?, ?, ?)"
SQL["errors"] = "INSERT INTO errors (session, entry, time, class, text, traceback) VALUES (?, ?, ?, ?, ?, ?)"
SQL["checks"] = "INSERT INTO checks (session, entry, time, name, value, low, high, passed, text) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


def prepared(path: Path) -> tuple[int, int]:
    """Make the record at `path` if there is none; (newest entry, newest session) of what it holds, 0 if none.

    Raises:
        sqlite3.Error: it cannot be made, is locked, or is something else.
    """
    db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    with contextlib.closing(db):
        mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise sqlite3.OperationalError(f"this file system allows no write-ahead log (journal mode {mode})")
        if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            pragmas = f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};"
            db.executescript(f"BEGIN IMMEDIATE; {pragmas} {TABLES} COMMIT;")
        if check_version(db) < VERSION:
            db.executescript(f"BEGIN IMMEDIATE; PRAGMA user_version = {VERSION}; {MAPS} COMMIT;")
        found: tuple[int, int] = db.execute("SELECT (SELECT ifnull(max(entry), 0) FROM steps), (SELECT count(*) FROM sessions)").fetchone()
    return found


def check_version(db: sqlite3.Connection) -> int:
    """The version of the tables; raises sqlite3.DatabaseError unless this is a record that this version of labonn knows."""
    application, version = (int(db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("application_id", "user_version"))
    if application != APPLICATION:
        raise sqlite3.DatabaseError("is not the record of a run")
    if not 1 <= version <= VERSION:
        raise sqlite3.DatabaseError(f"has version {version} of the tables; this labonn knows versions 1 to {VERSION}")
    return version
