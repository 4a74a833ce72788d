"""The emulated Red Pitaya: bytes as its documentation and server have them, a socket client as in its examples, and PyMeasure's driver."""

from __future__ import annotations

import contextlib
import socket
import struct
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labonn.clock import SimulatedClock
from sim_backends.firmware.redpitaya import RedPitayaFirmware
from sim_backends.served import serve_tcp

NO_ERROR = '0,"No error"'
CLOCK_S = 8e-9


def ask(board: RedPitayaFirmware, *messages: str) -> str:
    """The answers to messages; each exchange takes its time."""
    replies = b""
    for message in messages:
        reply = board.feed(message.encode() + b"\r\n")
        board.wire_s(len(message), len(reply))
        replies += reply
    return replies.decode("latin-1").removesuffix("\r\n")


def later(board: RedPitayaFirmware, seconds: float) -> None:
    board.time_s += seconds


def samples(board: RedPitayaFirmware, query: str) -> np.ndarray[Any, Any]:
    text = ask(board, query)
    assert text[0] + text[-1] == "{}"
    return np.array([float(number) for number in text[1:-1].split(",")])


class Client:
    """A script's side of the connection, as the documentation describes it: text to the end of a line, blocks by their header."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 5)
        self.socket.settimeout(5)

    def tx(self, message: str) -> None:
        self.socket.sendall(message.encode() + b"\r\n")

    def rx(self) -> str:
        text = b""
        while not text.endswith(b"\r\n"):
            text += self.socket.recv(4096)
        return text[:-2].decode()

    def rx_arb(self) -> bytes:
        assert self._exactly(1) == b"#"
        data = self._exactly(int(self._exactly(int(self._exactly(1)))))
        assert self._exactly(2) == b"\r\n"
        return data

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            data += self.socket.recv(min(4096, count - len(data)))
        return data


@contextlib.contextmanager
def connected(board: RedPitayaFirmware) -> Iterator[Client]:
    with serve_tcp(board, SimulatedClock()) as url:
        client = Client(int(url.rpartition(":")[2]))
        yield client
        client.socket.close()


def test_it_identifies_itself_and_its_board() -> None:
    board = RedPitayaFirmware()
    assert ask(board, "*IDN?") == "REDPITAYA,INSTR2023,0,05-03"
    assert ask(board, "SYST:BRD:NAME?", "SYSTem:BRD:ID?") == "STEMlab 125-14 v1.0\r\n1"
    assert ask(RedPitayaFirmware(channels=4), "SYST:BRD:Name?").startswith("STEMlab 125-14 4-Input")
    a, b = (RedPitayaFirmware.for_port({}, 2, seed).calibration for seed in (1, 2))
    assert a != b
    assert RedPitayaFirmware.for_port({"channels": 4, "trigger": "now"}, 2, 1).acquisition.channels == 4


def test_a_message_ends_with_return_and_newline_and_nothing_else() -> None:
    board = RedPitayaFirmware()
    assert board.feed(b"*IDN?\n") == b""
    assert board.feed(b"\r") == b""
    assert board.feed(b"\n") == b"REDPITAYA,INSTR2023,0,05-03\r\n"
    assert ask(board, "acq:dec 8;:ACQ:DEC?;AVG?") == "8;ON"
    assert ask(board, "SYST:ERR:COUN?") == "0"


def test_power_on_settings_are_the_documented_ones() -> None:
    board = RedPitayaFirmware()
    queries = ("ACQ:DEC?", "ACQ:AVG?", "ACQ:DATA:UNITS?", "ACQ:DATA:FORMAT?", "ACQ:TRIG:DLY?", "ACQ:TRIG:STAT?", "ACQ:SOUR1:GAIN?")
    assert ask(board, *queries).split("\r\n") == ["1", "ON", "VOLTS", "ASCII", "0", "TD", "LV"]
    assert ask(board, "ACQ:SRAT?", "ACQ:BUF:SIZE?").split("\r\n") == ["125000000 Hz", "16384"]
    queries = ("OUTPUT1:STATE?", "SOUR1:FUNC?", "SOUR1:FREQ:FIX?", "SOUR1:BURS:STAT?", "SOUR1:TRIG:SOUR?", "SOUR2:VOLT:OFFS?")
    assert ask(board, *queries).split("\r\n") == ["OFF", "SINE", "1000", "CONTINUOUS", "INT", "0"]


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("ACQ:DEC 3", '-109,"Missing parameter"'), ("ACQ:DEC 131072", '-109,"Missing parameter"'), ("ACQ:DEC:F 12", "9506"),
        ("ACQ:DEC:F 65537", "9506"), ("FOO:BAR 1", '-113,"Undefined header"'), ("*TRG", "-113"), ("SYST:ERR:ALL?", "-113"),
        ("ACQ:TRIG CH9_PE", "-224"), ("ACQ:TRIG", "-109"), ("ACQ:SOUR3:GAIN HV", '9500,"Invalid channel number"'),
        ("ACQ:SOUR1:DATA:STA:N? 5", "-109"), ("ACQ:TRIG:LEV 1.5", "9506"), ("SOUR1:VOLT 1.01", "9506"),
        ("SOUR1:VOLT 0.6;:SOUR1:VOLT:OFFS 0.5", '9506,"Value out of range."'), ("SOUR1:FREQ:FIX 6.3E7", "9506"),
        ("SOUR3:FUNC SINE", "9500"), ("SOUR1:FUNC NOISY", "-224"), ("SOUR1:TRAC:DATA:DATA 0.5,1.1", '9517,"Data not normalized"'),
        ("SOUR1:BURS:NCYC 0", "9506"),
        ("SOUR1:BURS:STAT STREAM", '9516,"Unsupported Feature"'), ("DIG:PIN DIO1_P,1", '9509,"Writing to input pin is not valid."'),
        ("DIG:PIN:DIR IN,LED2", "9507"), ("ANALOG:PIN AOUT1,1.9", "9506"), ("ANALOG:PIN AIN1,1", "9510"), ("DIG:PIN? DIO9_P", "-224"),
        ("SOUR1:TRAC:DATA:DATA " + ",".join(["0"] * 16385), "-223"), ("SYST:TIME 25,0,0", "-200"), ("ACQ:DEC 1 2", "-121"),
    ],
)  # fmt: skip
def test_what_the_server_refuses_is_told_once_and_changes_nothing(message: str, error: str) -> None:
    board = RedPitayaFirmware()
    ask(board, "SOUR1:VOLT 0.5")
    before = dict(board.values)
    assert ask(board, message) == ""
    assert board.values == before | ({"volt1": 0.6} if "VOLT 0.6" in message else {})
    assert ask(board, "SYST:ERR:COUN?") == "1"
    assert ask(board, "SYST:ERR?").startswith(error)
    assert ask(board, "SYST:ERR:NEXT?") == NO_ERROR


@pytest.mark.parametrize("n", range(17))
def test_every_power_of_two_up_to_65536_is_a_decimation(n: int) -> None:
    board = RedPitayaFirmware()
    assert ask(board, f"ACQ:DEC {2**n}", "ACQ:DEC?", "ACQ:SRAT?", "SYST:ERR?") == f"{2**n}\r\n{125e6 / 2**n:9.0f} Hz\r\n{NO_ERROR}"


def test_a_continuous_sine_has_its_frequency_amplitude_and_offset() -> None:
    board = RedPitayaFirmware()
    ask(board, "SOUR1:FUNC SINE;:SOUR1:FREQ:FIX 10 kHz;:SOUR1:VOLT 0.5;:SOUR1:VOLT:OFFS 0.25;:OUTPUT1:STATE ON")
    assert board.volts_v.tolist() == [0, 0]  # an enabled output waits for its trigger
    ask(board, "SOUR1:TRIG:INT")
    times = np.linspace(0, 1e-3, 777)
    np.testing.assert_allclose(board.sampled(times)[:, 0], 0.25 + 0.5 * np.sin(2 * np.pi * 1e4 * times), atol=5e-4)
    assert not board.sampled(times)[:, 1].any()
    assert board.sampled(np.array([-1.0]))[0, 0] == 0  # before the trigger
    ask(board, "OUTPUT1:STATE OFF")
    assert board.volts_v.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("function", "quarters"),
    [("SQUARE", [1, 1, -1, -1]), ("TRIANGLE", [0.5, 0.5, -0.5, -0.5]), ("SAWU", [0.125, 0.375, 0.625, 0.875]),
     ("SAWD", [0.875, 0.625, 0.375, 0.125]), ("DC", [1, 1, 1, 1]), ("DC_NEG", [-1, -1, -1, -1]), ("PWM", [1, -1, -1, -1])],
)  # fmt: skip
def test_the_waveforms_have_their_shapes(function: str, quarters: list[float]) -> None:
    board = RedPitayaFirmware()
    ask(board, f"SOUR2:FUNC {function};:SOUR2:FREQ:FIX 1000;:SOUR2:VOLT 1;:SOUR2:DCYC 0.25;:OUTPUT2:STATE ON;:SOUR2:TRIG:INT")
    np.testing.assert_allclose(board.sampled(np.array([125e-6, 375e-6, 625e-6, 875e-6]))[:, 1], quarters, atol=3e-4)


def test_a_burst_plays_its_cycles_repeats_after_its_period_and_ends_at_its_last_value() -> None:
    board = RedPitayaFirmware()
    ask(board, "SOUR1:FUNC DC;:SOUR1:VOLT 1;:SOUR1:FREQ:FIX 1000;:SOUR1:BURS:STAT BURST;NCYC 2;NOR 3;INT:PER 5000")
    ask(board, "SOUR1:BURS:LASTVALUE -0.5;:SOUR1:INITVALUE 0.25;:OUTPUT1:STATE ON")
    assert board.volts_v[0] == 0.25
    ask(board, "SOUR:TRIG:INT")
    times = np.array([-1e-3, 1e-3, 1.9e-3, 2.1e-3, 4.9e-3, 5.1e-3, 6.9e-3, 7.1e-3, 11e-3, 13e-3, 16e-3])
    one = 8191 / 8192
    np.testing.assert_allclose(board.sampled(times)[:, 0], [0.25, one, one, -0.5, -0.5, one, one, -0.5, one, -0.5, -0.5])


def test_an_arbitrary_waveform_is_played_sample_by_sample_by_the_phase_counter() -> None:
    board = RedPitayaFirmware()
    data = np.round(np.random.default_rng(3).uniform(-1, 1, 16384), 4)
    ask(board, "SOUR1:TRAC:DATA:DATA " + ",".join(f"{v:.4f}" for v in data))
    ask(board, f"SOUR1:FUNC ARBITRARY;:SOUR1:VOLT 1;:SOUR1:FREQ:FIX {125e6 / 16384:.9g};:SOUR1:BURS:STAT BURST;:OUTPUT1:STATE ON")
    ask(board, "SOUR1:TRIG:INT")
    played = board.sampled((np.arange(16384) + 0.5) * CLOCK_S)[:, 0]
    np.testing.assert_allclose(played, np.clip(data, -1, 8191 / 8192), atol=0.6 / 8192)
    np.testing.assert_allclose(samples(board, "SOUR1:TRAC:DATA:DATA?"), data, atol=1e-6)
    short = "SOUR2:TRAC:DATA:DATA 0.25,-0.5,0.75"
    assert ask(board, short, "SOUR2:TRAC:DATA:DATA?", "SYST:ERR?") == f"{{0.250000,-0.500000,0.750000}}\r\n{NO_ERROR}"


def test_time_passes_between_trigger_and_full_memory() -> None:
    board = RedPitayaFirmware()
    ask(board, "ACQ:DEC 1024;:ACQ:TRIG:DLY 8192;:ACQ:START")
    assert ask(board, "ACQ:TRIG:STAT?;FILL?") == "TD;0"  # no source was chosen
    ask(board, "ACQ:TRIG EXT_PE")
    later(board, 1.0)
    assert ask(board, "ACQ:TRIG:STAT?;FILL?") == "WAIT;0"
    board.external_trigger()
    assert ask(board, "ACQ:TRIG:STAT?;FILL?") == "TD;0"
    later(board, 16384 * 1024 * CLOCK_S - 1e-3)
    assert ask(board, "ACQ:TRIG:FILL?") == "0"
    later(board, 1e-3)
    assert ask(board, "ACQ:TRIG:FILL?") == "1"
    trigger, end = map(int, ask(board, "ACQ:TPOS?", "ACQ:WPOS?").split("\r\n"))
    assert (end - trigger + 1) % 16384 == 0


@pytest.mark.parametrize("delay", [-8000, 0, 100, 8192])
def test_the_delay_counts_samples_from_the_middle_of_the_memory(delay: int) -> None:
    board = RedPitayaFirmware(noise=0.0, calibration_error=0.0)
    board.inputs = lambda t: np.stack([np.sign(t), t], axis=1) * 0.5
    ask(board, f"ACQ:DEC 8;:ACQ:TRIG:DLY {delay};:ACQ:START")
    later(board, 0.01)
    ask(board, "ACQ:TRIG NOW")
    later(board, 0.01)
    trigger, end = map(int, ask(board, "ACQ:TPOS?", "ACQ:WPOS?").split("\r\n"))
    assert (end - trigger) % 16384 == (8191 + delay) % 16384
    whole = samples(board, "ACQ:SOUR1:DATA?")
    assert np.count_nonzero(whole < 0) == 8192 - delay
    assert np.all(np.diff(whole) >= 0)
    np.testing.assert_array_equal(samples(board, f"ACQ:SOUR1:DATA:STA:N? {trigger},5"), [0.5] * 5)
    np.testing.assert_array_equal(samples(board, f"ACQ:SOUR1:DATA:START:END? {trigger},{(trigger + 4) % 16384}"), [0.5] * 5)
    np.testing.assert_array_equal(samples(board, "ACQ:SOUR1:DATA:OLD:N? 7"), whole[:7])
    np.testing.assert_array_equal(samples(board, "ACQ:SOUR1:DATA:LAT:N? 7"), whole[-7:])
    np.testing.assert_array_equal(samples(board, "ACQ:SOUR1:DATA:TRIG? 9,PRE_POST_TRIG")[9:], [0.5] * 10)


def test_a_level_trigger_finds_its_edge_with_what_was_before_it() -> None:
    board = RedPitayaFirmware(noise=0.0, calibration_error=0.0)
    board.inputs = lambda t: np.stack([0.8 * np.sin(2 * np.pi * 2000 * t), 0 * t], axis=1)
    ask(board, "ACQ:DEC 64;:ACQ:TRIG:LEV 300 mV;:ACQ:START")
    assert ask(board, "ACQ:TRIG:LEV?") == "0.3"
    later(board, 0.02)
    ask(board, "ACQ:TRIG CH1_PE")
    later(board, 0.001)
    assert ask(board, "ACQ:TRIG:STAT?") == "TD"
    later(board, 0.02)
    whole = samples(board, "ACQ:SOUR1:DATA?")
    assert whole[8191] < 0.3 <= whole[8193]
    ask(board, "ACQ:TRIG:LEV 0.9;:ACQ:START;TRIG CH1_PE")
    later(board, 0.01)
    assert ask(board, "ACQ:TRIG:STAT?") == "WAIT"  # it never gets there
    board.inputs = lambda t: np.full((len(t), 2), 0.6)
    ask(board, "ACQ:TRIG:LEV 0.5;:ACQ:START;TRIG CH1_PE")
    later(board, 0.01)
    assert ask(board, "ACQ:TRIG:STAT?") == "WAIT"  # being above is no edge


def test_volts_are_calibrated_and_raw_codes_are_not() -> None:
    board = RedPitayaFirmware(seed=5, noise=0.0)
    board.calibration = [(1.01, 12), (0.99, -7)]
    board.inputs = lambda t: np.full((len(t), 2), [0.5, -3.0])
    ask(board, "ACQ:SOUR2:GAIN HV;:ACQ:TRIG:DLY 8192;:ACQ:START;TRIG NOW")
    assert samples(board, "ACQ:SOUR1:DATA:OLD:N? 2") == pytest.approx(0.5, abs=1e-4)
    assert samples(board, "ACQ:SOUR2:DATA:OLD:N? 2") == pytest.approx(-3.0, abs=2e-3)
    ask(board, "ACQ:DATA:UNITS RAW")
    assert ask(board, "ACQ:SOUR1:DATA:OLD:N? 2") == "{4149,4149}"  # 0.5 x 8192 x 1.01 + 12
    assert ask(board, "ACQ:SOUR2:DATA:OLD:N? 2") == "{-1224,-1224}"  # -3 / 20 x 8192 x 0.99 - 7
    assert board.feed(b"ACQ:DATA:FORMAT BIN\r\nACQ:SOUR1:DATA:OLD:N? 2\r\n") == b"#14" + struct.pack(">2h", 4149, 4149) + b"\r\n"
    volts = board.feed(b"ACQ:DATA:UNITS VOLTS\r\nACQ:SOUR2:DATA:OLD:N? 3\r\n")
    assert volts[:4] == b"#212"
    assert struct.unpack(">3f", volts[4:-2]) == pytest.approx((-3.0,) * 3, abs=2e-3)


def test_too_much_light_sits_at_the_end_of_the_range() -> None:
    board = RedPitayaFirmware(noise=0.0)
    board.inputs = lambda t: np.full((len(t), 2), [5.0, -5.0])
    ask(board, "ACQ:DATA:UNITS RAW;:ACQ:TRIG:DLY 8192;:ACQ:START;TRIG NOW")
    assert ask(board, "ACQ:SOUR1:DATA:OLD:N? 1", "ACQ:SOUR2:DATA:OLD:N? 1") == "{8191}\r\n{-8192}"


def test_averaging_lowers_the_noise_by_the_root_of_the_decimation() -> None:
    board = RedPitayaFirmware(seed=1, noise=0.01, calibration_error=0.0)
    spread = []
    for setting in ("ACQ:DEC 1", "ACQ:DEC 64", "ACQ:AVG OFF"):
        ask(board, f"{setting};:ACQ:TRIG:DLY 8192;:ACQ:START;TRIG NOW")
        spread.append(samples(board, "ACQ:SOUR1:DATA?").std())
    assert spread[0] / spread[1] == pytest.approx(8, rel=0.05)
    assert spread[2] == pytest.approx(spread[0], rel=0.05)


def test_the_output_triggers_the_input_in_the_same_clock() -> None:
    board = RedPitayaFirmware(noise=0.0, calibration_error=0.0)
    board.inputs = board.sampled
    fired: list[tuple[bool, str]] = []  # whether the output has begun, and the inputs still wait
    board.on_fire = lambda: fired.append((board.generator.started_s[0] is not None, board.values["trigger"]))
    ask(board, "SOUR1:FUNC SAWU;:SOUR1:FREQ:FIX 7629.39453;:SOUR1:VOLT 0.5;:SOUR1:BURS:STAT BURST;:OUTPUT1:STATE ON")
    ask(board, "ACQ:TRIG:DLY 8192;:ACQ:START;TRIG AWG_PE")
    assert ask(board, "SOUR2:TRIG:INT", "ACQ:TRIG:STAT?") == "WAIT"  # that output is off
    assert not fired
    ask(board, "SOUR1:TRIG:INT")
    later(board, 1e-3)
    assert fired == [(True, "AWG_PE")]
    assert ask(board, "ACQ:TRIG:STAT?;FILL?") == "TD;1"
    np.testing.assert_allclose(samples(board, "ACQ:SOUR1:DATA?"), 0.5 * np.arange(16384) / 16384, atol=2e-4)
    ask(board, "SOUR1:BURS:STAT CONTINUOUS;:SOUR1:TRIG:INT;:ACQ:START;TRIG AWG_PE")
    assert ask(board, "ACQ:TRIG:STAT?") == "TD"  # a continuous signal triggers at its next period
    later(board, 1e-3)
    assert samples(board, "ACQ:SOUR1:DATA?")[0] < 0.01


def test_an_external_edge_starts_outputs_and_inputs_that_wait_for_it() -> None:
    board = RedPitayaFirmware(noise=0.0, calibration_error=0.0)
    board.inputs = board.sampled
    ask(board, "SOUR2:FUNC DC;:SOUR2:VOLT 0.5;:SOUR2:TRIG:SOUR EXT_PE;:OUTPUT2:STATE ON;:ACQ:TRIG:DLY 8192;:ACQ:START;TRIG EXT_PE")
    assert board.volts_v[1] == 0
    board.external_trigger()
    later(board, 1e-3)
    assert board.volts_v[1] == 0.5
    assert samples(board, "ACQ:SOUR2:DATA:OLD:N? 3").tolist() == [0.5] * 3
    board.on_fire = board.external_trigger  # a wire from the pin to the trigger input
    ask(board, "ACQ:START;TRIG EXT_PE;:DIG:PIN:DIR OUT,DIO1_P;:DIG:PIN DIO1_P,1")
    assert ask(board, "ACQ:TRIG:STAT?") == "TD"
    ask(board, "ACQ:START;TRIG EXT_PE;:DIG:PIN DIO1_P,1;:DIG:PIN DIO1_P,0")
    assert ask(board, "ACQ:TRIG:STAT?") == "WAIT"  # it was high already


def test_the_digital_loop_reads_the_outputs() -> None:
    board = RedPitayaFirmware(noise=0.0, calibration_error=0.0)
    ask(board, "RP:DIG:LOOP;:SOUR1:FUNC DC;:SOUR1:VOLT 0.25;:OUTPUT:STATE ON;:SOUR:TRIG:INT;:ACQ:TRIG:DLY 8192;:ACQ:START;TRIG NOW")
    assert samples(board, "ACQ:SOUR1:DATA:OLD:N? 2").tolist() == [0.25, 0.25]


def test_resets_give_back_the_defaults_of_their_part() -> None:
    board = RedPitayaFirmware()
    ask(board, "ACQ:DEC 64;:SOUR1:VOLT 0.1;:OUTPUT1:STATE ON;:DIG:PIN LED1,1;:ANALOG:PIN AOUT2,1.5;*RST")
    assert ask(board, "ACQ:DEC?;:SOUR1:VOLT?") == "64;0.1"  # *RST changes nothing
    assert ask(board, "ACQ:RST;DEC?;:SOUR1:VOLT?;:OUTPUT1:STATE?") == "1;0.1;ON"
    assert ask(board, "GEN:RST;:OUTPUT1:STATE?;:DIG:PIN? LED1;:ANALOG:PIN? AOUT2") == "OFF;1;1.5"
    assert ask(board, "RP:RESET;:DIG:PIN? LED1;:ANALOG:PIN? AOUT2;:SYST:ERR?") == f"0;0;{NO_ERROR}"


def test_pins_time_and_date_are_there() -> None:
    board = RedPitayaFirmware()
    assert ask(board, "DIG:PIN:DIR OUT,DIO3_N", "DIG:PIN DIO3_N,1", "DIG:PIN? DIO3_N", "DIG:PIN:DIR? DIO3_N") == "1\r\nOUT"
    board.pins.slow_v["AIN2"] = 2.5
    assert ask(board, "ANALOG:PIN? AIN2") == "2.5"
    assert ask(board, "SYST:DATE 2026,5,17", "SYST:TIME 13,45,59", "SYST:DATE?", "SYST:TIME?") == "2026-05-17\r\n13:45:59"


def test_the_server_of_before_2_00_shouts_counts_wrong_and_knows_other_names() -> None:
    board = RedPitayaFirmware(os="1.04", noise=0.0)
    assert ask(board, "*IDN?") == "REDPITAYA,INSTR2020,0,01-02"
    assert board.feed(b"ACQ:TRIG:FILL?\r\n") == b"ERR!"
    assert board.feed(b"*IDN?;:FOO\r\n").startswith(b"ERR!REDPITAYA")
    ask(board, "ACQ:DATA:FORMAT BIN;:ACQ:DATA:UNITS RAW;:ACQ:START;TRIG NOW")
    assert board.feed(b"ACQ:SOUR1:DATA:STA:N? 0,3\r\n")[:4] == b"#212"  # three numbers of two bytes
    assert len(board.feed(b"ACQ:SOUR1:DATA:STA:N? 0,3\r\n")) == 4 + 6
    assert ask(board, "ACQ:SOUR1:DATA:START:N? 0,3", "SOUR1:TRIG:INT", "SYST:BRD:NAME?") == "ERR!" * 3
    assert ask(board, "*CLS", "OUTPUT1:STATE ON;:SOUR1:TRIG:IMM;:SYST:ERR?") == NO_ERROR


def test_a_script_as_in_the_examples_generates_and_acquires_over_a_socket() -> None:
    board = RedPitayaFirmware(seed=2)
    board.inputs = board.sampled  # a cable from OUT1 to IN1
    with connected(board) as board_side:
        for message in ("GEN:RST", "ACQ:RST", "SOUR1:FUNC SINE", "SOUR1:FREQ:FIX 200000", "SOUR1:VOLT 0.9", "SOUR1:BURS:STAT BURST",
                        "SOUR1:BURS:NCYC 3", "ACQ:DEC 1", "ACQ:TRIG:LEV 0", "ACQ:TRIG:DLY 0", "ACQ:START", "ACQ:TRIG AWG_PE",
                        "OUTPUT1:STATE ON", "SOUR1:TRIG:INT"):  # fmt: skip
            board_side.tx(message)
        for query, wanted in (("ACQ:TRIG:STAT?", "TD"), ("ACQ:TRIG:FILL?", "1")):
            answer = ""
            while answer != wanted:
                board_side.tx(query)
                answer = board_side.rx()
        board_side.tx("ACQ:SOUR1:DATA?")
        text = np.array(list(map(float, board_side.rx().strip("{}").split(","))))
        board_side.tx("ACQ:DATA:FORMAT BIN")
        board_side.tx("ACQ:SOUR1:DATA?")
        binary = np.frombuffer(board_side.rx_arb(), ">f4")
        board_side.tx("SYST:ERR:COUN?")
        assert board_side.rx() == "0"
    np.testing.assert_allclose(text, binary, atol=1e-6)
    assert len(text) == 16384
    burst = 0.9 * np.sin(2 * np.pi * 2e5 * (np.arange(1875) + 0.5) * CLOCK_S)  # three periods of 5 us
    np.testing.assert_allclose(text[8192 : 8192 + 1875], burst, atol=0.02)
    assert np.abs(text[8192 + 1880 :]).max() < 0.02


@pytest.fixture
def pymeasure_board() -> Iterator[tuple[Any, RedPitayaFirmware]]:
    """PyMeasure's own driver, unchanged, over a VISA socket."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pymeasure.instruments.redpitaya import RedPitayaScpi
    board = RedPitayaFirmware(seed=4)
    with serve_tcp(board, SimulatedClock()) as url:
        inst = RedPitayaScpi(f"TCPIP::127.0.0.1::{url.rpartition(':')[2]}::SOCKET", visa_library="@py", timeout=3000)
        yield inst, board
        assert inst.ask("SYST:ERR?").strip() == NO_ERROR
        inst.adapter.close()
        inst.adapter.manager.close()


