"""The Keithley 2400 driver against its emulator (in process, TCP, VISA), refusals, broken wires; and PyMeasure on the same emulator."""

from __future__ import annotations

import contextlib
import math
import time
import warnings
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from disturbed import Disturbed, served
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.insist import TRIES
from drivers.keithley2400 import Keithley2400, Keithley2400Options
from labonn.bench import Bench
from labonn.clock import SimulatedClock
from labonn.devices import Actuator, GainSections
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
from labonn.shots import Readings, ShotTable
from sim_backends.firmware.keithley2400 import Keithley2400Firmware
from sim_backends.served import serve_tcp
from sim_backends.simlinks import SimulatedLink


def opened(firmware: Keithley2400Firmware, upper: float = 0.05, **options: Any) -> tuple[Keithley2400, Disturbed]:
    link = Disturbed(SimulatedLink(firmware, SimulatedClock(), **Keithley2400.link_options))
    source = Keithley2400(link, Keithley2400Options(**options), "soa")
    source.prepare(source.spec.tighten(None, upper, "bench.toml"))
    link.asked.clear()
    return source, link


def hold(source: Keithley2400, amperes: float) -> None:
    source.load(np.array([[amperes]]), np.zeros(3, int), 1e-6)
    source.arm()


def test_opening_identifies_and_changes_nothing() -> None:
    firmware = Keithley2400Firmware(serial=77)
    firmware.feed(b":SOUR:VOLT 3;:OUTP ON;:FOO\n")
    before = dict(firmware.values)
    source = Keithley2400(SimulatedLink(firmware, SimulatedClock()), Keithley2400Options(), "soa")
    assert source.identity == "KEITHLEY INSTRUMENTS INC.,MODEL 2400,0000077"
    assert (source.spec.unit, source.spec.depth, source.spec.lower[0], source.spec.upper[0]) == ("A", 1, 0.0, pytest.approx(0.105))
    assert source.spec.step[0] == pytest.approx(5e-6)
    assert firmware.values == before
    assert isinstance(source, Actuator)
    assert isinstance(source, GainSections)


def test_preparing_switches_off_and_writes_the_limits_into_range_and_compliance() -> None:
    firmware = Keithley2400Firmware(load_ohm=10.0)
    firmware.feed(b":SOUR:VOLT 3;:OUTP ON;:FOO\n")
    source, _ = opened(firmware, upper=0.05, compliance_v=2.5, terminals="rear", four_wire=True, off_state="open")
    assert (firmware.values["output"], firmware.values["function"], firmware.values["level_CURR"]) == (False, "CURR", 0.0)
    assert firmware.feed(b":SOUR:CURR:RANG?;:SENS:VOLT:PROT?;:ROUT:TERM?;:SYST:RSEN?;:OUTP:SMOD?;:SOUR:CURR 0.2;:SYST:ERR?\n") == (
        b'1.050000E-01;2.500000E+00;REAR;1;HIMP;-222,"Parameter data out of range"\n'
    )
    assert source.spec.step[0] == pytest.approx(0.1 * 5e-5)
    assert source.compliance_v == 2.5


@pytest.mark.parametrize("way", ["in process", "tcp", "visa"])
def test_currents_are_set_in_one_exchange_over_every_link(way: str) -> None:
    firmware = Keithley2400Firmware(load_ohm=20.0)
    with served(way, firmware, SimulatedClock(), Keithley2400.link_options) as link:
        source = Keithley2400(link, Keithley2400Options(), "soa")
        source.prepare(source.spec.tighten(None, 0.1, "bench.toml"))
        assert firmware.currents_a[0] == 0
        before = link.exchanges
        for amperes in (0.1, 0.0123, 0.0):
            hold(source, amperes)
            assert firmware.currents_a[0] == pytest.approx(amperes, abs=3e-6)
            assert firmware.values["output"]
        assert link.exchanges == before + 3
        hold(source, 0.05)
        source.safe()
        assert not firmware.values["output"]
        assert firmware.values["level_CURR"] == 0


def test_a_set_over_visa_does_not_pay_nagles_delay() -> None:
    """40 ms a set where the request goes out in two parts: 60 sets would take 2.4 s."""
    firmware = Keithley2400Firmware(load_ohm=20.0)
    with served("visa", firmware, SimulatedClock(), Keithley2400.link_options) as link:
        source = Keithley2400(link, Keithley2400Options(), "soa")
        source.prepare(source.spec)
        began = time.perf_counter()
        for i in range(60):
            hold(source, 1e-3 * i)
        assert time.perf_counter() - began < 1.0


