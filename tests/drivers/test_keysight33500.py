"""The Keysight 33500 driver against its emulator (in process, TCP, VISA), refusals, broken wires; and PyMeasure on the same emulator."""

from __future__ import annotations

import contextlib
import math
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from disturbed import Disturbed, served
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import keysight33500_waveforms as waveforms
from drivers.insist import TRIES
from drivers.keysight33500 import Keysight33500, Keysight33500Options
from labonn.bench import Bench
from labonn.clock import SimulatedClock
from labonn.devices import Actuator
from labonn.errors import (
    DesyncError,
    IdentityError,
    LabonnError,
    LimitError,
    LinkClosedError,
    LinkTimeoutError,
    RefusedError,
    TableError,
    UnknownStateError,
)
from labonn.links import connect
from labonn.shots import Changes, ShotTable
from sim_backends.firmware.keysight33500 import Keysight33500Firmware
from sim_backends.served import serve_tcp
from sim_backends.simlinks import SimulatedLink

STEP_V = 10.0 / 65534


def opened(
    firmware: Keysight33500Firmware, lower: float | None = None, upper: float | None = None, **options: Any
) -> tuple[Keysight33500, Disturbed]:
    link = Disturbed(SimulatedLink(firmware, SimulatedClock(), **Keysight33500.link_options))
    source = Keysight33500(link, Keysight33500Options(**options), "mod")
    source.prepare(source.spec.tighten(lower, upper, "bench.toml"))
    link.asked.clear()
    return source, link


def played(firmware: Keysight33500Firmware, shots: int, dwell_s: float) -> Any:
    """Volts in the middle of every shot after a trigger."""
    firmware.external_trigger()
    return firmware.sampled((np.arange(shots) + 0.5) * dwell_s)


def sent(link: Disturbed) -> int:
    return sum(map(len, link.asked))


BANK = np.array([[0.5, -1.0], [2.0, 0.25], [-1.5, 3.0], [1.0, 1.0]])


def test_commands_are_the_manuals_bytes() -> None:
    assert waveforms.block(b"abc") == b"#13abc"
    assert waveforms.block(bytes(16))[:4] == b"#216"
    codes = np.array([-32767, 1, 258], "<i2")
    assert waveforms.arb(2, "x", codes) == b":SOUR2:DATA:ARB:DAC x,#16\x01\x80\x01\x00\x02\x01"
    assert waveforms.sequence(1, "s0", np.array([3, 0]), np.array([1, 7])) == (
        b':SOUR1:DATA:SEQ #285"s0","r3",1,onceWaitTrig,maintain,4,"r3",1,repeat,maintain,4,"r0",7,repeat,maintain,4'
    )


def test_a_waveform_begins_and_ends_with_its_first_shot() -> None:
    codes = np.array([10, 20, 30], "<i2")
    assert waveforms.expanded(codes, np.array([2, 0]), 2, 8).tolist() == [30, 30, 10, 10, 30, 30, 30, 30]
    assert waveforms.expanded(codes, np.arange(3).repeat(3), 1, 8).tolist() == [10] * 3 + [20] * 3 + [30] * 3 + [10]


def test_runs_of_an_order_are_never_longer_than_a_step_can_repeat() -> None:
    rows, counts = waveforms.runs(np.array([4, 4, 1, 4]))
    assert (rows.tolist(), counts.tolist()) == ([4, 1, 4], [2, 1, 1])
    rows, counts = waveforms.runs(np.repeat([2, 0], [2_500_000, 1_000_000]))
    assert (rows.tolist(), counts.tolist()) == ([2, 2, 2, 0], [1_000_000, 1_000_000, 500_000, 1_000_000])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-2.0, 3.0), min_size=1, max_size=6), st.floats(0.001, 0.01))
def test_codes_give_the_rows_back_and_no_code_is_beyond_the_limits(values: list[float], least: float) -> None:
    rows = np.array(values)[:, None]
    scale = waveforms.scale_of(rows, np.array([-2.0]), np.array([3.0]), least)
    back = scale.offset_v + scale.codes(rows) / 32767 * scale.vpp / 2
    np.testing.assert_allclose(back, rows, atol=scale.vpp[0] / 65534 * 1.001)
    assert scale.offset_v[0] - scale.vpp[0] / 2 >= -2.0 - 1e-12
    assert scale.offset_v[0] + scale.vpp[0] / 2 <= 3.0 + 1e-12


