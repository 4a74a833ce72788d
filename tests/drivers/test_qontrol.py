"""The Qontrol driver against its emulator (in process, pty, TCP), the official client against the same emulator, and broken wires."""

from __future__ import annotations

import contextlib
import math
import re
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.insist import TRIES
from drivers.qontrol import Qontrol, QontrolOptions
from drivers.qontrol_ascii import blocks
from labonn.clock import SimulatedClock
from labonn.devices import Actuator, GainSections
from labonn.errors import (
    BenchFileError,
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
from sim_backends.firmware.qontrol import QontrolFirmware
from sim_backends.served import serve_pty, serve_tcp
from sim_backends.simlinks import SimulatedLink

STEP_A = 24e-3 / 65535


class Disturbed:
    """A link that fails on chosen requests: an exception to raise, or bytes to answer instead."""

    def __init__(self, link: SimulatedLink, *faults: tuple[str, Exception | bytes]) -> None:
        self.link, self.faults, self.asked = link, list(faults), list[str]()
        self.exchanges, self.unasked = 0, link.unasked

    def exchange(self, request: bytes, lines: int = 1) -> bytes:
        self.asked.append(request.decode())
        if self.faults and re.match(self.faults[0][0], request.decode()):
            fault = self.faults.pop(0)[1]
            if isinstance(fault, Exception):
                raise fault
            return fault
        return self.link.exchange(request, lines)

    def close(self) -> None:
        self.link.close()


class Answers:
    """A link that gives the same answers whatever is asked."""

    def __init__(self, answers: list[bytes]) -> None:
        self.answers, self.exchanges = answers, 0

    def exchange(self, request: bytes, lines: int = 1) -> bytes:
        self.exchanges += 1
        return self.answers[self.exchanges % len(self.answers)]

    def close(self) -> None: ...


def opened(firmware: QontrolFirmware, *faults: tuple[str, Exception | bytes], **options: Any) -> tuple[Qontrol, Disturbed]:
    link = Disturbed(SimulatedLink(firmware, SimulatedClock(), **Qontrol.link_options))
    source = Qontrol(link, QontrolOptions(**options), "gain")
    link.faults += faults
    return source, link


def ready(firmware: QontrolFirmware, **options: Any) -> tuple[Qontrol, Disturbed]:
    source, link = opened(firmware, **options)
    source.prepare(source.spec)
    link.asked.clear()
    return source, link


def hold(source: Qontrol, row: Any) -> None:
    source.load(np.array([row], float), np.zeros(3, int), 1e-6)
    source.arm()


@contextlib.contextmanager
def served(way: str, firmware: QontrolFirmware, clock: SimulatedClock) -> Iterator[Any]:
    if way == "in process":
        yield SimulatedLink(firmware, clock, **Qontrol.link_options)
        return
    serve, options = serve_tcp if way == "tcp" else serve_pty, Qontrol.link_options | {"quiet_s": 0.02}
    with serve(firmware, clock) as url, contextlib.closing(connect(url, **options)) as link:
        yield link


def test_opening_identifies_and_changes_nothing() -> None:
    firmware = QontrolFirmware(modules=2, serial=0x2A)
    firmware.feed(b"V3=2\nVMAX3=5\n")
    source, link = opened(firmware)
    assert source.identity == "Q8iv-002A,Q8iv-002B"
    assert len(source.spec) == 16
    assert (source.spec.unit, source.spec.depth, source.spec.upper[0], source.spec.lower[0]) == ("A", 1, 24e-3, 0)
    assert source.spec.step[0] == pytest.approx(STEP_A)
    assert not any("=" in request for request in link.asked if request != "nup=0")
    assert firmware.feed(b"VMAX3?\n") == b"+5.000000 V\n".replace(b"5.000000", f"{round(5 / 12 * 65535) * 12 / 65535:.6f}".encode())
    assert isinstance(source, Actuator)
    assert isinstance(source, GainSections)


@pytest.mark.parametrize("way", ["in process", "tcp", "pty"])
def test_currents_flow_as_set_over_every_link(way: str) -> None:
    firmware = QontrolFirmware(modules=3)
    with served(way, firmware, SimulatedClock()) as link:
        source = Qontrol(link, QontrolOptions(), "gain")
        source.prepare(source.spec)
        row = np.linspace(0, 24e-3, 24)
        hold(source, row)
        np.testing.assert_allclose(firmware.currents_a, row, atol=STEP_A)
        source.safe()
        assert not firmware.currents_a.any()


@pytest.mark.parametrize("way", ["tcp", "pty"])
def test_a_served_run_is_bit_identical_to_one_in_process(way: str) -> None:
    ends = []
    for kind in ("in process", way):
        clock, firmware = SimulatedClock(), QontrolFirmware(modules=2, noise=1e-4, seed=3)
        with served(kind, firmware, clock) as link:
            source = Qontrol(link, QontrolOptions(), "gain")
            source.prepare(source.spec)
            for i in range(10):
                hold(source, np.full(16, i * 1e-3))
            ends.append((clock.now(), firmware.currents_a.tobytes(), firmware.feed(b"Vall?\n"), link.exchanges))
    assert ends[0] == ends[1]


def test_a_row_costs_one_exchange_a_module_and_one_to_read_back() -> None:
    source, link = ready(QontrolFirmware(modules=2))
    hold(source, np.full(16, 1e-3))
    assert [request.partition("=")[0] for request in link.asked] == ["IVEC0", "IVEC8", "Iall?"]


def test_a_port_may_use_part_of_the_chain() -> None:
    firmware = QontrolFirmware(modules=3)
    source, link = ready(firmware, first=6, channels=11)
    hold(source, np.arange(1, 12) * 1e-3)
    (request,) = link.asked
    commands, queries = request.split("\n")[:3], request.split("\n")[3:]
    assert commands == ["IVEC6=1.000000,2.000000", "IVEC8=" + ",".join(f"{i}.000000" for i in range(3, 11)), "I16=11.000000"]
    assert queries == [f"I{channel}?" for channel in range(6, 17)]
    np.testing.assert_allclose(firmware.currents_a[6:17], np.arange(1, 12) * 1e-3, atol=STEP_A)
    assert not firmware.currents_a[[*range(6), *range(17, 24)]].any()
    assert source.spec.names[0] == "ch6"


@given(st.integers(0, 40), st.integers(1, 40), st.lists(st.integers(1, 9), min_size=1, max_size=9))
def test_blocks_cover_the_channels_once_and_no_module_border(first: int, count: int, modules: list[int]) -> None:
    covered = [c for a, b in blocks(first, count, modules) for c in range(a, b)]
    assert covered == [c for c in range(first, first + count) if c < sum(modules)]
    owner = np.repeat(np.arange(len(modules)), modules)
    assert all(len(set(owner[a:b].tolist())) == 1 for a, b in blocks(first, count, modules))


def test_voltage_mode_sets_volts() -> None:
    firmware = QontrolFirmware(loads_ohm=1000)
    source, _ = ready(firmware, mode="voltage", compliance_a=10e-3)
    assert (source.spec.unit, source.spec.upper[0], source.compliance_v) == ("V", 12.0, 12.0)
    hold(source, np.linspace(0, 9, 8))
    np.testing.assert_allclose(firmware.voltages_v, np.linspace(0, 9, 8), atol=12 / 65535)
    with pytest.raises(UnknownStateError, match=r"gain/ch7: the output was set to 12 V and reads back 9\.9999\d V.*compliance of 10 mA"):
        hold(source, [0, 0, 0, 0, 0, 0, 0, 12])


def test_prepare_writes_the_tightened_limits_into_the_instrument() -> None:
    firmware = QontrolFirmware()
    source, _ = opened(firmware, compliance_v=4.0)
    firmware.feed(b"I2=20\n")
    source.prepare(source.spec.tighten(None, 10e-3, "bench.toml"))
    assert not firmware.currents_a.any()
    assert firmware.feed(b"I5=10\n") == b"OK\n"
    assert firmware.feed(b"I5=10.001\n") == b"E02:05\n"
    assert firmware.feed(b"V5=4.001\n") == b"E01:05\n"
    assert source.compliance_v == 4.0


def test_both_ends_of_the_limits_are_allowed_and_nothing_beyond() -> None:
    source, link = ready(QontrolFirmware())
    hold(source, np.full(8, 24e-3 * 0.9999))
    hold(source, np.zeros(8))
    tight = source.spec.tighten(None, 10e-3, "bench.toml")
    source.prepare(tight)
    hold(source, np.full(8, 10e-3))
    link.asked.clear()
    for bad in (-1e-9, 10.001e-3, math.nan, math.inf):
        with pytest.raises(LimitError, match="gain/ch3"):
            source.load(np.array([[0, 0, 0, bad, 0, 0, 0, 0]]), np.zeros(1, int), 1e-6)
    assert not link.asked


def test_a_refused_set_raises_with_the_instruments_words() -> None:
    firmware = QontrolFirmware()
    source, _ = ready(firmware)
    firmware.feed(b"IMAX6=5\n")
    with pytest.raises(RefusedError, match=r"gain/ch6: b'IVEC0=9.000000.*' was refused: E02:06 \(over-current\)"):
        hold(source, np.full(8, 9e-3))


def test_compliance_and_open_loads_are_found_by_reading_back() -> None:
    firmware = QontrolFirmware()
    source, _ = ready(firmware)
    firmware.loads_ohm[2] = 1e4
    with pytest.raises(UnknownStateError, match=r"gain/ch2: the output was set to 5 mA and reads back 1\.2 mA, more than 120 uA away"):
        hold(source, np.full(8, 5e-3))
    firmware.loads_ohm[:] = 200
    firmware.loads_ohm[7] = math.inf
    with pytest.raises(UnknownStateError, match=r"gain/ch7: the output was set to 5 mA and reads back 0 A.*the load open"):
        hold(source, np.full(8, 5e-3))


def test_noise_within_the_tolerance_is_no_error() -> None:
    source, _ = ready(QontrolFirmware(noise=5e-4, seed=1))
    for _ in range(20):
        hold(source, np.full(8, 5e-3))


def test_a_table_of_two_rows_is_refused_and_an_old_bank_can_be_played_again() -> None:
    firmware = QontrolFirmware()
    source, _ = ready(firmware)
    bank = np.array([[1e-3] * 8, [2e-3] * 8])
    with pytest.raises(TableError, match="no bank was loaded"):
        source.load(None, np.zeros(1, int), 1e-6)
    with pytest.raises(TableError, match="cannot be sequenced"):
        source.load(bank, np.array([0, 1]), 1e-6)
    with pytest.raises(TableError, match="7 values; the port has 8 channels"):
        source.load(np.zeros((1, 7)), np.zeros(1, int), 1e-6)
    source.load(bank, np.array([1, 1, 1]), 1e-6)
    source.load(None, np.array([0]), 1e-6)
    source.arm()
    np.testing.assert_allclose(firmware.currents_a, 1e-3, atol=STEP_A)


def test_arming_without_a_row_is_an_error() -> None:
    source, _ = ready(QontrolFirmware())
    with pytest.raises(TableError, match="nothing is loaded"):
        source.arm()


def test_output_off_is_zero_and_on_is_the_loaded_row() -> None:
    firmware = QontrolFirmware()
    source, _ = ready(firmware)
    hold(source, np.full(8, 3e-3))
    source.output(False)
    assert not firmware.currents_a.any()
    source.output(True)
    np.testing.assert_allclose(firmware.currents_a, 3e-3, atol=STEP_A)


@pytest.mark.parametrize(
    "faults",
    [
        [],
        [("safe", LinkTimeoutError("lost"))],
        [("safe", DesyncError("late")), ("safe", LinkTimeoutError("lost")), ("safe", LinkTimeoutError("lost"))],
        [("safe", b"E10:00"), ("IVEC", LinkTimeoutError("lost")), ("Iall", DesyncError("late"))],
        [("IVEC0", b"E05:00")],
    ],
)
def test_safe_gets_through_passing_trouble(faults: list[tuple[str, Exception | bytes]]) -> None:
    firmware = QontrolFirmware(modules=2)
    source, link = ready(firmware)
    hold(source, np.full(16, 5e-3))
    link.faults += faults
    source.safe()
    assert not firmware.currents_a.any()
    assert not link.faults


def test_what_is_not_safe_is_not_said_to_be() -> None:
    firmware = QontrolFirmware()
    source, link = ready(firmware)
    hold(source, np.full(8, 5e-3))
    link.faults += [*[("safe", b"E10:00")] * TRIES, *[("IVEC0", b"E05:00")] * TRIES]
    with pytest.raises(UnknownStateError, match=r"gain/ch0: the output was set to 0 A and reads back 4\.9999\d mA"):
        source.safe()
    assert firmware.currents_a.all()


def test_safe_on_a_dead_link_says_so_and_does_not_hang() -> None:
    source, link = ready(QontrolFirmware())
    hold(source, np.full(8, 5e-3))
    link.close()
    with pytest.raises(LinkClosedError):
        source.safe()
    assert len(link.asked) < 10


def test_a_power_up_before_the_start_is_forgotten_and_one_in_a_run_is_told() -> None:
    firmware = QontrolFirmware()
    firmware.power_cycle()
    source, _ = ready(firmware)
    hold(source, np.full(8, 1e-3))
    firmware.power_cycle()
    with pytest.raises(UnknownStateError, match=r"Q8iv-0001 powered up by itself \(E90\): its limits are lost"):
        source.arm()
    source.safe()
    source.prepare(source.spec)
    source.arm()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"channels": 9}, r"channels = 9: Q8iv-0001 has channels 0 to 7"),
        ({"first": 8}, "first = 8"),
        ({"compliance_v": 12.5}, r"compliance_v = 12.5 V is outside 0 to 12 V"),
        ({"compliance_v": 0.0}, "zero would allow nothing"),
        ({"mode": "voltage", "compliance_a": 0.03}, r"compliance_a = 30 mA is outside 0 to 24 mA"),
    ],
)
def test_options_that_do_not_fit_the_instrument_are_explained(options: dict[str, Any], words: str) -> None:
    with pytest.raises(BenchFileError, match=words):
        opened(QontrolFirmware(), **options)


