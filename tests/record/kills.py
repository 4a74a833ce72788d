"""`kill -9` of real runs at random moments: `python tests/record/kills.py [--count 100] [--seed 0]` prints a line a kill.

A training tells by a pipe, after each step, which step is on the disk. It is killed, every second time together with the process that
writes its record. Then the database must open at once, be whole, hold every step that was told to be on the disk, and the run must be
shown as died. Ends with 1 if that is not so.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from labonn.record import open_record
from labonn.record.finding import runs

PROCEDURE = '''"""Trains the vapour cells, and tells by a pipe which step is on the disk."""
import os
from procedures import train_vapour_cell
from procedures.train_vapour_cell import bench_file, check, options

def main(bench, args, run):
    pipe, step = int(os.environ["TOLD"]), run.step
    os.write(pipe, b"writer %d\\n" % run.record.writer)

    def told(number, **metrics):
        step(number, **metrics)
        os.write(pipe, b"%d\\n" % run.record.committed_step)

    run.step = told
    return train_vapour_cell.main(bench, args, run)
'''
ARGUMENTS = ("--dry-run", "--hidden", "8", "--epochs", "500", "--limit", "640")
PATIENCE_S = 20.0


@dataclass(frozen=True)
class Kill:
    """What came of one kill. told: steps said to be on the disk. found: steps that are there. problems: what is wrong; empty: nothing."""

    told: int
    found: int
    status: str
    both: bool
    problems: list[str]


def kill(folder: Path, delay_s: float, both: bool) -> Kill:
    """Start a run below `folder`, kill it so long after its first step, and look."""
    (folder / "told.py").write_text(PROCEDURE, encoding="utf-8")
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "labonn.cli", "run", "./told.py", *ARGUMENTS]
    environment = {**os.environ, "TOLD": str(writing)}
    with subprocess.Popen(
        command, cwd=folder, env=environment, pass_fds=(writing,), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        os.close(writing)
        with os.fdopen(reading, "rb", buffering=0) as pipe:
            head = b""
            while head.count(b"\n") < 2 and (part := pipe.read(4096)):
                head += part
            time.sleep(delay_s)
            os.kill(process.pid, signal.SIGKILL)
            if both:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(head.split()[1]), signal.SIGKILL)
            words = (head + b"".join(iter(lambda: pipe.read(65536), b""))).split()
        errors = process.stderr.read() if process.stderr is not None else b""
    told = max(map(int, words[2:]), default=0)
    return judged(folder, told, both, errors.decode() if len(words) < 3 else "")


def judged(folder: Path, told: int, both: bool, errors: str) -> Kill:
    """Look at what is left."""
    problems = [f"the run did not begin: {errors}"] if errors else []
    (run,) = runs(folder / "runs")
    with open_record(run) as record:  # at once, whatever the writer is still about
        found, status = record.steps()["step"], record.status()
        metrics = record.metrics("loss")["step"]
    if status != "died":
        problems.append(f"shown as {status}")
    if (newest := int(found.max(initial=0))) < told:
        problems.append(f"{told - newest} steps are lost")
    if found.tolist() != list(range(1, newest + 1)) or metrics.tolist() != found.tolist():
        problems.append("steps or their metrics have gaps")
    db = sqlite3.connect(run / "record.sqlite", timeout=PATIENCE_S)
    with contextlib.closing(db):
        if (verdict := db.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
            problems.append(f"integrity check: {verdict}")
    return Kill(told, newest, status, both, problems)


def main() -> int:
    """As many kills as are wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    chance, failed = random.Random(args.seed), 0
    for number in range(args.count):
        with tempfile.TemporaryDirectory() as folder:
            found = kill(Path(folder), chance.uniform(0, 1.5), both=number % 2 == 1)
        failed += bool(found.problems)
        whom = "run and writer" if found.both else "run"
        told = f"{found.told} steps told, {found.found} found, {found.status}"
        print(f"{number + 1}: {whom} killed, {told}: {'; '.join(found.problems) or 'nothing lost'}", flush=True)
    print(f"{args.count - failed} of {args.count} kills lost nothing")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
