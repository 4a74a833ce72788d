"""The dashboard: how long it takes to answer about ten runs of 100,000 steps, what memory that takes, and what a page costs a run.

`python tests/benchmarks/dash.py [--steps 100000] [--runs 10] [--polls 3000] [--turns 12] [--browser]` prints figures; it ends with 1 only
if an answer is wrong, memory grows or passes 300 MB, files stay open, or a step is missing from a record. `--browser` lets Chromium watch,
which shares the computer with the run and the server. The cost of a page is measured epoch by epoch in turn: with and without it.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from epoch import BATCH, SIZES, Stack
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
from dash_client import ask, get
from large_runs import copied, large_run

from labonn.bench import Bench
from labonn.data import load
from labonn.learning import Digits, Learned
from labonn.record import open_record
from labonn.record.recorder import Recorder
from labonn.record.schema import CHECKPOINT_PAGES
from labonn.training import train_epoch
from procedures.benches import vapour_cell

MOST_MB = 300
PAGES = ("", "/curves?points=600", "/ports?points=300", "/histograms", "/log", "/bench")


@contextlib.contextmanager
def dashboard(folder: Path) -> Iterator[tuple[int, str, float]]:
    """(process, url, seconds until it answered)."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "labonn.cli", "dash", "--runs", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[1]
        get(url, "/api/runs")
        try:
            yield process.pid, url, time.perf_counter() - start
        finally:
            process.terminate()


def memory_mb(pid: int) -> float:
    """Of a process, what is in memory now."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1000


def asked(url: str, path: str) -> tuple[float, int]:
    """(milliseconds, bytes)."""
    start = time.perf_counter()
    answer = ask(url, path)
    assert answer.status == 200, answer.body
    return 1e3 * (time.perf_counter() - start), len(answer.body)


def large(args: argparse.Namespace, folder: Path) -> bool:
    """Answers about very long runs; whether all is as it should be."""
    chip, vapour = large_run(folder, args.steps), large_run(folder, args.steps, "train_vapour_cell", 1)
    for seed in range(args.runs - 2):
        copied(vapour if seed % 2 else chip, seed + 2)
    with dashboard(folder) as (pid, url, began):
        names = [run["name"] for run in get(url, "/api/runs")["runs"]]
        print(f"{len(names)} runs of {args.steps:,} steps; from the start of the server to its first answer {began:.2f} s")
        oldest = names[-2:]  # which nothing has been read of yet
        for name in (*oldest, *oldest):
            row = [(path, *asked(url, f"/api/runs/{name}{path}")) for path in PAGES]
            print(f"  {name.partition('-')[2]:<18}" + "  ".join(f"{path.partition('?')[0] or '/':<8} {ms:6.1f} ms" for path, ms, _ in row))
        curves = [asked(url, f"/api/runs/{name}/curves?points=600")[0] for name in names]
        listed, compared = asked(url, "/api/runs")[0], asked(url, f"/api/compare?runs={','.join(names)}")[0]
        print(f"  list {listed:.1f} ms, comparison of all {compared:.1f} ms, ", end="")
        print(f"curves of all {sum(curves):.0f} ms, the slowest {max(curves):.0f} ms")
        found = get(url, f"/api/runs/{names[0]}/curves?points=600")
        right = found["step"]["loss"]["step"][-1] == args.steps and len(found["effort"]["entry"]) <= 600
        for name in names:
            for path in PAGES:
                asked(url, f"/api/runs/{name}{path}")
        before = memory_mb(pid)
        start = time.perf_counter()
        for poll in range(args.polls):
            asked(url, f"/api/runs/{names[poll % len(names)]}{PAGES[poll % len(PAGES)]}")
        took, after = time.perf_counter() - start, memory_mb(pid)
        files = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.exists()]
        still = [path for path in files if str(folder) in path]
    print(
        f"  memory with all of it read {before:.0f} MB, after {args.polls:,} polls ({1e3 * took / args.polls:.1f} ms each) {after:.0f} MB"
    )
    return right and after < MOST_MB and after - before < 30 and not still


Took = dict[bool, list[tuple[float, float]]]  # watched or not -> (seconds, seconds of a processor) of epochs


def epoch(stack: Stack, recorder: Recorder) -> tuple[float, float]:
    """Seconds of one epoch, and seconds of a processor that the run's own process used for it."""

    def watch(now: Learned, loss: float, accuracy: float) -> None:
        stack.ranges.widen()
        recorder.step(now.steps, {"loss": loss, "accuracy": accuracy})

    gc.collect()
    start, used = time.perf_counter(), time.process_time()
    stack.bench.run(train_epoch(stack.training, watch, stack.ranges.fit))
    return time.perf_counter() - start, time.process_time() - used


