"""Opens the ports of a bench file, on real links or on a simulated bench; all or nothing."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from labonn.benchfile import BenchFile, PortFile
from labonn.channels import ChannelSpec
from labonn.clock import Clock
from labonn.devices import Actuator, Trigger
from labonn.errors import BenchFileError, DesyncError, LabonnError
from labonn.faults import Fault
from labonn.filelines import with_lines
from labonn.joined import JoinedActuator, JoinedDetector, every
from labonn.recovery import ReturningLink
from labonn.sharing import LinkOf
from labonn.sources import DryRun, SdkCalls, check_links, idealised, instrument_name, source_of, world_of

__all__ = ["DryRun", "Opened", "open_ports"]


@dataclass
class Opened:
    """Everything that opening made and closing must end.

    Attributes:
        devices, specs: by port. links: all of them. clock: the bench's. simulated: the simulated bench or tape, if it is one.
        endings: what else there is to end, last. earlier: exchanges of earlier sessions of the run.
        world: "" for the lab, which simulated bench and seed it is, or None for a tape, which may have been either.
    """

    devices: dict[str, Any]
    specs: dict[str, ChannelSpec]
    links: list[Any]
    clock: Clock
    simulated: Any = None
    endings: list[Any] = field(default_factory=list)
    earlier: int = 0
    world: str | None = ""

    @property
    def exchanges(self) -> int:
        """Requests sent so far over all links."""
        return self.earlier + int(sum(link.exchanges for link in self.links))

    def refault(self, faults: Iterable[Fault]) -> None:
        """From now on the simulated bench has these faults, and none that were to come."""
        if hasattr(self.simulated, "calm"):
            self.simulated.calm()
        for fault in faults:
            self.simulated.inject(fault)

    def close(self) -> None:
        """Close devices, then the simulated bench, then the tape."""
        try:
            every(list(self.devices.values()), lambda d: d.close())
        finally:
            every([ending for ending in (self.simulated, *self.endings) if ending is not None], lambda ending: ending.close())


def open_port(file: BenchFile, port: PortFile, link_of: LinkOf) -> tuple[Any, ChannelSpec, list[Any]]:
    """(device, tightened spec, links) of one port; identified and read, nothing changed."""
    links: list[Any] = []
    try:
        devices = [open_instrument(port, index, link_of, links) for index in range(len(port.links))]
        return *joined(file, port, devices), links
    except BaseException as problem:
        with noted(problem):
            every(links, lambda link: link.close())
        raise


def open_instrument(port: PortFile, index: int, link_of: LinkOf, links: list[Any]) -> Any:
    """The device behind one link of a port, identified and read; its link goes to `links` as soon as it is open."""
    name = instrument_name(port, index)
    try:
        link = link_of(port, index)
        links.append(link if hasattr(link, "exchanges") else SdkCalls(link))
        if not port.reconnect and not hasattr(link, "reconnect"):
            return port.driver(links[-1], port.options, name)
        returning = ReturningLink(link, port, index, name)
        links[-1] = returning
        returning.carry(identified(port, returning, name, hasattr(link, "exchange")))
        return returning.device
    except LabonnError as problem:
        raise located(name, problem) from problem


def identified(port: PortFile, link: Any, name: str, twice: bool) -> Any:
    """The driver on this link.

    Args:
        twice: read what it believes for as long as it is open twice, from an instrument whose replies have no checksums.

    Raises:
        DesyncError: it was told two things: one of the replies was garbled on its way.
    """
    first = port.driver(link, port.options, name)
    if not twice:
        return first
    second = port.driver(link, port.options, name)
    if first.identity != second.identity:
        raise DesyncError(f"{name}: asked twice, it is {first.identity!r} and {second.identity!r}: a reply was garbled on its way")
    bounds = [[spec.lower, spec.upper, spec.step, [len(spec), spec.depth]] for spec in (first.spec, second.spec)]
    if not all(np.array_equal(one, two) for one, two in zip(*bounds, strict=True)):
        raise DesyncError(f"{name}: asked twice, {first.identity} has two different limits: a reply was garbled on its way")
    return second


def joined(file: BenchFile, port: PortFile, devices: list[Any]) -> tuple[Any, ChannelSpec]:
    """(one device for a port of one or several instruments, its tightened spec).

    Raises:
        BenchFileError: the port is to be the trigger and cannot, or its limits do not fit the instruments.
    """
    device = devices[0] if len(devices) == 1 else (JoinedActuator if isinstance(devices[0], Actuator) else JoinedDetector)(devices)
    try:
        if port.role == "trigger" and not isinstance(device, Trigger):
            several = "" if len(devices) == 1 else " as one of several instruments of a port"
            able = [name for name, one in file.ports.items() if hasattr(one.driver, "fire") and len(one.links) == 1]
            told = f"the driver {port.driver_name!r} cannot trigger{several}; ports that can: {', '.join(able) or 'none'}"
            raise BenchFileError(f'{file.name}: ports.{port.name}.role = "trigger": {told}')
        return device, tightened(file, port, device.spec)
    except BenchFileError as problem:
        raise BenchFileError(with_lines(file.text, str(problem))) from problem


@contextlib.contextmanager
def noted(problem: BaseException) -> Iterator[None]:
    """Trouble in here must not hide the trouble that led here: it becomes a note."""
    try:
        yield
    except Exception as another:
        for note in (str(another) or type(another).__name__, *getattr(another, "__notes__", ())):
            problem.add_note(note)


def _recorded(path: Path, file: BenchFile, link_of: LinkOf, opened: Opened) -> LinkOf:
    """`link_of` with everything that passes written on a tape, and the bench's clock too."""
    from labonn.tapes.recording import RecordedClock, Recorder
    from labonn.versions import versions

    tape = Recorder(path, file.name, versions(), opened.clock)
    opened.clock = RecordedClock(tape, opened.clock)
    opened.endings.append(tape)
    return lambda port, index: tape.link(port, index, link_of(port, index))


