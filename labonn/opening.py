"""Opens the ports of a bench file, on real links or on a simulated bench; all or nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from labonn.benchfile import BenchFile, PortFile
from labonn.channels import ChannelSpec
from labonn.clock import Clock, RealClock, SimulatedClock
from labonn.devices import Actuator, Trigger
from labonn.errors import BenchFileError, ConnectError, LabonnError, LinkError
from labonn.joined import JoinedActuator, JoinedDetector, every
from labonn.links import AnyLink, connect
from labonn.registry import load


@dataclass(frozen=True)
class DryRun:
    """How a dry run wants its simulated bench."""

    ideal: bool = False
    seed: int | None = None
    real_time: bool = False
    served: bool = False


@dataclass
class Opened:
    """Everything that opening made and closing must end."""

    devices: dict[str, Any]
    specs: dict[str, ChannelSpec]
    links: list[AnyLink]
    clock: Clock
    simulated: Any = None

    @property
    def exchanges(self) -> int:
        """Requests sent so far over all links."""
        return sum(link.exchanges for link in self.links)

    def close(self) -> None:
        """Close devices, then the simulated bench."""
        try:
            every(list(self.devices.values()), lambda d: d.close())
        finally:
            if self.simulated is not None:
                self.simulated.close()


def source_of(file: BenchFile, dry_run: DryRun | None) -> tuple[Callable[[PortFile, int], AnyLink], Clock, Any]:
    """What makes links: the file's URLs, or a simulated bench; with its clock, and the simulated bench to close."""
    if dry_run is None:
        return lambda port, index: _real_link(port, index), RealClock(), None
    name = file.simulation.get("bench")
    if not isinstance(name, str):
        raise BenchFileError(f"{file.name}: simulation.bench = {name!r}: a dry run needs the name of a simulated bench")
    clock = SimulatedClock(time.sleep if dry_run.real_time else None)
    factory = load("labonn.benches", name, BenchFileError, f"{file.name}: simulation.bench")
    simulated = factory(file, clock, ideal=dry_run.ideal, seed=dry_run.seed)
    if dry_run.served:
        return lambda port, index: _served_link(simulated, port, index), clock, simulated
    return lambda port, index: connect(f"sim://{port.name}/{index}", simulated.link), clock, simulated


def idealised(file: BenchFile) -> BenchFile:
    """The file with every converter at as many bits as its protocol can carry (the driver's `most_bits`)."""
    ports = {
        name: replace(port, options=replace(port.options, bits=port.driver.most_bits)) if hasattr(port.driver, "most_bits") else port
        for name, port in file.ports.items()
    }
    return replace(file, ports=ports)


class SdkCalls:
    """An instrument's function table that counts its calls, as links count their exchanges."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self.exchanges = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._table, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self.exchanges += 1
            return found(*args, **kwargs)

        self.__dict__[name] = call
        return call


def open_port(file: BenchFile, port: PortFile, link_of: Callable[[PortFile, int], AnyLink]) -> tuple[Any, ChannelSpec, list[AnyLink]]:
    """(device, tightened spec, links) of one port; identified and read, nothing changed."""
    links: list[AnyLink] = []
    try:
        devices = []
        for index in range(len(port.links)):
            link = link_of(port, index)
            links.append(link if hasattr(link, "exchanges") else SdkCalls(link))
            devices.append(port.driver(links[-1], port.options, port.name))
        device = devices[0] if len(devices) == 1 else (JoinedActuator if isinstance(devices[0], Actuator) else JoinedDetector)(devices)
        if port.role == "trigger" and not isinstance(device, Trigger):
            raise BenchFileError(f'{file.name}: ports.{port.name}.role = "trigger": the driver {port.driver_name!r} cannot trigger')
        return device, _tightened(file, port, device.spec), links
    except BaseException:
        every(links, lambda link: link.close())
        raise


def open_ports(file: BenchFile, dry_run: DryRun | None) -> Opened:
    """Open all ports at the same time.

    Raises:
        LabonnError: every port that failed, one a line; those that did open are closed again.
    """
    if dry_run is not None and dry_run.ideal:
        file = idealised(file)
    link_of, clock, simulated = source_of(file, dry_run)
    opened = Opened({}, {}, [], clock, simulated)
    failed: list[LabonnError] = []
    try:
        with ThreadPoolExecutor(max_workers=len(file.ports)) as pool:
            tasks = {name: pool.submit(open_port, file, port, link_of) for name, port in file.ports.items()}
        for name, task in tasks.items():
            problem = task.exception()
            if problem is None:
                opened.devices[name], opened.specs[name], links = task.result()
                opened.links += links
            elif isinstance(problem, LabonnError):
                failed.append(_at(name, problem))
            else:
                raise problem
        if failed:
            raise failed[0] if len(failed) == 1 else type(failed[0])("\n".join(map(str, failed)))
    except BaseException:
        opened.close()
        raise
    return opened


def _at(port: str, problem: LabonnError) -> LabonnError:
    return problem if port in str(problem) else type(problem)(f"{port}: {problem}")


def _tightened(file: BenchFile, port: PortFile, spec: ChannelSpec) -> ChannelSpec:
    lower, upper = port.limits(spec.unit, len(spec), file.name)
    for key, wanted, bound, sign in (("lower", lower, spec.lower, 1), ("upper", upper, spec.upper, -1)):
        for channel, value in enumerate(wanted or ()):
            if sign * value < sign * bound[channel] - 1e-12:
                raise BenchFileError(
                    f"{file.name}: ports.{port.name}.{key} = {value:g} {spec.unit} widens the driver's limit of "
                    f"{bound[channel]:g} {spec.unit} ({spec.names[channel]}); a bench file may only tighten"
                )
    tight = spec.tighten(lower, upper, file.name)
    if not (tight.lower <= tight.upper).all():
        raise BenchFileError(f"{file.name}: ports.{port.name}: lower is above upper")
    return tight


def _real_link(port: PortFile, index: int) -> AnyLink:
    url = port.links[index]
    try:
        return port.driver.load_sdk(url) if hasattr(port.driver, "load_sdk") else connect(url, **port.driver.link_options)
    except (ConnectError, LinkError) as problem:
        raise type(problem)(f"{port.name}: {problem}; to try without instruments add --dry-run") from problem


def _served_link(simulated: Any, port: PortFile, index: int) -> AnyLink:
    url = simulated.serve(port.name, index)
    return simulated.link(f"{port.name}/{index}") if url is None else connect(url, **port.driver.link_options)
