"""Byte links: lines and blocks, late replies, dead connections and new ones; in process, on TCP, on a pty and through VISA alike."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import pyvisa
from hypothesis import given
from hypothesis import strategies as st

from labonn.clock import SimulatedClock
from labonn.errors import ConnectError, DesyncError, LinkClosedError, LinkError, LinkTimeoutError, MissingPackageError
from labonn.links import BLOCK, LIST, connect
from labonn.transports.framing import cut, set_aside
from labonn.transports.lines import LineLink, line_options
from labonn.transports.visa import VisaStream, own_sockets
from sim_backends.served import serve_pty, serve_tcp
from sim_backends.simlinks import SimulatedLink

FAST: dict[str, Any] = {"timeout_s": 0.15, "quiet_s": 0.03}
PATIENT = FAST | {"timeout_s": 10.0}  # where nothing is to be waited for in vain
WAYS = ("in process", "tcp", "pty", "visa socket", "visa serial")


class Echo:
    """Answers `3x` with three lines "x0", "x1", "x2"; `0` with none; keeps incomplete input."""

    def __init__(self) -> None:
        self.rest, self.heard = b"", 0

    def wire_s(self, sent: int, received: int) -> float:
        return (sent + received) * 1e-5

    def feed(self, data: bytes) -> bytes:
        *commands, self.rest = (self.rest + data).split(b"\n")
        self.heard += len(commands)
        return b"".join(b"%b%d\n" % (c[1:], i) for c in commands for i in range(int(c[:1] or b"0")))


class Script:
    """A stream that hands out a script: bytes, or None for silence as long as anybody waits."""

    def __init__(self, *steps: bytes | None) -> None:
        self.steps, self.sent, self.closed = list(steps), b"", 0

    def write(self, data: bytes) -> None:
        self.sent += data

    def read(self, timeout_s: float, awaited: int = 0) -> bytes:
        if not self.steps:
            return b""
        if timeout_s == 0 and self.steps[0] is not None:
            return self.steps.pop(0) or b"" if self.steps[0].startswith(b"(stale)") else b""
        return self.steps.pop(0) or b"" if timeout_s else b""

    def clear(self) -> bool:
        return False

    def close(self) -> None:
        self.closed += 1


def scripted(*steps: bytes | None, **options: Any) -> tuple[LineLink, Script]:
    stream = Script(*steps)
    return LineLink(lambda: stream, "script://", line_options("script://", {**FAST, **options})), stream


@contextlib.contextmanager
def linked(way: str, firmware: Any, clock: SimulatedClock, **options: Any) -> Iterator[Any]:
    options = PATIENT | options
    if way == "in process":
        yield SimulatedLink(firmware, clock, **options)
        return
    with (serve_tcp if way in ("tcp", "visa socket") else serve_pty)(firmware, clock) as url:
        if way == "visa socket":
            url = f"visa://TCPIP::127.0.0.1::{url.rpartition(':')[2]}::SOCKET?backend=@py"
        elif way == "visa serial":
            url = f"visa://ASRL{url.removeprefix('serial://')}::INSTR?backend=@py"
        link = connect(url, **options)
        try:
            yield link
        finally:
            link.close()


@pytest.mark.parametrize("way", WAYS)
def test_all_ways_cut_lines_identically(way: str) -> None:
    firmware = Echo()
    with linked(way, firmware, SimulatedClock()) as link:
        assert link.exchange(b"1x") == b"x0"
        assert link.exchange(b"3ab", 3) == b"ab0\nab1\nab2"
        assert link.exchange(b"1x\n2y", 3) == b"x0\ny0\ny1"
        assert link.exchange(b"5z", -1) == b"z0\nz1\nz2\nz3\nz4"
        assert link.exchange(b"0", 0) == b""
        assert link.exchange(b"1" + 3000 * b"w") == 3000 * b"w" + b"0"
        assert link.exchanges == 6
    assert firmware.heard == 7


@pytest.mark.parametrize("way", WAYS)
def test_a_lost_reply_times_out_with_the_question_and_the_link_stays_usable(way: str) -> None:
    with linked(way, Echo(), SimulatedClock(), **FAST) as link:
        with pytest.raises(LinkTimeoutError, match=r"no complete reply to b'0lost' after 0.15 s; what it did is unknown"):
            link.exchange(b"0lost")
        assert link.exchange(b"1x") == b"x0"


@pytest.mark.parametrize("way", WAYS)
def test_a_truncated_reply_times_out_and_says_what_had_come(way: str) -> None:
    with linked(way, Echo(), SimulatedClock(), **FAST) as link:
        with pytest.raises(LinkTimeoutError, match=r"b'x0\\nx1\\n' had come"):
            link.exchange(b"2x", 3)
        assert link.exchange(b"1x") == b"x0"


@pytest.mark.parametrize("way", WAYS)
def test_a_doubled_reply_is_an_error_once(way: str) -> None:
    with linked(way, Echo(), SimulatedClock()) as link:
        with pytest.raises(DesyncError, match=r"b'x1\\n'"):
            link.exchange(b"2x")
        assert link.exchange(b"1y") == b"y0"


@pytest.mark.parametrize("way", WAYS)
def test_an_answer_to_a_request_that_awaits_none_is_an_error_once(way: str) -> None:
    with linked(way, Echo(), SimulatedClock()) as link:
        link.exchange(b"1x", 0)
        time.sleep(0.05)
        with pytest.raises(DesyncError, match=r"b'x0\\n' \(a late or doubled reply\); nothing was sent"):
            link.exchange(b"1y")
        assert link.exchange(b"1y") == b"y0"


class Blocks(Echo):
    """Answers `B<name>` with what `replies` has under that name, other lines as Echo."""

    def __init__(self, **replies: bytes) -> None:
        super().__init__()
        self.replies = replies

    def feed(self, data: bytes) -> bytes:
        if data.startswith(b"B"):
            return self.replies[data[1:].strip().decode()]
        return super().feed(data)


EVERY_BYTE = bytes(range(256)) * 4
GOOD = b"#41024" + EVERY_BYTE + b"\n"


@pytest.mark.parametrize("way", WAYS)
def test_a_block_gives_its_data_whatever_bytes_they_are(way: str) -> None:
    long = bytes(range(10, 26)) * 4096
    with linked(way, Blocks(good=GOOD, empty=b"#10\n", long=b"#565536" + long + b"\n"), SimulatedClock()) as link:
        assert link.exchange(b"Bgood", BLOCK) == EVERY_BYTE
        assert link.exchange(b"Bempty", BLOCK) == b""
        assert link.exchange(b"1x") == b"x0"
        assert link.exchange(b"Blong", BLOCK) == long


@pytest.mark.parametrize("way", ["in process", "tcp"])
@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (b"ERR!\n", "begins with '#' and a digit"),
        (b"#0ab\n", "begins with '#' and a digit"),
        (b"#2x3abc\n", "is not its length"),
        (b"#13abcd\n", "follows the block's 3 bytes"),
        (b"#9999999999x\n", "268435456 bytes at most"),
        (b"#13abc\n#13abc\n", "more came than"),
    ],
)
def test_what_is_no_block_is_an_error_once(way: str, reply: bytes, told: str) -> None:
    with linked(way, Blocks(bad=reply, good=GOOD), SimulatedClock(), **FAST) as link:
        with pytest.raises(DesyncError, match=told):
            link.exchange(b"Bbad", BLOCK)
        assert link.exchange(b"Bgood", BLOCK) == EVERY_BYTE


@pytest.mark.parametrize(("way", "length"), [*((way, 500) for way in WAYS), *(("tcp", length) for length in (1, 3, 6, 1030))])
def test_a_truncated_block_times_out(way: str, length: int) -> None:
    with linked(way, Blocks(cut=GOOD[:length], good=GOOD), SimulatedClock(), **FAST) as link:
        with pytest.raises(LinkTimeoutError, match=r"no complete reply to b'Bcut' after 0.15 s"):
            link.exchange(b"Bcut", BLOCK)
        assert link.exchange(b"Bgood", BLOCK) == EVERY_BYTE


def test_a_late_line_is_not_taken_for_a_block_nor_a_late_block_for_another() -> None:
    link, _ = scripted(None, b"late\n", None, b"#11b\n", None, b"#11c\n", None)
    with pytest.raises(LinkTimeoutError):
        link.exchange(b"first")
    with pytest.raises(DesyncError, match="late"):
        link.exchange(b"second?", BLOCK)
    link, _ = scripted(None, b"#11a\n", b"#11b\n", None, None, b"#11c\n", None)
    with pytest.raises(LinkTimeoutError):
        link.exchange(b"first?", BLOCK)
    with pytest.raises(DesyncError, match="#11b"):
        link.exchange(b"second?", BLOCK)
    assert link.exchange(b"third?", BLOCK) == b"c"


def test_a_block_has_the_terminator_of_its_link() -> None:
    link, _ = scripted(b"#15ab", b"\r\nc\r", b"\n", read_end="\r\n")
    assert link.exchange(b"x", BLOCK) == b"ab\r\nc"


@given(st.binary(max_size=300), st.binary(max_size=8), st.lists(st.integers(1, 40), max_size=20))
def test_a_block_is_cut_alike_however_it_comes(data: bytes, rest: bytes, sizes: list[int]) -> None:
    whole = b"#3%03d" % len(data) + data + b"\r\n"
    assert cut(whole + rest, b"\r\n", BLOCK) == (data, rest)
    assert all(cut(whole[:n], b"\r\n", BLOCK) is None for n in range(len(whole)))
    pieces, at = [], 0
    for size in [*sizes, len(whole)]:
        pieces += [whole[at : at + size]] if whole[at : at + size] else []
        at += size
    link, _ = scripted(*pieces, read_end="\r\n")
    assert link.exchange(b"x", BLOCK) == data


@pytest.mark.parametrize("way", WAYS[1:])
def test_a_new_connection_gives_no_reply_to_an_earlier_request(way: str) -> None:
    with linked(way, Late(), SimulatedClock(), **FAST) as link:
        assert link.exchange(b"A") == b"A"
        with pytest.raises(LinkTimeoutError):
            link.exchange(b"slow B")
        link.reconnect()
        assert link.reconnects == 1
        for question in (b"C", b"D"):
            with contextlib.suppress(LinkTimeoutError, DesyncError):
                assert link.exchange(question) == question
        assert link.exchange(b"E") == b"E"


class Late:
    """Answers with the request, a slow one only when it hears the next: what a serial adapter that outlives its clients does."""

    def __init__(self) -> None:
        self.kept = b""

    def wire_s(self, sent: int, received: int) -> float:
        return 0.0

    def feed(self, data: bytes) -> bytes:
        if data.startswith(b"slow"):
            self.kept = data
            return b""
        kept, self.kept = self.kept, b""
        return kept + data


@pytest.mark.parametrize("way", ["tcp", "visa socket"])
def test_a_link_is_connected_again_when_its_instrument_is_back(way: str) -> None:
    firmware = Echo()
    served = serve_tcp(firmware, SimulatedClock())
    port = int(served.url.rpartition(":")[2])
    url = f"visa://TCPIP::127.0.0.1::{port}::SOCKET?backend=@py" if way == "visa socket" else served.url
    with contextlib.closing(connect(url, **FAST)) as link:
        assert link.exchange(b"1x") == b"x0"
        served.close()
        with pytest.raises(LinkClosedError, match="gone"):
            link.exchange(b"1x")
        with pytest.raises(ConnectError, match="check that the instrument is on"):
            link.reconnect()
        with pytest.raises(LinkClosedError, match="not connected"):
            link.exchange(b"1x")
        with serve_tcp(firmware, SimulatedClock(), port=port):
            link.reconnect()
            assert link.exchange(b"1y") == b"y0"
            assert (link.reconnects, link.exchanges) == (1, 4)
    with pytest.raises(LinkClosedError, match="was closed"):
        link.reconnect()


def test_a_list_without_an_end_is_found_by_its_name_too() -> None:
    with linked("tcp", Echo(), SimulatedClock()) as link:
        assert link.exchange(b"2x", LIST) == b"x0\nx1"


@pytest.mark.parametrize("way", WAYS)
def test_a_link_that_was_closed_says_so(way: str) -> None:
    with linked(way, Echo(), SimulatedClock()) as link:
        link.close()
        link.close()
        with pytest.raises(LinkClosedError, match="was closed"):
            link.exchange(b"1x")


def test_a_lost_reply_costs_its_timeout_on_the_simulated_clock() -> None:
    clock = SimulatedClock()
    with pytest.raises(LinkTimeoutError):
        SimulatedLink(Echo(), clock, timeout_s=2.0).exchange(b"0")
    assert clock.now() == pytest.approx(2.0 + 2e-5)


@pytest.mark.parametrize("way", WAYS[1:])
def test_the_wire_time_is_bit_identical_in_process_and_served(way: str) -> None:
    clocks = [SimulatedClock(), SimulatedClock()]
    for clock, kind in zip(clocks, ("in process", way), strict=True):
        with linked(kind, Echo(), clock) as link:
            for i in range(20):
                link.exchange(b"3" + i * b"x", 3)
                clock.wait(0.1)
    assert clocks[0].now() == clocks[1].now()


def test_a_late_reply_before_the_next_request_is_dropped_and_reported_once() -> None:
    link, stream = scripted(None, b"(stale) late\n", None, b"fresh\n")
    with pytest.raises(LinkTimeoutError):
        link.exchange(b"first")
    with pytest.raises(DesyncError, match="stale"):
        link.exchange(b"second")
    assert link.exchange(b"third") == b"fresh"
    assert stream.sent == b"first\nthird\n"


def test_a_late_reply_after_the_next_request_is_never_taken_for_its_answer() -> None:
    link, _ = scripted(None, b"late\n", b"answer\n", None, None, b"fresh\n")
    with pytest.raises(LinkTimeoutError):
        link.exchange(b"first")
    with pytest.raises(DesyncError, match=r"answer\\n"):
        link.exchange(b"second")
    assert link.exchange(b"third") == b"fresh"


def test_a_late_reply_is_not_mixed_into_a_list_without_an_end() -> None:
    link, _ = scripted(None, b"late\n", None, b"a\n", b"b\n", None)
    with pytest.raises(LinkTimeoutError):
        link.exchange(b"first")
    with pytest.raises(DesyncError, match="late"):
        link.exchange(b"list", -1)
    assert link.exchange(b"list", -1) == b"a\nb"


def test_a_reply_in_pieces_is_put_together() -> None:
    link, _ = scripted(b"on", b"e\r\ntw", b"o\r\n", read_end="\r\n")
    assert link.exchange(b"x", 2) == b"one\ntwo"


def test_lines_that_may_come_unasked_are_set_aside_wherever_they_are() -> None:
    link, _ = scripted(b"(stale)\n", None, b"E90:00\nOK\n", unasked=r"E90:\d+|\(stale\)")
    assert link.exchange(b"x") == b"OK"
    assert link.unasked == [b"(stale)", b"E90:00"]


@pytest.mark.parametrize("way", ["tcp", "pty", "visa socket"])
def test_an_instrument_that_goes_away_is_a_closed_link(way: str) -> None:
    with contextlib.ExitStack() as stack:
        served = (serve_pty if way == "pty" else serve_tcp)(Echo(), SimulatedClock())
        stack.callback(served.close)
        url = f"visa://TCPIP::127.0.0.1::{served.url.rpartition(':')[2]}::SOCKET?backend=@py" if way == "visa socket" else served.url
        link = connect(url, **FAST)
        stack.callback(link.close)
        assert link.exchange(b"1x") == b"x0"
        served.close()
        with pytest.raises(LinkClosedError, match="gone"):
            link.exchange(b"1x")


@pytest.mark.parametrize("way", ["tcp", "serial", "visa socket", "visa serial"])
def test_nothing_there_is_a_connect_error_within_half_a_second(way: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = {
        "tcp": f"tcp://127.0.0.1:{port}",
        "serial": "serial:///dev/ttyNONE7",
        "visa socket": f"visa://TCPIP::127.0.0.1::{port}::SOCKET?backend=@py",
        "visa serial": "visa://ASRL/dev/ttyNONE7::INSTR?backend=@py",
    }[way]
    connect_once(url)  # imports
    began = time.monotonic()
    assert "check" in connect_once(url)
    assert time.monotonic() - began < 0.6


def connect_once(url: str) -> str:
    with pytest.raises(ConnectError, match=r"ttyNONE7|127\.0\.0\.1") as caught:
        connect(url)
    return str(caught.value)


def test_an_address_that_swallows_packets_is_given_up_in_0_3_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def silent(address: tuple[str, int], timeout: float) -> socket.socket:
        asked.append(timeout)
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", silent)
    with pytest.raises(ConnectError, match="nothing answers"):
        connect("tcp://10.255.255.1:5025")
    assert asked == [0.3]


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        ("tcp://127.0.0.1", ConnectError, "needs a host and a port"),
        ("tcp://127.0.0.1:http", ConnectError, "tcp://host:port"),
        ("tcp://127.0.0.1:1?speed=3", LinkError, "unknown option 'speed'; known are write_end"),
        ("tcp://127.0.0.1:1?timeout_s=soon", LinkError, "timeout_s='soon' is not a float"),
        ("tcp://127.0.0.1:1?timeout_s=0", LinkError, "must be positive and finite"),
        ("tcp://127.0.0.1:1?quiet_s=inf", LinkError, "must be positive and finite"),
        ("tcp://127.0.0.1:1?read_end=", LinkError, "read_end is empty"),
    ],
)
def test_a_wrong_url_is_explained(url: str, error: type[LinkError], words: str) -> None:
    with pytest.raises(error, match=words):
        connect(url)


def test_the_urls_query_wins_over_the_drivers_options() -> None:
    assert line_options("serial:///dev/x?baud=300&read_end=%5Cr", {"baud": 9600, "timeout_s": 1.0}) | {} == {
        "write_end": "\n", "read_end": "\r", "timeout_s": 1.0, "quiet_s": 0.05, "unasked": "", "baud": 300,
    }  # fmt: skip
    with pytest.raises(LinkError, match="unknown option 'bauds'"):
        line_options("serial:///dev/x", {"bauds": 9600})


def test_without_pyvisa_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvisa", None)
    with pytest.raises(MissingPackageError, match=r'pip install "labonn\[visa\]"'):
        connect("visa://TCPIP::127.0.0.1::1::SOCKET")


class Gpib:
    """A message-based VISA resource: reading without a request is an error, device clear forgets a reply."""

    resource_name, timeout = "GPIB0::5::INSTR", 2000.0

    def __init__(self) -> None:
        self.output: list[bytes] = []
        self.clears = 0

    def write_raw(self, data: bytes) -> None:
        if data == b"gone\n":
            raise pyvisa.errors.VisaIOError(pyvisa.constants.StatusCode.error_connection_lost)
        self.output += [] if data.startswith(b"mute") else [data]

    def read_bytes(self, count: int, chunk_size: int, break_on_termchar: bool) -> bytes:
        assert self.timeout == 150.0
        if not self.output:
            raise pyvisa.errors.VisaIOError(pyvisa.constants.StatusCode.error_timeout)
        return self.output.pop(0)

    def clear(self) -> None:
        self.clears += 1

    def close(self) -> None:
        self.output = []


def test_a_visa_message_resource_is_cleared_after_a_lost_reply_and_trusted_again() -> None:
    resource = Gpib()
    link = LineLink(lambda: VisaStream(resource, "visa://GPIB0::5::INSTR"), "visa://GPIB0::5::INSTR", line_options("visa://", FAST))
    assert link.exchange(b"*IDN?") == b"*IDN?"
    with pytest.raises(LinkTimeoutError, match="GPIB0::5::INSTR: no complete reply"):
        link.exchange(b"mute")
    assert resource.clears == 1
    assert link.exchange(b"again?") == b"again?"
    with pytest.raises(LinkClosedError, match="the instrument is gone"):
        link.exchange(b"gone")
    link.close()


class VendorSocket(Gpib):
    """A SOCKET resource of a vendor's library, whose socket cannot be reached: reads end at an enabled termination character, or never."""

    resource_name = "TCPIP0::10.0.0.7::5025::SOCKET"

    def __init__(self) -> None:
        super().__init__()
        self.stream, self.attributes = b"", {}  # type: bytes, dict[Any, Any]

    def set_visa_attribute(self, name: Any, value: Any) -> None:
        self.attributes[name] = value

    def write_raw(self, data: bytes) -> None:
        self.stream += {b"LINE?\n": b"answer\n", b"BLOCK?\n": GOOD}[data]

    def read_bytes(self, count: int, chunk_size: int, break_on_termchar: bool) -> bytes:
        named = pyvisa.constants.ResourceAttribute
        end = self.stream.find(bytes([self.attributes[named.termchar]])) + 1 if self.attributes[named.termchar_enabled] else 0
        if not end and len(self.stream) < count:
            raise pyvisa.errors.VisaIOError(pyvisa.constants.StatusCode.error_timeout)
        found, self.stream = self.stream[: min(end or count, count)], self.stream[min(end or count, count) :]
        return found


