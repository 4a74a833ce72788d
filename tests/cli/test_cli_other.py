"""labonn procedures, check, data, and the command line as a whole."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labonn import __version__, idx, published, registry
from labonn.cli import main
from labonn.published import RemoteFile, RemoteSet

COMMAND = [sys.executable, "-m", "labonn.cli"]
PROCEDURE = '''"""Waits for a signal."""
import sys, time
def options(parser):
    parser.add_argument("--lr", type=float, default=5e-4, help="learning rate")
    parser.add_argument("--cell", choices=["eq4", "two_level"], default="eq4", help="absorber model (100 %% optical)")
    parser.add_argument("--hidden", type=int, nargs="+", default=[128, 64], help="sizes")
def bench_file(args): return ""
def main(bench, args, run): pass
'''


@dataclass(frozen=True)
class Row:
    port: str
    driver: str = "stream_dac"
    link: str = "zmq://10.0.0.9:5570"
    identity: str = "labonn stream DAC, serial 7, firmware 1.0"
    channels: int = 64
    unit: str = "V"
    lower: Any = 0.0
    upper: Any = 0.004
    depth: int = 65536
    error: str | None = None
    slew: float | str | None = None
    rules: tuple[str, ...] = ()
    role: str = ""
    note: str = ""


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Row]:
    (tmp_path / "lab.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    found: list[Row] = []
    monkeypatch.setattr("labonn.checking.check_bench", lambda path, dry_run=False, ideal=False, seed=None: found)
    return found


def test_check_prints_a_table_of_80_columns_and_returns_0(rows: list[Row], capsys: pytest.CaptureFixture[str]) -> None:
    rows += [Row("weights"), Row("ovens [1]", "meerstetter", unit="degC", lower=20.0, upper=80.0, channels=2, depth=1)]
    assert main(["check", "--bench", "lab.toml"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    for text in ("weights", "serial 7", "64", "0 V to 4 mV", "65536", "ovens [1]", "20 degC to 80 degC"):
        assert text in " ".join(out.split()), text


def test_check_tells_every_problem_in_a_line_and_returns_2(rows: list[Row], capsys: pytest.CaptureFixture[str]) -> None:
    rows += [Row("weights"), Row("gain", identity="", error="zmq://10.0.0.9:5571: no answer"), Row("out", error="out: another instrument")]
    assert main(["check", "--bench", "lab.toml"]) == 2
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        "labonn: error: gain: zmq://10.0.0.9:5571: no answer",
        "labonn: error: out: another instrument",
        "labonn: 1 of 3 instruments are right; when the others are mended: labonn check --bench lab.toml",
        "labonn: to try without instruments add --dry-run",
    ]
    assert captured.out.count("no answer") == 1
    assert "weights" in captured.out


def test_check_as_json_has_all_fields(rows: list[Row], capsys: pytest.CaptureFixture[str]) -> None:
    rows += [Row("weights"), Row("gain", error="no answer")]
    assert main(["check", "--bench", "lab.toml", "--dry-run", "--json"]) == 2
    ports = json.loads(capsys.readouterr().out)["ports"]
    assert ports[0]["identity"] == "labonn stream DAC, serial 7, firmware 1.0"
    assert ports[0]["upper"] == 0.004
    assert ports[1]["error"] == "no answer"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check"], r"the following arguments are required: --bench"),
        (["check", "--bench", "none.toml"], r"--bench none\.toml: no such file"),
        (["chek"], r"no command is called 'chek'; did you mean 'check'\?"),
        (["--verbose"], r"no command is called '--verbose'; commands are init, run, runs"),
        (["procedures", "./none.py"], r"none\.py: no such file"),
        (["data"], r"the following arguments are required: fetch \| show"),
        (["data", "fetch", "cifar"], r"invalid choice: 'cifar'"),
        (["data", "fetch", "emnist", "--split", "all"], r"--split: invalid choice: 'all'"),
        (["data", "show", "nowhere"], r"nowhere: no such folder"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], rows: list[Row]
) -> None:
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("labonn: error: ")
    assert err.count("\n") == 1
    assert re.search(message, err)


def test_procedures_lists_options_with_defaults_and_choices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "waits.py").write_text(PROCEDURE)
    assert main(["procedures", str(tmp_path / "waits.py")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("waits\n  Waits for a signal.\n")
    assert "--lr [0.0005]  learning rate" in out
    assert "--cell [eq4] (eq4 | two_level)  absorber model (100 % optical)" in out
    assert "--hidden [128 64]" in out
    assert max(map(len, out.splitlines())) <= 80


def test_procedures_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "waits.py").write_text(PROCEDURE)
    assert main(["procedures", "--json", str(tmp_path / "waits.py")]) == 0
    (row,) = json.loads(capsys.readouterr().out)["procedures"]
    assert row["name"] == "waits"
    wanted = {"option": "--cell", "default": "eq4", "choices": ["eq4", "two_level"], "help": "absorber model (100 % optical)"}
    assert row["options"][1] == wanted


def test_all_registered_procedures_are_listed_even_if_one_cannot_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from importlib.metadata import EntryPoint

    (tmp_path / "waits_here.py").write_text(PROCEDURE)
    monkeypatch.syspath_prepend(str(tmp_path))
    points = {name: EntryPoint(name, module, "labonn.procedures") for name, module in (("gone", "gone_module"), ("waits", "waits_here"))}
    monkeypatch.setattr(registry, "registered", lambda group: points)
    assert main(["procedures"]) == 2
    captured = capsys.readouterr()
    assert captured.out.startswith("waits\n")
    assert "gone_module cannot be imported: ModuleNotFoundError: No module named 'gone_module'" in captured.err


def test_fetch_puts_a_checked_set_where_load_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "web").mkdir()
    files = []
    for part, count in (("train", 20), ("t10k", 10)):
        for kind, array in (("images-idx3", np.ones((count, 3, 3), np.uint8)), ("labels-idx1", np.arange(count, dtype=np.uint8) % 10)):
            content = gzip.compress(idx.encode(array))
            (tmp_path / "web" / f"{part}-{kind}-ubyte.gz").write_bytes(content)
            files.append(RemoteFile(f"{part}-{kind}-ubyte.gz", len(content), hashlib.sha256(content).hexdigest()))
    monkeypatch.setattr(published, "SETS", {"mnist": RemoteSet(tuple(files), ("http://127.0.0.1:9/",))})
    monkeypatch.chdir(tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(tmp_path / "web"))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            codes = [main(["data", "fetch", "mnist", "--mirror", f"http://127.0.0.1:{server.server_port}"]) for _ in range(2)]
        finally:
            server.shutdown()
            thread.join()
    captured = capsys.readouterr()
    assert codes == [0, 0]
    assert "data/mnist: 4 files fetched and checked\n20 training and 10 test images of 3 x 3, 10 classes\n" in captured.out
    assert "everything was there and is right" in captured.out
    assert captured.out.count("use it with --data data/mnist") == 2
    assert captured.err.count("train-images-idx3-ubyte.gz: ") == 2
    assert main(["data", "fetch", "mnist", "--to", "else"]) == 2
    assert "could not be fetched" in capsys.readouterr().err


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_show_draws_and_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "show", "mini"]) == 0
    out = capsys.readouterr().out
    assert "mini: 5,000 training and 1,000 test images of 28 x 28, 10 classes" in out
    assert "test images a class: 100, 100, 100, 100, 100, 100, 100, 100, 100, 100" in out
    pictures = out.split("\n\n")[1].splitlines()
    assert len(pictures) == 8
    assert {len(line) for line in pictures} == {78}
    assert 40 < sum(mark in "▀▄█" for mark in "".join(pictures)) < 300


def test_show_draws_images_upright(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = np.zeros((1, 4, 2), np.uint8)
    image[0, :2, 0] = image[0, 2, 1] = 255
    for part in ("train", "t10k"):
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx.encode(image))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx.encode(np.zeros(1, np.uint8)))
    main(["data", "show", str(tmp_path)])
    assert capsys.readouterr().out.split("\n\n")[1].splitlines()[:2] == ["█ ", " ▀"]


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"labonn {__version__}\n"
    assert main([]) == 0
    out = capsys.readouterr().out
    for word in ("run", "procedures", "check", "data", "--dry-run", "--debug"):
        assert word in out


def test_help_is_quick_and_imports_neither_numpy_nor_rich() -> None:
    code = "import sys; from labonn.cli import main; main(['--help']); sys.exit(bool({'numpy', 'rich', 'pydantic'} & set(sys.modules)))"
    times = []
    for _ in range(3):
        start = time.perf_counter()
        assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
        times.append(time.perf_counter() - start)
    assert min(times) < 0.4


def test_a_reader_that_goes_away_is_no_error() -> None:
    process = subprocess.Popen([*COMMAND, "data", "show", "mini"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141


BENCH = """
import os, sys, time
from types import SimpleNamespace
import labonn.bench
class Bench:
    ports = {}
    specs, file, clock = {}, SimpleNamespace(ports={}), SimpleNamespace(now=lambda: 0.0)
    exchanges, observer = 0, None
    @classmethod
    def open(cls, path, **settings): return cls()
    def __enter__(self): return self
    def __exit__(self, *what):
        time.sleep(0.3)
        print("made safe", flush=True)
labonn.bench.Bench = Bench
from labonn.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_real_signal_twice_ends_safe(number: int, code: int, tmp_path: Path) -> None:
    before = signal.signal(number, signal.default_int_handler)  # under nohup SIGHUP is ignored, by what the tests start too
    (tmp_path / "fake.py").write_text(BENCH)
    (tmp_path / "waits.py").write_text(PROCEDURE.replace("pass", "print('waiting', flush=True); time.sleep(30)"))
    arguments = [sys.executable, "fake.py", "run", "./waits.py", "--dry-run"]
    process = subprocess.Popen(arguments, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    signal.signal(number, before)
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    os.kill(process.pid, number)
    time.sleep(0.1)
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=10)
    assert process.returncode == code
    assert out == "made safe\n"
    assert "interrupted; the bench is safe" in err
    assert "Traceback" not in err
