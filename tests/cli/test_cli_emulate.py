"""labonn emulate in a process of its own, talked to by plain sockets, terminals and ZeroMQ; and labonn instruments."""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import serial
import zmq

from labonn import registry
from labonn.bench import Bench
from labonn.cli import main
from labonn.shots import ShotTable
from procedures.benches import vapour_cell
from procedures.benches.chips import chip_bench

WAIT_S = 20.0


@contextlib.contextmanager
def emulated(*arguments: str, end: int = signal.SIGINT) -> Iterator[dict[str, Any]]:
    """The ports that the command prints; ended by a signal to its own process, and checked to end so."""
    command = [sys.executable, "-W", "error", "-m", "labonn.cli", "emulate", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        try:
            with selectors.DefaultSelector() as ready:
                ready.register(process.stderr, selectors.EVENT_READ)
                assert ready.select(WAIT_S), "nothing was served in time"
            assert process.stderr.readline() == "labonn: emulated until Ctrl-C\n"
            os.set_blocking(process.stdout.fileno(), False)
            ports: dict[str, Any] = tomllib.loads(process.stdout.read())["ports"]
            yield ports
            process.send_signal(end)
            assert process.wait(WAIT_S) == 128 + end
            assert process.stderr.read() == ""
        finally:
            process.kill()


def asked(link: str, *lines: bytes) -> list[bytes]:
    """What a plain socket hears."""
    host, port = link.removeprefix("tcp://").split(":")
    with socket.create_connection((host, int(port)), WAIT_S) as client, client.makefile("rwb", 0) as stream:
        return [(stream.write(line + b"\n"), stream.readline())[1] for line in lines]


def test_a_byte_instrument_on_a_tcp_port_keeps_its_state_between_clients() -> None:
    with emulated("qontrol", "--tcp", "0", "channels=16", "mode=voltage") as ports:
        told = ports["qontrol"]
        assert (told["driver"], told["channels"], told["mode"]) == ("qontrol", 16, "voltage")
        assert asked(told["link"], b"V3=2.4", b"V3?") == [b"OK\n", b"+2.400000 V\n"]
        assert asked(told["link"], b"V3?", b"V15=1", b"V16=1") == [b"+2.400000 V\n", b"OK\n", b"E12:16\n"]


def test_a_byte_instrument_as_a_serial_port() -> None:
    with emulated("qontrol", "--pty", end=signal.SIGTERM) as ports:
        assert re.fullmatch(rb"Q8iv-[0-9A-F]{4}\n", asked_serial(ports["qontrol"]["link"], b"id?\n", b"\n"))


def test_a_message_instrument_at_a_zeromq_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        number = free.getsockname()[1]
    with emulated("stream_dac", "channels=3", "--zmq", f"127.0.0.1:{number}") as ports:
        assert ports["stream_dac"]["link"] == f"zmq://127.0.0.1:{number}"
        context = zmq.Context()
        with context.socket(zmq.REQ) as client:
            client.linger = 0
            client.connect(f"tcp://127.0.0.1:{number}")
            client.send(b'{"op":"identify","seq":1,"session":"a"}')
            assert client.poll(1000 * WAIT_S)
            about = json.loads(client.recv())
        context.term()
        assert (about["channels"], about["kind"], about["seq"]) == (3, "dac", 1)


def linked(text: str, ports: dict[str, Any]) -> str:
    """A bench file with the links that were printed in place of its own."""
    for port, table in ports.items():
        before, header, after = text.partition(f"[ports.{port}]")
        text = before + header + re.sub(r"(?m)^link = .*$", f"link = {json.dumps(table['link'])}", after, count=1)
    return text


def test_a_whole_bench_is_coupled_through_its_light(tmp_path: Path) -> None:
    """Seen by the drivers on real links: what modulators and currents are set to changes what the detectors read."""
    file = tmp_path / "bench.toml"
    file.write_text(chip_bench("pt_chip", (9, 4, 3)))
    order = np.zeros(50, int)
    with emulated("--bench", str(file), "--seed", "3") as ports:
        assert set(ports) == set(tomllib.loads(file.read_text())["ports"])
        file.write_text(linked(file.read_text(), ports))
        with Bench.open(file) as bench:
            dark, light = (
                bench.play(
                    ShotTable(
                        {"input": np.full((1, 9), volts, np.float32), "gain": np.full((1, len(bench.specs["gain"])), 5e-3)},
                        {"input": order, "gain": order},
                        1e-5,
                    )
                )["hidden"]
                for volts in (0.0, 3.0)
            )
    assert np.abs(light.mean(axis=0)).max() > 10 * np.abs(dark).mean(axis=0).max()


def test_what_cannot_be_served_of_a_bench_is_said_in_its_place(tmp_path: Path) -> None:
    file = tmp_path / "bench.toml"
    file.write_text(vapour_cell((6, 4, 3)))
    with emulated("--bench", str(file), "--ideal") as ports:
        assert "link" not in ports["weights1"]
        assert asked_serial(ports["ovens"]["link"], b"#020001?IFE3CA\r", b"\r").startswith(b"!020001")
        assert ports["gain"]["link"].startswith("serial://")
        assert ports["input"]["link"].startswith("zmq://")


def asked_serial(link: str, request: bytes, end: bytes) -> bytes:
    """What a serial port hears."""
    with serial.Serial(link.removeprefix("serial://"), 57600, timeout=WAIT_S) as line:
        line.write(request)
        return bytes(line.read_until(end))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "which instrument? `labonn instruments` lists them"),
        (["qontrl"], "no emulator is called 'qontrl'; did you mean 'qontrol'?"),
        (["qontrol", "chanels=3"], "ports.qontrol.chanels = 3: unknown key; did you mean 'channels'?"),
        (["qontrol", "link=3"], "link is not an option of the instrument"),
        (["qontrol", "loud"], "'loud': an option of the instrument is written option=value"),
        (["stream_dac"], "ports.stream_dac.channels: Field required"),
        (["stream_dac", "channels=3", "--pty"], "takes messages: it is served by ZeroMQ, not by 'pty'"),
        (["qontrol", "--zmq", "5570"], "takes bytes: it is served on a TCP port or a pty, not by 'zmq'"),
        (["qontrol", "--zmq", "10.0.0.9:5570"], "are served on this computer only"),
        (["qontrol", "--tcp", "66000"], "'66000' is not a port: 0 to 65535"),
        (["qontrol", "--tcp", "{taken}"], "qontrol: cannot be served by tcp on port"),
        (["stream_dac", "channels=1", "--zmq", "{taken}"], "stream_dac: cannot be served by zmq on port"),
        (["slm_monitor", "shape=[2, 3]"], "is a table of functions, not bytes"),
        (["--bench", "nowhere.toml"], "--bench nowhere.toml: no such file"),
        (["qontrol", "--seed", "3"], "--seed is about a simulated bench; it needs --bench FILE"),
    ],
)
def test_what_cannot_be_served_is_told_in_one_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = str(taken.getsockname()[1])
        assert main(["emulate", *(argument.format(taken=number) for argument in arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert len(err.splitlines()) == 1


def test_every_byte_and_message_emulator_can_be_served() -> None:
    from labonn.emulating import emulate_one

    wanted: dict[str, dict[str, Any]] = {name: {"channels": 2} for name in ("stream_dac", "stream_adc")}
    wanted |= {name: {"shape": [2, 3]} for name in ("slm_slmpy_net", "slm_server")}
    for name in registry.registered("labonn.emulators"):
        if registry.load("labonn.drivers", name).transport != "sdk":
            served = emulate_one(name, wanted.get(name, {}))
            served.simulated.close()
            assert re.fullmatch(r'link = "(tcp|serial|zmq|slmpynet)://\S+"', served.lines[2])


def test_instruments_are_listed_with_kind_transport_options_and_emulator(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["instruments", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["instruments"]}
    assert set(rows) == set(registry.registered("labonn.drivers")) | set(registry.registered("labonn.emulators"))
    about = rows["stream_dac"]
    assert (about["kind"], about["transport"], about["channels"], about["emulator"]) == ("Modulators", "zmq", "channels", True)
    assert {"option": "channels", "default": "wanted"} in about["options"]
    assert rows["slm_monitor"]["channels"] == "shape"
    assert main(["instruments", "qontrol"]) == 0
    assert "    GainSections, serial, channels by `channels`, with emulator\n" in capsys.readouterr().out
    assert main(["instruments", "qontrl"]) == 2
    assert "did you mean 'qontrol'?" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(registry.registered("labonn.emulators")))
def test_every_emulator_tells_what_of_its_manual_it_has(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["instruments", name, "--commands"]) == 0
    shown = capsys.readouterr().out
    document = sys.modules[registry.load("labonn.emulators", name).__module__].__doc__
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in document.splitlines() if line.startswith("|")]
    assert len(table) >= 4
    assert "implemented" in table[0]
    assert "refused" in " ".join(table[0])
    words = " ".join(shown.split())
    for row in table[2:]:
        assert row[0] in shown.splitlines()
        for heading, cell in zip(table[0][1:], row[1:], strict=True):
            assert not cell or f"{heading} {' '.join(cell.split())}" in words


def test_commands_of_no_instrument_are_asked_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["instruments", "--commands"]) == 2
    assert "of which instruments?" in capsys.readouterr().err
