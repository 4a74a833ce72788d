"""The driver of served SLMs: against the emulator in process and served, the real server with a real window, and on a broken wire."""

from __future__ import annotations

import contextlib
import json
import math
import threading
import time

import numpy as np
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from drivers.pygame_window import open_window
from drivers.slm_server import ServerSlm, ServerSlmOptions
from labonn.bench import Bench
from labonn.cli import serve_slm
from labonn.clock import LiveClock, SimulatedClock
from labonn.devices import SpatialLightModulator
from labonn.emulating import emulate_one
from labonn.errors import (
    BenchFileError,
    ConnectError,
    DesyncError,
    IdentityError,
    LabonnError,
    LinkTimeoutError,
    RefusedError,
    TableError,
    UnknownStateError,
)
from labonn.links import connect
from labonn.shots import ShotTable
from procedures.benches import vapour_cell
from sim_backends.firmware.slm_server import SlmServerFirmware
from sim_backends.messagelinks import SimulatedMessageLink, ZmqServer

ONE = np.array([0])
PANEL = (768, 1024)
CODES = np.arange(0, 255, 17).reshape(3, 5)
FIELDS = -np.cos(math.pi * CODES.reshape(1, -1) / 255)


class Wire:
    """A link whose replies can be replaced: op -> what becomes of the next one."""

    def __init__(self, firmware):
        self.link = SimulatedMessageLink(firmware, SimulatedClock())
        self.asked, self.faults, self.closed = [], {}, 0

    def exchange_parts(self, parts):
        header = json.loads(parts[0])
        self.asked.append(header)
        if self.faults.get(header["op"]) is lost_request:
            self.faults.pop(header["op"])
            raise LinkTimeoutError("zmq://: no reply within 2 s")
        reply = self.link.exchange_parts(parts)
        return self.faults.pop(header["op"], lambda same: same)(reply)

    def close(self):
        self.closed += 1

    def ops(self):
        return [header["op"] for header in self.asked]


def lost_request(reply):
    raise AssertionError("never called")


def lost_reply(reply):
    raise LinkTimeoutError("zmq://: no reply within 2 s")


def changed(**new):
    return lambda parts: [json.dumps(json.loads(parts[0]) | new).encode()]


def slm(bits=8, **options):
    firmware = SlmServerFirmware(PANEL, bits)
    wire = Wire(firmware)
    return ServerSlm(wire, ServerSlmOptions(shape=(3, 5), panel=PANEL, bits=bits, **options), "weights"), firmware, wire


@contextlib.contextmanager
def real_server():
    """`labonn serve-slm 0` without its process: the same socket, service and SDL window, in a thread; gives url and window."""
    with contextlib.ExitStack() as opened:
        window = open_window("0")
        opened.callback(window.close)
        router = serve_slm._router(opened, "tcp://127.0.0.1:0", None)
        service = ServerSlm.service(window, 8)
        router.maxmsgsize = service.most_bytes
        url = serve_slm._bound(router, "tcp://127.0.0.1:0").replace("tcp", "zmq")
        service.blacken()
        stop = threading.Event()

        def serve():
            while not stop.is_set():
                if router.poll(20):
                    serve_slm._answer(router, service)

        thread = threading.Thread(target=serve)
        thread.start()
        opened.callback(lambda: (stop.set(), thread.join()))
        yield url, window


@pytest.fixture(params=["emulated", "served", "real"])
def backend(request, monkeypatch):
    """(link maker, what the panel shows as gray levels): the driver must not notice which one it is."""
    if request.param == "real":
        pytest.importorskip("pygame")
        monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
        with real_server() as (url, window):
            yield lambda: connect(url), lambda: window.read_back()[:, :, 0]
        return
    firmware = SlmServerFirmware(PANEL)

    def shown():
        return firmware.block(*PANEL)

    if request.param == "emulated":
        yield lambda: SimulatedMessageLink(firmware, SimulatedClock()), shown
        return
    server = ZmqServer(firmware, LiveClock())
    try:
        yield lambda: connect(server.url), shown
    finally:
        server.close()


def driver_of(link, **options):
    return ServerSlm(link, ServerSlmOptions(shape=(3, 5), panel=PANEL, **options), "weights")


