"""Joint limits: sums of sparse banks are those of the dense ones, and what would be too much never begins to leave."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labonn.bench import Bench
from labonn.benchfile import parse
from labonn.channels import ChannelSpec, NumberedNames
from labonn.cli import main
from labonn.errors import BenchFileError, LimitError, UnknownStateError
from labonn.limitfile import JointLimit, PortLimits
from labonn.limits import joints_of
from labonn.shares import Share
from labonn.shots import Bank, Changes, Dither, ShotTable, dense

BENCH = """
[ports.gain]
driver = "qontrol"
link = "serial:///dev/ttyUSB0"
channels = 4
upper = "20 mA"

[ports.heaters]
driver = "qontrol"
link = "serial:///dev/ttyUSB1"
mode = "voltage"
channels = 3
upper = "4 V"

[ports.pump]
driver = "keithley2400"
link = "visa://GPIB0::24::INSTR"
upper = "50 mA"

[ports.fast]
driver = "stream_dac"
link = "zmq://127.0.0.1:5570"
channels = 4
bits = 64
a_per_v = 2.0e-3

[ports.out]
driver = "stream_adc"
link = "zmq://127.0.0.1:5571"
channels = 2
role = "trigger"

[simulation]
bench = "unlit"
"""


def spec(channels: int, unit: str = "V") -> ChannelSpec:
    return ChannelSpec(NumberedNames("ch", channels), unit, np.asarray(-5.0), np.asarray(5.0), np.asarray(0.0), np.asarray(0.0))


def opened(tmp_path: Path, more: str, **how: Any) -> Bench:
    path = tmp_path / "lab.toml"
    path.write_text(BENCH + more)
    bench = Bench.open(path, dry_run=True, **how)
    instruments: Any = bench._opened.simulated.instruments
    instruments.of("out")[0].on_fire = lambda shots, dwell_s: instruments.of("fast")[0].played()
    return bench


SUM = '[[limits]]\nports = ["gain"]\nsum = "50 mA"\n'
BOTH = '[[limits]]\nports = ["gain", "pump"]\nsum = "60 mA"\n'
POWER = '[[limits]]\nports = ["heaters"]\npower = "20 mW"\nresistance = ["1 kohm", "2 kohm", "500 ohm"]\n'


# sums without expanding


@st.composite
def banks(draw: st.DrawFn) -> Bank:
    channels, rows = draw(st.integers(1, 20)), draw(st.integers(1, 6))
    dtype = draw(st.sampled_from([np.float32, np.float64]))

    def values(*shape: int) -> Any:
        return draw(hnp.arrays(dtype, shape, elements=st.floats(-5, 5, width=32)))

    kind = draw(st.sampled_from(["dense", "changes", "dither"]))
    if kind == "dense":
        return values(rows, channels)
    if kind == "changes":
        count = draw(st.integers(0, 4))
        where = draw(hnp.arrays(np.int64, (rows, count), elements=st.integers(0, channels - 1)))
        return Changes(values(channels), where, values(rows, count))
    signs = draw(hnp.arrays(np.uint8, (rows, -(-channels // 8)), elements=st.integers(0, 255)))
    return Dither(values(channels), values(channels), signs)


@given(bank=banks(), squared=st.booleans(), data=st.data())
def test_the_sum_of_every_row_is_that_of_the_dense_frame(bank: Bank, squared: bool, data: st.DataObject) -> None:
    weights = data.draw(hnp.arrays(np.float64, bank.shape[1], elements=st.floats(0, 100)))
    frames = dense(bank).astype(np.float64)
    expected = [sum(w * (v * v if squared else abs(v)) for w, v in zip(weights, frame, strict=True)) for frame in frames]
    assert Share(weights, squared).of_bank(bank) == pytest.approx(expected, rel=1e-9, abs=1e-7)


def test_thousands_of_finite_differences_are_summed_in_the_time_of_what_was_sent() -> None:
    channels = 20_000
    rows = np.arange(2 * channels)
    bank = Changes(np.full(channels, 0.5), (rows % channels)[:, None], np.where(rows < channels, 0.6, 0.4)[:, None])
    began = time.perf_counter()
    sums = Share(np.ones(channels), squared=False).of_bank(bank)
    assert time.perf_counter() - began < 0.2  # a dense bank of this size has 6.4 GB
    assert sums == pytest.approx(np.where(rows < channels, 10_000.1, 9_999.9))


# in the bench file


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('ports = ["gian"]\nsum = "2 A"', "lab.toml: limits[0].ports: no port is called 'gian'; did you mean 'gain'?"),
        ('ports = ["zzz/ch0"]\nsum = 2', "lab.toml: limits[0].ports: no port is called 'zzz'; ports are gain, heaters, pump, fast, out"),
        ('ports = ["gain"]\nsumm = "2 A"\nsum = "1 A"', "lab.toml: limits[0].summ = '2 A': unknown key; did you mean 'sum'?"),
        ('sum = "2 A"', "lab.toml: limits[0].ports: Field required"),
        ('ports = []\nsum = "2 A"', "lab.toml: limits[0]: ports = []: at least one, and none twice"),
        ('ports = ["gain"]', 'lab.toml: limits[0]: either sum = "2.0 A" or power = "5 W" is wanted'),
        ('ports = ["gain"]\nsum = "1 A"\npower = "1 W"', 'lab.toml: limits[0]: either sum = "2.0 A" or power = "5 W" is wanted'),
        ('ports = ["gain"]\nsum = "1 A"\nresistance = 5', "lab.toml: limits[0]: resistance goes with power, not with sum"),
        ('ports = ["gain"]\nsum = "0 A"', "lab.toml: limits[0]: sum: '0 A' is no quantity above zero in V, A or W"),
        ('ports = ["gain"]\nsum = inf', "lab.toml: limits[0]: sum: inf is no quantity above zero in V, A or W"),
        ('ports = ["gain"]\npower = "5 A"', "lab.toml: limits[0]: power: '5 A' is in 'A', not in W"),
        ('ports = ["gain"]\npower = 1\nresistance = "0 ohm"', "lab.toml: limits[0]: resistance: '0 ohm' is not above zero"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_joint_limit_is_one_line(text: str, line: str) -> None:
    with pytest.raises(BenchFileError) as caught:
        parse(f"{BENCH}[[limits]]\n{text}\n", "lab.toml")
    assert str(caught.value) == line


def test_limits_are_a_list_of_tables_and_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(BenchFileError, match=r"^lab\.toml: limits: \[\[limits\]\] tables are wanted, not \{'sum': 3\}$"):
        parse(f"{BENCH}[limits]\nsum = 3\n", "lab.toml")
    with pytest.raises(BenchFileError) as caught:
        parse(f'{BENCH}[[limits]]\nports = ["gain"]\n[[limits]]\nports = ["gian"]\nsum = 1\n[zzz]\n', "lab.toml")
    assert [line.partition(": ")[2][:9] for line in str(caught.value).splitlines()] == ["zzz = {}:", "limits[0]", "limits[1]"]


@pytest.mark.parametrize(
    ("limit", "line"),
    [
        (JointLimit(("out",), sum="2 A"), "ports: 'out' is not an actuator; actuators are gain, heaters, ovens, power"),
        (JointLimit(("ovens",), sum="2 A"), "ports: 'ovens' is in degC; only volts, amperes and watts add up"),
        (JointLimit(("gain/ch9",), sum="2 A"), "ports: 'gain' has no channel 'ch9'; they are ch0 to ch3"),
        (JointLimit(("gain", "gain/ch2"), sum="2 A"), "ports: 'gain/ch2' stands there twice"),
        (JointLimit(("gain",), sum="2 V"), "sum: '2 V' is in 'V', not in A"),
        (JointLimit(("gain", "heaters"), sum="2 V"), "sum: A and V do not add up; power does, with a resistance"),
        (JointLimit(("heaters",), power="2 W"), 'resistance: none given; wanted: one, such as "1 kohm", or one for each of 3 channels'),
        (JointLimit(("gain", "power"), power=2, resistance=[1, 2]),
         'resistance: 2 given; wanted: one, such as "1 kohm", or one for each of 4 channels'),
        (JointLimit(("power",), power=2, resistance=1), "resistance: 1 given; wanted: none, the ports are in watts"),
    ],
)  # fmt: skip
def test_a_joint_limit_that_does_not_fit_the_instruments_is_one_line(limit: JointLimit, line: str) -> None:
    ports = {"gain": spec(4, "A"), "heaters": spec(3), "ovens": spec(1, "degC"), "power": spec(2, "W")}
    with pytest.raises(BenchFileError) as caught:
        joints_of([JointLimit(("gain",), sum=1), limit], "lab.toml", ports)
    assert str(caught.value) == f"lab.toml: limits[1].{line}"


def test_resistances_go_to_the_channels_in_the_order_in_which_they_are_named() -> None:
    limit = JointLimit(("heaters/ch2", "gain", "power", "heaters/ch0"), power="1 W", resistance=[10, 20, 30, 40])
    (joint,) = joints_of([limit], "lab.toml", {"gain": spec(2, "A"), "heaters": spec(3), "power": spec(2, "W")})
    assert joint.shares["heaters"].weights.tolist() == [1 / 40, 0, 1 / 10]
    assert joint.shares["gain"].weights.tolist() == [20, 30]
    assert joint.shares["power"].weights.tolist() == [1, 1]
    assert [joint.shares[port].squared for port in ("heaters", "gain", "power")] == [True, True, False]


def test_a_joint_limit_on_a_detector_stops_the_opening(tmp_path: Path) -> None:
    with pytest.raises(BenchFileError, match=r"^lab\.toml: limits\[0\]\.ports: 'out' is not an actuator; actuators are gain, heaters"):
        opened(tmp_path, '[[limits]]\nports = ["out"]\nsum = "1 V"\n')


# before any byte leaves


def refused(bench: Bench, table: ShotTable) -> str:
    before = bench.exchanges
    with pytest.raises(LimitError) as caught:
        bench.play(table)
    assert bench.exchanges == before
    return str(caught.value)


def test_a_sum_above_its_limit_is_told_with_its_shot(tmp_path: Path) -> None:
    rows = np.full((3, 4), 0.0125)
    rows[1, 2] = 0.0126
    with opened(tmp_path, SUM) as bench:
        order = np.array([0, 2, 1, 1])
        assert refused(bench, ShotTable({"gain": rows}, {"gain": order})) == "limits[0] (gain): 50.1 mA in shot 2 is above 50 mA (lab.toml)"
        bench.play(ShotTable({"gain": rows}, {"gain": np.array([0, 2])}, read=()))
        assert refused(bench, ShotTable({"gain": rows}, {"gain": order[::-1]})).startswith("limits[0] (gain): 50.1 mA in shot 0")


def test_power_is_told_with_its_shot(tmp_path: Path) -> None:
    with opened(tmp_path, SUM + POWER) as bench:
        rows = np.array([[4.0, 0, 1], [0, 0, 3.2], [2, 4, 2]])  # 18, 20.5, 20 mW
        orders = {"heaters": np.array([0, 2, 0, 1])}
        assert refused(bench, ShotTable({"heaters": rows}, orders)) == "limits[1] (heaters): 20.48 mW in shot 3 is above 20 mW (lab.toml)"
        bench.play(ShotTable({"heaters": rows}, {"heaters": np.array([0, 2, 0])}, read=()))


def test_a_difference_too_small_for_six_digits_is_shown(tmp_path: Path) -> None:
    with opened(tmp_path, SUM) as bench:
        row = np.full((1, 4), 0.0125 * (1 + 1e-6))
        assert refused(bench, ShotTable({"gain": row})) == "limits[0] (gain): 50.00005 mA in shot 0 is above 50 mA (lab.toml)"
        bench.play(ShotTable({"gain": np.full((1, 4), np.float32(0.0125))}, read=()))


def test_a_port_that_is_held_counts_in_tables_that_do_not_name_it(tmp_path: Path) -> None:
    with opened(tmp_path, BOTH) as bench:
        bench.play(ShotTable({"gain": np.full((1, 4), 0.01)}, read=()))
        assert refused(bench, ShotTable({"pump": np.array([[0.021]])})) == (
            "limits[0] (gain, pump): 61 mA in shot 0 (gain 40 mA, pump 21 mA) is above 60 mA (lab.toml)"
        )
        bench.play(ShotTable({"pump": np.array([[0.02]])}, read=()))
        bench.safe()
        bench.play(ShotTable({"pump": np.array([[0.05]])}, read=()))
        assert "gain 20 mA, pump 50 mA" in refused(bench, ShotTable({"gain": np.full((1, 4), 0.005)}))


def test_held_and_sequenced_ports_are_added_shot_by_shot(tmp_path: Path) -> None:
    with opened(tmp_path, '[[limits]]\nports = ["gain", "fast"]\nsum = "60 mA"\n') as bench:
        held, fast = np.array([[0.01] * 4, [0.005] * 4]), np.array([[0.005] * 4, [-0.01] * 4])
        good = {"gain": np.array([0, 0, 1, 1]), "fast": np.array([0, 0, 1, 1])}
        bench.play(ShotTable({"gain": held, "fast": fast}, good, read=()))
        bad = {"gain": np.array([0, 0, 1, 0]), "fast": np.array([0, 0, 1, 1])}
        assert "80 mA in shot 3 (gain 40 mA, fast 40 mA)" in refused(bench, ShotTable({"gain": held, "fast": fast}, bad))
        bench.play(ShotTable({"gain": held, "fast": fast}, good, read=()))
        replayed = refused(bench, ShotTable({"gain": held}, {"gain": np.array([0]), "fast": np.array([1])}))
        assert "80 mA in shot 0" in replayed


def test_sparse_banks_are_refused_as_dense_ones_are(tmp_path: Path) -> None:
    with opened(tmp_path, '[[limits]]\nports = ["fast"]\nsum = "60 mA"\n') as bench:
        base = np.full(4, 0.0148)
        changes = Changes(base, np.array([[0], [3]]), np.array([[0.015], [0.0158]]))
        dither = Dither(base, np.full(4, 0.0005), np.packbits([[1, 0, 1, 0], [1, 1, 1, 1]], axis=1))
        for bank in (changes, dither):
            order = {"fast": np.array([0, 0, 1])}
            assert refused(bench, ShotTable({"fast": bank}, order)) == refused(bench, ShotTable({"fast": dense(bank)}, order))
            bench.play(ShotTable({"fast": bank}, {"fast": np.array([0])}, read=()))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused_by_the_channel_first(tmp_path: Path, value: float) -> None:
    with opened(tmp_path, SUM) as bench:
        assert refused(bench, ShotTable({"gain": np.array([[0, value, 0, 0]])})).startswith("gain/ch1: ")


# after a failure


def test_after_a_failed_set_the_higher_of_both_rows_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path, BOTH) as bench:
        bench.play(ShotTable({"gain": np.full((1, 4), 0.01)}, read=()))
        gain = bench.ports["gain"]
        with monkeypatch.context() as broken:
            broken.setattr(gain, "arm", lambda: (_ for _ in ()).throw(UnknownStateError("gain: reads back 0 A")))
            with pytest.raises(UnknownStateError):
                bench.play(ShotTable({"gain": np.full((1, 4), 0.002)}, read=()))
        assert "gain 40 mA, pump 21 mA" in refused(bench, ShotTable({"pump": np.array([[0.021]])}))
        bench.play(ShotTable({"gain": np.full((1, 4), 0.002)}, read=()))
        with monkeypatch.context() as broken:
            broken.setattr(gain, "arm", lambda: (_ for _ in ()).throw(UnknownStateError("gain: reads back 0 A")))
            with pytest.raises(UnknownStateError):
                bench.play(ShotTable({"gain": np.full((1, 4), 0.01)}, read=()))
        assert "gain 40 mA, pump 21 mA" in refused(bench, ShotTable({"pump": np.array([[0.021]])}))
        bench.safe()
        bench.play(ShotTable({"pump": np.array([[0.05]])}, read=()))


# sequenced ports that keep a row between tables

ARB = """[ports.arb]
driver = "keysight33500"
link = "visa://USB0::1::INSTR"
[[limits]]
ports = ["arb", "gain"]
power = "1 W"
resistance = ["10 ohm", "10 ohm", "1 kohm", "1 kohm", "1 kohm", "1 kohm"]
"""


def test_a_generator_that_waits_at_a_row_counts_with_its_highest_while_others_change(tmp_path: Path) -> None:
    arb, gain = np.array([[1.0, 0], [2.0, 2.0]]), np.array([[0.015] * 4, [0.0] * 4])  # 0.1 and 0.8, 0.9 and 0 W
    with opened(tmp_path, ARB) as bench:
        table = ShotTable({"arb": arb, "gain": gain}, {"arb": np.array([0, 1]), "gain": np.array([1, 1])}, 1e-3, read=())
        bench.play(table)
        apart = ShotTable({"arb": arb, "gain": gain}, {"arb": np.array([0, 1]), "gain": np.array([0, 1])}, 1e-3, read=())
        assert refused(bench, apart) == (
            "limits[0] (arb, gain): 1.7 W while arb may keep any row until the others have changed (arb 800 mW, gain 900 mW) "
            "is above 1 W (lab.toml)"
        )
        assert "in shot 0 (arb 800 mW, gain 900 mW)" in refused(bench, ShotTable({"gain": gain[:1]}))


def test_a_generator_in_the_way_is_made_safe_before_another_rises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    low, high, gain = np.array([[1.0, 0]]), np.array([[2.0, 2.0]]), np.array([[0.015] * 4, [0.0] * 4])
    with opened(tmp_path, ARB) as bench:
        bench.play(ShotTable({"arb": high}, read=()))
        calls: list[str] = []
        for name in ("arb", "gain"):
            for call in ("load", "safe"):
                made = getattr(bench.ports[name], call)
                monkeypatch.setattr(
                    bench.ports[name], call, lambda *given, made=made, told=f"{name} {call}": (calls.append(told), made(*given))[1]
                )
        bench.play(ShotTable({"arb": low, "gain": gain[:1]}, read=()))
        assert calls == ["arb safe", "gain load", "arb load"]
        calls.clear()
        bench.play(ShotTable({"arb": low.copy(), "gain": gain[:1].copy()}, read=()))
        assert calls == ["gain load", "arb load"]


def test_two_channels_of_a_generator_that_swap_do_so_dark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path, ARB) as bench:
        bench.play(ShotTable({"arb": np.array([[3.0, 0]])}, read=()))
        offs: list[str] = []
        safe = bench.ports["arb"].safe
        monkeypatch.setattr(bench.ports["arb"], "safe", lambda: (offs.append("off"), safe())[1])
        bench.play(ShotTable({"arb": np.array([[0, 3.0]])}, read=()))
        assert offs == ["off"]


# limits from elsewhere


def test_the_tightest_rule_wins_and_is_named_and_written_into_the_instrument(tmp_path: Path) -> None:
    calibrated = PortLimits("gain", upper=[0.03, 0.01, 0.02, 0.015], rule="gain-2024.json")
    with opened(tmp_path, "", limits=[calibrated, PortLimits("heaters", lower=0.5, rule="h.json")]) as bench:
        assert bench.specs["gain"].upper.tolist() == [0.02, 0.01, 0.02, 0.015]
        for row, words in (
            ([0.021, 0, 0, 0], r"gain/ch0: 21 mA in row 0 is outside 0 to 20 mA (lab.toml)"),
            ([0, 0.011, 0, 0], r"gain/ch1: 11 mA in row 0 is outside 0 to 10 mA (gain-2024.json)"),
        ):
            assert refused(bench, ShotTable({"gain": np.array([row])})) == words
        assert refused(bench, ShotTable({"fast": np.full((1, 4), 0.021)})).endswith("(driver)")
        link = bench.ports["gain"]._line._link
        registers = [float(link.exchange(f"IMAX{i}?".encode()).split()[0]) for i in range(4)]
        assert registers == pytest.approx([20, 10, 20, 15], abs=0.001)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (PortLimits("gian", upper=1, rule="c.json"), r"^gian: has limits in c\.json, but lab\.toml has no such port$"),
        (PortLimits("gain", upper=[1, 2], rule="c.json"), r"^gain: limits of 4 channels cannot be made of c\.json"),
        (PortLimits("gain", lower=0.021, rule="c.json"), r"^gain/ch0: no value is not below 21 mA by c\.json and not above 20 mA by lab"),
        (PortLimits("gain", lower=np.nan, rule="c.json"), r"^gain/ch0: no value is"),
    ],
)
def test_limits_that_leave_nothing_or_fit_nothing_stop_the_opening(tmp_path: Path, limits: PortLimits, words: str) -> None:
    with pytest.raises(LimitError, match=words):
        opened(tmp_path, "", limits=[limits])


# labonn check


def test_checking_a_bench_tells_joint_limits_slews_and_interlocks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = POWER + SUM + '[[interlocks]]\nport = "out"\nupper = "4 V"\n'
    path = tmp_path / "lab.toml"
    path.write_text(BENCH.replace('upper = "20 mA"', 'upper = "20 mA"\nslew = "5 mA/s"') + more)
    assert main(["check", "--bench", str(path), "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"^gain .* 0 A to 20 mA, 5 mA/s ", text, re.MULTILINE)
    assert text.splitlines()[-5:-2] == [
        "limits[1]: the sum of gain up to 50 mA",
        "limits[0]: the power of heaters in 500 ohm to 2 kohm up to 20 mW",
        "interlocks[0]: out, every channel: reading at most 4 V",
    ]
    assert main(["check", "--bench", str(path), "--dry-run", "--json"]) == 0
    ports = {port["port"]: port for port in json.loads(capsys.readouterr().out)["ports"]}
    assert (ports["gain"]["slew"], ports["out"]["slew"]) == (0.005, None)
    assert ports["gain"]["rules"] == ["limits[1]: the sum of gain up to 50 mA"]


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ('[[limits]]\nports = ["heaters/ch7"]\nsum = "1 V"\n', "limits[0].ports: 'heaters' has no channel 'ch7'; they are ch0 to ch2"),
        ('[[interlocks]]\nport = "pump"\nupper = 1\n', "interlocks[0].port: 'pump' is no port that is read; there are: out"),
    ],
)
def test_checking_a_bench_tells_what_does_not_fit_its_instruments(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: str, line: str
) -> None:
    path = tmp_path / "lab.toml"
    path.write_text(BENCH + more)
    assert main(["check", "--bench", str(path), "--dry-run"]) == 2
    assert capsys.readouterr().err.startswith(f"labonn: error: lab.toml: {line} (line ")
