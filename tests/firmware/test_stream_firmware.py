"""The emulated streaming DAC and ADC against the text of their protocol, written out by hand."""

from __future__ import annotations

import json
import re
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sim_backends.firmware.stream import BLOCK_BYTES, StreamAdcFirmware, StreamDacFirmware
from sim_backends.firmware.stream_messages import Refusal

LETTERS = {"<i2": "h", "<u4": "I", "<f4": "f", "<f8": "d"}


def array(dtype: str, *rows: Any) -> tuple[dict[str, Any], bytes]:
    """(description, bytes) of a flat list or of rows, by struct."""
    flat = [value for row in rows for value in (row if isinstance(row, (list, tuple)) else [row])]
    shape = [len(rows), len(rows[0])] if isinstance(rows[0], (list, tuple)) else [len(rows)]
    return {"dtype": dtype, "shape": shape}, struct.pack(f"<{len(flat)}{LETTERS[dtype]}", *flat)


class Talk:
    """Asks one instrument, counting."""

    def __init__(self, firmware: Any, session: str = "s") -> None:
        self.firmware, self.seq = firmware, 0
        self.about = self.ask("identify", session=session)

    def raw(self, header: dict[str, Any], *arrays: tuple[dict[str, Any], bytes]) -> list[bytes]:
        if arrays:
            header["arrays"] = [about for about, _ in arrays]
        found: list[bytes] = self.firmware.handle_parts([json.dumps(header).encode(), *(data for _, data in arrays)])
        return found

    def ask(self, op: str, *arrays: tuple[dict[str, Any], bytes], **arguments: Any) -> dict[str, Any]:
        self.seq += 1
        head, *parts = self.raw({"op": op, "seq": self.seq, **arguments}, *arrays)
        reply: dict[str, Any] = json.loads(head)
        assert reply["seq"] == self.seq
        if "error" not in reply:
            assert len(reply["arrays"]) == len(parts)
            for about, part in zip(reply["arrays"], parts, strict=True):
                assert len(part) == int(np.prod(about["shape"])) * np.dtype(about["dtype"]).itemsize
        return reply | {"parts": parts}

    def refused(self, op: str, *arrays: tuple[dict[str, Any], bytes], **arguments: Any) -> tuple[str, str]:
        error = self.ask(op, *arrays, **arguments)["error"]
        return error["code"], error["text"]


def dac(channels: int = 2, bits: int = 16, full_scale_v: float = 10.0, depth: int = 8) -> Talk:
    return Talk(StreamDacFirmware(channels, bits, full_scale_v, depth))


def adc(channels: int = 2, bits: int = 16, full_scale_v: float = 10.0, depth: int = 8) -> Talk:
    return Talk(StreamAdcFirmware(channels, bits, full_scale_v, depth))


BANK = ([1, 2], [3, 4], [5, 6])


@pytest.mark.parametrize(("talk", "kind"), [(dac(), "dac"), (adc(), "adc")])
def test_it_says_what_it_is(talk: Talk, kind: str) -> None:
    about = talk.about
    assert (about["protocol"], about["kind"], about["channels"], about["depth"]) == ("labonn-stream/1", kind, 2, 8)
    assert (about["format"], about["bits"], about["offset"], about["lower"], about["upper"]) == ("<i2", 16, 0, -10, 10)
    assert about["scale"] * 32767 == pytest.approx(10, rel=1e-12)
    assert {"maker", "model", "serial", "min_dwell_s"} <= set(about)
    if kind == "adc":
        assert about["ranges"] == pytest.approx([1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10])


@pytest.mark.parametrize(("bits", "dtype"), [(8, "<i2"), (12, "<i2"), (16, "<i2"), (32, "<f4"), (64, "<f8")])
def test_codes_are_volts_by_offset_and_scale(bits: int, dtype: str) -> None:
    talk = dac(bits=bits, full_scale_v=4.0)
    about = talk.about
    assert about["format"] == dtype
    codes = [1.5, -3.75] if bits > 16 else [100, -(2 ** (bits - 1) - 1)]
    assert talk.ask("bank", array(dtype, codes), start=0, rows=1)["loaded"] == 1
    talk.ask("arm", array("<u4", 0), dwell_s=1e-6)
    assert talk.firmware.volts()[0] == pytest.approx([about["offset"] + about["scale"] * c for c in codes], rel=1e-6)