def test_opening_identifies_and_changes_nothing() -> None:
    firmware = Keysight33500Firmware(serial=77)
    firmware.feed(b"APPL:SIN 1E4,2,1\nFOO\n")
    before = dict(firmware.values)
    source = Keysight33500(SimulatedLink(firmware, SimulatedClock()), Keysight33500Options(), "mod")
    assert source.identity == "Agilent Technologies,33522B,MY00000077"
    assert (source.spec.unit, source.spec.depth, list(source.spec.names)) == ("V", (1 << 20) - 1, ["ch1", "ch2"])
    assert (source.spec.lower[0], source.spec.upper[1], source.spec.step[0]) == (-5.0, 5.0, pytest.approx(STEP_V))
    assert firmware.values == before
    assert firmware.feed(b"SYST:ERR?\n") == b'-113,"Undefined header"\n'
    assert isinstance(source, Actuator)


@pytest.mark.parametrize(("load_ohm", "peak"), [(50.0, 5.0), (math.inf, 10.0), (150.0, 7.5)])
def test_the_load_decides_what_it_can_reach(load_ohm: float, peak: float) -> None:
    firmware = Keysight33500Firmware(loads_ohm=load_ohm)
    source, _ = opened(firmware, load_ohm=load_ohm)
    assert source.spec.upper[0] == pytest.approx(peak)
    bank = np.array([[peak, -peak], [-peak, peak], [0.0, 0.1]])
    source.load(bank, np.arange(3), 1e-6)
    source.arm()
    np.testing.assert_allclose(played(firmware, 3, 1e-6), bank, atol=2 * peak / 65534)


def test_preparing_resets_and_writes_the_limits_into_its_registers() -> None:
    firmware = Keysight33500Firmware()
    firmware.feed(b"APPL:SIN 1E4,2,1;:OUTP2:POL INV;:SOUR2:AM:STAT ON\n")
    opened(firmware, lower=-1.25, upper=3.0)
    assert firmware.feed(b"OUTP1?;:OUTP2:POL?;:SOUR2:AM:STAT?;:SOUR2:VOLT:LIM:LOW?;HIGH?;STAT?\n") == (
        b"0;NORM;0;-1.2500000000000E+00;+3.0000000000000E+00;1\n"
    )
    assert firmware.feed(b"SOUR1:FUNC ARB;:SOUR1:VOLT:HIGH 3.1;:SYST:ERR?\n").startswith(b"-221")
    assert (firmware.values["autorange1"], firmware.values["trigger2"], firmware.values["filter1"]) == ("OFF", "EXT", "OFF")
    with pytest.raises(LimitError, match="less than 1 mV apart"):
        opened(Keysight33500Firmware(), lower=1.0, upper=1.0005)


@pytest.mark.parametrize("way", ["in process", "tcp", "visa"])
def test_shots_come_out_as_loaded_over_every_link(way: str) -> None:
    firmware = Keysight33500Firmware()
    with served(way, firmware, SimulatedClock(), Keysight33500.link_options) as link:
        source = Keysight33500(link, Keysight33500Options(), "mod")
        source.prepare(source.spec)
        assert firmware.volts_v.tolist() == [0, 0]
        before = link.exchanges
        for order in (np.array([2, 0, 3, 1]), np.array([1, 1, 1, 0, 2])):
            source.load(BANK, order, 2e-6)
            source.arm()
            np.testing.assert_allclose(firmware.volts_v, BANK[order[0]], atol=STEP_V)  # waits at the first shot
            np.testing.assert_allclose(played(firmware, len(order), 2e-6), BANK[order], atol=STEP_V)
            np.testing.assert_allclose(firmware.volts_v, BANK[order[0]], atol=STEP_V)  # and goes back to it
        assert link.exchanges == before + 2 * 4
        source.safe()
        assert firmware.volts_v.tolist() == [0, 0]


def test_newlines_and_every_other_byte_in_a_block_pass_through_a_socket() -> None:
    firmware = Keysight33500Firmware()
    bank = np.linspace(-5, 5, 65535)[:, None] * np.array([1.0, -1.0])
    with served("visa", firmware, SimulatedClock(), Keysight33500.link_options) as link:
        source = Keysight33500(link, Keysight33500Options(), "mod")
        source.prepare(source.spec)
        source.load(bank, np.arange(65535), 1e-6)
        assert np.array_equal(firmware.memory[1].arbs["SHOTS"][:-1], np.arange(-32767, 32768))


