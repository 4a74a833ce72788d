"""The emulated instruments of a bench file, by port; linked in process or served on loopback."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from zmq import ZMQError

from labonn.benchfile import BenchFile, PortFile, shared_urls
from labonn.clock import Clock
from labonn.errors import BenchFileError, ConnectError, LabonnError
from labonn.faults import Fault
from labonn.links import AnyLink
from labonn.registry import load
from sim_backends.faults import Faulty, wire_of
from sim_backends.messagelinks import SimulatedMessageLink, ZmqServer
from sim_backends.served import serve_pty, serve_tcp
from sim_backends.simlinks import SimulatedLink
from sim_backends.slmpylinks import simulated_link


@dataclass(frozen=True)
class StandIn:
    """What a port will be, known from its file alone: number of channels, and an SLM's shape."""

    count: int
    shape: tuple[int, int] | None

    def __len__(self) -> int:
        return self.count


class _OwnTime:
    """Moves an instrument's own time on while the bench waits; its exchanges move both."""

    def __init__(self, emulator: Any, clock: Clock) -> None:
        self._emulator, self._clock = emulator, clock
        self._seen_s, self._spent_s = clock.now(), 0.0
        self._wire_s, emulator.wire_s = emulator.wire_s, self._spend

    def _spend(self, sent: int, received: int) -> float:
        seconds = float(self._wire_s(sent, received))
        self._spent_s += seconds
        return seconds

    def catch_up(self) -> None:
        """As much time as has passed for the bench since, and not yet for the instrument."""
        now = self._clock.now()
        self._emulator.time_s += max(0.0, now - self._seen_s - self._spent_s)
        self._seen_s, self._spent_s = now, 0.0


