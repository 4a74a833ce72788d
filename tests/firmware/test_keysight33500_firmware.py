"""The emulated Keysight 33500: what the manual promises, as bytes in and bytes out, and as volts at its outputs."""

from __future__ import annotations

import math
import struct
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim_backends.firmware.keysight33500 import Keysight33500Firmware

NO_ERROR = '+0,"No error"'
CONFLICT = '-221,"Settings conflict; '
TOO_HIGH = '-222,"Data out of range; value clipped to upper limit"'
TOO_LOW = '-222,"Data out of range; value clipped to lower limit"'


def ask(source: Keysight33500Firmware, message: str) -> str:
    return source.feed(message.encode("latin-1") + b"\n").decode("latin-1").removesuffix("\n")


def error_of(source: Keysight33500Firmware, message: str) -> str:
    ask(source, "*CLS")
    ask(source, message)
    return ask(source, "SYST:ERR?")


def value(source: Keysight33500Firmware, query: str) -> float:
    return float(ask(source, query))


def block(data: bytes) -> str:
    return f"#{len(str(len(data)))}{len(data)}" + data.decode("latin-1")


def test_it_identifies_itself_by_model_and_serial_number() -> None:
    assert ask(Keysight33500Firmware(serial=57800256), "*IDN?") == "Agilent Technologies,33522B,MY57800256,5.00-1.19-2.00-58-00"
    assert ask(Keysight33500Firmware("33622A"), "*IDN?").startswith("Keysight Technologies,33622A,MY")
    a, b = (Keysight33500Firmware.for_port({}, 2, seed) for seed in (1, 2))
    assert ask(a, "*IDN?") != ask(b, "*IDN?")
    with pytest.raises(ValueError, match="channels = 3"):
        Keysight33500Firmware.for_port({}, 3, 0)
    with pytest.raises(ValueError, match="33220A"):
        Keysight33500Firmware("33220A")


def test_power_on_settings_are_the_manuals() -> None:
    source = Keysight33500Firmware()
    assert ask(source, "APPL?") == '"SIN +1.0000000000000E+03,+1.0000000000000E-01,+0.0000000000000E+00"'
    assert ask(source, "OUTP1?;:OUTP2:LOAD?;:TRIG1:SOUR?;:SOUR2:BURS:STAT?;:SOUR:FUNC:ARB:SRAT?;:FUNC:ARB?") == (
        '0;+5.0000000000000E+01;IMM;0;+4.0000000000000E+04;"INT:\\BUILTIN\\EXP_RISE.ARB"'
    )
    assert ask(source, "SYST:ERR?;VERS?") == f"{NO_ERROR};1999.0"


def test_applying_a_function_sets_everything_and_switches_on() -> None:
    """The manual's example: a 3 Vpp sine at 5 kHz with -2.5 V offset."""
    source = Keysight33500Firmware()
    assert error_of(source, "BURS:STAT ON;:APPL:SIN 5 KHZ, 3.0 VPP, -2.5 V") == NO_ERROR
    assert ask(source, "FUNC?;FREQ?;:VOLT?;:VOLT:OFFS?;HIGH?;LOW?;:OUTP?;:BURS:STAT?") == (
        "SIN;+5.0000000000000E+03;+3.0000000000000E+00;-2.5000000000000E+00;-1.0000000000000E+00;-4.0000000000000E+00;1;0"
    )
    volts = source.sampled(np.array([0.0, 50e-6, 150e-6]))
    np.testing.assert_allclose(volts, [[-2.5, 0], [-1.0, 0], [-4.0, 0]], atol=1e-9)
    assert error_of(source, "SOUR2:APPL:DC DEF, DEF, -2.5") == NO_ERROR
    assert source.volts_v[1] == -2.5


def test_long_and_short_headers_any_case_and_paths_are_one() -> None:
    source = Keysight33500Firmware()
    ask(source, "SOURce1:FUNCtion:SHAPe squ;:sour1:volt:lev:imm:ampl 2;OFFSet 0.5")
    assert ask(source, "*CLS;:FUNC?;:source:volt?") == "SQU;+2.0000000000000E+00"
    assert error_of(source, "SOUR3:VOLT 1").startswith("-114")
    assert error_of(source, "VOLT:FOO 1").startswith("-113")
    assert error_of(source, "VOLT").startswith("-109")