def test_pymeasure_sets_and_gets_what_it_knows(pymeasure_board: tuple[Any, RedPitayaFirmware]) -> None:
    inst, board = pymeasure_board
    assert inst.id.startswith("REDPITAYA,INSTR2023")
    assert inst.board_name == "STEMlab 125-14 v1.0"
    inst.acquisition_reset()
    for value in (1, 256, 65536):
        inst.decimation = value
        assert inst.decimation == value
    inst.average_skipped_samples = False
    assert inst.average_skipped_samples is False
    inst.acq_units = "RAW"
    assert inst.acq_units == "RAW"
    inst.acq_trigger_delay_samples = -512
    assert inst.acq_trigger_delay_samples == -512
    inst.acq_trigger_level = 0.25
    assert inst.acq_trigger_level == 0.25
    inst.ain1.gain = "HV"
    assert (inst.ain1.gain, inst.ain2.gain) == ("HV", "LV")
    assert inst.buffer_length == 16384
    inst.led3.enabled = True
    inst.dioP2.direction_in = False
    inst.dioP2.enabled = True
    assert (inst.led3.enabled, inst.dioP2.direction_in, inst.dioP2.enabled, inst.dioN1.direction_in) == (True, False, True, True)
    inst.aoutslow1.voltage = 1.25
    assert inst.board_name == "STEMlab 125-14 v1.0"  # sets have no reply: what was asked after them is answered after them
    assert board.pins.slow_v["AOUT1"] == 1.25
    board.pins.slow_v["AIN3"] = 0.75
    assert inst.ainslow3.voltage == 0.75
    inst.digital_reset()
    inst.analog_reset()
    assert inst.led3.enabled is False


