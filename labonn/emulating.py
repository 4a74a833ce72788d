"""Emulated instruments for other programs: one by its name, or all of a simulated bench, with what a bench file says of them."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from labonn.benchfile import PORT_KEYS, BenchFile, PortFile, parse, read
from labonn.clock import LiveClock
from labonn.errors import BenchFileError, LabonnError
from labonn.faults import parse_fault
from labonn.registry import load, registered

WITHOUT_LIGHT = "unlit"


@dataclasses.dataclass(frozen=True)
class Emulated:
    """Instruments being served: the lines of a bench file that say where, and what to close."""

    lines: list[str]
    simulated: Any


def options_of(words: Sequence[str]) -> dict[str, Any]:
    """`option=value` words; values as a bench file writes them, or plain text.

    Raises:
        LabonnError: a word is no such thing, or says what the command decides.
    """
    found: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key.isidentifier():
            raise LabonnError(f"{word!r}: an option of the instrument is written option=value")
        if key in PORT_KEYS:
            raise LabonnError(f"{word!r}: {key} is not an option of the instrument; it goes into your bench file")
        try:
            found[key] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            found[key] = text
    return found


def emulate_one(name: str, options: Mapping[str, Any], transport: str = "", number: int = 0, faults: Sequence[str] = ()) -> Emulated:
    """Serve the emulator that is registered as `name`, made for these options of its driver.

    Args:
        name: of the emulator. options: keys of its driver in a bench file; checked if there is such a driver.
        transport, number: "tcp", "pty" or "zmq" and a TCP port; "" and 0: the driver's own, and any that is free.
        faults: what is to go wrong, when (labonn.faults).

    Raises:
        LabonnError: no such emulator, wrong options, or it cannot be served like that.
    """
    load("labonn.emulators", name)
    file = _file_of(name, options)
    try:
        simulated = load("labonn.benches", WITHOUT_LIGHT)(file, LiveClock())
    except KeyError as problem:
        raise LabonnError(f"{name}: the emulator needs an option {problem.args[0]}; add {problem.args[0]}=…") from None
    try:
        _inject(simulated, faults)
        url = simulated.serve(name, 0, transport, number)
        if url is None:
            raise LabonnError(f"{name}: is a table of functions, not bytes: it exists inside a dry run only, and cannot be served")
    except BaseException:
        simulated.close()
        raise
    return Emulated([*_table(name, [f"driver = {json.dumps(name)}", _link([url])]), *map(_line, options.items())], simulated)


def _file_of(name: str, options: Mapping[str, Any]) -> BenchFile:
    """A bench of this one instrument."""
    if name in registered("labonn.drivers"):
        port_lines = [f"driver = {json.dumps(name)}", _link(["tcp://127.0.0.1"]), 'role = "trigger"', *map(_line, options.items())]
        return parse("\n".join(_table(name, port_lines)), "labonn emulate")
    made = dataclasses.make_dataclass("Options", list(options), frozen=True)
    port = PortFile(name, name, SimpleNamespace(transport="", link_options={}), ("tcp://127.0.0.1",), None, None, None, made(**options))
    return BenchFile("labonn emulate", "", {name: port})


def emulate_bench(path: Path, ideal: bool = False, seed: int | None = None, faults: Sequence[str] = ()) -> Emulated:
    """Serve all instruments of a simulated bench, coupled by its light, in the lab's time.

    Raises:
        BenchFileError: the file is wrong, or has no simulated bench.
    """
    file = read(path)
    name = file.simulation.get("bench")
    if not isinstance(name, str):
        told = f"the name of a simulated bench is wanted, {WITHOUT_LIGHT!r} for instruments without light"
        raise BenchFileError(f"{file.name}: simulation.bench = {name!r}: {told}")
    simulated = load("labonn.benches", name, BenchFileError, f"{file.name}: simulation.bench")(file, LiveClock(), ideal=ideal, seed=seed)
    lines: list[str] = []
    try:
        _inject(simulated, faults)
        for port in file.ports.values():
            urls = [simulated.serve(port.name, index) for index in range(len(port.links))]
            missing = f"# link: {port.driver_name} is a table of functions, not bytes; it exists inside a dry run only"
            lines += _table(port.name, [missing if None in urls else _link(urls)])
    except BaseException:
        simulated.close()
        raise
    return Emulated(lines, simulated)


def _inject(simulated: Any, faults: Sequence[str]) -> None:
    for fault in faults:
        simulated.inject(parse_fault(fault))


def _table(port: str, lines: list[str]) -> list[str]:
    key = port if port.replace("_", "").replace("-", "").isalnum() and port.isascii() else json.dumps(port)
    return [f"[ports.{key}]", *lines]


def _link(urls: Sequence[Any]) -> str:
    return f"link = {json.dumps(urls[0] if len(urls) == 1 else list(urls))}"


def _line(option: tuple[str, Any]) -> str:
    """A key and its value in TOML; JSON writes numbers, texts, truth and lists as TOML does."""
    return f"{option[0]} = {json.dumps(option[1])}"
