"""The emulated SRS LDC500: what the manual promises, as bytes in and bytes out, and as current, light and temperature."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim_backends.firmware.ldc500 import Ldc500Firmware


def ask(controller: Ldc500Firmware, line: str) -> list[str]:
    """The replies to a line, each of which must end as TERM says by default."""
    reply = controller.feed(line.encode() + b"\n").decode()
    assert reply.count("\n") == reply.count("\r\n")
    return reply.split("\r\n")[:-1]


def lasing(milliamperes: float = 60.0, **kinds: object) -> Ldc500Firmware:
    controller = Ldc500Firmware(**kinds)  # type: ignore[arg-type]
    assert ask(controller, f"SILM 200;SVLM 3;SILD {milliamperes}") == []
    assert ask(controller, "LDON 1;LDON?;LEXE?;LCME?") == ["1", "0", "0"]
    controller.time_s += 1
    return controller


def test_it_identifies_itself_as_real_ones_do() -> None:
    assert ask(Ldc500Firmware(serial=148374), "*idn?") == ["Stanford_Research_Systems,LDC501,s/n148374,ver2.46"]
    a, b = (Ldc500Firmware.for_port({}, 1, seed) for seed in (1, 2))
    assert ask(a, "*IDN?") != ask(b, "*IDN?")
    with pytest.raises(ValueError, match="channels = 2"):
        Ldc500Firmware.for_port({}, 2, 0)
    with pytest.raises(ValueError, match="model = 'LDC9'"):
        Ldc500Firmware("LDC9")


def test_the_manuals_examples_are_answered() -> None:
    controller = Ldc500Firmware()
    assert ask(controller, "SILM 123;SILM?") == ["123.000"]
    assert ask(controller, "TERM CRLF;TERM 3;TERM?") == ["3"]
    assert ask(controller, "SVLM 5.25;SVLM?") == ["5.250"]
    assert ask(controller, "*IDN") == []
    assert ask(controller, "LCME?;LCME?") == ["4", "0"]  # "Illegal set", due to the missing "?"
    assert ask(controller, "AILM?;TOKN ON;AILM?;TMDN?;TMLK?;TOKN?") == ["0", "NO", "BETA", "NO", "ON"]
    assert ask(controller, "SYND 18;SYND?;LDPT 4,1;LDPT?;LDPT? 4;LDPT? 3") == ["18", "16", "1", "0"]
    assert ask(controller, "TATS 0.100;TATS?;RNGE?;SMOD?;TMOD?") == ["0.100", "HIGH", "CC", "CT"]


def test_blanks_case_and_a_missing_blank_do_not_matter() -> None:
    controller = Ldc500Firmware()
    assert ask(controller, "silm200 ; ; SILD159.90;sild ?") == ["159.900"]
    assert controller.feed(b"SILD?\rTEON?\n") == b"159.900\r\n0\r\n"
    assert controller.feed(b"SI") == b""
    assert controller.feed(b"LD?\r\n") == b"159.900\r\n"


@pytest.mark.parametrize(("term", "end"), [("NONE", b""), ("CR", b"\r"), ("LF", b"\n"), ("CRLF", b"\r\n"), ("LFCR", b"\n\r")])
def test_replies_end_as_term_says_and_reset_leaves_that(term: str, end: bytes) -> None:
    controller = Ldc500Firmware()
    assert controller.feed(f"TERM {term};*RST;SILD?;TEON?\n".encode()) == b"0.000" + end + b"0" + end


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("SIL", 1), ("S1LD 3", 1), ("ABCD", 2), ("SCNT 1", 2), ("*RST?", 3), ("RILD 5", 4), ("SILD", 5), ("SCAN 1,2", 5), ("SILD 1,2", 6),
        ("SILD? 1", 6), ("SCAN 1,,2", 7), ("LDON " + "O" * 30, 8), ("SILD ABC", 9), ("SILD 1E", 9), ("SYND 1.5", 10), ("LDON 1.0", 11),
        ("LDON 2", 12), ("LDON -1", 12), ("LDON YES", 14), ("TERM XX", 14),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_by_lcme_with_the_manuals_numbers(line: str, number: int) -> None:
    controller = Ldc500Firmware()
    assert ask(controller, line) == []
    assert ask(controller, "*ESR?;LCME?;LCME?;LEXE?") == ["32", str(number), "0", "0"]


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("SILD 251", 1), ("SILD -1", 1), ("SILM 501", 1), ("SILM -1", 1), ("SVLM 0.05", 1), ("SVLM 10.1", 1), ("TEMP 61", 1),
        ("TEMP -1", 1), ("TMAX 20", 1), ("TMIN 30", 1), ("TILM 4.6", 1), ("TVLM 9", 1), ("TCUR 1.1", 1), ("SYND 4", 1),
        ("SCAN 10,26,100", 1), ("TATS 0.3", 1), ("SCAN 1,1,5", 1), ("LDCR? 16", 3), ("LDPT 16,1", 3), ("LDPT 3,2", 1), ("TRTH 10", 5),
        ("TMDR ALPHA", 5), ("SIPD 1001", 1),
        ("BIAS 6", 1),
    ],
)  # fmt: skip
def test_what_is_not_done_is_told_by_lexe_and_changes_nothing(line: str, number: int) -> None:
    controller = Ldc500Firmware()
    state = "SILM?;SILD?;SVLM?;TEMP?;TMIN?;TMAX?;TILM?;TVLM?"
    before = ask(controller, state)
    assert ask(controller, line) == []
    assert ask(controller, "*ESR?;LEXE?;LEXE?;LCME?") == ["16", str(number), "0", "0"]
    assert ask(controller, state) == before


def test_the_input_holds_64_bytes_and_the_output_256() -> None:
    controller = Ldc500Firmware()
    assert len(ask(controller, "SILD?;" * 10 + "SI" + "LD")) == 10
    controller.feed(b"SILM 100;" + b" " * 56)  # one too many: all of it is lost
    assert ask(controller, "SILM?;*ESR?") == ["250.000", "40"]  # with the command error of the line before
    assert controller.feed(b"*IDN?;" * 5 + b"\n") == b""
    assert ask(controller, "*ESR?") == ["4"]


def test_the_laser_is_a_diode_with_a_threshold_behind_a_filter_of_2_5_ms() -> None:
    controller = lasing(0.0)
    levels_ma, light_mw = (0, 10, 20, 60, 100, 200), (0, 0, 0, 32, 64, 144)  # by hand: 0.8 mW/mA above 20 mA
    for milliamperes, milliwatts in zip(levels_ma, light_mw, strict=True):
        ask(controller, f"SILD {milliamperes}")
        controller.time_s += 1
        assert controller.currents_a == pytest.approx([milliamperes * 1e-3], abs=1e-9)
        assert controller.powers_w == pytest.approx([milliwatts * 1e-3], abs=1e-6)
    assert ask(controller, "RILD?;RVLD?;RIPD?;RWPD?") == ["200.000", "1.800", "7200.000", "144.000"]
    ask(controller, "SILD 100")
    for age_s in (0.0, 2.5e-3, 5e-3):
        controller.time_s += 2.5e-3 if age_s else 0
        assert controller.currents_a[0] == pytest.approx(0.1 + 0.1 * math.exp(-age_s / 2.5e-3), rel=1e-6)
    controller.tec.temperature_c = controller.tec.room_c = 60.0
    threshold_ma, milliamperes = 20 * math.exp(35 / 60), 100 + 100 * math.exp(-2)
    assert controller.powers_w[0] == pytest.approx(0.8e-3 * (milliamperes - threshold_ma), rel=1e-6)
    ask(controller, "LDON 0")
    assert controller.currents_a[0] == 0


def test_over_its_voltage_limit_the_laser_trips_and_latches_why() -> None:
    controller = lasing(100)
    assert ask(controller, "LDON?;RVLD?;LDCR? 7") == ["1", "1.500", "0"]
    assert ask(controller, "SVLM 1.7;LDCR? 7") == ["1"]  # within 250 mV
    ask(controller, "SILD 180")
    assert ask(controller, "LDON?;LDEV?;LDEV?") == ["0", "1024", "0"]
    assert controller.currents_a[0] == 0


def test_an_open_interlock_switches_off_and_keeps_off() -> None:
    controller = lasing()
    controller.laser.interlock_closed = False
    assert controller.currents_a[0] == 0
    assert ask(controller, "TOKN 1;ILOC?;LDON?;LDCR? 8;LDON 1;LDON?;LEXE?") == ["OPEN", "OFF", "1", "OFF", "5"]
    controller.laser.interlock_closed = True
    assert ask(controller, "ILOC?;LDON?;LDON 1;LDON?") == ["CLOSED", "OFF", "ON"]


def test_other_trips_switch_off_with_their_events() -> None:
    broken = lasing()
    broken.laser.open = True
    assert ask(broken, "LDON?;LDEV?") == ["0", "2048"]
    cold = lasing()
    assert ask(cold, "ATOF YES;LDON?;LDEV?") == ["0", "4096"]
    hot = lasing()
    hot.tec.temperature_c = 70.0
    assert ask(hot, "LDON?;LDEV?") == ["0", "8192"]
    cold.tec.temperature_c = -10.0
    assert ask(cold, "ATOF NO;LDON 1;LDON?;LDEV? 14;LDEV? 14") == ["0", "1", "0"]
    limited = lasing(100)
    limited.laser.modulation_v = 5.0
    assert ask(limited, "MODU 1;LDCR? 5;LDON?;AILM 1;LDON?") == ["1", "1", "0"]


def test_the_current_limit_holds_modulation_and_drags_the_setpoint() -> None:
    controller = lasing(100)
    controller.laser.modulation_v = 1.0  # 50 mA a volt in an LDC501
    ask(controller, "MODU ON")
    controller.time_s += 1
    assert controller.currents_a[0] == pytest.approx(0.15)
    controller.laser.modulation_v = 9.0
    controller.time_s += 1
    controller.currents_a  # noqa: B018
    controller.time_s += 1
    assert controller.currents_a[0] == pytest.approx(0.2)
    assert ask(controller, "SILM 80;SILD?") == ["80.000"]
    assert ask(controller, "RNGE LOW;LEXE?;LDON 0;SILM 400;RNGE LOW;SILM?;SILD?") == ["5", "250.000", "80.000"]


def test_a_scan_steps_the_setpoint_in_its_own_time() -> None:
    controller = lasing(50)
    ask(controller, "SCAN 10,15,100")
    seen = []
    for _ in range(17):
        controller.time_s += 0.1
        seen += ask(controller, "SILD?")
    np.testing.assert_allclose(np.array(seen, float), [*range(60, 201, 10), 200, 200])
    assert ask(controller, "SCAN?;LDON?") == ["0", "1"]
    ask(controller, "SILD 50;SCAN 10,15,100")
    controller.time_s += 0.35
    assert ask(controller, "SCAN?;SILD?;LDCR? 3") == ["1", "80.000", "1"]


def test_constant_power_follows_the_photodiode_and_changes_without_a_bump() -> None:
    controller = lasing(60)  # 32 mW, 1600 uA of the photodiode
    assert ask(controller, "PILM 3000;SMOD CP;SMOD?;SIPD?") == ["1", "1600.000"]
    ask(controller, "SWPD 48")
    controller.time_s += 1
    assert controller.powers_w[0] == pytest.approx(0.048)
    controller.tec.temperature_c = controller.tec.room_c = 35.0
    controller.currents_a  # noqa: B018
    controller.time_s += 1
    assert controller.powers_w[0] == pytest.approx(0.048, rel=1e-3)
    assert controller.currents_a[0] == pytest.approx((60 + 20 * math.exp(10 / 60)) * 1e-3, rel=1e-3)
    assert float(ask(controller, "SMOD CC;SILD?")[0]) == pytest.approx(60 + 20 * math.exp(10 / 60), rel=1e-3)
    assert ask(controller, "CALP 24;RESP?;RWPD?") == ["100.000", "24.000"]


def test_the_cooler_reaches_its_target_against_the_room_and_stays() -> None:
    controller = Ldc500Firmware(room_c=25.0)
    assert controller.temperatures_c == [25.0]
    ask(controller, "TILM 1;TEMP 15;TEON 1")
    controller.time_s += 5
    assert 15 < controller.temperatures_c[0] < 24
    assert ask(controller, "TIRD?;TECR? 4;TECR? 2") == ["1.000", "1", "0"]  # at its limit, cooling
    controller.time_s += 200
    assert controller.temperatures_c[0] == pytest.approx(15, abs=1e-3)
    assert float(ask(controller, "TIRD?")[0]) == pytest.approx(10 / 20, abs=1e-3)  # 20 K an ampere
    assert ask(controller, "TTRD?;TECR? 0;TECR? 2;TEMP?") == ["15.000", "1", "1", "15.000"]
    controller.time_s += 1e6
    assert controller.temperatures_c[0] == pytest.approx(15, abs=1e-3)
    ask(controller, "TEON 0")
    controller.time_s += 20
    assert controller.temperatures_c[0] == pytest.approx(25 - 10 * math.exp(-1), abs=0.01)
    controller.time_s += 500
    assert controller.temperatures_c[0] == pytest.approx(25, abs=1e-3)


def test_with_the_wrong_sign_of_its_gain_the_cooler_runs_away() -> None:
    controller = Ldc500Firmware()
    ask(controller, "TPGN 0.5;TEMP 24;TEON 1;TILM 2")
    controller.time_s += 300
    assert controller.temperatures_c[0] == pytest.approx(25 + 40, abs=0.1)
    assert ask(controller, "TECR? 5;TECR? 8") == ["1", "1"]


def test_constant_current_changes_without_a_bump_and_a_lost_sensor_switches_off() -> None:
    controller = Ldc500Firmware()
    ask(controller, "TEMP 20;TEON 1")
    controller.time_s += 200
    assert ask(controller, "TMOD CC;TMOD?;TCUR?") == ["0", "0.250"]
    ask(controller, "TCUR -0.5")
    controller.time_s += 500
    assert controller.temperatures_c[0] == pytest.approx(35, abs=1e-3)
    assert ask(controller, "TVRD?;TMOD CT;TEMP?") == ["-0.750", "35.000"]
    assert ask(controller, "TMLK 1;TMOD CC;LEXE?") == ["5"]
    controller.tec.connected = False
    assert ask(controller, "TTRD?;TEON?;TECR? 7;TEEV? 10;TEON 1;LEXE?") == ["nan", "0", "1", "1", "5"]


def test_autotuning_finds_gains_that_regulate() -> None:
    controller = Ldc500Firmware()
    assert ask(controller, "TPGN -0.01;TIGN 0;TUNE ON;TUNE?;TEON?;TECR? 3") == ["1", "1", "1"]
    controller.time_s += 61
    assert ask(controller, "TOKN 1;TUNE?;TEON?;TOKN 0") == ["SUCCESS", "OFF"]
    ask(controller, "TEMP 32;TEON 1;TILM 2")
    controller.time_s += 150
    assert controller.temperatures_c[0] == pytest.approx(32, abs=0.01)


def test_without_a_model_of_its_sensor_it_regulates_kilohms() -> None:
    controller = Ldc500Firmware()
    assert ask(controller, "TRAW?;TMDN NONE;TEMP 20;LEXE?;TRTH 8;LEXE?;TRTH?;TEON 1") == ["10.000", "5", "0", "8.000"]
    controller.time_s += 200
    assert ask(controller, "TRAW?") == ["8.000"]
    assert ask(controller, "TMDN BETA;LEXE?;TEON 0;TMDN BETA;TEMP?") == ["5", "30.108"]  # by hand: 1/(ln 0.8/3950 + 1/298.15) - 273.15


def test_status_bytes_sum_up_events() -> None:
    controller = Ldc500Firmware()
    assert ask(controller, "LDPT 1;LDEN 1;*SRE 2;*STB?") == ["8"]
    ask(controller, "SILM 100;LDON 1")
    assert ask(controller, "*STB?;LDEV?;*STB?") == ["74", "1", "8"]
    assert ask(controller, "*ESE 16;SILD 999;*STB? 5;*CLS;*STB? 5;LEXE?") == ["1", "0", "1"]
    assert ask(controller, "*OPC;*ESR?;*OPC?;*TST?") == ["1", "1", "0"]


def test_over_the_lan_it_must_be_unlocked() -> None:
    controller = Ldc500Firmware(lan=True)
    assert controller.feed(b"\n*IDN?\n") == b""
    assert controller.feed(b"uloc1\r\n*OPC?\r\n") == b"1\r\n"


def test_reset_switches_everything_off() -> None:
    controller = lasing()
    ask(controller, "TEON 1;TOKN 1;TEMP 30;*RST")
    assert ask(controller, "LDON?;TEON?;SILD?;TEMP?;TOKN?") == ["0", "0", "0.000", "25.000", "0"]
    assert controller.currents_a[0] == 0


def test_bytes_take_their_time_at_9600_baud() -> None:
    controller = Ldc500Firmware()
    controller.feed(b"SILD 1\n")
    assert controller.wire_s(96, 0) == pytest.approx(0.102)
    assert controller.time_s == pytest.approx(0.102)


WORDS = [
    "LDON", "TEON", "SILD", "SILM", "SVLM", "RNGE", "SMOD", "CP", "CC", "MODU", "SCAN", "SWPD", "SIPD", "PILM", "RESP", "CALP", "TEMP",
    "TMIN", "TMAX", "TILM", "TVLM", "TCUR", "TMOD", "CT", "TPGN", "TIGN", "TDGN", "TUNE", "TMDN", "NONE", "TRTH", "TSNR", "TERM", "TOKN",
    "LDPT", "LDEV", "?", " ", ",", ";", "\n", "\r", "1", "0", "-3", "1E9", "1E-9", "100", "5000", "*RST", "*CLS", "*STB", "*ESR", "*IDN",
    "HIGH", "LOW", "AILM",
    "TUNE1", "LDON1;", "TEON1;", "SILD100;", "SCAN5,9,7;", "TDGN5;", "TPGN-900;",
]  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(WORDS) | st.text(max_size=5), st.floats(0, 30)), max_size=30), st.sampled_from(["LDC500", "LDC502"])
)
def test_random_commands_never_break_it_nor_drive_it_beyond_its_limits(stream: list[tuple[str, float]], model: str) -> None:
    controller = Ldc500Firmware(model)
    most_a = {"LDC500": 0.1, "LDC502": 2.0}[model]
    for text, seconds in stream:
        controller.feed(text.encode("utf-8"))
        controller.time_s += seconds
        assert 0 <= controller.currents_a[0] <= most_a
        assert controller.currents_a[0] <= 1e-3 * controller.laser.limit_ma + 1e-9 or controller.laser.on
        assert abs(controller.tec.current_a) <= 4.5
        assert -70 <= controller.temperatures_c[0] <= 120
    assert controller.feed(b"\n*RST;TERM 2;LDON?;TEON?\n").endswith(b"0\n0\n")
