"""Bursts: segments that differ in held rows alone are armed and fetched once; and who takes part decides how many there may be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labonn import opening
from labonn.bench import Bench
from labonn.benchfile import BenchFile, PortFile
from labonn.channels import ChannelSpec, NumberedNames
from labonn.clock import SimulatedClock
from labonn.errors import LinkTimeoutError, RefusedError, UnknownStateError
from labonn.joined import JoinedActuator, JoinedDetector
from labonn.segments import segments_of
from labonn.shots import Changes, ShotTable, dense, outer
from sim_backends.benches.instruments import Instruments
from sim_backends.firmware.stream_messages import Refusal


def frames(rows: int, columns: int = 2) -> Any:
    return np.arange(rows * columns, dtype=float).reshape(rows, columns) / (rows * columns)


# segments


def test_the_shots_of_every_held_row_are_one_segment_of_as_many_bursts() -> None:
    table = outer({"heaters": frames(5)}, {"input": frames(3)}, 1e-3)
    (segment,) = segments_of(table, {"heaters": 1, "input": 10, "out": 100}, ("out",), 100)
    assert (segment.shots, segment.bursts) == (3, 5)
    assert segment.held["heaters"][1].tolist() == [0, 1, 2, 3, 4]
    assert segment.orders["input"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("record", "most", "bursts"), [(100, 2, [2, 2, 1]), (100, 1, [1] * 5), (6, 9, [2, 2, 1]), (8, 9, [2, 2, 1]), (3, 9, [1] * 5)]
)
def test_records_and_instruments_bound_the_bursts_of_a_segment(record: int, most: int, bursts: list[int]) -> None:
    table = outer({"heaters": frames(5)}, {"input": frames(3)}, 1e-3)
    found = list(segments_of(table, {"heaters": 1, "input": 10, "out": record}, ("out",), most))
    assert [s.bursts for s in found] == bursts
    assert [s.shots for s in found] == [3] * len(bursts)


@st.composite
def cases(draw: st.DrawFn) -> tuple[ShotTable, dict[str, int], int]:
    """Tables with repetitions in them."""
    period, repeats = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    shots = period * repeats + draw(st.integers(0, 2))
    fast = np.resize(np.array(draw(st.lists(st.integers(0, 3), min_size=period, max_size=period))), shots)
    if draw(st.booleans()):
        fast[draw(st.integers(0, shots - 1))] = 0
    banks, orders = {"input": frames(4)}, {"input": fast}
    for name in draw(st.sampled_from([("heaters",), ("heaters", "ovens"), ()])):
        banks[name] = frames(7)
        orders[name] = np.repeat(np.array(draw(st.lists(st.integers(0, 6), min_size=8, max_size=8))), period)[:shots]
        orders[name] = np.resize(orders[name], shots)
    depths = {"input": draw(st.sampled_from([2, 3, 100])), "heaters": 1, "ovens": 1, "out": draw(st.integers(1, 40))}
    return ShotTable(banks, orders), depths, draw(st.integers(1, 9))


@given(cases())
def test_bursts_one_after_another_play_the_table_and_fit_the_record(case: tuple[ShotTable, dict[str, int], int]) -> None:
    table, depths, most = case
    played: dict[str, list[Any]] = {name: [] for name in table.banks}
    for segment in segments_of(table, depths, ("out",), most):
        assert segment.bursts <= most
        assert segment.shots * segment.bursts <= depths["out"]
        for burst in range(segment.bursts):
            for name, (bank, rows) in segment.held.items():
                assert len(rows) == segment.bursts
                played[name] += [dense(bank)[rows[burst]]] * segment.shots
            for name, order in segment.orders.items():
                played[name] += list(dense(segment.banks[name])[order])
    for name, bank in table.banks.items():
        assert np.array_equal(np.array(played[name]), dense(bank)[table.orders[name]])


@given(cases())
def test_bursts_are_the_same_cuts_as_without(case: tuple[ShotTable, dict[str, int], int]) -> None:
    table, depths, most = case
    alone = [s.shots for s in segments_of(table, depths, ("out",))]
    assert alone == [s.shots for s in segments_of(table, depths, ("out",), most) for _ in range(s.bursts)]


# on a bench of fakes


class Fake:
    """Notes its calls; `most` is None where it knows no bursts."""

    def __init__(self, lab: Lab, name: str, depth: int, most: int | None, settle_s: float = 0.0) -> None:
        zero = np.asarray(0.0)
        self.spec = ChannelSpec(NumberedNames("ch", 2), "V", zero, np.asarray(4.0), zero, np.asarray(settle_s), depth)
        self.lab, self.name, self.identity, self.armed = lab, name, name, 0
        if most is not None:
            self.most_bursts = most

    def did(self, *what: Any) -> None:
        self.lab.log.append((self.name, *what))
        if (self.name, what[0]) in self.lab.faults and self.lab.faults[self.name, what[0]][0] == 0:
            raise self.lab.faults[self.name, what[0]][1]
        if (self.name, what[0]) in self.lab.faults:
            left, problem = self.lab.faults[self.name, what[0]]
            self.lab.faults[self.name, what[0]] = (left - 1, problem)

    def close(self) -> None: ...


class FakeActuator(Fake):
    def prepare(self, spec: Any) -> None: ...

    def load(self, bank: Any, order: Any, dwell_s: float) -> None:
        if bank is not None:
            self.memory = dense(bank)
        self.order = order
        self.did("load" if bank is not None else "order")

    def arm(self, **more: int) -> None:
        assert not more or more["bursts"] <= self.most_bursts
        self.armed = more.get("bursts", 1)
        self.did("arm", *more.values())

    def safe(self) -> None:
        self.armed = 0
        self.did("safe")


class FakeDetector(Fake):
    """Reads what the held heaters and the fast input are at, shot by shot."""

    def arm(self, shots: int, dwell_s: float, **more: int) -> None:
        self.shots, self.armed, self.rows = shots, more.get("bursts", 1), list[Any]()
        assert shots * self.armed <= self.spec.depth
        self.did("arm", shots, *more.values())

    def fire(self, shots: int, dwell_s: float) -> None:
        self.did("fire", shots)
        heaters, fast = self.lab.devices["heaters"], self.lab.devices["input"]
        for device in self.lab.devices.values():
            if device.armed and device.spec.depth > 1:
                assert shots == (device.shots if isinstance(device, FakeDetector) else len(device.order))
                device.armed -= 1
        for tap in (d for d in self.lab.devices.values() if isinstance(d, FakeDetector) and hasattr(d, "rows")):
            tap.rows += [(heaters.memory[heaters.order[0], 0], fast.memory[row, 0]) for row in fast.order]
        self.lab.clock.wait(shots * dwell_s)

    def fetch(self) -> Any:
        self.did("fetch")
        assert self.armed == 0
        return np.array(self.rows)


class Lab:
    def __init__(self, dac: int | None = 100, adc: int | None = 100, tap: int | None = 100, tap_depth: int = 60) -> None:
        self.clock, self.log, self.faults = SimulatedClock(), list[Any](), dict[Any, Any]()
        self.devices: dict[str, Any] = {
            "input": FakeActuator(self, "input", 50, dac), "heaters": FakeActuator(self, "heaters", 1, None, settle_s=0.5),
            "out": FakeDetector(self, "out", 60, adc), "tap": FakeDetector(self, "tap", tap_depth, tap),
        }  # fmt: skip
        ports = {n: PortFile(n, "fake", None, ("fake://",), None, None, "trigger" if n == "out" else None, {}) for n in self.devices}
        opened = opening.Opened(dict(self.devices), {n: d.spec for n, d in self.devices.items()}, [], self.clock)  # type: ignore[arg-type]
        self.bench = Bench(BenchFile("bench.toml", "", ports), opened)  # type: ignore[arg-type]

    def calls(self, name: str) -> list[Any]:
        return [call[1:] for call in self.log if call[0] == name]


def settings(count: int = 4, shots: int = 3, read: tuple[str, ...] = ("out",)) -> ShotTable:
    return outer({"heaters": frames(count)}, {"input": frames(shots)}, 1e-3, read)


def wanted(table: ShotTable) -> Any:
    return np.stack([dense(table.banks[n])[table.orders[n], 0] for n in ("heaters", "input")], axis=1)


def test_a_table_of_settings_is_armed_once_fired_for_each_and_fetched_once() -> None:
    lab, table = Lab(), settings()
    readings = lab.bench.play(table)
    assert np.array_equal(readings["out"], wanted(table))
    assert lab.calls("out") == [("arm", 3, 4), ("fire", 3), ("fire", 3), ("fire", 3), ("fire", 3), ("fetch",)]
    assert lab.calls("input") == [("load",), ("arm", 4)]
    assert lab.calls("heaters") == [("load",), ("arm",)] * 4
    assert lab.calls("tap") == []
    assert lab.bench.shots == 12


def test_every_setting_settles_before_its_burst() -> None:
    lab, fired = Lab(), list[float]()
    fire = lab.devices["out"].fire
    lab.devices["out"].fire = lambda *a: (fired.append(lab.clock.now()), fire(*a))
    lab.bench.play(settings())
    assert fired == pytest.approx([0.5, 1.003, 1.506, 2.009])


@pytest.mark.parametrize(("dac", "adc", "bursts"), [(None, 100, 1), (100, None, 1), (2, 100, 2), (100, 3, 3)])
def test_the_least_capable_instrument_that_takes_part_bounds_the_bursts(dac: int | None, adc: int | None, bursts: int) -> None:
    lab, table = Lab(dac, adc), settings(6)
    assert np.array_equal(lab.bench.play(table)["out"], wanted(table))
    assert lab.calls("out").count(("fetch",)) == 6 // bursts
    assert lab.calls("input").count(("load",)) == 1


def test_a_detector_that_is_not_read_does_not_count() -> None:
    lab = Lab(tap=None)
    lab.bench.play(settings())
    assert ("arm", 3, 4) in lab.calls("out")
    lab.log.clear()
    lab.bench.play(settings(read=("out", "tap")))
    assert lab.calls("tap") == [("arm", 3), ("fetch",)] * 4


def test_a_record_bounds_the_bursts() -> None:
    lab, table = Lab(), settings(9, 16)
    assert np.array_equal(lab.bench.play(table)["out"], wanted(table))
    assert [c for c in lab.calls("out") if c[0] == "arm"] == [("arm", 16, 3)] * 3


def test_shots_that_are_not_alike_are_armed_anew() -> None:
    lab = Lab()
    order = np.array([0, 1, 0, 1, 1, 0, 1, 0])
    table = ShotTable({"heaters": frames(4), "input": frames(2)}, {"heaters": np.repeat(np.arange(4), 2), "input": order}, 1e-3, ("out",))
    assert np.array_equal(lab.bench.play(table)["out"], wanted(table))
    assert [c for c in lab.calls("out") if c[0] == "arm"] == [("arm", 2, 2)] * 2


@pytest.mark.parametrize("where", [("heaters", "arm"), ("out", "fire")])
def test_what_fails_between_bursts_leaves_nothing_that_plays_along_with_the_next_table(where: tuple[str, str]) -> None:
    lab, problem = Lab(), UnknownStateError("reads back 0 V")
    lab.faults[where] = (2, problem)
    with pytest.raises(UnknownStateError):
        lab.bench.play(settings(read=("out", "tap")))
    lab.faults.clear()
    lab.log.clear()
    table = settings(2)
    assert np.array_equal(lab.bench.play(table)["out"], wanted(table))
    assert lab.calls("heaters") == [("load",), ("arm",)] * 2
    assert lab.calls("input") == [("load",), ("arm", 2)]
    assert lab.calls("tap") == [("arm", 3, 2)]  # so that the trigger finds it agreeing


def test_a_detector_that_was_left_armed_and_takes_fewer_bursts_is_not_overfilled() -> None:
    for most, depth, bursts in ((None, 60, 1), (2, 60, 2), (100, 6, 2)):
        lab, table = Lab(tap=most, tap_depth=depth), settings(4)
        lab.faults["out", "fire"] = (0, LinkTimeoutError("no reply"))
        with pytest.raises(LinkTimeoutError):
            lab.bench.play(settings(1, read=("out", "tap")))
        lab.faults.clear()
        assert np.array_equal(lab.bench.play(table)["out"], wanted(table))
        assert [c for c in lab.calls("tap") if c[0] == "arm"][1] == (("arm", 3, bursts) if bursts > 1 else ("arm", 3))


def test_held_ports_alone_are_set_one_after_another_and_nothing_is_fired() -> None:
    lab = Lab()
    lab.bench.play(ShotTable({"heaters": frames(3)}, {"heaters": np.array([2, 0, 1])}, 1e-3, ()))
    assert lab.log == [("heaters", "load"), ("heaters", "arm")] * 3
    assert lab.clock.now() == 1.5


# joined ports


def test_a_joined_port_plays_as_many_bursts_as_its_least_part() -> None:
    lab = Lab()
    parts = [FakeActuator(lab, "a", 5, 7), FakeActuator(lab, "b", 5, 3)]
    joined = JoinedActuator(parts)
    assert joined.most_bursts == 3
    assert JoinedActuator([*parts, FakeActuator(lab, "c", 5, None)]).most_bursts == 1
    joined.load(frames(2, 4), np.array([0]), 1e-3)
    joined.arm(bursts=3)
    detectors = JoinedDetector([FakeDetector(lab, "x", 9, 2), FakeDetector(lab, "y", 9, 4)])
    detectors.arm(2, 1e-3, bursts=2)
    assert (lab.calls("a")[-1], lab.calls("b")[-1], lab.calls("y")) == (("arm", 3), ("arm", 3), [("arm", 2, 2)])
    assert detectors.most_bursts == 2


# on emulated instruments, in process and served


FILE = """
[ports.heaters]
driver = "qontrol"
link = ["serial:///dev/a", "serial:///dev/b", "serial:///dev/c"]
channels = 8
[ports.input]
driver = "stream_dac"
link = "zmq://127.0.0.1:1"
channels = 2
bits = 64
[ports.out]
driver = "stream_adc"
link = "zmq://127.0.0.1:2"
channels = 2
bits = 64
depth = 40
role = "trigger"
[simulation]
bench = "products"
"""


class Products:
    """A light that is the heaters' weighted sum times each input; takes down at the trigger what has changed, and computes when asked."""

    def __init__(self, file: Any, clock: SimulatedClock, ideal: bool = False, seed: int | None = None) -> None:
        self.clock, self.taken, self.currents = clock, list[Any](), np.zeros(24)
        self.dark, self.computed = False, 0
        self.instruments = Instruments(file, clock, 0)
        (self.dac,), (self.adc,), self.chains = (self.instruments.of(name) for name in ("input", "out", "heaters"))
        self.adc.on_fire, self.adc.on_fetch = self.fire, self.fetch
        self.link, self.serve, self.close = self.instruments.link, self.instruments.serve, self.instruments.close

    def fire(self, shots: int, dwell_s: float) -> None:
        if not self.adc.firings:
            self.taken.clear()
        for index, chain in enumerate(self.chains):
            channels, _, amperes = chain.changes()
            self.currents[[8 * index + c for c in channels]] = amperes
        assert np.array_equal(self.currents, np.concatenate([chain.currents_a for chain in self.chains]))
        self.taken.append((self.currents.copy(), self.dac.volts()))
        self.dac.played()
        self.adc.will_record()
        self.clock.wait(shots * dwell_s)

    def fetch(self) -> None:
        if self.dark:
            raise Refusal("state", "the laser went off")
        self.computed += 1
        self.adc.record(np.concatenate([1e3 * (currents @ np.arange(1, 25)) * volts for currents, volts in self.taken]))