def test_a_vendors_socket_is_read_to_the_terminator_and_a_block_to_its_length() -> None:
    resource = VendorSocket()
    link = LineLink(lambda: VisaStream(resource, "visa://socket"), "visa://socket", line_options("visa://", FAST))
    for _ in range(2):
        assert link.exchange(b"LINE?") == b"answer"
        assert link.exchange(b"BLOCK?", BLOCK) == EVERY_BYTE
    assert resource.clears == 0


def test_nagles_delay_is_off_on_every_socket_below_a_resource() -> None:
    def made(interface: Any) -> Any:
        session = SimpleNamespace(interface=interface)
        return SimpleNamespace(session=7, visalib=SimpleNamespace(sessions={7: session}))

    with socket.socket() as one, socket.socket() as two:
        assert own_sockets(made(one)) == [one]
        assert own_sockets(made(SimpleNamespace(sock=two))) == [two]  # VXI-11
        assert own_sockets(made(SimpleNamespace(_sync=one, _async=two))) == [one, two]  # HiSLIP
        assert own_sockets(made(object())) == own_sockets(SimpleNamespace(session=7, visalib=object())) == []
    with linked("visa socket", Echo(), SimulatedClock()) as link:
        assert link._stream._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_a_visa_socket_does_not_wait_for_nagle() -> None:
    with linked("visa socket", Echo(), SimulatedClock()) as link:
        began = time.perf_counter()
        for _ in range(20):  # a write and then a query: 44 ms each with Nagle's delay on
            link.exchange(b"0", 0)
            link.exchange(b"1x")
        assert (time.perf_counter() - began) / 20 < 0.02