@pytest.mark.parametrize("bits", [0, 3, 17, 24, 128])
def test_no_converter_has_such_bits(bits: int) -> None:
    with pytest.raises(ValueError, match=f"bits = {bits}: converters have 4 to 16 bits, or 32 or 64"):
        StreamDacFirmware(2, bits)


def test_it_plays_the_rows_of_the_order_and_is_dark_before_and_after() -> None:
    talk = dac()
    assert not talk.firmware.armed
    talk.ask("bank", array("<i2", *BANK), start=0, rows=3)
    assert talk.ask("arm", array("<u4", 2, 0, 2, 1), dwell_s=1e-5)["shots"] == 4
    assert talk.firmware.armed
    scale = talk.about["scale"]
    assert np.rint(talk.firmware.volts() / scale).tolist() == [[5, 6], [1, 2], [5, 6], [3, 4]]
    told = {"seq": 4, "sessions": 1, "arrays": [], "armed": True, "rows": 3, "shots": 4, "played": 0}
    assert talk.ask("state") | {"parts": 0} == {**told, "parts": 0}
    talk.firmware.played()
    assert not talk.firmware.armed
    talk.ask("arm", array("<u4", 1), dwell_s=1e-5)
    talk.ask("safe")
    state = talk.ask("state")
    assert (state["armed"], state["rows"], state["shots"]) == (False, 3, 0)
    assert "error" not in talk.ask("arm", array("<u4", 1), dwell_s=1e-5)


def test_a_bank_in_consecutive_blocks_is_the_bank() -> None:
    talk = dac()
    for start, row in enumerate(BANK):
        assert talk.ask("bank", array("<i2", row), start=start, rows=3)["loaded"] == start + 1
    talk.ask("arm", array("<u4", 0, 1, 2), dwell_s=1e-5)
    assert np.rint(talk.firmware.volts() / talk.about["scale"]).tolist() == [list(row) for row in BANK]


def test_a_new_bank_replaces_the_old_one_and_disarms() -> None:
    talk = dac()
    talk.ask("bank", array("<i2", *BANK), start=0, rows=3)
    talk.ask("arm", array("<u4", 2), dwell_s=1e-5)
    version = talk.firmware.bank_version
    talk.ask("bank", array("<i2", [7, 8]), start=0, rows=1)
    assert talk.firmware.bank_version > version
    assert not talk.firmware.armed
    assert talk.refused("arm", array("<u4", 2), dwell_s=1e-5) == ("memory", "the order names row 2; the bank has 1")


