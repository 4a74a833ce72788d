"""A bench behind a guardian: the same interface as Bench, and the same errors; the guardian has the links."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

import zmq

from labonn import bench as direct
from labonn.benchfile import parse
from labonn.channels import ChannelSpec
from labonn.clock import RealClock
from labonn.errors import ConnectError, LabonnError, LeaseError, LimitError, LinkClosedError, TableError, UnknownStateError
from labonn.guardian.arrays import unpack
from labonn.guardian.beats import Beats
from labonn.guardian.connection import Connection, nonce, who
from labonn.guardian.messages import VERSION
from labonn.guardian.ports import RemotePort
from labonn.guardian.remote_clock import RemoteClock
from labonn.guardian.sending import Sent
from labonn.guardian.specs import spec_of
from labonn.opening import noted
from labonn.shots import Readings, ShotTable
from labonn.showing import Sheet, Shown
from labonn.showing.benches import bench_sheet

Result = TypeVar("Result")
LATER_S, PAUSE_S = 20.0, 0.1  # how long a bench that is made ready for the next client is waited for
END_S = 60.0  # how long is waited for a bench that is made safe after the lease was lost


class RemoteBench(Shown):
    """A guardian's bench, for as long as this client has the lease. `Bench` tells what the methods do.

    Attributes:
        file, ports, specs, clock, shots, world, rests: as a Bench's. url: of the guardian.
        about: what it tells of itself (dry_run, pid, ...).
        sent: what the guardian has of this client's banks.
    """

    def __init__(self, connection: Connection, beats: Beats, about: dict[str, Any], arrays: Sequence[Any]) -> None:
        told = about["result"]
        self.url, self.about = connection.url, {name: told[name] for name in ("pid", "dry_run", "bench", "since", "lease_s")}
        self.world: str | None = told["world"]
        self._connection, self._beats, self._session = connection, beats, told["session"]
        self.sent, self._seq, self._closed = Sent(), 0, False
        self.rests = 0
        self._left: LeaseError | LinkClosedError | None = None
        self._sets: dict[tuple[str, str], int] = {}
        self._earlier = 0, 0
        self._ended: dict[str, Any] | None = None
        self.observer: direct.Observer | None = None
        self.state: dict[str, Any] = about["state"]
        self.file = parse(told["text"], told["name"])
        self.specs: dict[str, ChannelSpec] = {name: spec_of(port["spec"], arrays) for name, port in told["ports"].items()}
        self.ports: dict[str, RemotePort] = {}
        for name, port in told["ports"].items():
            own = {key: unpack(value, arrays) for key, value in port["own"].items()}
            self.ports[name] = RemotePort(self, name, self.specs[name], own, port["methods"])
        self.clock = RemoteClock(self, told["concurrent"])

    @classmethod
    def open(cls, url: str, patience_s: float | None = None) -> Self:
        """Get the lease of the guardian at `url` (zmq://HOST:PORT?server_key=FILE&client_key=FILE, or ipc://PATH).

        Args:
            patience_s: seconds between two calls from which on this process counts as hung; None: as the guardian says.

        Raises:
            ConnectError: no guardian answers. LeaseError: another client has the bench.
        """
        connection = Connection(url)
        try:
            about, arrays = _hello(connection)
            told = about["result"]
            patience_s = told["patience_s"] if patience_s is None else patience_s
            beats = Beats(connection.socket(), connection.url, told["session"], told["lease_s"], patience_s)
            try:
                return cls(connection, beats, about, arrays)
            except BaseException:
                beats.close()
                raise
        except BaseException:
            connection.close()
            raise

    def run(self, plan: direct.Plan[Result]) -> Result:
        """As Bench.run, which needs no more of a bench than this one has."""
        return direct.Bench.run(self, plan)  # type: ignore[arg-type]

    def confirm(self) -> None:
        """As Bench.confirm."""
        self.call("confirm", {})

    def play(self, table: ShotTable) -> Readings:
        """As Bench.play."""
        start = time.perf_counter()
        try:
            fields, frames = self.sent.header(table)
            result, arrays = self.call("play", fields, frames)
        except BaseException as problem:
            if self.observer is not None and not isinstance(problem, (LimitError, TableError)):
                self.observer.failed(problem)
            raise
        readings = {name: unpack(value, arrays).copy(order="K") for name, value in result.items()}
        if self.observer is not None:
            self.observer.played(table, readings, time.perf_counter() - start)
        return readings

    def count_from(self, seconds: float, shots: int, exchanges: int) -> None:
        """As Bench.count_from."""
        self._earlier = shots, exchanges
        self.clock.go_on_from(seconds)

    def snapshot(self) -> dict[str, Any]:
        """Name -> array: all that a simulated bench is now, for a checkpoint (labonn.guardian.keepsake).

        Raises:
            TableError: it is not simulated. SnapshotError: it cannot be saved.
        """
        result, arrays = self.call("snapshot", {})
        return {name: unpack(value, arrays) for name, value in result.items()}

    def bring_back(self) -> None:
        """A simulated bench as at the checkpoint that its guardian was started with.

        Raises:
            LabonnError: there was none, or it is not of this bench.
        """
        self.call("bring_back", {})

    def call(self, op: str, fields: dict[str, Any], frames: Sequence[Any] = ()) -> tuple[Any, list[Any]]:
        """(result, arrays) of a request.

        Raises:
            LeaseError: the lease has ended. LinkClosedError: the guardian is gone. Others: what went wrong with the bench.
        """
        if self._closed:
            raise TableError("the bench is closed")
        if self._left is not None:
            raise type(self._left)(str(self._left))
        with self._beats:
            return self._ask(op, fields, frames)

    def _ask(self, op: str, fields: dict[str, Any], frames: Sequence[Any]) -> tuple[Any, list[Any]]:
        self._seq += 1
        header = {"op": op, "session": self._session, "seq": self._seq, **fields}
        if self._sets:
            sets, self._sets = self._sets, {}
            header["sets"] = [{"port": port, "name": name, "value": value} for (port, name), value in sets.items()]
        try:
            about, arrays = self._connection.ask(header, frames, partial(self._again, time.monotonic()))
        except BaseException as problem:
            self.sent.forget()
            if isinstance(problem, (LeaseError, LinkClosedError)):
                self._left = problem
            elif not isinstance(problem, LabonnError):  # Ctrl-C
                self._interrupt()
            raise
        self.state = about.get("state", self.state)
        self._ended = about if "ended" in about else None
        if "refused" in about:
            self.sent.forget()
        try:
            return self._connection.sound(about)["result"], arrays
        except LeaseError as problem:
            self._left = problem
            raise

    def set(self, port: str, name: str, value: int) -> None:
        """Set an attribute of a port; the guardian is told with the next request, before which nothing can come of it."""
        self.state[name][port] = value
        self._sets[port, name] = value

    def _again(self, sent_s: float, seq: int) -> bool:
        """While there is no reply: whether to ask again; raises if there is no lease any more."""
        self._beats.check()
        return self._beats.lost(seq, sent_s)

    def _interrupt(self) -> None:
        """The guardian is to end what was asked for; its replies come too late for anybody."""
        self._seq += 1
        self._connection.renew()
        with contextlib.suppress(zmq.ZMQError):
            self._connection.send({"op": "stop", "session": self._session, "seq": self._seq})

    @property
    def closed(self) -> bool:
        """Whether the lease was given back."""
        return self._closed

    def _sheet(self) -> Sheet:
        return bench_sheet(self, self.url)

    @property
    def shots(self) -> int:
        """How many were fired."""
        return int(self.state["shots"]) + self._earlier[0]

    @property
    def exchanges(self) -> int:
        """Requests that the guardian sent over all its links so far."""
        return int(self.state["exchanges"]) + self._earlier[1]

    def safe(self) -> None:
        """As Bench.safe."""
        self.rests += 1
        try:
            self.call("make_safe", {})
        except UnknownStateError as unsafe:
            if self.observer is not None:
                self.observer.failed(unsafe)
            raise
        if self.observer is not None:
            self.observer.made_safe()

    def close(self) -> None:
        """Make everything safe and give the lease back; a second call does nothing. Who has lost the lease knows that it was made safe.

        Raises:
            UnknownStateError: it could not be made safe, or the guardian is gone.
        """
        if self._closed:
            return
        try:
            if self._left is None:
                with contextlib.suppress(LeaseError):
                    self._release()
            if isinstance(self._left, LeaseError) and self._ended is None:
                self._ended = self._connection.await_end(END_S)
        finally:
            self._closed = True
            self._beats.close()
            self._connection.close()
        if self._left is not None and (self._ended is None or self._ended["unsafe"]):
            told = "whether everything is safe cannot be seen from here" if self._ended is None else self._ended["unsafe"]
            raise UnknownStateError(f"{self.url}: {told}")

    def _release(self) -> None:
        try:
            if self.observer is not None:
                self.safe()
        finally:
            self.call("release", {})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        with contextlib.nullcontext() if problem is None else noted(problem):
            self.close()


def _hello(connection: Connection) -> tuple[dict[str, Any], list[Any]]:
    """The lease; waited for while the bench is being made ready."""
    until_s, pause = time.monotonic() + LATER_S, RealClock()
    while True:
        about, arrays = connection.ask_once({"op": "hello", "version": VERSION, "nonce": nonce(), "who": who()}, "result")
        if not about.get("later") or time.monotonic() > until_s:
            if "refused" in about:
                raise ConnectError(f"{connection.url}: {about['refused']}")
            return connection.sound(about), arrays
        pause.wait(PAUSE_S)