@pytest.fixture
def benches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr("labonn.sources.load", lambda *_: Products)
    (tmp_path / "lab.toml").write_text(FILE)
    opened: list[Bench] = []

    def build(served: bool = False) -> Bench:
        opened.append(Bench.open(tmp_path / "lab.toml", dry_run=True, served=served))
        return opened[-1]

    yield build
    for bench in opened:
        bench.close()


def differences(count: int = 24, step: float = 1e-3) -> Changes:
    theta = np.linspace(2e-3, 20e-3, count)
    channels = np.repeat(np.arange(count), 2)[:, None]
    return Changes(theta, channels, theta[channels] + step * np.tile([1.0, -1.0], count)[:, None])


def test_finite_differences_over_serial_lines_are_those_of_the_light(benches: Any) -> None:
    bench, bank, images = benches(), differences(), np.array([[1.0, 2.0], [3.0, 4.0], [0.5, -1.0]])
    before = bench.exchanges
    out = bench.play(outer({"heaters": bank}, {"input": images}, 1e-6))["out"].reshape(24, 2, 3, 2)
    slopes = (out[:, 0] - out[:, 1]) / 2e-3
    assert slopes == pytest.approx(1e3 * np.arange(1, 25)[:, None, None] * images, abs=1e3 * 24 * 4 * 2 * 24e-3 / 65535 / 2e-3)
    light = bench._opened.simulated
    assert light.computed == 4  # records of 13 bursts of 3 shots
    sets = 3 * 2 + (48 - 1) + 2  # everything at first; then one chain a setting, and two where the next chain begins
    assert bench.exchanges - before == sets + 48 + 4 + 4 + 4