@pytest.mark.parametrize(
    ("op", "arrays", "arguments", "code", "words"),
    [
        ("bank", [array("<i2", *BANK)], {"start": 0, "rows": 9}, "memory", "rows = 9: the memory holds 1 to 8"),
        ("bank", [array("<i2", *BANK)], {"start": 0, "rows": 0}, "memory", "rows = 0"),
        ("bank", [array("<i2", *BANK)], {"start": 0, "rows": 2}, "memory", r"block 0\+3 of 2"),
        ("bank", [array("<i2", *BANK)], {"start": 3, "rows": 6}, "memory", r"block 3\+3 of 6 does not follow the 1 rows received"),
        ("bank", [array("<i2", *BANK)], {"start": 1, "rows": 5}, "memory", "does not follow"),
        ("bank", [array("<i2", *BANK)], {"start": 0}, "memory", "rows = None"),
        ("bank", [array("<i2", *BANK)], {"rows": 3}, "memory", "block None"),
        ("bank", [array("<i2", *BANK)], {"start": True, "rows": 4}, "memory", "block True"),
        ("bank", [array("<i2", *BANK)], {"start": -1, "rows": 4}, "memory", "block -1"),
        ("bank", [array("<i2", [1, 2, 3])], {"start": 0, "rows": 1}, "argument", r"a bank is one \(k, 2\) array of <i2"),
        ("bank", [array("<f8", [1, 2])], {"start": 0, "rows": 1}, "argument", "array of <i2"),
        ("bank", [array("<i2", 1, 2)], {"start": 0, "rows": 1}, "argument", "array of <i2"),
        ("bank", [], {"start": 0, "rows": 1}, "argument", "array of <i2"),
        ("bank", [({"dtype": "<i2", "shape": [0, 2]}, b"")], {"start": 0, "rows": 1}, "argument", "an empty block"),
        ("arm", [array("<u4", 1)], {"dwell_s": 1e-5}, "memory", "the order names row 1; the bank has 1"),
        ("arm", [array("<i2", 0)], {"dwell_s": 1e-5}, "argument", r"an order is one \(T,\) array of <u4"),
        ("arm", [array("<u4", [0, 0])], {"dwell_s": 1e-5}, "argument", "an order is one"),
        ("arm", [({"dtype": "<u4", "shape": [0]}, b"")], {"dwell_s": 1e-5}, "argument", "an order is one"),
        ("arm", [array("<u4", 0)], {"dwell_s": 0}, "argument", "dwell_s = 0: 1e-07 to 1000 s"),
        ("arm", [array("<u4", 0)], {"dwell_s": 1e-8}, "argument", "dwell_s = 1e-08"),
        ("arm", [array("<u4", 0)], {"dwell_s": "1 s"}, "argument", "dwell_s = '1 s'"),
        ("arm", [array("<u4", 0)], {}, "argument", "dwell_s = None"),
        ("limits", [array("<f8", -1, -1), array("<f8", 1, 11)], {}, "limit", "limits must lie in -10 to 10 V, lower below upper"),
        ("limits", [array("<f8", 2, 2), array("<f8", 1, 3)], {}, "limit", "lower below upper"),
        ("limits", [array("<f8", -1, float("nan")), array("<f8", 1, 1)], {}, "limit", "limits must lie"),
        ("limits", [array("<f8", -1, -1)], {}, "argument", "limits are two <f8 arrays of 2 volts"),
        ("limits", [array("<f4", -1, -1), array("<f4", 1, 1)], {}, "argument", "two <f8 arrays"),
        ("limits", [array("<f8", -1), array("<f8", 1)], {}, "argument", "of 2 volts"),
        ("fire", [], {"shots": 1, "dwell_s": 1e-5}, "op", "unknown operation 'fire'"),
        ("Bank", [], {}, "op", "unknown operation 'Bank'"),
        ("__init__", [], {}, "op", "unknown operation '__init__'"),
    ],
)
def test_what_it_cannot_do_it_refuses_and_nothing_changes(op: str, arrays: Any, arguments: Any, code: str, words: str) -> None:
    talk = dac()
    talk.ask("bank", array("<i2", [1, 2]), start=0, rows=1)
    talk.ask("arm", array("<u4", 0, 0), dwell_s=1e-6)
    before = state_of(talk)
    found = talk.refused(op, *arrays, **arguments)
    assert found[0] == code
    assert re.search(words, found[1]), found[1]
    assert state_of(talk) == before


def state_of(talk: Talk) -> Any:
    state = talk.ask("state")
    return state["armed"], state["rows"], state["shots"], talk.firmware.volts().tolist(), talk.firmware.bank_version


def test_codes_outside_the_limit_registers_are_refused_from_then_on() -> None:
    talk, scale = dac(), 10 / 32767
    low, high = array("<f8", -1.0, 0.0), array("<f8", 2.0, 10.0)
    reply = talk.ask("limits", low, high)
    assert reply["parts"] == [low[1], high[1]]
    inside, outside = [round(2.0 / scale), 0], [round(2.0 / scale) + 1, 0]
    assert "error" not in talk.ask("bank", array("<i2", inside), start=0, rows=1)
    for codes in (outside, [0, -1], [round(-1.0 / scale) - 1, 5]):
        assert talk.refused("bank", array("<i2", codes), start=0, rows=1) == ("limit", "a code is outside the limit registers")
    talk.ask("limits", array("<f8", -1.0, -1.0), array("<f8", 1.0, 1.0))
    for codes in ([0, round(1.0 / scale) + 1], [round(-1.0 / scale) - 1, 0]):
        assert talk.refused("bank", array("<i2", codes), start=0, rows=1)[0] == "limit"
    assert talk.ask("state")["rows"] == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2.1])
