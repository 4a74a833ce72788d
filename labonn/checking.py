"""Opens every instrument of a bench, identifies it, reads its limits and lets go of it; sets nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from labonn.benchfile import BenchFile, PortFile, read
from labonn.channels import ChannelSpec, Floats
from labonn.clock import RealClock
from labonn.errors import BenchFileError, DesyncError, InstrumentError, LabonnError, LinkError, LinkTimeoutError
from labonn.filelines import with_lines
from labonn.opening import DryRun, joined, located, open_instrument, tightened
from labonn.protection import Protection
from labonn.sharing import LinkOf
from labonn.sources import check_links, idealised, instrument_name, source_of
from labonn.trouble import file_problems, twins_noted, whose
from labonn.units import format_quantity, format_rate


@dataclass(frozen=True)
class CheckRow:
    """What was found at one link.

    Attributes:
        port: its name, with the number of the instrument where the port has several. driver, link: as in the bench file.
        identity: what the instrument calls itself; "" if it was not reached. channels, unit, depth: of its spec.
        lower, upper: limits, the tightest of driver and bench file: one number for all channels, or their span as text.
        error: what is wrong, or None. slew: units a second, as the limits; None: any.
        rules: joint limits and interlocks that name the port first, in words. role: "trigger" or "".
        note: what is worth a look, but not wrong; "" is nothing.
    """

    port: str
    driver: str
    link: str
    identity: str = ""
    channels: int = 0
    unit: str = ""
    lower: float | str | None = None
    upper: float | str | None = None
    depth: int = 0
    error: str | None = None
    slew: float | str | None = None
    rules: tuple[str, ...] = ()
    role: str = ""
    note: str = ""


@dataclass(frozen=True)
class _Found:
    """A device that was opened and closed again, or why it was not."""

    device: Any = None
    problem: Exception | None = None


def check_bench(path: Path | str, dry_run: bool = False, ideal: bool = False, seed: int | None = None) -> list[CheckRow]:
    """A row for every link of the bench file, all tried at the same time; what fails at one hides none of the others.

    Args:
        path: the bench file. dry_run, ideal, seed: as in `Bench.open`.

    Raises:
        BenchFileError: the file itself is wrong, or has no simulated bench for a dry run.
    """
    file = read(Path(path))
    if dry_run:
        check_links(file)
    if dry_run and ideal:
        file = idealised(file)
    link_of, _, simulated = source_of(file, DryRun(ideal, seed) if dry_run else None)
    try:
        with ThreadPoolExecutor(max_workers=sum(len(port.links) for port in file.ports.values())) as pool:
            tasks = {n: [pool.submit(_found, p, i, link_of) for i in range(len(p.links))] for n, p in file.ports.items()}
    finally:
        if simulated is not None:
            simulated.close()
    results = {name: [task.result() for task in found] for name, found in tasks.items()}
    rows = {name: _rows(file, file.ports[name], found) for name, found in results.items()}
    if not any(row.error for some in rows.values() for row in some):
        _add_rules(file, results, rows)
    found_rows = twins_noted([row for some in rows.values() for row in some])
    return found_rows if dry_run or all(row.error is None for row in found_rows) else _explained(file, results, found_rows)


def _explained(file: BenchFile, results: Mapping[str, Sequence[_Found]], rows: Sequence[CheckRow]) -> list[CheckRow]:
    """Rows with errors, told further: what is wrong in the file besides, and where an instrument belongs that is another one."""
    own = file_problems(file)
    found = [one for some in results.values() for one in some]
    explained = []
    for row, one in zip(rows, found, strict=True):
        told = [row.error] if row.error else []
        if isinstance(one.problem, LinkError):
            told += own.get(row.port.partition("[")[0], [])
        if isinstance(one.problem, (InstrumentError, DesyncError, LinkTimeoutError)):
            told += whose(file, row.port.partition("[")[0], row.link)
        explained.append(replace(row, error="\n".join(told) or None))
    return explained


def _add_rules(file: BenchFile, results: Mapping[str, Sequence[_Found]], rows: Mapping[str, list[CheckRow]]) -> None:
    """What the bench file says of several ports, and what it watches: in the first row of the port that is named first."""
    ports = {name: joined(file, file.ports[name], [f.device for f in found]) for name, found in results.items()}
    devices, specs = ({name: pair[which] for name, pair in ports.items()} for which in (0, 1))
    told: dict[str, list[str]] = {name: [] for name in ports}
    for number, limit in enumerate(file.limits):
        told[limit.ports[0].partition("/")[0]].append(f"limits[{number}]: {limit}")
    for number, interlock in enumerate(file.interlocks):
        told[interlock.port].append(f"interlocks[{number}]: {interlock}")
    try:
        slews = Protection(file, devices, specs, RealClock()).slews
    except BenchFileError as problem:
        first = next((name for name in ports if f"'{name}'" in str(problem) or f"ports.{name}." in str(problem)), next(iter(ports)))
        rows[first][0] = replace(rows[first][0], error=with_lines(file.text, str(problem)))
        return
    for name, some in rows.items():
        some[0] = replace(some[0], rules=tuple(told[name]))
        some[:] = [replace(row, slew=_one(slews[name].rates, row.unit, format_rate)) if name in slews else row for row in some]


def _found(port: PortFile, index: int, link_of: LinkOf) -> _Found:
    links: list[Any] = []
    device: Any = None
    try:
        try:
            device = open_instrument(port, index, link_of, links)
        finally:
            for holder in (device,) if device is not None else links:
                holder.close()
    except Exception as problem:
        return _Found(device, problem)
    return _Found(device)


def _rows(file: BenchFile, port: PortFile, found: Sequence[_Found]) -> list[CheckRow]:
    """Rows of one port; what the bench file says of all its channels can be checked only if all of them are known."""
    wrong: Exception | None = None
    parts: list[ChannelSpec | None] = [None if f.device is None else f.device.spec for f in found]
    try:
        if all(f.problem is None for f in found):
            _, spec = joined(file, port, [f.device for f in found])
            edges = np.cumsum([0, *(len(f.device.spec) for f in found)])
            parts = [_part(f.device.spec, spec, slice(int(a), int(b))) for f, a, b in zip(found, edges, edges[1:], strict=False)]
        elif not isinstance(port.lower, list) and not isinstance(port.upper, list):
            parts = [None if part is None else tightened(file, port, part) for part in parts]
    except LabonnError as problem:
        wrong = problem
    return [_row(port, i, f, part, f.problem or wrong) for i, (f, part) in enumerate(zip(found, parts, strict=True))]


def _part(own: ChannelSpec, whole: ChannelSpec, part: slice) -> ChannelSpec:
    return own.tighten(whole.lower[part], whole.upper[part], "")


def _row(port: PortFile, index: int, found: _Found, spec: ChannelSpec | None, problem: Exception | None) -> CheckRow:
    row = CheckRow(instrument_name(port, index), port.driver_name, port.links[index], error=_told(port.name, problem), role=port.role or "")
    if spec is None:
        return row
    lower, upper = (_one(bound, spec.unit) for bound in (spec.lower, spec.upper))
    return replace(
        row, identity=found.device.identity, channels=len(spec), unit=spec.unit, lower=lower, upper=upper, depth=spec.depth
    )  # fmt: skip


def _told(port: str, problem: Exception | None) -> str | None:
    if problem is None:
        return None
    return str(located(port, problem)) if isinstance(problem, LabonnError) else f"{port}: {type(problem).__name__}: {problem}"


def _one(bound: Floats, unit: str, text: Callable[[float, str], str] = format_quantity) -> float | str:
    low, high = float(bound.min()), float(bound.max())
    return low if low == high else f"{text(low, unit)} … {text(high, unit)}"
