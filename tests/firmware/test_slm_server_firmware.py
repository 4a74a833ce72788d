"""The emulated SLM server by itself, message by message as drivers/SLM_PROTOCOL.md has them."""

from __future__ import annotations

import json
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim_backends.firmware.slm_server import SlmServerFirmware

PANEL = (12, 20)
ME, YOU = "session-of-mine", "session-of-yours"
PICTURE = np.random.default_rng(4).integers(0, 256, PANEL).astype(np.uint8)
CODES = {"header", "op", "size", "data", "busy", "lease", "id", "panel"}


class Client:
    """A client that counts by itself, with the clock in its hand."""

    def __init__(self, bits=8):
        self.server = SlmServerFirmware(PANEL, bits, "0007")
        self.time_s = 100.0
        self.server.now = lambda: self.time_s
        self.seq = 0

    def ask(self, op, *data, session=ME, **arguments):
        self.seq += 1
        (reply,) = self.server.handle_parts([json.dumps({"op": op, "seq": self.seq, "session": session, **arguments}).encode(), *data])
        about = json.loads(reply)
        assert about.pop("seq") == self.seq
        return about

    def opened(self, session=ME, lease_s=10):
        assert self.ask("open", session=session, name="bench", lease_s=lease_s) == {"lease_s": lease_s, "shown": 0}
        return self

    def show(self, number, frame=PICTURE, session=ME, **other):
        described = {"shape": list(frame.shape), "dtype": frame.dtype.str, "encoding": "none", **other}
        return self.ask("show", frame.tobytes(), session=session, id=number, **described)

    def refused(self, code, op, *data, **arguments):
        before, version = self.server.frame, self.server.version
        error = self.ask(op, *data, **arguments)["error"]
        assert error["code"] == code, error
        assert (self.server.frame is before, self.server.version) == (True, version)
        return error["text"]


def test_query_needs_no_lease_and_tells_all_of_the_panel():
    assert Client().ask("query", session=YOU) == {
        "protocol": "labonn-slm/1", "maker": "emulated", "model": "SLM", "serial": "0007", "panel": [12, 20], "bits": 8,
        "encodings": ["none", "zlib"], "owner": None, "shown": 0,
    }  # fmt: skip


def test_frames_are_shown_and_told_by_their_ids():
    client = Client().opened()
    assert client.show(3) == {"shown": 3, "before": 0}
    assert np.array_equal(client.server.frame, PICTURE)
    assert client.show(4, PICTURE[:3, :4]) == {"shown": 4, "before": 3}
    assert client.server.block(3, 4).tolist() == PICTURE[:3, :4].tolist()
    assert client.ask("query")["shown"] == 4
    assert client.ask("safe", id=9) == {"shown": 9, "before": 4}
    assert not client.server.block(12, 20).any()
    assert client.server.version == 3
    with pytest.raises(ValueError, match="read-only"):
        client.server.frame[0, 0] = 1


@pytest.mark.parametrize("number", [4, 5])
def test_a_late_or_repeated_frame_is_refused_and_replaces_nothing(number):
    client = Client().opened()
    client.show(5)
    text = client.refused("id", "show", PICTURE.tobytes(), id=number, shape=[12, 20], dtype="|u1", encoding="none")
    assert f"id {number} comes after id 5" in text
    assert client.refused("id", "safe", id=number)


@pytest.mark.parametrize("number", [0, -1, 2**53 + 1, 1.0, True, None, "7"])
def test_an_id_that_is_no_whole_number_is_refused(number):
    assert "1 to 2^53" in Client().opened().refused("header", "safe", id=number)


