"""The Meerstetter driver against its emulator (in process, pty, TCP), published frames, and broken wires."""

from __future__ import annotations

import binascii
import contextlib
import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from disturbed import Disturbed, served
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import mecom
from drivers.insist import TRIES
from drivers.meerstetter import Meerstetter, MeerstetterOptions
from labonn.clock import SimulatedClock
from labonn.devices import Actuator, Heaters
from labonn.errors import (
    DesyncError,
    LabonnError,
    LimitError,
    LinkClosedError,
    LinkTimeoutError,
    RefusedError,
    TableError,
    UnknownStateError,
)
from sim_backends.firmware.meerstetter import MeerstetterFirmware
from sim_backends.simlinks import SimulatedLink


def opened(firmware: MeerstetterFirmware, **options: Any) -> tuple[Meerstetter, Disturbed]:
    link = Disturbed(SimulatedLink(firmware, SimulatedClock(), **Meerstetter.link_options))
    return Meerstetter(link, MeerstetterOptions(instances=firmware.instances, **options), "ovens"), link


def hold(tec: Meerstetter, row: list[float]) -> None:
    tec.load(np.array([row]), np.zeros(2, int), 1e-6)
    tec.arm()


def test_frames_are_those_published_for_the_protocol() -> None:
    assert mecom.frame(0, 0x15AA, b"?IF") == b"#0015AA?IF62AE"
    assert mecom.frame(0, 0x15AB, mecom.get(1000, 1)) == b"#0015AB?VR03E801C21A"
    assert mecom.frame(0, 0x15AE, mecom.put(2010, 1, 2)) == b"#0015AEVS07DA01000000028F97"
    assert mecom.frame(0, 0x15B0, mecom.put(3000, 1, 21.75)) == b"#0015B0VS0BB80141AE0000C482"


@given(st.binary(max_size=40))
def test_the_checksum_is_crc_ccitt_bit_by_bit(data: bytes) -> None:
    crc = 0
    for byte in data:
        for bit in range(8):
            feedback = (crc >> 15) ^ (byte >> (7 - bit) & 1)
            crc = (crc << 1 & 0xFFFF) ^ (0x1021 * feedback)
    assert mecom.checksum(data) == b"%04X" % crc


@given(st.floats(width=32, allow_nan=False), st.integers(-(2**31), 2**31 - 1))
def test_values_survive_the_wire(value: float, number: int) -> None:
    assert mecom.floats("x", mecom.put(1, 1, value)[-8:]) == [value]
    assert mecom.integer("x", mecom.put(1, 1, number)[-8:]) == number


def test_opening_identifies_and_changes_nothing() -> None:
    firmware = MeerstetterFirmware(instances=2, serial=4711)
    tec, link = opened(firmware)
    assert tec.identity == "1161-TEC SW v6.31 4711"
    assert (tec.spec.unit, tec.spec.depth, list(tec.spec.lower), list(tec.spec.upper)) == ("degC", 1, [-40, -40], [150, 150])
    assert tec.spec.settle_s[0] == 1800
    assert not any(request[7:9] == b"VS" for request in link.asked)
    assert isinstance(tec, Actuator)
    assert isinstance(tec, Heaters)


@pytest.mark.parametrize("way", ["in process", "tcp", "pty"])
def test_targets_are_set_and_loops_enabled_over_every_link(way: str) -> None:
    firmware = MeerstetterFirmware(instances=2)
    with served(way, firmware, SimulatedClock(), Meerstetter.link_options) as link:
        tec = Meerstetter(link, MeerstetterOptions(instances=2), "ovens")
        tec.prepare(tec.spec.tighten(20.0, 90.0, "bench.toml"))
        assert not firmware.enabled.any()
        hold(tec, [60.25, 80.1])
        np.testing.assert_array_equal(firmware.targets_c, np.float32([60.25, 80.1]))
        assert firmware.enabled.all()
        firmware.plant = lambda: np.array([60.0, 79.5])
        np.testing.assert_array_equal(tec.temperature(), [60.0, 79.5])
        tec.safe()
        assert not firmware.enabled.any()


@pytest.mark.parametrize("way", ["tcp", "pty"])
def test_a_served_run_is_bit_identical_to_one_in_process(way: str) -> None:
    ends = []
    for kind in ("in process", way):
        clock, firmware = SimulatedClock(), MeerstetterFirmware(instances=2)
        with served(kind, firmware, clock, Meerstetter.link_options) as link:
            tec = Meerstetter(link, MeerstetterOptions(instances=2), "ovens")
            for i in range(5):
                hold(tec, [50.0 + i / 3, 60.0])
            ends.append((clock.now(), firmware.targets_c.tobytes(), link.exchanges))
    assert ends[0] == ends[1]