@pytest.mark.parametrize("encoding", ["none", "zlib"])
def test_weights_arrive_as_the_right_codes(backend, encoding):
    link_of, shown = backend
    driver = driver_of(link_of(), encoding=encoding)
    assert isinstance(driver, SpatialLightModulator)
    driver.prepare(driver.spec)
    assert not shown().any()
    driver.load(FIELDS, ONE, 1e-3)
    driver.arm()
    (top, left), (height, width) = driver.geometry.corner, driver.geometry.pixel
    block = shown()[top * height : (top + 3) * height, left * width : (left + 5) * width]
    assert np.array_equal(block, np.kron(CODES, np.ones(driver.geometry.pixel)))
    driver.safe()
    assert not shown().any()
    driver.close()
    driver.close()


def test_one_bench_after_the_other_has_the_slm_and_the_second_is_told_who_has_it(backend):
    link_of, shown = backend
    first, second = driver_of(link_of()), driver_of(link_of())
    first.prepare(first.spec)
    second.load(FIELDS, ONE, 1e-3)
    with pytest.raises(RefusedError, match=r"weights: open refused: .*'weights \w{4}'.*\(busy\)"):
        second.arm()
    assert not shown().any()
    first.close()
    second.arm()
    assert shown().any()
    second.close()


def test_the_constructor_asks_and_takes_nothing_and_closing_it_releases_nothing(backend):
    link_of, _ = backend
    owner = driver_of(link_of())
    owner.prepare(owner.spec)
    for _ in range(2):
        driver_of(link_of()).close()
    owner.safe()
    owner.close()


def test_the_constructor_only_queries():
    driver, firmware, wire = slm()
    assert wire.ops() == ["query"]
    assert (firmware.version, driver.identity) == (0, "emulated SLM 0000")
    driver.close()
    assert (wire.ops(), wire.closed) == (["query"], 1)


@pytest.mark.parametrize("bits", [9, 10, 16])
def test_more_bits_go_out_as_the_codes_themselves(bits):
    driver, firmware, _ = slm(bits)
    driver.load(np.linspace(-1, 1, 15)[None], ONE, 1e-3)
    driver.arm()
    codes = firmware.block(3, 5).ravel()
    assert (codes[0], codes[-1]) == (0, 2**bits - 1)
    assert -np.cos(math.pi * codes / (2**bits - 1)) == pytest.approx(np.linspace(-1, 1, 15), abs=math.pi / 2**bits)


def test_a_frame_is_sent_in_macropixels():
    driver, firmware, wire = slm()
    driver.load(FIELDS, ONE, 1e-3)
    driver.arm()
    assert wire.asked[-1]["shape"] == list(driver.geometry.frame) == list(firmware.frame.shape)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"protocol": "labonn-stream/1"}, IdentityError, "a server of labonn-slm/1 is wanted; this is 'labonn-stream/1'"),
        ({"panel": [1080, 1920]}, IdentityError, "panel is 768 x 1024 pixels in the bench file, but emulated SLM 0000 has 1080 x 1920"),
        ({"panel": None}, DesyncError, r"tells a panel of None, not \[rows, columns\]"),
        ({"panel": [768]}, DesyncError, "tells a panel of"),
        ({"panel": ["768", 1024]}, DesyncError, "tells a panel of"),
        ({"bits": 10}, IdentityError, "bits is 8 in the bench file, but emulated SLM 0000 has 10"),
        ({"encodings": ["gzip"]}, BenchFileError, "encoding is 'none'; emulated SLM 0000 takes"),
        ({"encodings": 3}, BenchFileError, "encoding is 'none'"),
    ],
)
def test_another_server_than_the_bench_file_says_is_refused(changes, error, words):
    wire = Wire(SlmServerFirmware(PANEL))
    wire.faults["query"] = changed(**changes)
    with pytest.raises(error, match=f"weights: .*{words}"):
        driver_of(wire)
    assert wire.ops() == ["query"]


@pytest.mark.parametrize(("key", "value"), [("encoding", "gzip"), ("lease_s", 0.5), ("lease_s", math.nan), ("lease_s", 1e6)])
def test_options_that_no_server_takes_are_refused(key, value):
    with pytest.raises(ValueError, match=key):
        ServerSlmOptions(shape=(3, 5), **{key: value})


def test_what_the_server_refuses_is_raised_with_its_words():
    driver, firmware, _ = slm()
    driver.safe()
    firmware.handle_parts([json.dumps({"op": "safe", "seq": 1, "session": driver._session, "id": 50}).encode()])
    with pytest.raises(RefusedError, match=r"weights: safe refused: id 2 comes after id 50 \(id\)"):
        driver._put("safe")