@pytest.mark.parametrize("spans", [False, True])
@pytest.mark.parametrize("model", ["33522B", "33622A", "33512B"])
def test_volts_do_not_depend_on_how_a_firmware_counts_its_amplitude(model: str, spans: bool) -> None:
    firmware = Keysight33500Firmware(model, spans=spans)
    source, _ = opened(firmware, lower=-2.0, upper=3.0, model=model)
    constant = np.column_stack([BANK[:, 0], np.full(4, 3.0)])  # at the limit
    tables = ((BANK, [0, 1, 3]), (constant, [1, 3, 2]), (BANK, np.repeat([2, 1, 0, 3], 5000)), (BANK, [1]))
    for bank, rows in tables:
        order = np.asarray(rows)
        source.load(bank, order, 1e-6)
        source.arm()
        np.testing.assert_allclose(played(firmware, len(order), 1e-6), bank[order], atol=6e-4)
        assert firmware.feed(b"SYST:ERR?\n") == b'+0,"No error"\n'


def test_the_same_rows_in_a_new_order_are_not_sent_again() -> None:
    firmware = Keysight33500Firmware()
    source, link = opened(firmware)
    slow = np.repeat([0, 1, 2, 3], 1000)
    source.load(BANK, slow, 1e-6)
    first = sent(link)
    assert b"DATA:SEQ" in link.asked[0]
    link.asked.clear()
    for order in (np.repeat([3, 1, 0, 2], 1000), np.repeat([3, 1, 0, 2], 700), np.repeat([2, 0, 3, 1, 0], [9, 9, 9, 100_000, 9])):
        source.load(None, order, 1e-6)
        source.arm()
        np.testing.assert_allclose(played(firmware, len(order), 1e-6), BANK[order], atol=STEP_V)
    assert not any(b"DATA:ARB:DAC" in request for request in link.asked)
    assert sent(link) / 3 < 0.9 * first + 200
    link.asked.clear()
    source.load(None, order, 1e-6)
    assert not link.asked
    for i in range(40):  # more than the 32 sequences that there is room for
        source.load(None, np.repeat([i % 4, 0, 1, 2, 3], 1000 + i), 1e-6)
        source.arm()
        np.testing.assert_allclose(played(firmware, 5 * (1000 + i), 1e-6)[:: 1000 + i], BANK[[i % 4, 0, 1, 2, 3]], atol=STEP_V)


def test_other_rows_in_the_same_order_are_sent() -> None:
    firmware = Keysight33500Firmware()
    source, _ = opened(firmware)
    slow = np.repeat([0, 1, 2, 3], 1000)
    for bank in (BANK, 0.5 * BANK[::-1], BANK):
        source.load(bank, slow, 1e-6)
        source.arm()
        np.testing.assert_allclose(played(firmware, 4000, 1e-6), bank[slow], atol=STEP_V)


def test_an_error_that_was_there_before_is_not_blamed_on_a_load() -> None:
    firmware = Keysight33500Firmware()
    source, _ = opened(firmware)
    firmware.feed(b"FOO;BAR\n")
    source.load(BANK, np.arange(4), 1e-6)
    firmware.feed(b"FOO;BAR\n")
    source.arm()


def test_the_form_that_sends_less_is_chosen() -> None:
    firmware = Keysight33500Firmware()
    source, link = opened(firmware)
    source.load(BANK, np.tile(np.arange(4), 1000), 1e-6)
    assert not any(b"DATA:SEQ" in request for request in link.asked)
    assert sent(link) < 2 * 2 * 4001 + 1600
    link.asked.clear()
    source.load(None, np.repeat(np.arange(4), 100_000), 1e-6)
    assert all(b"DATA:SEQ" in request for request in link.asked)
    assert sent(link) < 2500


def test_a_sequence_reaches_orders_that_no_waveform_could_hold() -> None:
    firmware = Keysight33500Firmware()
    source, _ = opened(firmware)
    order = np.repeat(np.array([0, 1, 2, 3, 0]), [1_500_000, 1_000_000, 1, 2, 3])
    source.load(BANK, order, 1e-6)
    source.arm()
    firmware.external_trigger()
    edges = np.array([0, 1_499_999, 1_500_000, 2_499_999, 2_500_000, 2_500_001, 2_500_003, 2_500_005])
    np.testing.assert_allclose(firmware.sampled((edges + 0.5) * 1e-6), BANK[[0, 0, 1, 1, 2, 3, 0, 0]], atol=STEP_V)
    with pytest.raises(TableError, match=r"1200000 shots, 1200000 times another row, do not fit: a waveform has 1048576 samples"):
        source.load(None, np.tile([0, 1], 600_000), 1e-6)