def test_a_second_program_cannot_open_the_same_serial_port() -> None:
    with serve_pty(Echo(), SimulatedClock()) as url:
        link = connect(url, **FAST)
        try:
            with pytest.raises(ConnectError, match="no other program holds it"):
                connect(url, **FAST)
        finally:
            link.close()


def test_served_instruments_take_one_client_after_another_and_keep_their_state() -> None:
    for serve in (serve_tcp, serve_pty):
        firmware = Echo()
        with serve(firmware, SimulatedClock()) as url:
            for _ in range(3):
                link = connect(url, **FAST)
                assert link.exchange(b"1x") == b"x0"
                link.close()
        assert firmware.heard == 3


def test_serving_leaves_no_thread_and_no_file_behind() -> None:
    def count() -> tuple[int, int]:
        gc.collect()
        return threading.active_count(), len(os.listdir("/proc/self/fd"))

    before = count()
    for serve in (serve_tcp, serve_pty):
        with serve(Echo(), SimulatedClock()) as url, contextlib.closing(connect(url, **FAST)) as link:
            link.exchange(b"1x")
        served = serve(Echo(), SimulatedClock())
        served.close()
        served.close()
    assert count() == before


def test_serving_ends_although_a_client_never_reads() -> None:
    with serve_tcp(Echo(), SimulatedClock()) as url, socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as client:
        client.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            for _ in range(200):
                client.sendall(b"9" + b"x" * 60000 + b"\n")
        began = time.monotonic()
    assert time.monotonic() - began < 2