def test_amplitude_and_offset_are_limited_by_the_load() -> None:
    source = Keysight33500Firmware()
    assert (value(source, "VOLT? MAX"), value(source, "VOLT? MIN")) == (10.0, 1e-3)
    assert error_of(source, "VOLT 12") == TOO_HIGH
    assert value(source, "VOLT?") == 10.0
    assert error_of(source, "VOLT 1E-4") == TOO_LOW
    assert error_of(source, "VOLT 8;:VOLT:OFFS 3") == TOO_HIGH
    assert value(source, "VOLT:OFFS?") == 1.0
    assert error_of(source, "VOLT 9") == CONFLICT + 'offset changed due to amplitude"'
    assert value(source, "VOLT:OFFS?") == 0.5
    ask(source, "OUTP1:LOAD INF")
    assert [value(source, query) for query in ("OUTP:LOAD?", "VOLT?", "VOLT:OFFS?", "VOLT? MAX")] == [9.9e37, 18, 1, 20]


def test_changing_the_load_setting_never_changes_what_comes_out() -> None:
    source = Keysight33500Firmware(loads_ohm=50.0)
    ask(source, "APPL:DC DEF,DEF,2")
    before = source.volts_v[0]
    for ohm in ("INF", "75", "1", "10000", "50"):
        ask(source, f"OUTP1:LOAD {ohm}")
        assert source.volts_v[0] == pytest.approx(before)
    assert value(source, "VOLT:OFFS?") == pytest.approx(2.0)
    wrong = Keysight33500Firmware(loads_ohm=math.inf)  # nobody told it
    ask(wrong, "APPL:DC DEF,DEF,2")
    assert wrong.volts_v[0] == pytest.approx(4.0)


def test_levels_push_each_other() -> None:
    source = Keysight33500Firmware()
    ask(source, "VOLT:HIGH 3;LOW 1")
    assert (value(source, "VOLT?"), value(source, "VOLT:OFFS?")) == (2, 2)
    assert error_of(source, "VOLT:HIGH 0.5") == CONFLICT + 'low level changed due to high level"'
    assert (value(source, "VOLT:HIGH?"), value(source, "VOLT:LOW?")) == (0.5, pytest.approx(0.499))


def test_voltage_limits_refuse_and_change_nothing() -> None:
    source = Keysight33500Firmware()
    ask(source, "VOLT 2;:VOLT:LIM:HIGH 1;LOW -1;STAT ON")
    assert ask(source, "SYST:ERR?") == NO_ERROR
    limits = ("VOLT:LIM:HIGH 0.5", "VOLT:LIM:LOW -0.5")
    for broken in ("VOLT 2.1", "VOLT:OFFS 0.1", "VOLT:HIGH 1.2", "VOLT:LOW -1.2", "APPL:SIN 1E3,3,0", *limits):
        assert error_of(source, broken).startswith("-221"), broken
        assert (value(source, "VOLT?"), value(source, "VOLT:OFFS?")) == (2, 0)
    assert error_of(source, "VOLT 1;:VOLT:OFFS 0.5") == NO_ERROR
    assert error_of(source, "VOLT:LIM:STAT OFF;:VOLT 4;:VOLT:LIM:STAT ON").startswith("-221")
    assert ask(source, "VOLT:LIM:STAT?") == "0"


def test_amplitude_is_told_in_its_unit() -> None:
    source = Keysight33500Firmware()
    ask(source, "FUNC SIN;VOLT 1 VRMS")
    assert value(source, "VOLT?") == pytest.approx(2 * math.sqrt(2))
    ask(source, "VOLT:UNIT DBM")
    assert value(source, "VOLT?") == pytest.approx(10 * math.log10(1000 / 50))
    ask(source, "VOLT 10")  # 10 mW in 50 ohm
    assert value(source, "VOLT:UNIT VPP;:VOLT?") == pytest.approx(2 * math.sqrt(2 * 50 * 0.01))
    assert error_of(source, "VOLT:UNIT DBM;:OUTP1:LOAD INF") == CONFLICT + 'amplitude units changed to Vpp due to high-Z load"'
    assert ask(source, "VOLT:UNIT?") == "VPP"
    assert error_of(source, "VOLT:UNIT DBM").startswith("-221")


