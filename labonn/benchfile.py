"""Bench files: a bench written down in TOML, validated so that every error names file, key, value and what is allowed."""

from __future__ import annotations

import dataclasses
import difflib
import json
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labonn.errors import BenchFileError
from labonn.filelines import broken, with_lines
from labonn.interlocks import Interlock
from labonn.limitfile import JointLimit
from labonn.patience import GuardianSettings
from labonn.registry import load
from labonn.showing import Sheet, Shown
from labonn.showing.benches import file_sheet
from labonn.units import parse_quantity, parse_rate

PORT_KEYS = ("driver", "link", "lower", "upper", "role", "reconnect", "slew")
MOST_RECONNECTS = 100
TOP_KEYS = ("bench", "ports", "nominal", "simulation", "limits", "interlocks", "guardian")
LISTS = ("limits", "interlocks")


@dataclass(frozen=True)
class PortFile:
    """One port as the bench file has it.

    Attributes:
        driver, driver_name, options: its class and keys. links: URLs. lower, upper: tighter limits, numbers or quantities.
        role: "trigger" or None. reconnect: how often a broken connection is made again (labonn.recovery).
        slew: how fast it may change (labonn.slews).
    """

    name: str
    driver_name: str
    driver: Any
    links: tuple[str, ...]
    lower: Any
    upper: Any
    role: str | None
    options: Any
    reconnect: int = 0
    slew: Any = None

    def limits(self, unit: str, count: int, where: str) -> tuple[list[float] | None, list[float] | None]:
        """`lower` and `upper` in `unit`, one number a channel (or None where the file has none).

        Raises:
            BenchFileError: not a quantity in this unit, or as many as neither one nor `count`.
        """
        return _quantities(self.lower, unit, count, f"{where}: ports.{self.name}.lower"), _quantities(
            self.upper, unit, count, f"{where}: ports.{self.name}.upper"
        )

    def rates(self, unit: str, count: int, where: str) -> list[float] | None:
        """`slew` in `unit` a second, one number a channel; as `limits`."""
        return _quantities(self.slew, unit, count, f"{where}: ports.{self.name}.slew", parse_rate)


@dataclass(frozen=True, repr=False)
class BenchFile(Shown):
    """A validated bench file.

    Attributes:
        name: file name for messages. text: as read. ports: name -> PortFile, in the file's order.
        nominal: believed constants until a calibration measures them. simulation: read only in a dry run.
        limits: joint ones, of several channels. interlocks: what stops a run. guardian: how patient it is.
    """

    name: str
    text: str
    ports: Mapping[str, PortFile]
    nominal: Mapping[str, Any] = field(default_factory=dict)
    simulation: Mapping[str, Any] = field(default_factory=dict)
    limits: tuple[JointLimit, ...] = ()
    interlocks: tuple[Interlock, ...] = ()
    guardian: GuardianSettings = field(default_factory=GuardianSettings)

    def _sheet(self) -> Sheet:
        return file_sheet(self)


def read(path: Path) -> BenchFile:
    """The bench file at `path`.

    Raises:
        BenchFileError: no such file, not TOML, or anything wrong in it; all problems, one a line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BenchFileError(f"{path}: no such bench file") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise BenchFileError(f"{path}: cannot be read: {problem}") from None
    try:
        return parse(text, path.name)
    except BenchFileError as problem:
        raise BenchFileError(with_lines(text, str(problem))) from problem


def parse(text: str, name: str) -> BenchFile:
    """As `read`, from text; `name` stands in messages."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise BenchFileError(f"{name}: not TOML: {broken(text if name.endswith('.toml') else '', problem)}") from None
    problems: list[str] = [f"{name}: {p}" for p in unknown_keys(data, TOP_KEYS, "")]
    for key in (key for key in TOP_KEYS if key not in LISTS):
        if not isinstance(data.get(key, {}), dict):
            problems.append(f"{name}: {key}: a table is wanted, not {data[key]!r}")
            data[key] = {}
    if not data.get("ports"):
        problems.append(f"{name}: ports: a bench needs at least one [ports.NAME] table")
    ports: dict[str, PortFile] = {}
    for port, table in data.get("ports", {}).items():
        try:
            ports[port] = _port(port, table, name)
        except BenchFileError as problem:
            problems.append(str(problem))
    triggers = [port for port, table in data.get("ports", {}).items() if isinstance(table, dict) and table.get("role") == "trigger"]
    if data.get("ports") and len(triggers) != 1:
        able = [port for port, one in ports.items() if hasattr(one.driver, "fire")]
        can = f"{triggers}" if triggers else f"; these can: {', '.join(able)}" if able else ""
        problems.append(f'{name}: exactly one port must have role = "trigger", not {len(triggers)}{" " if triggers else ""}{can}')
    limits, interlocks = (_tables(data, key, cls, name, problems) for key, cls in zip(LISTS, (JointLimit, Interlock), strict=True))
    guardian = GuardianSettings()
    try:
        guardian = dataclass_from(GuardianSettings, data.get("guardian", {}), f"{name}: guardian")
    except BenchFileError as problem:
        problems.append(str(problem))
    if problems := problems or _wrongly_shared(ports, name):
        raise BenchFileError("\n".join(problems))
    return BenchFile(name, text, ports, data.get("nominal", {}), data.get("simulation", {}), limits, interlocks, guardian)