@pytest.mark.parametrize("wrong", [{"mode": "power"}, {"channels": -1}, {"tolerance": 0}, {"settle_s": math.nan}])
def test_options_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        QontrolOptions(**wrong)


@pytest.mark.parametrize(
    ("answers", "error", "words"),
    [
        ({"id": b"KEITHLEY INSTRUMENTS"}, IdentityError, "answers 'KEITHLEY INSTRUMENTS' to 'id\\?'"),
        ({"id": b"E10:00"}, RefusedError, r"E10:00 \(unrecognised command\)"),
        ({"nupall": b"Q8iv-0001:0\nQ8b-0002:1"}, IdentityError, "modules of different types"),
        ({"nupall": b"Q8iv-0001:0\nQ8iv-0002:2"}, DesyncError, "no list of modules"),
        ({"nupall": b"\xff\xfe"}, DesyncError, "not text"),
        ({"vfull": b"12"}, DesyncError, "'12' is not a value in V"),
        ({"ifull": b"+0.000 mA"}, DesyncError, "a full scale of 0 mA"),
    ],
)
def test_another_instrument_or_a_garbled_opening_is_a_typed_error(answers: dict[str, bytes], error: type[LabonnError], words: str) -> None:
    link = Disturbed(SimulatedLink(QontrolFirmware(), SimulatedClock(), **Qontrol.link_options), *answers.items())
    with pytest.raises(error, match=words):
        Qontrol(link, QontrolOptions(), "gain")