def test_a_served_run_is_bit_identical_to_one_in_process() -> None:
    ends = []
    for way in ("in process", "tcp"):
        clock, firmware = SimulatedClock(), Keithley2400Firmware(load_ohm=20.0)
        with served(way, firmware, clock, Keithley2400.link_options) as link:
            source = Keithley2400(link, Keithley2400Options(), "soa")
            source.prepare(source.spec)
            for i in range(5):
                hold(source, 0.01 * i)
            ends.append((clock.now(), firmware.currents_a.tobytes(), link.exchanges))
    assert ends[0] == ends[1]


def test_both_ends_of_the_limits_are_allowed_and_nothing_beyond() -> None:
    firmware = Keithley2400Firmware(load_ohm=10.0)
    source, link = opened(firmware, upper=0.05)
    for edge in (0.05, 0.0):
        hold(source, edge)
        assert firmware.currents_a[0] == pytest.approx(edge)
    link.asked.clear()
    for bad in (-1e-6, 0.050001, math.nan, math.inf):
        with pytest.raises(LimitError, match="soa/out"):
            source.load(np.array([[bad]]), np.zeros(1, int), 1e-6)
    assert not link.asked


def test_a_refused_set_raises_with_the_instruments_words_and_is_not_blamed_on_the_next() -> None:
    firmware = Keithley2400Firmware(load_ohm=10.0)
    source, _ = opened(firmware)
    firmware.feed(b":SOUR:CURR:RANG 1E-3\n")  # somebody at the front panel
    with pytest.raises(RefusedError, match=r"soa: ':SOUR:CURR 2\.000000E-02;:OUTP ON' was refused: -222,\"Parameter data out of range\""):
        hold(source, 0.02)
    firmware.feed(b":SOUR:CURR:RANG 0.1\n")
    hold(source, 0.02)
    assert firmware.currents_a[0] == pytest.approx(0.02)


def test_an_open_enable_line_is_told_in_the_instruments_words() -> None:
    firmware = Keithley2400Firmware()
    source, _ = opened(firmware)
    firmware.feed(b":OUTP:ENAB ON\n")
    firmware.interlock_closed = False
    with pytest.raises(RefusedError, match='802,"OUTPUT blocked by output enable"'):
        hold(source, 0.001)


def test_a_compliance_above_what_the_range_allows_is_refused_in_the_instruments_words() -> None:
    with pytest.raises(RefusedError, match='826,"Attempt to exceed power limit"'):
        opened(Keithley2400Firmware(), upper=1.0, range_a=1.0, compliance_v=100.0)
    with pytest.raises(RefusedError, match="-222"):
        opened(Keithley2400Firmware(), upper=0.01, compliance_v=300.0)
    firmware = Keithley2400Firmware()
    opened(firmware, upper=0.05, compliance_v=100.0)
    assert firmware.values["compliance_VOLT"] == 100.0


def test_an_open_load_is_told_as_compliance() -> None:
    source, _ = opened(Keithley2400Firmware(load_ohm=math.inf), compliance_v=2.0)
    hold(source, 0.0)
    with pytest.raises(UnknownStateError, match="at 10 mA its compliance of 2 V is reached: is the load open"):
        hold(source, 0.01)


def test_a_level_that_reads_back_otherwise_is_told() -> None:
    source, link = opened(Keithley2400Firmware(load_ohm=1.0))
    link.faults.append(lambda reply: reply.replace(b"1.000000E-02", b"1.000100E-02"))
    with pytest.raises(UnknownStateError, match=r"set to 10 mA it reads back 10\.001 mA, output 1"):
        hold(source, 0.01)


def test_output_off_and_on_again_keeps_the_loaded_row() -> None:
    firmware = Keithley2400Firmware(load_ohm=1.0)
    source, _ = opened(firmware)
    with pytest.raises(TableError, match="nothing is loaded"):
        source.output(True)
    hold(source, 0.01)
    source.output(False)
    assert firmware.currents_a[0] == 0
    source.output(True)
    assert firmware.currents_a[0] == pytest.approx(0.01)


