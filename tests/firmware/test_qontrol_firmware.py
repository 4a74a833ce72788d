"""The emulated Qontrol source against its manual's examples and against circuit theory."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim_backends.firmware.qontrol import QontrolFirmware

STEP_A, STEP_V = 24e-3 / 65535, 12 / 65535


def ask(source: QontrolFirmware, text: str) -> list[str]:
    return source.feed(text.encode() + b"\n").decode().splitlines()


def test_it_answers_the_opening_dialogue_of_the_manual() -> None:
    source = QontrolFirmware(modules=2)
    assert ask(source, "id?") == ["Q8iv-0001"]
    assert ask(source, "nup=0") == ["OK"]
    assert ask(source, "nupall?") == ["Q8iv-0001:0", "Q8iv-0002:1"]
    assert ask(source, "vfull?") == ["+12.000 V"]
    assert ask(source, "IFULL?") == ["+24.000 mA"]
    assert ask(source, "nchan?") == ["16"]
    assert len(ask(source, "firmware?")) == len(ask(source, "lifetime?")) == 1


def test_current_and_voltage_follow_ohms_law_whichever_was_set() -> None:
    source = QontrolFirmware(loads_ohm=[100.0, 250.0, 400.0, 1e3, 50.0, 200.0, 300.0, 600.0])
    assert ask(source, "I1=10") == ["OK"]
    assert ask(source, "V2=2.5") == ["OK"]
    assert source.currents_a[1] == pytest.approx(10e-3, abs=STEP_A)
    assert source.voltages_v[1] == pytest.approx(2.5, abs=250 * STEP_A)
    assert source.currents_a[2] == pytest.approx(2.5 / 400, abs=STEP_V / 400)
    assert float(ask(source, "V2?")[0].split()[0]) == pytest.approx(2.5, abs=STEP_V)
    assert float(ask(source, "I2?")[0].split()[0]) == pytest.approx(6.25, abs=1e-3)
    assert source.currents_a[0] == 0


def test_a_current_that_needs_more_than_vmax_is_limited_in_silence() -> None:
    source = QontrolFirmware(loads_ohm=1000.0)
    assert ask(source, "VMAX0=5") == ["OK"]
    assert ask(source, "I0=10") == ["OK"]
    assert source.voltages_v[0] == pytest.approx(5, abs=STEP_V)
    assert source.currents_a[0] == pytest.approx(5e-3, abs=STEP_V / 1000)


def test_a_voltage_that_needs_more_than_imax_is_limited_in_silence() -> None:
    source = QontrolFirmware(loads_ohm=100.0)
    ask(source, "IMAX0=10")
    assert ask(source, "V0=5") == ["OK"]
    assert source.voltages_v[0] == pytest.approx(1.0, abs=100 * STEP_A)


def test_an_open_output_carries_no_current_and_rises_to_vmax() -> None:
    source = QontrolFirmware(loads_ohm=math.inf)
    ask(source, "I0=1")
    assert (source.currents_a[0], source.voltages_v[0]) == (0, pytest.approx(12))
    ask(source, "V1=3")
    assert (source.currents_a[1], source.voltages_v[1]) == (0, pytest.approx(3, abs=STEP_V))


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("V0=12", "OK"),
        ("V0=12.001", "E01:00"),
        ("I3=24", "OK"),
        ("I3=24.001", "E02:03"),
        ("V0=-0.1", "E11:00"),
        ("V0=nan", "E11:00"),
        ("V0=", "E11:00"),
        ("V0=1e400", "E11:00"),
        ("V8=1", "E12:08"),
        ("V=1", "E12:00"),
        ("V?", "E12:00"),
        ("VFULL=3", "E13:00"),
        ("hello?", "E10:00"),
        ("V3", "E10:03"),
        ("*IDN?", "E10:00"),
        ("VVEC0=1,2,3,4,5,6,7,8", "OK"),
        ("VVEC1=1,2,3,4,5,6,7,8", "E12:08"),
        ("IVEC4=1,2,25,1", "E02:06"),
    ],
)
def test_it_is_as_strict_as_the_machine(command: str, answer: str) -> None:
    assert ask(QontrolFirmware(), command) == [answer]


def test_a_refused_set_changes_nothing() -> None:
    source = QontrolFirmware()
    ask(source, "IVEC0=1,1,1,1,1,1,1,1")
    before = source.currents_a.copy()
    assert ask(source, "IMAX5=2") == ["OK"]
    assert ask(source, "IVEC0=1,1,1,1,1,2.1,1,1") == ["E02:05"]
    np.testing.assert_array_equal(source.currents_a, before)
    assert ask(source, "IVEC0=1,1,1,1,1,2.0,1,1") == ["OK"]


def test_safe_puts_all_outputs_to_zero_and_keeps_limits() -> None:
    source = QontrolFirmware(modules=2)
    ask(source, "VMAX0=3")
    ask(source, "VVEC0=1,2,3,1,2,3,1,2")
    ask(source, "IVEC8=1,2,3,4,5,6,7,8")
    assert ask(source, "safe") == ["OK"]
    assert not source.currents_a.any()
    assert not source.voltages_v.any()
    assert ask(source, "V0=3.1") == ["E01:00"]


def test_the_manuals_binary_example_sets_channel_3_to_2_5_volts() -> None:
    source = QontrolFirmware()
    assert source.feed(bytes.fromhex("81000000033555")) == b"OK\n"
    assert source.voltages_v[3] == 0x3555 / 0xFFFF * 12
    assert source.voltages_v[3] == pytest.approx(2.5, abs=STEP_V)


def test_binary_frames_read_set_vectors_and_refuse_a_wrong_parity() -> None:
    source = QontrolFirmware(modules=2)
    vector = b"\x82" + b"\x01" + (8).to_bytes(3, "big") + (2).to_bytes(2, "big") + b"\x80\x00\x40\x00"
    assert source.feed(vector) == b"OK\n"
    np.testing.assert_allclose(source.currents_a[8:10], np.array([0x8000, 0x4000]) / 0xFFFF * 24e-3)
    assert source.feed(bytes.fromhex("88010000080000")) == b"+12.000183 mA\n"
    assert len(source.feed(bytes.fromhex("a9000000000000")).splitlines()) == 16
    assert source.feed(bytes.fromhex("80000000033555")) == b"E15:00\n"
    assert source.feed(bytes.fromhex("817f0000033555")) == b"E10:00\n"
    by_id = bytes([0x90]) + b"\x00" + (2).to_bytes(2, "big") + b"\x01" + b"\xff\xff"
    assert source.feed(by_id) == b"OK\n"
    assert source.voltages_v[9] == pytest.approx(24e-3 * 200)  # the full 12 V need 60 mA: limited by IMAX


def test_replies_do_not_depend_on_how_the_bytes_are_cut() -> None:
    stream = b"id?\nV3=2.5\r\n" + bytes.fromhex("81000000043555") + b"\nVall?\nnonsense\n"
    whole = QontrolFirmware().feed(stream)
    pieces = QontrolFirmware()
    assert b"".join(pieces.feed(stream[i : i + 1]) for i in range(len(stream))) == whole
    assert whole.count(b"\n") == 1 + 1 + 1 + 8 + 1


def test_an_endless_line_is_refused_once_and_the_next_one_understood() -> None:
    source = QontrolFirmware()
    assert source.feed(b"x" * 5000) + source.feed(b"x" * 5000 + b"\nid?\n") == b"E14:00\nQ8iv-0001\n"


def test_noise_is_seeded_and_off_by_default() -> None:
    noisy = [QontrolFirmware(noise=1e-4, seed=seed) for seed in (1, 1, 2)]
    readings = [source.feed(b"V0=5\nVall?\n") for source in noisy]
    assert readings[0] == readings[1] != readings[2]
    assert len(set(QontrolFirmware().feed(b"Vall?\n").splitlines())) == 1


def test_the_wire_takes_ten_bits_a_byte() -> None:
    assert QontrolFirmware().wire_s(100, 15) == pytest.approx(115 * 10 / 115200)
    set_s = QontrolFirmware().wire_s(len("V3=2.500000\n"), len("OK\n"))
    assert 500 < 1 / set_s < 1100  # one channel at a time


def test_a_power_cycle_loses_registers_and_announces_itself() -> None:
    source = QontrolFirmware()
    ask(source, "VMAX0=1")
    source.power_cycle()
    assert ask(source, "VMAX0?") == ["E90:00", "+12.000000 V"]


def test_a_port_gets_as_many_modules_as_it_needs() -> None:
    assert QontrolFirmware.for_port({}, 1601, 0).modules == 201
    assert QontrolFirmware.for_port({"first": 7}, 2, 0).modules == 2
    assert QontrolFirmware.for_port({}, 0, 0).modules == 1
    assert ask(QontrolFirmware.for_port({}, 8, 5), "id?") != ask(QontrolFirmware.for_port({}, 8, 6), "id?")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=40) | st.sampled_from([b"V3=2.5\n", b"Iall?\n", b"IVEC0=1,2\n", b"\x81\x00\x00"]), max_size=12))
def test_no_bytes_whatsoever_break_it(chunks: list[bytes]) -> None:
    source = QontrolFirmware()
    for chunk in chunks:
        for line in source.feed(chunk).splitlines():
            assert line
    assert np.all(source.currents_a <= 24e-3 * (1 + 1e-12))
    assert np.all(source.voltages_v <= 12 * (1 + 1e-12))


COMMANDS = ["V3=2.5", "I5=10", "IVEC0=1,2,3,4,5,6,7,8", "VMAX5=1", "IMAX3=5", "VVEC8=1,2", "safe", "I99=1", "V3=13", "V16=11", "VMAX16=7"]
SETS = st.lists(st.sampled_from(COMMANDS), max_size=6)


@settings(max_examples=100, deadline=None)
@given(st.lists(SETS, max_size=5), st.sampled_from([200.0, 2000.0, math.inf]))
def test_changes_summed_up_are_what_flows(rounds: list[list[str]], load: float) -> None:
    source, volts, amperes = QontrolFirmware(modules=3, loads_ohm=load), np.full(24, np.nan), np.full(24, np.nan)
    for commands in [[], *rounds]:
        for command in commands:
            ask(source, command)
        channels, v, a = source.changes()
        volts[channels], amperes[channels] = v, a
        np.testing.assert_array_equal(volts, source.voltages_v)
        np.testing.assert_array_equal(amperes, source.currents_a)


def test_only_what_was_set_is_told_as_changed_and_only_once() -> None:
    source = QontrolFirmware(modules=30, loads_ohm=1000.0)
    assert source.changes()[0] == list(range(240))
    assert source.changes() == ([], [], [])
    ask(source, "VMAX7=2")
    ask(source, "IVEC6=1,10")
    ask(source, "I9=99")  # refused
    ask(source, "I8?")
    channels, volts, amperes = source.changes()
    assert channels == [6, 7]
    assert volts == pytest.approx([1.0, 2.0], abs=STEP_V)
    assert amperes == pytest.approx([1e-3, 2e-3], abs=STEP_A)
    source.loads_ohm[6] = math.inf
    assert source.changes()[0] == list(range(240))
    source.power_cycle()
    assert source.changes()[2] == [0.0] * 240
