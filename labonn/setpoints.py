"""Set these, then read: what the actuators of a bench are at, for programs that go step by step (labonn.adapters)."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from labonn import bench as direct
from labonn.channels import ChannelSpec, Floats
from labonn.errors import InterlockError, LabonnError, LimitError, TableError
from labonn.levels import safe_row
from labonn.opening import noted
from labonn.shots import Bank, Readings, ShotTable, rows_of
from labonn.showing import Sheet, Shown
from labonn.showing.benches import setpoints_sheet

if TYPE_CHECKING:
    from labonn.guardian.client import RemoteBench

Result = TypeVar("Result")
Channel = int | str
Values = ArrayLike | Mapping[Channel, float]


class Setpoints(Shown):
    """The rows that the actuators of an open bench were set to, and readings there; one caller at a time, others wait.

        points = Setpoints(bench, dwell_s=1e-3)
        points.set({"laser": 0.05, "modulators": {"ch1": 2.0}})  # one table, checked before anything is sent
        volts = points.read(["outputs"], shots=100)["outputs"]    # (100, channels)

    A held port (depth 1) stays at its row from `set` on. A sequenced one takes its row at `set`, and plays it in every shot of a `read`;
    between tables it is dark, or keeps the row, as `between` says. A channel that was not set is at the safe level. When a play fails with
    anything but a refusal before the first byte, everything is made safe, and nothing is set any more.

    Args:
        bench: an open Bench, or RemoteBench. dwell_s: of a shot. shots: of a `read`, unless it says otherwise.

    Attributes:
        actuators, detectors: names of ports. turn: held by whoever uses the bench.
    """

    def __init__(self, bench: direct.Bench | RemoteBench, dwell_s: float = 1e-2, shots: int = 1) -> None:
        self.bench, self.dwell_s, self.shots = bench, dwell_s, shots
        kinds = {name: port.driver.kind for name, port in bench.file.ports.items()}
        self.detectors = tuple(name for name, kind in kinds.items() if kind == "Photodetectors")
        self.actuators = tuple(name for name, kind in kinds.items() if kind != "Photodetectors")
        self.turn = threading.RLock()
        self._rows: dict[str, Floats] = {}  # (1, C) each, and always the same array: what the bench has is not sent again
        self._memory: dict[str, Bank] = {}
        self._rests, self._ending = bench.rests, ""

    def _sheet(self) -> Sheet:
        return setpoints_sheet(self)

    def row(self, port: str) -> Floats:
        """(C,) what an actuator is at: as it was set, or safe; NaN where it is safe and nobody knows where that is (an oven, an SLM)."""
        row = self.rows.get(port)
        if row is not None:
            return row
        spec = self._actuator(port)
        row = safe_row(spec)
        return np.full(len(spec), np.nan) if row is None else row

    @property
    def rows(self) -> Mapping[str, Floats]:
        """Port -> (C,), of the ports that are set."""
        rows = self._rows if self.bench.rests == self._rests else {}
        return {port: row[0] for port, row in rows.items()}

    def in_memory(self, port: str) -> Bank:
        """The bank that a port played last, which an order alone plays again.

        Raises:
            TableError: none, as far as is known here.
        """
        if port not in self._memory or self.bench.rests != self._rests:
            raise TableError(f"{port}: an order without a bank, and nothing was played there since everything was safe")
        return self._memory[port]

    def between(self, port: str) -> str:
        """What an actuator does between tables: "holds" its row, is "dark", or "keeps" the row that it played last."""
        if self._actuator(port).depth == 1:
            return "holds"
        return "dark" if getattr(self.bench.file.ports[port].driver, "dark_between", False) else "keeps"

    def index(self, port: str, channel: Channel) -> int:
        """The number of a channel.

        Raises:
            TableError: the port has no such channel.
        """
        names = self.bench.specs[port].names
        if not isinstance(channel, str):
            if 0 <= channel < len(names):
                return int(channel)
        elif channel in names:
            return names.index(channel)
        span = names[0] if len(names) == 1 else f"{names[0]} to {names[len(names) - 1]}"
        raise TableError(f"{port}: has no channel {channel!r}; channels are {span}, or their numbers, 0 to {len(names) - 1}")

    def check(self, values: Mapping[str, Values]) -> None:
        """Raise what `set` would for these values; joint and slew limits of the bench file are looked at only there.

        Raises:
            LimitError: outside the limits. TableError: no such port or channel, or not as many values as it has.
        """
        for port, wanted in values.items():
            self._wanted(port, wanted)

    def set(self, values: Mapping[str, Values]) -> None:
        """Set ports, or some of their channels, all in one table; what else is set stays.

        Args:
            values: port -> one value for all its channels, one a channel, or {channel: value} with names or numbers of channels.

        Raises:
            LimitError, TableError: nothing was sent. LinkError, InstrumentError: everything is safe.
        """
        with self.turn:
            self._look()
            rows = {port: self._wanted(port, wanted) for port, wanted in values.items()}
            if rows:
                self._play(ShotTable(rows, dwell_s=self.dwell_s, read=()))
                self._rows.update(rows)

    def read(self, ports: Collection[str] | None = None, shots: int | None = None, dwell_s: float | None = None) -> Readings:
        """Detector -> (shots, D), all of them in one table, with every actuator at what it is set to.

        Args:
            ports: detectors; None: all. shots, dwell_s: None: as they are here.

        Raises:
            TableError, LimitError: it cannot be played so. LinkError, InstrumentError: everything is safe.
        """
        with self.turn:
            self._look()
            shots, dwell_s = self.shots if shots is None else shots, self.dwell_s if dwell_s is None else dwell_s
            lead = self.lead(dwell_s)
            orders = {port: np.zeros(lead + shots, np.int64) for port in self._rows}
            read = None if ports is None else tuple(ports)
            readings = self._play(ShotTable(self._rows, orders, dwell_s, read, lead + shots))
            return {name: found[lead:] for name, found in readings.items()}

    def lead(self, dwell_s: float) -> int:
        """Shots that a `read` plays and drops, until sequenced ports that were dark have settled."""
        slowest = max((self.bench.specs[port].settle_s.max() for port in self._rows if self.between(port) == "dark"), default=0.0)
        return math.ceil(slowest / dwell_s)

    def play(self, table: ShotTable) -> Readings:
        """As Bench.play; the table's last row is what its ports are set to from then on."""
        with self.turn:
            self._look()
            readings = self._play(table)
            for port, order in table.orders.items():
                self._rows.pop(port, None)
                if port in self._memory:
                    self._rows[port] = rows_of(self._memory[port], order[-1:]).astype(np.float64)
            return readings

    def run(self, plan: direct.Plan[Result]) -> Result:
        """As Bench.run."""
        with self.turn:
            return direct.Bench.run(self, plan)  # type: ignore[arg-type]  # needs no more of it than this has

    def confirm(self) -> None:
        """As Bench.confirm."""
        with self.turn:
            self.bench.confirm()

    def safe(self) -> None:
        """Everything safe; what another thread is playing is broken off first.

        Raises:
            UnknownStateError: as Bench.safe.
        """
        self.break_off("the bench is to be safe")
        with self.turn:
            self._ending = ""
            self._forget()
            if not self.bench.closed:  # which is safe
                self.bench.safe()

    def break_off(self, reason: str) -> None:
        """End what another thread is playing where it is next cut, and all that waits for its turn; ends with `safe`, which has to follow.

        At a guardian a play goes on to its end.
        """
        self._ending = reason

    def _actuator(self, port: str) -> ChannelSpec:
        if port not in self.actuators:
            raise TableError(f"{port}: not an actuator of {self.bench.file.name}; actuators are {', '.join(self.actuators)}")
        return self.bench.specs[port]

    def _wanted(self, port: str, wanted: Values) -> Floats:
        """(1, C), checked."""
        spec = self._actuator(port)
        if isinstance(wanted, Mapping):
            row = np.array(self.row(port), np.float64)
            touched = [self.index(port, channel) for channel in wanted]
            row[touched] = list(wanted.values())
            unknown = int(np.isnan(np.delete(row, touched)).sum())
            if unknown:
                raise TableError(f"{port}: nobody knows where {unknown} of its {len(spec)} channels are: set all of them at once, first")
        else:
            row = np.array(wanted, np.float64).ravel()
            if len(row) not in (1, len(spec)):
                raise TableError(f"{port}: {len(row)} values; the port has {len(spec)} channels")
            row = np.broadcast_to(row, (len(spec),)).copy()
        spec.check(port, row[None])
        return row[None]

    def _look(self) -> None:
        if self.bench.rests != self._rests:  # made safe by somebody else
            self._forget()

    def _forget(self) -> None:
        self._rows, self._memory = {}, {}

    def _play(self, table: ShotTable) -> Readings:
        try:
            with self._endable():
                readings = self.bench.play(table)
        except (LimitError, TableError):
            raise
        except BaseException as problem:
            self._forget()
            if not isinstance(problem, InterlockError):  # which has made it safe
                with noted(problem):
                    self.bench.safe()
            raise
        finally:
            self._rests = self.bench.rests
        self._memory.update(table.banks)
        return readings

    @contextlib.contextmanager
    def _endable(self) -> Iterator[None]:
        """While a bench in this process plays, `safe` can end that between two segments."""
        if not isinstance(self.bench, direct.Bench):
            yield
            return
        before = self.bench.between

        def between() -> None:
            before()
            if self._ending:
                raise LabonnError(f"{self.bench.file.name}: the table was broken off: {self._ending}")

        vars(self.bench)["between"] = between
        try:
            yield
        finally:
            del vars(self.bench)["between"]