def open_ports(
    file: BenchFile, dry_run: DryRun | None, record: Path | None = None, replay: Path | None = None,
    watch: Callable[[LinkOf], LinkOf] | None = None,
) -> Opened:  # fmt: skip
    """Open all ports at the same time.

    Args:
        record: a new file for a tape of every exchange. replay: the tape that answers in place of instruments.
        watch: wraps what makes links, to see what passes.

    Raises:
        LabonnError: every port that failed, one a line; those that did open are made safe and closed again.
    """
    if dry_run is not None:
        check_links(file)
        file = idealised(file) if dry_run.ideal else file
    link_of, clock, simulated = source_of(file, dry_run, replay)
    opened = Opened({}, {}, [], clock, simulated, world=world_of(file, dry_run, replay))
    tasks: dict[str, Future[tuple[Any, ChannelSpec, list[Any]]]] = {}
    try:
        if record is not None:
            link_of = _recorded(record, file, link_of, opened)
        if watch is not None:
            link_of = watch(link_of)
        try:
            with ThreadPoolExecutor(max_workers=len(file.ports), thread_name_prefix="open") as pool:
                tasks.update((name, pool.submit(open_port, file, port, link_of)) for name, port in file.ports.items())
        finally:  # whatever ended it, what did open must be known
            for name, task in tasks.items():
                if task.exception() is None:
                    opened.devices[name], opened.specs[name], links = task.result()
                    opened.links += links
        _raise_failed({name: problem for name, task in tasks.items() if (problem := task.exception()) is not None})
    except BaseException as problem:
        with noted(problem):
            every([d for d in opened.devices.values() if isinstance(d, Actuator)], lambda d: d.safe())
        with noted(problem):
            opened.close()
        raise
    return opened


def _raise_failed(failed: dict[str, BaseException]) -> None:
    """One error for all ports that failed; one that was not raised on purpose goes first, as it is."""
    for problem in failed.values():
        if not isinstance(problem, LabonnError):
            raise problem
    told = [located(name, problem) for name, problem in failed.items() if isinstance(problem, LabonnError)]
    if told:
        raise told[0] if len(told) == 1 else type(told[0])("\n".join(map(str, told)))


def located(port: str, problem: LabonnError) -> LabonnError:
    """The problem, with the port's name in its message."""
    named = re.search(rf"(^|ports\.){re.escape(port)}(?!\w)", str(problem))
    return problem if named else type(problem)(f"{port}: {problem}")


def tightened(file: BenchFile, port: PortFile, spec: ChannelSpec) -> ChannelSpec:
    """`spec` with the bench file's limits of the port.

    Raises:
        BenchFileError: they are of another unit, too few or too many, widen the driver's, or contradict each other.
    """
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
