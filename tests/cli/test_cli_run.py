"""labonn run, with a bench that only remembers what was done to it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from labonn.channels import ChannelSpec
from labonn.cli import main
from labonn.errors import ConnectError, LimitError, UnknownStateError

PROCEDURE = '''"""Trains nothing at all.

More words about it.
"""
import os, signal
import numpy as np
from labonn.errors import LimitError, ProcedureError

def options(parser):
    group = parser.add_argument_group("training")
    group.add_argument("--hidden", type=int, nargs="+", default=[128, 128], help="neurons of the hidden layers")
    group.add_argument("--fail", default="no", choices=["no", "limit", "bug", "int", "term", "swallow"], help="how to end")

def bench_file(args):
    return f"# for {args.hidden[0]} neurons\\n"

def check(args):
    if min(args.hidden) < 1:
        raise ProcedureError(f"--hidden {min(args.hidden)}: a layer has 1 neuron or more")

def main(bench, args, run):
    print("hello from the procedure")
    weights = np.arange(3.0)
    run.keep("weights", lambda: {"w": weights})
    run.metrics({"epoch": 1, "loss": 0.5})
    if args.fail == "limit":
        raise LimitError("heaters/ch5: 4.2 V in row 1 is outside 0 to 4 V (bench.toml)")
    if args.fail == "bug":
        raise ZeroDivisionError("division by zero")
    try:
        if args.fail in ("int", "swallow"):
            os.kill(os.getpid(), signal.SIGINT)
        if args.fail == "term":
            os.kill(os.getpid(), signal.SIGTERM)
    except KeyboardInterrupt:
        if args.fail != "swallow":
            raise
    return {"test_accuracy": 0.97251, "shots": 12, "seed": run.seed, "sizes": args.hidden, "matrix": [[1]], "nothing": None}
'''


class FakeBench:
    """Stands in for the bench; `opened` holds the arguments of every open."""

    opened: list[dict[str, Any]]
    closed = 0
    on_close: Any = None
    problem: Exception | None = None

    @classmethod
    def open(cls, path: Path, **settings: Any) -> FakeBench:
        cls.opened.append({"path": path, "text": Path(path).read_text(), **settings})
        if cls.problem is not None:
            raise cls.problem
        return cls()

    def __init__(self) -> None:
        self.ports = {"cell": SimpleNamespace(identity="Cell 1")}
        self.specs = {"cell": ChannelSpec(("a",), "V", *map(np.asarray, (0.0, 1.0, 0.1, 0.0)))}
        self.file, self.clock = SimpleNamespace(ports={}), SimpleNamespace(now=lambda: 0.0)
        self.exchanges = self.shots = 0
        self.observer: Any = None

    def __enter__(self) -> FakeBench:
        return self

    def __exit__(self, *what: object) -> None:
        try:
            if FakeBench.on_close:
                FakeBench.on_close()
        except UnknownStateError as unsafe:
            if what[1] is None:
                raise
            what[1].add_note(str(unsafe))  # type: ignore[attr-defined]
        FakeBench.closed += 1


@pytest.fixture(autouse=True)
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[FakeBench]]:
    FakeBench.opened, FakeBench.closed, FakeBench.on_close, FakeBench.problem = [], 0, None, None
    monkeypatch.setattr("labonn.bench.Bench", FakeBench)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "teach.py").write_text(PROCEDURE)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    yield FakeBench
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def only_run() -> Path:
    (folder,) = Path("runs").iterdir()
    return folder


def read(name: str) -> Any:
    return json.loads((only_run() / name).read_text())


def test_a_run_leaves_its_folder_and_prints_a_short_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "./teach.py", "--dry-run", "--hidden", "16", "8", "--seed", "3"]) == 0
    out = capsys.readouterr().out
    assert "test accuracy  0.97251\n" in out
    assert "sizes          16, 8\n" in out
    assert "matrix" not in out
    assert out.endswith(f"folder: {only_run()}\n")
    assert sorted(path.name for path in only_run().iterdir()) == [
        "bench.toml", "events.log", "metrics.csv", "metrics.jsonl", "record.sqlite", "result.json", "settings.json", "weights.npz",
    ]  # fmt: skip
    assert only_run().name.endswith("Z-teach")
    assert read("result.json")["result"]["seed"] == 3
    assert FakeBench.closed == 1


def test_the_settings_tell_how_to_run_it_again() -> None:
    main(["run", "./teach.py", "--dry-run", "--ideal", "--hidden", "16"])
    settings = read("settings.json")
    assert settings["command"] == "labonn run ./teach.py --dry-run --ideal --hidden 16"
    assert settings["options"]["hidden"] == [16]
    assert (settings["dry_run"], settings["ideal"], settings["seed"]) == (True, True, 0)


def test_without_a_bench_file_the_procedures_own_is_written_and_opened() -> None:
    main(["run", "./teach.py", "--dry-run", "--hidden", "16", "--real-time", "--seed", "9"])
    (opened,) = FakeBench.opened
    assert opened["text"] == "# for 16 neurons\n"
    assert opened["path"] == only_run() / "bench.toml"
    assert {key: opened[key] for key in ("dry_run", "ideal", "real_time")} == {"dry_run": True, "ideal": False, "real_time": True}
    assert opened["seed"] == 9


def test_a_given_bench_file_is_opened_where_it_lies_and_copied_byte_for_byte() -> None:
    Path("lab.toml").write_bytes(b"# mine\r\n\xc3\xa9")
    main(["run", "./teach.py", "--bench", "lab.toml", "--no-guardian"])
    assert FakeBench.opened[0]["path"] == Path("lab.toml")
    assert FakeBench.opened[0]["dry_run"] is False
    assert FakeBench.opened[0]["seed"] is None
    assert (only_run() / "bench.toml").read_bytes() == b"# mine\r\n\xc3\xa9"
    assert read("settings.json")["bench"] == "lab.toml"


def test_json_is_the_only_thing_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "./teach.py", "--dry-run", "--json"]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert result["result"]["test_accuracy"] == 0.97251
    assert result["folder"] == str(only_run())
    assert result["status"] == "finished"
    assert "hello from the procedure" in captured.err


def test_both_kinds_of_options_are_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "./teach.py", "--help"]) == 0
    out = capsys.readouterr().out
    assert "--dry-run" in out
    assert "--hidden" in out
    assert "[128, 128]" in out
    assert "Trains nothing at all." in out
    assert main(["run", "--help"]) == 0
    assert "--real-time" in capsys.readouterr().out
    assert FakeBench.opened == []


BAD = {
    "no procedure": (["run", "--dry-run"], r"which procedure\? registered are: .*train_vapour_cell"),
    "misspelt": (["run", "train_vapor_cell"], r"no procedure is called 'train_vapor_cell'; did you mean 'train_vapour_cell'"),
    "forgot the path": (["run", "teach"], r"there is a file teach\.py, to run it write \./teach\.py"),
    "missing file": (["run", "./tech.py"], r"tech\.py: no such file"),
    "option first": (["run", "--hidden", "8", "./teach.py"], r"no procedure is called '8'"),
    "missing bench": (["run", "./teach.py", "--bench", "lab.toml"], r"--bench lab\.toml: no such file"),
    "bench is a folder": (["run", "./teach.py", "--bench", "."], r"--bench \.: is a folder"),
    "bench without value": (["run", "./teach.py", "--bench"], r"--bench: expected one argument"),
    "unknown option": (["run", "./teach.py", "--hiden", "8"], r"unrecognized arguments: --hiden 8; did you mean --hidden\?"),
    "abbreviation": (["run", "./teach.py", "--dry"], r"unrecognized arguments: --dry"),
    "not a number": (["run", "./teach.py", "--hidden", "many"], r"--hidden: invalid int value: 'many'"),
    "not a choice": (["run", "./teach.py", "--fail", "maybe"], r"--fail: invalid choice: 'maybe'"),
    "negative seed": (["run", "./teach.py", "--seed", "-3"], r"--seed: -3 is negative"),
    "no seed": (["run", "./teach.py", "--seed", "x"], r"--seed: 'x' is not a whole number"),
    "ideal reality": (["run", "./teach.py", "--ideal"], r"--ideal is about simulated instruments; it needs --dry-run"),
    "real time reality": (["run", "./teach.py", "--real-time"], r"--real-time is about"),
    "the procedure's own check": (["run", "./teach.py", "--dry-run", "--hidden", "0"], r"--hidden 0: a layer has 1 neuron or more"),
    "out is a file": (["run", "./teach.py", "--dry-run", "--out", "teach.py"], r"--out teach\.py: no folder can be made there"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_exit_code_2_and_nothing_opened(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    import re

    arguments, message = BAD[case]
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("labonn: error: ")
    assert captured.err.count("\n") == 1
    assert re.search(message, captured.err)
    assert FakeBench.opened == []
    assert not Path("runs").exists()


BROKEN = {
    "import": ("import nothing_of_this_name\n", r"line 1: ModuleNotFoundError: No module named 'nothing_of_this_name'"),
    "syntax": ("x = 1\ndef f(:\n", r"broken\.py, line 2: invalid syntax"),
    "name": ("x = 1\n\ny = z\n", r"broken\.py, line 3: NameError: name 'z' is not defined"),
    "no main": ("def options(parser): pass\n", r"broken\.py: a procedure has a function main\(bench, args, run\)"),
    "no options": ("def main(bench, args, run): pass\n", r"broken\.py: a procedure has a function options\(parser\)"),
    "taken option": (
        "def options(parser): parser.add_argument('--seed')\ndef main(bench, args, run): pass\n",
        r"broken\.py: an option of `labonn run` is in the way: .*--seed",
    ),
    "no bench": ("def options(parser): pass\ndef main(bench, args, run): pass\n", r"broken has no bench of its own; give one with --bench"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_procedure_is_told_with_file_and_line(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    import re

    source, message = BROKEN[case]
    Path("broken.py").write_text(source)
    assert main(["run", "./broken.py", "--dry-run"]) == 2
    err = capsys.readouterr().err
    assert re.search(message, err)
    assert err.count("\n") == 1


@pytest.mark.parametrize("extra", ["", "; to try without instruments add --dry-run"])
def test_a_bench_that_does_not_open_leaves_no_folder_and_suggests_a_dry_run_once(extra: str, capsys: pytest.CaptureFixture[str]) -> None:
    FakeBench.problem = ConnectError(
        f"heaters: serial:///dev/ttyUSB0: no such device{extra}\noutputs: zmq://10.0.0.9:5570: no answer{extra}"
    )
    assert main(["run", "./teach.py", "--no-guardian"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "labonn: error: heaters: serial:///dev/ttyUSB0: no such device",
        "labonn: error: outputs: zmq://10.0.0.9:5570: no answer",
        "labonn: to try without instruments add --dry-run",
    ]
    assert not Path("runs").exists()


def test_an_error_under_way_is_one_line_and_keeps_what_was_learned(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "./teach.py", "--dry-run", "--fail", "limit"]) == 2
    err = capsys.readouterr().err.splitlines()
    assert err[-1] == "labonn: `labonn run ./teach.py … --plan` shows all values against their limits"
    assert err[-2] == "labonn: error: heaters/ch5: 4.2 V in row 1 is outside 0 to 4 V (bench.toml)"
    assert err[-3] == f"labonn: failed; the bench is safe; what there is so far is in {only_run()}"
    assert FakeBench.closed == 1
    assert read("result.json")["status"] == "failed"
    assert "LimitError" in read("result.json")["problem"]
    with np.load(only_run() / "weights.npz") as saved:
        assert saved["w"].tolist() == [0, 1, 2]


def test_debug_shows_where_an_error_came_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "./teach.py", "--dry-run", "--fail", "limit", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_bug_in_a_procedure_closes_the_bench_and_shows_itself() -> None:
    with pytest.raises(ZeroDivisionError):
        main(["run", "./teach.py", "--dry-run", "--fail", "bug"])
    assert FakeBench.closed == 1
    assert read("result.json")["status"] == "failed"


@pytest.mark.parametrize(("how", "code", "name"), [("int", 130, "SIGINT"), ("term", 143, "SIGTERM")])
def test_a_signal_ends_safe_and_keeps_what_was_learned(how: str, code: int, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "./teach.py", "--dry-run", "--fail", how]) == code
    assert FakeBench.closed == 1
    assert read("result.json") == {"status": "interrupted", "problem": f"Stopped: {name}", "result": None}
    assert (only_run() / "weights.npz").exists()
    assert (only_run() / "metrics.csv").exists()
    err = capsys.readouterr().err
    assert f"interrupted; the bench is safe; what there is so far is in {only_run()}" in err
    assert "Traceback" not in err


def test_a_second_ctrl_c_cannot_stop_the_bench_from_being_made_safe(capfd: pytest.CaptureFixture[str]) -> None:
    FakeBench.on_close = lambda: os.kill(os.getpid(), signal.SIGINT)
    assert main(["run", "./teach.py", "--dry-run", "--fail", "term"]) == 143
    assert FakeBench.closed == 1
    assert read("result.json")["status"] == "interrupted"
    assert "stopping; first everything is made safe" in capfd.readouterr().err


def test_ctrl_c_while_the_bench_closes_waits_until_it_is_closed_and_saved() -> None:
    FakeBench.on_close = lambda: os.kill(os.getpid(), signal.SIGINT)
    assert main(["run", "./teach.py", "--dry-run"]) == 130
    assert FakeBench.closed == 1
    assert read("result.json")["result"]["test_accuracy"] == 0.97251


def test_ctrl_c_while_the_bench_opens_closes_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(path: Path, **settings: Any) -> FakeBench:
        os.kill(os.getpid(), signal.SIGINT)
        return FakeBench()

    monkeypatch.setattr(FakeBench, "open", slow)
    assert main(["run", "./teach.py", "--dry-run"]) == 130
    assert FakeBench.closed == 1
    assert not (only_run() / "metrics.jsonl").exists()


def test_a_procedure_that_catches_ctrl_c_to_end_well_keeps_its_result(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "./teach.py", "--dry-run", "--fail", "swallow"]) == 130
    assert read("result.json")["status"] == "interrupted"
    assert "test accuracy  0.97251" in capsys.readouterr().out


def unsafe() -> None:
    raise UnknownStateError("gain: could not be made safe: no answer")


@pytest.mark.parametrize(("how", "code"), [("int", 130), ("limit", 2), ("no", 2)])
def test_a_bench_that_could_not_be_made_safe_is_never_called_safe(how: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    FakeBench.on_close = unsafe
    assert main(["run", "./teach.py", "--dry-run", "--fail", how]) == code
    err = capsys.readouterr().err
    assert "the bench is safe" not in err
    assert "gain: could not be made safe: no answer" in err
    result = read("result.json")
    assert "could not be made safe" in result["problem"]
    assert (result["result"] is not None) == (how == "no")


def test_limit_errors_keep_their_type_when_a_dry_run_is_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    FakeBench.problem = LimitError("x: too high")
    assert main(["run", "./teach.py", "--dry-run"]) == 2
    assert capsys.readouterr().err.splitlines()[0] == "labonn: error: x: too high"


def test_blas_gets_one_thread() -> None:
    from threadpoolctl import threadpool_info, threadpool_limits

    with threadpool_limits(2, user_api="blas"):
        main(["run", "./teach.py", "--dry-run"])
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {1}