def test_a_frame_that_the_server_does_not_show_is_an_unknown_state():
    driver, _, wire = slm()
    driver.load(FIELDS, ONE, 1e-3)
    wire.faults["show"] = changed(shown=77)
    with pytest.raises(UnknownStateError, match="weights: frame 1 was sent, the server says that it shows 77"):
        driver.arm()


def test_a_frame_that_was_lost_on_the_server_is_noticed_at_the_next():
    driver, _, wire = slm()
    driver.load(FIELDS, ONE, 1e-3)
    driver.arm()
    wire.faults["show"] = changed(before=0)
    with pytest.raises(DesyncError, match=r"weights: one of \[1\] was shown before frame 2, the server says 0: a frame was lost"):
        driver.arm()
    driver.arm()


@pytest.mark.parametrize("fault", [lost_request, lost_reply])
def test_a_frame_whose_reply_was_lost_is_in_doubt_and_the_next_one_settles_it(fault):
    driver, firmware, wire = slm()
    driver.load(FIELDS, ONE, 1e-3)
    driver.arm()
    wire.faults["show"] = fault
    with pytest.raises(LinkTimeoutError):
        driver.arm()
    driver.arm()
    assert wire.asked[-1]["id"] == 3
    assert firmware.version == (3 if fault is lost_reply else 2)


@pytest.mark.parametrize("fault", [lost_request, lost_reply, changed(seq=999), changed(shown="x"), lambda parts: [b"{"], lambda parts: []])
@pytest.mark.parametrize("op", ["open", "safe"])
def test_safe_is_tried_again_after_one_broken_exchange(op, fault):
    driver, firmware, wire = slm()
    driver.load(FIELDS, ONE, 1e-3)
    driver.arm()
    wire.faults[op] = fault
    driver.safe()
    assert not firmware.block(*PANEL).any()
    driver.load(None, ONE, 1e-3)
    driver.arm()
    assert np.array_equal(firmware.block(3, 5), CODES)


def test_after_the_server_was_started_again_a_frame_is_refused_and_safe_takes_the_lease_anew():
    driver, _, wire = slm()
    driver.load(FIELDS, ONE, 1e-3)
    driver.arm()
    wire.link = SimulatedMessageLink(again := SlmServerFirmware(PANEL), SimulatedClock())
    with pytest.raises(RefusedError, match=r"show refused: no lease: it is free \(lease\)"):
        driver.arm()
    driver.safe()
    assert again.version == 1
    driver.arm()
    assert np.array_equal(again.block(3, 5), CODES)


def test_a_bench_that_was_quiet_too_long_is_told_that_another_has_the_slm():
    driver, firmware, wire = slm(lease_s=5)
    now = [0.0]
    firmware.now = lambda: now[0]
    driver.safe()
    other = ServerSlm(SimulatedMessageLink(firmware, SimulatedClock()), ServerSlmOptions(shape=(3, 5), panel=PANEL), "other")
    now[0] = 4.9
    with pytest.raises(RefusedError, match=r"for another 0\.1 s"):
        other.safe()
    now[0] = 5.1
    other.safe()
    driver.load(FIELDS, ONE, 1e-3)
    with pytest.raises(RefusedError, match=r"no lease: 'other \w{4}' has it"):
        driver.arm()
    with pytest.raises(RefusedError, match=r"open refused: .*\(busy\)"):
        driver.safe()
    assert firmware.version == 2
    wire.faults["release"] = lost_request
    driver.close()
    other.safe()


@pytest.mark.parametrize("before", ["a reply of before", "the same twice"])
def test_a_late_or_doubled_reply_is_a_desync_and_never_a_value(before):
    driver, _, wire = slm()
    driver.load(FIELDS, ONE, 1e-3)
    kept = []
    wire.faults["show"] = lambda parts: kept.append(parts) or parts
    driver.arm()
    wire.faults["show"] = lambda parts: kept[0] if before == "a reply of before" else parts * 2
    with pytest.raises(DesyncError, match="weights"):
        driver.arm()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda i: st.lists(i, max_size=3) | st.dictionaries(st.text(max_size=3), i),
)


@given(
    st.lists(st.binary(max_size=30) | JSON.map(lambda value: json.dumps(value).encode()), max_size=3)
    | st.dictionaries(
        st.sampled_from(["seq", "shown", "before", "error", "panel", "bits", "encodings", "protocol", "maker"]), JSON, min_size=1
    )
)
def test_no_reply_makes_the_driver_raise_anything_but_its_own_errors(bad):
    fault = (lambda parts: bad) if isinstance(bad, list) else changed(**bad)
    for op in ("query", "open", "show"):
        wire = Wire(SlmServerFirmware(PANEL))
        wire.faults[op] = fault
        try:
            driver = driver_of(wire)
            driver.load(FIELDS, ONE, 1e-3)
            driver.arm()
        except LabonnError:
            continue
        assert np.array_equal(wire.link._firmware.block(3, 5), CODES)


