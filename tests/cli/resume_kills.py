"""Kills a training at random moments, resumes it, and compares the end with that of one that was left alone.

python tests/cli/resume_kills.py --count 100 [--guardian]

With `--guardian` the simulated bench is at one, and a kill hits the training, the guardian, or both. Each time the record has to open,
with every step that a checkpoint says was done.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TRAININGS = (
    ["train_vapour_cell", "--hidden", "12", "--optical-depth", "4", "--epochs", "3", "--limit", "640", "--batch", "16"],
    ["train_chip", "--sizes", "16", "12", "10", "--gradient", "spsa", "--steps", "60", "--report", "7"],
    ["train_chip", "--bench", "mzi_chip", "--sizes", "16", "12", "10", "--steps", "30", "--report", "7"],
)
SAME = ("weights.npz", "test.npz", "metrics.jsonl")
LONGEST_S, WRITER_S, MOST = 120.0, 10.0, 3


def started(arguments: list[str], out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "labonn.cli", "run", *arguments, "--out", str(out)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finished(arguments: list[str], out: Path) -> tuple[Path, float]:
    """(the folder of a run that is left alone, seconds that it took)."""
    start, process = time.monotonic(), started(arguments, out)
    _, err = process.communicate(timeout=LONGEST_S)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)}: {err.decode()}")
    (folder,) = out.iterdir()
    return folder, time.monotonic() - start


def guardian_of(training: int) -> list[int]:
    """Process ids of what a training started (Linux); its record's writer is not among them."""
    found = []
    for child in Path(f"/proc/{training}/task/{training}/children").read_text().split():
        words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        found += [int(child)] if b"serve" in words else []
    return found


def kill(process: subprocess.Popen[bytes], chance: random.Random, guarded: bool) -> str:
    """Kill the training, its guardian, or both; which."""
    which = chance.choice(["training", "guardian", "both"]) if guarded else "training"
    for guardian in guardian_of(process.pid) if which != "training" else []:
        os.kill(guardian, signal.SIGKILL)
    if which != "guardian":
        process.kill()
    process.communicate(timeout=LONGEST_S)
    return which


def check_record(folder: Path) -> None:
    """The record opens, and has every step up to the last checkpoint, as soon as its writer has ended."""
    last = max((int(path.stem) for path in folder.glob("checkpoints/[0-9]*.npz")), default=0)
    count, until_s = -1, time.monotonic() + WRITER_S
    while last and count < last and time.monotonic() < until_s:
        with contextlib.closing(sqlite3.connect(folder / "record.sqlite")) as record:
            assert record.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            count = record.execute("SELECT COUNT(DISTINCT step) FROM steps WHERE kind = 'step' AND step <= ?", [last]).fetchone()[0]
    if last and count < last:
        raise SystemExit(f"{folder}: {count} steps on record, a checkpoint is of step {last}")


def killed(training: list[str], out: Path, chance: random.Random, usual_s: float, guarded: bool) -> tuple[Path, int]:
    """(the folder of a run that was killed MOST times, or until it got to its end before, how often)."""
    arguments, kills = [*training, "--dry-run", "--checkpoint", str(chance.choice([1, 2, 5]))], 0
    arguments += ["--guardian"] if guarded else []
    while True:
        process = started(arguments, out)
        try:
            _, err = process.communicate(timeout=chance.uniform(0.3, 1.0) * usual_s if kills < MOST else LONGEST_S)
        except subprocess.TimeoutExpired:
            kill(process, chance, guarded)
            kills += 1
            for folder in out.glob("*"):
                check_record(folder)
        else:
            (folder,) = out.iterdir()
            if process.returncode:
                raise SystemExit(f"{folder}: {err.decode()}")
            return folder, kills
        folders = list(out.glob("*/checkpoints/[0-9]*.npz"))
        if folders:
            arguments = [training[0], "--resume", "latest"]
        else:  # killed before its first checkpoint: it begins anew
            for path in sorted(out.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()


def main() -> int:
    """0 where all that was killed ended as what was not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20, help="kills, at least")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--guardian", action="store_true")
    args = parser.parse_args()
    chance, kills, wrong = random.Random(args.seed), 0, 0
    with tempfile.TemporaryDirectory() as temporary:
        straight: dict[int, tuple[Path, float]] = {}
        for round_ in range(10 * args.count):
            if kills >= args.count:
                break
            which = round_ % len(TRAININGS)
            if which not in straight:
                straight[which] = finished([*TRAININGS[which], "--dry-run"], Path(temporary) / f"straight{which}")
            left_alone, usual_s = straight[which]
            folder, more = killed(TRAININGS[which], Path(temporary) / f"killed{round_}", chance, usual_s, args.guardian)
            kills += more
            results = [json.loads((path / "result.json").read_text()) for path in (left_alone, folder)]
            different = [name for name in SAME if (left_alone / name).read_bytes() != (folder / name).read_bytes()]
            different += ["result.json"] if results[0] != results[1] else []
            wrong += bool(different)
            print(f"{TRAININGS[which][0]}: {more} kills: {', '.join(different) or 'the same'}", flush=True)
    print(f"{kills} kills, {wrong} runs that ended differently (seed {args.seed})")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
