"""Faults by one word: how they are written, and what they do to links in process and over sockets."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers.keithley2400 import Keithley2400
from drivers.stream_dac import StreamDac
from labonn.bench import Bench
from labonn.benchfile import parse
from labonn.clock import SimulatedClock
from labonn.errors import DesyncError, LabonnError, LinkClosedError, LinkError, LinkTimeoutError, RefusedError, UnknownStateError
from labonn.faults import KINDS, Fault, parse_fault
from labonn.links import Link
from labonn.registry import load
from labonn.shots import ShotTable
from labonn.sources import DryRun, source_of


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Keithley2400.link_options, "timeout_s", 0.2)
    monkeypatch.setitem(StreamDac.link_options, "timeout_s", 0.2)


SOURCE = """
[ports.soa]
driver = "keithley2400"
link = "visa://GPIB0::24::INSTR"
role = "trigger"
[simulation]
bench = "unlit"
"""
DAC = """
[ports.dac]
driver = "stream_dac"
link = "zmq://127.0.0.1:5570"
channels = 2
role = "trigger"
[simulation]
bench = "unlit"
"""
HELLO = [b'{"op":"identify","seq":7}']


@contextmanager
def linked(text: str, *faults: str, served: bool = False) -> Iterator[Any]:
    file = parse(text, "bench.toml")
    link_of, _, bench = source_of(file, DryRun(served=served, faults=tuple(map(parse_fault, faults))))
    link = link_of(next(iter(file.ports.values())), 0)
    try:
        yield link
    finally:
        link.close()
        bench.close()


def test_a_fault_is_one_word() -> None:
    assert parse_fault("gain:timeout@100") == Fault("gain:timeout@100", "gain", None, "timeout", None, 100)
    assert parse_fault("ovens/2:runaway=90.5@30s") == Fault("ovens/2:runaway=90.5@30s", "ovens", 2, "runaway", 90.5, 0, 30.0)
    assert parse_fault("garbledx*").times == math.inf
    assert parse_fault("late@3x5") == Fault("late@3x5", None, None, "late", None, 3, None, 5.0)
    assert {parse_fault(kind).kind for kind in KINDS} == set(KINDS)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("timeuot", "no kind 'timeuot'; did you mean 'timeout'?"),
        ("gain:", r"\[PORT\[/INDEX\]:\]KIND.* is wanted"),
        ("gain:late@1.5", "a whole number of exchanges, or by seconds"),
        ("gain:misread=much", "a number is wanted"),
        ("xyz", "no kind 'xyz'; there are drop, deaf"),
    ],
)
def test_a_word_that_is_no_fault_is_refused_with_what_is(text: str, told: str) -> None:
    with pytest.raises(LabonnError, match=told):
        parse_fault(text)


def level(link: Link) -> bytes:
    return link.exchange(b":SOUR:CURR?")


@pytest.mark.parametrize("served", [False, True])
def test_a_lost_reply_is_a_timeout_and_the_request_was_obeyed(served: bool) -> None:
    with linked(SOURCE, "timeout@1", served=served) as link:
        link.exchange(b":SOUR:FUNC CURR;*OPC?")
        with pytest.raises(LinkTimeoutError):
            link.exchange(b":SOUR:CURR 1e-5;*OPC?")
        assert level(link) == b"1.000000E-05"


@pytest.mark.parametrize("served", [False, True])
def test_a_deaf_instrument_did_nothing(served: bool) -> None:
    with linked(SOURCE, "deaf@1", served=served) as link:
        link.exchange(b":SOUR:FUNC CURR;*OPC?")
        with pytest.raises(LinkTimeoutError):
            link.exchange(b":SOUR:CURR 1e-5;*OPC?")
        assert level(link) == b"0.000000E+00"


@pytest.mark.parametrize("served", [False, True])
@pytest.mark.parametrize("kind", ["late", "doubled"])
def test_a_late_or_double_reply_is_never_the_next_answer(kind: str, served: bool) -> None:
    with linked(SOURCE, f"{kind}@1", served=served) as link:
        link.exchange(b":SOUR:FUNC CURR;*OPC?")
        answers = []
        for request in (b":SOUR:CURR 1e-5;:SOUR:CURR?", b":SOUR:CURR 2e-5;:SOUR:CURR?", b":SOUR:CURR 3e-5;:SOUR:CURR?"):
            try:
                answers.append(link.exchange(request))
            except LinkError as problem:
                answers.append(type(problem).__name__.encode())
        wrong = [a for a, right in zip(answers, (b"1.0", b"2.0", b"3.0"), strict=True) if a[:1].isdigit() and not a.startswith(right)]
        assert not wrong
        assert any(not answer[:1].isdigit() for answer in answers)


@pytest.mark.parametrize("served", [False, True])
def test_a_dropped_connection_is_a_closed_link(served: bool) -> None:
    with linked(SOURCE, "drop", served=served) as link, pytest.raises(LinkClosedError):
        link.exchange(b"*IDN?")


def test_a_garbled_reply_is_not_what_the_instrument_said() -> None:
    with linked(SOURCE, "garbled") as link:
        spoilt = link.exchange(b"*IDN?")
        assert spoilt != link.exchange(b"*IDN?")


def test_a_truncated_reply_has_no_end() -> None:
    with linked(SOURCE, "truncated") as link, pytest.raises(LinkTimeoutError, match="had come"):
        link.exchange(b"*IDN?")


def test_a_fault_strikes_as_often_as_it_was_told() -> None:
    with linked(SOURCE, "timeout@2x3") as link:
        struck = []
        for _ in range(8):
            try:
                level(link)
                struck.append(False)
            except LinkTimeoutError:
                struck.append(True)
        assert struck == [False, False, True, True, True, False, False, False]


@pytest.mark.parametrize("served", [False, True])
@pytest.mark.parametrize("kind", ["timeout", "deaf", "late"])
def test_a_message_that_does_not_come_back_is_a_timeout_and_the_next_one_is_answered(kind: str, served: bool) -> None:
    with linked(DAC, f"{kind}@1", served=served) as link:
        first = link.exchange_parts(HELLO)
        with pytest.raises(LinkTimeoutError):
            link.exchange_parts(HELLO)
        assert link.exchange_parts(HELLO) == first


@pytest.mark.parametrize("served", [False, True])
def test_a_message_that_comes_twice_is_told_before_the_next_is_sent(served: bool) -> None:
    with linked(DAC, "doubled", served=served) as link:
        first = link.exchange_parts(HELLO)
        if served:
            time.sleep(0.1)
        with pytest.raises(DesyncError, match="nobody waited for"):
            link.exchange_parts(HELLO)
        assert link.exchange_parts(HELLO) == first


def held(tmp_path: Path, *faults: str) -> Any:
    path = tmp_path / "bench.toml"
    path.write_text(SOURCE.replace('role = "trigger"', "interlock = true") + DAC.partition("[simulation]")[0].replace("dac", "adc"))
    return Bench.open(path, dry_run=True, faults=faults)


@pytest.mark.parametrize(
    ("kind", "error", "told"),
    [
        ("refuse", RefusedError, '-200,"Execution error'),
        ("ignore", UnknownStateError, "set to 1 mA it reads back 0 A"),
        ("misread=1.5", UnknownStateError, "set to 1 mA it reads back 1.5 mA"),
        ("interlock", RefusedError, '802,"OUTPUT blocked by output enable"'),
    ],
)
def test_a_source_meter_that_does_not_do_as_told_is_found_out(kind: str, error: type[LabonnError], told: str, tmp_path: Path) -> None:
    with held(tmp_path) as bench:
        opening = bench.ports["soa"]._line._link.exchanges
    with held(tmp_path, f"soa:{kind}@{opening}") as bench:
        source = bench.ports["soa"]
        source.load(np.array([[1e-3]]), np.zeros(1, int), 1e-3)
        with pytest.raises(error, match=re.escape(told)):
            source.arm()


def test_a_fault_after_seconds_waits_for_the_benchs_clock() -> None:
    file = parse(SOURCE, "bench.toml")
    clock = SimulatedClock()
    bench = load("labonn.benches", "unlit")(file, clock)
    bench.inject(parse_fault("timeout@10s"))
    link = bench.link("soa/0")
    level(link)
    clock.wait(10)
    with pytest.raises(LinkTimeoutError):
        level(link)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("laser:drop", "no port 'laser'; PORT:drop, where PORT is one of soa"),
        ("soa/1:drop", "soa has instruments 0 to 0"),
        ("soa:nan", "soa has drop, deaf, timeout"),
    ],
)
def test_a_fault_that_no_instrument_can_have_is_refused_before_anything_opens(fault: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "bench.toml"
    path.write_text(SOURCE)
    with pytest.raises(LabonnError, match=told):
        Bench.open(path, dry_run=True, faults=[fault])


@pytest.mark.parametrize("served", [False, True])
def test_a_flipped_digit_is_another_digit(served: bool) -> None:
    with linked(SOURCE, "flipped@1", served=served) as link:
        link.exchange(b":SOUR:FUNC CURR;*OPC?")
        spoilt, true = level(link), level(link)
        changed = [(a, b) for a, b in zip(spoilt, true, strict=True) if a != b]
        assert len(changed) == 1
        assert all(chr(a).isdigit() or b in b"89" for a, b in changed)


def test_a_computer_that_was_asleep_finds_another_time() -> None:
    file = parse(SOURCE, "bench.toml")
    clock = SimulatedClock()
    bench = load("labonn.benches", "unlit")(file, clock)
    bench.inject(parse_fault("clock_jump=120@1"))
    link = bench.link("soa/0")
    level(link)
    assert clock.now() < 1
    level(link)
    assert 120 < clock.now() < 121


WINDOW = """
[ports.slm]
driver = "slm_monitor"
link = "monitor://1"
shape = [2, 3]
panel = [4, 6]
role = "trigger"
[simulation]
bench = "unlit"
"""


@pytest.mark.parametrize(("kind", "shown"), [("drop", 1), ("deaf", 1), ("timeout", 2), ("unseen", 1)])
def test_calls_of_functions_fail_too(kind: str, shown: int) -> None:
    file = parse(WINDOW, "bench.toml")
    bench = load("labonn.benches", "unlit")(file, SimulatedClock())
    bench.inject(parse_fault(f"{kind}@1"))
    window = bench.link("slm/0")
    window.show(np.zeros((2, 3), np.uint8))
    if kind == "unseen":
        window.show(np.ones((2, 3), np.uint8))
    else:
        with pytest.raises(RuntimeError, match=r"video system not initialized|does not answer"):
            window.show(np.ones((2, 3), np.uint8))
    assert window.version == shown
    window.show(np.ones((2, 3), np.uint8))
    assert window.frame.all()


def test_a_function_table_has_no_wire_that_could_garble() -> None:
    bench = load("labonn.benches", "unlit")(parse(WINDOW, "bench.toml"), SimulatedClock())
    with pytest.raises(LabonnError, match="slm has drop, deaf, timeout, truncated, clock_jump, full_disk, unseen"):
        bench.inject(parse_fault("garbled"))


@contextmanager
def converters(tmp_path: Path, *faults: str, bits: int = 16) -> Iterator[Any]:
    """A DAC whose trigger comes from an ADC that sees it."""
    adc = '[ports.out]\ndriver = "stream_adc"\nlink = "zmq://127.0.0.1:5571"\nchannels = 2\nrole = "trigger"\n'
    text = DAC.replace('role = "trigger"\n', "").replace("[simulation]", adc + "[simulation]")
    text = text.replace("channels = 2", f"channels = 2\nbits = {bits}")
    path = tmp_path / "bench.toml"
    path.write_text(text)
    with Bench.open(path, dry_run=True, faults=faults) as bench:
        instruments = bench._opened.simulated.instruments
        (dac,), (seen,) = instruments.of("dac"), instruments.of("out")

        def fire(shots: int, dwell_s: float) -> None:
            volts = dac.volts() if dac.armed else np.zeros((shots, 2))
            dac.played()
            if seen.armed_shots:
                seen.record(volts)

        seen.on_fire = fire
        yield bench


ROWS = np.linspace(-1, 1, 8).reshape(4, 2)


def rows() -> Any:
    """Two tables of the same rows."""
    first = yield ShotTable({"dac": ROWS}, {"dac": np.arange(4)}, 1e-5)
    second = yield ShotTable({}, {"dac": np.arange(4)}, 1e-5)
    return first["out"], second["out"]


def test_without_faults_a_plans_readings_are_those_of_its_rows(tmp_path: Path) -> None:
    with converters(tmp_path) as bench:
        for volts in bench.run(rows()):
            assert np.abs(volts - ROWS).max() < 1e-3


@pytest.mark.parametrize(
    ("fault", "error", "told"),
    [
        ("dac:no_trigger@4", UnknownStateError, r"^dac: the last table was played 0 times instead of 1: its trigger did not come"),
        ("dac:no_trigger@5", UnknownStateError, r"^dac: the last table was played 0 times instead of 1: its trigger did not come"),
        ("dac:ignore@4", UnknownStateError, "^dac: to be armed for 4 shots, it says that it is for 0"),
        ("dac:refuse@4", RefusedError, r"^dac: arm refused: out of service \(state\)"),
        ("dac:power_cycle@5", LinkClosedError, "dac: the instrument does not know this session any more: it has lost its power"),
        ("dac:flipped@5", DesyncError, "dac: the reply to arm was garbled on its way: its checksum is that of another message"),
        ("out:flipped@4", DesyncError, "out: the reply to fetch was garbled on its way"),
        ("out:no_trigger@2", RefusedError, "out: fetch refused: nothing recorded since the last arm"),
        ("out:lost_block@4", DesyncError, "out: a block of the record is missing or of another record, at row 0 of 4"),
        ("out:ignore@5", UnknownStateError, "out: to be armed for 4 shots, it says that it is for 0"),
    ],
)
def test_what_converters_do_wrong_is_found_out_before_a_plans_result_is_believed(
    fault: str, error: type[LabonnError], told: str, tmp_path: Path
) -> None:
    with converters(tmp_path, fault) as bench, pytest.raises(error, match=told):
        bench.run(rows())


@pytest.mark.parametrize("kind", ["ignore", "refuse", "flipped", "deaf", "timeout", "late", "power_cycle"])
def test_a_converter_that_does_not_do_as_told_at_the_end_is_dark_all_the_same(kind: str, tmp_path: Path) -> None:
    with converters(tmp_path, f"dac:{kind}@8") as bench:
        (dac,), (wire,) = bench._opened.simulated.instruments.of("dac"), bench._opened.simulated.instruments.wires
        bench.run(rows())
        bench.ports["dac"].arm()
        assert dac.armed
        assert not wire.struck
    assert not dac.armed
    assert wire.struck


def test_a_stuck_or_dead_channel_gives_what_it_gives(tmp_path: Path) -> None:
    with converters(tmp_path, "dac:stuck=1", "out:saturated=0@3") as bench:
        first, _ = bench.run(rows())
    assert not first[:, 1].any()
    assert np.allclose(first[:, 0], 10)


def test_what_is_no_number_is_one_in_floats_and_all_bits_in_integers(tmp_path: Path) -> None:
    for bits in (64, 16):
        with converters(tmp_path, "out:nan=1@3", bits=bits) as bench:
            first, _ = bench.run(rows())
        assert np.isnan(first[:, 1]).all() if bits == 64 else np.allclose(first[:, 1], -10 / 32767)


def test_a_channel_that_is_not_there_cannot_be_stuck(tmp_path: Path) -> None:
    with converters(tmp_path, "dac:stuck=7@4") as bench, pytest.raises(LabonnError, match=r"dac: stuck = 7: channels are 0 to 1"):
        bench.run(rows())


def test_an_old_reading_or_one_with_a_wrong_digit_is_no_reading(tmp_path: Path) -> None:
    meter = '[ports.power]\ndriver = "pm100"\nlink = "visa://USB0::1::INSTR"\nrole = "trigger"\n[simulation]\nbench = "unlit"\n'
    (tmp_path / "bench.toml").write_text(meter)
    with Bench.open(tmp_path / "bench.toml", dry_run=True) as bench:
        bench.play(ShotTable({}, shots=4, dwell_s=2e-3))
        before = bench.exchanges - 2
    for kind in ("flipped", "foreign"):
        with (
            Bench.open(tmp_path / "bench.toml", dry_run=True, faults=[f"{kind}@{before}"]) as bench,
            pytest.raises(DesyncError, match="a reply was garbled on its way, or is an old one"),
        ):
            bench.play(ShotTable({}, shots=4, dwell_s=2e-3))


def test_what_is_believed_for_the_whole_run_is_read_twice(tmp_path: Path) -> None:
    path = tmp_path / "bench.toml"
    laser = SOURCE.replace('role = "trigger"', "").replace("keithley2400", "ldc500_laser")
    path.write_text(laser + DAC.partition("[simulation]")[0].replace("dac", "adc"))
    told = []
    with Bench.open(path, dry_run=True) as bench:
        identity, limit = bench.ports["soa"].identity, bench.specs["soa"].upper
    for number in range(4):
        try:
            with Bench.open(path, dry_run=True, faults=[f"soa:flipped@{number}"]) as bench:
                assert (bench.ports["soa"].identity, bench.specs["soa"].upper) == (identity, limit)
        except DesyncError as problem:
            told.append(str(problem))
    assert len(told) > 1
    assert all(text.startswith("soa: asked twice, ") and "a reply was garbled on its way" in text for text in told)


@pytest.mark.parametrize("kind", ["timeout", "late", "deaf", "flipped", "drop"])
def test_a_lost_answer_to_the_last_question_is_asked_for_again(kind: str, tmp_path: Path) -> None:
    with converters(tmp_path, f"dac:{kind}@6") as bench:
        for volts in bench.run(rows()):
            assert np.abs(volts - ROWS).max() < 1e-3
        (wire,) = bench._opened.simulated.instruments.wires
        assert wire.struck
        assert wire.exchanges == (9 if kind == "late" else 8)
