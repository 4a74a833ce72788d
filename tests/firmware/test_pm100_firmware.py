"""The emulated Thorlabs PM100D: what the manual promises, as bytes in and bytes out, and as watts on its sensor."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim_backends.firmware.pm100 import Pm100Firmware

NO_ERROR = '0,"No error"'


def ask(meter: Pm100Firmware, message: str) -> str:
    return meter.feed(message.encode() + b"\n").decode().removesuffix("\n")


def lit(watts: float, **kinds: object) -> Pm100Firmware:
    meter = Pm100Firmware(**kinds)  # type: ignore[arg-type]
    meter.inputs = lambda times_s: np.full((len(times_s), 1), watts)
    return meter


def test_it_identifies_itself_and_its_sensor_as_the_manual_has_it() -> None:
    meter = Pm100Firmware(serial=42)
    maker, model, serial, firmware = ask(meter, "*IDN?").split(",")
    assert (maker.upper(), model, serial) == ("THORLABS", "PM100D", "P0000042")
    assert firmware.count(".") == 2
    name, _, _, kind, _, flags = ask(meter, "SYST:SENS:IDN?").split(",")
    assert (name, kind, int(flags) & 1, int(flags) & 2, int(flags) & 32) == ("S130C", "1", 1, 0, 32)
    a, b = (Pm100Firmware.for_port({}, 1, seed) for seed in (1, 2))
    assert ask(a, "*IDN?") != ask(b, "*IDN?")
    with pytest.raises(ValueError, match="channels = 2"):
        Pm100Firmware.for_port({}, 2, 0)
    with pytest.raises(ValueError, match="no sensor head measures it"):
        Pm100Firmware.for_port({"wavelength_nm": 100.0}, 1, 0)
    with pytest.raises(ValueError, match="sensor = 'S999'"):
        Pm100Firmware(sensor="S999")


def test_the_manuals_examples_are_understood() -> None:
    meter = Pm100Firmware.for_port({"wavelength_nm": 1550.0}, 1, 0)
    assert ask(meter, "CORR:WAVE 1550") == ""  # the manual's own slip: WAVE is neither WAV nor WAVelength
    assert ask(meter, "SYST:ERR?").startswith("-113")
    assert ask(meter, "CORR:WAV 1550;WAV?;WAV? MIN;WAV? MAX") == "1.55000000E+03;8.00000000E+02;1.70000000E+03"
    assert ask(meter, "CURR:DC:RANG 50E-6;RANG?;:CURRENT:RANG?") == "5.00000000E-05;5.00000000E-05"
    assert ask(meter, "*RST; *CLS; *ESE 32; *OPC?") == "1"
    assert ask(meter, "CUR:RANG 1") == ""
    assert ask(meter, "*ESR?;:SYST:ERR?") == '32;-113,"Undefined header"'


def test_a_power_is_a_current_by_the_response_at_the_wavelength() -> None:
    meter = lit(1e-4, noise=0.0, offset_a=0.0)
    assert float(ask(meter, "SENS:CORR:WAV 800;:MEAS:POW?")) == pytest.approx(1e-4, rel=1e-4)
    assert float(ask(meter, "MEAS:CURR?")) == pytest.approx(0.53e-4, rel=1e-4)
    meter.light_nm = 1064.0  # of a laser that is not what is set: 0.26 A/W read as if 0.53
    assert float(ask(meter, "MEAS:POW?")) == pytest.approx(1e-4 * 0.26 / 0.53, rel=1e-4)
    assert float(ask(meter, "SENS:CORR:WAV 1064;:MEAS:POW?")) == pytest.approx(1e-4, rel=1e-4)
    assert float(ask(meter, "SENS:CORR:POW:PDI:RESP 0.13;:READ?")) == pytest.approx(2e-4, rel=1e-4)
    assert float(ask(meter, "SENS:CORR:WAV 1064;:SENS:CORR:POW:PDI:RESP?")) == pytest.approx(0.26)  # the table's again


def test_noise_is_in_parts_of_the_range_and_averages_down() -> None:
    spread = {}
    for full_a in ("5E-3", "5E-5"):
        for count in (1, 100):
            meter = lit(1e-6, seed=8)
            ask(meter, f"CONF:CURR;:SENS:CURR:RANG {full_a};:SENS:AVER {count}")
            spread[full_a, count] = np.std([float(ask(meter, "READ?")) for _ in range(100)])
    assert spread["5E-3", 1] == pytest.approx(3e-5 * 5e-3, rel=0.3)
    assert spread["5E-3", 1] / spread["5E-3", 100] == pytest.approx(10, rel=0.4)
    assert spread["5E-3", 1] / spread["5E-5", 1] == pytest.approx(100, rel=0.4)
    filtered = lit(1e-6, seed=8)
    ask(filtered, "CONF:CURR;:SENS:CURR:RANG 5E-3;:INP:PDI:FILT:LPAS:STAT ON")
    assert np.std([float(ask(filtered, "READ?")) for _ in range(100)]) < 0.2 * spread["5E-3", 1]


def test_beyond_a_fixed_range_it_overflows_and_says_so() -> None:
    meter = lit(1e-3, noise=0.0)
    response = 0.36 + 35 / 100 * 0.09  # by hand, at 635 nm
    assert float(ask(meter, "SENS:POW:RANG 1E-3;:SENS:POW:RANG?")) == pytest.approx(5e-4 / response)
    assert ask(meter, "SENS:POW:RANG:AUTO?") == "0"
    assert float(ask(meter, "READ?")) == float(ask(meter, "FETC?")) == pytest.approx(1e-3, rel=1e-4)
    meter.inputs = lambda times_s: np.full((len(times_s), 1), 2e-3)
    assert float(ask(meter, "READ?")) == 9.9e37
    assert int(ask(meter, "STAT:QUES:COND?")) == 8
    assert float(ask(meter, "SENS:POW:RANG:AUTO ON;:READ?")) == pytest.approx(2e-3, rel=1e-4)
    assert int(ask(meter, "STAT:QUES:COND?")) == 0
    assert int(ask(meter, "STAT:QUES?;")) == 8


def test_zeroing_takes_its_time_and_removes_the_dark_signal() -> None:
    meter = Pm100Firmware(offset_a=1e-9)
    assert float(ask(meter, "CONF:CURR;:READ?")) == pytest.approx(1e-9, rel=0.1)
    assert ask(meter, "SENS:CORR:COLL:ZERO:INIT;STAT?;:STAT:OPER:COND?") == "1;1"
    while ask(meter, "SENS:CORR:COLL:ZERO:STAT?") == "1":
        pass
    assert float(ask(meter, "SENS:CORR:COLL:ZERO:MAGN?")) == pytest.approx(1e-9, rel=0.05)
    assert ask(meter, "STAT:OPER:COND?") == "0"
    readings = [float(ask(meter, "READ?")) for _ in range(50)]
    assert abs(np.mean(readings)) < 2e-12
    assert ask(meter, "*RST;:SENS:CORR:COLL:ZERO:MAGN?") != f"{0:.8E}"
    meter.inputs = lambda times_s: np.full((len(times_s), 1), 1e-3)
    kept = ask(meter, "SENS:CORR:COLL:ZERO:MAGN?")
    assert ask(meter, "SENS:CORR:COLL:ZERO:INIT;:SYST:ERR?;:SENS:CORR:COLL:ZERO:MAGN?") == f'-221,"Settings conflict";{kept}'


def test_units_references_and_attenuation() -> None:
    meter = lit(1e-3, noise=0.0, offset_a=0.0)
    assert float(ask(meter, "SENS:POW:UNIT DBM;:MEAS:POW?")) == pytest.approx(0, abs=1e-6)
    assert float(ask(meter, "SENS:POW:REF 1E-4;REF:STAT ON;:READ?")) == pytest.approx(10)
    assert float(ask(meter, "SENS:POW:UNIT W;:READ?")) == pytest.approx(9e-4)
    assert float(ask(meter, "SENS:POW:REF:STAT OFF;:SENS:CORR 10;:READ?")) == pytest.approx(1e-2)
    assert float(ask(meter, "SENS:CORR 0;:SENS:CORR:BEAM 20;:MEAS:PDEN?")) == pytest.approx(1e-3 / math.pi)
    dark = Pm100Firmware(noise=0.0, offset_a=-1e-9)
    assert float(ask(dark, "SENS:POW:UNIT DBM;:READ?")) == 9.91e37


def test_temperature_resistance_and_frequency_of_the_head() -> None:
    meter = Pm100Firmware()
    meter.sensor_c, meter.frequency_hz = 25.0, 1234.0
    assert [float(ask(meter, f"MEAS:{what}?")) for what in ("TEMP", "RES", "FREQ")] == pytest.approx([25, 1e4, 1234])
    assert ask(meter, "CONF?") == "FREQ"


def test_a_thermopile_measures_volts_and_power() -> None:
    meter = lit(0.1, sensor="S302C", noise=0.0, offset_a=0.0)
    assert float(ask(meter, "MEAS:POW?")) == pytest.approx(0.1)
    assert float(ask(meter, "MEAS:VOLT?")) == pytest.approx(0.022)
    assert ask(meter, "MEAS:CURR?;:SYST:ERR?") == '-241,"Hardware missing"'


def test_a_reading_takes_a_third_of_a_millisecond_a_sample() -> None:
    meter = lit(1e-5)
    ask(meter, "SENS:AVER:COUN 3000;:READ?")
    assert meter.wire_s(0, 0) == pytest.approx(1.0, rel=1e-3)
    assert meter.time_s == pytest.approx(1.0, rel=1e-3)
    assert meter.wire_s(0, 0) < 1e-3
    seen: list[float] = []
    meter.inputs = lambda times_s: (seen.extend(times_s), times_s[:, None] * 1e-5)[1]
    assert float(ask(meter, "READ?")) == pytest.approx(0.5e-5, rel=1e-3)  # the mean of a ramp over a second
    assert 0 < min(seen) < max(seen) < 1


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("FETC?", -230), ("SENS:CORR:WAV 399", -222), ("SENS:CORR:WAV 1101", -222), ("SENS:POW:RANG 1", -222), ("SENS:AVER:COUN 0", -222),
        ("SENS:AVER:1000", -111), ("MEAS:ENER?", -241), ("MEAS:EDEN?", -241), ("SENS:ENER:RANG:UPP?", -241), ("SENS:POW:UNIT X", -224),
        ("INP:ADAP:TYPE FOO", -224), ("SYST:LFR 55", -224), ("MEAS:VOLT?", -241), ("SENS:CORR:POW:THER:RESP?", -241), ("DISP:BRIG 2", -222),
        ("SENS:CORR:WAV", -109), ("SENS:CORR:WAV 500,600", -108), ("SENS:POW:RANG 1 NM", -131), ("*TRG", -211), ("FOO", -113),
    ],
)  # fmt: skip
def test_what_it_refuses_is_refused_with_its_number_and_changes_nothing(message: str, error: int) -> None:
    meter = Pm100Firmware()
    before = dict(meter.values)
    assert ask(meter, message) == ""
    assert ask(meter, "SYST:ERR?").startswith(f"{error},")
    assert ask(meter, "SYST:ERR?") == NO_ERROR
    assert meter.values == before


def test_without_a_sensor_nothing_can_be_measured() -> None:
    meter = Pm100Firmware(sensor="")
    assert ask(meter, "SYST:SENS:IDN?").split(",")[0] == "no sensor"
    for message in ("READ?", "SENS:CORR:WAV?", "SENS:POW:RANG?", "SENS:CORR:COLL:ZERO:INIT", "MEAS:TEMP?"):
        assert ask(meter, f"{message};:SYST:ERR?") == '-241,"Hardware missing"'


def test_settings_that_are_only_kept_come_back() -> None:
    meter = Pm100Firmware()
    for setting, value in (
        ("SYST:BEEP:STAT", "0"), ("SYST:LFR", "60"), ("SYST:DATE", "2024,2,29"), ("SYST:TIME", "23,59,1"), ("INP:ADAP:TYPE", "THER"),
        ("INP:THER:ACC:STAT", "1"), ("INP:PDI:FILT:LPAS:STAT", "1"), ("SYST:COMM:SER:BAUD", "9600"), ("STAT:MEAS:PTR", "7"),
        ("STAT:AUX:NTR", "3"), ("STAT:AUXILIARY:ENAB", "5"), ("STAT:AUXILLARY:ENAB", "6"), ("SENS:RANGE:AUTO", "0"),
    ):  # fmt: skip
        assert ask(meter, f"{setting} {value};:{setting}?") == value, setting
    assert ask(meter, "DISP:BRIG 0.25;BRIG?;CONT 1;CONT?") == "2.500000E-01;1.000000E+00"
    assert ask(meter, "CAL:STR?").startswith('"')
    assert ask(meter, "SYST:ERR?") == NO_ERROR


def test_transition_filters_choose_the_edges_that_are_events() -> None:
    meter = lit(1.0)
    ask(meter, "STAT:QUES:PTR 0;NTR 8;ENAB 8;*SRE 8")
    ask(meter, "READ?")
    assert ask(meter, "*STB?;:STAT:QUES:COND?;EVEN?") == "0;8;0"
    meter.inputs = lambda times_s: np.zeros((len(times_s), 1))
    ask(meter, "READ?")
    assert ask(meter, "*STB?;:STAT:QUES:COND?;EVEN?;EVEN?") == "72;0;8;0"
    assert ask(meter, "STAT:QUES:PRES;PTR?;NTR?;ENAB?") == "32767;0;0"


def test_inputs_of_a_wrong_shape_are_told() -> None:
    meter = Pm100Firmware()
    meter.inputs = lambda times_s: np.zeros(len(times_s))
    with pytest.raises(ValueError, match=r"inputs gave \(1,\), not \(1, 1\)"):
        ask(meter, "READ?")


WORDS = [
    "READ?", "MEAS:POW?", "MEAS:CURR?", "FETC?", "INIT", "CONF:TEMP", "CONF?", "SENS:CORR:WAV", "SENS:POW:RANG", "SENS:POW:RANG:AUTO", " ",
    ";", ",", "1", "0", "MAX", "MIN", "DEF", "5E-4", "-1", "1E99", "DBM", "W", "SENS:POW:UNIT", "SENS:POW:REF", "SENS:AVER:COUN", "ON",
    "SENS:CORR:COLL:ZERO:INIT", "SENS:CORR:COLL:ZERO:STAT?", "SENS:CORR:POW:PDI:RESP", "SENS:CORR:LOSS:INP:MAGN", "?", "\n", "*RST", "*CLS",
    "SENS:CURR:RANG", "SENS:CORR:BEAM", "STAT:QUES:PTR", "SYST:DATE", "MEAS:RES", ":", "INP:PDI:FILT:LPAS:STAT", "'a'", "#13abc",
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(WORDS) | st.text(max_size=6), max_size=40), st.sampled_from(["S130C", "S302C", ""]), st.floats(0, 10))
def test_random_commands_never_break_it(stream: list[str], sensor: str, watts: float) -> None:
    meter = lit(watts, sensor=sensor)
    for text in stream:
        meter.feed(text.encode("utf-8"))
    meter.clear()
    assert meter.feed(b"*RST;*CLS;:CONF?;:SYST:ERR?\n") == f"POW;{NO_ERROR}\n".encode()
