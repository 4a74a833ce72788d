"""Calibrate all that a bench needs, each kind after those that it builds on; what holds is kept.

Procedures are found among those that are registered; each says which benches
it is for. One that fails takes with it what builds on it; the rest is done.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labonn.bench import Bench
from labonn.calibration import Store, survey
from labonn.calibration.options import store_of, store_option
from labonn.calibration.ordering import PREFIX, Part, Step, measured, needed, options_of, procedures
from labonn.calibration.validity import EXPIRED
from labonn.errors import CalibrationError, LabonnError, ProcedureError
from labonn.runs import Run
from labonn.units import duration
from procedures.benches import shipped

benches = tuple(sorted(path.stem for path in (Path(__file__).parent / "benches").glob("*.toml")))
USUAL = "vapour_cell"
WIDTH = 80


def options(parser: argparse.ArgumentParser) -> None:
    """The procedure's own options."""
    store_option(parser)
    add = parser.add_argument
    add("--only", nargs="+", metavar="KIND", help="of calibration (default: all that the bench needs)")
    add("--again", action="store_true", help="measure also what still holds")
    add("--expired", choices=EXPIRED, default="refuse", help="whether what has expired still holds (default %(default)s)")


def bench_file(args: argparse.Namespace) -> str:
    """The bench that `--bench NAME` means."""
    return shipped(args.bench_name or USUAL)


def main(bench: Bench, args: argparse.Namespace, run: Run) -> dict[str, Any]:
    """One step after the other, a line of the table for each calibration.

    Raises:
        CalibrationError: some failed; the others are kept.
    """
    store, (known, broken) = store_of(args), procedures()
    steps = needed(bench, known)
    if unknown := set(args.only or ()) - {step.kind for step in steps}:
        told = ", ".join(step.kind for step in steps) or "none"
        raise ProcedureError(f"--only {' '.join(sorted(unknown))}: kinds of calibration for {bench.file.name} are {told}")
    steps = [step for step in steps if not args.only or step.kind in args.only]
    table = _Table(run)
    for name, problem in broken.items():
        table.add(name.removeprefix(PREFIX), "failed", problem)
    for number, step in enumerate(steps, 1):
        table.begins(f"{number} of {len(steps)}, {step.kind}")
        missing = [kind for kind in step.after if kind in table.lost]
        if missing:
            table.add(step.kind, "skipped", f"it builds on {', '.join(missing)}")
        elif args.again or not _holds(step, store, bench, args.expired, table):
            _measure(step, store, bench, args, run, table)
    if not steps:
        raise ProcedureError(f"{bench.file.name}: no registered procedure calibrates such a bench")
    if table.lost:
        whole = "\n".join(f"{name}: {problem}" for name, problem in table.problems.items())
        raise CalibrationError(
            f"{len(table.lost)} of {len(steps) + len(broken)} kinds are not calibrated: {', '.join(table.lost)}\n{whole}"
        )
    counts = {status: table.counts.count(status) for status in ("measured", "holds")}
    return {**counts, "kept in": store.folder, "shots": bench.shots, "exchanges": bench.exchanges, "bench_time_s": bench.clock.now()}


class _Table:
    """The summary, printed as it grows.

    Attributes:
        lost: kinds that there is no calibration of. problems: whole words of those that failed. counts: every row's status.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self.lost: list[str] = []
        self.problems: dict[str, str] = {}
        self.counts: list[str] = []
        print(f"{'calibration':<15} {'status':<9} port and id\n{'-' * WIDTH}", flush=True)

    def note(self, text: str) -> None:
        """Only for the run's events."""
        self._run.event(text)

    def begins(self, told: str) -> None:
        """What is done next, which may take a while."""
        if self._run.mode != "quiet":
            print(f"{self._run.procedure}: {told}", file=sys.stderr, flush=True)

    def add(self, kind: str, status: str, told: str) -> None:
        """A row; `told` is cut at the end of the line."""
        self.counts.append(status)
        if status in ("failed", "skipped"):
            self.lost.append(kind)
            self._run.event(f"{kind} {status}: {told}", "warning")
        if status == "failed":
            self.problems[kind] = told
        line = textwrap.shorten(told, WIDTH - 26, placeholder=" ...")
        print(f"{kind:<15} {status:<9} {line}", flush=True)


def _holds(step: Step, store: Store, bench: Bench, expired: str, table: _Table) -> bool:
    """Whether everything of a kind may still be believed, and was made with what is current; then its rows are added."""
    found, refused = survey(store, bench, expired, kinds=(step.kind,))
    current = set(store.current().values())
    stale = [one for one in found.values() if not current.issuperset(one.parents)]
    for told in [*map(str, refused), *(f"{one.title} was made with what is not current any more" for one in stale)]:
        table.note(f"measured again: {told}")
    if refused or stale or not found or any((port, step.kind) not in found for port in step.ports):
        return False
    for (port, kind), one in found.items():
        table.add(kind, "holds", f"{port}: {one.id} until {one.expires or 'it drifts'}")
    return True


def _measure(step: Step, store: Store, bench: Bench, args: argparse.Namespace, run: Run, table: _Table) -> None:
    before, began_s = len(store.history()), bench.clock.now()
    try:
        measured(step.procedure, bench, options_of(step.procedure, args, store.folder), Part(run, step.kind))
    except LabonnError as problem:
        table.add(step.kind, "failed", str(problem))
        return
    _kept(step, [f"{entry.port}: {entry.id}" for entry in store.history()[before:]], bench.clock.now() - began_s, table)


def _kept(step: Step, kept: Sequence[str], seconds: float, table: _Table) -> None:
    for told in kept or ["nothing was kept"]:
        table.add(step.kind, "measured", f"{told} ({duration(seconds)} of bench time)")
