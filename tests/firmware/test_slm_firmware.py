"""The emulated SLMs by themselves, as their manuals have it."""

from __future__ import annotations

import bz2
import gzip
import itertools
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim_backends.firmware.slm_slmpy import SlmDisplayTable, SlmPyServerFirmware
from sim_backends.firmware.slm_window import WindowTable

PANEL = (12, 20)
PICTURE = np.random.default_rng(4).integers(0, 256, PANEL).astype(np.uint8)
PACK = {"zlib": zlib.compress, "gzip": gzip.compress, "bz2": bz2.compress, "none": bytes}


def message(data: bytes) -> bytes:
    return struct.pack("<i", len(data)) + data


def test_a_window_keeps_the_frame_it_was_given_and_counts():
    window = WindowTable(PANEL, name="HDMI-2")
    frame = np.arange(12, dtype=np.uint8).reshape(3, 4)
    window.show(frame)
    frame[:] = 0
    assert window.frame.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert (window.version, window.size(), window.name()) == (1, PANEL, "HDMI-2")
    with pytest.raises(ValueError, match="read-only"):
        window.frame[0, 0] = 1


@pytest.mark.parametrize(
    ("bits", "frame", "error"),
    [
        (8, np.zeros((3, 4)), TypeError),
        (8, np.zeros((3, 4), np.uint16), TypeError),
        (10, np.zeros((3, 4), np.uint8), TypeError),
        (8, np.zeros((3, 4, 3), np.uint8), TypeError),
        (8, np.zeros((5, 4), np.uint8), ValueError),
        (8, np.zeros((24, 40), np.uint8), ValueError),
        (8, np.zeros((0, 4), np.uint8), ValueError),
        (10, np.full((3, 4), 1024, np.uint16), ValueError),
    ],
)
def test_a_window_refuses_what_a_real_one_would_show_wrong(bits, frame, error):
    window = WindowTable(PANEL, bits)
    with pytest.raises(error):
        window.show(frame)
    assert (window.frame, window.version) == (None, 0)


def test_the_highest_code_of_ten_bits_is_shown():
    window = WindowTable(PANEL, 10)
    window.show(np.full((3, 4), 1023, np.uint16))
    assert window.block(3, 4).tolist() == [[1023] * 4] * 3


def test_the_block_of_a_frame_of_macropixels_is_a_view():
    window = WindowTable((1080, 1920))
    window.show(np.arange(135 * 960, dtype=np.uint32).astype(np.uint8).reshape(135, 960))
    block = window.block(128, 784)
    assert np.shares_memory(block, window.frame)
    assert np.array_equal(block, window.frame[3:131, 88:872])


