"""The bench: order of calls, memory, settling, splitting; and that every way out ends safe."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labonn import opening
from labonn.bench import Bench
from labonn.benchfile import BenchFile, PortFile
from labonn.channels import ChannelSpec, Floats, NumberedNames
from labonn.clock import SimulatedClock
from labonn.errors import BenchFileError, ConnectError, LimitError, LinkTimeoutError, RefusedError, TableError, UnknownStateError
from labonn.shots import Bank, Changes, Ints, Readings, ShotTable, dense

Call = tuple[str, str]


class Together(SimulatedClock):
    """A clock on which, as in the lab, time passes for all threads at once."""

    concurrent = True


@dataclass
class Lab:
    """What happened to all instruments of a bench of fakes, and what is to go wrong.

    Attributes:
        log: (port, call) in the order of the calls. faults: (port, call) -> what it raises. played: port -> frames, one a shot.
        inside: (port, call) -> called in the middle of it.
    """

    clock: SimulatedClock = field(default_factory=SimulatedClock)
    log: list[Call] = field(default_factory=list)
    faults: dict[Call, BaseException] = field(default_factory=dict)
    inside: dict[Call, Callable[[], Any]] = field(default_factory=dict)
    played: dict[str, list[Floats]] = field(default_factory=dict)
    devices: dict[str, Any] = field(default_factory=dict)
    fired: list[int] = field(default_factory=list)

    def did(self, port: str, call: str) -> None:
        self.log.append((port, call))
        self.inside.get((port, call), lambda: None)()
        if (port, call) in self.faults:
            raise self.faults[port, call]

    def calls(self, port: str) -> list[str]:
        return [call for name, call in self.log if name == port]

    def last(self, call: str) -> int:
        return max(i for i, (_, done) in enumerate(self.log) if done == call)

    def first(self, call: str) -> int:
        return min(i for i, (_, done) in enumerate(self.log) if done == call)


class Device:
    """What the fakes have in common."""

    Options: ClassVar[type] = dict

    def __init__(self, lab: Lab, name: str, channels: int, depth: int, settle_s: float = 0.0) -> None:
        self.lab, self.name, self.identity = lab, name, f"fake {name}"
        zero = np.asarray(0.0)
        self.spec = ChannelSpec(NumberedNames("ch", channels), "V", zero, np.asarray(4.0), zero, np.asarray(settle_s), depth)
        lab.devices[name] = self

    def close(self) -> None:
        self.lab.did(self.name, "close")


class FakeActuator(Device):
    """Has a memory of `depth` frames; depth 1 is set by arm."""

    memory: Floats
    order: Ints
    armed = False

    def prepare(self, spec: ChannelSpec) -> None:
        self.lab.did(self.name, "prepare")
        self.prepared = spec

    def load(self, bank: Bank | None, order: Ints, dwell_s: float) -> None:
        self.lab.did(self.name, "load" if bank is not None else "order")
        if bank is not None:
            self.memory = np.array(dense(bank))
            assert len(self.memory) <= self.spec.depth or self.spec.depth == 1
        self.order = order

    def arm(self) -> None:
        self.lab.did(self.name, "arm")
        self.armed = True

    def safe(self) -> None:
        self.lab.did(self.name, "safe")
        self.armed = False

    def play(self, shots: int) -> None:
        if self.armed:
            rows = np.repeat(self.order, shots) if self.spec.depth == 1 else self.order
            assert len(rows) == shots
            self.lab.played.setdefault(self.name, []).extend(self.memory[rows])
            self.armed = self.spec.depth == 1


class FakeDetector(Device):
    """Reads (number of the shot since the beginning, channel); fires all."""

    armed_shots = 0

    def arm(self, shots: int, dwell_s: float) -> None:
        self.lab.did(self.name, "arm")
        assert shots <= self.spec.depth
        self.armed_shots = shots

    def fire(self, shots: int, dwell_s: float) -> None:
        self.lab.did(self.name, "fire")
        start = sum(self.lab.fired)
        self.lab.fired.append(shots)
        for device in self.lab.devices.values():
            if isinstance(device, FakeActuator):
                device.play(shots)
            elif device.armed_shots:
                assert device.armed_shots == shots
                device.record = np.add.outer(np.arange(start, start + shots) * 10.0, np.arange(len(device.spec)))
                device.armed_shots = 0

    def fetch(self) -> Floats:
        self.lab.did(self.name, "fetch")
        record: Floats = self.record
        return record


@pytest.fixture
def lab() -> Lab:
    return Lab()


def port(name: str, driver: Any = None, links: int = 1, role: str | None = None, upper: Any = None) -> PortFile:
    return PortFile(name, "fake", driver, tuple(f"fake://{name}/{i}" for i in range(links)), None, upper, role, {})


def bench_of(lab: Lab, depth: int = 100, record: int = 1000) -> Bench:
    """Two sequenced modulators, held heaters that settle in 0.5 s, two detectors."""
    FakeActuator(lab, "input", 2, depth)
    FakeActuator(lab, "error", 3, depth)
    FakeActuator(lab, "heaters", 2, 1, settle_s=0.5)
    FakeDetector(lab, "out", 2, record)
    FakeDetector(lab, "tap", 3, record)
    file = BenchFile("bench.toml", "", {n: port(n, role="trigger" if n == "out" else None) for n in lab.devices})
    return Bench(file, opening.Opened(dict(lab.devices), {n: d.spec for n, d in lab.devices.items()}, [], lab.clock))


@pytest.fixture
def bench(lab: Lab) -> Iterator[Bench]:
    with bench_of(lab) as opened:
        yield opened
        lab.faults.clear()


def frames(rows: int, columns: int = 2, start: float = 0.0) -> Floats:
    return start + np.arange(rows * columns, dtype=float).reshape(rows, columns) / (rows * columns)


ORDER = np.array([0, 2, 1, 2])


# playing


def test_a_table_is_loaded_armed_fired_once_and_fetched(lab: Lab, bench: Bench) -> None:
    readings = bench.play(ShotTable({"input": frames(3), "error": frames(3, 3)}, {"input": ORDER, "error": ORDER}, 1e-3))
    assert [call for _, call in lab.log].count("fire") == 1
    assert lab.calls("input") == lab.calls("error") == ["load", "arm"]
    assert lab.calls("tap") == ["arm", "fetch"]
    assert lab.calls("out") == ["arm", "fire", "fetch"]
    assert lab.last("load") < lab.first("fire") > lab.last("arm")
    assert lab.first("fire") < lab.first("fetch")
    assert readings["out"].shape == (4, 2)
    assert readings["tap"].tolist() == [[10 * t, 10 * t + 1, 10 * t + 2] for t in range(4)]
    assert bench.shots == 4


def test_only_the_detectors_that_are_named_are_armed_and_read(lab: Lab, bench: Bench) -> None:
    readings = bench.play(ShotTable({"input": frames(1)}, read=("tap",)))
    assert list(readings) == ["tap"]
    assert lab.calls("out") == ["fire"]
    assert bench.play(ShotTable({"input": frames(1)}, read=())) == {}


def test_a_table_of_detectors_alone_is_fired(lab: Lab, bench: Bench) -> None:
    assert bench.play(ShotTable({}, shots=3))["out"].shape == (3, 2)
    assert lab.fired == [3]


def test_a_table_of_held_ports_alone_fires_nothing(lab: Lab, bench: Bench) -> None:
    bench.play(ShotTable({"heaters": frames(1)}, read=()))
    assert lab.log == [("heaters", "load"), ("heaters", "arm")]


def test_a_bank_that_is_in_memory_is_not_sent_again(lab: Lab, bench: Bench) -> None:
    bank = frames(3)
    for _ in range(3):
        bench.play(ShotTable({"input": bank}, {"input": ORDER}))
    assert lab.calls("input") == ["load", "arm", "order", "arm", "order", "arm"]
    bench.play(ShotTable({"input": bank.copy()}, {"input": ORDER}))
    assert lab.calls("input")[-2:] == ["load", "arm"]


def test_an_order_alone_plays_the_bank_in_memory(lab: Lab, bench: Bench) -> None:
    bank = frames(3)
    bench.play(ShotTable({"input": bank}, {"input": ORDER}))
    bench.play(ShotTable({}, {"input": np.array([1, 1])}))
    assert np.array_equal(lab.played["input"], bank[[*ORDER, 1, 1]])


def test_a_bank_that_was_cut_to_fit_is_not_taken_for_what_memory_holds() -> None:
    lab = Lab()
    with bench_of(lab, depth=2) as bench:
        bench.play(ShotTable({"input": frames(5)}, {"input": np.arange(5)}))
        with pytest.raises(TableError, match="no bank in memory"):
            bench.play(ShotTable({}, {"input": np.array([0])}))
        lab.played.clear()
        bank = frames(5)
        for _ in range(2):
            bench.play(ShotTable({"input": bank}, {"input": np.arange(5)}))
        assert np.array_equal(lab.played["input"], [*bank, *bank])


def test_held_ports_are_set_and_settled_only_when_their_row_changes(lab: Lab, bench: Bench) -> None:
    heaters, order = frames(2), np.array([0, 0, 1, 1])
    table = ShotTable({"heaters": heaters, "input": frames(1)}, {"heaters": order})
    bench.play(table)
    assert lab.clock.now() == 1.0
    assert lab.fired == [2, 2]
    assert lab.calls("heaters") == ["load", "arm"] * 2
    bench.play(ShotTable({"heaters": heaters, "input": frames(1)}, {"heaters": np.array([1, 1])}))
    assert lab.clock.now() == 1.0
    bench.play(ShotTable({"heaters": heaters}, {"heaters": np.array([0])}))
    assert lab.clock.now() == 1.5
    assert np.array_equal(lab.played["heaters"], heaters[[0, 0, 1, 1, 1, 1, 0]])


def test_the_fast_part_waits_until_the_held_ports_have_settled(lab: Lab, bench: Bench) -> None:
    fired: list[float] = []
    lab.inside["out", "fire"] = lambda: fired.append(lab.clock.now())
    lab.inside["heaters", "arm"] = lambda: lab.clock.wait(0.125)  # the wire
    bench.play(ShotTable({"heaters": frames(2), "input": frames(3)}, {"heaters": np.array([0, 0, 1, 1]), "input": ORDER}))
    assert fired == [0.625, 1.25]


def test_held_and_fast_ports_play_the_same_table(lab: Lab, bench: Bench) -> None:
    heaters, fast = frames(2), frames(3)
    rows = np.array([1, 0, 0, 1])
    readings = bench.play(ShotTable({"heaters": heaters, "input": fast}, {"heaters": rows, "input": ORDER}))
    assert np.array_equal(lab.played["heaters"], heaters[rows])
    assert np.array_equal(lab.played["input"], fast[ORDER])
    assert readings["out"][:, 0].tolist() == [0, 10, 20, 30]


@given(data=st.data())
def test_whatever_the_memories_hold_every_shot_plays_its_rows(data: st.DataObject) -> None:
    depth, record = data.draw(st.integers(2, 6)), data.draw(st.integers(1, 9))
    lab, expected = Lab(), dict[str, list[Floats]]()
    banks = {"input": [frames(n) for n in (1, 3, 6)], "error": [frames(n, 3) for n in (2, 5)], "heaters": [frames(n) for n in (1, 3)]}
    with bench_of(lab, depth, record) as bench:
        for _ in range(data.draw(st.integers(1, 4))):
            shots = data.draw(st.integers(1, 12))
            chosen = {n: data.draw(st.sampled_from(b)) for n, b in banks.items() if data.draw(st.booleans())}
            rows = {n: st.lists(st.integers(0, len(b) - 1), min_size=shots, max_size=shots) for n, b in chosen.items()}
            orders = {n: np.array(data.draw(drawn)) for n, drawn in rows.items()}
            before = sum(lab.fired)
            lab.played.clear()
            readings = bench.play(ShotTable(chosen, orders, shots=shots))
            expected = {n: b[orders[n]] for n, b in chosen.items()}
            for name, played in expected.items():
                assert np.array_equal(lab.played[name], played)
            assert readings["out"][:, 0].tolist() == [10.0 * t for t in range(before, before + shots)]


def test_a_sparse_bank_reaches_the_driver_as_it_is(lab: Lab, bench: Bench) -> None:
    sparse, seen = Changes(np.zeros(2), np.array([[0], [1]]), np.array([[1.0], [2.0]])), list[Any]()
    device = lab.devices["input"]
    device.load = lambda bank, order, dwell_s: seen.append(bank)
    device.arm = lambda: None
    bench.play(ShotTable({"input": sparse}, {"input": np.array([0, 1])}))
    assert seen == [sparse]


# refusals before any byte


@pytest.mark.parametrize("value", [4.2, -0.1, np.nan, np.inf])
@pytest.mark.parametrize("bad", ["input", "error", "heaters"])
def test_one_bad_value_in_one_port_leaves_every_instrument_untouched(lab: Lab, bench: Bench, value: float, bad: str) -> None:
    banks = {"input": frames(2), "error": frames(2, 3), "heaters": frames(2)}
    banks[bad][1, 1] = value
    with pytest.raises(LimitError, match=rf"{bad}/ch1: .* in row 1 is outside 0 to 4 V \(driver\)"):
        bench.play(ShotTable(banks, dict.fromkeys(banks, np.array([0, 1]))))
    assert lab.log == []


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (lambda: ShotTable({"inptu": frames(1)}), r"inptu: not an actuator of bench.toml; actuators are input, error, heaters"),
        (lambda: ShotTable({"out": frames(1)}), "out: not an actuator"),
        (lambda: ShotTable({"input": frames(1)}, read=("input",)), "input: not a detector of bench.toml; detectors are out, tap"),
        (lambda: ShotTable({"heaters": frames(1), "error": frames(1, 2)}), "error: the bank has 2 channels, the port has 3"),
        (lambda: ShotTable({"heaters": frames(1)}, {"input": np.array([0])}), "input: an order without a bank, but the port has no bank"),
        (lambda: ShotTable({}, {"heaters": np.array([0])}), "heaters: an order without a bank"),
    ],
)
def test_a_table_that_does_not_fit_the_bench_leaves_every_instrument_untouched(
    lab: Lab, bench: Bench, table: Callable[[], ShotTable], words: str
) -> None:
    with pytest.raises(TableError, match=words):
        bench.play(table())
    assert lab.log == []


@pytest.mark.parametrize(("order", "words"), [([0, 3], "row 3 or 0; memory holds 3 rows"), ([-1, 0], "row 0 or -1")])
def test_an_order_beyond_the_bank_in_memory_is_refused_before_any_byte(lab: Lab, bench: Bench, order: list[int], words: str) -> None:
    bench.play(ShotTable({"input": frames(3)}, {"input": ORDER}))
    lab.log.clear()
    with pytest.raises(TableError, match=words):
        bench.play(ShotTable({}, {"input": np.array(order)}))
    assert lab.log == []


def test_a_held_port_does_not_remember_an_order_without_its_bank(lab: Lab, bench: Bench) -> None:
    bench.play(ShotTable({"heaters": frames(1)}, read=()))
    lab.log.clear()
    with pytest.raises(TableError, match="heaters: an order without a bank"):
        bench.play(ShotTable({}, {"heaters": np.array([0])}))
    assert lab.log == []


def test_a_closed_bench_plays_nothing(lab: Lab, bench: Bench) -> None:
    bench.close()
    lab.log.clear()
    with pytest.raises(TableError, match="the bench is closed"):
        bench.play(ShotTable({"input": frames(1)}))
    assert lab.log == []


# after something failed


@pytest.mark.parametrize("call", ["load", "arm"])
def test_after_a_failed_load_the_bank_is_sent_again(lab: Lab, bench: Bench, call: str) -> None:
    bank, other = frames(3), frames(3, 3)
    table = ShotTable({"input": bank, "error": other}, {"input": ORDER, "error": ORDER})
    lab.faults["error", call] = LinkTimeoutError("error: no reply")
    with pytest.raises(LinkTimeoutError):
        bench.play(table)
    with pytest.raises(TableError, match="no bank in memory"):
        bench.play(ShotTable({}, {"input": ORDER}))
    lab.faults.clear()
    lab.log.clear()
    bench.play(table)
    assert lab.calls("input") == lab.calls("error") == ["load", "arm"]


def test_after_a_failed_set_a_held_port_is_set_again(lab: Lab, bench: Bench) -> None:
    table = ShotTable({"heaters": frames(1)}, read=())
    bench.play(table)
    lab.faults["heaters", "arm"] = UnknownStateError("heaters: reads back 0 V")
    with pytest.raises(UnknownStateError):
        bench.play(ShotTable({"heaters": frames(1)}, read=()))
    lab.faults.clear()
    lab.log.clear()
    bench.play(table)
    assert lab.calls("heaters") == ["load", "arm"]
    assert lab.clock.now() == 1.0


def test_a_refused_trigger_forgets_what_the_ports_hold(lab: Lab, bench: Bench) -> None:
    table = ShotTable({"input": frames(3), "heaters": frames(1)}, {"input": ORDER})
    bench.play(table)
    lab.faults["out", "fire"] = RefusedError("out: fire refused: not armed (state)")
    with pytest.raises(RefusedError, match="not armed"):
        bench.play(table)
    assert bench.shots == 4
    assert lab.calls("heaters") == ["load", "arm"]
    lab.faults.clear()
    bench.play(table)
    assert lab.calls("input")[-2:] == ["load", "arm"]
    assert lab.calls("heaters") == ["load", "arm"] * 2


def test_what_a_failed_table_left_armed_does_not_play_along_with_the_next(lab: Lab, bench: Bench) -> None:
    lab.faults["out", "fire"] = RefusedError("out: fire refused")
    with pytest.raises(RefusedError):
        bench.play(ShotTable({"input": frames(3), "error": frames(3, 3)}, {"input": ORDER, "error": ORDER}))
    lab.faults.clear()
    bench.play(ShotTable({"heaters": frames(1)}, read=()))  # fires nothing
    bench.play(ShotTable({"input": frames(2)}, {"input": np.array([0, 1])}, read=("out",)))
    assert "error" not in lab.played
    assert len(lab.played["input"]) == 2
    lab.log.clear()
    bench.play(ShotTable({}, read=("out",)))
    assert lab.log == [("out", "arm"), ("out", "fire"), ("out", "fetch")]


def test_a_failure_in_a_thread_is_raised_only_when_no_thread_holds_a_link_any_more(lab: Lab, bench: Bench) -> None:
    slow, lab.clock.concurrent = threading.Event(), True
    lab.inside["input", "load"] = lab.inside["error", "load"] = lambda: time.sleep(0.002)
    bench.play(ShotTable({"input": frames(1), "error": frames(1, 3)}))  # from now on in threads

    def still_loading() -> None:
        time.sleep(0.1)
        slow.set()

    lab.inside["error", "load"] = still_loading
    lab.faults["input", "load"] = LinkTimeoutError("input: no reply")
    with pytest.raises(LinkTimeoutError):
        bench.play(ShotTable({"input": frames(1), "error": frames(1, 3)}))
    assert slow.is_set()


def test_ctrl_c_is_raised_only_when_no_thread_holds_a_link_any_more(lab: Lab, bench: Bench) -> None:
    slow, lab.clock.concurrent = threading.Event(), True
    lab.inside["input", "load"] = lab.inside["error", "load"] = lambda: time.sleep(0.002)
    bench.play(ShotTable({"input": frames(1), "error": frames(1, 3)}))

    def still_loading() -> None:
        time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0.1)
        slow.set()

    lab.inside["error", "load"] = still_loading
    before = signal.signal(signal.SIGUSR1, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            bench.play(ShotTable({"input": frames(1), "error": frames(1, 3)}))
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert slow.is_set()


def test_ports_that_take_long_are_loaded_at_the_same_time(lab: Lab, bench: Bench) -> None:
    meet, lab.clock.concurrent = threading.Barrier(2), True
    lab.inside["input", "load"] = lab.inside["error", "load"] = lambda: time.sleep(0.002)
    bench.play(ShotTable({"input": frames(1), "error": frames(1, 3)}))
    lab.inside["input", "load"] = lab.inside["error", "load"] = lambda: meet.wait(5)
    bench.play(ShotTable({"input": frames(1), "error": frames(1, 3)}))


def test_on_one_time_line_ports_are_loaded_one_after_another_in_the_tables_order(lab: Lab, bench: Bench) -> None:
    threads: set[threading.Thread] = set()
    lab.inside["input", "load"] = lab.inside["error", "load"] = lambda: (time.sleep(0.002), threads.add(threading.current_thread()))
    for _ in range(3):
        bench.play(ShotTable({"error": frames(1, 3), "input": frames(1)}))
    assert threads == {threading.main_thread()}
    assert [name for name, call in lab.log if call == "load"] == ["error", "input"] * 3


# plans


def test_a_plan_is_sent_the_readings_of_each_table_and_its_result_comes_back(lab: Lab, bench: Bench) -> None:
    def plan() -> Generator[ShotTable, Readings, float]:
        total = 0.0
        for shots in (1, 2):
            readings = yield ShotTable({}, read=("out",), shots=shots)
            total += readings["out"][:, 0].sum()
        return total

    assert bench.run(plan()) == 0 + 10 + 20
    assert lab.fired == [1, 2]


def test_a_plan_whose_table_is_refused_is_closed(bench: Bench) -> None:
    ended: list[str] = []

    def plan() -> Generator[ShotTable, Readings, None]:
        try:
            yield ShotTable({"input": frames(1, start=9.0)})
        finally:
            ended.append("closed")

    with pytest.raises(LimitError):
        bench.run(plan())
    assert ended == ["closed"]


def test_a_plan_that_yields_nothing_plays_nothing(lab: Lab, bench: Bench) -> None:
    def plan() -> Generator[ShotTable, Readings, str]:
        return "done"
        yield

    assert bench.run(plan()) == "done"
    assert lab.log == []


# ways out


def test_closing_makes_every_actuator_safe_once_and_then_closes_every_device(lab: Lab, bench: Bench) -> None:
    bench.close()
    bench.close()
    assert {n for n, call in lab.log if call == "safe"} == {"input", "error", "heaters"}
    assert {n for n, call in lab.log if call == "close"} == set(lab.devices)
    assert len(lab.log) == 3 + 5
    assert lab.last("safe") < lab.first("close")


@pytest.mark.parametrize("problem", [RuntimeError("a bug"), KeyboardInterrupt(), SystemExit(3), LimitError("x")])
def test_whatever_ends_the_with_block_the_bench_ends_safe(lab: Lab, problem: BaseException) -> None:
    with pytest.raises(type(problem)) as caught, bench_of(lab):  # noqa: PT012
        assert lab.calls("input") == []
        raise problem
    assert caught.value is problem
    assert all(lab.calls(name)[-2:] == ["safe", "close"] for name in ("input", "error", "heaters"))


@pytest.mark.parametrize("call", [("heaters", "arm"), ("input", "load"), ("tap", "arm"), ("out", "fire"), ("tap", "fetch")])
def test_ctrl_c_in_the_middle_of_a_table_ends_safe(lab: Lab, call: Call) -> None:
    lab.faults[call] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt), bench_of(lab) as bench:
        bench.play(ShotTable({"heaters": frames(1), "input": frames(1)}))
    assert all(lab.calls(name)[-2:] == ["safe", "close"] for name in ("input", "error", "heaters"))


def test_one_failing_safe_spares_the_others_neither_their_turn_nor_their_close(lab: Lab) -> None:
    lab.faults = {("error", "safe"): LinkTimeoutError("no reply"), ("input", "safe"): ZeroDivisionError("a bug")}
    with pytest.raises(UnknownStateError) as caught, bench_of(lab):
        pass
    assert str(caught.value) == "input: could not be made safe: a bug; error: could not be made safe: no reply"
    assert lab.calls("heaters") == ["safe", "close"]
    assert all(lab.calls(name)[-1] == "close" for name in lab.devices)


def test_a_device_that_cannot_be_closed_hides_neither_the_others_nor_what_was_not_safe(lab: Lab) -> None:
    lab.faults = {("error", "safe"): LinkTimeoutError("no reply"), ("error", "close"): LinkTimeoutError("still no reply")}
    with pytest.raises(UnknownStateError, match="error: could not be made safe: no reply") as caught, bench_of(lab):
        pass
    assert caught.value.__notes__ == ["still no reply"]
    assert all(lab.calls(name)[-1] == "close" for name in lab.devices)


def test_what_could_not_be_made_safe_is_noted_on_what_ended_the_run(lab: Lab) -> None:
    lab.faults["heaters", "safe"] = LinkTimeoutError("no reply")
    with pytest.raises(KeyboardInterrupt) as caught, bench_of(lab):
        raise KeyboardInterrupt
    assert caught.value.__notes__ == ["heaters: could not be made safe: no reply"]


def test_a_dead_instrument_does_not_delay_the_safety_of_the_next(lab: Lab, bench: Bench) -> None:
    later = threading.Event()
    lab.inside["input", "safe"] = lambda: later.wait(5) or pytest.fail("heaters had to wait for input")
    lab.inside["heaters", "safe"] = later.set
    bench.safe()


def test_after_safe_everything_is_set_and_sent_again(lab: Lab, bench: Bench) -> None:
    table = ShotTable({"heaters": frames(1), "input": frames(1)})
    bench.play(table)
    bench.safe()
    lab.log.clear()
    bench.play(table)
    assert lab.calls("input") == lab.calls("heaters") == ["load", "arm"]
    assert lab.clock.now() == 1.0


# opening


@pytest.fixture
def open_bench(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bench]:
    """Opens a bench of ports that are (kind, links, upper); links count themselves, and fail where `lab.faults` has (link, "connect")."""

    class Link:
        exchanges = 0

        def __init__(self, url: str) -> None:
            self.name = url.removeprefix("fake://")
            lab.did(self.name, "connect")

        def close(self) -> None:
            lab.did(self.name, "hang up")

    class Driver(Device):
        link_options: ClassVar[dict[str, Any]] = {}

        def __new__(cls, link: Link, options: Any, name: str) -> Any:
            lab.did(link.name, "identify")
            if name.startswith("out"):
                return FakeDetector(lab, name, 2, 100)
            return FakeActuator(lab, name, 2, 1 if name.startswith("heaters") else 100)

    def build(ports: dict[str, PortFile] | None = None) -> Bench:
        found = ports or {
            "input": port("input", Driver), "heaters": port("heaters", Driver, 3, upper="2 V"), "out": port("out", Driver, role="trigger"),
        }  # fmt: skip
        monkeypatch.setattr("labonn.bench.read", lambda path: BenchFile("lab.toml", "", found))
        monkeypatch.setattr("labonn.sources.connect", lambda url, **options: Link(url))
        return Bench.open(Path("lab.toml"))

    build.driver = Driver  # type: ignore[attr-defined]
    return build


def test_opening_identifies_every_instrument_and_writes_the_tightest_limits(lab: Lab, open_bench: Callable[..., Bench]) -> None:
    with open_bench() as bench:
        assert {call for _, call in lab.log} == {"connect", "identify", "prepare"}
        assert lab.calls("input") == ["prepare"]
        assert [lab.calls(f"heaters[{i}]") for i in range(3)] == [["prepare"]] * 3
        assert lab.devices["heaters[2]"].prepared.upper.tolist() == [2.0, 2.0]
        assert lab.devices["input"].prepared.upper.tolist() == [4.0, 4.0]
        assert bench.ports["heaters"].identity == "fake heaters[0]; fake heaters[1]; fake heaters[2]"
        assert bench.specs["heaters"].upper.tolist() == [2.0] * 6


def test_several_instruments_are_one_port(lab: Lab, open_bench: Callable[..., Bench]) -> None:
    with open_bench() as bench:
        bank = frames(2, 6)
        bench.play(ShotTable({"heaters": bank, "input": frames(1)}, {"heaters": np.array([1, 0])}))
        for i in range(3):
            assert np.array_equal(lab.played[f"heaters[{i}]"], bank[[1, 0], 2 * i : 2 * i + 2])
        with pytest.raises(LimitError, match=r"heaters/2:ch1: 2.5 V in row 0 is outside 0 to 2 V \(lab.toml\)"):
            bench.play(ShotTable({"heaters": np.array([[0, 0, 0, 0, 0, 2.5]])}))
    assert all(lab.calls(f"heaters[{i}]")[-2:] == ["safe", "close"] for i in range(3))


@pytest.mark.parametrize("step", ["connect", "identify"])
def test_a_half_open_bench_is_made_safe_and_closed_again(lab: Lab, open_bench: Callable[..., Bench], step: str) -> None:
    lab.faults["heaters/1", step] = ConnectError("heaters[1]: nobody there")
    with pytest.raises(ConnectError, match="nobody there"):
        open_bench()
    assert lab.calls("input") == ["safe", "close"]
    assert lab.calls("out") == ["close"]
    assert "hang up" in lab.calls("heaters/0")
    assert ("hang up" in lab.calls("heaters/1")) == (step == "identify")
    assert lab.calls("heaters/2") == []


def test_every_port_that_cannot_be_opened_is_told_one_a_line(lab: Lab, open_bench: Callable[..., Bench]) -> None:
    lab.faults["input/0", "connect"] = ConnectError("nobody there")
    lab.faults["out/0", "connect"] = ConnectError("nobody here")
    with pytest.raises(ConnectError) as caught:
        open_bench()
    hint = "; to try without instruments add --dry-run"
    assert str(caught.value).splitlines() == [f"input: nobody there{hint}", f"out: nobody here{hint}"]


@pytest.mark.parametrize("problem", [ZeroDivisionError("a bug in the driver"), KeyboardInterrupt()])
def test_an_unexpected_end_of_opening_leaves_nothing_open(lab: Lab, open_bench: Callable[..., Bench], problem: BaseException) -> None:
    lab.faults["input/0", "identify"] = problem
    with pytest.raises(type(problem)):
        open_bench()
    assert "hang up" in lab.calls("input/0")
    assert lab.calls("out") == ["close"]
    assert all(lab.calls(f"heaters[{i}]") == ["safe", "close"] for i in range(3))


def test_trouble_while_making_a_half_open_bench_safe_is_noted_and_hides_nothing(lab: Lab, open_bench: Callable[..., Bench]) -> None:
    lab.faults["out/0", "identify"] = ConnectError("out: nobody there")
    lab.faults["input", "safe"] = LinkTimeoutError("input: no reply")
    with pytest.raises(ConnectError, match="out: nobody there") as caught:
        open_bench()
    assert caught.value.__notes__ == ["input: no reply"]
    assert lab.calls("heaters[0]") == ["safe", "close"]
    assert lab.calls("input")[-1] == "close"


def test_a_failed_preparation_ends_safe_and_closed(lab: Lab, open_bench: Callable[..., Bench]) -> None:
    lab.faults["input", "prepare"] = UnknownStateError("input: the limit registers do not hold what was written")
    with pytest.raises(UnknownStateError, match="limit registers"):
        open_bench()
    assert lab.calls("input") == ["prepare", "safe", "close"]
    assert all(lab.calls(f"heaters[{i}]")[-2:] == ["safe", "close"] for i in range(3))
    assert lab.calls("out") == ["close"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"upper": "5 V"}, r"lab.toml: ports.input.upper = 5 V widens the driver's limit of 4 V \(ch0\); a bench file may only tighten"),
        ({"lower": -1.0}, r"ports.input.lower = -1 V widens the driver's limit of 0 V"),
        ({"upper": "4 A"}, "lab.toml: ports.input.upper: '4 A' is in 'A', not in V"),
        ({"upper": [1.0, 2.0, 3.0]}, "ports.input.upper: 3 values for 2 channels; give one, or one a channel"),
        ({"lower": "3 V", "upper": "2 V"}, "ports.input: lower is above upper"),
        ({"role": "trigger"}, 'ports.input.role = "trigger": the driver \'fake\' cannot trigger'),
    ],
)
def test_limits_and_roles_that_do_not_fit_the_instrument_are_bench_file_errors(
    lab: Lab, open_bench: Any, change: dict[str, Any], words: str
) -> None:
    wrong = PortFile(**{**vars(port("input", open_bench.driver)), **change})
    with pytest.raises(BenchFileError, match=words):
        open_bench({"input": wrong, "out": port("out", open_bench.driver, role="trigger")})
    assert lab.calls("input") == []
    assert lab.calls("input/0") == ["connect", "identify", "hang up"]


def test_one_limit_a_channel_tightens_that_channel(open_bench: Any) -> None:
    input_port = PortFile(**{**vars(port("input", open_bench.driver)), "upper": [1.0, "2000 mV"]})
    with open_bench({"input": input_port, "out": port("out", open_bench.driver, role="trigger")}) as bench:
        with pytest.raises(LimitError, match=r"input/ch0: 1.5 V in row 0 is outside 0 to 1 V \(lab.toml\)"):
            bench.play(ShotTable({"input": np.array([[1.5, 1.5]])}))
        bench.play(ShotTable({"input": np.array([[1.0, 2.0]])}))
