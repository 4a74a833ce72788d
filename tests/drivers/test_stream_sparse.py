"""Sparse banks, bursts and current sources through the streaming drivers; dense banks of the same frames are the oracle."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.stream_adc import StreamAdc, StreamAdcOptions
from drivers.stream_dac import StreamDac, StreamDacOptions
from labonn.clock import SimulatedClock
from labonn.errors import DesyncError, LabonnError, LimitError, RefusedError
from labonn.shots import Bank, Changes, Dither, dense
from sim_backends.firmware.stream import StreamAdcFirmware, StreamDacFirmware
from sim_backends.messagelinks import SimulatedMessageLink


class Wire:
    """Notes every header and how many bytes of arrays came with it; `about` replaces what `identify` tells."""

    def __init__(self, firmware: Any, **about: Any) -> None:
        self.link, self.about = SimulatedMessageLink(firmware, SimulatedClock()), about
        self.asked: list[dict[str, Any]] = []
        self.sent: list[int] = []

    def exchange_parts(self, parts: Any) -> list[bytes]:
        self.asked.append(json.loads(bytes(parts[0])))
        self.sent.append(sum(len(part) for part in parts[1:]))
        reply = self.link.exchange_parts(parts)
        if self.asked[-1]["op"] == "identify":
            told = {key: value for key, value in (json.loads(reply[0]) | {"checks": []} | self.about).items() if value != "absent"}
            return [json.dumps(told).encode()]
        return reply

    def close(self) -> None: ...


def dac(channels: int, bits: int = 16, about: dict[str, Any] | None = None, **options: Any) -> tuple[StreamDac, StreamDacFirmware, Wire]:
    firmware = StreamDacFirmware(channels, bits, depth=5000)
    wire = Wire(firmware, **(about or {}))
    return StreamDac(wire, StreamDacOptions(channels, **options), "gain"), firmware, wire


def play(device: StreamDac, firmware: StreamDacFirmware, bank: Bank, order: Any) -> Any:
    device.load(bank, order, 1e-6)
    device.arm()
    return firmware.volts()


@st.composite
def sparse_banks(draw: st.DrawFn) -> Bank:
    """Of 1 to 20 channels and up to 6 rows, -9 to 9, in every mixture of floats."""
    channels, rows, n = draw(st.integers(1, 20)), draw(st.integers(1, 6)), draw(st.integers(0, 3))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    first, second = (draw(st.sampled_from([np.float32, np.float64])) for _ in range(2))
    if draw(st.booleans()):
        base, values = rng.uniform(-9, 9, channels).astype(first), rng.uniform(-9, 9, (rows, n)).astype(second)
        return Changes(base, rng.integers(0, channels, (rows, n)), values)
    signs = np.packbits(rng.integers(0, 2, (rows, channels)), axis=1)
    return Dither(rng.uniform(-5, 5, channels).astype(first), rng.uniform(-4, 4, channels).astype(second), signs)


@given(bank=sparse_banks(), bits=st.sampled_from([8, 13, 16, 32, 64]), a_per_v=st.sampled_from([None, 7.0, 1000.0]))
def test_a_sparse_bank_plays_exactly_what_its_frames_play(bank: Bank, bits: int, a_per_v: float | None) -> None:
    channels, order = bank.shape[1], np.arange(bank.shape[0])[::-1]
    sparse, one, wire = dac(channels, bits, a_per_v=a_per_v)
    plain, other, _ = dac(channels, bits, a_per_v=a_per_v)
    assert np.array_equal(play(sparse, one, bank, order), play(plain, other, dense(bank), order))
    assert wire.asked[-1]["form"] == ("changes" if isinstance(bank, Changes) else "dither")


@pytest.mark.parametrize("banks", ["absent", ["dense"], ["dense", "changes"], ["dense", "dither"]])
def test_an_instrument_that_does_not_list_a_form_gets_the_frames(banks: Any) -> None:
    changes = Changes(np.zeros(3), np.array([[0], [2]]), np.array([[5.0], [6.0]]))
    dither = Dither(np.zeros(3), np.ones(3), np.array([[0b10100000], [0]], np.uint8))
    for name, bank in (("changes", changes), ("dither", dither)):
        device, firmware, wire = dac(3, 64, {"banks": banks})
        assert np.array_equal(play(device, firmware, bank, np.array([1, 0])), dense(bank)[[1, 0]])
        assert wire.asked[-1].get("form", "dense") == (name if name in banks else "dense")


def test_the_frames_of_finite_differences_cost_their_changes_on_the_wire() -> None:
    count = 1631
    theta, channels = np.linspace(0, 1, count), np.repeat(np.arange(count), 2)[:, None]
    bank = Changes(theta, channels, theta[channels] + 0.1)
    device, firmware, wire = dac(count)
    device.load(bank, np.arange(2 * count), 1e-6)
    device.arm()
    assert wire.sent[-1] == 4 * 2 * count + 2 * count + (4 + 2) * 2 * count
    assert firmware.bank.channels.shape == (2 * count, 1)  # type: ignore[union-attr]
    assert [header["op"] for header in wire.asked] == ["identify", "arm"]


@pytest.mark.parametrize("form", ["changes", "dither"])
def test_a_large_sparse_bank_goes_out_in_blocks_and_arrives_whole(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.stream_dac.BLOCK_BYTES", 20)
    rng = np.random.default_rng(0)
    bank: Bank = Changes(rng.uniform(0, 1, 9), rng.integers(0, 9, (11, 1)), rng.uniform(0, 1, (11, 1)))
    if form == "dither":
        bank = Dither(rng.uniform(0, 1, 9), np.full(9, 0.5), rng.integers(0, 256, (11, 2)).astype(np.uint8))
    device, firmware, wire = dac(9, 64)
    assert np.array_equal(play(device, firmware, bank, np.arange(11)), dense(bank))
    blocks = 11 if form == "changes" else 2
    assert [header["op"] for header in wire.asked] == ["identify", *["bank"] * blocks, "arm"]


def test_a_sparse_bank_outside_the_registers_is_refused_in_the_instruments_words() -> None:
    device, _, _ = dac(2)
    device.prepare(device.spec.tighten(-1.0, 1.0, "bench.toml"))
    device.load(Changes(np.zeros(2), np.array([[1]]), np.array([[1.1]])), np.array([0]), 1e-6)
    with pytest.raises(RefusedError, match=r"gain: arm refused: a code is outside the limit registers \(limit\)"):
        device.arm()


# current sources behind the converter


def test_with_current_sources_the_port_is_in_amperes_and_the_instrument_in_volts() -> None:
    device, firmware, wire = dac(2, a_per_v=0.02)
    spec = device.spec
    assert (spec.unit, device.kind) == ("A", "Modulators")
    assert (spec.lower.tolist(), spec.upper.tolist()) == ([-0.2] * 2, [0.2] * 2)
    assert spec.step[0] == pytest.approx(0.02 * 10 / 32767)
    device.prepare(spec.tighten(0.0, np.array([0.1, 0.2]), "bench.toml"))
    assert [header["op"] for header in wire.asked] == ["identify", "limits", "safe"]
    assert (firmware._lower.tolist(), firmware._upper.tolist()) == ([0, 0], [5, 10])
    bank = np.array([[0.1, 0.2], [0.0, 0.05]])
    assert play(device, firmware, bank, np.array([0, 1])) == pytest.approx(bank / 0.02, abs=0.51 * 10 / 32767)
    device.load(np.array([[0.1001, 0.0]]), np.array([0]), 1e-6)
    with pytest.raises(RefusedError, match="outside the limit registers"):
        device.arm()
    with pytest.raises(LimitError, match=r"gain/ch1: 300 mA in row 0 is outside -200 to 200 mA \(driver\)"):
        spec.check("gain", np.array([[0.0, 0.3]]))


@given(st.floats(1e-6, 1e4))
def test_no_rounding_carries_a_limit_beyond_the_instruments_own(a_per_v: float) -> None:
    device, firmware, _ = dac(2, a_per_v=a_per_v)
    device.prepare(device.spec)
    bank = np.stack([device.spec.lower, device.spec.upper])
    assert play(device, firmware, bank, np.array([0, 1])).tolist() == [[pytest.approx(-10)] * 2, [pytest.approx(10)] * 2]


@pytest.mark.parametrize("wrong", [0.0, -1.0, np.nan, np.inf])
def test_a_transconductance_that_makes_no_sense_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="a_per_v = "):
        StreamDacOptions(2, a_per_v=wrong)


# bursts


def test_bursts_are_asked_for_only_where_there_are_several() -> None:
    device, firmware, wire = dac(2)
    device.load(np.zeros((1, 2)), np.array([0]), 1e-6)
    device.arm()
    assert "bursts" not in wire.asked[-1]
    device.arm(bursts=3)
    assert (wire.asked[-1]["bursts"], firmware.bursts_left) == (3, 3)


def test_all_bursts_are_fetched_at_once() -> None:
    firmware = StreamAdcFirmware(2, 64)
    wire = Wire(firmware)
    device = StreamAdc(wire, StreamAdcOptions(2), "out")
    firmware.on_fire = lambda shots, dwell_s: firmware.record(np.full((shots, 2), float(firmware.firings)))
    device.arm(2, 1e-6, bursts=3)
    for _ in range(3):
        device.fire(2, 1e-6)
    assert device.fetch()[:, 1].tolist() == [0, 0, 1, 1, 2, 2]
    assert [header["op"] for header in wire.asked] == ["identify", "arm", "fire", "fire", "fire", "fetch"]
    device.arm(2, 1e-6, bursts=2)
    device.fire(2, 1e-6)
    with pytest.raises(RefusedError, match=r"out: fetch refused: 1 of 2 bursts were fired \(state\)"):
        device.fetch()


def test_an_instrument_says_how_many_bursts_it_plays_or_plays_one() -> None:
    assert dac(2)[0].most_bursts > 1000
    assert dac(2, about={"bursts": 5})[0].most_bursts == 5
    assert dac(2, about={"bursts": "absent"})[0].most_bursts == 1
    assert StreamAdc(Wire(StreamAdcFirmware(2), bursts="absent"), StreamAdcOptions(2), "out").most_bursts == 1


@pytest.mark.parametrize("wrong", [{"bursts": 0}, {"bursts": 1.5}, {"bursts": None}, {"bursts": True}, {"banks": "all"}, {"banks": None}])
def test_an_identification_of_bursts_or_banks_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(DesyncError, match="gain: the identification has bursts = "):
        dac(2, about=wrong)


@given(st.lists(st.none() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=1), max_size=3))
def test_whatever_is_in_the_list_of_banks_only_errors_of_ours_come_out(banks: list[Any]) -> None:
    device, _, _ = dac(2, about={"banks": banks})
    try:
        device.load(Changes(np.zeros(2), np.array([[1]]), np.array([[1.0]])), np.array([0]), 1e-6)
        device.arm()
    except LabonnError:
        pytest.fail("a list of unknown forms is no reason to refuse a bank")
