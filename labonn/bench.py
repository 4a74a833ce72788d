"""The bench: ports opened from one file; checks, loads, arms, fires once, fetches once; ends safe on every way out."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self, TypeVar

import numpy as np

from labonn import opening
from labonn.banks import check_limits
from labonn.benchfile import BenchFile, read
from labonn.channels import ChannelSpec, Floats
from labonn.clock import Clock, RealClock
from labonn.crew import Crew, at_once
from labonn.devices import Actuator, Detector
from labonn.errors import InterlockError, LimitError, LinkError, TableError, UnknownStateError
from labonn.faults import parse_fault
from labonn.limitfile import PortLimits
from labonn.protection import Protection
from labonn.ramps import temperatures
from labonn.recovery import Recovery
from labonn.segments import Segment, segments_of
from labonn.sharing import LinkOf
from labonn.shots import Bank, Readings, ShotTable
from labonn.showing import Sheet, Shown
from labonn.showing.benches import bench_sheet

Result = TypeVar("Result")
Plan = Generator[ShotTable, Readings, Result]
QUESTIONS = 3  # whether all is as it should be, of one port, before a link error is raised
RAMP_DWELL_S = 1e-3  # which a held port does not look at


class Observer(Protocol):
    """Is told what a bench does. What `played` raises comes out of `Bench.play`; the other two come when that is over."""

    def played(self, table: ShotTable, readings: Readings, seconds: float) -> None: ...
    def made_safe(self) -> None: ...
    def failed(self, problem: BaseException) -> None: ...


class Bench(Shown):
    """Open ports and the one way to use them: `play` a shot table, or `run` a plan of them.

    Attributes:
        file: the bench file. ports: name -> device. specs: name -> limits, the tightest of driver and bench file.
        clock: the bench's time. shots: how many were fired. recovery: of ports whose connection broke, and how often they came back.
        observer: is told what is played (labonn.record), or None. rests: how often everything was made safe.
        world: "" in the lab, else which simulated bench; calibrations belong to one (None: a tape, which may be of either).
    """

    unsaved: ClassVar[tuple[str, ...]] = ("observer", "rests")  # of checkpoints

    def __init__(self, file: BenchFile, opened: opening.Opened) -> None:
        self.file, self.ports, self.specs = file, opened.devices, opened.specs
        self.clock: Clock = opened.clock
        self.world = opened.world
        self.shots, self.rests = 0, 0
        self.observer: Observer | None = None
        self._opened = opened
        self._actuators: dict[str, Actuator] = {n: d for n, d in self.ports.items() if isinstance(d, Actuator)}
        self._detectors: dict[str, Detector] = {n: d for n, d in self.ports.items() if isinstance(d, Detector)}
        self._trigger_name = next(p.name for p in file.ports.values() if p.role == "trigger")
        self._trigger = self.ports[self._trigger_name]
        self._settle_s = {n: float(s.settle_s.max(initial=0.0)) for n, s in self.specs.items()}
        self._crew = Crew(opened.clock, len(self.ports))
        self._loaded: dict[str, Bank] = {}
        self._held: dict[str, tuple[Bank, int]] = {}
        self._armed: set[str] = set()  # ports that wait for a trigger that has not come
        self.recovery = Recovery(file.ports.values(), opened.links, opened.clock)
        self._protection = Protection(file, self.ports, self.specs, opened.clock)
        self._closed = False

    @classmethod
    def open(
        cls, path: Path | str, *, dry_run: bool = False, ideal: bool = False, seed: int | None = None,
        real_time: bool = False, served: bool = False, faults: Sequence[str] = (), record: Path | None = None, replay: Path | None = None,
        limits: Sequence[PortLimits] = (), watch: Callable[[LinkOf], LinkOf] | None = None,
    ) -> Self:  # fmt: skip
        """Open every instrument of a bench file, write its limits into it, and leave all outputs safe.

        Args:
            path: the bench file.
            dry_run: simulated instruments in place of the links; nothing real is touched.
            ideal: (dry run) every imperfection off. seed: (dry run) of all hidden truths and noise; None: the file's.
            real_time: (dry run) waits last as long as they would. served: (dry run) talk to the emulators over sockets and ptys.
            faults: (dry run) what is to go wrong, when (labonn.faults).
            record: a new file for a tape of every exchange. replay: the tape that answers in place of instruments.
            limits: tighter ones than the file's, such as a calibration's; written into the instruments as well.
            watch: wraps what makes links, to see what passes.

        Raises:
            BenchFileError, ConnectError, IdentityError, ...: what went wrong, port by port; whatever was opened is safe and closed again.
        """
        file = read(Path(path))
        simulated = opening.DryRun(ideal, seed, real_time, served, tuple(map(parse_fault, faults))) if dry_run else None
        opened = opening.open_ports(file, simulated, record, replay, watch)
        try:
            bench = cls(file, opened)
        except BaseException:
            opened.close()
            raise
        try:
            for tighter in limits:
                bench._tighten(tighter)
            bench._crew.each("prepare", bench._actuators, bench._prepare)
        except BaseException as problem:
            with opening.noted(problem):
                bench.close()
            raise
        return bench

    def _tighten(self, limits: PortLimits) -> None:
        if limits.port not in self.specs:
            raise LimitError(f"{limits.port}: has limits in {limits.rule}, but {self.file.name} has no such port")
        self.specs[limits.port] = limits.tightened(self.specs[limits.port])

    def _prepare(self, name: str) -> None:
        """Limits into the instrument, whose registers may hold tighter ones for want of digits."""
        spec, device = self.specs[name], self._actuators[name]
        device.prepare(spec)
        if (device.spec.lower > spec.lower).any() or (device.spec.upper < spec.upper).any():
            self.specs[name] = spec.tighten(device.spec.lower, device.spec.upper, "limit register")

    def run(self, plan: Plan[Result]) -> Result:
        """Play every table the plan yields, send it the readings, and return its result."""
        try:
            table = next(plan)
            while True:
                table = plan.send(self.play(table))
        except StopIteration as done:
            self.confirm()
            return done.value  # type: ignore[no-any-return]
        finally:
            plan.close()

    def confirm(self) -> None:
        """Ask every actuator that can tell whether it did, and still does, what it was told: called before a plan's result is believed.

        Raises:
            UnknownStateError: it was not triggered, or is no longer at what it was set to. LinkError: it does not answer.
        """
        self._crew.each("confirm", [name for name, device in self._actuators.items() if hasattr(device, "confirm")], self._confirm)

    def _confirm(self, name: str) -> None:
        """Asked again after a link error: a question does no harm twice."""
        for left in reversed(range(QUESTIONS)):
            try:
                self.ports[name].confirm()
                return
            except LinkError:
                if not left:
                    raise
                self.recovery.reconnect(name)

    def play(self, table: ShotTable) -> Readings:
        """Check every limit, then load, arm, fire and fetch; split only where the instruments must be.

        Between shots that differ only in what held ports are set to, nothing is armed or fetched by instruments that can play bursts.

        Raises:
            LimitError, TableError: before any byte was sent.
            InterlockError: a reading or a temperature left its range; the bench is safe.
            LinkError, InstrumentError: from a driver; what the ports hold is then forgotten, and every port will be loaded again.
                A LinkError only if the bench file does not let the port come back (labonn.recovery), or it did not.
        """
        if self._closed:
            raise TableError("the bench is closed")
        start = time.perf_counter()
        self._check(table)
        read = tuple(self._detectors) if table.read is None else table.read
        recording = (*read, *(name for name in self._detectors if name in self._armed and name not in read))
        depths = {name: self.specs[name].depth for name in (*table.orders, *recording)}
        parts: list[Readings] = []
        done = 0
        try:
            segments = segments_of(table, depths, recording, self._most_bursts(table, depths, recording))
            self._protection.interlocks.ask(self.clock, self._temperatures)
            for segment in segments:
                parts.append(self._insist(segment, read))
                self._protection.interlocks.check(parts[-1], done)
                done += segment.shots * segment.bursts
        except BaseException as problem:
            self._protection.broken_off()
            self._loaded.clear()
            self._held.clear()
            if isinstance(problem, InterlockError):
                self._protection.interlocks.forget()
                with opening.noted(problem):
                    self.safe()
            if self.observer is not None:
                self.observer.failed(problem)
            raise
        self._protection.played(table, {**self._loaded, **table.banks})
        for name, bank in table.banks.items():
            if self._loaded.get(name) is not bank:
                self._loaded.pop(name, None)  # memory holds the last part of a bank that was too large for it
        self.shots += table.shots
        readings = parts[0] if len(parts) == 1 else {name: np.concatenate([p[name] for p in parts]) for name in read}
        if self.observer is not None:
            self.observer.played(table, readings, time.perf_counter() - start)
        return readings

    def _check(self, table: ShotTable) -> None:
        for name in table.read or ():
            if name not in self._detectors:
                raise TableError(f"{name}: not a detector of {self.file.name}; detectors are {', '.join(self._detectors)}")
        for name, order in table.orders.items():
            if name not in self._actuators:
                raise TableError(f"{name}: not an actuator of {self.file.name}; actuators are {', '.join(self._actuators)}")
            spec, bank = self.specs[name], table.banks.get(name)
            if bank is None:
                self._check_memory(name, spec, order)
            elif bank.shape[1] != len(spec):
                raise TableError(f"{name}: the bank has {bank.shape[1]} channels, the port has {len(spec)}")
            elif bank is not self._loaded.get(name):
                check_limits(spec, name, bank)
        self._protection.check(table, {**self._loaded, **table.banks})

    def _check_memory(self, name: str, spec: ChannelSpec, order: Any) -> None:
        loaded = self._loaded.get(name)
        if loaded is None or spec.depth == 1:
            raise TableError(f"{name}: an order without a bank, but the port has no bank in memory")
        if order.max() >= loaded.shape[0] or order.min() < 0:
            raise TableError(f"{name}: the order names row {int(order.max())} or {int(order.min())}; memory holds {loaded.shape[0]} rows")

    def _most_bursts(self, table: ShotTable, depths: Mapping[str, int], recording: tuple[str, ...]) -> int:
        """How often everything that takes part can be fired without being armed again."""
        fast = (name for name in table.orders if depths[name] > 1)
        return min((getattr(self.ports[name], "most_bursts", 1) for name in (*fast, *recording)), default=table.shots)

    def _insist(self, segment: Segment, read: tuple[str, ...]) -> Readings:
        """Play a segment; again from its beginning after ports whose link failed were brought back, where the bench file allows that."""
        for attempt in itertools.count():
            self._crew.failed.clear()
            try:
                return self._play_segment(segment, read)
            except LinkError as problem:
                names = self.recovery.with_siblings(self._crew.failed)
                only_links = all(isinstance(failed, LinkError) for failed in self._crew.failed.values())
                if not only_links or attempt >= self.recovery.most(names):
                    raise
                try:
                    segment = self._brought_back(names, segment)
                except Exception as another:
                    problem.add_note(f"not brought back: {another}")
                    raise problem from another
        raise AssertionError("never reached")

    def _brought_back(self, names: Sequence[str], segment: Segment) -> Segment:
        """`segment` with what these ports had in memory, which they no longer have."""
        banks = {name: self._loaded[name] for name in names if name in segment.orders and name in self._loaded}
        for name in names:
            self._bring_back(name)
        return replace(segment, banks={**banks, **segment.banks})

    def _bring_back(self, name: str) -> None:
        self._loaded.pop(name, None)
        self._held.pop(name, None)
        self._armed.discard(name)
        self._protection.lost(name)
        device = self._actuators.get(name)
        self.recovery.bring_back(name, lambda: None if device is None else device.prepare(self.specs[name]))
        self._protection.made_safe(name)

    def between(self) -> None:
        """Called before every segment and every burst: the place to end a play, for a bench that may have to."""

    def _play_segment(self, segment: Segment, read: tuple[str, ...]) -> Readings:
        self.between()
        stale = [n for n in self.ports if n in self._armed and n not in segment.orders and n not in read]
        self._crew.each("disarm", [n for n in stale if n in self._actuators], self._rest)
        self._armed.difference_update(self._actuators)
        self._crew.each("rest", self._protection.in_the_way(segment), self._rest)
        self._hold(segment, 0)
        for name, bank in segment.banks.items():
            if bank is not self._loaded.get(name):
                self._loaded.pop(name, None)
        self._armed.update(segment.orders, read)
        self._crew.each("load", segment.orders, lambda name: self._load(name, segment))
        recording = [*read, *(n for n in stale if n in self._detectors)]
        several = {"bursts": segment.bursts} if segment.bursts > 1 else {}
        self._crew.each("arm", recording, lambda name: self.ports[name].arm(segment.shots, segment.dwell_s, **several))
        for burst in range(segment.bursts):
            if burst:
                self.between()
                self._hold(segment, burst)
            if segment.orders or read:
                self._crew.one("fire", self._trigger_name, lambda _: self._trigger.fire(segment.shots, segment.dwell_s))
        for name in segment.orders:
            if hasattr(self.ports[name], "fired"):
                self.ports[name].fired(segment.bursts)
        if segment.orders or read:
            self._armed.clear()
        return self._crew.each("fetch", read, lambda name: self._detectors[name].fetch())

    def _hold(self, segment: Segment, burst: int) -> None:
        """Set the held ports whose row changes, and let them settle."""
        wanted = {name: (bank, int(rows[burst])) for name, (bank, rows) in segment.held.items()}
        changed = [name for name, (bank, row) in wanted.items() if not self._holds(name, bank, row)]
        if not changed:
            return
        for name in changed:
            self._held.pop(name, None)
        self._protection.lead({name: wanted[name] for name in changed}, lambda rows: self._put(rows, segment.dwell_s), self._rest)
        self._put({name: wanted[name] for name in changed}, segment.dwell_s)
        self._held.update({name: wanted[name] for name in changed})
        if segment.settle:
            self.clock.wait(max(self._settle_s[name] for name in changed))

    def _holds(self, name: str, bank: Bank, row: int) -> bool:
        held = self._held.get(name)
        return held is not None and held[0] is bank and held[1] == row

    def _set(self, name: str, bank: Bank, row: int, dwell_s: float) -> None:
        device = self._actuators[name]
        with self._protection.setting(name, bank, row):
            device.load(bank, np.array([row]), dwell_s)
            device.arm()

    def _put(self, rows: Mapping[str, tuple[Bank, int]], dwell_s: float) -> None:
        self._crew.each("set", rows, lambda name: self._set(name, *rows[name], dwell_s))

    def _rest(self, name: str) -> None:
        self._actuators[name].safe()
        self._protection.made_safe(name)

    def _temperatures(self, name: str) -> Floats:
        """By way of a new connection, if the old one is gone and the bench file allows that."""
        try:
            return temperatures(self.ports[name])
        except LinkError:
            if not self.recovery.most([name]):
                raise
            self._bring_back(name)
            return temperatures(self.ports[name])

    def _load(self, name: str, segment: Segment) -> None:
        bank = segment.banks.get(name)
        fresh = bank is not None and bank is not self._loaded.get(name)
        with self._protection.loading(name, bank) if fresh and bank is not None else contextlib.nullcontext():
            self._actuators[name].load(bank if fresh else None, segment.orders[name], segment.dwell_s)
        if fresh and bank is not None:
            self._loaded[name] = bank
        self.ports[name].arm(**({"bursts": segment.bursts} if segment.bursts > 1 else {}))

    @property
    def closed(self) -> bool:
        """Whether it was made safe and let go of."""
        return self._closed

    def _sheet(self) -> Sheet:
        return bench_sheet(self)

    @property
    def exchanges(self) -> int:
        """Requests sent over all links so far."""
        return self._opened.exchanges

    def refault(self, faults: Sequence[str]) -> None:
        """(dry run) From now on these faults, and none that were to come."""
        self._opened.refault(map(parse_fault, faults))

    def count_from(self, seconds: float, shots: int, exchanges: int) -> None:
        """Clock and counters go on from those of an earlier session."""
        if isinstance(self.clock, RealClock):
            self.clock.go_on_from(seconds)
        self.shots += shots
        self._opened.earlier += exchanges

    def safe(self) -> None:
        """Every actuator to its safe state, whatever fails on the way.

        Raises:
            UnknownStateError: names every port that could not be made safe.
        """
        self.rests += 1
        self._loaded.clear()
        self._held.clear()
        self._armed.difference_update(self._actuators)
        failed = at_once(self._actuators, self._make_safe)
        if failed:
            unsafe = UnknownStateError("; ".join(f"{name}: could not be made safe: {problem}" for name, problem in failed.items()))
            if self.observer is not None:
                self.observer.failed(unsafe)
            raise unsafe
        if self.observer is not None:
            self.observer.made_safe()

    def _make_safe(self, name: str) -> None:
        """Down a ramp, if it has a slew limit; by way of a new connection, if the old one is gone."""
        with contextlib.suppress(Exception):  # whatever fails on the way down, it is switched off at once
            self._protection.down(name, lambda rows: self._set(name, *rows[name], RAMP_DWELL_S))
        try:
            self._rest(name)
        except LinkError:
            if self.recovery.most([name]):
                self._bring_back(name)
            else:  # being safe twice does no harm, whatever the bench file says
                self.recovery.reconnect(name)
            self._rest(name)

    def close(self) -> None:
        """Make everything safe and let go of it; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            self.safe()
        except BaseException as unsafe:
            with opening.noted(unsafe):
                self._opened.close()
            raise
        else:
            self._opened.close()
        finally:
            self._crew.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        with contextlib.nullcontext() if problem is None else opening.noted(problem):
            self.close()


__all__ = ["Bench", "Floats", "Plan"]