def test_a_part_of_the_rows_that_does_not_use_the_scale_goes_as_a_waveform() -> None:
    firmware = Keysight33500Firmware(spans=True)
    source, link = opened(firmware)
    source.load(BANK, np.repeat([0, 1, 2, 3], 5000), 1e-6)
    link.asked.clear()
    order = np.repeat([0, 3], 5000)
    source.load(None, order, 1e-6)
    assert not any(b"DATA:SEQ" in request for request in link.asked)
    source.arm()
    np.testing.assert_allclose(played(firmware, 10000, 1e-6), BANK[order], atol=STEP_V)


def test_every_trigger_plays_the_whole_order_again() -> None:
    firmware = Keysight33500Firmware()
    source, link = opened(firmware)
    assert source.most_bursts > 1_000_000
    for order in (np.array([0, 2, 1, 3]), np.repeat([0, 2, 1, 3], 900)):
        source.load(BANK, order, 1e-6)
        source.arm(bursts=3)
        link.asked.clear()
        for _ in range(3):
            np.testing.assert_allclose(played(firmware, len(order), 1e-6), BANK[order], atol=STEP_V)
    assert not link.asked


def test_sparse_banks_and_single_channels_are_played_as_well() -> None:
    firmware = Keysight33500Firmware()
    source, link = opened(firmware, channels=1, points=3)
    source.load(Changes(np.array([1.0]), np.array([[0], [0]]), np.array([[0.5], [2.0]])), np.array([0, 1, 0]), 1e-5)
    source.arm()
    np.testing.assert_allclose(played(firmware, 3, 1e-5), [[0.5, 0], [2.0, 0], [0.5, 0]], atol=STEP_V)
    assert firmware.values["rate1"] == pytest.approx(3e5)
    assert not any(b"SOUR2" in request or b"OUTP2" in request for request in link.asked)


def test_both_ends_of_the_limits_and_of_the_dwell_are_allowed_and_nothing_beyond() -> None:
    firmware = Keysight33500Firmware()
    source, link = opened(firmware, lower=-1.0, upper=2.0, points=10)
    edges = np.array([[-1.0, 2.0], [2.0, -1.0]])
    for dwell_s in (16e-9, 1e6):
        source.load(edges, np.array([0, 1]), dwell_s)
        source.arm()
        np.testing.assert_allclose(played(firmware, 2, dwell_s), edges, atol=STEP_V)
    link.asked.clear()
    for bad in (-1.000001, 2.000001, math.nan, math.inf):
        with pytest.raises(LimitError, match="mod/ch2"):
            source.load(np.array([[0.0, bad]]), np.zeros(1, int), 1e-6)
    for dwell_s in (15.9e-9, 1.1e6):
        with pytest.raises(TableError, match=r"outside 1\.6e-08 to 1e\+06 s, what its sample rates allow \(Agilent Technologies,33522B"):
            source.load(edges, np.zeros(1, int), dwell_s)
    with pytest.raises(TableError, match="3 values; the port has 2"):
        source.load(np.zeros((1, 3)), np.zeros(1, int), 1e-6)
    with pytest.raises(TableError, match="names rows 0 to 2; memory holds 2"):
        source.load(edges, np.array([0, 2]), 1e-6)
    assert not link.asked


def test_a_memory_of_a_million_shots_is_filled_to_its_end_and_quickly() -> None:
    firmware = Keysight33500Firmware()
    source, _ = opened(firmware)
    random = np.random.default_rng(1)
    bank, order = random.uniform(-5, 5, (1000, 2)), random.integers(0, 1000, (1 << 20) - 1)
    began = time.perf_counter()
    source.load(bank, order, 1e-6)
    assert time.perf_counter() - began < 1.5
    source.arm()
    np.testing.assert_allclose(played(firmware, 1000, 1e-6), bank[order[:1000]], atol=STEP_V)