def test_coupled_voltages_are_one() -> None:
    source = Keysight33500Firmware()
    ask(source, "VOLT:COUP ON;:VOLT 3;:SOUR2:VOLT:OFFS -0.5")
    assert ask(source, "SOUR2:VOLT?") == ask(source, "SOUR1:VOLT?") == "+3.0000000000000E+00"
    assert value(source, "VOLT:OFFS?") == -0.5


def test_a_function_that_cannot_be_so_fast_reduces_the_frequency() -> None:
    source = Keysight33500Firmware()
    assert error_of(source, "FREQ 30E6") == NO_ERROR
    assert error_of(source, "FREQ 31E6") == TOO_HIGH
    assert error_of(source, "FUNC RAMP") == CONFLICT + 'frequency reduced for ramp function"'
    assert value(source, "FREQ?") == 200e3
    assert value(Keysight33500Firmware("33622A"), "FREQ? MAX") == 120e6


def test_standard_functions_look_as_they_are_called() -> None:
    source = Keysight33500Firmware()
    quarter = np.array([0.01, 0.249, 0.251, 0.49, 0.51, 0.74, 0.76, 0.99]) * 1e-3
    ask(source, "OUTP ON;VOLT 2;FUNC SQU;:FUNC:SQU:DCYC 25")
    np.testing.assert_allclose(source.sampled(quarter)[:, 0], [1, 1, -1, -1, -1, -1, -1, -1])
    ask(source, "FUNC TRI")
    np.testing.assert_allclose(source.sampled(np.array([0, 0.25, 0.5, 0.75]) * 1e-3)[:, 0], [0, 1, 0, -1], atol=1e-12)
    ask(source, "FUNC RAMP;:FUNC:RAMP:SYMM 100")
    np.testing.assert_allclose(source.sampled(np.array([0, 0.25, 0.75]) * 1e-3)[:, 0], [0, 0.5, -0.5], atol=1e-12)
    ask(source, "FUNC PULS;:FUNC:PULS:WIDT 3E-4;TRAN 1E-6")
    np.testing.assert_allclose(source.sampled(np.array([0, 0.1, 0.29, 0.31, 0.9]) * 1e-3)[:, 0], [-1, 1, 1, -1, -1])
    ask(source, "FUNC PRBS;:FUNC:PRBS:DATA PN7;BRAT 1E3")
    bits = source.sampled((np.arange(254) + 0.5) * 1e-3)[:, 0]
    assert np.array_equal(bits[:127], bits[127:])
    assert (bits[:127] > 0).sum() == 64
    ask(source, "FUNC NOIS")
    noise = source.sampled(np.linspace(0, 1, 5000))[:, 0]
    assert 0.2 < noise.std() < 0.5
    assert np.abs(noise).max() <= 1


def test_an_inverted_output_is_mirrored_about_its_offset() -> None:
    source = Keysight33500Firmware()
    ask(source, "APPL:SQU 1E3,1,0.5;:OUTP1:POL INV")
    assert source.sampled(np.array([1e-4, 6e-4]))[:, 0].tolist() == [0.0, 1.0]


def test_a_pulse_is_shortened_when_its_period_is() -> None:
    source = Keysight33500Firmware()
    ask(source, "FUNC PULS;:FUNC:PULS:WIDT 4E-4")
    assert value(source, "FUNC:PULS:DCYC?") == pytest.approx(40)
    assert error_of(source, "FUNC:PULS:PER 3E-4") == CONFLICT + 'pulse width decreased due to period"'
    assert (value(source, "FREQ?"), value(source, "FUNC:PULS:WIDT?")) == (pytest.approx(1 / 3e-4), pytest.approx(1.5e-4))
    ask(source, "FUNC:PULS:HOLD DCYC;:FUNC:PULS:PER 6E-4")
    assert value(source, "FUNC:PULS:DCYC?") == pytest.approx(50)