@pytest.mark.parametrize("garbage", [b"", b"ok", b"OK\nOK", b"\x00\xff", b"E2:", b"+1.0 V", b"E999:1"])
def test_garbage_in_reply_to_a_set_is_a_typed_error(garbage: bytes) -> None:
    source, link = ready(QontrolFirmware())
    link.faults.append(("IVEC", garbage))
    with pytest.raises((DesyncError, RefusedError)):
        hold(source, np.full(8, 1e-3))


REPLIES = [b"OK", b"Q8iv-0001", b"Q8iv-0001:0", b"Q99x-1:0", b"+12.000 V", b"+24.000 mA", b"E02:3", b"+1.0 mA\n" * 7 + b"+1.0 mA", b""]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=20) | st.sampled_from(REPLIES), min_size=1, max_size=12))
def test_whatever_the_wire_says_only_typed_errors_come_out(answers: list[bytes]) -> None:
    try:
        source = Qontrol(Answers(answers), QontrolOptions(), "gain")
    except LabonnError:
        return
    for action in (lambda: source.prepare(source.spec), lambda: hold(source, np.zeros(len(source.spec))), source.safe):
        with contextlib.suppress(LabonnError):
            action()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=20) | st.sampled_from(REPLIES), min_size=1, max_size=6), st.integers(0, 8))