def test_a_refused_command_raises_with_the_instruments_words_and_is_not_blamed_on_the_next() -> None:
    firmware = Keysight33500Firmware()
    source, _ = opened(firmware, lower=-1, upper=3)
    firmware.feed(b"SOUR1:VOLT MIN;:SOUR1:VOLT:OFFS 2;:SOUR1:VOLT:LIM:LOW 1.9\n")  # somebody at the front panel
    words = r'mod: .*SOUR1:DATA:ARB:DAC shots.*bytes\) was refused: -221,"Settings conflict; output levels exceed'
    with pytest.raises(RefusedError, match=words):
        source.load(np.clip(BANK, -1, 3), np.arange(4), 1e-6)
    with pytest.raises(TableError, match="nothing is loaded"):
        source.arm()
    source.prepare(source.spec)
    source.load(np.clip(BANK, -1, 3), np.arange(4), 1e-6)
    source.arm()
    assert played(firmware, 4, 1e-6)[1, 0] == pytest.approx(2.0, abs=1e-4)


def test_a_failed_load_is_not_taken_for_loaded() -> None:
    firmware = Keysight33500Firmware()
    source, link = opened(firmware)
    slow = np.repeat([0, 1, 2, 3], 1000)
    source.load(BANK, slow, 1e-6)
    link.faults = [None, LinkTimeoutError("lost")]
    with pytest.raises(LinkTimeoutError):
        source.load(None, slow[::-1].copy(), 1e-6)
    with pytest.raises(TableError, match="nothing is loaded"):
        source.arm()
    source.load(None, slow[::-1].copy(), 1e-6)
    source.arm()
    np.testing.assert_allclose(played(firmware, 4000, 1e-6), BANK[slow[::-1]], atol=STEP_V)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"+1.0000000000000E+06;", b"+1.0030000000000E+06;", "SRAT. reads back"), (b";1;", b";0;", "BURS:STAT. reads back 0"),
        (b";+8;", b";+9;", "POIN. reads back 9"), (b'E-01;+0,"', b'E-02;+0,"', "AVER. reads back"),
    ],
)  # fmt: skip
def test_what_reads_back_otherwise_is_told(old: bytes, new: bytes, message: str) -> None:
    source, link = opened(Keysight33500Firmware())
    link.faults = [lambda reply: reply.replace(old, new)]
    with pytest.raises(UnknownStateError, match=message):
        source.load(BANK, np.array([0, 1, 2, 1]), 1e-6)
    with pytest.raises(TableError, match="nothing is loaded"):
        source.arm()


def test_safe_gets_through_passing_trouble_and_ends_everything() -> None:
    firmware = Keysight33500Firmware()
    source, link = opened(firmware)
    source.load(BANK, np.arange(4), 1e-6)
    source.arm()
    assert firmware.volts_v[0] != 0
    link.faults = [LinkTimeoutError("lost"), DesyncError("late")]
    source.safe()
    assert firmware.volts_v.tolist() == [0, 0]
    link.faults = [LinkTimeoutError("lost")] * TRIES
    with pytest.raises(LinkTimeoutError):
        source.safe()
    link.faults = [lambda reply: b"0;1"] * TRIES
    with pytest.raises(UnknownStateError, match=r"switched off the outputs read back \[0.0, 1.0\]"):
        source.safe()
    source.load(None, np.arange(4), 1e-6)
    source.arm()  # what was loaded is still there
    np.testing.assert_allclose(played(firmware, 4, 1e-6), BANK, atol=STEP_V)
    source.close()
    source.close()
    with pytest.raises(LinkClosedError):
        source.safe()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"KEITHLEY INSTRUMENTS INC.,MODEL 2400,1,C33", "KEITHLEY"), (b"Agilent Technologies,33220A,MY1,2.0", "33220A"),
        (b"Agilent Technologies,33520B,MY1,2.0", "33520B has not 2 channels with arbitrary"), (b"", "answers ''"),
        (b"Agilent Technologies,33521B,MY1,2.0", "33521B has not 2 channels"),
        (b"Keysight Technologies,33622A,MY1,2.0", "bench file says 33522B"),
    ],
)  # fmt: skip
def test_another_instrument_is_not_taken(answer: bytes, message: str) -> None:
    class Other:
        def exchange(self, request: bytes, lines: int = 1) -> bytes:
            return answer

    with pytest.raises(IdentityError, match=message):
        Keysight33500(Other(), Keysight33500Options(model="33522B" if b"33622A" in answer else ""), "mod")  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"channels": 3}, {"load_ohm": 0.5}, {"load_ohm": math.nan}, {"points": 0}, {"settle_s": math.inf}])
