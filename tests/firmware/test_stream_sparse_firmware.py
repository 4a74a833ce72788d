"""Sparse banks and bursts of the emulated streaming instruments, against the same banks written out as frames."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim_backends.firmware.stream import StreamAdcFirmware, StreamDacFirmware
from sim_backends.firmware.stream_banks import Changes, Dither
from sim_backends.firmware.stream_messages import Refusal

FORMATS = {12: "<i2", 16: "<i2", 32: "<f4", 64: "<f8"}


class Talk:
    """Asks one instrument, counting."""

    def __init__(self, firmware: Any) -> None:
        self.firmware, self.seq = firmware, 0
        self.about = self.ask("identify", session="s")

    def ask(self, op: str, *arrays: Any, **arguments: Any) -> dict[str, Any]:
        self.seq += 1
        header = {"op": op, "seq": self.seq, "arrays": [{"dtype": a.dtype.str, "shape": a.shape} for a in arrays], **arguments}
        head, *parts = self.firmware.handle_parts([json.dumps(header).encode(), *(a.tobytes() for a in arrays)])
        found: dict[str, Any] = json.loads(head)
        return found | {"parts": parts}

    def refused(self, op: str, *arrays: Any, **arguments: Any) -> tuple[str, str]:
        error = self.ask(op, *arrays, **arguments)["error"]
        return error["code"], error["text"]


def order(*rows: int) -> Any:
    return np.array(rows, "<u4")


def frames_of(form: str, arrays: Any) -> list[list[float]]:
    """The protocol's table of forms, written as loops."""
    if form == "changes":
        base, channels, values = (a.tolist() for a in arrays)
        frames = [list(base) for _ in channels]
        for frame, named, new in zip(frames, channels, values, strict=True):
            for channel, value in zip(named, new, strict=True):
                frame[channel] = value
        return frames
    minus, plus, signs = (a.tolist() for a in arrays)
    return [[plus[c] if row[c // 8] & (128 >> c % 8) else minus[c] for c in range(len(minus))] for row in signs]


@st.composite
def sparse_banks(draw: st.DrawFn, bits: int) -> tuple[str, list[Any], int]:
    """(form, arrays, channels) of codes that reach up to 4 of 10 V."""
    channels, rows, n = draw(st.integers(1, 19)), draw(st.integers(1, 6)), draw(st.integers(0, 3))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    top = 4.0 if bits > 16 else 0.4 * (2 ** (bits - 1) - 1)

    def codes(*shape: int) -> Any:
        return rng.uniform(-top, top, shape).astype(FORMATS[bits])

    if draw(st.booleans()):
        return "changes", [codes(channels), rng.integers(0, channels, (rows, n)).astype("<u4"), codes(rows, n)], channels
    return "dither", [codes(channels), codes(channels), rng.integers(0, 256, (rows, -(-channels // 8))).astype("|u1")], channels


@given(data=st.data(), bits=st.sampled_from(list(FORMATS)))
def test_a_sparse_bank_plays_what_its_frames_play(data: st.DataObject, bits: int) -> None:
    form, arrays, channels = data.draw(sparse_banks(bits))
    frames = np.array(frames_of(form, arrays), FORMATS[bits])
    rows = np.array(data.draw(st.lists(st.integers(0, len(frames) - 1), min_size=1, max_size=9)), "<u4")
    sparse, dense = Talk(StreamDacFirmware(channels, bits)), Talk(StreamDacFirmware(channels, bits))
    assert "error" not in sparse.ask("arm", rows, *arrays, dwell_s=1e-6, form=form)
    assert "error" not in dense.ask("arm", rows, frames, dwell_s=1e-6)
    assert np.array_equal(sparse.firmware.volts(), dense.firmware.volts())
    assert sparse.firmware.volts().dtype == dense.firmware.volts().dtype
    bank = sparse.firmware.bank
    assert isinstance(bank, Changes if form == "changes" else Dither)
    assert np.array_equal(bank.rows(rows), dense.firmware.bank[rows])
    assert sparse.firmware.bank is bank


def test_the_light_gets_base_amplitude_and_signs_of_a_dither() -> None:
    talk = Talk(StreamDacFirmware(3, 64))
    minus, plus, signs = np.array([1.0, 2.0, 5.0]), np.array([3.0, 2.5, 4.0]), np.array([[0b10100000]], "|u1")
    talk.ask("arm", order(0), minus, plus, signs, dwell_s=1e-6, form="dither")
    bank = talk.firmware.bank
    assert (bank.base.tolist(), bank.amplitude.tolist()) == ([2, 2.25, 4.5], [1, 0.25, -0.5])
    assert talk.firmware.volts().tolist() == [[3, 2, 4]]


@given(data=st.data(), bits=st.sampled_from([16, 64]))
def test_a_sparse_bank_is_refused_where_its_frames_are(data: st.DataObject, bits: int) -> None:
    form, arrays, channels = data.draw(sparse_banks(bits))
    if form == "changes":  # what no row plays is checked too: name no channel twice, and let a row play the base
        arrays[1:] = [a[:, :1] for a in arrays[1:]]
        arrays[1:] = [np.concatenate([a[:1] * 0 if i else a[:1], a]) for i, a in enumerate(arrays[1:])]
        arrays[2][0] = arrays[0][arrays[1][0]]
    else:
        arrays[2] = np.concatenate([arrays[2], np.full_like(arrays[2][:2], 255) * np.array([[0], [1]], "|u1")])
    frames = np.array(frames_of(form, arrays), FORMATS[bits])
    limit = np.array(data.draw(st.lists(st.floats(1.0, 4.5), min_size=channels, max_size=channels)), "<f8")
    answers = []
    for request in ({"form": form, "arrays": arrays}, {"form": "dense", "arrays": [frames]}):
        talk = Talk(StreamDacFirmware(channels, bits))
        talk.ask("limits", -limit, limit)
        reply = talk.ask("bank", *request["arrays"], start=0, rows=len(frames), form=request["form"])
        answers.append((reply.get("error"), reply.get("loaded")))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("form", ["changes", "dither"])
@pytest.mark.parametrize("bad", [2.1, np.nan, -np.inf])
def test_a_base_or_level_or_change_outside_the_limits_is_refused_also_where_no_row_plays_it(form: str, bad: float) -> None:
    talk = Talk(StreamDacFirmware(2, 64))
    talk.ask("limits", np.array([-2.0, -3.0]), np.array([2.0, 3.0]))
    good: list[Any] = [np.array([2.0, 3.0]), np.array([[0]], "<u4"), np.array([[1.0]])]
    if form == "dither":
        good = [np.array([2.0, 3.0]), np.array([2.0, 3.0]), np.array([[0]], "|u1")]
    assert "error" not in talk.ask("bank", *good, start=0, rows=1, form=form)
    version = talk.firmware.bank_version
    for index in [0, 2] if form == "changes" else [0, 1]:
        wrong = [a.copy() for a in good]
        wrong[index].flat[0] = bad
        assert talk.refused("bank", *wrong, start=0, rows=1, form=form) == ("limit", "a code is outside the limit registers")
    assert talk.firmware.bank_version == version


def test_a_sparse_bank_may_come_in_blocks_on_the_same_base() -> None:
    talk = Talk(StreamDacFirmware(4, 64))
    base, channels, values = np.arange(4.0), np.array([[3], [0], [1]], "<u4"), np.array([[7.0], [8.0], [9.0]])
    assert talk.ask("bank", base, channels[:2], values[:2], start=0, rows=3, form="changes")["loaded"] == 2
    assert talk.refused("arm", order(0), dwell_s=1e-6)[0] == "state"
    words = ("memory", "a block of another bank")
    assert talk.refused("bank", base + 1, channels[2:], values[2:], start=2, rows=3, form="changes") == words
    assert talk.refused("bank", base, channels[2:, :0], values[2:, :0], start=2, rows=3, form="changes") == words
    assert talk.refused("bank", base, base, np.zeros((1, 1), "|u1"), start=2, rows=3, form="dither") == words
    assert talk.refused("bank", base[None], start=2, rows=3) == words
    assert talk.ask("bank", base, channels[2:], values[2:], start=2, rows=3, form="changes")["loaded"] == 3
    talk.ask("arm", order(2, 0, 1), dwell_s=1e-6)
    assert talk.firmware.volts().tolist() == [[0, 9, 2, 3], [0, 1, 2, 7], [8, 1, 2, 3]]
    minus, plus, signs = base, base + 4, np.array([[0x80], [0x10]], "|u1")
    for k in range(2):
        assert talk.ask("bank", minus, plus, signs[k : k + 1], start=k, rows=2, form="dither")["loaded"] == k + 1
    talk.ask("arm", order(0, 1), dwell_s=1e-6)
    assert talk.firmware.volts().tolist() == [[4, 1, 2, 3], [0, 1, 2, 7]]
    assert talk.ask("bank", minus, plus, signs[:1], start=0, rows=2, form="dither")["loaded"] == 1
    assert talk.refused("bank", minus, plus + 1, signs[1:], start=1, rows=2, form="dither") == words


V, N, S = np.zeros(2), np.zeros((1, 1), "<u4"), np.zeros((1, 1), "|u1")


@pytest.mark.parametrize(
    ("form", "arrays", "code", "words"),
    [
        ("sparse", [V], "argument", "form = 'sparse': known are dense, changes, dither"),
        (["dense"], [V], "argument", "form = ['dense']"),
        ("changes", [V, N], "argument", "changes are (2,) of <f8, (k, n) of <u4 and (k, n) of <f8"),
        ("changes", [V, N, np.zeros((2, 1))], "argument", "changes are"),
        ("changes", [V, N.astype("<i2"), np.zeros((1, 1))], "argument", "changes are"),
        ("changes", [V[:1], N, np.zeros((1, 1))], "argument", "changes are"),
        ("changes", [V, N + np.uint32(2), np.zeros((1, 1))], "argument", "changes name channel 2; there are 0 to 1"),
        ("changes", [V, N[:0], np.zeros((0, 1))], "argument", "an empty block"),
        ("dither", [V, V], "argument", "a dither is twice (2,) of <f8, and (k, 1) of |u1"),
        ("dither", [V, V, np.zeros((1, 2), "|u1")], "argument", "a dither is"),
        ("dither", [V, V[:1], S], "argument", "a dither is"),
        ("dither", [V, V, S[:0]], "argument", "an empty block"),
        ("dense", [V, V, S], "argument", "a bank is one (k, 2) array of <f8"),
        ("dither", [V, V, np.zeros((9, 1), "|u1")], "memory", "rows = 9: the memory holds 1 to 8"),
    ],
)
def test_what_is_no_bank_of_its_form_is_refused_and_nothing_changes(form: Any, arrays: Any, code: str, words: str) -> None:
    talk = Talk(StreamDacFirmware(2, 64, depth=8))
    talk.ask("arm", order(0), np.ones((1, 2)), dwell_s=1e-6)
    rows = max(1, len(arrays[-1]))
    for op, before, arguments in (("bank", [], {"start": 0, "rows": rows}), ("arm", [order(0)], {"dwell_s": 1e-6})):
        found = talk.refused(op, *before, *arrays, form=form, **arguments)
        assert found[0] == code
        assert words in found[1]
        assert talk.firmware.armed
        assert talk.firmware.volts().tolist() == [[1, 1]]


# bursts


def test_both_say_how_many_bursts_and_which_banks_they_take() -> None:
    assert Talk(StreamDacFirmware(2)).about["banks"] == ["dense", "changes", "dither"]
    assert Talk(StreamDacFirmware(2)).about["bursts"] == Talk(StreamAdcFirmware(2)).about["bursts"] > 1000


def test_a_dac_stays_armed_until_its_last_burst() -> None:
    talk = Talk(StreamDacFirmware(2, 64))
    talk.ask("arm", order(0), np.ones((1, 2)), dwell_s=1e-6, bursts=3)
    left = []
    for _ in range(3):
        left.append((talk.firmware.armed, talk.firmware.bursts_left))
        talk.firmware.played()
    assert left == [(True, 3), (True, 2), (True, 1)]
    assert not talk.firmware.armed
    talk.ask("arm", order(0), dwell_s=1e-6, bursts=3)
    talk.ask("safe")
    assert not talk.firmware.armed
    talk.ask("arm", order(0), dwell_s=1e-6)
    talk.firmware.played()
    assert not talk.firmware.armed


@pytest.mark.parametrize("bursts", [0, -1, 1.0, True, "2", None, 1 << 40])
def test_bursts_that_make_no_sense_are_refused(bursts: Any) -> None:
    dac, adc = Talk(StreamDacFirmware(2, 64)), Talk(StreamAdcFirmware(2))
    dac.ask("bank", np.ones((1, 2)), start=0, rows=1)
    assert dac.refused("arm", order(0), dwell_s=1e-6, bursts=bursts)[0] == "argument"
    assert adc.refused("arm", shots=1, dwell_s=1e-6, bursts=bursts)[0] == "argument"
    assert not dac.firmware.armed
    assert adc.firmware.armed_shots == 0


def test_the_record_holds_all_bursts_or_is_refused() -> None:
    talk = Talk(StreamAdcFirmware(2, depth=8))
    assert talk.refused("arm", shots=3, dwell_s=1e-6, bursts=3) == ("memory", "shots = 3 in 3 bursts: the record holds 1 to 8")
    assert talk.ask("arm", shots=4, dwell_s=1e-6, bursts=2)["shots"] == 4


def volts(shots: int, value: float) -> Any:
    return np.full((shots, 2), value)


def read(talk: Talk) -> list[float]:
    reply = talk.ask("fetch", start=0)
    assert "error" not in reply, reply["error"]
    rows: list[float] = np.frombuffer(reply["parts"][0], "<f8").reshape(-1, 2)[:, 0].tolist()
    return rows


def test_bursts_recorded_one_by_one_are_fetched_together() -> None:
    talk = Talk(StreamAdcFirmware(2, 64))
    talk.ask("arm", shots=2, dwell_s=1e-6, bursts=3)
    for burst in range(3):
        assert (talk.firmware.armed_shots, talk.firmware.firings) == (2, burst)
        talk.firmware.record(volts(2, float(burst)))
        if burst < 2:
            assert talk.refused("fetch", start=0) == ("state", f"{burst + 1} of 3 bursts were fired")
    assert talk.firmware.armed_shots == 0
    assert read(talk) == [0, 0, 1, 1, 2, 2]
    assert read(talk) == [0, 0, 1, 1, 2, 2]


def test_codes_at_the_ends_of_the_range_are_counted_over_all_bursts() -> None:
    talk = Talk(StreamAdcFirmware(2))
    talk.ask("arm", shots=1, dwell_s=1e-6, bursts=2)
    talk.firmware.record(volts(1, 11.0))
    talk.firmware.record(volts(1, -11.0))
    assert talk.ask("fetch", start=0)["saturated"] == 4
    talk.ask("arm", shots=1, dwell_s=1e-6)
    talk.firmware.record(volts(1, 1.0))
    assert talk.ask("fetch", start=0)["saturated"] == 0


def test_a_light_may_compute_all_bursts_when_they_are_fetched() -> None:
    talk, asked = Talk(StreamAdcFirmware(2, 64)), list[int]()
    adc = talk.firmware

    def fetch() -> None:
        asked.append(1)
        adc.record(np.repeat(np.arange(3.0), 2)[:, None] * np.ones(2))

    adc.on_fire, adc.on_fetch = (lambda shots, dwell_s: adc.will_record()), fetch
    talk.ask("arm", shots=2, dwell_s=1e-6, bursts=3)
    for _ in range(3):
        talk.ask("fire", shots=2, dwell_s=1e-6)
    assert talk.ask("state")["rows"] == 6
    assert not asked
    assert read(talk) == read(talk) == [0, 0, 1, 1, 2, 2]
    assert asked == [1]


def test_what_goes_wrong_in_the_light_at_the_fetch_is_a_refusal_and_may_be_asked_again() -> None:
    talk = Talk(StreamAdcFirmware(2, 64))
    adc = talk.firmware

    def dark() -> None:
        raise Refusal("state", "the laser is off")

    talk.ask("arm", shots=1, dwell_s=1e-6, bursts=2)
    adc.will_record()
    adc.will_record()
    adc.on_fetch = dark
    assert talk.refused("fetch", start=0) == ("state", "the laser is off")
    adc.on_fetch = lambda: None
    assert talk.refused("fetch", start=0)[0] == "state"
    adc.on_fetch = lambda: adc.record(volts(2, 5.0))
    assert read(talk) == [5, 5]


def test_a_light_that_does_not_keep_its_promise_is_told() -> None:
    talk = Talk(StreamAdcFirmware(2, 64))
    with pytest.raises(ValueError, match="not armed"):
        talk.firmware.will_record()
    talk.ask("arm", shots=2, dwell_s=1e-6, bursts=2)
    talk.firmware.will_record()
    talk.firmware.will_record()
    with pytest.raises(ValueError, match="3 rows are recorded, and 4 were promised"):
        talk.firmware.record(volts(3, 1.0))


@pytest.mark.parametrize("end", ["arm", "range", "safe"])
def test_what_is_left_of_the_bursts_is_given_up(end: str) -> None:
    talk = Talk(StreamAdcFirmware(2, 64))
    talk.ask("arm", shots=1, dwell_s=1e-6, bursts=3)
    talk.firmware.record(volts(1, 1.0))
    talk.firmware.will_record()
    if end == "range":
        talk.ask("range", np.ones(2))
    else:
        talk.ask(end, **({"shots": 1, "dwell_s": 1e-6} if end == "arm" else {}))
    assert talk.refused("fetch", start=0)[0] == "state"
    assert (talk.firmware.armed_shots > 0) == (end == "arm")
    talk.ask("arm", shots=1, dwell_s=1e-6)
    talk.firmware.record(volts(1, 7.0))
    assert read(talk) == [7]
