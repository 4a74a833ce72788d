"""A procedure on the simulated bench, as far as needed to know the rest, and the sum of that."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path

from labonn.bench import Bench
from labonn.devices import Actuator
from labonn.errors import LabonnError, LimitError, TableError
from labonn.planned.links import counted
from labonn.planned.margins import Margin
from labonn.planned.plan import Plan, PortPlan
from labonn.planned.run import Enough, PlannedRun
from labonn.planned.tally import ALL, Counts, Tally, grown
from labonn.planned.watching import Watcher
from labonn.procedures import FewSteps, Procedure
from labonn.units import format_rate


class Trial:
    """A procedure on its simulated bench."""

    def __init__(self, procedure: Procedure, args: argparse.Namespace, run: PlannedRun, path: Path) -> None:
        self.procedure, self.args, self.run, self.path = procedure, args, run, path
        self.tally = Tally()
        self.problem: str | None = None
        self.refused = self.to_end = False
        self.end: Counts = {}

    def play(self) -> None:
        """Until it ends, or enough is known, or something is refused."""
        run, args = self.run, self.args
        run.folder.mkdir()
        run.write_text("settings.json", json.dumps({"procedure": self.procedure.name}))
        run.write_bytes("bench.toml", self.path.read_bytes())
        tape = run.folder / "tape" if args.record is not None else None
        seed = args.seed if args.dry_run else None
        with Bench.open(
            self.path, dry_run=True, ideal=args.ideal, seed=seed, record=tape, watch=lambda link_of: counted(link_of, self.tally)
        ) as bench:
            run.observe(bench)
            bench.observer = self.watcher = Watcher(bench, self.tally, run.path("record.sqlite"), tape)
            run.now = self.watcher.now
            try:
                with _record_of(run), contextlib.redirect_stdout(io.StringIO()):
                    self._main(bench)
                    run.flushed()
                    self.end = self.watcher.now()
            finally:
                self.bench = bench

    def _main(self, bench: Bench) -> None:
        try:
            self.procedure.module.main(bench, self.args, self.run)
            self.to_end = True
        except Enough:
            pass
        except LabonnError as problem:
            if not self.tally.counts[ALL, "tables"]:
                raise
            self.problem, self.refused = str(problem), isinstance(problem, (LimitError, TableError))

    def summed(self, name: str, light: str, borrowed: bool, few: FewSteps | None, took_s: float) -> Plan:
        """All of it, extrapolated to all steps."""
        run, steps = self.run, self._all_steps(few)
        marks = run.marks or [(0, {})]
        (first, since), (seen, last) = marks[max(-len(marks), -1 - few.like) if few and few.like else 0], marks[-1]
        times = (steps - run.steps) / (seen - first) if seen > first and self.problem is None else 0.0
        total, before = grown(self.end, since, last, times), marks[0][1]
        step = {key: (value - since.get(key, 0.0)) / (seen - first) for key, value in last.items()} if seen > first else {}
        margins, file = self.watcher.margins(), self.bench.file
        ports = tuple(self._port(port, total, margins.get(port)) for port in file.ports)
        return Plan(
            self.procedure.name, name, light, borrowed, ports, steps, run.steps, self.to_end,
            _of_all(total), _of_all(before), _of_all(step),
            tuple(self.watcher.joints()), tuple(self._rules()), _peak_memory(), took_s, self.problem, self.refused,
        )  # fmt: skip

    def _all_steps(self, few: FewSteps | None) -> int:
        run = self.run
        if few is None or len(run.marks) < 2:
            return run.total
        steps, ((_, begin), *_, (seen, last)) = round(run.total * few.times), run.marks
        if few.seconds is not None:
            steps = min(steps, math.ceil(few.seconds / (last[ALL, "bench_s"] - begin[ALL, "bench_s"]) * seen))
        return max(steps, run.steps)

    def _port(self, port: str, total: Counts, margin: Margin | None) -> PortPlan:
        numbers = {kind: round(total.get((port, kind), 0)) for kind in ("tables", "shots", "rows", "exchanges", "sent", "received")}
        depth, fullest = self.bench.specs[port].depth, self.watcher.fullest.get(port, 0)
        return PortPlan(port=port, driver=self.bench.file.ports[port].driver_name, fullest=fullest, depth=depth, margin=margin, **numbers)

    def _rules(self) -> Iterator[str]:
        for name, port in self.bench.file.ports.items():
            spec = self.bench.specs[name]
            if port.slew is not None and isinstance(self.bench.ports[name], Actuator):
                rates = port.rates(spec.unit, len(spec), self.bench.file.name) or [0.0]
                how = "steps become ramps" if spec.depth == 1 else "no table is faster"
                yield f"slew of {name} {format_rate(min(rates), spec.unit)}: {how}"
        yield from (f"interlocks[{number}]: {interlock}" for number, interlock in enumerate(self.bench.file.interlocks))


@contextlib.contextmanager
def _record_of(run: PlannedRun) -> Iterator[None]:
    """Its process has ended before its file goes."""
    try:
        yield
    finally:
        if run.record is not None:
            run.record.close()


def _of_all(counts: Counts) -> dict[str, float]:
    return {kind: amount for (port, kind), amount in counts.items() if port == ALL}


def _peak_memory() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
