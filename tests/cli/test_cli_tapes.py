"""labonn run --record and --replay: a run repeated from its tape, in processes of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labonn.cli import main
from procedures.benches.chips import chip_bench

VAPOUR = ["run", "train_vapour_cell", "--dry-run", "--json", "--hidden", "6", "--limit", "64", "--epochs", "1"]
CHIP = ["run", "train_chip", "--dry-run", "--json", "--steps", "2", "--gradient", "central"]


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any], str]:
    """(exit code, what was printed, errors)."""
    code = main(arguments)
    out, err = capsys.readouterr()
    return code, json.loads(out) if out else {}, err


def arrays_of(folder: str) -> dict[str, bytes]:
    found = {}
    for file in sorted(Path(folder).glob("*.npz")):
        with np.load(file) as arrays:
            found |= {f"{file.name}/{name}": arrays[name].tobytes() for name in arrays.files}
    return found


@pytest.fixture
def chip(tmp_path: Path) -> list[str]:
    """A run of train_chip on a chip of 49-10-10 neurons."""
    path = tmp_path / "chip.toml"
    path.write_text(chip_bench("pt_chip", (49, 10, 10)))
    return [*CHIP, "--bench", str(path)]


@pytest.mark.parametrize("procedure", ["vapour", "chip"])
def test_a_replay_gives_the_result_and_the_weights_of_the_run(
    procedure: str, chip: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command, tape, out = (VAPOUR if procedure == "vapour" else chip), str(tmp_path / "run.tape"), str(tmp_path / "out")
    code, recorded, _ = ran(capsys, *command, "--out", out, "--record", tape)
    assert code == 0
    code, again, err = ran(capsys, *command, "--out", out, "--replay", tape)
    assert code == 0, err
    assert recorded["result"]["steps"] >= 1
    assert again["result"] == recorded["result"]
    assert again["folder"] != recorded["folder"]
    assert arrays_of(again["folder"]) == arrays_of(recorded["folder"]) != {}


def test_a_replay_with_other_settings_is_told_where_it_departs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tape, out = str(tmp_path / "run.tape"), str(tmp_path / "out")
    assert ran(capsys, *VAPOUR, "--out", out, "--record", tape)[0] == 0
    code, _, err = ran(capsys, *VAPOUR, "--out", out, "--lr", "0.01", "--replay", tape)
    assert code == 2
    first = next(line for line in err.splitlines() if line.startswith("labonn: error:"))
    assert "run.tape: " in first
    assert "expected > " in first
    assert "; got > " in first
    assert "--dry-run" not in err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--replay", "{tape}", "--record", "{new}"], "--replay and --record exclude each other"),
        (["--replay", "{tape}", "--served"], "--replay and --served exclude each other"),
        (["--replay", "{new}"], "no such file"),
        (["--replay", "{text}"], "is not a tape: its first line is not '# labonn-tape 1'"),
        (["--record", "{tape}"], "is there already; a tape is never overwritten"),
        (["--record", "{new}/x.tape"], "there is no folder"),
    ],
)
def test_wrong_tapes_are_refused_in_one_line_and_leave_no_folder(
    options: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tape").write_text("# labonn-tape 1\n")
    (tmp_path / "text").write_text("hello\n")
    names = {name: str(tmp_path / name) for name in ("tape", "new", "text")}
    code, _, err = ran(capsys, *VAPOUR, "--out", str(tmp_path / "out"), *(option.format(**names) for option in options))
    assert code == 2
    assert words in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()
