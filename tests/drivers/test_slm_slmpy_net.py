"""The network driver and its link against an emulated server on a real loopback socket."""

from __future__ import annotations

import contextlib
import math
import socket
import struct
import threading
import time
import zlib

import numpy as np
import pytest

from drivers.macropixel_slm import TRIES
from drivers.slm_slmpy_net import SlmPyNetworkSlm
from labonn.clock import SimulatedClock
from labonn.devices import SpatialLightModulator
from labonn.errors import ConnectError, DesyncError, LinkClosedError, LinkError, LinkTimeoutError, RefusedError
from labonn.links import connect
from labonn.transports.slmpy import frame
from sim_backends.firmware.slm_slmpy import SlmPyServerFirmware
from sim_backends.slmpylinks import simulated_link

ONE = np.array([0])
PANEL = (24, 40)
PICTURE = bytes(range(240)) * 4


class Server:
    """Serves one connection after the other; `answer` (received, answered by the firmware) -> what is really sent, None to hang up."""

    def __init__(self, compression="zlib", answer=None):
        self.firmware = SlmPyServerFirmware(PANEL, compression)
        self.answer, self.connections = answer or (lambda n, reply: reply), 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"slmpynet://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        answers = 0
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            with client, contextlib.suppress(OSError):
                while data := client.recv(1 << 16):
                    if reply := self.firmware.feed(data):
                        answers += 1
                        if (said := self.answer(answers, reply)) is None:
                            break
                        client.sendall(said)

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)


@pytest.fixture
def serve():
    with contextlib.ExitStack() as stack:

        def start(*args, **keywords):
            server = Server(*args, **keywords)
            stack.callback(server.close)
            return server

        yield start


def opened(server, query=""):
    link = connect(server.url + query)
    return SlmPyNetworkSlm(link, SlmPyNetworkSlm.Options(shape=(3, 5), panel=PANEL), "weights")


@pytest.mark.parametrize("compression", ["zlib", "gzip", "bz2", "none"])
def test_weights_arrive_over_the_wire_as_the_right_codes(serve, compression):
    server = serve(compression)
    driver = opened(server, f"?compression={compression}")
    assert isinstance(driver, SpatialLightModulator)
    assert server.firmware.version == 0
    driver.prepare(driver.spec)
    assert not server.firmware.frame.any()
    codes = np.arange(0, 255, 17).reshape(3, 5)
    driver.load(-np.cos(math.pi * codes.reshape(1, -1) / 255), ONE, 1e-3)
    driver.arm()
    driver.close()
    assert np.array_equal(server.firmware.frame, np.kron(codes, np.ones((8, 8))))
    assert np.array_equal(server.firmware.block(3, 5), codes)
    assert server.connections == 1


def test_a_message_is_the_length_little_endian_and_the_compressed_bytes():
    message = frame(PICTURE, "zlib")
    assert struct.unpack("<i", message[:4]) == (len(message) - 4,)
    assert zlib.decompress(message[4:]) == PICTURE
    assert frame(b"\1\2", "none") == b"\2\0\0\0\1\2"


def test_err_is_a_refusal_with_the_servers_word_and_the_next_frame_still_goes(serve):
    server = serve(answer=lambda n, reply: b"err" if n <= TRIES else reply)
    driver = opened(server)
    with pytest.raises(RefusedError, match="weights: the slmPy server answered 'err' to a frame of 24 x 40 pixels"):
        driver.safe()
    driver.safe()
    driver.close()
    assert server.connections == 1


def test_a_server_with_another_panel_refuses(serve):
    server = serve()
    driver = SlmPyNetworkSlm(connect(server.url), SlmPyNetworkSlm.Options(shape=(3, 5), panel=(24, 48)), "weights")
    with pytest.raises(RefusedError, match="24 x 48 pixels; is that its panel"):
        driver.safe()
    driver.close()


def test_a_late_answer_is_never_taken_for_that_of_the_next_frame(serve):
    def answer(n, reply):
        if n == 1:
            asked_again.wait(5)
            return b"err"
        return reply

    asked_again = threading.Event()
    server = serve(answer=answer)
    link = connect(server.url + "?timeout_s=0.1")
    with pytest.raises(LinkTimeoutError, match=r"no answer within 0.1 s; the panel may show the old or the new frame"):
        link.exchange(PICTURE)
    asked_again.set()
    assert link.exchange(PICTURE) == b"done"
    assert server.connections == 2
    link.close()


