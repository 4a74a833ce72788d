"""The next command after an error: one line, only where it helps, and not twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from labonn.cli import COMMANDS, main
from labonn.cli.advice import advice
from labonn.errors import (
    BenchFileError,
    CalibrationError,
    ConnectError,
    IdentityError,
    InterlockError,
    LabonnError,
    LeaseError,
    LimitError,
    LinkTimeoutError,
    RecordError,
    UnknownStateError,
)

REAL = ["run", "train_chip", "--bench", "lab.toml"]


@pytest.mark.parametrize(
    ("problem", "arguments", "command"),
    [
        (ConnectError("x"), REAL, "labonn check --bench lab.toml"),
        (LinkTimeoutError("x"), ["serve", "--bench", "lab.toml"], "labonn check --bench lab.toml"),
        (IdentityError("x"), REAL, "labonn check --bench lab.toml"),
        (UnknownStateError("x"), REAL, "labonn safe --bench lab.toml"),
        (LimitError("x"), REAL, "labonn run train_chip … --plan"),
        (CalibrationError("x"), REAL, "labonn calibrations list"),
        (LeaseError("x"), REAL, "labonn status"),
        (RecordError("x"), ["report", "latest"], "labonn runs list"),
    ],
)
def test_an_error_names_the_next_command(problem: LabonnError, arguments: list[str], command: str) -> None:
    line = advice(problem, arguments)
    assert f"`{command}`" in line
    assert command.split()[1] in COMMANDS
    assert advice(type(problem)(f"{problem}; see `{command}`"), arguments) == ""


@pytest.mark.parametrize(
    ("problem", "arguments"),
    [
        (ConnectError("x"), ["run", "train_chip", "--dry-run"]),
        (ConnectError("x"), ["run", "train_chip", "--bench", "zmq://127.0.0.1:5555"]),
        (ConnectError("x"), ["check", "--bench", "lab.toml"]),
        (UnknownStateError("x"), [*REAL, "--dry-run"]),
        (InterlockError("x"), REAL),
        (BenchFileError("x"), ["run", "train_chip", "--bench", "mzi_chipp"]),
        (LabonnError("x"), []),
    ],
)
def test_where_no_command_helps_none_is_named(problem: LabonnError, arguments: list[str]) -> None:
    assert advice(problem, arguments) == ""


def test_a_run_whose_instruments_do_not_answer_points_to_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lab.toml").write_text('[ports.out]\ndriver = "stream_adc"\nlink = "zmq://127.0.0.1:9"\nchannels = 2\nrole = "trigger"\n')
    assert main(["run", "calibrate_detectors", "--bench", "lab.toml", "--no-guardian"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "labonn: error: out: zmq://127.0.0.1:9: nothing answers there within 0.3 s; is the instrument on, and the port right?",
        "labonn: to try without instruments add --dry-run",
        "labonn: `labonn check --bench lab.toml` tells port by port what is wrong",
    ]
    assert not Path("runs").exists()


@pytest.mark.parametrize("words", [["check"], ["run", "train_vapour_cell"]])
def test_a_bench_file_that_is_not_there_points_to_init(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--bench", "none.toml"]) == 2
    assert capsys.readouterr().err == "labonn: error: --bench none.toml: no such file; `labonn init` writes one by asking\n"


def test_a_wrong_bench_file_points_to_check(tmp_path: Path) -> None:
    (tmp_path / "lab.toml").write_text("")
    words = ["run", "train_chip", "--bench", str(tmp_path / "lab.toml")]
    assert advice(BenchFileError("x"), words).startswith(f"`labonn check --bench {tmp_path / 'lab.toml'}` tells all")


@pytest.mark.parametrize("words", [[], ["--help"]])
def test_labonn_alone_shows_the_first_steps_with_commands_that_there_are(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    out = capsys.readouterr().out
    steps = [line.split() for line in out.partition("first steps")[2].splitlines() if line.startswith("  labonn")]
    assert {step[1] for step in steps} == {"run", "dash", "report", "init", "check"} <= set(COMMANDS)
    assert max(map(len, out.splitlines())) <= 80


def test_a_dry_check_tells_of_links_of_unknown_kinds_and_of_those_that_a_driver_cannot_speak_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "lab.toml"
    assert main(["init", "--bench-type", "pt_chip", "-o", str(file), "--yes"]) == 0
    text = file.read_text(encoding="utf-8")
    for wrong, told in (("zqm://", "unknown kind of link 'zqm'; did you mean zmq://?"), ("serial://", "speaks over zmq://, not over serial://")):
        file.write_text(text.replace("zmq://127.0.0.1:5571", f"{wrong}127.0.0.1:5571"), encoding="utf-8")
        capsys.readouterr()
        assert main(["check", "--bench", str(file), "--dry-run"]) == 2
        err = capsys.readouterr().err
        assert told in err
        assert "ports.gain.link" in err
        assert "(line " in err


def test_the_name_of_a_shipped_bench_file_is_a_bench_for_every_procedure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "train_vapour_cell", "--dry-run", "--bench", "vapour_defect", "--out", str(tmp_path / "runs")]
    assert main(words) == 2
    assert "--bench vapour_defect: no such file" in capsys.readouterr().err
    assert main([*[f"{word}s" if word == "vapour_defect" else word for word in words], "--hidden", "3"]) == 2
    assert "--hidden 3: this bench has hidden layers of 64 64" in capsys.readouterr().err