def test_options_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Keysight33500Options(**wrong)


BENCH = """
[ports.mod]
driver = "keysight33500"
link = ["visa://TCPIP::10.0.0.7::5025::SOCKET", "visa://TCPIP::10.0.0.8::5025::SOCKET"]
load_ohm = inf
upper = "8 V"
lower = "-2 V"
[ports.out]
driver = "stream_adc"
link = "zmq://127.0.0.1:5570"
channels = 2
bits = 16
depth = 1024
role = "trigger"
[simulation]
bench = "unlit"
"""


def test_two_generators_are_a_port_of_four_channels_in_a_bench_file(tmp_path: Path) -> None:
    file = tmp_path / "bench.toml"
    file.write_text(BENCH)
    with Bench.open(file, dry_run=True) as bench:
        assert list(bench.specs["mod"].names) == ["0:ch1", "0:ch2", "1:ch1", "1:ch2"]
        bank = np.array([[8.0, -2.0, 0.0, 1.0], [0.0, 0.0, 5.0, -1.0]])
        bench.play(ShotTable({"mod": bank}, {"mod": np.array([1, 0, 1])}, 1e-6, read=()))
        with pytest.raises(LimitError, match="mod/1:ch2"):
            bench.play(ShotTable({"mod": bank * [1, 1, 1, 9]}, {"mod": np.array([0])}, 1e-6, read=()))


GARBAGE = [
    b"", b";", b'+0,"No error"', b'+1.0E+06;+4.5E+00;+2.5E-01;1;+8;+1.0E-01;+0,"No error"', b"+1.0E+06;+4.5E+00", b"0;0", b"1", b"1;1",
    b'-113,"Undefined header"', b'1;1;+0,"No error"', b"nan;1", b'+1;+0,"No error";+0,"No error"', b'inf;1;1;1;1;1;+0,"No error"', b"1_0;1",
    b"Agilent Technologies,33522B,MY1,1\nx",
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(GARBAGE) | st.binary(max_size=30), min_size=1, max_size=6))
def test_whatever_the_wire_says_only_typed_errors_come_out(answers: list[bytes]) -> None:
    source, link = opened(Keysight33500Firmware())
    actions: list[Callable[[], None]] = [
        lambda: source.load(BANK, np.arange(4), 1e-6), lambda: source.load(BANK, np.repeat(np.arange(4), 1000), 1e-6),
        source.arm, source.safe, lambda: source.prepare(source.spec),
    ]  # fmt: skip
    for action in actions:
        link.faults = [lambda _, answer=answer: answer for answer in answers]  # type: ignore[misc]
        with contextlib.suppress(LabonnError):
            action()
    link.faults = [lambda _, answer=answer: answer for answer in answers]  # type: ignore[misc]
    with contextlib.suppress(LabonnError):
        Keysight33500(link, Keysight33500Options(), "mod")


@pytest.mark.parametrize("answer", [a for a in GARBAGE if a != b'1;1;+0,"No error"'])
def test_only_the_whole_right_answer_counts_as_armed(answer: bytes) -> None:
    source, link = opened(Keysight33500Firmware(), channels=1)
    source.load(BANK[:, :1], np.arange(4), 1e-6)
    link.faults = [lambda _: answer]
    with pytest.raises((DesyncError, RefusedError, UnknownStateError)):
        source.arm()


@pytest.mark.parametrize(("disturb", "error"), [(lambda reply: reply * 2, DesyncError), (lambda reply: reply[:5], LinkTimeoutError)])
def test_a_doubled_or_truncated_reply_on_a_socket_is_told(disturb: Callable[[bytes], bytes], error: type[Exception]) -> None:
    firmware = Keysight33500Firmware()
    with served("tcp", firmware, SimulatedClock(), {**Keysight33500.link_options, "timeout_s": 0.1}) as link:
        source = Keysight33500(link, Keysight33500Options(), "mod")
        source.prepare(source.spec)
        feed = firmware.feed
        firmware.feed = lambda data: disturb(feed(data))  # type: ignore[method-assign]
        with pytest.raises(error):
            source.load(BANK, np.arange(4), 1e-6)
        firmware.feed = feed  # type: ignore[method-assign]
        source.safe()
        assert firmware.volts_v.tolist() == [0, 0]