class Instruments:
    """One emulator a link; two ports that are sides of one instrument have the same.

    Attributes:
        wires: between the emulators that have faults and whoever uses them.

    Raises:
        BenchFileError: a driver has no emulator of its name, or the emulator refuses the port's options.
    """

    def __init__(self, file: BenchFile, clock: Clock, seed: int) -> None:
        self._file, self._clock = file, clock
        self._emulators: dict[str, list[Any]] = {}
        self._servers: dict[int, Any] = {}
        self.wires: list[Faulty] = []
        self._times: list[_OwnTime] = []
        self.talks = 0  # with byte instruments so far; while it stands still, so do they
        shared = shared_urls(file.ports)
        made: dict[str, Any] = {}
        for name, port in file.ports.items():
            factory = load("labonn.emulators", port.driver_name, BenchFileError, f"{file.name}: ports.{name}.driver")
            try:
                for index, url in enumerate(port.links):
                    if url not in made:
                        own = zlib.crc32(f"{seed}/{name}/{index}".encode())
                        made[url] = factory.for_port(_options(shared.get(url, [port])), _channels(port), own)
                        self._count(made[url])
                self._emulators[name] = [made[url] for url in port.links]
            except ValueError as problem:
                raise BenchFileError(f"{file.name}: ports.{name}: {problem}") from None

    def _count(self, emulator: Any) -> None:
        if hasattr(emulator, "passes"):
            emulator.passes = self._clock.wait
        if hasattr(emulator, "feed"):
            feed, own = emulator.feed, None
            if hasattr(emulator, "time_s"):
                own = _OwnTime(emulator, self._clock)
                self._times.append(own)

            def counted(data: bytes) -> bytes:
                self.talks += 1
                if own is not None:
                    own.catch_up()
                return bytes(feed(data))

            emulator.feed = counted

    def catch_up(self) -> None:
        """Let the bench's time pass for instruments that have a time of their own."""
        for own in self._times:
            own.catch_up()

    def inject(self, fault: Fault) -> None:
        """Let an instrument, or all of a port, have this fault; without a port the only instrument.

        Raises:
            LabonnError: no such instrument, or it cannot have such a fault.
        """
        names = [fault.port] if fault.port is not None else list(self._emulators)
        if len(names) != 1 or names[0] not in self._emulators:
            told = f"no port {fault.port!r}" if fault.port is not None else "whose is it?"
            raise LabonnError(f"fault {fault.text!r}: {told}; PORT:{fault.kind}, where PORT is one of {', '.join(self._emulators)}")
        emulators = self._emulators[names[0]]
        if fault.index is not None and fault.index >= len(emulators):
            raise LabonnError(f"fault {fault.text!r}: {names[0]} has instruments 0 to {len(emulators) - 1}")
        for emulator in emulators if fault.index is None else [emulators[fault.index]]:
            wire = next((wire for wire in self.wires if wire.emulator is emulator), None)
            if wire is None:
                wire = wire_of(names[0], emulator, self._clock)
                self.wires.append(wire)
            wire.add(fault)

    def calm(self) -> None:
        """No fault that has not struck yet is to strike any more."""
        for wire in self.wires:
            wire.calm()

    def of(self, port: str) -> list[Any]:
        """The emulators of a port, in the order of its links; none if the bench has no such port."""
        return self._emulators.get(port, [])

    def values(self, port: str, attribute: str) -> NDArray[Any]:
        """An array attribute of all emulators of a port, side by side: the channels that the port uses."""
        options = self._file.ports[port].options
        first, count = int(getattr(options, "first", 0)), _channels(self._file.ports[port])
        return np.concatenate([getattr(emulator, attribute)[first : first + count] for emulator in self._emulators[port]])

    def channels(self, port: str) -> int:
        """Channels that the port uses of each of its instruments."""
        return _channels(self._file.ports[port])

    def stand_ins(self) -> dict[str, StandIn]:
        """Sizes of all ports."""
        return {n: StandIn(_channels(p) * len(p.links), getattr(p.options, "shape", None)) for n, p in self._file.ports.items()}

    def panels(self) -> list[tuple[int, tuple[int, int]]]:
        """(bits, pixels (rows, columns)) of every weights port."""
        found: list[tuple[int, tuple[int, int]]] = []
        while (port := self._file.ports.get(f"weights{len(found) + 1}")) is not None:
            height, width = port.options.panel
            found.append((int(port.options.bits), (int(height), int(width))))
        return found

    def link(self, name: str) -> AnyLink:
        """The in-process link "port/index": messages, bytes, or the function table itself."""
        port, _, index = name.rpartition("/")
        try:
            emulator = self._emulators[port][int(index)]
        except (KeyError, ValueError, IndexError):
            raise ConnectError(f"sim://{name}: the simulated bench has no such instrument") from None
        if hasattr(emulator, "handle_parts"):
            return SimulatedMessageLink(emulator, self._clock, f"sim://{name}")
        if self._file.ports[port].driver.transport == "slmpynet":
            return simulated_link(emulator, self._clock, f"sim://{name}")
        if hasattr(emulator, "feed"):
            return SimulatedLink(emulator, self._clock, where=f"sim://{name}", **self._file.ports[port].driver.link_options)
        return emulator

    def serve(self, port: str, index: int, transport: str = "", number: int = 0) -> str | None:
        """URL of that instrument on a loopback socket or pty; None for one that has a function table instead of bytes.

        Args:
            transport: "tcp", "pty" or "zmq"; "": as the driver's. number: of the TCP port, 0 for any that is free.

        Raises:
            ConnectError: it does not speak over that transport, or the port is taken.
        """
        emulator, driver = self._emulators[port][index], self._file.ports[port].driver
        messages = hasattr(emulator, "handle_parts")
        if not messages and not hasattr(emulator, "feed"):
            return None
        kind = transport or ("zmq" if messages else "pty" if driver.transport == "serial" else "tcp")
        if messages != (kind == "zmq"):
            speaks = "messages: it is served by ZeroMQ" if messages else "bytes: it is served on a TCP port or a pty"
            raise ConnectError(f"{port}: this instrument takes {speaks}, not by {kind!r}")
        try:
            server: Any = self._servers.get(id(emulator)) or self._server(emulator, kind, number)
        except (OSError, ZMQError) as problem:
            raise ConnectError(f"{port}: cannot be served by {kind} on port {number} of this computer: {problem}") from None
        self._servers[id(emulator)] = server
        scheme, _, rest = str(server.url).partition("://")
        return f"slmpynet://{rest}" if driver.transport == "slmpynet" and kind == "tcp" else f"{scheme}://{rest}"

    def _server(self, emulator: Any, kind: str, number: int) -> Any:
        if kind == "zmq":
            return ZmqServer(emulator, self._clock, number)
        return serve_pty(emulator, self._clock) if kind == "pty" else serve_tcp(emulator, self._clock, port=number)

    def close(self) -> None:
        """Stop serving."""
        while self._servers:
            self._servers.popitem()[1].close()


def _options(sides: Sequence[PortFile]) -> dict[str, Any]:
    """Options of all ports that are sides of one instrument; of those with the same name the first port's."""
    return {key: value for port in reversed(sides) for key, value in dataclasses.asdict(port.options).items()}


def _channels(port: PortFile) -> int:
    """Channels of one instrument of the port, as its options say."""
    options = port.options
    shape = getattr(options, "shape", None)
    if shape is not None:
        return int(shape[0] * shape[1])
    return int(getattr(options, "channels", None) or getattr(options, "instances", None) or 1)