@pytest.mark.parametrize("part", [b"", b"d", b"er"])
def test_half_an_answer_or_none_times_out_in_time(serve, part):
    link = connect(serve(answer=lambda n, reply: part).url + "?timeout_s=0.1")
    start = time.perf_counter()
    with pytest.raises(LinkTimeoutError):
        link.exchange(PICTURE)
    assert 0.1 <= time.perf_counter() - start < 1
    link.close()


def test_a_server_that_hangs_up_is_a_closed_link_and_the_next_frame_reconnects(serve):
    server = serve(answer=lambda n, reply: None if n == 1 else reply)
    link = connect(server.url)
    with pytest.raises(LinkClosedError, match="closed the connection"):
        link.exchange(PICTURE)
    assert link.exchange(PICTURE) == b"done"
    link.close()
    with pytest.raises(LinkClosedError, match="this link was closed"):
        link.exchange(PICTURE)


@pytest.mark.parametrize("garbage", [b"okay", b"\x00", b"done\n", b"donedone", b"derr", b"x" * 500])
def test_anything_but_done_or_err_is_a_desync(serve, garbage):
    server = serve(answer=lambda n, reply: garbage if n == 1 else reply)
    link = connect(server.url)
    with pytest.raises(DesyncError, match="the answer is "):
        link.exchange(PICTURE)
    assert link.exchange(PICTURE) == b"done"
    assert server.connections == 2
    link.close()


def test_a_doubled_answer_is_noticed_before_the_next_frame_is_sent(serve, mocker):
    server = serve()
    link = connect(server.url)
    send = link._wire._socket
    assert link.exchange(PICTURE) == b"done"
    link._wire._socket = mocker.Mock(wraps=send)
    link._wire._socket.recv.side_effect = [b"done"]
    with pytest.raises(DesyncError, match="b'done' came without a request"):
        link.exchange(PICTURE)
    assert server.firmware.version == 1
    assert link.exchange(PICTURE) == b"done"
    link.close()


def test_a_link_that_answers_something_else_is_a_desync_of_the_driver(mocker):
    link = mocker.Mock(exchange=mocker.Mock(return_value=b"ok"))
    driver = SlmPyNetworkSlm(link, SlmPyNetworkSlm.Options(shape=(3, 5), panel=PANEL), "weights")
    with pytest.raises(DesyncError, match=r"weights: the slmPy server answered b'ok'"):
        driver.safe()


def test_in_a_dry_run_the_same_framing_goes_to_the_emulator_and_its_wire_takes_simulated_time():
    clock, firmware = SimulatedClock(), SlmPyServerFirmware(PANEL)
    link = simulated_link(firmware, clock, "sim://weights/0")
    assert link.exchange(PICTURE) == b"done"
    assert firmware.frame.tobytes() == PICTURE
    assert clock.now() == pytest.approx(8e-9 * (len(frame(PICTURE, "zlib")) + 4))
    link.close()
    with pytest.raises(LinkClosedError, match="sim://weights/0: this link was closed"):
        link.exchange(PICTURE)


def test_a_lost_message_of_a_dry_run_times_out_in_simulated_time(mocker):
    clock = SimulatedClock()
    link = simulated_link(mocker.Mock(feed=lambda data: b"", wire_s=lambda sent, received: 0.0), clock)
    with pytest.raises(LinkTimeoutError, match="no answer within 2 s"):
        link.exchange(PICTURE)
    assert clock.now() == 2.0


def test_nobody_at_the_address_is_a_quick_connect_error():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    start = time.perf_counter()
    with pytest.raises(ConnectError, match=rf"no slmPy server at 127.0.0.1 port {port}"):
        connect(f"slmpynet://127.0.0.1:{port}")
    assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("slmpynet://host?compression=lzma", ConnectError, "unknown compression 'lzma'; known are zlib, gzip, bz2, none"),
        ("slmpynet://?timeout_s=1", ConnectError, "no host; write slmpynet://host:9999"),
        ("slmpynet://host:banana", ConnectError, "banana"),
        ("slmpynet://host?timeout_s=soon", LinkError, "timeout_s='soon' is not a float"),
        ("slmpynet://host?timeout_s=0", LinkError, "timeout_s is 0; it must be positive"),
        ("slmpynet://host?level=9", LinkError, "unknown option 'level'"),
    ],
)
def test_a_url_that_cannot_be_meant_is_refused_before_connecting(url, error, message):
    with pytest.raises(error, match=message):
        connect(url)