def test_an_order_of_several_rows_is_refused_before_anything_is_sent():
    driver, _, wire = slm()
    with pytest.raises(TableError, match="names one row"):
        driver.load(np.zeros((2, 15)), np.array([0, 1]), 1e-3)
    assert wire.ops() == ["query"]


def test_nobody_there_is_a_quick_connect_error():
    link = connect("zmq://127.0.0.1:1")
    start = time.perf_counter()
    with pytest.raises(ConnectError, match="nothing answers there"):
        driver_of(link)
    assert time.perf_counter() - start < 1
    link.close()


def test_the_emulator_is_served_by_its_name():
    served = emulate_one("slm_server", {"shape": [3, 5], "panel": list(PANEL)})
    try:
        driver = driver_of(connect(served.lines[2].split('"')[1]))
        driver.safe()
        driver.close()
    finally:
        served.simulated.close()


@pytest.mark.parametrize("served", [False, True])
def test_a_dry_run_with_served_slms_sees_the_same_light_as_with_monitors(tmp_path, served):
    file, readings = tmp_path / "bench.toml", []
    for driver in ("slm_monitor", "slm_server"):
        file.write_text(vapour_cell((6, 4, 3)).replace('driver = "slm_monitor"', f'driver = "{driver}"'))
        with Bench.open(file, dry_run=True, served=served) as bench:
            sizes = {"weights1": 24, "weights2": 12}
            banks = {port: np.random.default_rng(1).uniform(-1, 1, (1, size)).astype(np.float32) for port, size in sizes.items()}
            banks["input"] = np.ones((1, 6), np.float32)
            readings.append(bench.play(ShotTable(banks, {port: np.zeros(5, int) for port in banks}, 1e-4)))
    for port, light in readings[0].items():
        assert np.array_equal(light, readings[1][port])
    assert readings[0]["output"].any()


def test_several_clients_at_once_get_their_own_replies_from_the_real_server(monkeypatch):
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    with real_server() as (url, window):
        owner = driver_of(connect(url))
        owner.prepare(owner.spec)
        others = [driver_of(connect(url)) for _ in range(5)]
        for other in others:
            for _ in range(3):
                assert other._ask("query")["owner"].startswith("weights ")
        owner.load(FIELDS, ONE, 1e-3)
        owner.arm()
        assert window.read_back().any()
        for driver in (owner, *others):
            driver.close()


@given(
    st.lists(
        st.lists(st.binary(max_size=60) | st.sampled_from([b"", b'{"op":"query","seq":1,"session":"12345678"}']), max_size=4), max_size=30
    )
)
def _fuzzed(sockets, messages):
    router, service, dealer = sockets
    expected = 0
    for message in messages:
        if message:
            dealer.send_multipart(message)
            expected += 1
    for _ in range(expected):
        assert router.poll(1000)
        serve_slm._answer(router, service)
        assert dealer.poll(1000)
        reply = dealer.recv_multipart()
        about = json.loads(reply[-1])
        assert "error" in about or about["protocol"] == "labonn-slm/1"


def test_random_messages_never_stop_the_server_and_each_gets_one_answer():
    from sim_backends.firmware.slm_window import WindowTable

    with contextlib.ExitStack() as opened:
        router = serve_slm._router(opened, "tcp://127.0.0.1:0", None)
        url = serve_slm._bound(router, "tcp://127.0.0.1:0")
        dealer = opened.enter_context(zmq.Context()).socket(zmq.DEALER)
        dealer.linger = 0
        dealer.connect(url)
        service = ServerSlm.service(WindowTable(PANEL), 8)
        _fuzzed((router, service, dealer))
        dealer.close()


def test_a_part_longer_than_any_frame_is_not_even_read(monkeypatch):
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    with real_server() as (url, _):
        link = connect(url)
        driver = driver_of(link)
        normal, link._timeout_s = link._timeout_s, 0.2
        with pytest.raises(LinkTimeoutError):
            driver._ask("show", [bytes(PANEL[0] * PANEL[1] * 2)])
        link._timeout_s = normal
        driver.safe()
        driver.close()