def test_waveforms_come_as_numbers_codes_and_blocks_of_either_order() -> None:
    source = Keysight33500Firmware()
    numbers = [-1.0, -0.5, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    codes = [-32767, -16384, 0, 8192, 16384, 24575, 32767, 32767]
    ask(source, "DATA:ARB lst, " + ", ".join(map(str, numbers)))
    ask(source, "DATA:ARB:DAC dacs, " + ",".join(map(str, codes)))
    ask(source, "DATA:ARB big, " + block(struct.pack(">8f", *numbers)))
    ask(source, "DATA:ARB1:DAC dbig," + block(struct.pack(">8h", *codes)))
    ask(source, "FORM:BORD SWAP;:DATA:ARB little," + block(struct.pack("<8f", *numbers)))
    ask(source, 'SOUR1:DATA:ARB:DAC "dlit",' + block(struct.pack("<8h", *codes)))
    assert ask(source, "SYST:ERR?;:DATA:VOL:CAT?") == NO_ERROR + ';"INT:\\BUILTIN\\EXP_RISE.ARB","LST","DACS","BIG","DBIG","LITTLE","DLIT"'
    for name in ("LST", "DACS", "BIG", "DBIG", "LITTLE", "DLIT"):
        np.testing.assert_allclose(source.memory[1].arbs[name], codes, atol=1)
    assert value(source, "DATA:VOL:FREE?") == (1 << 20) - 48
    assert [value(source, f"DATA:ATTR:{q}? dacs") for q in ("POIN", "PTP", "PEAK", "AVER", "CFAC")] == [
        8, 2, 1, pytest.approx(sum(codes) / 8 / 32767), pytest.approx(32767 / math.sqrt(np.mean(np.square(codes)))),
    ]  # fmt: skip
    assert ask(source, "DATA:VOL:CLE;CAT?;FREE?") == '"INT:\\BUILTIN\\EXP_RISE.ARB";+1048576'


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("DATA:ARB few,1,0,1", "-222"), ("DATA:ARB big,0,0,0,0,0,0,0,1.01", "-222"), ("DATA:ARB:DAC big,0,0,0,0,0,0,0,32768", "-222"),
        ("DATA:ARB:DAC odd,#217aaaaaaaaaaaaaaaaa", "+800"), ("DATA:ARB thare,0,0,0,0,0,0,0,0", "+786"), ("FUNC:ARB nosuch", "+785"),
        ("DATA:ATTR:POIN? nosuch", "+785"), ("DATA:ARB:DAC min,#216" + "\x80\x00" * 8, "-222"), ('MMEM:LOAD:DATA "INT:\\NO.ARB"', "-256"),
        ("DATA:ARB " + "n" * 13 + ",1,1,1,1,1,1,1,1", "-144"), ("DATA:ARB empty", "-109"),
        ("DATA:ARB long," + ",".join(["0"] * 65537), "-223"),
        ("DATA:SEQ #17nothing", "-230"), ('DATA:SEQ #232"s","nosuch",0,once,maintain,10  ', "+785"), ("*RCL 3", "+810"),
        ("DATA:ARB:DAC x,1,2,3,4,#18aaaaaaaa,6,7,8", "-168"), ("FUNC:ARB:SRAT 251E6", "-222"), ("UNIT:ANGL RAD", "-224"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_in_the_manuals_words_and_changes_nothing(command: str, error: str) -> None:
    source = Keysight33500Firmware()
    ask(source, "DATA:ARB thare,0,0,0,0,0,0,0,1")
    before = (ask(source, "DATA:VOL:CAT?;FREE?"), ask(source, "FUNC:ARB?"))
    assert error_of(source, command).startswith(error + ",")
    assert (ask(source, "DATA:VOL:CAT?;FREE?"), ask(source, "FUNC:ARB?")) == before


def test_memory_ends_where_the_model_says() -> None:
    source = Keysight33500Firmware("33512B")
    assert error_of(source, "DATA:ARB:DAC most," + block(bytes(2 << 20))) == NO_ERROR
    assert value(source, "DATA:VOL:FREE?") == 0
    assert error_of(source, "DATA:ARB more,0,0,0,0,0,0,0,0").startswith("+781")
    assert error_of(source, "SOUR2:DATA:ARB more,0,0,0,0,0,0,0,0") == NO_ERROR


def test_a_block_of_a_million_samples_does_not_pass_through_python() -> None:
    source = Keysight33500Firmware()
    request = b"DATA:ARB:DAC m," + block(np.arange(1_000_000, dtype=">i2").clip(-32767).astype(">i2").tobytes()).encode("latin-1") + b"\n"
    began = time.perf_counter()
    source.feed(request)
    assert time.perf_counter() - began < 0.5
    assert value(source, "DATA:ATTR:POIN? m") == 1_000_000


def armed(source: Keysight33500Firmware, codes: list[int], rate: float = 1e3) -> None:
    ask(source, "*RST;DATA:VOL:CLE;:DATA:ARB:DAC w," + ",".join(map(str, codes)))
    ask(source, f"FUNC:ARB w;:FUNC ARB;:FUNC:ARB:SRAT {rate};:VOLT 2;:OUTP ON;:TRIG1:SOUR EXT;:BURS:NCYC 1;:BURS:STAT ON")
    assert ask(source, "SYST:ERR?") == NO_ERROR


def test_a_burst_waits_at_its_first_sample_and_returns_to_it() -> None:
    source = Keysight33500Firmware()
    codes = [-32767, 0, 32767, 16384, 0, 0, 0, 32767]
    armed(source, codes)
    times = (np.arange(-2, 12) + 0.5) * 1e-3
    assert source.sampled(times)[:, 0].tolist() == [-1.0] * 14
    source.external_trigger()
    expected = [-1.0, -1.0, *(np.array(codes) / 32767), -1.0, -1.0, -1.0, -1.0]
    np.testing.assert_allclose(source.sampled(times)[:, 0], expected)
    assert source.volts_v[0] == -1.0
    ask(source, "BURS:NCYC 2")
    source.external_trigger()
    np.testing.assert_allclose(source.sampled((np.arange(17) + 0.5) * 1e-3)[:, 0], [*(np.array(codes) / 32767)] * 2 + [-1.0])


def test_bus_and_immediate_triggers_reach_only_who_waits() -> None:
    source = Keysight33500Firmware()
    armed(source, [0, 32767] * 4)
    assert error_of(source, "*TRG").startswith("-211")
    ask(source, "TRIG1:SOUR BUS")
    source.external_trigger()
    assert source.sampled(np.array([1.5e-3]))[0, 0] == 0
    assert error_of(source, "*TRG;*WAI") == NO_ERROR
    assert source.sampled(np.array([1.5e-3]))[0, 0] == 1
    ask(source, "ABOR")
    assert source.sampled(np.array([1.5e-3]))[0, 0] == 0
    assert error_of(source, "TRIG1") == NO_ERROR
    assert error_of(source, "TRIG2:IMM").startswith("-211")
    assert error_of(source, "INIT1:IMM").startswith("-213")
    ask(source, "INIT1:CONT OFF;:ABOR")
    assert error_of(source, "TRIG1").startswith("-211")
    assert error_of(source, "INIT1;:TRIG1") == NO_ERROR


def test_bursts_that_trigger_themselves_repeat_by_their_period() -> None:
    source = Keysight33500Firmware()
    armed(source, [0] + [32767] * 7)
    ask(source, "TRIG1:SOUR IMM;:BURS:INT:PER 20E-3")
    times = np.array([0.5, 3.5, 9.5, 20.5, 23.5]) * 1e-3
    np.testing.assert_allclose(source.sampled(times)[:, 0], [0, 1, 0, 0, 1])
    assert error_of(source, "BURS:NCYC 10").endswith('burst period increased to fit entire burst"')


def test_the_manuals_sequence_plays_its_built_in_waveforms() -> None:
    source = Keysight33500Firmware()
    names = ("HAVERSINE", "CARDIAC", "GAUSSIAN")
    for name in names:
        ask(source, f'MMEM:LOAD:DATA1 "INT:\\BUILTIN\\{name}.arb"')
    sequence = (
        '#3164"testSeq","INT:\\BUILTIN\\HAVERSINE.arb",0,repeat,highAtStartGoLow,30,"INT:\\BUILTIN\\CARDIAC.arb",0,repeat,maintain,10,'
        '"INT:\\BUILTIN\\GAUSSIAN.arb",0,repeat,maintain,10'
    )
    assert error_of(source, f"DATA:SEQ {sequence}") == NO_ERROR
    ask(source, "FUNC:ARB testSeq;:FUNC ARB;:OUTP ON;:VOLT 2;:FUNC:ARB:SRAT 1E6")
    assert ask(source, "SYST:ERR?") == NO_ERROR
    volts = source.sampled((np.arange(6000) + 0.5) * 1e-6)[:, 0]
    expected = np.concatenate([source.memory[1].arbs[f"INT:\\BUILTIN\\{name}.ARB"] for name in names]) / 32767
    np.testing.assert_allclose(volts, np.tile(expected, 2))
    assert error_of(source, "BURS:STAT ON") == CONFLICT + 'not able to burst this function"'


def loaded(source: Keysight33500Firmware, steps: str) -> None:
    for name, code in (("a", -32767), ("b", 0), ("c", 32767)):
        ask(source, f"DATA:ARB:DAC {name}," + ",".join([str(code)] * 8))
    ask(source, "DATA:SEQ " + block(f'"q",{steps}'.encode()) + ";:FUNC:ARB q;:FUNC ARB;:FUNC:ARB:SRAT 8E3;:VOLT 2;:OUTP ON;:TRIG1:SOUR EXT")
    assert ask(source, "SYST:ERR?") == NO_ERROR


def test_a_sequence_waits_where_it_is_told_to() -> None:
    source = Keysight33500Firmware()
    loaded(source, "a,0,onceWaitTrig,maintain,4,b,2,repeat,maintain,4,c,1,once,lowAtStart,4")
    times = (np.arange(-1, 7) + 0.5) * 1e-3
    assert source.sampled(times)[:, 0].tolist() == [-1.0] * 8
    for _ in range(2):
        source.external_trigger()
        assert source.sampled(times)[:, 0].tolist() == [-1, 0, 0, 1, -1, -1, -1, -1]
        assert source.volts_v[0] == -1


def test_a_sequence_may_wait_twice_or_for_ever() -> None:
    source = Keysight33500Firmware()
    loaded(source, "a,0,onceWaitTrig,maintain,4,b,0,repeatTilTrig,maintain,4,c,0,repeatInf,maintain,4")
    times = (np.arange(4) + 0.5) * 1e-3
    played = [source.sampled(times)[:, 0].tolist()]
    for _ in range(3):
        source.external_trigger()
        played.append(source.sampled(times)[:, 0].tolist())
    assert played[:3] == [[-1.0] * 4, [0.0] * 4, [1.0] * 4]


def test_too_many_sequences_or_steps_are_refused() -> None:
    source = Keysight33500Firmware()
    ask(source, "DATA:ARB a,0,0,0,0,0,0,0,1")
    step = ",a,1,once,maintain,4"
    assert error_of(source, "DATA:SEQ " + block(f"long{step * 513}".encode())).startswith("-223")
    assert error_of(source, "DATA:SEQ " + block(f"full{step * 512}".encode())) == NO_ERROR
    assert error_of(source, "DATA:SEQ " + block(f"full{step}".encode())).startswith("+786")
    for i in range(31):
        assert error_of(source, "DATA:SEQ " + block(f"n{i}{step}".encode())) == NO_ERROR
    assert error_of(source, "DATA:SEQ " + block(f"n31{step}".encode())).startswith("+781")


def test_modes_switch_each_other_off_and_say_so() -> None:
    source = Keysight33500Firmware()
    ask(source, "AM:STAT ON;DEPT 50")
    assert error_of(source, "SWE:STAT ON") == CONFLICT + 'modulation turned off by selection of other mode or modulation"'
    assert ask(source, "AM:STAT?;:SWE:STAT?") == "0;1"
    assert error_of(source, "BURS:STAT ON") == CONFLICT + 'sweep turned off by selection of other mode or modulation"'
    assert ask(source, "SWE:STAT?;:BURS:STAT?") == "0;1"
    assert error_of(source, "FUNC DC") == CONFLICT + 'not able to burst dc, burst turned off"'
    assert error_of(source, "FM:STAT ON") == CONFLICT + 'not able to modulate dc, modulation turned off"'


def test_sample_rates_end_where_the_filter_says() -> None:
    source = Keysight33500Firmware()
    assert error_of(source, "FUNC:ARB:SRAT 250E6") == NO_ERROR
    assert error_of(source, "FUNC:ARB:FILT OFF") == CONFLICT + 'sample rate reduced due to filter"'
    assert (value(source, "FUNC:ARB:SRAT?"), ask(source, "FUNC:ARB:FILT?")) == (62.5e6, "OFF")
    ask(source, "FUNC:ARB:FREQ 10")
    assert value(source, "FUNC:ARB:SRAT?") == 10 * value(source, "FUNC:ARB:POIN?")
    ask(source, "FUNC:ARB:PER 2")
    assert value(source, "FUNC:ARB:FREQ?") == 0.5


def test_states_and_files_come_back() -> None:
    source = Keysight33500Firmware()
    armed(source, [0, 1, 2, 3, 4, 5, 6, 7])
    ask(source, '*SAV 2;MMEM:STOR:DATA "INT:\\mine.arb";*RST;DATA:VOL:CLE')
    assert ask(source, "MMEM:CAT?").endswith('"MINE.ARB,ARB,16"')
    assert error_of(source, 'MMEM:LOAD:DATA2 "INT:\\MINE.ARB";:SOUR2:FUNC:ARB "INT:\\MINE.ARB"') == NO_ERROR
    assert ask(source, "SOUR2:FUNC:ARB:POIN?;:MEM:STAT:VAL? 2;*RCL 2;:BURS:STAT?;:TRIG1:SOUR?") == "+8;1;1;EXT"
    assert error_of(source, 'MMEM:DEL "INT:\\MINE.ARB"') == NO_ERROR
    assert error_of(source, 'MMEM:DEL "INT:\\MINE.ARB"').startswith("-256")


def test_amplitude_may_count_from_the_data_as_the_manual_says_elsewhere() -> None:
    """The manual's example: the built-in sinc reaches 6.087 Vpp."""
    source = Keysight33500Firmware(spans=True)
    ask(source, 'MMEM:LOAD:DATA "INT:\\BUILTIN\\SINC.ARB";:FUNC:ARB "INT:\\BUILTIN\\SINC.ARB";:FUNC ARB;:OUTP ON')
    assert value(source, "VOLT? MAX") == pytest.approx(6.087, rel=2e-3)
    ask(source, "VOLT 1;:FUNC:ARB:SRAT 1E3")
    volts = source.sampled((np.arange(1000) + 0.5) * 1e-3)[:, 0]
    assert np.ptp(volts) == pytest.approx(1.0)


def test_the_queue_holds_twenty_errors() -> None:
    source = Keysight33500Firmware()
    for _ in range(25):
        ask(source, "FOO")
    told = [ask(source, "SYST:ERR?") for _ in range(21)]
    assert told == ['-113,"Undefined header"'] * 19 + ['-350,"Queue overflow"', NO_ERROR]


SETTINGS: list[tuple[str, Any]] = [
    ("SOURce1:FREQuency:MODE", "CW"), ("SOURce2:FUNCtion:PULSE:WIDTh", 2e-4), ("TRIGger1:COUNt", 5), ("TRIGger1:DELay", 0.5),
    ("TRIGger2:TIMer", 0.05), ("OUTPut1:POLarity", "INV"), ("SOURce1:BURSt:MODE", "GAT"), ("SOURce2:BURSt:NCYCles", 7),
    ("SOURce1:BURSt:PHASe", 90.0), ("SOURce1:BURSt:GATE:POLarity", "INV"), ("SOURce1:BURSt:INTernal:PERiod", 0.25), ("OUTPut:SYNC", 0),
    ("OUTPut:SYNC:SOURce", "CH2"), ("SOURce1:PHASe", 45.0), ("TRIGger1:SLOPe", "NEG"), ("OUTPut1:SYNC:MODE", "MARK"), ("TRIG2:LEV", 2.0),
    ("AM:DEPT", 60.0), ("FM:DEV", 500.0), ("PM:DEV", 20.0), ("FSK:FREQ", 2e3), ("BPSK:PHAS", 90.0), ("PWM:DEV", 1e-6), ("SWE:TIME", 2.0),
    ("SWE:SPAC", "LOG"), ("FREQ:STAR", 10.0), ("FREQ:STOP", 500.0), ("ROSC:SOUR", "EXT"), ("DISP", 0),
    ("DISP:VIEW", "DUAL"), ("TRAC", "INV"),
    ("SYST:BEEP:STAT", 0), ("FUNC:NOIS:BAND", 1e6), ("FUNC:PRBS:BRAT", 5e3), ("FUNC:ARB:ADV", "TRIG"),
    ("VOLT:RANG:AUTO", 0),
    ("LIST:DWEL", 0.5), ("MARK:FREQ", 250.0), ("COMB:FEED", "CH2"), ("OUTP:TRIG", 1), ("FREQ:COUP", 1), ("DISP:UNIT:VOLT", "HIGH"),
]  # fmt: skip


@pytest.mark.parametrize(("header", "wanted"), SETTINGS)
def test_settings_of_other_peoples_clients_are_kept_and_told(header: str, wanted: Any) -> None:
    source = Keysight33500Firmware()
    answer = ask(source, f"{header} {wanted};:{header}?;:SYST:ERR?").rpartition(";")
    assert (float(answer[0]) if isinstance(wanted, (int, float)) else answer[0]) == wanted
    assert answer[2] == NO_ERROR


WORDS = [
    "VOLT", "VOLT:OFFS", "VOLT:HIGH", "VOLT:LOW", "VOLT:LIM:HIGH", "VOLT:LIM:STAT", "FUNC", "ARB", "SIN", "RAMP", "PULS", "PRBS",
    "NOIS", "DC", "FREQ", "SOUR2:", ":", ";", " ", ",", "?", "ON", "OFF", "1", "-2", "1E9", "MIN", "MAX", "INF", "OUTP1:LOAD", "OUTP ON",
    "BURS:STAT", "\n", "TRIG1:SOUR", "EXT", "BUS", "*TRG", "*RST", "*SAV 1", "*RCL 1", "ABOR", "APPL:SQU",
    "DATA:ARB a,1,0,0,0,0,0,0,-1", "FUNC:ARB a",
    'DATA:SEQ #231"s",a,3,onceWaitTrig,maintain,4', "FUNC:ARB s", "DATA:VOL:CLE", "BURS:NCYC", "FUNC:PULS:WIDT",
    "FUNC:PULS:PER", "VOLT:COUP", 'MMEM:STOR:DATA "INT:\\X.ARB"', 'MMEM:LOAD:DATA "INT:\\X.ARB"', "VOLT:UNIT", "DBM", "VRMS",
    "FUNC:ARB:SRAT", "FUNC:ARB:FILT", "#18", "FUNC:RAMP:SYMM", "0", "INIT:CONT:ALL", "FREQ:SPAN", "FUNC:PRBS:DATA PN9", "TIM",
    "DATA:ATTR:CFAC?", "OUTP1:POL INV", "AM:STAT",
]  # fmt: skip
TIMES = np.array([-1.0, 0.0, 1e-9, 0.3, 1e4])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(WORDS) | st.text(max_size=6), max_size=40), st.booleans())
def test_random_commands_never_break_it_nor_drive_it_beyond_its_range(stream: list[str], spans: bool) -> None:
    source = Keysight33500Firmware(spans=spans)
    for text in stream:
        source.feed(text.encode("utf-8"))
        source.external_trigger()
        assert np.abs(source.sampled(TIMES)).max() <= 10.001
        assert np.isfinite(source.volts_v).all()
    source.clear()
    assert ask(source, "*RST;*CLS;:OUTP?;:SYST:ERR?") == f"0;{NO_ERROR}"