def test_a_float_beyond_the_limits_or_no_number_is_refused(value: float) -> None:
    talk = dac(bits=64)
    talk.ask("limits", array("<f8", -2, -2), array("<f8", 2, 2))
    assert talk.refused("bank", array("<f8", [0.0, value]), start=0, rows=1)[0] == "limit"
    assert "error" not in talk.ask("bank", array("<f8", [2.0, -2.0]), start=0, rows=1)


def test_a_bank_may_come_with_its_order() -> None:
    talk = dac()
    talk.ask("bank", array("<i2", [9, 9]), start=0, rows=1)
    assert talk.ask("arm", array("<u4", 2, 0), array("<i2", *BANK), dwell_s=1e-5)["shots"] == 2
    assert np.rint(talk.firmware.volts() / talk.about["scale"]).tolist() == [[5, 6], [1, 2]]
    before = state_of(talk)
    talk.ask("limits", array("<f8", -1, -1), array("<f8", 1, 1))
    wrong = ((3, [[1, 2]] * 3, "memory"), (0, [[1, 32000]], "limit"), (0, [[1, 2, 3]], "argument"), (0, [[0, 0]] * 9, "memory"))
    for order, bank, code in wrong:
        assert talk.refused("arm", array("<u4", order), array("<i2", *bank), dwell_s=1e-5)[0] == code
    assert talk.refused("arm", array("<u4", 0), array("<i2", [0, 0]), array("<i2", [0, 0]), dwell_s=1e-5)[0] == "argument"
    assert talk.refused("arm", array("<u4", 0), array("<i2", [0, 0]))[0] == "argument"
    assert state_of(talk) == before


def test_an_incomplete_bank_is_not_played() -> None:
    talk = dac()
    talk.ask("bank", array("<i2", [1, 2]), start=0, rows=2)
    assert talk.refused("arm", array("<u4", 0), dwell_s=1e-5) == ("state", "the bank is incomplete: 1 of 2 rows")
    assert dac().refused("arm", array("<u4", 0), dwell_s=1e-5) == ("state", "the bank is incomplete: 0 of 0 rows")


def test_a_repetition_of_the_request_before_gets_the_same_answer_and_does_nothing_twice() -> None:
    talk = dac()
    talk.ask("bank", array("<i2", [1, 2]), start=0, rows=2)
    header = {"op": "bank", "seq": talk.seq + 1, "start": 1, "rows": 2}
    first, again = (talk.raw(dict(header), array("<i2", [3, 4])) for _ in range(2))
    assert first == again
    assert json.loads(first[0])["loaded"] == 2
    header["seq"] += 1
    assert json.loads(talk.raw(dict(header), array("<i2", [3, 4]))[0])["error"]["code"] == "memory"


def test_a_repetition_that_fires_fires_once() -> None:
    talk, fired = adc(), list[tuple[int, float]]()
    talk.firmware.on_fire = lambda shots, dwell_s: fired.append((shots, dwell_s))
    for _ in range(3):
        reply = talk.raw({"op": "fire", "seq": 7, "shots": 4, "dwell_s": 1e-5})
        assert json.loads(reply[0])["shots"] == 4
    assert fired == [(4, 1e-5)]


def test_the_same_number_in_another_session_is_no_repetition() -> None:
    talk, fired = adc(), list[int]()
    talk.firmware.on_fire = lambda shots, dwell_s: fired.append(shots)
    talk.ask("fire", shots=4, dwell_s=1e-5)
    Talk(talk.firmware, session="another").ask("fire", shots=5, dwell_s=1e-5)
    assert fired == [4, 5]


def test_a_refused_request_may_be_sent_again_under_its_number() -> None:
    talk = adc()
    assert "error" in json.loads(talk.raw({"op": "arm", "seq": 9, "shots": 99, "dwell_s": 1e-5})[0])
    assert json.loads(talk.raw({"op": "arm", "seq": 9, "shots": 3, "dwell_s": 1e-5})[0])["shots"] == 3