def test_both_ends_of_the_limits_are_allowed_and_nothing_beyond() -> None:
    firmware = MeerstetterFirmware()
    tec, link = opened(firmware)
    for edge in (-40.0, 150.0):
        hold(tec, [edge])
        assert firmware.targets_c[0] == edge
    link.asked.clear()
    for bad in (-40.1, 150.1, math.nan, math.inf):
        with pytest.raises(LimitError, match="ovens/loop1"):
            tec.load(np.array([[bad]]), np.zeros(1, int), 1e-6)
    assert not link.asked


def test_the_controller_switches_off_by_itself_above_the_ports_limit_and_arming_tells_it() -> None:
    firmware = MeerstetterFirmware(instances=2)
    tec, _ = opened(firmware, margin_c=3.0)
    tec.prepare(tec.spec.tighten(50.0, [70.0, 90.0], "bench.toml"))
    hold(tec, [70.0, 90.0])  # from room temperature, far below the lower limit
    firmware.plant = lambda: np.array([72.9, 93.1])
    with pytest.raises(UnknownStateError, match=r"ovens/loop2: .* is in its error state \(error 1, parameter 4011\)"):
        tec.arm()
    assert not firmware.enabled.any()
    tec.safe()


def test_a_refused_target_raises_with_the_controllers_words() -> None:
    tec, link = opened(MeerstetterFirmware())
    tec.load(np.array([[60.0]]), np.zeros(1, int), 1e-6)
    refusal = lambda reply: reply[:7] + b"+07" + mecom.checksum(reply[:7] + b"+07")  # noqa: E731
    link.faults.append(refusal)
    with pytest.raises(RefusedError, match=r"ovens/loop1: VS0BB80142700000 was refused: \+07 \(value is out of range\)"):
        tec.arm()


def test_an_instance_that_does_not_exist_is_refused() -> None:
    link = SimulatedLink(MeerstetterFirmware(instances=1), SimulatedClock(), **Meerstetter.link_options)
    with pytest.raises(RefusedError, match=r"ovens/loop2: \?VL0BB802 was refused: \+08 \(instance is not available\)"):
        Meerstetter(link, MeerstetterOptions(instances=2), "ovens")


def test_another_address_is_silence() -> None:
    link = SimulatedLink(MeerstetterFirmware(address=3), SimulatedClock(), **Meerstetter.link_options)
    with pytest.raises(LinkTimeoutError):
        Meerstetter(link, MeerstetterOptions(address=2), "ovens")
    link = SimulatedLink(MeerstetterFirmware(address=3), SimulatedClock(), **Meerstetter.link_options)
    assert Meerstetter(link, MeerstetterOptions(address=0), "ovens").identity


def flipped(reply: bytes) -> bytes:
    return reply[:9] + bytes([reply[9] ^ 1]) + reply[10:]


@pytest.mark.parametrize(
    "fault",
    [
        flipped,
        lambda reply: reply[:-1],
        lambda reply: reply + b"0",
        lambda reply: b"",
        lambda reply: b"!",
        lambda reply: b"\xff" * 19,
        lambda reply: b"#" + reply[1:],
        lambda reply: b"!03" + reply[3:7] + b"00000000" + mecom.checksum(b"!03" + reply[3:7] + b"00000000"),
        lambda reply: b"!020001" + b"00000000" + mecom.checksum(b"!02000100000000"),  # intact, but of an earlier question
        lambda reply: reply[:7] + mecom.checksum(reply[:7]),
        lambda reply: reply[:7] + b"0000" + mecom.checksum(reply[:7] + b"0000"),
        lambda reply: reply[:7] + b"GGGGGGGG" + mecom.checksum(reply[:7] + b"GGGGGGGG"),
    ],
)
def test_a_late_foreign_or_broken_answer_is_never_taken(fault: Callable[[bytes], bytes]) -> None:
    tec, link = opened(MeerstetterFirmware())
    link.faults.append(fault)
    with pytest.raises(DesyncError):
        tec.temperature()
    np.testing.assert_array_equal(tec.temperature(), [25.0])


def test_an_acknowledge_with_another_querys_checksum_is_not_accepted() -> None:
    tec, link = opened(MeerstetterFirmware())
    tec.load(np.array([[60.0]]), np.zeros(1, int), 1e-6)
    link.faults.append(lambda reply: reply[:7] + b"%04X" % (binascii.crc_hqx(b"other", 0)))
    with pytest.raises(DesyncError):
        tec.arm()


