"""The behaviour suite for every instrument of a bench file: the lab's own, inside the limits of the file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labonn.benchfile import PortFile, read
from labonn.errors import BenchFileError
from labonn.sources import instrument_name
from labonn.testing.behaviour import DriverBehaviour


def suites_of(path: Path | str, **settings: Any) -> dict[str, type[DriverBehaviour]]:
    """Classes for pytest to collect, by name: `globals().update(suites_of("bench.toml"))`.

    Args:
        path: of a bench file whose links are those of the lab. settings: further attributes of the classes, such as `dwell_s`.

    Raises:
        BenchFileError: the file is wrong, or limits a channel each of a port of several instruments.
    """
    file = read(Path(path))
    made = {}
    for port in file.ports.values():
        for index in range(len(port.links)):
            name = "Test_" + "".join(c if c.isalnum() else "_" for c in instrument_name(port, index)).rstrip("_")
            made[name] = type(name, (DriverBehaviour,), {**_attributes(file.name, port, index), **settings})
    return made


def _attributes(file: str, port: PortFile, index: int) -> Mapping[str, Any]:
    if len(port.links) > 1 and (isinstance(port.lower, list) or isinstance(port.upper, list)):
        raise BenchFileError(f"{file}: ports.{port.name}: of several instruments; the suite wants one limit for all of their channels")
    options = {key: value for key, value in dataclasses.asdict(port.options).items() if value is not None}
    return {"driver": port.driver_name, "options": options, "lower": port.lower, "upper": port.upper, "link": port.links[index]}