def live(args: argparse.Namespace, folder: Path) -> bool:
    """What a page that watches costs a training; whether every step is on record, and the record's log stayed short."""
    run = folder / "20260101T120000Z-train_vapour_cell"
    run.mkdir()
    (run / "settings.json").write_text(json.dumps({"procedure": "train_vapour_cell", "options": {}}))
    (run / "bench.toml").write_text(vapour_cell(SIZES), encoding="utf-8")
    data = load("mini")
    pick, rows = np.arange(args.images) % len(data.train_labels), np.arange(args.images)
    digits = Digits(data.train_images[pick], data.train_labels[pick].astype(np.int64), rows, rows[:BATCH], rows[:BATCH])
    with Bench.open(run / "bench.toml", dry_run=True) as bench, dashboard(folder) as (pid, url, _):
        stack = Stack(bench, digits)
        recorder = bench.observer = Recorder(run, bench, {"procedure": "train_vapour_cell"})
        epoch(stack, recorder)
        took, used, log_mb = in_turn(args, url, pid, lambda: epoch(stack, recorder), run / "record.sqlite-wal")
        bench.observer = None
        recorder.finish("finished")
    report(args, took, used, log_mb)
    with open_record(run) as record:
        on_record = len(record.steps()["step"])
    return on_record == -(-args.images // BATCH) * (len(took[True]) + len(took[False]) + 1) and log_mb < 2 * CHECKPOINT_PAGES * 4096 / 1e6


def in_turn(args: argparse.Namespace, url: str, pid: int, one: Callable[[], tuple[float, float]], log: Path) -> tuple[Took, float, float]:
    """Epochs with a page that watches and without, in turn; what share of a processor the server used, the longest log in MB."""
    took: Took = {False: [], True: []}
    used, log_mb = 0.0, 0.0
    page = [sys.executable, str(Path(__file__).parents[1] / "helpers" / "dash_page.py"), url] + ["--browser"] * args.browser
    with subprocess.Popen(page, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdin is not None
        assert watching.stdout is not None
        watching.stdout.readline()
        for number in range(args.turns):
            for on in (False, True) if number % 2 else (True, False):
                watching.stdin.write("on\n" if on else "off\n")
                watching.stdin.flush()
                watching.stdout.readline()
                time.sleep(1)  # until the page has drawn itself, or has gone
                before = processor_s(pid)
                took[on] += [one() for _ in range(args.epochs)]
                used += (processor_s(pid) - before) if on else 0.0
                log_mb = max(log_mb, log.stat().st_size / 1e6)
        watching.stdin.close()
    return took, used / sum(seconds for seconds, _ in took[True]), log_mb


def processor_s(pid: int) -> float:
    """Seconds of a processor that a process has used."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def report(args: argparse.Namespace, took: Took, used: float, log_mb: float) -> None:
    """Print."""
    what, steps = "Chromium" if args.browser else "a page's questions", -(-args.images // BATCH)
    for place, kind in enumerate(("time", "processor time of the run")):
        alone, watched = (sorted(1e3 * one[place] / steps for one in took[on]) for on in (False, True))
        print(f"  {kind}: a step alone {alone[0]:.3f} ms at best, {statistics.median(alone):.3f} in the median; ", end="")
        print(f"watched by {what} {watched[0]:.3f} and {statistics.median(watched):.3f} ms: ", end="")
        print(f"ratios {watched[0] / alone[0]:.3f} and {statistics.median(watched) / statistics.median(alone):.3f}")
    print(f"  {len(took[True])} epochs of {steps} steps each way; the server used {100 * used:.1f} % of a processor; ", end="")
    print(f"{os.cpu_count()} are shared by run, its writer, server and page, and by others: load {os.getloadavg()[0]:.1f}")
    print(f"  the record's log was never larger than {log_mb:.1f} MB")


def main() -> int:
    """Measure, print, judge what is no time."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("steps", 100_000), ("runs", 10), ("polls", 3000), ("turns", 12), ("epochs", 4), ("images", 6400)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--browser", action="store_true")
    args = parser.parse_args()
    threadpool_limits(1, user_api="blas")
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        right = [args.runs == 0 or large(args, Path(one)), args.turns == 0 or live(args, Path(other))]
    return int(not all(right))


if __name__ == "__main__":
    sys.exit(main())
