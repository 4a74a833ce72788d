"""Where a bench's links come from: the URLs of its file, a simulated bench, or a tape."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from labonn.benchfile import BenchFile, PortFile
from labonn.clock import Clock, RealClock, SimulatedClock
from labonn.errors import BenchFileError, ConnectError, LinkError
from labonn.faults import Fault
from labonn.filelines import with_lines
from labonn.idealising import BITS, spared
from labonn.links import AnyLink, check_kind, connect
from labonn.registry import load
from labonn.sharing import LinkOf, SharedLinks

LINES = ("serial", "tcp", "visa")
LINKS = (*LINES, "zmq", "slmpynet")  # a driver with an SDK has kinds of its own


@dataclass(frozen=True)
class DryRun:
    """How a dry run wants its simulated bench."""

    ideal: bool = False
    seed: int | None = None
    real_time: bool = False
    served: bool = False
    faults: tuple[Fault, ...] = ()


def instrument_name(port: PortFile, index: int) -> str:
    """The port, and which of its instruments if it has several."""
    return port.name if len(port.links) == 1 else f"{port.name}[{index}]"


def source_of(file: BenchFile, dry_run: DryRun | None, replay: Path | None = None) -> tuple[LinkOf, Clock, Any]:
    """What makes links: the file's URLs, a simulated bench, or a tape; with its clock, and the simulated bench or tape to close.

    Raises:
        BenchFileError: a dry run of a file without a simulated bench.
    """
    if replay is not None:
        from labonn.tapes.replaying import Tape

        tape = Tape(replay)
        return lambda port, index: tape.link(port.name, index), tape.clock(), tape
    if dry_run is None:
        return SharedLinks(file.ports, _real_link).link, RealClock(), None
    name = file.simulation.get("bench")
    if not isinstance(name, str):
        raise BenchFileError(f"{file.name}: simulation.bench = {name!r}: a dry run needs the name of a simulated bench")
    clock = SimulatedClock(time.sleep if dry_run.real_time else None)
    factory = load("labonn.benches", name, BenchFileError, f"{file.name}: simulation.bench")
    simulated = factory(file, clock, ideal=dry_run.ideal, seed=dry_run.seed)
    try:
        for fault in dry_run.faults:
            simulated.inject(fault)
    except BaseException:
        simulated.close()
        raise
    if dry_run.served:
        return SharedLinks(file.ports, lambda port, index: _served_link(simulated, port, index)).link, clock, simulated
    return SharedLinks(file.ports, lambda port, index: connect(f"sim://{port.name}/{index}", simulated.link)).link, clock, simulated


def world_of(file: BenchFile, dry_run: DryRun | None, replay: Path | None = None) -> str | None:
    """What is measured in one world does not hold in another: "" in the lab, else which simulated bench; None for a tape of either."""
    if replay is not None:
        return None
    if dry_run is None:
        return ""
    seed = file.simulation.get("seed", 0) if dry_run.seed is None else dry_run.seed
    return f"simulated bench {file.simulation.get('bench')}, seed {seed}{', ideal' if dry_run.ideal else ''}"


def idealised(file: BenchFile) -> BenchFile:
    """The file with every converter at as many bits as its protocol can carry (the driver's `most_bits`), if it does not spare `bits`."""
    if BITS in spared(file):
        return file
    ports = {
        name: replace(port, options=replace(port.options, bits=port.driver.most_bits)) if hasattr(port.driver, "most_bits") else port
        for name, port in file.ports.items()
    }
    return replace(file, ports=ports)


def link_options(port: PortFile) -> dict[str, Any]:
    """What the driver wants of a link; nothing where it has a function table."""
    return dict(getattr(port.driver, "link_options", {}))


class SdkCalls:
    """An instrument's function table that counts its calls, as links count their exchanges."""

    unsaved = ("_calls",)

    def __init__(self, table: Any) -> None:
        self._table = table
        self.exchanges = 0

    def __getattr__(self, name: str) -> Any:
        calls = self.__dict__.setdefault("_calls", {})
        if name in calls:
            return calls[name]
        found = getattr(self._table, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self.exchanges += 1
            return found(*args, **kwargs)

        calls[name] = call
        return call


def _real_link(port: PortFile, index: int) -> AnyLink:
    url = port.links[index]
    check_speaks(port, url)
    try:
        taped = url.startswith("replay://")
        return port.driver.load_sdk(url) if hasattr(port.driver, "load_sdk") and not taped else connect(url, **link_options(port))
    except (ConnectError, LinkError) as problem:
        raise type(problem)(f"{problem}; to try without instruments add --dry-run") from problem


def check_links(file: BenchFile) -> None:
    """Of a dry run, which connects to none of them: whether there are links of these kinds, and drivers that speak over them.

    Raises:
        BenchFileError: all that are wrong, with their lines.
    """
    problems = []
    for port in file.ports.values():
        for url in port.links:
            try:
                check_speaks(port, url)
                if not hasattr(port.driver, "load_sdk"):
                    check_kind(url, misspelt=True)  # a bench file may keep the links of a driver that another stands in for
            except BenchFileError as problem:
                problems.append(f"{file.name}: {problem}")
            except ConnectError as problem:
                problems.append(f"{file.name}: ports.{port.name}.link: {problem}")
    if problems:
        raise BenchFileError("\n".join(with_lines(file.text, problem) for problem in problems))


def check_speaks(port: PortFile, url: str) -> None:
    """Raise BenchFileError if the link is of a kind that the driver cannot speak over: it would fail with its first word."""
    scheme, transport = url.partition("://")[0], getattr(port.driver, "transport", "")
    wanted = LINES if transport in LINES else (transport,) if transport in LINKS else ()
    if wanted and scheme in LINKS and scheme not in wanted:
        told = f"{port.driver_name!r} speaks over {' or '.join(f'{one}://' for one in wanted)}, not over {scheme}://"
        raise BenchFileError(f"ports.{port.name}.link: {url}: {told}")


def _served_link(simulated: Any, port: PortFile, index: int) -> AnyLink:
    url = simulated.serve(port.name, index)
    return simulated.link(f"{port.name}/{index}") if url is None else connect(url, **port.driver.link_options)