@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_the_block_is_the_same_whether_the_frame_comes_small_or_full(height, width, data):
    rows, columns = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    sides = [max(s for s in range(1, n + 1) if n % s == 0 and s * c <= n) for n, c in ((height, rows), (width, columns))]
    small = np.random.default_rng(0).integers(0, 256, (height // sides[0], width // sides[1])).astype(np.uint8)
    window, display = WindowTable((height, width)), SlmDisplayTable((height, width))
    window.show(small)
    display.updateArray(np.kron(small, np.ones(sides, np.uint8)))
    assert np.array_equal(window.block(rows, columns), display.block(rows, columns))
    top, left = (small.shape[0] - rows) // 2, (small.shape[1] - columns) // 2
    assert np.array_equal(window.block(rows, columns), small[top : top + rows, left : left + columns])


def test_a_frame_coarser_than_the_macropixels_is_sampled_where_they_are():
    window = WindowTable((12, 12))
    window.show(np.array([[1, 2, 3]], np.uint8))
    assert window.block(1, 6).tolist() == [[1, 1, 2, 2, 3, 3]]


def test_everything_is_black_before_the_first_frame():
    for screen in (WindowTable(PANEL), SlmDisplayTable(PANEL), SlmPyServerFirmware(PANEL)):
        assert screen.frame is None
        assert not screen.block(3, 4).any()
        assert screen.block(3, 4).shape == (3, 4)


@pytest.mark.parametrize("kind", [WindowTable, SlmDisplayTable, SlmPyServerFirmware])
def test_each_is_built_from_the_ports_options(kind):
    emulator = kind.for_port({"shape": [3, 4], "panel": [12, 20]}, 12, seed=1)
    assert (emulator.size() if kind is WindowTable else emulator.panel) == PANEL
    assert kind.for_port({"shape": [3, 4]}, 12, seed=1).block(3, 4).shape == (3, 4)
    with pytest.raises(ValueError, match="shape 3 x 4 is 12 macropixels, the port has 13 channels"):
        kind.for_port({"shape": [3, 4]}, 13, seed=1)


def test_a_window_of_more_bits_is_built_from_the_options():
    WindowTable.for_port({"shape": [3, 4], "panel": [12, 20], "bits": 12}, 12, 0).show(np.full((3, 4), 4095, np.uint16))


def test_slmpys_display_reports_width_first_and_shows_full_pictures():
    display = SlmDisplayTable(PANEL)
    assert display.getSize() == (20, 12)
    display.updateArray(PICTURE)
    assert np.array_equal(display.frame, PICTURE)
    assert (display.version, display.slept_s) == (1, 0.2)


@pytest.mark.parametrize(("array", "error"), [(PICTURE / 255, TypeError), (PICTURE[:3, :4], ValueError), (PICTURE.T, ValueError)])
def test_slmpys_display_refuses_loudly_what_the_real_one_draws_wrong(array, error):
    display = SlmDisplayTable(PANEL)
    with pytest.raises(error, match="slmPy"):
        display.updateArray(array)
    assert display.version == 0


def test_slmpys_display_is_gone_after_close():
    display = SlmDisplayTable(PANEL)
    display.close()
    with pytest.raises(RuntimeError, match="deleted"):
        display.updateArray(PICTURE)


@pytest.mark.parametrize("compression", PACK)
def test_the_server_answers_done_and_shows_the_picture(compression):
    server = SlmPyServerFirmware.for_port({"shape": [3, 4], "panel": PANEL, "compression": compression}, 12, 0)
    assert server.feed(message(PACK[compression](PICTURE.tobytes()))) == b"done"
    assert np.array_equal(server.frame, PICTURE)
    assert server.version == 1


@given(st.lists(st.integers(0, 300), max_size=6))
def test_a_message_may_arrive_in_any_pieces(cuts):
    server, data = SlmPyServerFirmware(PANEL), message(zlib.compress(PICTURE.tobytes()))
    edges = [0, *sorted(min(cut, len(data) - 1) for cut in cuts), len(data)]
    answers = [server.feed(data[a:b]) for a, b in itertools.pairwise(edges)]
    assert answers == [b""] * (len(answers) - 1) + [b"done"]
    assert np.array_equal(server.frame, PICTURE)


def test_a_second_message_in_the_same_packet_is_lost_as_in_the_real_server():
    server, data = SlmPyServerFirmware(PANEL), message(zlib.compress(PICTURE.tobytes()))
    assert server.feed(data + data) == b"done"
    assert server.feed(data) == b"done"
    assert server.version == 2


@pytest.mark.parametrize("size", [0, 1, 239, 241, 100_000])
def test_a_picture_of_another_size_is_an_error_and_the_next_one_is_shown(size):
    server = SlmPyServerFirmware(PANEL)
    assert server.feed(message(zlib.compress(bytes(size)))) == b"err"
    assert server.frame is None
    assert server.feed(message(zlib.compress(PICTURE.tobytes()))) == b"done"


@pytest.mark.parametrize("length", [0, -1, -(2**31), 2**31 - 1, 10_000])
def test_an_impossible_length_is_an_error_and_nothing_is_awaited(length):
    server = SlmPyServerFirmware(PANEL)
    assert server.feed(struct.pack("<i", length)) == b"err"
    assert server.feed(message(zlib.compress(PICTURE.tobytes()))) == b"done"


@pytest.mark.parametrize("compression", ["zlib", "gzip", "bz2"])
def test_packed_data_that_does_not_end_is_an_error(compression):
    server = SlmPyServerFirmware(PANEL, compression)
    assert server.feed(message(PACK[compression](PICTURE.tobytes())[:-5])) == b"err"
    assert server.version == 0


@given(st.sampled_from(sorted(PACK)), st.lists(st.binary(max_size=400), max_size=8))
def test_no_bytes_make_the_server_stumble(compression, pieces):
    server = SlmPyServerFirmware(PANEL, compression)
    for piece in pieces:
        assert server.feed(piece) in (b"", b"done", b"err")
        assert len(server._received) < 10_000
    assert server.frame is None or server.frame.shape == PANEL


@given(st.sampled_from(sorted(PACK)), st.binary(max_size=300))
def test_no_framed_bytes_make_the_server_stumble(compression, data):
    server = SlmPyServerFirmware(PANEL, compression)
    assert server.feed(message(data)) == (b"done" if compression == "none" and len(data) == 240 else b"err")


def test_an_unknown_compression_is_refused():
    with pytest.raises(ValueError, match="lzma"):
        SlmPyServerFirmware(PANEL, "lzma")


def test_time_on_the_wire_is_that_of_gigabit_ethernet():
    assert SlmPyServerFirmware(PANEL).wire_s(125_000_000 - 4, 4) == pytest.approx(1.0)
