"""The emulated Keithley 2400: what the manual promises, as bytes in and bytes out, and as volts and amperes at its terminals."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim_backends.firmware.keithley2400 import Keithley2400Firmware

SOURCE_1MA = "*RST;:SOUR:FUNC CURR;:SOUR:CURR 1E-3;:SENS:VOLT:PROT 5;:SENS:FUNC:ALL;:FORM:ELEM VOLT,CURR,RES;:OUTP ON"
NO_ERROR = '0,"No error"'


def ask(meter: Keithley2400Firmware, message: str) -> str:
    return meter.feed(message.encode() + b"\n").decode().removesuffix("\n")


def read(meter: Keithley2400Firmware, message: str = ":READ?") -> list[float]:
    return [float(number) for number in ask(meter, message).split(",")]


def test_it_identifies_itself_by_its_serial_number() -> None:
    assert ask(Keithley2400Firmware(serial=42), "*IDN?;:SYST:VERS?").startswith("KEITHLEY INSTRUMENTS INC.,MODEL 2400,0000042,")
    a, b = (Keithley2400Firmware.for_port({}, 1, seed) for seed in (1, 2))
    assert ask(a, "*IDN?") != ask(b, "*IDN?")
    with pytest.raises(ValueError, match="channels = 2"):
        Keithley2400Firmware.for_port({}, 2, 0)


def test_power_on_settings_are_the_manuals() -> None:
    meter = Keithley2400Firmware()
    assert (
        ask(meter, ":SOUR:FUNC?;:SOUR:VOLT?;:SENS:CURR:PROT?;:OUTP?;:OUTP:SMOD?;:ROUT:TERM?")
        == "VOLT;0.000000E+00;1.050000E-04;0;NORM;FRON"
    )
    assert ask(meter, ":SENS:FUNC?;:FORM:ELEM?;:TRIG:COUN?;:SYST:AZER?") == '"CURR:DC";VOLT,CURR,RES,TIME,STAT;1;1'


def test_a_current_into_a_resistor_is_measured_with_noise() -> None:
    meter = Keithley2400Firmware(load_ohm=1000.0, seed=3)
    ask(meter, SOURCE_1MA)
    readings = np.array([read(meter) for _ in range(50)])
    np.testing.assert_allclose(readings.mean(axis=0), [1.0, 1e-3, 1000.0], rtol=2e-4)
    assert readings[:, 0].std() > 1e-6
    np.testing.assert_allclose([meter.voltages_v[0], meter.currents_a[0]], [1.0, 1e-3])


@pytest.mark.parametrize("off_state", ["NORM", "ZERO", "GUAR", "HIMP"])
@pytest.mark.parametrize("query", [":READ?", ":MEAS:CURR?;:FETC?"])
def test_with_its_output_off_it_never_measures_its_setpoint(off_state: str, query: str) -> None:
    meter = Keithley2400Firmware(load_ohm=1000.0)
    ask(meter, SOURCE_1MA + f";:OUTP:SMOD {off_state}")
    ask(meter, ":OUTP OFF")
    volts, amperes, _ = read(meter, query.replace(":FETC?", "*WAI"))
    assert abs(volts) < 0.02 or volts > 9e37
    assert abs(amperes) < 1e-8
    assert (meter.voltages_v[0], meter.currents_a[0]) == (0, 0)
    noisy = [read(meter, ":SENS:FUNC 'VOLT';:READ?")[0] for _ in range(20)]
    assert (np.std(noisy) > 1e-4) == (off_state == "HIMP")  # open terminals float


def test_by_the_manual_a_reading_needs_the_output_on() -> None:
    meter = Keithley2400Firmware(strict_output=True)
    ask(meter, SOURCE_1MA + ";:OUTP OFF")
    assert ask(meter, ":READ?;:SYST:ERR?") == '803,"Not permitted with OUTPUT off"'
    assert read(meter, ":MEAS:CURR?")[1] == pytest.approx(1e-3, rel=1e-3)
    assert ask(meter, ":OUTP?") == "1"


def test_an_open_load_goes_to_compliance_and_says_so() -> None:
    meter = Keithley2400Firmware(load_ohm=math.inf)
    ask(meter, SOURCE_1MA + ";:FORM:ELEM VOLT,CURR,STAT")
    assert ask(meter, ":SENS:VOLT:PROT:TRIP?") == "1"
    volts, amperes, status = read(meter)
    assert volts == pytest.approx(5.0, rel=1e-3)
    assert abs(amperes) < 1e-8
    assert int(status) & 1 << 3
    assert int(ask(meter, ":STAT:MEAS?")) & 1 << 14
    meter.loads_ohm[:] = 100.0
    assert ask(meter, ":SENS:VOLT:PROT:TRIP?") == "0"
    assert not int(read(meter)[2]) & 1 << 3


def test_a_voltage_into_a_short_is_limited_in_current() -> None:
    meter = Keithley2400Firmware(load_ohm=0.0)
    ask(meter, ":SOUR:VOLT 10;:SENS:CURR:PROT 0.02;:OUTP ON")
    assert meter.currents_a[0] == pytest.approx(0.02)
    assert ask(meter, ":SENS:CURR:PROT:TRIP?;:SENS:VOLT:PROT:TRIP?") == "1;0"


def test_a_fixed_sense_range_limits_too() -> None:
    meter = Keithley2400Firmware(load_ohm=1000.0)
    ask(meter, SOURCE_1MA + ";:SENS:VOLT:RANG 0.2;:FORM:ELEM STAT")
    assert meter.voltages_v[0] == pytest.approx(0.21)
    assert int(read(meter)[0]) & 0x10008 == 0x10000


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (":SOUR:CURR 1.06", -222), (":SOUR:VOLT -211", -222), (":SENS:CURR:RANG 0.1", 824),
        (":SOUR:CURR:RANG 1E-3;:SOUR:CURR 2E-3", -222),
        (":SOUR:FUNC CURR;:SOUR:CURR 0.01;:SOUR:CURR:RANG 1E-3", -221), (":TRIG:COUN 100;:ARM:COUN 100", -221),
        (":SENS:CURR:PROT 1;:SOUR:VOLT 100", 826), (":SOUR:VOLT 100;:SENS:CURR:PROT 1", 826), (":SENS:CURR:PROT 0", -222), ("*TRG", -211),
        (":SOUR:LIST:CURR " + ",".join(["1E-3"] * 101), -223), (":ARM:SOUR BUS;:READ?", -214), (":CALC3:DATA?", -230),
        (":SOUR:FUNC RES", -224), (":SOUR:CURR:STOP 1;STEP 1E-320", -221),
        (":SOUR3:VOLT 1", -114), (":SOUR:MEM:SAVE 1", -113), (":CALC:STAT ON", -224), (":SYST:LFR 55", -224), (":FETC?", -230),
    ],
)  # fmt: skip
def test_what_a_2400_refuses_is_refused_with_its_number(message: str, error: int) -> None:
    meter = Keithley2400Firmware()
    assert ask(meter, message) == ""
    assert ask(meter, ":SYST:ERR?").startswith(f"{error},")
    assert ask(meter, ":SYST:ERR?") == NO_ERROR


def test_the_interlock_blocks_the_output_and_opens_it() -> None:
    meter = Keithley2400Firmware()
    ask(meter, SOURCE_1MA + ";:OUTP:ENAB ON")
    meter.interlock_closed = False
    assert meter.currents_a[0] == 0
    assert ask(meter, ":OUTP ON;:OUTP?;:OUTP:ENAB:TRIP?;:SYST:ERR?;:STAT:MEAS?") == '0;0;802,"OUTPUT blocked by output enable";2048'
    meter.interlock_closed = True
    assert meter.currents_a[0] == 0
    assert ask(meter, ":OUTP ON;:OUTP?") == "1"


def test_a_list_sweep_takes_up_to_100_points_from_its_start() -> None:
    meter = Keithley2400Firmware(load_ohm=10.0, noise=0.0)
    levels = [1e-3 * (i + 1) for i in range(100)]
    ask(meter, SOURCE_1MA + ";:FORM:ELEM CURR;:SOUR:CURR:RANG 0.1;:SOUR:CURR:MODE LIST;:TRIG:COUN 100")
    ask(meter, ":SOUR:LIST:CURR " + ",".join(map(str, levels[:60])))
    assert ask(meter, ":SOUR:LIST:CURR:APP " + ",".join(map(str, levels[60:])) + ";:SOUR:LIST:CURR:POIN?") == "100"
    np.testing.assert_allclose(read(meter), levels, atol=5e-6)
    ask(meter, ":SOUR:LIST:CURR:STAR 3;:TRIG:COUN 2")
    np.testing.assert_allclose(read(meter), [3e-3, 4e-3], atol=5e-6)


@pytest.mark.parametrize("spacing", ["LIN", "LOG"])
def test_a_sweep_is_linear_or_logarithmic_and_goes_either_way(spacing: str) -> None:
    meter = Keithley2400Firmware(load_ohm=10.0, noise=0.0)
    ask(
        meter,
        SOURCE_1MA + f";:FORM:ELEM CURR;:SOUR:CURR:STAR 1E-3;STOP 1E-1;:SOUR:SWE:POIN 5;SPAC {spacing};:SOUR:CURR:MODE SWE;:TRIG:COUN 5",
    )
    expected = np.linspace(1e-3, 0.1, 5) if spacing == "LIN" else np.geomspace(1e-3, 0.1, 5)
    np.testing.assert_allclose(read(meter), expected, rtol=2e-3)
    np.testing.assert_allclose(read(meter, ":SOUR:SWE:DIR DOWN;:READ?"), expected[::-1], rtol=2e-3)
    assert ask(meter, ":SOUR:CURR:STEP 9.9E-3;:SOUR:SWE:POIN?;:SOUR:CURR:CENT?;SPAN?") == "11;5.050000E-02;9.900000E-02"


def test_a_list_waits_for_a_pulse_on_the_trigger_link_at_every_point() -> None:
    meter = Keithley2400Firmware(load_ohm=10.0, noise=0.0)
    ask(meter, SOURCE_1MA + ";:FORM:ELEM CURR;:SOUR:LIST:CURR 1E-3,2E-3,3E-3;:SOUR:CURR:MODE LIST;:TRIG:COUN 3;:TRIG:SOUR TLIN")
    assert ask(meter, ":READ?") == ""
    flowing = []
    for _ in range(3):
        assert ask(meter, ":INIT;:SYST:ERR?").startswith("-213")
        meter.pulse()
        flowing.append(meter.currents_a[0])
    np.testing.assert_allclose(flowing, [1e-3, 2e-3, 3e-3], rtol=1e-3)
    assert ask(meter, "*OPC?") == "+1.000000E-03,+2.000000E-03,+3.000000E-03\n1"
    ask(meter, ":INIT;:ABOR")
    meter.pulse()
    assert ask(meter, ":STAT:OPER:COND?;:SYST:ERR?") == f"1024;{NO_ERROR}"


def test_a_bus_trigger_starts_an_arm_layer_that_waits_for_it() -> None:
    meter = Keithley2400Firmware(load_ohm=10.0)
    ask(meter, SOURCE_1MA + ";:ARM:SOUR BUS;:TRIG:COUN 2;:FORM:ELEM CURR;:INIT")
    assert ask(meter, ":STAT:OPER:COND?") == "64"
    ask(meter, "*TRG")
    assert len(read(meter, ":FETC?")) == 2


def test_the_buffer_fills_raises_its_bit_and_gives_statistics() -> None:
    meter = Keithley2400Firmware(load_ohm=1000.0)
    ask(
        meter,
        SOURCE_1MA
        + ";:STAT:PRES;*CLS;*SRE 1;:STAT:MEAS:ENAB 512;:TRAC:CLE;:TRAC:POIN 10;:TRIG:COUN 10;:TRAC:FEED SENS;:TRAC:FEED:CONT NEXT",
    )
    assert int(ask(meter, "*STB?")) & 65 == 0
    ask(meter, ":INIT")
    assert int(ask(meter, "*STB?")) & 65 == 65
    kept = np.array(read(meter, ":TRAC:DATA?")).reshape(10, 3)
    assert ask(meter, ":TRAC:FEED:CONT?;:TRAC:POIN:ACT?") == "NEV;10"
    np.testing.assert_allclose(read(meter, ":CALC3:FORM MEAN;:CALC3:DATA?"), kept.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(read(meter, ":CALC3:FORM SDEV;:CALC3:DATA?"), kept.std(axis=0, ddof=1), rtol=0.02)


def test_binary_readings_are_big_or_little_endian() -> None:
    meter = Keithley2400Firmware(load_ohm=1000.0, noise=0.0)
    ask(meter, SOURCE_1MA + ";:FORM:ELEM VOLT,CURR;:FORM:DATA REAL,32")
    big = meter.feed(b":READ?\n")
    little = meter.feed(b":FORM:BORD SWAP;:READ?\n")
    assert big[:2] == little[:2] == b"#0"
    assert struct.unpack(">2f", big[2:-1]) == struct.unpack("<2f", little[2:-1]) == pytest.approx((1.0, 1e-3))


def test_integration_filter_and_delay_take_their_time() -> None:
    meter = Keithley2400Firmware()
    took = []
    for setting in ("*RST", ":SENS:CURR:NPLC 10", ":SENS:AVER ON", ":SOUR:DEL 0.5"):
        ask(meter, f"{setting};:READ?")
        took.append(meter.wire_s(0, 0))
    np.testing.assert_allclose(np.diff(took), [9 / 60, 90 / 60, 0.5])


def test_auto_output_off_switches_on_for_the_measurement_only() -> None:
    meter = Keithley2400Firmware()
    ask(meter, SOURCE_1MA + ";:OUTP OFF;:SOUR:CLE:AUTO ON")
    assert read(meter)[1] == pytest.approx(1e-3, rel=1e-3)
    assert ask(meter, ":OUTP?") == "0"


def test_changes_tell_what_flows_once() -> None:
    meter = Keithley2400Firmware(load_ohm=100.0)
    assert meter.changes() == ([0], [0.0], [0.0])
    ask(meter, SOURCE_1MA)
    channels, volts, amperes = meter.changes()
    assert (channels, volts, amperes) == ([0], pytest.approx([0.1]), pytest.approx([1e-3]))
    assert meter.changes() == ([], [], [])


def test_saved_settings_come_back_with_the_output_off() -> None:
    meter = Keithley2400Firmware()
    ask(meter, SOURCE_1MA + ";*SAV 2;*RST")
    assert ask(meter, "*RCL 2;:SOUR:CURR?;:OUTP?") == "1.000000E-03;0"


WORDS = [
    ":SOUR:CURR", ":SOUR:VOLT", ":SOUR:FUNC", ":READ?", ":INIT", ":ABOR", ":OUTP", "ON", "OFF", ";", " ", ",", "1", "0.5", "MAX", "MIN",
    "CURR", "LIST", "SWE", ":SOUR:CURR:MODE", ":SOUR:LIST:CURR", ":TRIG:COUN", ":ARM:COUN", "INF", ":MEAS:VOLT?", ":SENS:VOLT:PROT",
    ":SENS:VOLT:RANG", "*RST", "*TRG", ":TRIG:SOUR TLIN", ":ARM:SOUR BUS", ":SENS:FUNC:OFF:ALL", ":CALC3:DATA?", ":TRAC:FEED:CONT NEXT",
    ":TRAC:DATA?", ":FORM:DATA REAL,32", "\n", "'RES'", ":SENS:FUNC", ":SOUR:SWE:POIN", ":SOUR:CURR:STAR", "-1E-3", ":SOUR:CURR:STEP",
    "*SAV", "*RCL", ":FORM:ELEM", "STAT", ":SOUR:SWE:SPAC LOG",
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(WORDS) | st.text(max_size=6), max_size=40), st.sampled_from([0.0, 50.0, math.inf]))
def test_random_commands_never_break_it_nor_drive_it_beyond_its_limits(stream: list[str], load_ohm: float) -> None:
    meter = Keithley2400Firmware(load_ohm=load_ohm)
    for text in stream:
        meter.feed(text.encode("utf-8"))
        meter.pulse()
        assert abs(meter.currents_a[0]) <= 1.06
        assert abs(meter.voltages_v[0]) <= 211
    meter.clear()
    assert meter.feed(b"*RST;*CLS;:OUTP?;:SYST:ERR?\n") == f"0;{NO_ERROR}\n".encode()