def recorded(volts: Any, **how: Any) -> Talk:
    talk = adc(**how)
    talk.ask("arm", shots=len(volts), dwell_s=1e-5)
    talk.firmware.record(np.array(volts))
    return talk


def test_what_it_records_is_fetched_as_codes() -> None:
    reply = recorded([[1.0, -2.5], [10.0, 0.0001]]).ask("fetch", start=0)
    codes = struct.unpack("<4h", reply["parts"][0])
    assert codes == (round(3276.7), round(-2.5 * 3276.7), 32767, 0)
    assert (reply["arrays"], reply["start"], reply["shots"]) == ([{"dtype": "<i2", "shape": [2, 2]}], 0, 2)


@pytest.mark.parametrize("bits", range(8, 17))
def test_volts_become_the_nearest_code_of_every_number_of_bits(bits: int) -> None:
    volts = np.random.default_rng(bits).uniform(-10, 10, (50, 2))
    reply = recorded(volts, bits=bits, depth=50).ask("fetch", start=0)
    read = np.frombuffer(reply["parts"][0], "<i2").reshape(50, 2) * (10 / (2 ** (bits - 1) - 1))
    assert np.max(np.abs(read - volts)) <= 0.5001 * 10 / (2 ** (bits - 1) - 1)


@pytest.mark.parametrize(("bits", "dtype"), [(32, "<f4"), (64, "<f8")])
def test_a_float_converter_sends_the_volts_themselves(bits: int, dtype: str) -> None:
    reply = recorded([[1 / 3, 99.0]], bits=bits).ask("fetch", start=0)
    assert np.frombuffer(reply["parts"][0], dtype).tolist() == [float(np.array(1 / 3, dtype)), 99.0]
    assert reply["saturated"] == 0


def test_codes_at_an_end_of_the_range_are_counted() -> None:
    reply = recorded([[10.0, -10.0], [11.0, -99.0], [9.99, -9.99]]).ask("fetch", start=0)
    assert np.frombuffer(reply["parts"][0], "<i2").tolist() == [32767, -32767, 32767, -32767, 32734, -32734]
    assert reply["saturated"] == 4
    assert recorded([[9.99, -9.99]]).ask("fetch", start=0)["saturated"] == 0


def test_every_channel_takes_the_smallest_range_that_holds_what_was_asked() -> None:
    talk = adc(channels=4)
    ranges, scales = talk.ask("range", array("<f8", 0.0011, 0.002, 4.0, 10.0))["parts"]
    assert struct.unpack("<4d", ranges) == pytest.approx((0.002, 0.002, 5.0, 10.0), rel=1e-12)
    assert struct.unpack("<4d", scales) == pytest.approx([r / 32767 for r in (0.002, 0.002, 5.0, 10.0)], rel=1e-12)
    talk.ask("arm", shots=1, dwell_s=1e-5)
    talk.firmware.record(np.full((1, 4), 0.0015))
    reply = talk.ask("fetch", start=0)
    assert np.frombuffer(reply["parts"][0], "<i2").tolist() == [round(0.75 * 32767), round(0.75 * 32767), 10, 5]
    talk.firmware.record(np.full((1, 4), 3.0))
    assert talk.ask("fetch", start=0)["saturated"] == 2


def test_another_range_loses_the_record() -> None:
    talk = recorded([[1.0, 1.0]])
    talk.ask("range", array("<f8", 1.0, 1.0))
    assert talk.refused("fetch", start=0) == ("state", "nothing recorded since the last arm")


