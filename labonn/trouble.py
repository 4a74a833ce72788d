"""What else can be said when an instrument does not answer as it should: what the file alone gets wrong, and who it is that answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from labonn.benchfile import BenchFile, parse
from labonn.clock import RealClock
from labonn.errors import BenchFileError, LabonnError
from labonn.filelines import with_lines
from labonn.opening import DryRun, open_port
from labonn.planned.world import lit
from labonn.protection import Protection
from labonn.sources import source_of

AnyRow = TypeVar("AnyRow", bound=Any)  # a CheckRow


def file_problems(file: BenchFile) -> dict[str, list[str]]:
    """Port -> what its part of the file gets wrong by the driver's own limits and units, which emulators tell without the instrument."""
    made = parse(lit(file.text, file.name)[0], file.name)
    link_of, _, simulated = source_of(made, DryRun())
    found: dict[str, list[str]] = {}
    devices: dict[str, Any] = {}
    specs: dict[str, Any] = {}
    try:
        for name, port in made.ports.items():
            try:
                devices[name], specs[name], _ = open_port(made, port, link_of)
            except LabonnError as problem:
                if isinstance(problem, BenchFileError) and str(problem).startswith(f"{file.name}: "):
                    found[name] = [str(problem)]
        if len(devices) == len(made.ports):
            _protected(made, devices, specs, found)
    finally:
        simulated.close()
    return found


def _protected(file: BenchFile, devices: Mapping[str, Any], specs: Mapping[str, Any], found: dict[str, list[str]]) -> None:
    """Slew and joint limits and interlocks, which name several ports: told with the first port that they name."""
    try:
        Protection(file, devices, specs, RealClock())
    except BenchFileError as problem:
        for line in with_lines(file.text, str(problem)).splitlines():
            name = next((port for port in file.ports if f"'{port}'" in line or f"ports.{port}." in line), next(iter(file.ports)))
            found.setdefault(name, []).append(line)


def whose(file: BenchFile, port: str, link: str) -> list[str]:
    """Who answers at `link` in place of the port's instrument, and which port of the file that would be."""
    from labonn.discovering import whois

    others = {one.driver_name: one.driver for name, one in file.ports.items() if name != port}
    known = whois(link, others)
    if known is None or not known.drivers:
        return []
    fitting = [name for name, one in file.ports.items() if name != port and one.driver_name in known.drivers]
    return [f"{port}: {known.identity} answers there, which would fit {' or '.join(fitting)}: are two links swapped?"]


def twins_noted(rows: Sequence[AnyRow]) -> list[AnyRow]:
    """Rows with a note where two links, not one shared by two sides, lead to what says that it is the same instrument."""
    noted = []
    for row in rows:
        twins = [other.port for other in rows if row.identity and other.identity == row.identity and other.link != row.link]
        alike = f"{' and '.join(twins)} identified as the same instrument: two of them, or one with two links?" if twins else ""
        noted.append(replace(row, note=alike))
    return noted