def test_bursts_in_process_and_served_are_the_same(benches: Any) -> None:
    found = []
    for served in (False, True):
        bench = benches(served)
        readings = [bench.play(outer({"heaters": differences()}, {"input": frames(3)}, 1e-6))["out"] for _ in range(2)]
        found.append((np.concatenate(readings).tobytes(), bench.clock.now(), bench.exchanges))
    assert found[0] == found[1]


def test_what_the_light_finds_at_the_fetch_is_a_refusal(benches: Any) -> None:
    bench = benches()
    bench._opened.simulated.dark = True
    with pytest.raises(RefusedError, match=r"out: fetch refused: the laser went off \(state\)"):
        bench.play(outer({"heaters": differences()}, {"input": frames(3)}, 1e-6))
    bench._opened.simulated.dark = False
    assert bench.play(outer({"heaters": differences()}, {"input": frames(3)}, 1e-6))["out"].shape == (144, 2)


def test_a_lost_reply_between_bursts_ends_in_outputs_that_are_safe(benches: Any) -> None:
    bench = benches()
    chain, calls = bench._opened.simulated.chains[1], list[bytes]()
    feed = chain.feed

    def failing(data: bytes) -> bytes:
        calls.append(data)
        reply: bytes = feed(data)
        return b"" if len(calls) == 6 else reply

    chain.feed = failing
    with pytest.raises(LinkTimeoutError), bench:
        bench.play(outer({"heaters": differences()}, {"input": frames(3)}, 1e-6))
    assert not np.concatenate([c.currents_a for c in bench._opened.simulated.chains]).any()
