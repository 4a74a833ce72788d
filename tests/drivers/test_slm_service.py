"""The server's side of the SLM protocol over a window, compared message by message with the emulator, which shares no code with it."""

from __future__ import annotations

import json
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.slm_service import MOST_HEADER, SlmService
from labonn.errors import UnknownStateError
from sim_backends.firmware.slm_server import SlmServerFirmware
from sim_backends.firmware.slm_window import WindowTable

PANEL = (12, 20)
ME, YOU = "session-of-mine", "session-of-yours"
PICTURE = np.random.default_rng(4).integers(0, 256, PANEL).astype(np.uint8)


def request(op, *data, seq=1, session=ME, **arguments):
    return [json.dumps({"op": op, "seq": seq, "session": session, **arguments}).encode(), *data]


def asked(service, *parts, **arguments):
    return json.loads(service.handle(request(*parts, **arguments))[0])


def opened(bits=8, panel=PANEL):
    window = WindowTable(panel, bits, "HOLOEYE")
    service = SlmService(window, bits, lambda: 0.0)
    assert asked(service, "open", name="bench", lease_s=10) == {"seq": 1, "lease_s": 10, "shown": 0}
    return service, window


def test_a_frame_goes_to_the_window_as_it_was_sent():
    service, window = opened()
    reply = asked(service, "show", PICTURE.tobytes(), id=1, shape=[12, 20], dtype="|u1", encoding="none")
    assert reply == {"seq": 1, "shown": 1, "before": 0}
    assert np.array_equal(window.frame, PICTURE)
    assert asked(service, "safe", id=2) == {"seq": 1, "shown": 2, "before": 1}
    assert not window.block(12, 20).any()


def test_sixteen_bits_go_to_the_window_in_its_own_byte_order():
    service, window = opened(16)
    asked(service, "show", b"\x02\x01\xff\xff", id=1, shape=[1, 2], dtype="<u2", encoding="none")
    assert window.frame.tolist() == [[0x0102, 0xFFFF]]
    assert window.frame.dtype == np.uint16
    service.blacken()
    assert window.frame.tolist() == [[0]]


def test_query_tells_the_windows_size_and_name_to_anybody():
    about = asked(opened()[0], "query", session=YOU)
    assert (about["panel"], about["bits"], about["model"], about["owner"]) == ([12, 20], 8, "HOLOEYE", "bench")


@pytest.mark.parametrize("problem", [UnknownStateError("was moved"), RuntimeError("no surface"), ValueError("size")])
def test_a_display_that_fails_is_told_in_its_words_and_the_next_frame_may_go(problem, mocker):
    service, window = opened()
    show = mocker.patch.object(window, "show", side_effect=problem)
    about = asked(service, "safe", id=5)
    assert about["error"] == {"code": "panel", "text": f"the display failed: {problem}"}
    show.side_effect = None
    assert "error" in asked(service, "safe", id=5)
    assert asked(service, "safe", id=6) == {"seq": 1, "shown": 6, "before": 0}


def test_a_bomb_is_refused_without_being_inflated():
    service, _ = opened(panel=(1080, 1920))
    bomb = zlib.compress(bytes(100_000_000), 9)[: 1080 * 1920]
    tracemalloc.start()
    about = asked(service, "show", bomb, id=1, shape=[1080, 1920], dtype="|u1", encoding="zlib")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert about["error"]["code"] in ("size", "data")
    assert peak < 8 * 1080 * 1920


def test_the_longest_part_that_can_be_right_is_known_beforehand():
    assert opened(panel=(1080, 1920))[0].most_bytes == 1080 * 1920 + 1080 * 1920 // 1000 + 64
    assert opened()[0].most_bytes == MOST_HEADER
    assert len(zlib.compress(np.random.default_rng(1).bytes(1080 * 1920), 0)) <= 1080 * 1920 + 1080 * 1920 // 1000 + 64


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**60) | st.floats() | st.text(max_size=5) | st.sampled_from(["none", "zlib", "|u1", ME]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=3,
)
OPS = ["query", "open", "show", "show", "show", "safe", "release"]
GOOD = {
    "op": st.sampled_from(OPS), "seq": st.integers(0, 99), "session": st.sampled_from([ME, ME, YOU]), "id": st.integers(1, 30),
    "name": st.just("n"), "lease_s": st.integers(1, 9), "dtype": st.just("|u1"),
    "shape": st.sampled_from([[1, 1], [3, 4], [12, 20], [5, 5]]), "encoding": st.sampled_from(["none", "zlib"]),
}  # fmt: skip
DATA = st.sampled_from(
    [b"\1", bytes(12), PICTURE.tobytes(), zlib.compress(b"\2"), zlib.compress(bytes(12)), zlib.compress(PICTURE.tobytes())]
)


@st.composite
def messages(draw):
    """Mostly sensible requests, some with one field of anything, some that are only bytes; and how long nobody asked before."""
    header = {key: draw(strategy) for key, strategy in GOOD.items()}
    if draw(st.integers(0, 3)) == 0:
        header[draw(st.sampled_from(sorted(header)))] = draw(JSON)
    text = draw(st.binary(max_size=40)) if draw(st.integers(0, 9)) == 0 else json.dumps(header).encode()
    data = [draw(DATA | st.binary(max_size=300))] if header["op"] == "show" or draw(st.integers(0, 19)) == 0 else []
    return draw(st.sampled_from([0.0, 0.0, 0.4, 6.0])), [text, *data]


@settings(max_examples=200)
@given(st.lists(messages(), max_size=20))
def test_service_and_emulator_answer_and_show_the_same(stream):
    now = [0.0]
    window, emulator = WindowTable(PANEL), SlmServerFirmware(PANEL)
    service = SlmService(window, 8, lambda: now[0])
    emulator.now = lambda: now[0]
    for quiet_s, parts in stream:
        now[0] += quiet_s
        ours, theirs = (json.loads(reply[0]) for reply in (service.handle(parts), emulator.handle_parts(parts)))
        if "error" in ours:
            ours["error"], theirs["error"] = ours["error"]["code"], theirs.get("error", {}).get("code")
        for about in (ours, theirs):
            for key in ("maker", "model", "serial"):
                about.pop(key, None)
        assert ours == theirs
        assert window.version == emulator.version
        assert np.array_equal(window.block(12, 20), emulator.block(12, 20))