def test_an_emulator_that_breaks_is_told_to_whoever_closes() -> None:
    class Broken(Echo):
        def feed(self, data: bytes) -> bytes:
            raise ZeroDivisionError("emulator")

    served = serve_tcp(Broken(), SimulatedClock())
    link = connect(served.url, **FAST)
    with pytest.raises(LinkClosedError):
        link.exchange(b"1x")
    link.close()
    with pytest.raises(ZeroDivisionError, match="emulator"):
        served.close()


def test_emulators_are_served_on_this_computer_only() -> None:
    with pytest.raises(ConnectError, match="this computer only"):
        serve_tcp(Echo(), SimulatedClock(), host="0.0.0.0")


def test_a_link_in_process_costs_little() -> None:
    class Instant:
        def feed(self, data: bytes) -> bytes:
            return b"OK\n"

        def wire_s(self, sent: int, received: int) -> float:
            return 0.0

    def best(run: Callable[[], object]) -> float:
        times = []
        for _ in range(5):
            began = time.perf_counter()
            for _ in range(2000):
                run()
            times.append((time.perf_counter() - began) / 2000)
        return min(times)

    link = SimulatedLink(Instant(), SimulatedClock(), unasked=r"E90:\d+")
    assert best(lambda: link.exchange(b"IVEC0=1")) < 20e-6  # about 1.5 us on an idle machine


@given(st.lists(st.binary(max_size=8).filter(lambda line: b"\r" not in line), max_size=6), st.binary(max_size=8))
def test_cutting_n_lines_agrees_with_splitting_them(lines: list[bytes], rest: bytes) -> None:
    data = b"".join(line + b"\r" for line in lines) + rest
    for n in range(1, len(lines) + 1):
        assert cut(data, b"\r", n) == (b"\n".join(lines[:n]), data[sum(len(line) + 1 for line in lines[:n]) :])
    assert (cut(data, b"\r", len(lines) + 1) is None) == (b"\r" not in rest)


def test_setting_aside_keeps_incomplete_lines() -> None:
    import re

    assert set_aside(b"E90:1\nOK\nE90:2", b"\n", re.compile(rb"E90:\d")) == (b"OK\nE90:2", [b"E90:1"])
