"""Interlocks: a reading or a temperature out of range stops the run, and the bench is safe before anybody hears of it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labonn.bench import Bench
from labonn.benchfile import parse
from labonn.errors import BenchFileError, InstrumentError, InterlockError, LinkTimeoutError, RefusedError, UnknownStateError
from labonn.shots import Readings, ShotTable

BENCH = """
[ports.gain]
driver = "qontrol"
link = "serial:///dev/ttyUSB0"
channels = 2
upper = "20 mA"

[ports.input]
driver = "stream_dac"
link = "zmq://127.0.0.1:5570"
channels = 3

[ports.out]
driver = "stream_adc"
link = "zmq://127.0.0.1:5571"
channels = 4
bits = 64
role = "trigger"

[ports.ovens]
driver = "meerstetter"
link = ["serial:///dev/ttyUSB2", "serial:///dev/ttyUSB3"]
settle_s = 0.0

[simulation]
bench = "unlit"
"""
CH3 = '[[interlocks]]\nport = "out"\nchannel = "ch3"\nlower = "-100 mV"\nupper = "4 V"\n'
ANY = '[[interlocks]]\nport = "out"\nupper = "4 V"\n'
OVENS = '[[interlocks]]\nport = "ovens"\nwhat = "temperature"\nupper = "80 degC"\nevery_s = 10.0\n'


class Lab:
    """A bench of emulators whose detector sees `volts` (4,) in every shot but those in `odd`, and whose ovens are at `celsius`."""

    def __init__(self, tmp_path: Path, more: str, **port_keys: str) -> None:
        text = BENCH + more
        for port, line in port_keys.items():
            text = text.replace(f"[ports.{port}]", f"[ports.{port}]\n{line}")
        (tmp_path / "lab.toml").write_text(text)
        self.bench = Bench.open(tmp_path / "lab.toml", dry_run=True)
        self.volts, self.odd, self.celsius, self.polls = np.zeros(4), dict[int, Any](), [25.0, 25.0], 0
        instruments = self.bench._opened.simulated.instruments
        self.gain, self.dac = instruments.of("gain")[0], instruments.of("input")[0]
        self.shots = 0
        adc = instruments.of("out")[0]
        adc.on_fire = lambda shots, dwell_s: adc.record(self._seen(shots))
        for index, oven in enumerate(instruments.of("ovens")):
            oven.plant = lambda index=index: np.array([self.celsius[index]])

    def _seen(self, shots: int) -> Any:
        self.dac.played()
        rows = np.tile(self.volts, (shots, 1))
        for shot, row in self.odd.items():
            if 0 <= shot - self.shots < shots:
                rows[shot - self.shots] = row
        self.shots += shots
        return rows

    def play(self, shots: int = 3, **more: Any) -> Readings:
        gain = np.array([[0.01, 0.005], [0.02, 0.005]])
        order = np.arange(shots) % 2
        return self.bench.play(ShotTable({"gain": gain, "input": np.ones((1, 3))}, {"gain": order, **more.pop("orders", {})}, **more))

    def is_dark(self) -> bool:
        return not self.gain.currents_a.any() and not self.dac.armed


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Any]:
    made: list[Lab] = []

    def make(more: str, **port_keys: str) -> Lab:
        made.append(Lab(tmp_path, more, **port_keys))
        return made[-1]

    yield make
    for one in made:
        one.bench.close()


# readings


def test_readings_inside_their_range_pass_unchanged_and_cost_nothing(lab: Any) -> None:
    plain, watched = lab(""), lab(CH3 + ANY)
    counts = []
    for one in (plain, watched):
        one.volts[:] = [4.0, 0, -5.0, -0.1]
        before = one.bench.exchanges
        assert one.play()["out"].tolist() == [[4.0, 0, -5.0, -0.1]] * 3
        counts.append(one.bench.exchanges - before)
    assert counts[0] == counts[1]
    assert watched.gain.currents_a[0] == pytest.approx(0.01, rel=1e-4)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (4.2, "4.2 V in shot 1 is outside -100 mV to 4 V"),
        (-0.2, "-200 mV in shot 1 is outside -100 mV to 4 V"),
        (4.000000001, "4.000000001 V in shot 1 is outside -100 mV to 4 V"),
        (np.nan, "nan V in shot 1 is not a number, outside -100 mV to 4 V"),
        (np.inf, "inf V in shot 1 is outside -100 mV to 4 V"),
    ],
)
def test_a_reading_out_of_range_stops_the_table_and_the_bench_is_safe(lab: Any, value: float, told: str) -> None:
    one = lab(CH3)
    one.odd[1] = [9.0, 9.0, 9.0, value]
    with pytest.raises(InterlockError) as caught:
        one.play()
    assert str(caught.value) == f"out/ch3: {told} (interlocks[0], lab.toml)"
    assert not hasattr(caught.value, "__notes__")
    assert one.is_dark()
    assert isinstance(caught.value, InstrumentError)


def test_what_comes_after_the_shot_that_trips_is_never_set(lab: Any) -> None:
    one = lab(ANY, out="depth = 2")
    one.odd[3] = [0, 0, 4.5, 0]
    with pytest.raises(InterlockError, match=r"^out/ch2: 4\.5 V in shot 3 is above 4 V \(interlocks\[0\], lab\.toml\)$"):
        one.play(shots=12)
    assert one.shots == 4
    assert one.is_dark()


def test_the_tightest_of_several_interlocks_trips_and_others_do_not_hide_it(lab: Any) -> None:
    one = lab(ANY + '[[interlocks]]\nport = "out"\nchannel = "ch0"\nlower = "1 V"\n')
    with pytest.raises(InterlockError, match=r"^out/ch0: 0 V in shot 0 is below 1 V \(interlocks\[1\], lab\.toml\)$"):
        one.play()


def test_a_detector_that_a_table_does_not_read_is_not_watched_in_it(lab: Any) -> None:
    one = lab(ANY)
    one.volts[:] = 9.0
    assert one.play(read=()) == {}


def test_a_run_ends_with_the_interlock_and_its_plan_is_closed(lab: Any) -> None:
    one, ended = lab(ANY), list[str]()
    one.odd[1] = [9.0] * 4

    def plan() -> Generator[ShotTable, Readings, None]:
        try:
            while True:
                yield ShotTable({"input": np.ones((1, 3))})
        finally:
            ended.append("closed")

    with pytest.raises(InterlockError, match="in shot 0"):
        one.bench.run(plan())
    assert ended == ["closed"]
    assert one.shots == 2


def test_what_could_not_be_made_safe_is_told_with_the_interlock(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one = lab(ANY)
    one.volts[:] = 9.0
    with monkeypatch.context() as broken:
        broken.setattr(one.bench.ports["gain"], "safe", lambda: (_ for _ in ()).throw(LinkTimeoutError("gain: no reply")))
        with pytest.raises(InterlockError, match=r"^out/ch0: 9 V") as caught:
            one.play()
    assert caught.value.__notes__ == ["gain: could not be made safe: gain: no reply"]
    assert not one.dac.armed


def test_an_instruments_own_interlock_stays_what_it_is(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one = lab(ANY)
    monkeypatch.setattr(one.bench.ports["gain"], "arm", lambda: (_ for _ in ()).throw(RefusedError("gain/ch0: E20 (interlock triggered)")))
    with pytest.raises(RefusedError, match="interlock triggered"):
        one.play()


# temperatures


def test_temperatures_are_asked_for_between_tables_as_often_as_the_file_says(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one, asked = lab(OVENS), list[float]()
    for device in one.bench.ports["ovens"].devices:
        read = device.temperature
        monkeypatch.setattr(device, "temperature", lambda read=read: (asked.append(one.bench.clock.now()), read())[1])
    for _ in range(3):
        one.play()
    assert len(asked) == 2  # one a controller
    one.bench.clock.wait(10.0)
    one.play()
    one.play()
    assert len(asked) == 4


@pytest.mark.parametrize(
    ("celsius", "told"),
    [(80.5, r"ovens/1:loop1: 80\.5 degC is above 80 degC \(interlocks\[0\], lab\.toml\)"),
     (np.nan, r"ovens: its temperature is not known \(interlocks\[0\], lab\.toml\): .*/loop1: the object temperature reads nan; is its")],
)  # fmt: skip
def test_an_oven_that_is_too_hot_or_unknown_stops_the_run_before_anything_is_set(lab: Any, celsius: float, told: str) -> None:
    one = lab(OVENS)
    one.play()
    one.bench.clock.wait(10.0)
    one.celsius[1] = celsius
    fired = one.shots
    with pytest.raises(InterlockError, match=f"^{told}"):
        one.play()
    assert one.shots == fired
    assert one.is_dark()
    with pytest.raises(InterlockError):  # asked for again at once
        one.play()
    one.celsius[1] = 79.0
    one.play()


def test_a_broken_connection_to_an_oven_is_mended_where_the_file_allows_that(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one, fails = lab(OVENS, ovens="reconnect = 2"), [True]
    device = one.bench.ports["ovens"].devices[0]
    read = device.temperature

    def failing() -> Any:
        if fails.pop():
            raise LinkTimeoutError("ovens: no reply")
        return read()

    monkeypatch.setattr(device, "temperature", failing)
    fails[:] = [False, True]
    one.play()
    assert fails == []
    one.bench.clock.wait(10.0)
    fails[:] = [True, True]
    with pytest.raises(InterlockError, match=r"^ovens: its temperature is not known .*: ovens: no reply$"):
        one.play()
    fails[:] = [False] * 3


# in the bench file


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('port = "outt"\nupper = 3', "lab.toml: interlocks[0].port: no port is called 'outt'; did you mean 'out'?"),
        ("upper = 3", "lab.toml: interlocks[0].port: Field required"),
        ('port = "out"\nuper = 3\nupper = 3', "lab.toml: interlocks[0].uper = 3: unknown key; did you mean 'upper'?"),
        ('port = "out"', "lab.toml: interlocks[0]: a lower or an upper end of the range is wanted"),
        ('port = "out"\nupper = 3\nwhat = "power"', "lab.toml: interlocks[0]: what = 'power': \"reading\" or \"temperature\""),
        ('port = "out"\nupper = 3\nevery_s = 1', "lab.toml: interlocks[0]: every_s = 1: not negative, finite, and of a temperature: "
         "readings are watched in every table"),
        ('port = "ovens"\nupper = 3\nwhat = "temperature"\nevery_s = -1', "lab.toml: interlocks[0]: every_s = -1: not negative, finite, "
         "and of a temperature: readings are watched in every table"),
    ],
)  # fmt: skip
def test_a_mistake_in_an_interlock_is_one_line(text: str, line: str) -> None:
    with pytest.raises(BenchFileError) as caught:
        parse(f"{BENCH}[[interlocks]]\n{text}\n", "lab.toml")
    assert str(caught.value) == line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('port = "gain"\nupper = 3', "port: 'gain' is no port that is read; there are: out"),
        ('port = "gain"\nupper = 3\nwhat = "temperature"', "port: 'gain' is no port that tells a temperature; there are: ovens"),
        ('port = "out"\nchannel = "ch9"\nupper = 3', "channel: 'out' has no channel 'ch9'; they are ch0 to ch3, or \"all\""),
        ('port = "out"\nupper = "3 A"', "upper: '3 A' is in 'A', not in V"),
        ('port = "out"\nupper = true', "upper: True is not a quantity in V"),
        ('port = "out"\nupper = "3 V"\nlower = 3', "lower = 3 is not below upper = '3 V'"),
        ('port = "ovens"\nwhat = "temperature"\nupper = "3 V"', "upper: '3 V' is in 'V', not in degC"),
    ],
)
def test_an_interlock_that_does_not_fit_the_instruments_stops_the_opening(tmp_path: Path, text: str, line: str) -> None:
    (tmp_path / "lab.toml").write_text(f'{BENCH}{ANY}[[interlocks]]\n{text}\n[[limits]]\nports = ["out"]\nsum = 1\n')
    with pytest.raises(BenchFileError) as caught:
        Bench.open(tmp_path / "lab.toml", dry_run=True)
    assert f"lab.toml: interlocks[1].{line}" in str(caught.value).splitlines()
    assert "lab.toml: limits[0].ports: 'out' is not an actuator" in str(caught.value)


def test_a_range_is_told_by_what_is_watched_in_words() -> None:
    texts = [str(one) for one in parse(BENCH + CH3 + OVENS, "lab.toml").interlocks]
    assert texts == [
        "out, ch3: reading at least -100 mV and at most 4 V",
        "ovens, every channel: temperature at most 80 degC, asked for every 10 s",
    ]


def test_the_error_of_a_driver_is_no_interlock_and_leaves_the_outputs_to_whoever_holds_the_bench(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = lab(ANY)
    with monkeypatch.context() as broken:
        broken.setattr(one.bench.ports["out"], "fetch", lambda: (_ for _ in ()).throw(UnknownStateError("out: saturated")))
        with pytest.raises(UnknownStateError):
            one.play()
    assert not one.is_dark()
