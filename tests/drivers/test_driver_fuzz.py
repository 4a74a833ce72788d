"""Every registered driver over wires that break at random: typed errors, no hang, and nothing believed that is not so."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labonn.errors import LabonnError
from labonn.registry import registered
from labonn.testing import FAULTS, DriverBehaviour, Rig

SMALL_SLM = {"shape": [2, 3], "panel": [12, 18]}
OPTIONS: dict[str, dict[str, Any]] = {name: SMALL_SLM for name in registered("labonn.drivers") if name.startswith("slm_")}
OPTIONS |= {"qontrol": {"channels": 3, "first": 6}, "nidaqmx_out": {"trigger": "PFI0"}, "redpitaya_out": {"trigger": "external"}}
DWELL_S = {"pm100": 0.02}
TRIES = 6
VALUES = [None, "text", b"", -1, 1.5, float("nan"), 10**30, [], {}, (), object(), np.zeros(3), np.full((2, 2), np.nan), True]
PROBLEMS = [RuntimeError, OSError, ValueError, TypeError, AttributeError, KeyError, MemoryError]
BYTES = st.binary(max_size=40)


def lease_over(self: DriverBehaviour, rig: Rig) -> None:
    """A server's panel belongs to whoever left without a word, until the lease ends."""
    ended_s = rig.emulator.now() + 2 * rig.port.options.lease_s
    rig.emulator.now = lambda: ended_s


OWN: dict[str, dict[str, Any]] = {
    "slm_monitor": {"ends_with_its_driver": True},
    "slm_slmpy": {"ends_with_its_driver": True},
    "slm_server": {"wait_for_the_instrument": lease_over},
    "ldc500_tec": {"is_safe": lambda self, rig: not rig.emulator.tec.on},
}


def suite_of(name: str) -> DriverBehaviour:
    """Rigs and what to compare, without being collected."""
    about = {"driver": name, "options": OPTIONS.get(name, {}), "dwell_s": DWELL_S.get(name, 1e-3), **OWN.get(name, {})}
    return type(name, (DriverBehaviour,), about)()  # type: ignore[no-any-return]


def names_with(trait: str) -> list[str]:
    return [name for name in registered("labonn.drivers") if trait in type(suite_of(name)).traits()]


class Session:
    """A driver in use. Every operation compares what it was told with what is.

    Args:
        strict: whether what an operation gives must be true; over a wire that invents replies nobody can know.
    """

    def __init__(self, suite: DriverBehaviour, rig: Rig, strict: bool) -> None:
        self.suite, self.rig, self.strict = suite, rig, strict
        self.rows = suite.rows(rig.spec, 8)
        self.count, self.identity = 0, rig.device.identity
        self.actuator = "actuator" in suite.traits()

    def operations(self) -> dict[str, Callable[[], None]]:
        if self.actuator:
            return {"set": self.set, "safe": self.safe, "prepare": self.rig.prepare, "ask": self.ask}
        return {"record": self.record, "range": self.range}

    def set(self) -> None:
        self.count += 1
        row = self.rows[[self.count % len(self.rows)]]
        self.rig.device.load(row, np.zeros(3, int), self.suite.dwell_s)
        self.rig.device.arm()
        if self.strict and self.rig.spec.depth == 1:
            outputs = self.suite.outputs(self.rig)
            assert outputs is not None
            assert self.suite.like(self.rig, outputs[None], row)

    def safe(self) -> None:
        self.rig.device.safe()
        assert not self.strict or self.suite.is_safe(self.rig)

    def ask(self) -> None:
        if hasattr(self.rig.device, "temperature"):
            read = self.rig.device.temperature()
            assert read.shape == (len(self.rig.spec),)
            assert np.all(np.isfinite(read))

    def record(self) -> None:
        self.count += 1
        light = self.rows[self.count % len(self.rows)]  # another one every time, so that an earlier record is no right answer
        self.suite.illuminate(self.rig, lambda times: np.repeat(light[None], len(times), axis=0))
        read = self.suite.record(self.rig, 3)
        assert read.shape == (3, len(light))
        assert np.all(np.isfinite(read)) or not self.strict
        assert not self.strict or self.suite.like(self.rig, read, np.repeat(light[None], 3, axis=0))

    def range(self) -> None:
        taken = self.rig.device.set_range(np.asarray(self.rig.spec.upper) * 0.99)
        assert np.shape(taken) == (len(self.rig.spec),)

    def work(self) -> None:
        """Everything once, as it should be."""
        self.reopen()
        for operation in (self.safe, self.set) if self.actuator else (self.record,):
            operation()

    def reopen(self) -> None:
        self.rig.reopen()
        self.rig.prepare()
        assert not self.strict or self.rig.device.identity == self.identity