def _tables(data: Mapping[str, Any], key: str, cls: Any, file: str, problems: list[str]) -> tuple[Any, ...]:
    """Dataclasses from all tables of [[key]], which name ports of the file; what is wrong is added to `problems`."""
    tables, found, known = data.get(key, []), [], list(data.get("ports", {}))
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        problems.append(f"{file}: {key}: [[{key}]] tables are wanted, not {_short(tables)}")
        return ()
    for number, table in enumerate(tables):
        where, wanted = f"{file}: {key}[{number}]", "ports" if cls is JointLimit else "port"
        try:
            found.append(dataclass_from(cls, table, where))
        except BenchFileError as problem:
            problems.append(str(problem))
            continue
        named = getattr(found[-1], wanted)
        for port in (named,) if isinstance(named, str) else (one.partition("/")[0] for one in named):
            if known and port not in known:
                near = difflib.get_close_matches(port, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"ports are {', '.join(known)}"
                problems.append(f"{where}.{wanted}: no port is called {port!r}; {hint}")
    return tuple(found)


def _port(port: str, table: Any, file: str) -> PortFile:
    where = f"{file}: ports.{port}"
    if not isinstance(table, dict):
        raise BenchFileError(f"{where}: a table is wanted, not {table!r}")
    if not isinstance(table.get("driver"), str):
        near = difflib.get_close_matches("driver", table, n=1)
        hint = f"; did you mean 'driver' by {near[0]!r}?" if near and "driver" not in table else ""
        found = table.get("driver")
        raise BenchFileError(f"{where}.driver: the name of a driver is wanted (labonn.drivers entry point), not {found!r}{hint}")
    driver = load("labonn.drivers", table["driver"], BenchFileError, f"{where}.driver")
    fields = tuple(f.name for f in dataclasses.fields(driver.Options))
    problems = [f"{file}: {p}" for p in unknown_keys(table, (*PORT_KEYS, *fields), f"ports.{port}.")]
    link = table.get("link")
    links = (link,) if isinstance(link, str) else tuple(link) if isinstance(link, list) else ()
    if not links or not all(isinstance(one, str) and "://" in one for one in links):
        problems.append(f'{where}.link: one URL or a list of them is wanted, such as "serial:///dev/ttyUSB0", not {link!r}')
    if table.get("role") not in (None, "trigger"):
        problems.append(f'{where}.role: {table["role"]!r} is not "trigger", the only role there is')
    reconnect = table.get("reconnect", 0)
    if type(reconnect) is not int or not 0 <= reconnect <= MOST_RECONNECTS:
        problems.append(f"{where}.reconnect = {_short(reconnect)}: a whole number is wanted, 0 to {MOST_RECONNECTS}")
    for key in ("lower", "upper"):
        values = table.get(key, 0.0)
        if not all(type(value) in (int, float, str) for value in (values if isinstance(values, list) else [values])):
            problems.append(f'{where}.{key} = {_short(values)}: a quantity such as "4.0 V" or a number is wanted, or one a channel')
    slews = table.get("slew", 0.0)
    if not all(type(value) in (int, float, str) for value in (slews if isinstance(slews, list) else [slews])):
        problems.append(f'{where}.slew = {_short(slews)}: a rate such as "0.5 V/s" is wanted, or one a channel')
    options, wrong = _validated(driver.Options, {k: v for k, v in table.items() if k in fields}, where)
    problems += [line for line, missing in wrong if not (missing and problems)]  # what is missing may be what was misspelt
    if problems:
        raise BenchFileError("\n".join(problems))
    lower, upper, role, slew = (table.get(key) for key in ("lower", "upper", "role", "slew"))
    return PortFile(port, table["driver"], driver, links, lower, upper, role, options, reconnect, slew)


def shared_urls(ports: Mapping[str, PortFile]) -> dict[str, list[PortFile]]:
    """URL -> the ports that have it, for URLs that stand more than once in the file."""
    users: dict[str, list[PortFile]] = {}
    for port in ports.values():
        for url in port.links:
            users.setdefault(url, []).append(port)
    return {url: found for url, found in users.items() if len(found) > 1}


def _wrongly_shared(ports: Mapping[str, PortFile], file: str) -> list[str]:
    """One line for every link that two ports have, unless their drivers are sides of one instrument (`shares`)."""
    problems = []
    for url, (first, *others) in shared_urls(ports).items():
        for port in others:
            where, family = f"{file}: ports.{port.name}.link: {url!r}", getattr(port.driver, "shares", None)
            if port is first:
                problems.append(f"{where} stands there twice")
            elif family is None or family != getattr(first.driver, "shares", None):
                told = f"{first.driver_name!r} and {port.driver_name!r} are not two sides of one instrument"
                problems.append(f"{where} is the link of ports.{first.name} too, but {told}")
    return problems


def unknown_keys(table: Mapping[str, Any], allowed: Iterable[str], prefix: str) -> list[str]:
    """One line for each key of `table` that is not allowed, with the nearest allowed one or all of them."""
    allowed = list(allowed)
    lines = []
    for key in table:
        if key not in allowed:
            near = difflib.get_close_matches(key, allowed, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"allowed are {', '.join(allowed)}"
            lines.append(f"{prefix}{key} = {_short(table[key])}: unknown key; {hint}")
    return lines


def dataclass_from(cls: Any, table: Mapping[str, Any], where: str) -> Any:
    """A dataclass from a table of the file, types checked by pydantic.

    Raises:
        BenchFileError: unknown keys, wrong types, or what the dataclass itself refuses (ValueError); all of them.
    """
    file, _, path = where.partition(": ")
    fields = [f.name for f in dataclasses.fields(cls)]
    problems = [f"{file}: {p}" for p in unknown_keys(table, fields, f"{path}.")]
    found, wrong = _validated(cls, {k: v for k, v in table.items() if k in fields}, where)
    problems += [line for line, missing in wrong if not (missing and problems)]
    if problems:
        raise BenchFileError("\n".join(problems))
    return found


def _validated(cls: Any, table: Mapping[str, Any], where: str) -> tuple[Any, list[tuple[str, bool]]]:
    """(the dataclass, []) or (None, a line for each problem and whether it is a missing key).

    By way of JSON, in which pydantic's strict mode has lists for tuples and integers for floats, but no "8" or true for 8.
    """
    from pydantic import TypeAdapter, ValidationError

    lines = []
    try:
        return TypeAdapter(cls).validate_json(json.dumps(dict(table), default=str), strict=True), []
    except ValidationError as problem:
        for error in problem.errors():
            key, missing = ".".join([where, *(str(part) for part in error["loc"])]), error["type"] == "missing"
            value = f" = {_short(error['input'])}" if error["loc"] and not missing else ""
            lines.append((f"{key}{value}: {error['msg'].removeprefix('Value error, ')}", missing))
    return None, lines


def _quantities(
    value: Any, unit: str, count: int, where: str, parsed: Callable[[Any, str], float] = parse_quantity
) -> list[float] | None:  # fmt: skip
    if value is None:
        return None
    values = value if isinstance(value, list) else [value] * count
    if len(values) != count:
        raise BenchFileError(f"{where}: {len(values)} values for {count} channels; give one, or one a channel")
    try:
        return [parsed(v, unit) for v in values]
    except ValueError as problem:
        raise BenchFileError(f"{where}: {problem}") from None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
