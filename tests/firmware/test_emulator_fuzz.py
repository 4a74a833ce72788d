"""Every registered emulator under random commands: no exception, typed refusals that change nothing, bounded time and memory."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import re
import time
import tracemalloc
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labonn.errors import LabonnError
from labonn.registry import load, registered
from labonn.testing import DriverBehaviour, frozen

SMALL_SLM = {"shape": [2, 3], "panel": [12, 18]}
OPTIONS: dict[str, dict[str, Any]] = {name: SMALL_SLM for name in registered("labonn.drivers") if name.startswith("slm_")}
OPTIONS |= {"qontrol": {"channels": 3, "first": 6}, "nidaqmx_out": {"trigger": "PFI0"}, "redpitaya_out": {"trigger": "external"}}
MOST_REPLY = 1 << 24
MOST_S = 5.0  # of one example, on a busy machine
FLOOD, MOST_KEPT = 40 << 20, 20 << 20  # the longest message of any is 16 MB
CHANGED = re.compile(
    rb"clipped|adjusted|turned|changed|limited|creased|reduced"
)  # words of instruments that do something else than they were told
MOST_COMMANDS = 400
PIECES = [
    b";",
    b":",
    b"?",
    b" ",
    b",",
    b"\n",
    b"\r",
    b"#",
    b"!",
    b"=",
    b"*",
    b'"',
    b"'",
    b"#0",
    b"(@1)",
    b"#15hello",
    b"#9999999999",
    b"\x80",
]
VALUES = ["", "0", "1", "-1", "1e-3", "9.9e37", "nan", "MAX", "MIN", "ON", "OFF", "VOLT", "1,2,3", '"x"', "#12ab", "9" * 20]


def suite_of(name: str) -> DriverBehaviour:
    return type(name, (DriverBehaviour,), {"driver": name, "options": OPTIONS.get(name, {}), "dwell_s": 0.02})()  # type: ignore[no-any-return]


def front(name: str) -> str:
    emulator = load("labonn.emulators", name)
    return next((way for way in ("feed", "handle_parts") if hasattr(emulator, way)), "table")


def names(way: str) -> list[str]:
    return [name for name in registered("labonn.emulators") if front(name) == way]


@cache
def vocabulary(name: str) -> tuple[Any, ...]:
    """What the driver says in an ordinary session, and all headers of an emulator that has a list of commands, short and long."""
    suite = suite_of(name)
    with suite.opened() as rig:
        with contextlib.suppress(LabonnError):
            suite.ready(rig)
            rows = suite.rows(rig.spec, 2)
            actions = [lambda: suite.record(rig, 2), lambda: rig.device.set_range(rig.spec.upper)]
            if "actuator" in suite.traits():
                actions = [lambda: suite.play(rig, rows, [1]), rig.device.safe]
            for action in actions:
                action()
        said = list(rig.wire.requests)
        if hasattr(rig.emulator, "commands") and hasattr(rig.emulator, "status"):
            listed = [*rig.emulator.common(), *rig.emulator.status.commands(), *rig.emulator.commands()]
            said += [header.encode() for header in itertools.islice(headers(listed), MOST_COMMANDS)]
    return tuple(said)


def said(name: str) -> list[bytes]:
    """What the driver says, as it goes out."""
    return [request for request in vocabulary(name) if not re.fullmatch(rb"[:*][\w:*]+\??", request)]


def headers(commands: list[Any]) -> Any:
    """Short and long forms of SCPI patterns, with their queries; shuffled, so that any few are of many subsystems."""
    found = set()
    for command in commands:
        plain = re.sub(r"\{(\d+)(:\d+)?\}", r"\1", command.pattern)
        for text in (re.sub(r"\[[^\]]*\]", "", plain), plain.replace("[", "").replace("]", "")):
            found |= {text, re.sub("[a-z]", "", text)}
    return iter(random.Random(0).sample(sorted({f"{text}{mark}" for text in found for mark in ("", "?")}), 2 * len(found)))


def checked(emulator: Any, data: bytes) -> bytes:
    reply = emulator.feed(data)
    assert isinstance(reply, bytes)
    assert len(reply) <= MOST_REPLY
    seconds = emulator.wire_s(len(data), len(reply))
    assert 0 <= seconds < 1e6
    return reply


def streams(name: str) -> Any:
    """Pieces of a byte stream: commands, commands with other values, cut ones, and garbage."""
    known = st.sampled_from(vocabulary(name))
    ended = known.map(lambda request: request if request.endswith((b"\n", b"\r")) else request + b"\n")
    valued = st.builds(lambda request, value: request.rstrip(b"\r\n") + f" {value}\n".encode(), known, st.sampled_from(VALUES))
    cut = st.builds(lambda request, part: request[: int(part * len(request))], known, st.floats(0, 1))
    changed = st.builds(lambda request, digit: re.sub(rb"\d", b"%d" % digit, request), ended, st.integers(0, 9))
    return st.lists(st.one_of(ended, ended, valued, valued, changed, cut, st.sampled_from(PIECES), st.binary(max_size=30)), max_size=25)


@pytest.mark.parametrize("name", names("feed"))
@settings(max_examples=40)
@given(data=st.data())
def test_no_stream_of_bytes_breaks_an_emulator(name: str, data: st.DataObject) -> None:
    emulator, began = fresh_of(name), time.perf_counter()
    for piece in data.draw(streams(name)):
        checked(emulator, piece)
    assert time.perf_counter() - began < MOST_S


@cache
def maker(name: str) -> tuple[Any, dict[str, Any], int]:
    with suite_of(name).opened() as rig:
        return load("labonn.emulators", name), {field: getattr(rig.port.options, field) for field in vars(rig.port.options)}, len(rig.spec)


def fresh_of(name: str) -> Any:
    """An emulator made for a port, as a simulated bench makes it."""
    emulator, options, channels = maker(name)
    return emulator.for_port(options, channels, 5)


@pytest.mark.parametrize("name", names("feed"))
@settings(max_examples=20)
@given(data=st.data())
def test_how_a_stream_is_cut_into_pieces_does_not_matter(name: str, data: st.DataObject) -> None:
    most = 1 if name == "slm_slmpy_net" else 6  # as the real one it forgets what came behind a message in the same packet
    stream = b"".join(data.draw(st.lists(st.sampled_from(said(name)), max_size=most)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    whole, parts = fresh_of(name), fresh_of(name)
    once = whole.feed(stream)
    assert b"".join(parts.feed(stream[a:b]) for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)) == once


@pytest.mark.parametrize("name", names("feed"))
def test_an_endless_message_is_not_kept(name: str) -> None:
    emulator = fresh_of(name)
    block = b"ABCDEFGHIJKLMNOP" * 4096
    tracemalloc.start()
    try:
        for _ in range(FLOOD // len(block)):
            emulator.feed(block)
        assert tracemalloc.get_traced_memory()[0] < MOST_KEPT
    finally:
        tracemalloc.stop()


def scpi_names() -> list[str]:
    return [name for name in names("feed") if hasattr(load("labonn.emulators", name), "execute")]


@pytest.mark.parametrize("name", scpi_names())
@settings(max_examples=60)
@given(data=st.data())
def test_a_scpi_command_that_is_refused_changes_no_setting(name: str, data: st.DataObject) -> None:
    emulator = fresh_of(name)
    texts = st.sampled_from([header for header in vocabulary(name) if not header.endswith(b"\n")])
    for header in data.draw(st.lists(texts, max_size=8)):
        value = f" {data.draw(st.sampled_from(VALUES))}".encode()
        emulator.feed(b"*CLS\n")
        before = frozen(emulator.values)
        emulator.feed(header + value + b"\n")
        told = emulator.feed(b":SYST:ERR?\n")
        if not told.startswith((b"0,", b"+0,")) and not CHANGED.search(told):
            assert frozen(emulator.values) == before, header + value


@pytest.mark.parametrize("name", scpi_names())
@settings(max_examples=40)
@given(data=st.data())
def test_a_scpi_instrument_goes_on_after_anything(name: str, data: st.DataObject) -> None:
    emulator = fresh_of(name)
    identity = emulator.feed(b"*IDN?\n")
    for piece in data.draw(streams(name)):
        checked(emulator, piece)
    emulator.clear()
    emulator.feed(b"\n")
    emulator.feed(b"*CLS\n")
    assert emulator.feed(b"*IDN?\n").endswith(identity)


KEYS = ["op", "seq", "session", "arrays", "shots", "dwell_s", "rows", "start", "form", "bursts", "name", "lease_s", "id", "shape", "dtype"]
WORDS = ["identify", "arm", "fire", "fetch", "bank", "limits", "range", "safe", "open", "show", "query", "dense", "changes", "<i2", "|u1"]


@pytest.mark.parametrize("name", names("handle_parts"))
@settings(max_examples=50)
@given(data=st.data())
def test_no_message_breaks_an_emulator(name: str, data: st.DataObject) -> None:
    emulator, began = fresh_of(name), time.perf_counter()
    known = st.sampled_from([part for request in vocabulary(name) for part in request])
    changed = st.builds(lambda part, digit: re.sub(rb"\d", b"%d" % digit, part), known, st.integers(0, 9))
    value = st.none() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers(), max_size=3) | st.sampled_from(WORDS)
    header = st.dictionaries(st.sampled_from(KEYS), value, max_size=6).map(lambda about: json.dumps(about).encode())
    part = st.one_of(known, known, changed, header, st.binary(max_size=60))
    requests = st.one_of(st.sampled_from(vocabulary(name)), st.lists(part, max_size=4))
    for parts in data.draw(st.lists(requests, max_size=12)):
        reply = emulator.handle_parts(parts)
        assert isinstance(reply, list)
        assert reply
        assert all(isinstance(one, bytes) for one in reply)
        assert sum(map(len, reply)) <= MOST_REPLY
        assert 0 <= emulator.wire_s(sum(map(len, parts)), sum(map(len, reply))) < 1e6
    assert time.perf_counter() - began < MOST_S


ARGUMENTS = [None, True, -1, 0, 1, 10**20, float("nan"), float("inf"), "text", "", b"", [], {}, object()]
ARGUMENTS += [np.zeros(2), np.zeros((3, 4), np.uint8)]
REFUSALS = (TypeError, ValueError, RuntimeError, LookupError, AttributeError)  # what SDKs raise for wrong arguments and wrong states


@pytest.mark.parametrize("name", names("table"))
@settings(max_examples=50)
@given(data=st.data())
def test_a_function_table_refuses_wrong_arguments_as_python_does(name: str, data: st.DataObject) -> None:
    table, began = fresh_of(name), time.perf_counter()
    refusals = (*REFUSALS, table.errors.DaqError) if hasattr(table, "errors") else REFUSALS
    functions = [one for one in dir(table) if not one.startswith("_") and callable(getattr(table, one))]
    for _ in range(data.draw(st.integers(1, 10))):
        function = getattr(table, data.draw(st.sampled_from(functions)))
        arguments = data.draw(st.lists(st.sampled_from(ARGUMENTS), max_size=3))
        with contextlib.suppress(*refusals):
            function(*arguments)
    assert time.perf_counter() - began < MOST_S
