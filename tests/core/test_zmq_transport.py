"""ZeroMQ links: late and doubled replies, silence, keys."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
import zmq.auth
from zmq.auth.thread import ThreadAuthenticator

from labonn.clock import SimulatedClock
from labonn.errors import ConnectError, DesyncError, LinkClosedError, LinkError, LinkTimeoutError
from labonn.links import connect
from sim_backends.messagelinks import ZmqServer

Parts = list[bytes]


class Echo:
    """Answers with what it was asked, and how many parts it were."""

    def __init__(self) -> None:
        self.heard: list[Parts] = []

    def wire_s(self, sent: int, received: int) -> float:
        return (sent + received) * 1e-3

    def handle_parts(self, parts: Any) -> Parts:
        self.heard.append([bytes(p) for p in parts])
        return [b"%d parts" % len(parts), *self.heard[-1]]


@contextlib.contextmanager
def router(answer: Callable[[Parts], list[Parts]], prepare: Callable[[Any], None] = lambda socket: None) -> Iterator[str]:
    """A ROUTER that sends any number of replies; delayed by a number of seconds where the first part says so."""
    context = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    socket.linger = 0
    prepare(socket)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    stop, later = threading.Event(), queue.PriorityQueue[tuple[float, int, Parts]]()

    def serve() -> None:
        count = 0
        while not stop.is_set():
            if socket.poll(5):
                client, empty, *parts = socket.recv_multipart()
                delay_s = float(parts[0].removeprefix(b"late ")) if parts[0].startswith(b"late ") else 0.0
                for reply in answer(parts):
                    count += 1
                    later.put((time.monotonic() + delay_s, count, [client, empty, *reply]))
            while not later.empty() and later.queue[0][0] <= time.monotonic():
                socket.send_multipart(later.get()[2])

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"zmq://127.0.0.1:{port}"
    finally:
        stop.set()
        thread.join()
        socket.close()
        context.term()


@contextlib.contextmanager
def linked(url: str, **options: Any) -> Iterator[Any]:
    link = connect(url, **options)
    try:
        yield link
    finally:
        link.close()


def echo(parts: Parts) -> list[Parts]:
    return [parts]


@pytest.fixture
def served() -> Iterator[ZmqServer]:
    server = ZmqServer(Echo(), SimulatedClock())
    yield server
    server.close()


def test_parts_arrive_whole_and_in_order(served: ZmqServer) -> None:
    big = bytes(range(256)) * 20_000
    with linked(served.url) as link:
        assert link.exchange_parts([b"x"]) == [b"1 parts", b"x"]
        assert link.exchange_parts([b"", big, memoryview(b"abc"), bytearray(b"\0\0")]) == [b"4 parts", b"", big, b"abc", b"\0\0"]
        assert link.exchanges == 2


def test_the_wire_time_of_a_served_instrument_passes_on_its_clock() -> None:
    clock = SimulatedClock()
    server = ZmqServer(Echo(), clock)
    with linked(server.url) as link:
        reply = link.exchange_parts([b"12345"])
    server.close()
    assert clock.now() == pytest.approx((5 + sum(map(len, reply))) * 1e-3)


def test_nothing_there_is_a_connect_error_within_half_a_second() -> None:
    began = time.monotonic()
    with linked("zmq://127.0.0.1:9") as link, pytest.raises(ConnectError, match=r"zmq://127.0.0.1:9: nothing answers there within 0.3 s"):
        link.exchange_parts([b"x"])
    assert time.monotonic() - began < 0.6


def test_an_instrument_that_comes_later_answers_and_gets_nothing_that_was_asked_before() -> None:
    probe = ZmqServer(Echo(), SimulatedClock())
    url = probe.url
    probe.close()
    firmware = Echo()
    with linked(url) as link:
        with pytest.raises(ConnectError):
            link.exchange_parts([b"lost"])
        server = ZmqServer(firmware, SimulatedClock(), port=int(url.rpartition(":")[2]))
        assert link.exchange_parts([b"found"]) == [b"1 parts", b"found"]
        server.close()
    assert firmware.heard == [[b"found"]]


def test_after_a_time_out_the_next_exchange_works_and_never_takes_the_late_reply() -> None:
    with router(echo) as url, linked(url, timeout_s=0.05) as link:
        link.exchange_parts([b"hello"])
        for _ in range(3):
            with pytest.raises(LinkTimeoutError, match=r"no reply within 0.05 s; what the instrument did is unknown"):
                link.exchange_parts([b"late 0.08"])
            time.sleep(0.06)  # by now it has come
            assert link.exchange_parts([b"next"]) == [b"next"]


def test_a_late_reply_that_comes_with_the_next_answer_is_not_taken_either() -> None:
    with router(echo) as url, linked(url, timeout_s=0.06) as link:
        link.exchange_parts([b"hello"])
        with pytest.raises(LinkTimeoutError):
            link.exchange_parts([b"late 0.07"])
        assert link.exchange_parts([b"late 0.03"]) == [b"late 0.03"]


def test_a_doubled_reply_is_reported_once_and_nothing_is_sent() -> None:
    heard: list[Parts] = []

    def twice(parts: Parts) -> list[Parts]:
        heard.append(parts)
        return [parts] * (2 if parts == [b"twice"] else 1)

    with router(twice) as url, linked(url) as link:
        assert link.exchange_parts([b"twice"]) == [b"twice"]
        time.sleep(0.05)
        with pytest.raises(DesyncError, match=r"a reply that nobody waited for .*; nothing was sent"):
            link.exchange_parts([b"next"])
        assert link.exchange_parts([b"again"]) == [b"again"]
    assert heard == [[b"twice"], [b"again"]]


def test_ctrl_c_while_waiting_leaves_no_reply_behind() -> None:
    before = signal.signal(signal.SIGUSR1, signal.default_int_handler)
    try:
        with router(echo) as url, linked(url, timeout_s=5.0) as link:
            link.exchange_parts([b"hello"])
            key = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
            key.start()
            with pytest.raises(KeyboardInterrupt):
                link.exchange_parts([b"late 0.2"])
            key.join()
            time.sleep(0.2)
            assert link.exchange_parts([b"next"]) == [b"next"]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_reply_without_its_empty_first_frame_is_handed_on_short_and_not_taken_for_whole() -> None:
    with router(lambda parts: [[]]) as url, linked(url) as link:
        assert link.exchange_parts([b"x"]) == []


def test_a_closed_link_says_so_and_closes_twice(served: ZmqServer) -> None:
    link: Any = connect(served.url)
    link.exchange_parts([b"x"])
    link.close()
    link.close()
    with pytest.raises(LinkClosedError, match="this link is closed"):
        link.exchange_parts([b"x"])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_loopback_needs_no_keys(host: str) -> None:
    connect(f"zmq://{host}:5570").close()


@pytest.mark.parametrize("host", ["10.0.0.9", "lab-adc.example.org", "0.0.0.0", "[fe80::1]", "127.0.0.1.example.org"])
def test_off_loopback_without_keys_is_refused(host: str) -> None:
    with pytest.raises(ConnectError, match=r"not on loopback needs CURVE keys: add \?server_key=FILE&client_key=FILE"):
        connect(f"zmq://{host}:5570")


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        ("zmq://127.0.0.1", ConnectError, "zmq://host:port is wanted, with a port of 1 to 65535"),
        ("zmq://127.0.0.1:70000", ConnectError, "with a port of 1 to 65535"),
        ("zmq://127.0.0.1:adc", ConnectError, "zmq://host:port is wanted"),
        ("zmq://:5570", ConnectError, "zmq://host:port is wanted"),
        ("zmq://127.0.0.1:1?timeout=3", LinkError, "unknown option 'timeout'; known are timeout_s, server_key, client_key"),
        ("zmq://127.0.0.1:1?timeout_s=soon", LinkError, "timeout_s='soon' is not a float"),
        ("zmq://127.0.0.1:1?timeout_s=0", LinkError, "timeout_s = 0 must be positive and finite"),
        ("zmq://127.0.0.1:1?timeout_s=nan", LinkError, "timeout_s = nan must be positive and finite"),
        ("zmq://127.0.0.1:1?timeout_s=inf", LinkError, "timeout_s = inf must be positive and finite"),
        ("zmq://127.0.0.1:1?server_key=none.key", ConnectError, "server_key and client_key must both name key files"),
        ("zmq://10.0.0.9:1?client_key=none.key_secret", ConnectError, "server_key and client_key must both name key files"),
    ],
)
def test_a_wrong_url_is_explained(url: str, error: type[LinkError], words: str) -> None:
    with pytest.raises(error, match=words):
        connect(url)


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, tuple[str, str]]:
    """Certificate files (public, secret) as pyzmq writes them."""
    return {name: zmq.auth.create_certificates(tmp_path, name) for name in ("server", "client", "stranger")}


@contextlib.contextmanager
def curve_router(server: tuple[str, str], allowed: Path) -> Iterator[str]:
    """A ROUTER that only clients whose public keys are in `allowed` may talk to."""

    def prepare(socket: Any) -> None:
        socket.curve_publickey, socket.curve_secretkey = zmq.auth.load_certificate(server[1])
        socket.curve_server = True
        authenticator.append(ThreadAuthenticator(socket.context))
        authenticator[0].start()
        authenticator[0].configure_curve(domain="*", location=str(allowed))

    authenticator: list[Any] = []
    with router(echo, prepare) as url:
        try:
            yield url
        finally:
            authenticator[0].stop()


def with_keys(url: str, server: str, client: str) -> str:
    return f"{url}?server_key={server}&client_key={client}"


def test_the_right_keys_are_let_in_and_others_are_not(keys: dict[str, tuple[str, str]], tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "client.key").write_bytes(Path(keys["client"][0]).read_bytes())
    with curve_router(keys["server"], allowed) as url:
        with linked(with_keys(url, keys["server"][0], keys["client"][1])) as link:
            assert link.exchange_parts([b"secret"]) == [b"secret"]
        for server, client in ((keys["server"][0], keys["stranger"][1]), (keys["stranger"][0], keys["client"][1])):
            with linked(with_keys(url, server, client)) as link, pytest.raises(ConnectError, match="does it not know these keys"):
                link.exchange_parts([b"secret"])
        with linked(url) as link, pytest.raises(ConnectError, match="nothing answers"):
            link.exchange_parts([b"secret"])


def test_a_key_file_that_is_no_secret_one_is_told(keys: dict[str, tuple[str, str]], tmp_path: Path) -> None:
    with pytest.raises(ConnectError, match=r"client\.key has no secret key; the client's file that ends in \.key_secret"):
        connect(with_keys("zmq://10.0.0.9:5570", keys["server"][0], keys["client"][0]))
    (tmp_path / "bad.key").write_text("no key at all")
    with pytest.raises(ConnectError, match=r"must both name key files as zmq\.auth writes them"):
        connect(with_keys("zmq://10.0.0.9:5570", str(tmp_path / "bad.key"), keys["client"][1]))