def test_safe_gets_through_passing_trouble_and_stops_what_waits_for_a_trigger() -> None:
    firmware = Keithley2400Firmware(load_ohm=1.0)
    source, link = opened(firmware)
    hold(source, 0.01)
    firmware.feed(b":TRIG:SOUR TLIN;:INIT\n")
    link.faults = [LinkTimeoutError("lost"), DesyncError("late")]
    source.safe()
    assert not firmware.values["output"]
    assert firmware.acquisition.idle
    link.faults = [LinkTimeoutError("lost")] * TRIES
    with pytest.raises(LinkTimeoutError):
        source.safe()
    link.faults = [lambda reply: b"0.000000E+00;1;0"] * TRIES
    with pytest.raises(UnknownStateError, match="switched off it reads back 0 A, output 1"):
        source.safe()
    source.close()
    source.close()
    with pytest.raises(LinkClosedError):
        source.safe()


def test_another_instrument_is_not_taken() -> None:
    class Other:
        def exchange(self, request: bytes, lines: int = 1) -> bytes:
            return b"Agilent Technologies,33521A,1,2"

    with pytest.raises(IdentityError, match="Agilent"):
        Keithley2400(Other(), Keithley2400Options(), "soa")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", [{"compliance_v": 0.0}, {"range_a": 3.0}, {"settle_s": math.inf}, {"terminals": "top"}, {"off_state": "on"}]
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Keithley2400Options(**wrong)


BENCH = """
[ports.input]
driver = "stream_dac"
link = "zmq://127.0.0.1:5570"
channels = 3
bits = 16
depth = 16
lower = "-3.6 V"
upper = "3.6 V"
[ports.gain]
driver = "keithley2400"
link = [{links}]
upper = "12 mA"
[ports.activation]
driver = "stream_dac"
link = "zmq://127.0.0.1:5571"
channels = 4096
bits = 16
depth = 8
lower = "-3.6 V"
upper = "3.6 V"
[ports.hidden]
driver = "stream_adc"
link = "zmq://127.0.0.1:5572"
channels = 2
bits = 16
depth = 1024
[ports.output]
driver = "stream_adc"
link = "zmq://127.0.0.1:5573"
channels = 2
bits = 16
depth = 1024
role = "trigger"
[nominal.chip]
coupler = "pt"
sizes = [3, 2, 2]
layout = "triangular"
activation = "board"
readout = "homodyne"
slope = 3.0
[simulation]
bench = "pt_chip"
seed = 7
"""


def test_ten_of_them_set_the_gain_sections_of_a_simulated_chip_and_the_light_follows(tmp_path: Path) -> None:
    file = tmp_path / "bench.toml"
    file.write_text(BENCH.replace("{links}", ", ".join(f'"visa://GPIB::{i}::INSTR"' for i in range(1, 11))))

    def plan() -> Generator[ShotTable, Readings, list[Any]]:
        outputs = []
        for amperes in (0.002, 0.002, 0.008):
            banks = {"input": np.ones((1, 3)), "gain": np.full((1, 10), amperes), "activation": np.linspace(-1, 1, 4096)[None]}
            outputs.append((yield ShotTable(banks))["output"])
        return outputs

    with Bench.open(file, dry_run=True) as bench:
        first, again, other = bench.run(plan())
    assert np.abs(first - again).max() < 0.2 * np.abs(first - other).max()


GARBAGE = [
    b"", b";", b'0,"No error"', b'1.000000E-02;1;0;0,"No error"', b"1.000000E-02;1;0", b'1.000000E-02;1;0;-113,"Undefined header"',
    b"nan;1;0", b'1E-2;1;0;0,"No error";0,"No error"', b"1.05E+00", b"0;0;0", b'inf;1;0;0,"No error"', b"1_0;1;0",
]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(GARBAGE) | st.binary(max_size=30), min_size=1, max_size=6))
def test_whatever_the_wire_says_only_typed_errors_come_out(answers: list[bytes]) -> None:
    source, link = opened(Keithley2400Firmware(load_ohm=1.0))
    for action in (lambda: hold(source, 0.01), source.safe, lambda: source.prepare(source.spec), lambda: source.output(False)):
        link.faults = [lambda _, answer=answer: answer for answer in answers]  # type: ignore[misc]
        with contextlib.suppress(LabonnError):
            action()
    link.faults = [lambda _, answer=answer: answer for answer in answers]  # type: ignore[misc]
    with contextlib.suppress(LabonnError):
        Keithley2400(link, Keithley2400Options(), "soa")


