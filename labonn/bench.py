"""The bench: ports opened from one file; checks, loads, arms, fires once, fetches once; ends safe on every way out."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self, TypeVar

import numpy as np

from labonn import opening
from labonn.banks import check_limits
from labonn.benchfile import BenchFile, read
from labonn.channels import ChannelSpec
from labonn.clock import Clock, RealClock
from labonn.crew import Crew, at_once
from labonn.errors import InterlockError, LimitError, LinkError, TableError, UnknownStateError
from labonn.faults import parse_fault
from labonn.limitfile import PortLimits
from labonn.playing import Player
from labonn.protection import Protection
from labonn.recovery import Recovery
from labonn.segments import segments_of
from labonn.sharing import LinkOf
from labonn.shots import Readings, ShotTable
from labonn.showing import Sheet, Shown
from labonn.showing.benches import bench_sheet

Result = TypeVar("Result")
Plan = Generator[ShotTable, Readings, Result]
QUESTIONS = 3  # whether all is as it should be, of one port, before a link error is raised


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
        self._crew = Crew(opened.clock, len(self.ports))
        self.recovery = Recovery(file.ports.values(), opened.links, opened.clock)
        self._protection = Protection(file, self.ports, self.specs, opened.clock)
        trigger = next(p.name for p in file.ports.values() if p.role == "trigger")
        self._player = Player(self.ports, self.specs, trigger, self.clock, self._crew, self._protection, self.recovery)
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
            bench._crew.each("prepare", bench._player.actuators, bench._prepare)
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
        spec, device = self.specs[name], self._player.actuators[name]
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
        self._crew.each("confirm", [name for name, device in self._player.actuators.items() if hasattr(device, "confirm")], self._confirm)

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
        read = tuple(self._player.detectors) if table.read is None else table.read
        recording = (*read, *(name for name in self._player.detectors if name in self._player.armed and name not in read))
        depths = {name: self.specs[name].depth for name in (*table.orders, *recording)}
        parts: list[Readings] = []
        done = 0
        try:
            segments = segments_of(table, depths, recording, self._player.most_bursts(table.orders, recording, table.shots))
            self._protection.interlocks.ask(self.clock, self._player.temperatures)
            for segment in segments:
                parts.append(self._player.play(segment, read, self.between))
                self._protection.interlocks.check(parts[-1], done)
                done += segment.shots * segment.bursts
        except BaseException as problem:
            self._protection.broken_off()
            self._player.forget()
            if isinstance(problem, InterlockError):
                self._protection.interlocks.forget()
                with opening.noted(problem):
                    self.safe()
            if self.observer is not None:
                self.observer.failed(problem)
            raise
        self._protection.played(table, {**self._player.loaded, **table.banks})
        for name, bank in table.banks.items():
            if self._player.loaded.get(name) is not bank:
                self._player.loaded.pop(name, None)  # memory holds the last part of a bank that was too large for it
        self.shots += table.shots
        readings = parts[0] if len(parts) == 1 else {name: np.concatenate([p[name] for p in parts]) for name in read}
        if self.observer is not None:
            self.observer.played(table, readings, time.perf_counter() - start)
        return readings

    def _check(self, table: ShotTable) -> None:
        for name in table.read or ():
            if name not in self._player.detectors:
                raise TableError(f"{name}: not a detector of {self.file.name}; detectors are {', '.join(self._player.detectors)}")
        for name, order in table.orders.items():
            if name not in self._player.actuators:
                raise TableError(f"{name}: not an actuator of {self.file.name}; actuators are {', '.join(self._player.actuators)}")
            spec, bank = self.specs[name], table.banks.get(name)
            if bank is None:
                self._check_memory(name, spec, order)
            elif bank.shape[1] != len(spec):
                raise TableError(f"{name}: the bank has {bank.shape[1]} channels, the port has {len(spec)}")
            elif bank is not self._player.loaded.get(name):
                check_limits(spec, name, bank)
        self._protection.check(table, {**self._player.loaded, **table.banks})

    def _check_memory(self, name: str, spec: ChannelSpec, order: Any) -> None:
        loaded = self._player.loaded.get(name)
        if loaded is None or spec.depth == 1:
            raise TableError(f"{name}: an order without a bank, but the port has no bank in memory")
        if order.max() >= loaded.shape[0] or order.min() < 0:
            raise TableError(f"{name}: the order names row {int(order.max())} or {int(order.min())}; memory holds {loaded.shape[0]} rows")

    def between(self) -> None:
        """Called before every segment and every burst: the place to end a play, for a bench that may have to."""

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
        self._player.forget()
        self._player.armed.difference_update(self._player.actuators)
        failed = at_once(self._player.actuators, self._player.make_safe)
        if failed:
            unsafe = UnknownStateError("; ".join(f"{name}: could not be made safe: {problem}" for name, problem in failed.items()))
            if self.observer is not None:
                self.observer.failed(unsafe)
            raise unsafe
        if self.observer is not None:
            self.observer.made_safe()

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
