"""The streaming drivers against their emulators, in process and over a socket, and against replies that no instrument should send."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drivers.insist import TRIES
from drivers.stream_adc import StreamAdc, StreamAdcOptions
from drivers.stream_banks import WireBank
from drivers.stream_dac import StreamDac, StreamDacOptions
from labonn.bench import Bench
from labonn.clock import SimulatedClock
from labonn.devices import Actuator, Detector, Photodetectors, Trigger
from labonn.errors import (
    ConnectError,
    DesyncError,
    IdentityError,
    LabonnError,
    LimitError,
    LinkTimeoutError,
    RefusedError,
    TableError,
    UnknownStateError,
)
from labonn.links import connect
from labonn.shots import Changes, ShotTable
from sim_backends.benches.instruments import Instruments
from sim_backends.firmware.stream import BLOCK_BYTES, StreamAdcFirmware, StreamDacFirmware
from sim_backends.firmware.stream_messages import Refusal
from sim_backends.messagelinks import SimulatedMessageLink, ZmqServer

BITS = [*range(8, 17), 32, 64]
Parts = list[bytes]


class Wire:
    """A link to an instrument without checksums, whose replies can be replaced: op -> what becomes of the next one.

    Attributes:
        asked: headers so far. sent: bytes of arrays in each of them. faults: op -> a reply's new parts, or what it raises.
        drop: number of a request for a block that never arrives, though somebody says so.
    """

    def __init__(self, firmware: Any) -> None:
        self.link = SimulatedMessageLink(firmware, SimulatedClock())
        self.asked: list[dict[str, Any]] = []
        self.sent: list[int] = []
        self.faults: dict[str, Callable[[Parts], Parts]] = {}
        self.closed, self.drop = 0, -1

    def exchange_parts(self, parts: Any) -> Parts:
        header = json.loads(bytes(parts[0]))
        self.asked.append(header)
        self.sent.append(sum(len(part) for part in parts[1:]))
        if len(self.asked) - 1 == self.drop:
            told = {"seq": header["seq"], "sessions": 1, "loaded": header["start"] + 1, "arrays": []}
            return [json.dumps(told).encode()]
        reply = self.link.exchange_parts(parts)
        if header["op"] == "identify":
            reply = changed(checks=[])(reply)
        return self.faults.pop(header["op"], lambda same: same)(reply)

    def close(self) -> None:
        self.closed += 1

    def ops(self) -> list[str]:
        return [header["op"] for header in self.asked]


def dac(channels: int = 3, bits: int = 16, full_scale_v: float = 10.0, depth: int = 64) -> tuple[StreamDac, StreamDacFirmware, Wire]:
    firmware = StreamDacFirmware(channels, bits, full_scale_v, depth)
    wire = Wire(firmware)
    return StreamDac(wire, StreamDacOptions(channels), "input"), firmware, wire


def adc(channels: int = 3, bits: int = 16, full_scale_v: float = 10.0, depth: int = 64) -> tuple[StreamAdc, StreamAdcFirmware, Wire]:
    firmware = StreamAdcFirmware(channels, bits, full_scale_v, depth)
    wire = Wire(firmware)
    return StreamAdc(wire, StreamAdcOptions(channels), "out"), firmware, wire


def changed(**new: Any) -> Callable[[Parts], Parts]:
    """The reply with other values in its header."""
    return lambda parts: [json.dumps(json.loads(parts[0]) | new).encode(), *parts[1:]]


def lost(parts: Parts) -> Parts:
    raise LinkTimeoutError("zmq://127.0.0.1:1: no reply within 2 s")


# what they are


def test_they_are_what_the_bench_takes_them_for() -> None:
    modulators, detectors = dac()[0], adc()[0]
    assert isinstance(modulators, Actuator)
    assert isinstance(detectors, Detector)
    assert isinstance(detectors, Trigger)
    assert isinstance(detectors, Photodetectors)
    assert not isinstance(detectors, Actuator)
    assert not isinstance(modulators, Trigger)


@pytest.mark.parametrize("bits", BITS)
def test_the_spec_is_what_the_instrument_tells(bits: int) -> None:
    for device in (dac(bits=bits, full_scale_v=4.0)[0], adc(bits=bits, full_scale_v=4.0)[0]):
        spec = device.spec
        assert (len(spec), spec.unit, spec.depth, list(spec.names)) == (3, "V", 64, ["ch0", "ch1", "ch2"])
        assert (spec.lower.tolist(), spec.upper.tolist()) == ([-4.0] * 3, [4.0] * 3)
        assert spec.step[0] == (0 if bits > 16 else pytest.approx(4 / (2 ** (bits - 1) - 1)))
        assert device.identity.startswith("emulated ")


def test_opening_only_identifies() -> None:
    for device, _, wire in (dac(), adc()):
        assert wire.ops() == ["identify"]
        device.close()
        assert wire.closed == 1


def test_every_opening_has_a_session_of_its_own() -> None:
    sessions = {dac()[2].asked[0]["session"] for _ in range(5)}
    assert len(sessions) == 5


# codes


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_commanded_is_played_to_half_a_code(bits: int, dtype: type) -> None:
    device, firmware, _ = dac(bits=bits)
    bank = np.random.default_rng(bits).uniform(-10, 10, (20, 3)).astype(dtype)
    bank[0], bank[1] = 10, -10
    order = np.array([3, 0, 1, 19, 3])
    device.load(bank, order, 1e-5)
    device.arm()
    step = 2e-6 if bits == 32 or dtype is np.float32 else 1e-15
    half_code = 0.5 * 10 / (2 ** (bits - 1) - 1) if bits <= 16 else 0.0
    assert np.max(np.abs(firmware.volts() - bank[order].astype(np.float64))) <= half_code + step + (1e-6 if bits <= 16 else 0)
    if bits == 64:
        assert np.array_equal(firmware.volts(), bank[order])


@pytest.mark.parametrize("bits", BITS)
def test_what_is_recorded_is_read_to_half_a_code(bits: int) -> None:
    device, firmware, _ = adc(bits=bits)
    volts = np.random.default_rng(bits).uniform(-9.9, 9.9, (20, 3))
    device.arm(20, 1e-5)
    firmware.record(volts)
    read = device.fetch()
    assert read.dtype == (np.float64 if bits == 64 else np.float32)
    assert np.max(np.abs(read - volts)) <= (0.5 * 10 / (2 ** (bits - 1) - 1) if bits <= 16 else 0) + (2e-6 if bits < 64 else 0)


@given(seed=st.integers(0, 99), bits=st.sampled_from(BITS))
def test_codes_go_round_unchanged(seed: int, bits: int) -> None:
    """DAC codes, played, recorded and read, command the same codes again."""
    (source, played, _), (reader, recorder, _) = dac(bits=bits), adc(bits=bits)
    bank = np.random.default_rng(seed).uniform(-9.9, 9.9, (6, 3))
    order = np.arange(6)
    source.load(bank, order, 1e-5)
    source.arm()
    first = played.volts()
    reader.arm(6, 1e-5)
    recorder.record(first)
    read = reader.fetch()
    source.load(np.asarray(read), order, 1e-5)
    source.arm()
    assert np.array_equal(played.volts(), first)


def test_a_sparse_bank_is_sent_as_its_frames() -> None:
    device, firmware, _ = dac(bits=64)
    device.load(Changes(np.array([1.0, 2.0, 3.0]), np.array([[0], [2]]), np.array([[5.0], [6.0]])), np.array([1, 0]), 1e-5)
    device.arm()
    assert firmware.volts().tolist() == [[1, 2, 6], [5, 2, 3]]


def test_a_bank_of_one_block_goes_with_its_order_and_an_order_without_a_bank_sends_none() -> None:
    device, firmware, wire = dac(bits=64)
    device.load(np.arange(6.0).reshape(2, 3), np.array([0, 1]), 1e-5)
    device.arm()
    device.load(None, np.array([1, 1, 0]), 2e-5)
    device.arm()
    assert wire.ops() == ["identify", "arm", "arm"]
    assert wire.sent == [0, 2 * 4 + 6 * 8, 3 * 4]
    assert firmware.volts().tolist() == [[3, 4, 5], [3, 4, 5], [0, 1, 2]]
    assert firmware.dwell_s == 2e-5


def test_a_large_bank_goes_out_in_blocks_and_arrives_whole() -> None:
    channels, rows = 1024, 9000
    device, firmware, wire = dac(channels, depth=rows)
    bank = np.repeat(np.linspace(-10, 10, rows, dtype=np.float32)[:, None], channels, axis=1)
    device.load(bank, np.arange(rows), 1e-5)
    blocks = [(h["start"], h["rows"], size) for h, size in zip(wire.asked, wire.sent, strict=True) if h["op"] == "bank"]
    assert len(blocks) == 2
    assert all(size <= BLOCK_BYTES and total == rows for _, total, size in blocks)
    assert sum(size for *_, size in blocks) == 2 * rows * channels
    device.arm()
    assert np.max(np.abs(firmware.volts() - bank)) < 1e-3


def test_a_long_record_is_fetched_in_blocks_and_arrives_whole() -> None:
    channels, shots = 1024, 9000
    device, firmware, wire = adc(channels, depth=shots)
    device.arm(shots, 1e-6)
    volts = np.repeat(np.linspace(-9.9, 9.9, shots, dtype=np.float32)[:, None], channels, axis=1)
    firmware.record(volts)
    assert np.max(np.abs(device.fetch() - volts)) < 1e-3
    assert wire.ops().count("fetch") == 2


# limits and ranges


def test_the_limits_are_in_the_instruments_registers_before_anything_is_played() -> None:
    device, firmware, wire = dac()
    firmware.armed = True
    device.prepare(device.spec.tighten(-1.0, np.array([2.0, 3.0, 4.0]), "bench.toml"))
    assert wire.ops() == ["identify", "limits", "safe"]
    assert not firmware.armed
    device.load(np.array([[2.0, 3.0, -1.0]]), np.array([0]), 1e-5)
    device.arm()
    device.load(np.array([[2.001, 0.0, 0.0]]), np.array([0]), 1e-5)
    with pytest.raises(RefusedError, match=r"input: arm refused: a code is outside the limit registers \(limit\)"):
        device.arm()


def test_registers_that_do_not_hold_what_was_written_are_not_trusted() -> None:
    device, _, wire = dac()
    wire.faults["limits"] = lambda parts: [parts[0], parts[1], np.full(3, 9.0).tobytes()]
    with pytest.raises(UnknownStateError, match="input: the limit registers do not hold what was written"):
        device.prepare(device.spec)


def test_a_range_is_the_smallest_that_holds_what_was_asked_channel_by_channel() -> None:
    device, firmware, _ = adc()
    assert device.set_range(np.array([0.09, 1.0, 9.0])) == pytest.approx([0.1, 1, 10])
    device.arm(1, 1e-5)
    volts = np.array([[0.0512345, 0.512345, 5.12345]])
    firmware.record(volts)
    assert np.all(np.abs(device.fetch() - volts) <= [2e-6, 2e-5, 2e-4])
    assert device.saturated == 0
    assert device.set_range(0.5) == pytest.approx([0.5] * 3)
    device.arm(2, 1e-5)
    firmware.record(np.array([[0.6, 0.0, -0.7], [0.0, 0.0, 0.0]]))
    assert device.fetch().tolist()[0] == pytest.approx([0.5, 0, -0.5])
    assert device.saturated == 2


@pytest.mark.parametrize(("wanted", "channel"), [(11.0, 0), (0.0, 0), (np.nan, 0), (np.array([1.0, 1.0, 10.1]), 2), (-1.0, 0)])
def test_a_range_that_there_is_not_is_refused_before_any_byte(wanted: Any, channel: int) -> None:
    device, _, wire = adc()
    with pytest.raises(LimitError, match=rf"out/ch{channel}: a range of .* V is not above 0 and up to 10 V \(driver\)"):
        device.set_range(wanted)
    assert wire.ops() == ["identify"]


@pytest.mark.parametrize("ranges", [[0.5, 1.0, 1.0], [np.nan, 1.0, 1.0]])
def test_a_range_that_was_not_taken_is_not_trusted(ranges: list[float]) -> None:
    device, _, wire = adc()
    wire.faults["range"] = lambda parts: [parts[0], np.array(ranges).tobytes(), parts[2]]
    with pytest.raises(UnknownStateError, match="out: ranges were asked for, and the instrument did not take them"):
        device.set_range(1.0)


# what goes wrong


def test_another_instrument_is_not_taken_for_ours() -> None:
    with pytest.raises(IdentityError, match="out: a labonn-stream/1 adc is wanted; this is 'labonn-stream/1' 'dac'"):
        StreamAdc(Wire(StreamDacFirmware(3)), StreamAdcOptions(3), "out")
    with pytest.raises(IdentityError, match="input: the bench file says channels = 4; the instrument has 3"):
        StreamDac(Wire(StreamDacFirmware(3)), StreamDacOptions(4), "input")
    wire = Wire(StreamDacFirmware(3))
    wire.faults["identify"] = changed(protocol="labonn-stream/2")
    with pytest.raises(IdentityError, match="this is 'labonn-stream/2' 'dac'"):
        StreamDac(wire, StreamDacOptions(3), "input")


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": 0}, {"scale": -1}, {"scale": None}, {"scale": "1"}, {"scale": True}, {"depth": 0}, {"depth": None}, {"lower": 11.0},
        {"upper": None}, {"format": "<u4"}, {"format": ">i2"}, {"format": None}, {"scale": 1e-4}, {"offset": 9.0}, {"offset": [1]},
    ],
)  # fmt: skip
def test_an_identification_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    for firmware, driver, options in (
        (StreamDacFirmware(3), StreamDac, StreamDacOptions(3)), (StreamAdcFirmware(3), StreamAdc, StreamAdcOptions(3)),
    ):  # fmt: skip
        wire = Wire(firmware)
        wire.faults["identify"] = changed(**wrong)
        with pytest.raises(DesyncError, match=r"port: the identification (has|makes no sense)"):
            driver(wire, options, "port")


@pytest.mark.parametrize("ranges", [3, ["1"], [0.0], [-1.0], [None], {"a": 1}])
def test_ranges_that_are_no_volts_are_refused(ranges: Any) -> None:
    wire = Wire(StreamAdcFirmware(3))
    wire.faults["identify"] = changed(ranges=ranges)
    with pytest.raises(DesyncError, match="out: the identification has ranges = "):
        StreamAdc(wire, StreamAdcOptions(3), "out")


def test_a_refusal_carries_the_instruments_words() -> None:
    device, firmware, _ = adc()
    with pytest.raises(RefusedError, match=r"^out: arm refused: shots = 99: the record holds 1 to 64 \(memory\)$"):
        device.arm(99, 1e-5)
    device.arm(2, 1e-5)
    with pytest.raises(RefusedError, match=r"out: fetch refused: nothing recorded since the last arm \(state\)"):
        device.fetch()

    def disagree(shots: int, dwell_s: float) -> None:
        raise Refusal("state", f"input is armed for 3 shots, not {shots}")

    firmware.on_fire = disagree
    with pytest.raises(RefusedError, match=r"out: fire refused: input is armed for 3 shots, not 2 \(state\)"):
        device.fire(2, 1e-5)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (changed(seq=1), "input: asked arm as number 2, got the reply to number 1"),
        (changed(seq=3), "asked arm as number 2, got the reply to number 3"),
        (changed(seq="2"), "got the reply to number '2'"),
        (changed(seq=None), "got the reply to number None"),
        (lambda parts: [], "input: the reply to arm is not a labonn-stream/1 message"),
        (lambda parts: [b""], "not a labonn-stream/1 message"),
        (lambda parts: [b"[]"], "not a labonn-stream/1 message"),
        (lambda parts: [parts[0][:-4]], "not a labonn-stream/1 message"),
        (lambda parts: [*parts, b"extra"], "arrays are not as described"),
        (changed(arrays=[{"dtype": "<i2", "shape": [1]}]), "arrays are not as described"),
    ],
)
def test_a_reply_to_something_else_or_no_reply_at_all_is_told(fault: Callable[[Parts], Parts], words: str) -> None:
    device, firmware, wire = dac()
    device.load(np.zeros((1, 3)), np.array([0]), 1e-5)
    wire.faults["arm"] = fault
    with pytest.raises(DesyncError, match=words):
        device.arm()
    device.load(np.zeros((1, 3)), np.array([0]), 1e-5)
    device.arm()
    assert firmware.armed


def test_a_reply_that_was_delayed_by_one_never_counts() -> None:
    device, firmware, wire = dac()
    device.load(np.zeros((1, 3)), np.array([0]), 1e-5)
    held: list[Parts] = []

    def late(parts: Parts) -> Parts:
        held.append(parts)
        return lost(parts)

    wire.faults["arm"] = late
    with pytest.raises(LinkTimeoutError):
        device.arm()
    wire.faults["arm"] = lambda parts: held[0]
    with pytest.raises(DesyncError, match="asked arm as number 3, got the reply to number 2"):
        device.arm()
    assert firmware.armed


def test_safe_works_although_a_stray_reply_comes_first() -> None:
    device, firmware, wire = dac()
    device.load(np.zeros((1, 3)), np.array([0]), 1e-5)
    device.arm()
    wire.faults["safe"] = changed(seq=1)
    device.safe()
    assert not firmware.armed
    assert wire.ops().count("safe") == 2


def test_safe_gives_up_after_some_strays_and_gets_through_a_lost_reply() -> None:
    device, firmware, wire = dac()

    class Stray(dict[str, Any]):
        def pop(self, op: str, default: Any = None) -> Any:
            return changed(seq=1)

    wire.faults = Stray()
    with pytest.raises(DesyncError, match="asked safe"):
        device.safe()
    assert wire.ops().count("safe") == TRIES
    wire.faults = {"safe": lost}
    device.safe()
    assert wire.ops().count("safe") == TRIES + 2
    assert not firmware.armed


@pytest.mark.parametrize("loaded", [0, 2, None, "1"])
def test_a_block_that_did_not_arrive_is_told(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.stream_dac.BLOCK_BYTES", 6)
    device, _, wire = dac()
    wire.faults["bank"] = changed(loaded=loaded)
    with pytest.raises(UnknownStateError, match="input: 1 rows sent, the instrument has"):
        device.load(np.zeros((2, 3)), np.array([0]), 1e-5)


def test_a_block_that_got_lost_on_the_way_is_a_gap_that_the_instrument_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.stream_dac.BLOCK_BYTES", 6)
    device, _, wire = dac()
    device.load(np.zeros((2, 3)), np.array([0]), 1e-5)
    wire.drop = 3  # the first block of the next bank, answered for by somebody else
    with pytest.raises(RefusedError, match=r"input: bank refused: block 1\+1 of 3 does not follow the 2 rows received \(memory\)"):
        device.load(np.ones((3, 3)), np.array([0]), 1e-5)


@pytest.mark.parametrize(
    "fault",
    [
        changed(start=1), changed(shots=5), changed(saturated=None), changed(saturated="3"), changed(saturated=True),
        lambda parts: [changed(arrays=[])(parts)[0]],
        lambda parts: [changed(arrays=[{"dtype": "<i2", "shape": [4, 2]}])(parts)[0], bytes(16)],
        lambda parts: [changed(arrays=[{"dtype": "<i2", "shape": [0, 3]}])(parts)[0], b""],
        lambda parts: [changed(arrays=[{"dtype": "<i2", "shape": [12]}])(parts)[0], bytes(24)],
        lambda parts: [changed(arrays=[{"dtype": "<i2", "shape": [5, 3]}])(parts)[0], bytes(30)],
        lambda parts: [changed(arrays=[{"dtype": "<f4", "shape": [4, 3]}])(parts)[0], bytes(48)],
    ],
)  # fmt: skip
def test_a_block_of_the_record_that_is_not_as_it_must_be_is_told(fault: Callable[[Parts], Parts]) -> None:
    device, firmware, wire = adc()
    device.arm(4, 1e-5)
    firmware.record(np.zeros((4, 3)))
    wire.faults["fetch"] = fault
    with pytest.raises(DesyncError, match="out: a block of the record is missing or of another record, at row 0 of 4"):
        device.fetch()
    assert device.fetch().shape == (4, 3)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 99) | st.floats(allow_nan=False) | st.sampled_from(["<i2", "<f8", "dac", "adc", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["dtype", "shape", "text", "code"]), inner, max_size=3),
    max_leaves=6,
)
KEYS = ["protocol", "kind", "channels", "depth", "format", "scale", "offset", "lower", "upper", "ranges", "arrays", "error"]
KEYS += ["seq", "loaded", "start", "shots", "saturated"]
CHANGES = st.dictionaries(st.sampled_from(KEYS), JSON, max_size=3).map(lambda new: changed(**new))
RANDOM = st.lists(st.binary(max_size=20), max_size=3).map(lambda parts: lambda reply: parts)
PARTLY = st.lists(st.binary(max_size=20), max_size=3).map(lambda parts: lambda reply: [reply[0], *parts])
SHAPES = st.lists(st.integers(-1, 5) | st.just(2**63), max_size=3)
RESHAPED = st.tuples(st.sampled_from(["<i2", "<u4", "<f4", "<f8"]), SHAPES, st.binary(max_size=24)).map(
    lambda new: lambda reply: [*changed(arrays=[{"dtype": new[0], "shape": new[1]}])(reply)[:1], new[2]]
)


def raises_only_ours(use: Callable[[], Any]) -> bool:
    """Whether it came through; any error but ours goes on."""
    try:
        use()
    except LabonnError:
        return False
    return True


@given(op=st.sampled_from(["identify", "limits", "safe", "bank", "arm"]), fault=CHANGES | RANDOM | PARTLY | RESHAPED)
@example(op="identify", fault=changed(scale=1e999))
@example(op="identify", fault=changed(depth=1e30))
@example(op="identify", fault=lambda reply: [b'{"seq":1' + b"0" * 400 + b"}"])
@example(op="bank", fault=lambda reply: [b"[" * 4000])
@example(op="limits", fault=lambda reply: [changed(arrays=[{"dtype": "<f8", "shape": [2**63]}])(reply)[0], bytes(8)])
def test_whatever_a_dac_replies_the_driver_raises_errors_of_ours_only(op: str, fault: Callable[[Parts], Parts]) -> None:
    wire = Wire(StreamDacFirmware(3, depth=8))
    wire.faults[op] = fault

    def use() -> None:
        device = StreamDac(wire, StreamDacOptions(3), "input")
        device.prepare(device.spec)
        device._send(WireBank("dense", (), (np.zeros((2, 3), "<i2"),)))
        device.load(np.zeros((2, 3)), np.array([0, 1]), 1e-5)
        device.arm()
        device.safe()

    if raises_only_ours(use):
        assert wire.ops()[-1] == "safe"


@given(op=st.sampled_from(["identify", "range", "arm", "fire", "fetch", "safe"]), fault=CHANGES | RANDOM | PARTLY | RESHAPED)
@example(op="range", fault=lambda reply: [reply[0], np.full(3, 1e-320).tobytes(), np.full(3, 1e300).tobytes()])
def test_whatever_an_adc_replies_the_driver_raises_errors_of_ours_only(op: str, fault: Callable[[Parts], Parts]) -> None:
    firmware = StreamAdcFirmware(3, depth=8)
    wire = Wire(firmware)
    firmware.on_fire = lambda shots, dwell_s: firmware.record(np.zeros((shots, 3)))
    wire.faults[op] = fault
    records: list[Any] = []

    def use() -> None:
        device = StreamAdc(wire, StreamAdcOptions(3), "out")
        device.set_range(1.0)
        device.arm(2, 1e-5)
        device.fire(2, 1e-5)
        records.append(device.fetch())
        device.safe()

    if raises_only_ours(use):
        assert records[0].shape == (2, 3)


# on a bench, in process and over sockets


FILE = """
[ports.input]
driver = "stream_dac"
link = "zmq://127.0.0.1:1"
channels = 2
bits = {bits}
upper = "4 V"
[ports.error]
driver = "stream_dac"
link = ["zmq://127.0.0.1:2", "zmq://127.0.0.1:3"]
channels = 1
depth = 4
[ports.out]
driver = "stream_adc"
link = "zmq://127.0.0.1:4"
channels = 3
depth = 6
role = "trigger"
[simulation]
bench = "sums"
"""


class Sums:
    """A light that puts input 0 + error 0, input 1 + error 1 and half the sum on three detectors; noise from the seed."""

    def __init__(self, file: Any, clock: SimulatedClock, ideal: bool = False, seed: int | None = None) -> None:
        self.clock, self.rng, self.fired = clock, np.random.default_rng(seed), list[int]()
        self.instruments = Instruments(file, clock, seed or 0)
        (self.adc,), self.dacs = self.instruments.of("out"), [*self.instruments.of("input"), *self.instruments.of("error")]
        self.adc.on_fire = self.fire
        self.link, self.serve, self.close = self.instruments.link, self.instruments.serve, self.instruments.close

    def fire(self, shots: int, dwell_s: float) -> None:
        for device in self.dacs:
            if device.armed and len(device.order) != shots:
                raise Refusal("state", f"armed for {len(device.order)} shots, not {shots}")
        a, *b = (d.volts() if d.armed else np.zeros((shots, d.channels)) for d in self.dacs)
        pairs = a + np.concatenate(b, axis=1)
        volts = np.column_stack([pairs, pairs.sum(axis=1) / 2])
        self.adc.record(volts + 1e-2 * self.rng.standard_normal(volts.shape))
        self.fired.append(shots)
        for device in self.dacs:
            device.played()
        self.clock.wait(shots * dwell_s)


@pytest.fixture
def open_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Bench]]:
    """Opens the bench of sums, in process or served."""
    monkeypatch.setattr("labonn.sources.load", lambda *_: Sums)
    opened: list[Bench] = []

    def build(served: bool = False, bits: int = 16, seed: int = 5) -> Bench:
        path = tmp_path / "lab.toml"
        path.write_text(FILE.format(bits=bits))
        opened.append(Bench.open(path, dry_run=True, seed=seed, served=served))
        return opened[-1]

    yield build
    for bench in opened:
        bench.close()


def truth(bench: Bench) -> Sums:
    simulated: Sums = bench._opened.simulated
    return simulated


ORDER = np.array([0, 2, 1, 3, 0, 0, 4, 2])
INPUT = np.linspace(-4, 4, 10).reshape(5, 2)
ERROR = np.linspace(1, 2, 10).reshape(5, 2)


@pytest.mark.parametrize("served", [False, True])
def test_a_table_larger_than_memories_and_records_is_read_as_if_it_were_not(open_bench: Callable[..., Bench], served: bool) -> None:
    bench = open_bench(served)
    readings = bench.play(ShotTable({"input": INPUT, "error": ERROR}, {"input": ORDER, "error": ORDER}, 1e-3))
    wanted = (INPUT + ERROR)[ORDER]
    assert np.max(np.abs(readings["out"] - np.column_stack([wanted, wanted.sum(axis=1) / 2]))) < 0.06
    assert truth(bench).fired == [6, 2]
    assert bench.clock.now() == pytest.approx(8e-3, rel=0.1)


def test_readings_and_time_are_identical_in_process_and_over_loopback_sockets(open_bench: Callable[..., Bench]) -> None:
    found = []
    for served in (False, True):
        bench = open_bench(served)
        readings = [
            bench.play(ShotTable({"input": INPUT, "error": ERROR}, {"input": ORDER, "error": ORDER}))["out"],
            bench.play(ShotTable({"input": INPUT}, {"input": ORDER[:3]}))["out"],
            bench.play(ShotTable({}, {"input": ORDER}))["out"],
        ]
        found.append((np.concatenate(readings), bench.clock.now(), bench.exchanges))
    assert np.array_equal(found[0][0], found[1][0])
    assert found[0][1:] == found[1][1:]


@pytest.mark.parametrize("value", [4.001, -10.5, np.nan, np.inf])
@pytest.mark.parametrize("port", ["input", "error"])
@pytest.mark.parametrize("served", [False, True])
def test_one_value_beyond_a_limit_sends_no_byte_to_anybody(open_bench: Callable[..., Bench], value: float, port: str, served: bool) -> None:
    bench = open_bench(served)
    bench.play(ShotTable({"input": INPUT, "error": ERROR}, {"input": ORDER, "error": ORDER}))

    def state() -> Any:
        lights = truth(bench)
        dacs = [(d.bank_version, d.armed, d._codes.tobytes(), d.order.tobytes()) for d in lights.dacs]
        return [link.exchanges for link in bench._opened.links], dacs, lights.fired[:], lights.adc.armed_shots, bench.clock.now()

    before = state()
    banks = {"input": INPUT.copy(), "error": ERROR.copy()}
    banks[port][3, 1] = value if port == "input" else value * 10
    with pytest.raises(LimitError, match=rf"{port}/.*ch.* in row 3 is outside"):
        bench.play(ShotTable(banks, {"input": ORDER, "error": ORDER}))
    with pytest.raises(TableError):
        bench.play(ShotTable({"input": INPUT, "nobody": ERROR}, {"input": ORDER, "nobody": ORDER}))
    assert state() == before


def test_ports_that_disagree_about_the_number_of_shots_are_refused_by_the_trigger(open_bench: Callable[..., Bench]) -> None:
    bench = open_bench()
    device = bench.ports["input"]
    device.load(INPUT, ORDER, 1e-6)
    device.arm()
    bench.ports["out"].arm(3, 1e-6)
    with pytest.raises(RefusedError, match=r"out: fire refused: armed for 8 shots, not 3 \(state\)"):
        bench.ports["out"].fire(3, 1e-6)
    assert truth(bench).fired == []


def test_closing_a_bench_leaves_every_beam_dark(open_bench: Callable[..., Bench]) -> None:
    bench = open_bench()
    bench.ports["input"].load(INPUT, ORDER, 1e-6)
    bench.ports["input"].arm()
    assert any(d.armed for d in truth(bench).dacs)
    bench.close()
    assert not any(d.armed for d in truth(bench).dacs)


def test_a_late_reply_over_a_socket_is_never_taken_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    firmware = StreamDacFirmware(3)
    answer, slow = firmware.handle_parts, [b'"arm"']

    def sluggish(parts: Any) -> Parts:
        reply = answer(parts)
        if slow and slow[0] in bytes(parts[0]):
            slow.pop()
            time.sleep(0.25)
        return reply

    monkeypatch.setattr(firmware, "handle_parts", sluggish)
    server = ZmqServer(firmware, SimulatedClock())
    link: Any = connect(server.url, timeout_s=0.1)
    device = StreamDac(link, StreamDacOptions(3), "input")
    device.load(np.ones((1, 3)), np.array([0]), 1e-5)
    with pytest.raises(LinkTimeoutError):
        device.arm()
    with pytest.raises(LinkTimeoutError):
        device.arm()  # the instrument is still busy with the first; its answer to that comes now
    device.load(np.ones((2, 3)), np.array([1]), 1e-5)
    device.arm()
    assert firmware.armed
    link.close()
    server.close()


def test_nothing_there_is_a_connect_error() -> None:
    link: Any = connect("zmq://127.0.0.1:9")
    with pytest.raises(ConnectError, match="nothing answers there"):
        StreamDac(link, StreamDacOptions(3), "input")
    link.close()