def test_a_dropped_link_is_told_and_not_tried_again() -> None:
    server = serve_tcp(Keysight33500Firmware(), SimulatedClock())
    with contextlib.closing(connect(server.url, **Keysight33500.link_options)) as link:
        source = Keysight33500(link, Keysight33500Options(), "mod")
        source.prepare(source.spec)
        source.load(BANK, np.arange(4), 1e-6)
        server.close()
        before = link.exchanges
        for action in (source.arm, source.safe):
            with pytest.raises(LinkClosedError, match="the instrument is gone"):
                action()
        assert link.exchanges == before + 2


@pytest.fixture
def pymeasure_source() -> Iterator[tuple[Any, Keysight33500Firmware]]:
    """PyMeasure's own driver of the family, unchanged, over a VISA socket."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pymeasure.instruments.agilent import Agilent33500
    firmware = Keysight33500Firmware()
    with serve_tcp(firmware, SimulatedClock()) as url:
        name = f"TCPIP::127.0.0.1::{url.rpartition(':')[2]}::SOCKET"
        source = Agilent33500(name, visa_library="@py", read_termination="\n", write_termination="\n", timeout=2000)
        yield source, firmware
        assert source.next_error == [0, '"No error"']
        source.adapter.close()
        source.adapter.manager.close()


def test_pymeasure_sets_and_gets_every_setting_of_both_channels(pymeasure_source: tuple[Any, Keysight33500Firmware]) -> None:
    source, firmware = pymeasure_source
    source.reset()
    wanted = {
        "shape": "PULS", "frequency": 5e3, "amplitude": 2.5, "amplitude_unit": "VPP", "offset": 0.25, "phase": 45.0,
        "square_dutycycle": 30.0, "ramp_symmetry": 60.0, "pulse_hold": "DCYC", "pulse_width": 2e-5, "pulse_transition": 1e-8,
        "pulse_period": 1e-4, "burst_state": True,
        "burst_mode": "TRIG", "burst_period": 0.5, "burst_ncycles": 12, "arb_advance": "SRAT", "arb_filter": "OFF", "arb_srate": 1e6,
        "output": True,
    }  # fmt: skip
    for target in (source, source.ch_1, source.ch_2):
        for name, value in wanted.items():
            setattr(target, name, value)
            assert getattr(target, name) == pytest.approx(value) if isinstance(value, float) else getattr(target, name) == value, name
        target.voltage_high = 3.0
        target.voltage_low = -1.0
        assert (target.amplitude, target.offset, target.voltage_high, target.voltage_low) == (4.0, 1.0, 3.0, -1.0)
        target.burst_state = False
        target.output_load = "INF"
        assert float(target.output_load) == 9.9e37
        target.output_load = 50
    assert firmware.values["output2"]


def test_pymeasure_loads_and_triggers_a_waveform(pymeasure_source: tuple[Any, Keysight33500Firmware]) -> None:
    source, firmware = pymeasure_source
    source.reset()
    for channel in (source.ch_1, source.ch_2):
        channel.data_volatile_clear()
        channel.data_arb("test", range(-10000, 10000, 20), data_format="DAC")
        channel.data_arb("floats", [i / 1000 - 0.5 for i in range(1001)], data_format="float")
        channel.arb_file = "test"
        channel.shape = "ARB"
        channel.arb_srate = 1e6
        channel.amplitude = 2
        channel.output = "on"
        channel.burst_ncycles = 1
        channel.burst_state = True
    assert source.arb_file == '"TEST"'
    source.trigger_source = "EXT"
    source.trigger_source = "BUS"
    assert source.trigger_source == "BUS"
    source.trigger()
    source.wait_for_trigger()
    codes = np.arange(-10000, 10000, 20)
    np.testing.assert_allclose(firmware.sampled((np.arange(1000) + 0.5) * 1e-6)[:, 0], codes / 32767, atol=1e-12)
    assert firmware.sampled(np.array([-1e-6]))[0, 0] == pytest.approx(-10000 / 32767)
    source.display = "upload done"
    source.ext_trig_out = True
    assert source.ext_trig_out is True  # and so all before it has been done
    assert firmware.values["text"] == "upload done"
    source.clear_display()
    source.beep()
    source.phase_sync()
    assert source.complete
