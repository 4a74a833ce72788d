"""Keeps a training's checkpoints while it runs, and brings the training back from one."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from labonn.channels import Floats
from labonn.checkpoints import Checkpoint, CheckpointError, Orders, write
from labonn.sameness import bench_digest, compare_probe, ports_of
from labonn.snapshots import Digests, Names, Snapshot, SnapshotError, restore, snapshot

if TYPE_CHECKING:
    from labonn.bench import Bench
    from labonn.runs import Run

SHARE = 0.01  # of the time that checkpoints may take where nobody has said how many steps apart they are wanted


class Keeper:
    """The checkpoints of one training. Taking one sends no byte and draws no random number: a run is the same with and without.

    Args:
        run: into whose folder; nothing is kept of one without `orders`. bench: open, and prepared for the training.
        objects: name -> object: together all that decides how the training goes on, between two steps.
        every: steps between checkpoints that the procedure likes.

    Attributes:
        resumed: whether `objects` are those of a checkpoint now. apart: whether the bench is not: what it needs to go on has to be set.

    A simulated bench at a guardian is saved and brought back by that; here only what it has of our banks is.

    Raises:
        LabonnError: what is wanted cannot be kept, or the checkpoint does not fit.
    """

    def __init__(self, run: Run, bench: Bench, objects: Mapping[str, Any], every: int) -> None:
        self._run, self._orders, self._every = run, run.orders or Orders(every=0), every
        self._bench: Any = bench
        self._off, self.resumed = run.orders is None, False
        if self._off:
            return
        checkpoint, whole = self._orders.checkpoint, self._orders.whole
        self._guarded = whole and hasattr(bench, "snapshot")
        self.apart = checkpoint is not None and not whole
        self._roots: dict[str, Any] = {**objects, "rows": run.rows} | ({"bench": bench} if whole and not self._guarded else {})
        self._given = {} if "bench" in self._roots else _parts(bench)
        self._names = Names(type(thing).__module__.partition(".")[0] for thing in objects.values())
        self._digests, self._ports = Digests(), ports_of(bench)
        started = time.perf_counter()
        try:
            self._digests.give(self._snapshot().constants)
        except SnapshotError as problem:
            if checkpoint is not None or self._orders.every:
                raise
            self._tell(f"no checkpoints are kept: {problem}")
            self._off = True
            return
        self._last_s = time.perf_counter()
        self._cost_s = self._last_s - started
        if checkpoint is not None:
            self._bring_back(checkpoint)
        if self._orders.stopping is not None:
            self._orders.stopping.gently = True

    def step(self, step: int) -> None:
        """Called where a step is done and nothing is under way: the place for a checkpoint, and to stop."""
        stopping = self._orders.stopping
        stop = stopping is not None and stopping.received
        if not self._off and (stop or self._due(step)):
            self.save(step)
        if stop:
            stopping.stop()

    def end(self, step: int) -> None:
        """The last step is done."""
        if not self._off:
            self.save(step)
            if self._orders.stopping is not None:
                self._orders.stopping.gently = False

    def save(self, step: int) -> None:
        """A checkpoint, now. Trouble with it is told; the training goes on."""
        started = time.perf_counter()
        try:
            write(self._run.folder, self._about(step), self._snapshot(), self._bench.snapshot() if self._guarded else None)
        except (SnapshotError, OSError) as problem:
            self._tell(f"step {step}: no checkpoint could be written: {problem}")
        self._last_s = time.perf_counter()
        self._cost_s = self._last_s - started

    def compare(self, then: Floats, measure: Callable[[], Floats]) -> None:
        """(a bench that is apart) `then` was measured before the checkpoint; `measure` does it again.

        Raises:
            CheckpointError: the light is not the same.
        """
        checkpoint = self._orders.checkpoint
        assert checkpoint is not None
        compare_probe(then, measure(), measure(), checkpoint, self._orders.force, self._run.event)

    def _due(self, step: int) -> bool:
        if self._orders.every is not None:
            return self._orders.every > 0 and step % self._orders.every == 0
        return step % self._every == 0 and SHARE * (time.perf_counter() - self._last_s) > self._cost_s

    def _snapshot(self) -> Snapshot:
        sent = {"sent": self._bench.sent.remembered()} if self._guarded else {}
        return snapshot(self._roots | sent, self._names, self._given, self._digests)

    def _restore(self, saved: Snapshot) -> None:
        sent: dict[str, Any] = {}
        restore(saved, self._roots | ({"sent": sent} if self._guarded else {}), self._names, self._given, self._digests)
        if self._guarded:
            self._bench.bring_back()
            self._bench.sent.remember(sent)
        self._check_same(saved, self._snapshot())

    def _about(self, step: int) -> dict[str, Any]:
        bench = self._bench
        counted = {"bench_time_s": bench.clock.now(), "shots": bench.shots, "exchanges": bench.exchanges}
        told = {"at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "bench_file": bench_digest(self._run.folder), "ports": self._ports}
        told |= {"calibrations": self._run.calibrations} if self._run.calibrations else {}
        return {"step": step, "whole": self._orders.whole, **told, **counted}

    def _bring_back(self, checkpoint: Checkpoint) -> None:
        saved = checkpoint.saved
        if checkpoint.about["whole"] != self._orders.whole:
            raise CheckpointError(f"{checkpoint.path}: was taken {'in a dry run' if checkpoint.about['whole'] else 'on instruments'}")
        try:
            self._restore(saved)
        except SnapshotError as problem:
            raise CheckpointError(f"{checkpoint.path}: does not fit what its settings make here: {problem}") from problem
        if "bench" in self._roots:
            self._bench.refault(self._orders.faults)
        elif not self._guarded:
            about = checkpoint.about
            self._bench.count_from(about["bench_time_s"], about["shots"], about["exchanges"])
        self._run.take_up(checkpoint.step)
        self._run.event(f"goes on after step {checkpoint.step}, from {checkpoint.path.name} of {checkpoint.about['at']}")
        self.resumed = True

    def _check_same(self, saved: Snapshot, now: Snapshot) -> None:
        """Raise SnapshotError unless what was brought back, saved again, is what was saved."""
        for number, (one, two) in enumerate(zip(saved.table, now.table, strict=False)):
            if one != two and repr(one) != repr(two):  # nan is not nan
                raise SnapshotError(f"entry {number}: {differences(one, two)}")
        if len(saved.table) != len(now.table) or len(saved.arrays) != len(now.arrays):
            counts = f"{len(now.table)} objects, {len(now.arrays)} arrays in place of {len(saved.table)} and {len(saved.arrays)}"
            raise SnapshotError(counts)
        different = [i for i, (one, two) in enumerate(zip(saved.arrays, now.arrays, strict=True)) if not np.array_equal(one, two)]
        if different:
            raise SnapshotError(f"{len(different)} of {len(now.arrays)} arrays differ")

    def _tell(self, text: str) -> None:
        self._run.event(text)
        print(f"labonn: {text}", file=sys.stderr)


def differences(one: Any, two: Any) -> str:
    """What differs between two entries of a snapshot, briefly."""
    if isinstance(one, list) and isinstance(two, list) and one[:2] == two[:2] and isinstance(one[-1], dict):
        keys = [key for key in {**one[-1], **two[-1]} if repr(one[-1].get(key)) != repr(two[-1].get(key))]
        return f"{one[1]}: " + "; ".join(f"{key} is {two[-1].get(key)!r:.80} in place of {one[-1].get(key)!r:.80}" for key in keys[:3])
    return f"{two!r:.200} in place of {one!r:.200}"


def _parts(bench: Bench) -> dict[str, Any]:
    """What a training may refer to of a bench that is not saved with it."""
    parts: dict[str, Any] = {"bench": bench, "clock": bench.clock, "file": bench.file, "ports": bench.ports, "specs": bench.specs}
    for name, device in bench.ports.items():
        parts |= {f"ports.{name}": device, f"specs.{name}": bench.specs[name]}
    return parts