def test_pymeasure_acquires(pymeasure_board: tuple[Any, RedPitayaFirmware]) -> None:
    inst, board = pymeasure_board
    board.inputs = lambda t: np.stack([0.5 * np.sin(2 * np.pi * 1e5 * t), np.full(len(t), -0.25)], axis=1)
    inst.decimation = 8
    inst.acq_format = "ASCII"
    inst.acquisition_start()
    inst.acq_trigger_source = "NOW"
    assert inst.acq_trigger_status is True
    while not inst.acq_buffer_filled:
        pass
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first, second = inst.ain1.get_data(), inst.ain2.get_data(npts=1000)
    assert (len(first), len(second)) == (16384, 1000)
    assert np.abs(first[8192:]).max() == pytest.approx(0.5, abs=0.01)
    assert inst.acq_trigger_position < 16384
    inst.acquisition_stop()


WORDS = [
    "ACQ:START", "ACQ:TRIG ", "NOW", "CH1_PE", "AWG_PE", "EXT_NE", "ACQ:DEC ", "ACQ:TRIG:DLY ", "2147483647", "-9000", "64", "1e300",
    "\r\n", ";", ":", "ACQ:SOUR1:DATA:STA:N? ", "ACQ:SOUR2:DATA:OLD:N? ", "100", ",", "ACQ:TRIG:STAT?", "ACQ:WPOS?", "ACQ:TPOS?",
    "SOUR1:FREQ:FIX ", "0", "SOUR1:TRAC:DATA:DATA ", "OUTPUT1:STATE ON", "SOUR:TRIG:INT", "SOUR1:TRIG:INT", "SOUR1:BURS:STAT BURST",
    "SOUR1:FUNC ", "ARBITRARY", "SYST:TIME ", "SYST:DATE ", "9999999999999999999", "ACQ:DATA:FORMAT BIN", "ACQ:DATA:UNITS RAW",
    "DIG:PIN LED1,", "RP:DIG", "GEN:RST", "SOUR1:BURS:INT:PER ", "#", "0.5", "ACQ:SOUR1:DATA:TRIG? 5,PRE_TRIG", "ANALOG:PIN? ", "AIN1",
    "ACQ:DEC:F ", "SOUR1:BURS:NOR ",
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(WORDS) | st.text(max_size=6), max_size=40), st.sampled_from(["2.05", "1.04"]))
def test_random_commands_never_break_it_nor_drive_it_beyond_its_range(stream: list[str], os: str) -> None:
    board = RedPitayaFirmware(os=os)
    for text in stream:
        reply = board.feed(text.encode("utf-8"))
        board.wire_s(len(text), len(reply))
        board.external_trigger()
        assert np.abs(board.volts_v).max() <= 1
    assert board.feed(b"\r\n*CLS\r\nSYST:ERR?\r\n").endswith(NO_ERROR.encode() + b"\r\n")


def test_a_stream_without_an_end_is_dropped() -> None:
    board = RedPitayaFirmware()
    for _ in range(70):
        board.feed(b"A" * 65536)
    assert ask(board, "", "SYST:ERR?").startswith('-363,"Input buffer overrun"')
