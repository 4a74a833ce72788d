"""Slew limits: held ports go step by step on the bench's clock, down too; sequenced ports are checked; joint limits hold on the way."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labonn.bench import Bench
from labonn.benchfile import parse
from labonn.channels import ChannelSpec, Floats, NumberedNames
from labonn.errors import BenchFileError, LimitError, LinkTimeoutError, UnknownStateError
from labonn.rests import Rests
from labonn.shots import Bank, Changes, Dither, ShotTable, dense
from labonn.slews import Slew, check_sequence
from labonn.units import format_rate, parse_rate

GAIN = '[ports.gain]\ndriver = "qontrol"\nlink = "serial:///dev/ttyUSB0"\nchannels = 3\nupper = "20 mA"\n'
PUMP = '[ports.pump]\ndriver = "keithley2400"\nlink = "visa://GPIB0::24::INSTR"\nupper = "50 mA"\n'
OVEN = '[ports.oven]\ndriver = "meerstetter"\nlink = "serial:///dev/ttyUSB2"\nsettle_s = 2.0\n'
FAST = '[ports.fast]\ndriver = "stream_dac"\nlink = "zmq://127.0.0.1:5570"\nchannels = 9\nbits = 64\n'
OUT = '[ports.out]\ndriver = "stream_adc"\nlink = "zmq://127.0.0.1:5571"\nchannels = 2\nrole = "trigger"\n'
SIMULATED = '[simulation]\nbench = "unlit"\n'
SLEW = 'slew = "100 mA/s"\n'
TICK_S = 0.05


class Watched:
    """A bench of emulators, and every value that a command asked them for.

    Attributes:
        log: (seconds on the bench's clock, port, channel, value) in the order of the commands; "off" is channel -1.
    """

    def __init__(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "lab.toml"
        path.write_text(text + OUT + SIMULATED)
        self.bench = Bench.open(path, dry_run=True)
        self.log: list[tuple[float, str, int, float]] = []
        simulated: Any = self.bench._opened.simulated
        for port in self.bench.ports:
            for emulator in simulated.instruments.of(port):
                if hasattr(emulator, "feed"):
                    emulator.feed = self._listening(port, emulator.feed)
        dacs = simulated.instruments.of("fast")
        simulated.instruments.of("out")[0].on_fire = lambda shots, dwell_s: [dac.played() for dac in dacs]

    def _listening(self, port: str, feed: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
        def listen(data: bytes) -> bytes:
            now = self.bench.clock.now()
            for command in re.split(rb"[;\n]", data):
                if found := re.fullmatch(rb"I(\d+)=([\d.]+)", command):
                    self.log.append((now, port, int(found[1]), float(found[2]) * 1e-3))
                elif found := re.fullmatch(rb"IVEC(\d+)=([\d.,]+)", command):
                    self.log += [(now, port, int(found[1]) + i, float(v) * 1e-3) for i, v in enumerate(found[2].split(b","))]
                elif found := re.fullmatch(rb":SOUR:CURR (\S+)", command):
                    self.log.append((now, port, 0, float(found[1])))
                elif found := re.fullmatch(rb"#.{6}VS0BB801(.{8}).{4}\r?", command):  # target of loop 1
                    self.log.append((now, port, 0, float(np.frombuffer(bytes.fromhex(found[1].decode()), ">f4")[0])))
                elif command in (b"safe", b":OUTP OFF"):
                    self.log.append((now, port, -1, 0.0))
            return feed(data)

        return listen

    def track(self, port: str, channel: int = 0) -> list[tuple[float, float]]:
        """(time, value) of every command to a channel."""
        return [(at, value) for at, name, number, value in self.log if name == port and number == channel]

    def set(self, **rows: Any) -> None:
        self.bench.play(ShotTable({port: np.array([row], dtype=float) for port, row in rows.items()}, read=()))


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[[str], Watched]]:
    made: list[Watched] = []

    def make(text: str) -> Watched:
        made.append(Watched(tmp_path, text))
        return made[-1]

    yield make
    for one in made:
        one.bench.close()


def is_ramp(track: list[tuple[float, float]], start: float, end: float, rate: float, slack: float = 1e-6) -> bool:
    """Whether it goes from `start` to `end` in steps that are all the same way, none faster than `rate`, none missing."""
    times, values = np.array([at for at, _ in track]), np.array([start, *(value for _, value in track)])
    steps = np.diff(values)
    return bool(
        values[-1] == pytest.approx(end, abs=slack)
        and (np.sign(steps) == np.sign(end - start)).all()
        and (np.abs(steps) <= rate * TICK_S + slack).all()
        and (np.abs(steps[1:]) <= rate * np.diff(times) + slack).all()
    )


# rates


def test_rates_are_quantities_over_a_time() -> None:
    assert [parse_rate(text, "V") for text in ("0.5 V/s", "500 mV / s", "30 V/min", "1 V/us", 0.5, "0.5", "1800V/h")] == pytest.approx(
        [0.5, 0.5, 0.5, 1e6, 0.5, 0.5, 0.5]
    )
    assert (format_rate(1 / 6, "degC"), format_rate(0.005, "A")) == ("10 degC/min", "5 mA/s")


@pytest.mark.parametrize("text", ["0.5 V", "0.5 A/s", "V/s", "1 V/day", "nan V/s", "", "/s", True, None])
def test_what_is_no_rate_is_refused(text: Any) -> None:
    with pytest.raises(ValueError):
        parse_rate(text, "V")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GAIN + 'slew = "5 V/s"\n', r"lab\.toml: ports\.gain\.slew: '5 V' is in 'V', not in A"),
        (GAIN + "slew = [1, 2]\n", r"lab\.toml: ports\.gain\.slew: 2 values for 3 channels; give one, or one a channel"),
        (GAIN + "slew = [1, 0, 2]\n", r"lab\.toml: ports\.gain\.slew = 0 A/s: must be above zero"),
        (GAIN + "slew = {}\n", r'lab\.toml: ports\.gain\.slew = \{\}: a rate such as "0\.5 V/s" is wanted, or one a channel \(line 6\)'),
        (GAIN + "slwe = 3\n", r"lab\.toml: ports\.gain\.slwe = 3: unknown key; did you mean 'slew'\? \(line 6\)"),
        (GAIN + OUT.replace("channels", "slew = 1\nchannels"), r"lab\.toml: ports\.out\.slew: is a detector, which is not set to anything"),
    ],
)
def test_a_mistake_in_a_slew_limit_stops_the_opening(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "lab.toml"
    path.write_text(text + ("" if "stream_adc" in text else OUT) + SIMULATED)
    with pytest.raises(BenchFileError, match=f"^{words}$"):
        Bench.open(path, dry_run=True)


def test_a_slew_limit_is_a_key_of_every_port() -> None:
    assert parse(GAIN + SLEW + OUT, "lab.toml").ports["gain"].rates("A", 3, "lab.toml") == [0.1] * 3


# held ports


def test_a_large_move_is_a_ramp_that_ends_exactly_where_it_should(watch: Callable[[str], Watched]) -> None:
    lab = watch(GAIN + SLEW)
    lab.set(gain=[0.02, 0.013, 0.0])
    assert len(lab.track("gain")) == 4
    assert is_ramp(lab.track("gain"), 0.0, 0.02, 0.1)
    assert is_ramp(lab.track("gain", 1), 0.0, 0.013, 0.1)
    assert [value for _, value in lab.track("gain", 2)] == pytest.approx([0.0] * len(lab.track("gain", 2)))
    assert 0.15 <= lab.bench.clock.now() < 0.25
    lab.log.clear()
    lab.set(gain=[0.004, 0.013, 0.002])
    assert is_ramp(lab.track("gain"), 0.02, 0.004, 0.1)
    assert is_ramp(lab.track("gain", 2), 0.0, 0.002, 0.1)


def test_a_small_move_is_one_set_that_waits_only_as_long_as_it_must(watch: Callable[[str], Watched]) -> None:
    lab = watch(GAIN + SLEW)
    lab.set(gain=[0.003, 0, 0])
    lab.bench.clock.wait(1.0)
    before = lab.bench.clock.now()
    lab.set(gain=[0.005, 0, 0])
    assert lab.track("gain")[-1][0] - before < 0.001
    lab.set(gain=[0.007, 0, 0])
    first, second = lab.track("gain")[-2:]
    assert 0.02 <= second[0] - first[0] < 0.035
    assert [value for _, value in lab.track("gain")] == pytest.approx([0.003, 0.005, 0.007])


def test_every_row_of_a_table_is_reached_by_a_ramp_and_read_only_there(watch: Callable[[str], Watched]) -> None:
    lab = watch(GAIN + SLEW)
    rows = np.array([[0.0, 0, 0], [0.02, 0, 0]])
    assert lab.bench.play(ShotTable({"gain": rows}, {"gain": np.array([1, 0, 1])}, read=()))== {}
    values = [value for _, value in lab.track("gain")]
    assert values.count(pytest.approx(0.02)) == 2
    assert max(abs(np.diff([0.0, *values]))) <= 0.005 + 1e-9
    assert lab.bench.shots == 3


def test_channels_may_have_slew_limits_of_their_own_and_arrive_together(watch: Callable[[str], Watched]) -> None:
    lab = watch(GAIN + 'slew = ["100 mA/s", "10 mA/s", 1]\n')
    lab.set(gain=[0.01, 0.01, 0.01])
    assert is_ramp(lab.track("gain", 1), 0.0, 0.01, 0.01)
    assert is_ramp(lab.track("gain", 0), 0.0, 0.01, 0.01)
    assert 1.0 <= lab.bench.clock.now() < 1.6


def test_several_ports_ramp_together_and_those_without_a_limit_follow_at_the_end(watch: Callable[[str], Watched]) -> None:
    lab = watch(GAIN + SLEW + PUMP + 'slew = "50 mA/s"\n' + GAIN.replace("gain", "plain").replace("USB0", "USB1"))
    lab.set(gain=[0.02, 0, 0], pump=[0.05], plain=[0.02, 0, 0])
    assert is_ramp(lab.track("gain"), 0.0, 0.02, 0.1)
    assert is_ramp(lab.track("pump"), 0.0, 0.05, 0.05)
    assert [value for _, value in lab.track("plain")] == [0.02]
    assert lab.track("plain")[0][0] > lab.track("pump")[-2][0]
    assert lab.bench.clock.now() < 1.6


def test_an_ovens_ramp_begins_at_its_temperature_in_steps_that_suit_it(watch: Callable[[str], Watched]) -> None:
    lab = watch(OVEN + 'slew = "60 degC/min"\n')
    lab.set(oven=[55.0])
    times, targets = zip(*lab.track("oven"), strict=True)
    assert targets == pytest.approx([26.0 + i for i in range(30)])  # the emulated controller is at 25 degC
    assert np.diff(times).min() >= 1.0
    lab.log.clear()
    lab.bench.safe()
    assert lab.track("oven") == []


def test_a_port_of_several_instruments_ramps_as_one(watch: Callable[[str], Watched]) -> None:
    lab = watch(GAIN.replace('"serial:///dev/ttyUSB0"', '["serial:///dev/ttyUSB0", "serial:///dev/ttyUSB1"]') + SLEW)
    lab.set(gain=[0.01, 0, 0, 0, 0, 0.02])
    firsts = [(at, value) for at, value in lab.track("gain", 0) if value]
    lasts = [(at, value) for at, value in lab.track("gain", 2) if value]
    assert is_ramp(firsts, 0.0, 0.01, 0.1)
    assert is_ramp(lasts, 0.0, 0.02, 0.1)


# ending


def test_safe_ramps_down_from_the_last_row_and_then_switches_off(watch: Callable[[str], Watched]) -> None:
    lab = watch(PUMP + SLEW)
    lab.set(pump=[0.05])
    lab.bench.clock.wait(1.0)
    lab.log.clear()
    lab.bench.close()
    off = next(i for i, (_, _, channel, _) in enumerate(lab.log) if channel == -1)
    assert is_ramp([(at, value) for at, _, channel, value in lab.log[: off - 1] if channel == 0], 0.05, 0.0, 0.1)
    assert lab.log[off - 1][3] == lab.log[off - 2][3] == 0.0


def test_after_an_error_safe_goes_straight_to_off(watch: Callable[[str], Watched], monkeypatch: pytest.MonkeyPatch) -> None:
    lab = watch(PUMP + SLEW)
    lab.set(pump=[0.05])
    lab.log.clear()
    with monkeypatch.context() as broken:
        broken.setattr(lab.bench.ports["pump"], "arm", lambda: (_ for _ in ()).throw(UnknownStateError("pump: reads back 0 A")))
        with pytest.raises(UnknownStateError):
            lab.set(pump=[0.049])
    before = lab.bench.clock.now()
    lab.bench.safe()
    assert [value for _, value in lab.track("pump")] == [0.0]
    assert lab.bench.clock.now() - before < TICK_S
    lab.log.clear()
    lab.set(pump=[0.05])
    assert is_ramp(lab.track("pump"), 0.0, 0.05, 0.1)


def test_an_error_on_the_way_down_switches_off_at_once(watch: Callable[[str], Watched], monkeypatch: pytest.MonkeyPatch) -> None:
    lab = watch(PUMP + SLEW)
    lab.set(pump=[0.05])
    lab.log.clear()
    pump, sets = lab.bench.ports["pump"], iter(range(3))
    arm = pump.arm

    def failing() -> None:
        if next(sets) == 2:
            raise LinkTimeoutError("pump: no reply")
        arm()

    monkeypatch.setattr(pump, "arm", failing)
    lab.bench.safe()
    assert [value for _, value in lab.track("pump")] == pytest.approx([0.045, 0.04, 0.0])


def test_the_error_of_another_port_leaves_a_port_where_it_is_known_to_be(
    watch: Callable[[str], Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = watch(PUMP + SLEW + GAIN)
    lab.set(pump=[0.05])
    lab.log.clear()
    with monkeypatch.context() as broken:
        broken.setattr(lab.bench.ports["gain"], "arm", lambda: (_ for _ in ()).throw(UnknownStateError("gain: reads back 0 A")))
        with pytest.raises(UnknownStateError):
            lab.set(gain=[0.01, 0, 0])
    lab.set(pump=[0.03])
    assert is_ramp(lab.track("pump"), 0.05, 0.03, 0.1)


# joint limits on the way


def most_together(lab: Watched, ports: dict[str, int]) -> float:
    """Highest sum of magnitudes after any single command."""
    now = {(port, channel): 0.0 for port, channels in ports.items() for channel in range(channels)}
    highest = 0.0
    for _, port, channel, value in lab.log:
        for key in [key for key in now if key[0] == port and channel in (-1, key[1])]:
            now[key] = value
        highest = max(highest, sum(now.values()))
    return highest


@pytest.mark.parametrize("slew", ["", SLEW])
def test_two_ports_that_swap_never_have_too_much_together(watch: Callable[[str], Watched], slew: str) -> None:
    lab = watch(GAIN + slew + PUMP + slew + '[[limits]]\nports = ["gain", "pump"]\nsum = "25 mA"\n')
    for gain, pump in ([0.02, 0.005], [0.0, 0.025], [0.02, 0.005], [0.01, 0.015]):
        lab.set(gain=[0, gain, 0], pump=[pump])
        assert lab.track("gain", 1)[-1][1] == pytest.approx(gain)
        assert lab.track("pump")[-1][1] == pytest.approx(pump)
    assert most_together(lab, {"gain": 3, "pump": 1}) <= 0.025 + 1e-8
    for track in (lab.track("gain", 1), lab.track("pump")):
        steps = np.abs(np.diff([0.0, *(value for _, value in track)]))
        assert steps.max() <= (0.1 * TICK_S + 1e-8 if slew else 0.025)


def test_channels_that_swap_never_have_too_much_together(watch: Callable[[str], Watched]) -> None:
    lab = watch(GAIN.replace("= 3", "= 16") + '[[limits]]\nports = ["gain"]\nsum = "20 mA"\n')
    rows = np.zeros((3, 16))
    rows[0, 15] = rows[1, 0] = rows[2, 9] = 0.02
    lab.bench.play(ShotTable({"gain": rows}, {"gain": np.array([0, 1, 2, 0])}, read=()))
    assert most_together(lab, {"gain": 16}) <= 0.02 + 1e-8
    assert lab.track("gain", 15)[-1][1] == pytest.approx(0.02)


# sequenced ports


def spec(channels: int) -> ChannelSpec:
    return ChannelSpec(NumberedNames("ch", channels), "V", np.asarray(-5.0), np.asarray(5.0), np.asarray(0.0), np.asarray(0.0), 100)


@st.composite
def banks(draw: st.DrawFn, kind: str) -> Bank:
    channels, rows = draw(st.integers(1, 10)), draw(st.integers(1, 5))

    def values(*shape: int) -> Any:
        return draw(hnp.arrays(np.float64, shape, elements=st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, 3.0])))

    if kind == "dense":
        return values(rows, channels)
    if kind == "changes":
        count = draw(st.sampled_from([0, 1, 3, 20]))
        where = draw(hnp.arrays(np.int64, (rows, count), elements=st.integers(0, channels - 1)))
        return Changes(values(channels), where, values(rows, count))
    signs = draw(hnp.arrays(np.uint8, (rows, -(-channels // 8)), elements=st.integers(0, 255)))
    return Dither(values(channels), values(channels), signs)


@pytest.mark.parametrize("kind", ["dense", "changes", "dither"])
@given(data=st.data())
def test_a_sequence_is_refused_exactly_if_two_of_its_shots_are_too_far_apart(kind: str, data: st.DataObject) -> None:
    bank = data.draw(banks(kind))
    order = np.array(data.draw(st.lists(st.integers(0, bank.shape[0] - 1), min_size=1, max_size=8)))
    rates = np.array(data.draw(st.lists(st.sampled_from([400.0, 1000.0, 2000.0]), min_size=bank.shape[1], max_size=bank.shape[1])))
    played: Floats = dense(bank)[order]
    too_fast = (np.abs(np.diff(played, axis=0)) > rates * 1e-3 + 1e-9).any(axis=1)
    slew = Slew(rates, TICK_S, "lab.toml")
    if too_fast.any():
        shot = int(np.argmax(too_fast))
        with pytest.raises(LimitError, match=rf"^fast/ch\d+: \S+ m?V in 1 ms from shot {shot} to {shot + 1} is faster than "):
            check_sequence("fast", spec(bank.shape[1]), slew, bank, order, 1e-3)
    else:
        check_sequence("fast", spec(bank.shape[1]), slew, bank, order, 1e-3)


def test_a_table_that_is_too_fast_never_begins_to_leave(watch: Callable[[str], Watched]) -> None:
    lab = watch(FAST + 'slew = "2 V/ms"\n')
    bank = np.array([[0.0] * 9, [0.0] * 3 + [1.5] + [0.0] * 5, [2.0] * 9])
    table = ShotTable({"fast": bank}, {"fast": np.array([0, 1, 1, 0])}, 1e-3, read=())
    lab.bench.play(table)
    before = lab.bench.exchanges
    with pytest.raises(LimitError, match=r"^fast/ch3: 1\.5 V in 500 us from shot 0 to 1 is faster than 2 kV/s \(lab\.toml\)$"):
        lab.bench.play(ShotTable({"fast": bank}, {"fast": np.array([0, 1])}, 5e-4, read=()))
    with pytest.raises(LimitError, match=r"^fast/ch3: 1\.5 V in 500 us from shot 1 to 2"):
        lab.bench.play(ShotTable({}, {"fast": np.array([1, 1, 0])}, 5e-4, read=()))
    assert lab.bench.exchanges == before


def test_a_table_begins_where_the_port_is_and_ends_where_it_goes(watch: Callable[[str], Watched]) -> None:
    lab = watch(FAST + 'slew = "2 V/ms"\n')  # dark between tables
    steps = np.tile(np.array([[1.0], [1.5], [2.5]]), 9)

    def play(order: list[int]) -> None:
        lab.bench.play(ShotTable({"fast": steps}, {"fast": np.array(order)}, 5e-4, read=()))

    play([0, 1, 0])
    before = lab.bench.exchanges
    with pytest.raises(LimitError, match=r"^fast/ch0: 1\.5 V in 500 us before shot 0 is faster than 2 kV/s"):
        play([1, 0])
    with pytest.raises(LimitError, match=r"^fast/ch0: 1\.5 V in 500 us after shot 1, where it is dark"):
        play([0, 1])
    assert lab.bench.exchanges == before


def test_a_port_that_keeps_its_last_row_goes_on_from_there_unless_nobody_knows_where_it_is() -> None:
    slew, shown = Slew(np.full(2, 1000.0), TICK_S, "lab.toml"), {"fast": np.array([[0.5, 0.0], [1.5, 0.0], [2.5, 0.0]])}
    rests = Rests({"fast": spec(2)}, {"fast": slew}, ())
    assert rests.unknown() == ["fast"]
    rests.made_safe("fast")
    assert rests.unknown() == []

    def table(*order: int) -> ShotTable:
        return ShotTable({"fast": shown["fast"]}, {"fast": np.array(order)}, 1e-3, read=())

    rests.check(table(0, 1, 2), shown)
    with pytest.raises(LimitError, match=r"^fast/ch0: 1\.5 V in 1 ms before shot 0 .* \(lab\.toml\); it is at 0 V between tables$"):
        rests.check(table(1), shown)
    rests.played(table(0, 1, 2), shown)
    rests.check(table(1), shown)
    with pytest.raises(LimitError, match=r"it is at 2\.5 V between tables$"):
        rests.check(table(0), shown)
    rests.lost()
    assert rests.unknown() == ["fast"]
    rests.check(table(0), shown)  # for it will be made safe before


def test_ramps_and_interlocks_on_a_tape_are_replayed_exchange_by_exchange(tmp_path: Path) -> None:
    path, tape = tmp_path / "lab.toml", tmp_path / "ramps.tape"
    watch_oven = '[[interlocks]]\nport = "oven"\nwhat = "temperature"\nupper = "90 degC"\nevery_s = 0.1\n'
    path.write_text(GAIN + SLEW + PUMP + SLEW + OVEN + OUT + SIMULATED + watch_oven)

    def run(**how: Any) -> int:
        with Bench.open(path, **how) as bench:
            for current in (0.02, 0.001, 0.01):
                bench.play(ShotTable({"gain": np.full((1, 3), current), "pump": np.array([[current]])}, read=()))
        return bench.exchanges

    recorded = run(dry_run=True, record=tape)
    assert recorded > 50
    assert run(replay=tape) == recorded
