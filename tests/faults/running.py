"""One run with one fault: run as `labonn run` runs it, then judged by the emulators, the folder, and the run without the fault."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import math
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import benches
import moments
import numpy as np
from safety import unsafe

from labonn import cli
from sim_backends.benches.base import SimulatedBench

RUN = Path(__file__).with_name("small_run.py")
LIMIT_S = 30.0
FILES = Path("/proc/self/fd")


class Hang(BaseException):
    """A case took longer than any may."""


@dataclass
class Seen:
    """What came of a run.

    Attributes:
        code, out, told: exit code, stdout, stderr. crash: what escaped the command line. readings: of all tables.
        counts: instrument -> exchanges at every moment. drivers: instrument -> its driver. unsafe: what is not safe.
        left: threads and files that were left. status, events: of the run's folder ("": there is none). broken: what is wrong with it.
        struck: faults that happened.
    """

    code: int = -1
    out: str = ""
    told: str = ""
    crash: str = ""
    readings: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    drivers: dict[str, str] = field(default_factory=dict)
    unsafe: dict[str, str] = field(default_factory=dict)
    left: str = ""
    status: str = ""
    events: str = ""
    broken: str = ""
    struck: int = 0


@contextlib.contextmanager
def benches_made() -> Iterator[list[Any]]:
    """Every simulated bench that is made in here."""
    made: list[Any] = []
    init = SimulatedBench.__init__

    def noted(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        made.append(self)

    SimulatedBench.__init__ = noted  # type: ignore[method-assign]
    try:
        yield made
    finally:
        SimulatedBench.__init__ = init  # type: ignore[method-assign]


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise Hang in the main thread if what is in here takes longer."""

    def stop(number: int, frame: Any) -> None:
        raise Hang(f"more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run(bench: str, faults: tuple[str, ...] = (), listener: Callable[[str, Any], None] | None = None) -> Seen:
    """One run of small_run.py on a bench of benches.py."""
    seen, folder = Seen(), Path(tempfile.mkdtemp(prefix="labonn-faults-"))
    (folder / "bench.toml").write_text(benches.ALL[bench], encoding="utf-8")
    moments.readings = seen.readings
    moments.listener = listener or moments.nothing
    words = ["run", str(RUN), "--bench", str(folder / "bench.toml"), "--dry-run", "--out", str(folder / "runs")]
    words += [word for fault in faults for word in ("--fault", fault)]
    threads, files, out, told = set(threading.enumerate()), _files(), io.StringIO(), io.StringIO()
    try:
        with benches_made() as made, contextlib.redirect_stdout(out), contextlib.redirect_stderr(told), within(LIMIT_S):
            try:
                seen.code = cli.main(words)
            except Hang as hang:
                seen.crash = f"hangs: {hang}"
            except BaseException as problem:  # whatever it is, it should not have come here
                seen.crash = f"{type(problem).__name__}: {problem}"
        seen.out, seen.told = out.getvalue(), told.getvalue()
        for simulated in made:
            ports = list(simulated.instruments._file.ports)
            seen.unsafe |= unsafe(simulated, ports)
            seen.struck = sum(len(wire.struck) for wire in simulated.instruments.wires)
        made.clear()
        seen.left = _left(threads, files)
        _look_at_folder(folder / "runs", seen)
    finally:
        shutil.rmtree(folder)
    return seen


def _files() -> int:
    return len(list(FILES.iterdir())) if FILES.is_dir() else 0


def _left(threads: set[threading.Thread], files: int) -> str:
    """Threads and open files or sockets that were not there before."""
    for _ in range(50):
        more = [thread.name for thread in threading.enumerate() if thread not in threads]
        if not more and _files() <= files:
            return ""
        gc.collect()
        time.sleep(0.01)
    return f"threads {more}, {_files() - files} files"


def _look_at_folder(runs: Path, seen: Seen) -> None:
    """Read everything that a run's folder has, as whoever comes after does."""
    folders = [path for path in runs.iterdir() if path.is_dir()] if runs.is_dir() else []
    try:
        for folder in folders:
            json.loads((folder / "settings.json").read_text(encoding="utf-8"))
            result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
            seen.status = result["status"]
            seen.events = (folder / "events.log").read_text(encoding="utf-8")
            for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines() if (folder / "metrics.jsonl").exists() else ():
                json.loads(line)
            for arrays in folder.glob("*.npz"):
                with np.load(arrays) as found:
                    [found[name] for name in found]
            if hidden := [path.name for path in folder.iterdir() if path.name.startswith(".part-")]:
                seen.broken = f"left over: {hidden}"
    except (OSError, ValueError, KeyError) as problem:
        seen.broken = f"{type(problem).__name__}: {problem}"


def same(readings: list[dict[str, Any]], reference: list[dict[str, Any]], tolerance: float) -> str:
    """Where readings first differ from those of the run without a fault ("": nowhere): equal bits, or within a part of the largest."""
    for number, (mine, theirs) in enumerate(zip(readings, reference, strict=False)):
        for port, volts in mine.items():
            other = theirs.get(port)
            if other is None or other.shape != volts.shape:
                return f"table {number}: {port} reads another table"
            allowed = tolerance if tolerance in (0.0, math.inf) else tolerance * float(np.abs(other).max(initial=0.0))
            off = np.nan_to_num(np.abs(volts.astype(np.float64) - other), nan=np.inf, posinf=np.inf)
            if not np.all(off <= allowed):
                worst = float(off.max())
                return f"table {number}: {port} is off by {worst:.3g} (allowed {allowed:.3g})"
    return ""


def reference(bench: str) -> Seen:
    """The run without a fault, with the exchanges of every instrument at every moment."""
    counts: dict[str, dict[str, int]] = {}
    drivers: dict[str, str] = {}

    def count(moment: str, opened: Any) -> None:
        instruments = opened._opened.simulated.instruments
        for port, file in opened.file.ports.items():
            for index, emulator in enumerate(instruments.of(port)):
                name = port if len(file.links) == 1 else f"{port}/{index}"
                drivers[name] = file.driver_name
                wire = next(wire for wire in instruments.wires if wire.emulator is emulator)
                counts.setdefault(name, {})[moment] = wire.exchanges

    ports = benches.parse(benches.ALL[bench], bench).ports
    never = tuple(f"{port}:drop@{10**9}" for port in ports)
    seen = run(bench, never, count)
    if seen.code or seen.crash:
        raise RuntimeError(f"{bench} does not even run without a fault: {seen.crash or seen.told}")
    seen.counts, seen.drivers = counts, drivers
    return seen


def interrupted_by(number: int) -> None:
    """What a terminal or a shell sends."""
    os.kill(os.getpid(), number)