def test_zlib_of_exactly_a_frame_is_shown():
    client = Client().opened()
    arguments = {"shape": [12, 20], "dtype": "|u1", "encoding": "zlib"}
    assert client.ask("show", zlib.compress(PICTURE.tobytes()), id=1, **arguments) == {"shown": 1, "before": 0}
    assert np.array_equal(client.server.frame, PICTURE)
    wrong = {
        zlib.compress(PICTURE.tobytes())[:-3]: "data", b"nonsense": "data", zlib.compress(PICTURE.tobytes()) + b"x": "data", b"": "data",
        zlib.compress(bytes(241)): "size", zlib.compress(bytes(239)): "size", zlib.compress(bytes(10**7)): "size", bytes(400): "size",
    }  # fmt: skip
    for data, code in wrong.items():
        client.refused(code, "show", data, id=2, **arguments)


@pytest.mark.parametrize(
    "shape", [[5, 20], [24, 40], [12, 0], [12, -20], [12], [12, 20, 1], [12.0, 20], [True, 20], "ab", None, [2**70, 1]]
)
def test_a_shape_that_does_not_divide_the_panel_is_refused(shape):
    Client().opened().refused("size", "show", PICTURE.tobytes(), id=1, shape=shape, dtype="|u1", encoding="none")


@pytest.mark.parametrize("length", [0, 1, 239, 241, 480])
def test_data_of_another_length_is_refused(length):
    text = Client().opened().refused("size", "show", bytes(length), id=1, shape=[12, 20], dtype="|u1", encoding="none")
    assert f"240 bytes are wanted for [12, 20], {length} came" in text


def test_more_bits_are_little_endian_and_codes_above_the_highest_are_refused():
    client = Client(bits=10).opened()
    assert client.show(1, np.array([[0x0102, 1023]], "<u2")) == {"shown": 1, "before": 0}
    assert client.server.frame.tolist() == [[0x0102, 1023]]
    assert "1024" in client.refused("data", "show", b"\x00\x04", id=2, shape=[1, 1], dtype="<u2", encoding="none")
    client.refused("header", "show", b"\x00", id=2, shape=[1, 1], dtype="|u1", encoding="none")


@pytest.mark.parametrize(
    "wrong", [{"dtype": "<f4"}, {"dtype": ">u2"}, {"dtype": None}, {"encoding": "gzip"}, {"encoding": None}, {"encoding": []}]
)
def test_another_dtype_or_encoding_is_refused(wrong):
    arguments = {"shape": [12, 20], "dtype": "|u1", "encoding": "none", **wrong}
    Client().opened().refused("header", "show", PICTURE.tobytes(), id=1, **arguments)


def test_only_the_owner_shows_and_the_others_are_told_who_has_it():
    client = Client()
    assert "free" in client.refused("lease", "safe", id=1)
    client.opened()
    client.show(7)
    client.time_s += 4
    assert "'bench' for another 6.0 s" in client.refused("busy", "open", session=YOU, name="other", lease_s=5)
    assert "'bench' has it" in client.refused("lease", "safe", session=YOU, id=8)
    client.refused("lease", "release", session=YOU)


def test_an_owner_that_was_quiet_too_long_is_replaced_by_the_next_and_ids_begin_anew():
    client = Client().opened()
    client.show(7)
    client.time_s += 9.9
    client.ask("query")
    client.time_s += 9.9
    client.refused("busy", "open", session=YOU, name="other", lease_s=5)
    client.time_s += 0.2
    client.opened(YOU, 5)
    assert np.array_equal(client.server.frame, PICTURE)
    assert "'bench'" in client.refused("lease", "safe", id=8)
    assert client.show(1, session=YOU) == {"shown": 1, "before": 0}


def test_without_another_taker_a_quiet_owner_stays_the_owner():
    client = Client().opened()
    client.show(1)
    client.time_s += 1e6
    assert client.show(2) == {"shown": 2, "before": 1}
    assert client.ask("open", name="bench", lease_s=3) == {"lease_s": 3, "shown": 2}


def test_a_released_slm_is_free_at_once():
    client = Client().opened()
    client.show(1)
    assert client.ask("release") == {}
    client.opened(YOU)