@pytest.mark.parametrize(
    ("op", "arrays", "arguments", "code", "words"),
    [
        ("arm", [], {"shots": 9, "dwell_s": 1e-5}, "memory", "shots = 9: the record holds 1 to 8"),
        ("arm", [], {"shots": 0, "dwell_s": 1e-5}, "memory", "shots = 0"),
        ("arm", [], {"shots": 2.0, "dwell_s": 1e-5}, "memory", "shots = 2.0"),
        ("arm", [], {"shots": True, "dwell_s": 1e-5}, "memory", "shots = True"),
        ("arm", [], {"shots": 2, "dwell_s": -1}, "argument", "dwell_s = -1"),
        ("fire", [], {"shots": 0, "dwell_s": 1e-5}, "argument", "shots = 0: a positive number"),
        ("fire", [], {"shots": 2}, "argument", "dwell_s = None"),
        ("fetch", [], {"start": 2}, "argument", "start = 2: the record has 2 rows"),
        ("fetch", [], {"start": -1}, "argument", "start = -1"),
        ("range", [array("<f8", 0.0, 1.0)], {}, "argument", "a full scale lies above 0 and up to 10 V"),
        ("range", [array("<f8", 1.0, 10.5)], {}, "argument", "up to 10 V"),
        ("range", [array("<f8", 1.0, float("nan"))], {}, "argument", "up to 10 V"),
        ("range", [array("<f8", 1.0)], {}, "argument", "one <f8 array of 2 volts"),
        ("bank", [], {}, "op", "unknown operation 'bank'"),
    ],
)
def test_what_an_adc_cannot_do_it_refuses_and_its_record_stays(op: str, arrays: Any, arguments: Any, code: str, words: str) -> None:
    talk = recorded([[1.0, 2.0], [3.0, 4.0]])
    before = talk.ask("fetch", start=0)["parts"]
    found = talk.refused(op, *arrays, **arguments)
    assert found[0] == code
    assert words in found[1]
    assert talk.ask("fetch", start=0)["parts"] == before


def test_arming_forgets_the_last_record_and_safe_disarms() -> None:
    talk = recorded([[1.0, 2.0]])
    talk.ask("arm", shots=2, dwell_s=1e-5)
    assert talk.refused("fetch", start=0)[0] == "state"
    state = talk.ask("state")
    assert (state["armed"], state["rows"], state["shots"]) == (True, 0, 2)
    talk.ask("safe")
    assert talk.ask("state")["armed"] is False


def test_a_long_record_is_fetched_in_blocks() -> None:
    channels = 512
    rows = BLOCK_BYTES // (2 * channels)
    volts = np.repeat(np.arange(rows + 3, dtype=np.float32)[:, None] * 1e-4, channels, axis=1)
    talk = recorded(volts, channels=channels, depth=rows + 3)
    first, second = talk.ask("fetch", start=0), talk.ask("fetch", start=rows)
    assert [len(part) for reply in (first, second) for part in reply["parts"]] == [BLOCK_BYTES, 3 * 2 * channels]
    assert (second["start"], second["shots"]) == (rows, rows + 3)
    joined = np.frombuffer(first["parts"][0] + second["parts"][0], "<i2").reshape(-1, channels)
    assert np.array_equal(joined[:, 7], np.rint(volts[:, 7] * np.float32(3276.7)))


def test_the_trigger_refuses_in_the_words_of_the_bench() -> None:
    talk = adc()

    def disagree(shots: int, dwell_s: float) -> None:
        raise Refusal("state", f"input is armed for 3 shots, not {shots}")

    talk.firmware.on_fire = disagree
    assert talk.refused("fire", shots=4, dwell_s=1e-5) == ("state", "input is armed for 3 shots, not 4")


def bank_request(described: bytes) -> bytes:
    return b'{"op":"bank","seq":2,"arrays":%b}' % described