def run(suite: DriverBehaviour, script: list[tuple[str, list[Any]]]) -> None:
    """Operations by name with the faults of their first exchanges; then, over a sound wire, the driver works."""
    with suite.opened() as rig:
        session = Session(suite, rig, strict=True)
        rig.prepare()
        for name, faults in script:
            with rig.wire.broken(*faults), contextlib.suppress(LabonnError):
                session.operations().get(name, session.reopen)()
        for attempt in range(TRIES):  # links tell of stray replies before they are clean
            try:
                session.work()
                return
            except LabonnError:
                if attempt == TRIES - 1:
                    raise
                suite.wait_for_the_instrument(rig)
                with contextlib.suppress(LabonnError, AttributeError):  # detectors need none
                    rig.device.safe()


SCRIPT_NAMES = st.sampled_from(["set", "record", "safe", "range", "ask", "prepare", "reopen"])


@pytest.mark.parametrize("name", names_with("wire"))
@settings(max_examples=25)
@given(script=st.lists(st.tuples(SCRIPT_NAMES, st.lists(st.sampled_from([None, *FAULTS]), max_size=6)), max_size=6))
def test_a_wire_that_loses_cuts_doubles_and_delays_is_never_believed(name: str, script: list[tuple[str, list[Any]]]) -> None:
    run(suite_of(name), script)


def spoilt(reply: Any, places: list[tuple[float, int]]) -> Any:
    """Some bytes of a reply are others, or gone (negative)."""
    if isinstance(reply, list):
        return [spoilt(part, places) for part in reply]
    changed = bytearray(reply)
    for place, byte in places:
        if changed and byte < 0:
            del changed[int(place * len(changed))]
        elif changed:
            changed[int(place * len(changed))] = byte
    return bytes(changed)


PLACES = st.lists(st.tuples(st.floats(0, 0.999), st.integers(-1, 255)), min_size=1, max_size=3)
ENDS = st.sampled_from([b"\n", b"\r", b"\r\n", b""])
BYTE_FAULTS = st.one_of(
    st.none(),
    st.sampled_from(FAULTS),
    st.builds(lambda data, end: lambda reply: data + end, BYTES, ENDS),
    st.builds(lambda places: lambda reply: spoilt(reply, places), PLACES),
    st.builds(lambda number, end: lambda reply: f"{number}".encode() + end, st.floats() | st.integers(), ENDS),
)
MESSAGE_FAULTS = st.one_of(
    st.none(),
    st.sampled_from([*FAULTS, "earlier"]),
    st.builds(lambda parts: lambda reply: parts, st.lists(BYTES, max_size=3)),
    st.builds(lambda places: lambda reply: spoilt(reply, places), PLACES),
    st.builds(lambda part: lambda reply: [*reply, part], BYTES),
    st.just(lambda reply: reply[::-1]),
    st.just(lambda reply: reply[:1]),
)
TABLE_FAULTS = st.one_of(
    st.none(),
    st.builds(lambda kind: kind("the SDK fails"), st.sampled_from(PROBLEMS)),
    st.builds(lambda value: lambda reply: value, st.sampled_from(VALUES)),
)


def inventions(name: str) -> Any:
    """Faults that a driver's instrument may have."""
    traits = type(suite_of(name)).traits()
    return TABLE_FAULTS if "table" in traits else MESSAGE_FAULTS if "messages" in traits else BYTE_FAULTS


@pytest.mark.parametrize("name", registered("labonn.drivers"))
@settings(max_examples=30)
@given(data=st.data())
def test_whatever_an_instrument_says_only_typed_errors_come_out(name: str, data: st.DataObject) -> None:
    script = data.draw(st.lists(st.tuples(SCRIPT_NAMES, st.lists(inventions(name), max_size=5)), max_size=5))
    suite = suite_of(name)
    with suite.opened() as rig:
        session = Session(suite, rig, strict=False)
        rig.prepare()
        for operation, faults in script:
            with rig.wire.broken(*faults), contextlib.suppress(LabonnError):
                session.operations().get(operation, session.reopen)()


@pytest.mark.parametrize("name", registered("labonn.drivers"))
@settings(max_examples=25)
@given(data=st.data())
def test_opening_takes_no_instrument_that_talks_nonsense(name: str, data: st.DataObject) -> None:
    faults = data.draw(st.lists(inventions(name), min_size=1, max_size=8))
    with suite_of(name).opened() as rig, rig.wire.broken(*faults), contextlib.suppress(LabonnError):
        found = rig.reopen()
        assert isinstance(found.identity, str)
        assert np.all(np.isfinite([found.spec.lower, found.spec.upper]))