def test_a_register_that_holds_something_else_is_told() -> None:
    firmware = MeerstetterFirmware()
    tec, link = opened(firmware)
    tec.load(np.array([[60.0]]), np.zeros(1, int), 1e-6)

    def forgets(reply: bytes) -> bytes:
        firmware.targets_c[:] = 25
        return reply

    link.faults.append(forgets)
    with pytest.raises(UnknownStateError, match="parameter 3000 was set to 60 and reads back 25"):
        tec.arm()


def test_a_sensor_without_a_number_is_told() -> None:
    firmware = MeerstetterFirmware(instances=2)
    tec, _ = opened(firmware)
    firmware.plant = lambda: np.array([25.0, math.nan])
    with pytest.raises(UnknownStateError, match="ovens/loop2: the object temperature reads nan"):
        tec.temperature()


def test_reached_compares_with_the_tolerance() -> None:
    firmware = MeerstetterFirmware()
    tec, _ = opened(firmware, tolerance_c=0.5)
    with pytest.raises(TableError, match="nothing is loaded"):
        tec.reached()
    hold(tec, [60.0])
    assert not tec.reached()
    firmware.plant = lambda: np.array([59.5])
    assert tec.reached()


def test_safe_gets_through_passing_trouble_and_switches_off_what_it_can() -> None:
    firmware = MeerstetterFirmware(instances=3)
    tec, link = opened(firmware)
    hold(tec, [60.0, 60.0, 60.0])
    link.faults = [LinkTimeoutError("lost"), None, flipped, None, None, DesyncError("late")]
    tec.safe()
    assert not firmware.enabled.any()
    firmware.enabled[:] = True
    link.faults = [LinkTimeoutError("lost")] * TRIES
    with pytest.raises(LinkTimeoutError):
        tec.safe()
    np.testing.assert_array_equal(firmware.enabled, [True, False, False])


def test_safe_on_a_dead_link_says_so() -> None:
    tec, link = opened(MeerstetterFirmware(instances=2))
    link.close()
    with pytest.raises(LinkClosedError):
        tec.safe()


def test_tables_that_do_not_fit_are_refused() -> None:
    tec, _ = opened(MeerstetterFirmware(instances=2))
    with pytest.raises(TableError, match="no bank was loaded"):
        tec.load(None, np.zeros(1, int), 1e-6)
    with pytest.raises(TableError, match="cannot be sequenced"):
        tec.load(np.full((2, 2), 30.0), np.array([0, 1]), 1e-6)
    with pytest.raises(TableError, match="3 values; the port has 2 channels"):
        tec.load(np.full((1, 3), 30.0), np.zeros(1, int), 1e-6)
    with pytest.raises(TableError, match="nothing is loaded"):
        tec.arm()


@pytest.mark.parametrize("wrong", [{"instances": 0}, {"address": 255}, {"tolerance_c": -1.0}, {"settle_s": math.inf}])
def test_options_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        MeerstetterOptions(**wrong)


class Answers:
    """A link that answers every query with a payload of its choice, correctly framed or raw."""

    def __init__(self, answers: list[tuple[bool, bytes]]) -> None:
        self.answers, self.exchanges = answers, 0

    def exchange(self, request: bytes, lines: int = 1) -> bytes:
        self.exchanges += 1
        framed, payload = self.answers[self.exchanges % len(self.answers)]
        head = b"!" + request[1:7] + payload
        return head + mecom.checksum(head) if framed else payload

    def close(self) -> None: ...


PAYLOADS = [b"", b"+07", b"+", b"+zz", b"00000000", b"7FC00000", b"00C220000043160000", b"1161-TEC SW v6.31   ", b"0" * 18]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=24) | st.sampled_from(PAYLOADS)), min_size=1, max_size=8))
def test_whatever_the_wire_says_only_typed_errors_come_out(answers: list[tuple[bool, bytes]]) -> None:
    ranges = b"00" + struct.pack(">ff", -40, 150).hex().upper().encode()
    link = Answers([(True, ranges), (True, b"1161"), (True, b"00000001")])
    tec = Meerstetter(link, MeerstetterOptions(), "ovens")
    link.answers = answers
    for action in (lambda: tec.prepare(tec.spec), lambda: hold(tec, [60.0]), tec.temperature, tec.reached, tec.safe):
        with contextlib.suppress(LabonnError):
            action()
    with contextlib.suppress(LabonnError):
        Meerstetter(Answers(answers), MeerstetterOptions(), "ovens")
