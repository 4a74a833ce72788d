"""The emulated Meerstetter controller against frames published with other implementations, and an independent CRC."""

import binascii
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim_backends.firmware.meerstetter import MeerstetterFirmware, crc16

# Complete frames from public MeCom implementations' own tests (address 0).
PUBLISHED = [
    b"#0015AA?IF62AE",
    b"#0015AB?VR0064018000",
    b"#0015AC?VR0066018125",
    b"#0015AEVS07DA01000000028F97",
    b"#0015AB?VR03E801C21A",
    b"#0015B0VS0BB80141AE0000C482",
    b"#0015AC?VR04D2017BFE",
]


def ask(tec: MeerstetterFirmware, payload: str, address: int = 2) -> str:
    head = f"#{address:02X}0007{payload}".encode()
    reply = tec.feed(head + b"%04X\r" % binascii.crc_hqx(head, 0))
    assert reply.endswith(b"\r")
    assert reply.startswith(b"!%02X0007" % address)
    if len(reply) > 12:
        assert reply[-5:-1] == b"%04X" % binascii.crc_hqx(reply[:-5], 0)
        return reply[7:-5].decode()
    assert reply[-5:-1] == b"%04X" % binascii.crc_hqx(head, 0)
    return "acknowledged"


def single(value: float) -> str:
    return struct.pack(">f", value).hex().upper()


@pytest.mark.parametrize("frame", PUBLISHED)
def test_the_checksum_is_that_of_published_frames(frame: bytes) -> None:
    assert b"%04X" % crc16(frame[:-4]) == frame[-4:]


@given(st.binary(max_size=64))
def test_the_checksum_is_the_standard_librarys(data: bytes) -> None:
    assert crc16(data) == binascii.crc_hqx(data, 0)


def test_published_frames_are_understood() -> None:
    tec = MeerstetterFirmware()
    assert len(tec.feed(PUBLISHED[0] + b"\r")) == 1 + 6 + 20 + 4 + 1
    assert tec.feed(PUBLISHED[4] + b"\r")[7:15] == single(25.0).encode()
    assert tec.feed(PUBLISHED[5] + b"\r") == b"!0015B0C482\r"  # an acknowledge carries the CRC of the query
    assert tec.targets_c[0] == 21.75


def test_targets_and_enables_are_registers_of_each_instance() -> None:
    tec = MeerstetterFirmware(instances=2)
    assert ask(tec, "VS0BB802" + single(60)) == "acknowledged"
    assert ask(tec, "VS07DA0200000001") == "acknowledged"
    np.testing.assert_array_equal(tec.targets_c, [25, 60])
    np.testing.assert_array_equal(tec.enabled, [False, True])
    assert ask(tec, "?VR0BB802") == ask(tec, "?VR03F202") == single(60)
    assert ask(tec, "?VR006801") == "00000002"
    assert ask(tec, "VS07DA0200000000") == "acknowledged"
    assert ask(tec, "?VR006801") == "00000001"


@pytest.mark.parametrize(
    ("payload", "answer"),
    [
        ("VS0BB801" + single(150), "acknowledged"),
        ("VS0BB801" + single(150.1), "+07"),
        ("VS0BB801" + single(-40), "acknowledged"),
        ("VS0BB801" + single(-40.1), "+07"),
        ("VS0BB8017FC00000", "+07"),
        ("VS07DA0100000004", "+07"),
        ("VS03E80100000000", "+06"),
        ("?VR270F01", "+05"),
        ("?VR03E803", "+08"),
        ("?VR03E800", "+08"),
        ("?VR006802", "+08"),
        ("?VR03E8", "+04"),
        ("?VRxxxxxx", "+04"),
        ("VS0BB80112", "+04"),
        ("?XX", "+01"),
        ("?VL0BB801", "00" + single(-40) + single(150)),
    ],
)
def test_it_is_as_strict_as_the_machine(payload: str, answer: str) -> None:
    assert ask(MeerstetterFirmware(instances=2), payload) == answer


def test_a_wrong_checksum_or_another_address_is_not_answered() -> None:
    tec = MeerstetterFirmware(address=2)
    assert tec.feed(b"#0015AB?VR03E801C21B\r") == b""
    head = b"#030001?IF"
    assert tec.feed(head + b"%04X\r" % crc16(head)) == b""
    assert tec.feed(b"#\r#0\rgarbage\r") == b""
    assert ask(tec, "?VR03E801") == ask(tec, "?VR03E801", address=0)


def test_the_plant_tells_the_temperatures() -> None:
    tec = MeerstetterFirmware(instances=2)
    tec.plant = lambda: np.array([61.5, 80.25])
    assert [ask(tec, f"?VR03E80{i}") for i in (1, 2)] == [single(61.5), single(80.25)]


def test_an_enabled_loop_above_its_threshold_switches_everything_off_until_a_reset() -> None:
    tec = MeerstetterFirmware(instances=2)
    ask(tec, "VS0FAB02" + single(70))
    ask(tec, "VS07DA0200000001")
    tec.plant = lambda: np.array([25.0, 70.5])
    assert ask(tec, "?VR006801") == "00000003"
    assert ask(tec, "?VR006A01") == "00000002"  # of instance 2
    assert not tec.enabled.any()
    ask(tec, "VS07DA0200000001")
    assert not tec.enabled.any()
    tec.plant = lambda: np.array([25.0, 25.0])
    assert ask(tec, "RS") == "acknowledged"
    assert ask(tec, "VS07DA0200000001") == "acknowledged"
    assert tec.enabled[1]


def test_replies_do_not_depend_on_how_the_bytes_are_cut() -> None:
    stream = b"noise" + b"\r".join(PUBLISHED) + b"\r"
    whole, pieces = MeerstetterFirmware().feed(stream), MeerstetterFirmware()
    assert b"".join(pieces.feed(stream[i : i + 1]) for i in range(len(stream))) == whole
    assert whole.count(b"\r") == len(PUBLISHED)


def test_the_wire_takes_ten_bits_a_byte() -> None:
    assert MeerstetterFirmware(baud=57600).wire_s(20, 20) == pytest.approx(400 / 57600)


def test_a_port_gets_the_instances_and_address_of_its_options() -> None:
    tec = MeerstetterFirmware.for_port({"instances": 3, "address": 7}, 0, 41)
    assert (tec.instances, tec.address, tec.serial) == (3, 7, 42)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=30) | st.sampled_from([b"\r", *PUBLISHED]), max_size=12), st.text("?VRLS0123456789ABCDEF", max_size=20))
def test_no_bytes_whatsoever_break_it(chunks: list[bytes], payload: str) -> None:
    tec = MeerstetterFirmware()
    for chunk in chunks:
        tec.feed(chunk)
    tec.feed(b"\r")
    head = b"#020001" + payload.encode()
    assert tec.feed(head + b"%04X\r" % crc16(head))[:7] == b"!020001"
    assert -40 <= tec.targets_c[0] <= 150
