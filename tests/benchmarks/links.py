"""Speed of links: set-and-check of a source over VISA and TCP beside a raw socket, a vector set of 64 heaters, a block of 16,384 samples.

`python tests/benchmarks/links.py [--sets 3000] [--blocks 500] [--repeats 3]` prints rates, and ratios to the raw socket's in the same run
(asked for: 0.4 over a VISA socket; without TCP_NODELAY it is 0.002). The emulators run in a process of their own. It ends with 1 if a
set or a block needs another number of exchanges than it should, or if a block is not what was sent; never because of a time.
"""

from __future__ import annotations

import argparse
import multiprocessing
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from drivers.keithley2400 import STATE, Keithley2400, Keithley2400Options
from drivers.qontrol import Qontrol
from labonn.clock import SimulatedClock
from labonn.links import BLOCK, connect
from sim_backends.firmware.keithley2400 import Keithley2400Firmware
from sim_backends.firmware.qontrol import QontrolFirmware
from sim_backends.served import serve_tcp

SAMPLES = np.arange(16384, dtype=">f4")
REPLY = b"#565536" + SAMPLES.tobytes() + b"\r\n"
MODULES = 8


class Recorder:
    """Answers every line with the same block."""

    def feed(self, data: bytes) -> bytes:
        return data.count(b"\n") * REPLY

    def wire_s(self, sent: int, received: int) -> float:
        return 0.0


FIRMWARE: dict[str, Callable[[], Any]] = {
    "keithley2400": lambda: Keithley2400Firmware(load_ohm=20.0),
    "qontrol": lambda: QontrolFirmware(MODULES),
    "recorder": Recorder,
}


def serve(name: str, told: Connection) -> None:
    """Serve one emulator until the other end closes."""
    with serve_tcp(FIRMWARE[name](), SimulatedClock()) as url:
        told.send(url)
        told.poll(None)


@contextmanager
def served(name: str) -> Iterator[str]:
    """URL of an emulator in another process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(name, theirs), daemon=True)
    process.start()
    try:
        yield str(ours.recv())
    finally:
        ours.send(None)
        process.join(10)


def visa_url(url: str) -> str:
    """The same socket as a VISA resource."""
    return f"visa://TCPIP::127.0.0.1::{urlsplit(url).port}::SOCKET?backend=@py"


def rate(count: int, action: Callable[[int], object]) -> float:
    """How often a second."""
    began = time.perf_counter()
    for i in range(count):
        action(i)
    return count / (time.perf_counter() - began)


def raw_sets(url: str, count: int) -> float:
    """Sets a second with the driver's bytes on a bare socket."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def set_one(i: int) -> None:
            connection.sendall(f":SOUR:CURR {1e-5 * (i % 1000):.6E};:OUTP ON;{STATE};:SYST:ERR:ALL?\n".encode())
            reply = b""
            while not reply.endswith(b"\n"):
                reply += connection.recv(4096)
            assert reply.endswith(b'0,"No error"\n')

        return rate(count, set_one)


def driver_sets(url: str, count: int) -> tuple[float, float]:
    """(sets a second, exchanges a set) with the driver."""
    with closing(connect(url, **Keithley2400.link_options)) as link:
        source = Keithley2400(link, Keithley2400Options(), "source")
        source.prepare(source.spec)
        bank, rows, before = 1e-5 * np.arange(1000.0)[:, None], [np.array([row]) for row in range(1000)], link.exchanges

        def set_one(i: int) -> None:
            source.load(bank, rows[i % 1000], 1e-6)
            source.arm()

        return rate(count, set_one), (link.exchanges - before) / count


def vector_sets(url: str, count: int) -> tuple[float, float]:
    """(sets of 64 channels a second, exchanges a set)."""
    with closing(connect(url, **Qontrol.link_options)) as link:
        heaters = Qontrol(link, Qontrol.Options(channels=8 * MODULES), "heaters")
        heaters.prepare(heaters.spec)
        bank = np.random.default_rng(0).uniform(0.0, 1.0, (count, 8 * MODULES)) * heaters.spec.upper
        before = link.exchanges

        def set_one(i: int) -> None:
            heaters.load(bank, np.array([i]), 1e-6)
            heaters.arm()

        return rate(count, set_one), (link.exchanges - before) / count


def blocks(url: str, count: int) -> tuple[float, bool]:
    """(megabytes a second, decoded, whether all were what was sent, in one exchange each)."""
    with closing(connect(url, write_end="\r\n", read_end="\r\n")) as link:
        right: list[bool] = []

        def fetch(_: int) -> None:
            values = np.frombuffer(link.exchange(b"ACQ:SOUR1:DATA?", BLOCK), ">f4").astype(np.float32)
            right.append(len(values) == len(SAMPLES) and float(values[-1]) == float(SAMPLES[-1]))

        found = rate(count, fetch) * SAMPLES.nbytes / 1e6
        return found, all(right) and link.exchanges == count


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=3000)
    parser.add_argument("--blocks", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    right = True
    with served("keithley2400") as url:
        ways = {"tcp": url, "visa": visa_url(url)}
        runs = [(raw_sets(url, args.sets), {way: driver_sets(ways[way], args.sets) for way in ways}) for _ in range(args.repeats)]
    print(f"set and check of a keithley2400 on a raw socket: {median(raw for raw, _ in runs):,.0f} a second")
    for way in ways:
        exchanges = {found[way][1] for _, found in runs}
        ratio = median(found[way][0] / raw for raw, found in runs)
        print(f"  by its driver over {way}://: {median(found[way][0] for _, found in runs):,.0f} a second, {ratio:.2f} of that", end="; ")
        print(f"exchanges a set: {', '.join(f'{n:g}' for n in exchanges)} (1)")
        right = right and exchanges == {1.0}
    with served("qontrol") as url:
        sets, exchanges_a_set = vector_sets(url, args.sets // 10)
    right = right and exchanges_a_set == MODULES + 1
    print(
        f"qontrol, 64 channels: {sets:,.0f} sets a second; exchanges a set: {exchanges_a_set:g} ({MODULES} modules, and 1 reads all back)"
    )
    with served("recorder") as url:
        for way, where in (("tcp", url), ("visa", visa_url(url))):
            found = [blocks(where, args.blocks) for _ in range(args.repeats)]
            right = right and all(whole for _, whole in found)
            print(
                f"blocks of 16,384 float32 over {way}://, decoded: {median(speed for speed, _ in found):,.0f} MB a second (asked for: 200)"
            )
    return int(not right)


if __name__ == "__main__":
    sys.exit(main())