def test_a_wire_that_goes_mad_in_a_run_gives_typed_errors_only(answers: list[bytes], sane: int) -> None:
    source, link = ready(QontrolFirmware())
    link.faults += [("I" if i else ".*", answer) for i, answer in enumerate(answers)]
    for _ in range(3):
        with contextlib.suppress(LabonnError):
            hold(source, np.full(8, sane * 1e-3))
    with contextlib.suppress(LabonnError):
        source.safe()


def test_the_official_client_sets_reads_and_is_refused_over_a_serial_port() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its source has invalid escape sequences
        import qontrol
    firmware = QontrolFirmware(modules=2, loads_ohm=400)
    with serve_pty(firmware, SimulatedClock()) as url:
        client = qontrol.QXOutput(serial_port_name=url.removeprefix("serial://"), response_timeout=0.1)
        try:
            assert (client.n_chs, client.v_full, client.i_full) == (16, 12.0, 24.0)
            client.v[3] = 2.5
            client.i[9] = 10.0
            assert client.v[3] == pytest.approx(2.5, abs=12 / 65535)
            assert client.i[9] == pytest.approx(10.0, abs=24 / 65535)
            np.testing.assert_allclose(firmware.voltages_v[[3, 9]], [2.5, 4.0], atol=1e-3)
            client.vmax[3] = 3.0
            client.v[3] = 5.0  # refused; the client says nothing, but logs it
            assert [entry["raw"] for entry in client.log if entry["type"] == "err"] == ["E01:03"]
            assert firmware.voltages_v[3] == pytest.approx(2.5, abs=1e-3)
            client.set_all_values("I", [float(i) / 2 for i in range(16)])
            np.testing.assert_allclose(firmware.currents_a, np.arange(16) / 2e3, atol=1e-6)
            np.testing.assert_allclose(client.get_all_values("I"), np.arange(16) / 2, atol=1e-3)
            client.binary_mode = True
            client.v[4] = 2.5
            assert firmware.voltages_v[4] == 0x3555 / 0xFFFF * 12
            assert client.v[4] == pytest.approx(2.5, abs=1e-3)
            np.testing.assert_allclose(client.get_all_values("V"), firmware.voltages_v, atol=1e-6)
        finally:
            client.close()
