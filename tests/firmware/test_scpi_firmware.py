"""The SCPI parser of the emulators: the standard's rules as bytes in and bytes out, and whatever else may come."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim_backends.firmware.scpi import ScpiInstrument
from sim_backends.firmware.scpi_errors import MESSAGES
from sim_backends.firmware.scpi_tree import Command
from sim_backends.firmware.scpi_values import Block, Boolean, ChannelList, Keyword, Number, Text, block


class Bench(ScpiInstrument):
    """An instrument with one command of every sort."""

    def __init__(self) -> None:
        super().__init__("MAKER,MODEL,1,2", {3: "QUEStionable", 7: "OPERation"}, errors=4, longest=2000)
        self.triggers: list[int] = []

    def commands(self) -> Iterable[Command]:
        yield self.setting("[:SOURce{1}]:VOLTage[:LEVel][:IMMediate][:AMPLitude]", "volts", Number(-20, 20, 1, "V"), 0.0)
        yield self.setting("[:SOURce{1}]:VOLTage:RANGe", "range", Number(0, 20, 20, "V"), 20.0)
        yield self.setting(":OUTPut{1}[:STATe]", "output", Boolean(), False)
        yield self.setting(":SOURce:FREQuency", "hertz", Number(0, 1e9, 1000, "HZ"), 1000.0)
        yield self.setting(":SENSe:FUNCtion", "function", Keyword("VOLTage", "CURRent"), "VOLT")
        yield self.setting(":DISPlay:TEXT", "text", Text(), "")
        yield self.setting(":DATA", "data", Block(), b"")
        yield self.setting(":ROUTe:SCAN", "scan", ChannelList(1, 40), [])
        yield self.setting(":COUNt", "count", Number(1, 100, 1, whole=True, infinite=True), 1)
        yield Command(":TRIGger{1:3}", lambda number: self.triggers.append(number))
        yield Command(":LIST", lambda *values: self.values.update(list=values), takes=(Number(0, 9, 0),), repeats=True)


def ask(text: str | bytes, bench: Bench | None = None) -> str:
    data = text.encode("latin-1") if isinstance(text, str) else text
    return (bench or Bench()).feed(data + b"\n").decode("latin-1").removesuffix("\n")


@pytest.mark.parametrize("header", [":SOURce1:VOLTage:LEVel:IMMediate:AMPLitude", "volt", "SOUR:VOLT", "VOLTAGE:LEV", ":source:Volt:AMPL"])
def test_short_long_optional_and_mixed_case_headers_are_one_command(header: str) -> None:
    bench = Bench()
    assert ask(f"{header} 2.5", bench) == ""
    assert ask(f"{header}?", bench) == "2.500000E+00"


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("VOLTA 1", -113), ("SOURC:VOLT 1", -113), ("SOUR2:VOLT 1", -114), ("VOLT2 1", -113), ("TRIG4", -114), ("TRIG?", -113),
        ("FOO", -113), ("VOLT", -109), ("VOLT 1,2", -108), ("*CLS 1", -108), ("VOLT 1,,2", -102), ("VOLT 1 A", -131),
        ("VOLT 1 MHZ", -131),
        ("COUN 1 V", -138), ("VOLT ABC", -141), ("VOLT 'a'", -158), ("VOLT #13abc", -168), ("VOLT (@1)", -178), ("DISP:TEXT 5", -128),
        ("DISP:TEXT FIVE", -148), ("DISP:TEXT 'open", -151), ("VOLT 20.1", -222), ("VOLT 1E40000", -123), ("VOLT 1E400", -123),
        ("VOLT " + "1" * 300, -124), ("VOLT 1..2", -121), ("VOLT #HG", -121), ("SENS:FUNC RES", -224), ("OUTP MAYBE", -224),
        ("ROUT:SCAN (1)", -171), ("ROUT:SCAN (@41)", -222), ("DATA #9ab", -161), ("VOLT?1", -111), ("VOLT!", -111), ("!VOLT", -102),
        ("\xe9VOLT", -101), ("ABCDEFGHIJKLM", -112), ("*FOO?", -113), ("::VOLT 1", -102), ("*TRG", -211), ("VOLT \xb5", -101),
    ],
)  # fmt: skip
def test_every_mistake_has_its_standard_number_and_changes_nothing(message: str, error: int) -> None:
    bench = Bench()
    before = dict(bench.values)
    assert ask(message, bench) == ""
    assert bench.values == before
    assert ask("SYST:ERR?", bench) == f'{error},"{MESSAGES[error]}"'
    assert ask(":SYST:ERR?", bench) == '0,"No error"'
    assert int(ask("*ESR?", bench)) & ~128 == {1: 32, 2: 16}[-error // 100]


@pytest.mark.parametrize(
    ("number", "value"),
    [
        ("5 mV", 5e-3), ("5MV", 5e-3), ("0.005kv", 5.0), ("1e1", 10.0), (" +.5 E 1 V", 5.0), ("MAX", 20.0), ("minimum", -20.0),
        ("DEF", 1.0),        ("#H0f", 15.0), ("#Q17", 15.0), ("#B101", 5.0), ("5 UV", 5e-6), ("-3.", -3.0), ("0.00001 MAV", 10.0),
    ],
)  # fmt: skip
def test_numbers_take_multipliers_units_bases_and_words(number: str, value: float) -> None:
    assert float(ask(f"VOLT {number};VOLT?")) == pytest.approx(value, rel=1e-6)


def test_mhz_is_mega_and_mv_is_milli() -> None:
    assert ask("SOUR:FREQ 2 MHZ;FREQ?") == "2.000000E+06"
    assert ask("VOLT 2 MV;VOLT?") == "2.000000E-03"


def test_a_query_takes_min_max_and_def_and_whole_numbers_round() -> None:
    assert ask("VOLT? MIN;VOLT? MAX;VOLT? DEF") == "-2.000000E+01;2.000000E+01;1.000000E+00"
    assert ask("COUN 3.6;COUN?") == "4"
    assert ask("COUN INF;COUN?") == "9.900000E+37"


def test_units_go_on_below_the_path_of_the_unit_before() -> None:
    assert ask(":SOUR:VOLT:LEV 3;RANG 5;LEV?;RANG?;:OUTP ON;:OUTP?;*ESR?;OUTP?") == "3.000000E+00;5.000000E+00;1;128;1"
    assert ask("SOUR:VOLT:LEV 1;:SYST:ERR?;SOUR:VOLT 1;:SYST:ERR?") == '0,"No error";-113,"Undefined header"'


def test_common_commands_leave_the_path_alone() -> None:
    assert ask(":SOUR:VOLT:RANG 5;*OPC?;RANG?;*IDN?") == "1;5.000000E+00;MAKER,MODEL,1,2"


def test_a_refused_unit_does_not_stop_the_units_after_it() -> None:
    assert ask("VOLT 99;VOLT 2;VOLT?;:SYST:ERR?;ERR?") == '2.000000E+00;-222,"Data out of range";0,"No error"'
    assert ask(";;VOLT?; ;") == "0.000000E+00"


def test_suffixes_with_a_choice_are_told() -> None:
    bench = Bench()
    ask("TRIG;TRIG2;TRIGGER3;TRIG1", bench)
    assert bench.triggers == [1, 2, 3, 1]


def test_strings_keep_separators_and_doubled_quotes() -> None:
    assert ask("""DISP:TEXT 'a;b,"c''#15';TEXT?""") == '''"a;b,""c'#15"'''
    assert ask('DISP:TEXT "it""s";TEXT?') == '"it""s"'


def test_blocks_keep_every_byte_also_newlines_and_come_in_pieces() -> None:
    data = bytes(range(256)) + b"\n;,'\""
    bench = Bench()
    out = b"".join(bench.feed(bytes([byte])) for byte in b":DATA " + block(data) + b";:DATA?;:OUTP?\n")
    assert bench.values["data"] == data
    assert out == block(data) + b";0\n"
    assert ask(b":DATA #0ab;c\n:DATA?") == "#14ab;c"


def test_lists_and_channel_lists_count_both_ways() -> None:
    bench = Bench()
    assert ask("ROUT:SCAN (@1:3, 7,9:8);SCAN?;:LIST 1,2,3", bench) == "(@1,2,3,7,9,8)"
    assert bench.values["list"] == (1, 2, 3)


def test_the_error_queue_overflows_in_its_last_place() -> None:
    assert ask("A;B;C;D;E;F;:SYST:ERR:COUN?;ALL?") == (
        '4;-113,"Undefined header",-113,"Undefined header",-113,"Undefined header",-350,"Queue overflow"'
    )


def test_status_bytes_and_registers_are_summed_up() -> None:
    bench = Bench()
    assert ask("*ESR?;*ESE 33;*ESE?;*SRE 32;*SRE?;*STB?", bench) == "128;33;32;16"
    assert ask("FOO;*STB?", bench) == str(4 + 32 + 64)
    assert ask("*CLS;*STB?;*OPC;*STB?;*ESR?", bench) == "0;112;1"
    bench.status.registers["OPERation"].put(4)
    assert ask("STAT:OPER:ENAB 16;ENAB?;*STB?;*SRE 128;*STB?", bench) == "16;144;208"
    assert ask("STAT:OPER?;:STAT:OPER?;:STAT:OPER:COND?;:STAT:PRES;:STAT:OPER:ENAB?", bench) == "16;0;16;0"


def test_reading_and_writing_as_on_a_bus_has_its_query_errors() -> None:
    bench = Bench()
    assert bench.read() == b""
    assert ask("SYST:ERR?;*ESR?", bench) == '-420,"Query UNTERMINATED";132'
    bench.write(b"VOLT?\n")
    bench.write(b"*IDN?")
    assert bench.read() == b"MAKER,MODEL,1,2\n"
    assert ask("SYST:ERR?", bench) == '-410,"Query INTERRUPTED"'


def test_a_message_that_is_too_long_is_refused_once_and_thrown_away() -> None:
    bench = Bench()
    for _ in range(100):
        assert bench.feed(b"VOLT 1;" * 100) == b""
    assert bench.feed(b"*IDN?\nVOLT?;:SYST:ERR:ALL?\n") == b'0.000000E+00;-363,"Input buffer overrun"\n'


def test_reset_brings_the_defaults_back_and_keeps_the_errors() -> None:
    assert ask("VOLT 5;FOO;*RST;VOLT?;:SYST:ERR:COUN?") == "0.000000E+00;1"


PIECES = [
    "VOLT",
    "SOUR",
    ":",
    ";",
    "?",
    "*IDN",
    "*RST",
    " ",
    ",",
    "1",
    "-2.5E3",
    "mV",
    '"',
    "'",
    "#",
    "#14",
    "#0",
    "#HF",
    "(@",
    ")",
    "\n",
    "ON",
    "MAX",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=40) | st.sampled_from(PIECES).map(str.encode), max_size=40))
def test_whatever_comes_nothing_breaks_and_the_instrument_goes_on(stream: list[bytes]) -> None:
    bench = Bench()
    for data in stream:
        reply = bench.feed(data)
        assert reply == b"" or reply.endswith(b"\n")
    bench.clear()
    assert bench.feed(b"*CLS;*IDN?;:SYST:ERR?\n") == b'MAKER,MODEL,1,2;0,"No error"\n'


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_how_a_stream_is_cut_into_pieces_does_not_matter(data: st.DataObject) -> None:
    stream = b"".join(data.draw(st.lists(st.binary(max_size=8) | st.sampled_from(PIECES).map(str.encode), max_size=30)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    whole, parts = Bench(), Bench()
    once = whole.feed(stream)
    assert b"".join(parts.feed(stream[a:b]) for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)) == once
    assert whole.values == parts.values