@pytest.mark.parametrize("answer", [a for a in GARBAGE if a != GARBAGE[3]])
def test_only_the_whole_right_answer_counts_as_set(answer: bytes) -> None:
    source, link = opened(Keithley2400Firmware(load_ohm=1.0))
    link.faults = [lambda _: answer]
    with pytest.raises((DesyncError, RefusedError, UnknownStateError)):
        hold(source, 0.01)


@pytest.fixture
def pymeasure_meter() -> Iterator[tuple[Any, Keithley2400Firmware]]:
    """PyMeasure's own driver of the 2400, unchanged, over a VISA socket."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pymeasure.instruments.keithley import Keithley2400 as PyMeasure2400
    firmware = Keithley2400Firmware(load_ohm=100.0)
    with serve_tcp(firmware, SimulatedClock()) as url:
        name = f"TCPIP::127.0.0.1::{url.rpartition(':')[2]}::SOCKET"
        meter = PyMeasure2400(name, visa_library="@py", read_termination="\n", write_termination="\n", timeout=2000)
        yield meter, firmware
        assert meter.next_error == [0, '"No error"']
        meter.adapter.close()
        meter.adapter.manager.close()


def test_pymeasure_sources_and_measures(pymeasure_meter: tuple[Any, Keithley2400Firmware]) -> None:
    meter, firmware = pymeasure_meter
    meter.reset()
    meter.source_mode = "current"
    meter.source_current_range = 0.01
    meter.compliance_voltage = 10
    meter.source_current = 0.005
    assert (meter.source_mode, meter.source_current, meter.compliance_voltage) == ("current", 0.005, 10)
    assert meter.voltage == pytest.approx(0, abs=1e-3)  # the output is still off
    meter.enable_source()
    assert meter.voltage == pytest.approx(0.5, rel=1e-3)
    assert meter.current == pytest.approx(0.005, rel=1e-3)
    assert meter.resistance == pytest.approx(100, rel=1e-3)
    everything = meter.measure_all()
    assert everything["voltage"] / everything["current"] == pytest.approx(100, rel=1e-3)
    meter.ramp_to_current(0.001, steps=3, pause=0)
    assert meter.source_current == 0.001  # and so all before it has been done
    assert firmware.currents_a[0] == pytest.approx(0.001)
    meter.stop_buffer()
    meter.disable_source()
    assert meter.source_enabled is False
    assert firmware.currents_a[0] == 0


def test_pymeasure_fills_its_buffer_and_reads_the_statistics(pymeasure_meter: tuple[Any, Keithley2400Firmware]) -> None:
    meter, _ = pymeasure_meter
    meter.reset()
    meter.source_mode = "voltage"
    meter.compliance_current = 0.1
    meter.source_voltage = 1.0
    meter.enable_source()
    meter.config_buffer(20)
    meter.start_buffer()
    meter.wait_for_buffer(timeout=2)
    assert meter.mean_current == pytest.approx(0.01, rel=1e-3)
    assert 0 < meter.std_current < 1e-4
    assert len(meter.buffer_data) == 100
    meter.beep(440, 0.1)
    meter.trigger_on_external(2)
    assert (meter.trigger_source, meter.arm_input_line) == ("trigger_link", 2)
    meter.sample_continuously()


def test_pymeasure_sets_and_gets_its_settings(pymeasure_meter: tuple[Any, Keithley2400Firmware]) -> None:
    meter, _ = pymeasure_meter
    wanted = {
        "auto_zero_enabled": False, "source_delay": 0.25, "auto_output_off_enabled": True, "output_off_state": "guard", "filter_count": 7,
        "filter_enabled": True, "current_nplc": 0.1, "wires": 4, "line_frequency": 50, "front_terminals_enabled": False,
        "arm_source": "timer", "arm_timer": 2.5, "trigger_count": 12, "trigger_delay": 0.5, "trigger_output_event": "sense",
        "display_enabled": False,
        "voltage_range_auto_enabled": False, "source_voltage": -3.5, "buffer_points": 33, "resistance_mode_auto_enabled": False,
    }  # fmt: skip
    for name, value in wanted.items():
        setattr(meter, name, value)
    assert {name: getattr(meter, name) for name in wanted} == wanted