@pytest.mark.parametrize(
    "parts",
    [
        [], [b""], [b"\xff"], [b"{}"], [b"[]"], [b"3"], [b"null"], [b'{"op":3,"seq":1}'], [b'{"op":"arm"'],
        [b"[" * 5000], [b'{"op":' * 3000], [b'{"op":"arm"}'], [b'{"op":"arm","seq":1.5}'], [b'{"op":"arm","seq":"1"}'],
        [b'{"op":"arm","seq":true}'],
        [b'{"op":"arm","seq":1e400}'], [b'{"op":"arm","seq":1,"session":[]}'], [b'{"op":"arm","seq":5,"shots":1,"dwell_s":1e-5}', b"extra"],
        [bank_request(b'[{"dtype":"<i2","shape":[1,2]}]')], [bank_request(b"[3]"), b"ab"], [bank_request(b"3")],
        [bank_request(b'"a"'), b""], [bank_request(b'[{"dtype":"<i2"}]'), b"ab"],
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused_as_such(parts: list[bytes]) -> None:
    for talk in (dac(), adc()):
        (reply,) = talk.firmware.handle_parts(parts)
        assert json.loads(reply)["error"]["code"] == "header"


@pytest.mark.parametrize(
    ("dtype", "shape", "data"),
    [
        (b'"O"', b"[1]", b"abcdefgh"), (b'">i2"', b"[1]", b"ab"), (b'["<i2"]', b"[1]", b"ab"), (b'"<i2"', b"[2]", b"ab"),
        (b'"<i2"', b"[1]", b"abc"), (b'"<i2"', b"[-1]", b"abcd"), (b'"<i2"', b"3", b"ab"), (b'"<i2"', b'["1"]', b"ab"),
        (b'"<i2"', b"[1.5]", b"ab"), (b'"<i2"', b"[1e30]", b"ab"), (b'"<i2"', b"[true]", b"ab"), (b'"<i2"', b"[999999999999999999]", b"ab"),
    ],
)  # fmt: skip
def test_an_array_that_is_not_as_described_is_refused_as_such(dtype: bytes, shape: bytes, data: bytes) -> None:
    described = b'[{"dtype":%b,"shape":%b}]' % (dtype, shape)
    (reply,) = dac().firmware.handle_parts([bank_request(described), data])
    assert json.loads(reply)["error"]["code"] == "header"
    (good,) = dac(1).firmware.handle_parts([bank_request(b'[{"dtype":"<i2","shape":[1,1]}],"start":0,"rows":1'), b"ab"])
    assert json.loads(good)["loaded"] == 1


OPS = st.sampled_from(["identify", "limits", "bank", "arm", "range", "fire", "fetch", "safe", "state", "x"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
SHAPES = st.lists(st.integers(-1, 3), max_size=3) | JSON
DESCRIBED = st.fixed_dictionaries({"dtype": st.sampled_from(list(LETTERS)) | JSON, "shape": SHAPES})
ARGUMENTS = dict.fromkeys(("session", "start", "rows", "shots", "dwell_s"), JSON) | {"seq": st.integers() | JSON}
REQUESTS = st.fixed_dictionaries({"op": OPS | JSON}, optional=ARGUMENTS | {"arrays": st.lists(DESCRIBED | JSON, max_size=3) | JSON})
FIRST = st.binary(max_size=40) | REQUESTS.map(lambda header: json.dumps(header).encode())


@given(first=FIRST, rest=st.lists(st.binary(max_size=32), max_size=4), kind=st.sampled_from([dac, adc]))
@example(first=b'{"op":"x","seq":' + b"[" * 500 + b"]" * 500 + b"}", rest=[], kind=dac)
@example(first=b'{"op":"arm","seq":1,"shots":' + b"[" * 900 + b"]" * 900 + b"}", rest=[], kind=adc)
@example(first=b'{"op":"x","seq":1' + b"0" * 400 + b"}", rest=[], kind=dac)
@example(first=b'{"op":"fire","seq":1,"shots":1' + b"0" * 30 + b',"dwell_s":1e-5}', rest=[], kind=adc)
@example(first=b'{"op":"fire","seq":1,"shots":5,"dwell_s":1' + b"0" * 400 + b"}", rest=[], kind=adc)
@example(first=b'{"op":"\xed\xa0\x80","seq":1}', rest=[], kind=adc)
@example(first=b'{"op":"\\ud800","seq":1}', rest=[], kind=adc)
@example(first=b'{"op":"state","seq":NaN}', rest=[], kind=adc)
def test_no_bytes_whatever_break_it_or_go_unanswered(first: bytes, rest: list[bytes], kind: Any) -> None:
    talk = kind()
    reply = talk.firmware.handle_parts([first, *rest])
    head = json.loads(reply[0])
    assert ("error" in head) or len(head["arrays"]) == len(reply) - 1
    assert "error" not in talk.ask("state")