@pytest.mark.parametrize(
    "wrong",
    [{"name": 1}, {"name": "x" * 81}, {"lease_s": 0}, {"lease_s": True}, {"lease_s": 86401}, {"lease_s": "9"}, {"lease_s": float("nan")}],
)
def test_a_lease_needs_a_name_and_a_time(wrong):
    Client().refused("header", "open", **{"name": "bench", "lease_s": 10, **wrong})


@pytest.mark.parametrize(
    "parts",
    [
        [], [b""], [b"{}"], [b"[]"], [b"null"], [b"\xff\xfe"], [b"[" * 4000], [b" " * 5000 + b"{}"],
        [b'{"op":"query","seq":1,"session":"12345678"}'] * 3, [b'{"op":7,"seq":1,"session":"12345678"}'],
        [b'{"op":"query","seq":1.0,"session":"12345678"}'], [b'{"op":"query","seq":-1,"session":"12345678"}'],
        [b'{"op":"query","seq":1,"session":"1234567"}'], [b'{"op":"query","seq":true,"session":"12345678"}'],
        [b'{"op":"query","seq":1,"session":"12345678"}', b"data"], [b'{"op":"show","seq":1,"session":"12345678"}'],
    ],
)  # fmt: skip
def test_a_header_that_is_none_is_refused(parts):
    (reply,) = SlmServerFirmware(PANEL).handle_parts(parts)
    assert json.loads(reply)["error"]["code"] == "header"


def test_an_unknown_operation_is_refused():
    assert "'blink'" in Client().refused("op", "blink")
    assert Client().refused("op", "_put")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**60) | st.floats() | st.text(max_size=5) | st.sampled_from(["none", "zlib", "|u1", ME]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)
HEADERS = st.fixed_dictionaries(
    {
        "op": st.sampled_from(["query", "open", "show", "safe", "release"]) | JSON, "seq": st.integers(0, 9) | JSON,
        "session": st.sampled_from([ME, YOU]) | JSON,
    },
    optional={
        "id": st.integers(0, 20) | JSON, "name": st.just("n") | JSON, "lease_s": st.integers(1, 9) | JSON, "dtype": st.just("|u1") | JSON,
        "shape": st.sampled_from([[1, 1], [3, 4], [12, 20]]) | JSON, "encoding": st.sampled_from(["none", "zlib"]) | JSON,
    },
)  # fmt: skip
DATA = st.sampled_from([b"\1", bytes(12), PICTURE.tobytes(), zlib.compress(bytes(12)), zlib.compress(PICTURE.tobytes())]) | st.binary(
    max_size=300
)


@given(st.lists(st.tuples(HEADERS | st.binary(max_size=60), st.lists(DATA, max_size=2)), max_size=12))
def test_whatever_comes_is_answered_by_one_reply_with_a_known_code(messages):
    server = SlmServerFirmware(PANEL)
    for header, data in messages:
        version = server.version
        (reply,) = server.handle_parts([header if isinstance(header, bytes) else json.dumps(header).encode(), *data])
        about = json.loads(reply)
        if "error" in about:
            assert about["error"]["code"] in CODES
            assert server.version == version
        else:
            assert about["seq"] == header["seq"]


def test_it_is_built_from_the_ports_options():
    server = SlmServerFirmware.for_port({"shape": [3, 4], "panel": [12, 20], "bits": 12, "encoding": "zlib"}, 12, seed=0x1ABCD)
    assert (server.size, server.bits, server.serial) == ((12, 20), 12, "ABCD")
    assert not server.block(3, 4).any()
    with pytest.raises(ValueError, match="shape 3 x 4 is 12 macropixels, the port has 13 channels"):
        SlmServerFirmware.for_port({"shape": [3, 4]}, 13, seed=1)
    with pytest.raises(ValueError, match="bits = 17"):
        SlmServerFirmware(PANEL, 17)


def test_its_own_time_is_that_of_gigabit_ethernet():
    server = SlmServerFirmware(PANEL)
    assert server.wire_s(125_000_000 - 4, 4) == pytest.approx(1.0)
    assert server.time_s == pytest.approx(1.0)
