"""labonn serve-slm in a process of its own, with SDL's dummy video: benches, plain ZeroMQ clients, keys, and what is refused."""

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
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
import zmq.auth

from labonn import registry
from labonn.cli import main
from labonn.errors import ConnectError, RefusedError
from labonn.links import connect

pytest.importorskip("pygame")
WAIT_S = 20.0
PANEL = (768, 1024)


@contextlib.contextmanager
def served(*arguments: str, end: int = signal.SIGINT) -> Iterator[dict[str, Any]]:
    """The port that the command prints; ended by a signal to its own process, and checked to end so."""
    command = [sys.executable, "-W", "error", "-m", "labonn.cli", "serve-slm", *arguments]
    environment = {**os.environ, "SDL_VIDEODRIVER": "dummy"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        try:
            with selectors.DefaultSelector() as ready:
                ready.register(process.stderr, selectors.EVENT_READ)
                assert ready.select(WAIT_S), "nothing was served in time"
            first = process.stderr.readline()
            assert first.endswith("is served until Ctrl-C\n"), first + process.stderr.read()
            os.set_blocking(process.stdout.fileno(), False)
            port: dict[str, Any] = tomllib.loads(process.stdout.read())["ports"]["slm"]
            yield port
            process.send_signal(end)
            assert process.wait(WAIT_S) == 128 + end
            assert process.stderr.read() in ("", "labonn: stopping; first everything is made safe\n")  # that if it was just answering
        finally:
            process.kill()


def driver_of(link: str, **options: Any) -> Any:
    """The registered driver, as a bench opens it."""
    driver, wire = registry.load("labonn.drivers", "slm_server"), connect(link)
    try:
        return driver(wire, driver.Options(shape=(3, 5), panel=PANEL, **options), "weights")
    except BaseException:
        wire.close()
        raise


def play(link: str, **options: Any) -> None:
    """Show two frames; the driver checks that each is shown."""
    driver = driver_of(link, **options)
    driver.prepare(driver.spec)
    driver.load(np.linspace(-1, 1, 15)[None], np.array([0]), 1e-3)
    driver.arm()
    driver.close()


def test_it_prints_the_lines_of_a_bench_file_and_serves_one_bench_after_the_other() -> None:
    with served("0", "--bind", "tcp://127.0.0.1:0", "--panel", "768x1024") as port:
        assert (port["driver"], port["panel"], port["bits"]) == ("slm_server", [768, 1024], 8)
        for encoding in ("none", "zlib", "none"):
            play(port["link"], encoding=encoding)


def test_more_bits_are_served_and_sigterm_ends_it_too() -> None:
    with served("monitor://0", "--bind", "tcp://127.0.0.1:*", "--bits", "10", end=signal.SIGTERM) as port:
        assert port["bits"] == 10
        play(port["link"], bits=10)


def test_a_bench_that_was_killed_is_replaced_after_its_time() -> None:
    with served("0", "--bind", "tcp://127.0.0.1:0") as port:
        program = f"""
import os
from labonn import registry
from labonn.links import connect
driver = registry.load("labonn.drivers", "slm_server")
slm = driver(connect({port["link"]!r}), driver.Options(shape=(3, 5), panel=(768, 1024), lease_s=1.0), "other")
slm.safe()
os.kill(os.getpid(), 9)
"""
        assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
        driver = driver_of(port["link"])
        with pytest.raises(RefusedError, match=r"'other \w{4}' has this SLM; it was heard 0\.\d s ago and may be quiet for 1 s \(busy\)"):
            driver.safe()
        time.sleep(1.0)
        driver.safe()
        driver.close()


def test_a_hand_written_client_gets_along_with_it() -> None:
    with served("0", "--bind", "tcp://127.0.0.1:0") as port, zmq.Context() as context, context.socket(zmq.REQ) as client:
        client.linger = 0
        client.connect(port["link"].replace("zmq", "tcp"))

        def ask(*parts: bytes) -> Any:
            client.send_multipart(parts)
            assert client.poll(1000 * WAIT_S)
            return json.loads(client.recv())

        me = '"session": "0123456789abcdef"'
        assert ask(b'{"op": "query", "seq": 1, %s}' % me.encode())["panel"] == [768, 1024]
        assert ask(b'{"op": "open", "seq": 2, %s, "name": "me", "lease_s": 5}' % me.encode()) == {"seq": 2, "lease_s": 5, "shown": 0}
        show = b'{"op": "show", "seq": 3, %s, "id": 1, "shape": [3, 4], "dtype": "|u1", "encoding": "none"}' % me.encode()
        assert ask(show, bytes(range(12))) == {"seq": 3, "shown": 1, "before": 0}
        assert ask(show, bytes(range(12)))["error"]["code"] == "id"
        assert ask(b"\xff")["error"]["code"] == "header"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A server's folder, with one client who is known and one who is not."""
    (tmp_path / "keys" / "clients").mkdir(parents=True)
    zmq.auth.create_certificates(tmp_path / "keys", "server")
    for name in ("bench", "stranger"):
        zmq.auth.create_certificates(tmp_path, name)
    (tmp_path / "bench.key").rename(tmp_path / "keys" / "clients" / "bench.key")
    return tmp_path


def test_with_keys_it_answers_only_those_whose_key_it_has(keys: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        number = free.getsockname()[1]
    with served("0", "--bind", f"tcp://0.0.0.0:{number}", "--keys", str(keys / "keys")) as port:
        assert port["link"] == f"zmq://{socket.gethostname()}:{number}?server_key=server.key&client_key=bench.key_secret"
        link = f"zmq://127.0.0.1:{number}?server_key={keys}/keys/server.key&client_key={keys}"
        play(f"{link}/bench.key_secret")
        for refused in (f"{link}/stranger.key_secret", f"zmq://127.0.0.1:{number}"):
            with pytest.raises(ConnectError, match="nothing answers there"):
                play(refused)
        play(f"{link}/bench.key_secret")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "the following arguments are required: MONITOR"),
        (["7"], "monitor://7: no monitor is called '7'; there are 0: \"0\" 768 x 1024 at (0, 0)"),
        (["edid:HOLOEYE"], "no monitor has an EDID with 'HOLOEYE'; there are 0:"),
        (["0", "--panel", "1080x1920"], "--panel 1080x1920: 0 has 768 x 1024 pixels; is it the right monitor?"),
        (["0", "--panel", "1080"], "'1080' is not ROWSxCOLUMNS, such as 1080x1920"),
        (["0", "--bits", "7"], "--bits"),
        (["0", "--bind", "tcp://0.0.0.0:5600"], "beyond this computer an SLM is served only with CURVE keys: add --keys DIR"),
        (["0", "--bind", "tcp://slm-pc:5600"], "only with CURVE keys"),
        (["0", "--bind", "tcp://*:5600"], "only with CURVE keys"),
        (["0", "--bind", "5600"], "--bind 5600: write tcp://127.0.0.1:5600"),
        (["0", "--bind", "ipc:///tmp/slm"], "write tcp://127.0.0.1:5600"),
        (["0", "--bind", "tcp://127.0.0.1:x"], "write tcp://127.0.0.1:5600"),
        (["0", "--bind", "tcp://127.0.0.1:{taken}"], "--bind tcp://127.0.0.1:{taken}: Address already in use"),
        (["0", "--keys", "nowhere"], "--keys nowhere: server.key_secret is not a key file"),
    ],
)
def test_what_cannot_be_served_is_told_in_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        assert main(["serve-slm", *(argument.format(taken=number) for argument in arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words.format(taken=number) in err
    assert len(err.splitlines()) == 1


def test_a_folder_that_knows_nobody_or_has_no_secret_is_refused(keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = keys / "keys"
    (folder / "clients" / "bench.key").unlink()
    assert main(["serve-slm", "0", "--keys", str(folder)]) == 2
    assert "clients/ has no *.key file: nobody could connect" in capsys.readouterr().err
    (folder / "server.key_secret").write_bytes((folder / "server.key").read_bytes())
    assert main(["serve-slm", "0", "--keys", str(folder)]) == 2
    assert "server.key_secret has no secret key" in capsys.readouterr().err


def test_it_is_listed_among_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert re.search(r"^  serve-slm +serve an SLM on a monitor", capsys.readouterr().out, re.MULTILINE)
