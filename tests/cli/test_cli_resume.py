"""labonn run --resume: a training that was cut short goes on, and what comes out is the same to the last byte."""

from __future__ import annotations

import gzip
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_digits import Cut

from labonn.checkpoints import listed
from labonn.cli import main
from labonn.cli.stopping import Stopped, stoppable
from labonn.errors import LabonnError
from labonn.guardian.starting import escorted_bench

SAME = ("weights.npz", "test.npz", "metrics.jsonl", "metrics.csv")
CHIP = ["--sizes", "9", "4", "3", "--steps", "9", "--report", "4", "--batch", "16"]
VAPOUR = ["--hidden", "8", "--optical-depth", "4", "--epochs", "2", "--batch", "16", "--limit", "128", "--lr", "0.01"]
CASES = {
    "ideal cells": ["train_vapour_cell", *VAPOUR, "--ideal"],
    "cells with all imperfections": ["train_vapour_cell", *VAPOUR],
    "cells, optical error": ["train_vapour_cell", *VAPOUR, "--error", "optical"],
    "cells, corrected derivative, sgd": ["train_vapour_cell", *VAPOUR, "--derivative", "corrected", "--optimizer", "sgd"],
    "chip, central": ["train_chip", *CHIP, "--gradient", "central", "--train", "all"],
    "chip, random directions": ["train_chip", *CHIP, "--gradient", "spsa"],
    "heaters, walsh": ["train_chip", *CHIP, "--bench", "mzi_chip", "--gradient", "walsh"],
    "chip, planned": ["train_chip", *CHIP],
    "heaters, planned, for a time": ["train_chip", *CHIP, "--bench", "mzi_chip", "--hardware-time", "1"],
    "chip over serial lines": ["train_chip", *CHIP, "--bench", "pt_chip_software", "--gradient", "spsa"],
    "heaters over serial lines, planned": ["train_chip", *CHIP, "--bench", "mzi_chip_software"],
}


def folder_of(out: Path) -> Path:
    (folder,) = out.iterdir()
    return folder


def train(out: Path, pictures: Path, case: str | list[str], *more: str) -> int:
    given = CASES[case] if isinstance(case, str) else case
    return main(["run", *given, "--dry-run", "--data", str(pictures), "--out", str(out), *more])


def resume(out: Path, *more: str) -> int:
    name = re.sub(r"^[^-]*-", "", folder_of(out).name)
    return main(["run", name, "--resume", "latest", "--out", str(out), *more])


def assert_same(one: Path, two: Path) -> None:
    for name in SAME:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    results = [json.loads((folder / "result.json").read_text()) for folder in (one, two)]
    assert results[0] == results[1]
    assert results[0]["status"] == "finished"
    assert results[0]["result"]["bench_time_s"] > 0


FAST = ("cells with all imperfections", "chip, planned", "heaters, walsh")


@pytest.mark.parametrize("case", [case if case in FAST else pytest.param(case, marks=pytest.mark.slow) for case in CASES])
def test_what_was_cut_short_twice_ends_as_if_it_never_had_been(
    case: str, pictures: Path, tmp_path: Path, cut_at: Callable[[int], None]
) -> None:
    assert train(tmp_path / "one", pictures, case) == 0
    cut_at(3)
    with pytest.raises(Cut):
        train(tmp_path / "two", pictures, case, "--checkpoint", "2")
    assert [path.stem for path in listed(folder_of(tmp_path / "two"))] == ["000000002"]
    cut_at(6)
    with pytest.raises(Cut):
        resume(tmp_path / "two")
    cut_at(0)
    assert resume(tmp_path / "two") == 0
    assert_same(folder_of(tmp_path / "one"), folder_of(tmp_path / "two"))


@pytest.mark.parametrize("case", [FAST[0], *(pytest.param(case, marks=pytest.mark.slow) for case in FAST[1:])])
def test_at_a_guardian_it_goes_on_just_as_well_and_both_are_as_without_one(
    case: str, pictures: Path, tmp_path: Path, cut_at: Callable[[int], None]
) -> None:
    assert train(tmp_path / "one", pictures, case) == 0
    for step in (3, 6):
        cut_at(step)
        with pytest.raises(Cut):
            train(tmp_path / "two", pictures, case, "--checkpoint", "2", "--guardian") if step == 3 else resume(tmp_path / "two")
    cut_at(0)
    assert resume(tmp_path / "two") == 0
    assert_same(folder_of(tmp_path / "one"), folder_of(tmp_path / "two"))


def test_a_guardian_brings_back_nothing_but_what_it_was_started_with(pictures: Path, tmp_path: Path, cut_at: Callable[[int], None]) -> None:
    cut_at(2)
    with pytest.raises(Cut):
        train(tmp_path / "runs", pictures, "cells with all imperfections", "--checkpoint", "2")
    folder = folder_of(tmp_path / "runs")
    with escorted_bench(folder / "bench.toml", tmp_path / "log", dry_run=True) as bench:
        with pytest.raises(LabonnError, match="this one was started with none"):
            bench.bring_back()
        assert set(bench.snapshot()) == {"tree", "sizes", "content"}
    there = escorted_bench(folder / "bench.toml", tmp_path / "log", dry_run=True, go_on=listed(folder)[-1])
    with there as bench, pytest.raises(LabonnError, match=r"000000002\.npz: has no bench that was at a guardian"):
        bench.bring_back()
    assert main(["serve", str(folder / "bench.toml"), "--go-on", str(listed(folder)[-1])]) == 2


@pytest.mark.slow
def test_what_was_cut_short_after_its_last_step_still_gets_its_last_report(
    pictures: Path, tmp_path: Path, cut_at: Callable[[int], None]
) -> None:
    assert train(tmp_path / "one", pictures, "chip, random directions") == 0
    cut_at(9)
    with pytest.raises(Cut):
        train(tmp_path / "two", pictures, "chip, random directions", "--checkpoint", "1")
    cut_at(0)
    assert resume(tmp_path / "two") == 0
    assert_same(folder_of(tmp_path / "one"), folder_of(tmp_path / "two"))


def test_a_checkpoint_at_every_step_changes_nothing_at_all(pictures: Path, tmp_path: Path) -> None:
    case = "cells with all imperfections"
    assert train(tmp_path / "one", pictures, case, "--checkpoint", "0") == 0
    assert train(tmp_path / "two", pictures, case, "--checkpoint", "1") == 0
    assert_same(folder_of(tmp_path / "one"), folder_of(tmp_path / "two"))


def started(out: Path, pictures: Path, *more: str) -> subprocess.Popen[bytes]:
    """A long training in a process of its own, at its second checkpoint or later."""
    given = ["train_chip", "--dry-run", *CHIP, "--steps", "120", "--gradient", "central", "--data", str(pictures), "--out", str(out)]
    process = subprocess.Popen([sys.executable, "-m", "labonn.cli", "run", *given, "--checkpoint", "1", *more], stderr=subprocess.PIPE)
    for _ in range(600):
        if process.poll() is not None or any(len(listed(folder)) > 1 for folder in out.glob("*")):
            break
        time.sleep(0.05)
    assert process.poll() is None
    return process


@pytest.mark.slow
def test_ctrl_c_takes_a_checkpoint_after_the_step_and_ends_safe(pictures: Path, tmp_path: Path) -> None:
    process = started(tmp_path / "two", pictures)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGINT
    assert b"stopping after this step" in err
    assert b"interrupted; the bench is safe" in err
    folder = folder_of(tmp_path / "two")
    assert json.loads((folder / "result.json").read_text())["status"] == "interrupted"
    with np.load(folder / "weights.npz") as weights:
        last = weights["last"]
    assert resume(tmp_path / "two", "--checkpoint", "0") == 0
    with np.load(folder / "weights.npz") as weights:
        assert not np.array_equal(last, weights["last"])
    assert train(tmp_path / "one", pictures, ["train_chip", *CHIP, "--steps", "120", "--gradient", "central"]) == 0
    assert_same(folder_of(tmp_path / "one"), folder)


def test_after_kill_9_the_last_checkpoint_counts_and_steps_that_are_done_again_are_the_same(pictures: Path, tmp_path: Path) -> None:
    process = started(tmp_path / "two", pictures, "--seed", "5")
    process.kill()
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    assert not (folder_of(tmp_path / "two") / "result.json").exists()
    assert resume(tmp_path / "two", "--checkpoint", "0") == 0
    assert train(tmp_path / "one", pictures, ["train_chip", *CHIP, "--steps", "120", "--gradient", "central"], "--seed", "5") == 0
    assert_same(folder_of(tmp_path / "one"), folder_of(tmp_path / "two"))


def test_a_run_that_is_under_way_is_not_taken_over(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process = started(tmp_path / "runs", pictures)
    try:
        assert resume(tmp_path / "runs") == 2
        assert "this run is under way in another process" in capsys.readouterr().err
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate(timeout=30)


@pytest.fixture
def cut(pictures: Path, tmp_path: Path, cut_at: Callable[[int], None], capsys: pytest.CaptureFixture[str]) -> Path:
    """The folder of runs with one that was cut short after step 6, with checkpoints of steps 4 and 6."""
    cut_at(6)
    with pytest.raises(Cut):
        train(tmp_path / "runs", pictures, "chip, random directions", "--checkpoint", "2")
    cut_at(0)
    capsys.readouterr()
    return tmp_path / "runs"


def test_a_run_that_had_done_all_its_steps_says_so_and_how_it_goes_further(cut: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert resume(cut) == 0
    assert "it had finished" not in capsys.readouterr().err
    assert resume(cut) == 0
    assert "its last: it had finished, and only shows its result again" in capsys.readouterr().err


@pytest.mark.slow
def test_a_torn_checkpoint_is_told_and_the_one_before_it_taken(
    cut: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    newest = listed(folder_of(cut))[-1]
    newest.write_bytes(newest.read_bytes()[:-1000])
    assert resume(cut) == 0
    err = capsys.readouterr().err
    assert "000000006.npz: is torn, or no checkpoint" in err
    assert "the one before it is taken" in err
    assert "goes on after step 4" in err
    assert train(tmp_path / "one", pictures, "chip, random directions") == 0
    assert_same(folder_of(tmp_path / "one"), folder_of(cut))


def test_when_all_checkpoints_are_torn_nothing_is_opened_and_nothing_lost(cut: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (folder_of(cut) / "metrics.jsonl").read_bytes()
    for path in listed(folder_of(cut)):
        path.write_bytes(b"not this")
    assert resume(cut) == 2
    assert capsys.readouterr().err.count("is torn, or no checkpoint") == 2
    assert (folder_of(cut) / "metrics.jsonl").read_bytes() == before
    assert (folder_of(cut) / "settings.json").exists()


def rewritten(path: Path, **changed: Any) -> None:
    with np.load(path) as file:
        parts = {name: file[name] for name in file.files}
    np.savez(path, **{**parts, **changed})


def text(value: Any) -> Any:
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


def test_checkpoints_with_arrays_missing_or_of_another_version_are_refused(cut: Path, capsys: pytest.CaptureFixture[str]) -> None:
    older, newer = listed(folder_of(cut))
    rewritten(newer, content=np.zeros(10, np.uint8))
    rewritten(older, about=text({"version": 99}))
    assert resume(cut) == 2
    err = capsys.readouterr().err
    assert "its arrays have 10 bytes in place of" in err
    assert "is of version 99; this labonn reads version 1" in err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--lr", "0.5"], r"--lr 0\.5: the run has None, and a resumed run keeps its settings"),
        (["--steps", "20"], r"--steps 20: the run has 9, and a resumed run keeps its settings"),
        (["--seed", "4"], r"--seed 4: the run has None"),
        (["--ideal"], r"--ideal True: the run has False"),
        (["--force"], r"--force is about instruments"),
        (["--served"], r"--served True: the run has False"),
        (["--guardian"], r"ran without a guardian; --guardian is for another run"),
    ],
)
def test_options_that_are_not_those_of_the_run_are_refused(
    given: list[str], message: str, cut: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert resume(cut, *given) == 2
    err = capsys.readouterr().err
    assert re.search(message, err)
    assert err.count("\n") == 1


def test_options_given_again_may_agree_and_those_of_the_session_may_differ(cut: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert resume(cut, "--gradient", "spsa", "--steps", "9", "--dry-run", "--json", "--checkpoint", "3") == 0
    assert json.loads(capsys.readouterr().out)["status"] == "finished"
    settings = json.loads((folder_of(cut) / "settings.json").read_text())
    assert [" --resume latest " in session["command"] for session in settings["resumed"]] == [True]
    assert settings["options"]["checkpoint"] == 2


def test_another_bench_in_the_folder_does_not_fit(cut: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench = folder_of(cut) / "bench.toml"
    bench.write_text(bench.read_text().replace("bits = 16", "bits = 14"))
    assert resume(cut) == 2
    assert re.search(r"bench\.toml: has been changed since the checkpoint was taken", capsys.readouterr().err)


def test_other_pictures_do_not_fit(
    pictures: Path, tmp_path: Path, cut_at: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    for path in pictures.iterdir():
        (own / path.name).write_bytes(path.read_bytes())
    cut_at(4)
    with pytest.raises(Cut):
        train(tmp_path / "runs", own, ["train_vapour_cell", *VAPOUR], "--checkpoint", "2")
    cut_at(0)
    images = bytearray(gzip.decompress((own / "train-images-idx3-ubyte.gz").read_bytes()))
    images[16 + 144 * 10] ^= 1  # a gray level of a pixel
    (own / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
    assert resume(tmp_path / "runs") == 2
    assert "does not fit what its settings make here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["train_chip", "--resume", "no-such-run"], r"--resume no-such-run: no run that could go on is called so; newest in runs: none"),
        (["train_chip", "--resume", "latest"], r"--resume latest: no run that could go on"),
        (["compare_gradients", "--resume", "latest"], r"compare_gradients keeps no checkpoints"),
        (["train_chip", "--force"], r"--force is about going on with a run; it needs --resume"),
        (["train_chip", "--checkpoint", "-1"], r"--checkpoint: -1 is negative; a number of steps is 0 or more"),
        (["train_chip", "--dry-run", "--served", "--checkpoint", "5"], r"--checkpoint: with --served, --record or --replay"),
    ],
)
def test_what_cannot_go_on_is_told_in_one_line(
    given: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", *given]) == 2
    err = capsys.readouterr().err
    assert re.search(message, err)
    assert err.count("\n") == 1


def test_a_run_of_another_procedure_is_refused(cut: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "train_vapour_cell", "--resume", str(folder_of(cut))]) == 2
    assert "is a run of train_chip, not of train_vapour_cell" in capsys.readouterr().err


@pytest.mark.slow
def test_a_finished_run_goes_on_for_more_epochs_as_if_it_had_been_meant_to(pictures: Path, tmp_path: Path) -> None:
    longer = ["train_vapour_cell", *VAPOUR, "--epochs", "3"]
    assert train(tmp_path / "one", pictures, longer) == 0
    assert train(tmp_path / "two", pictures, ["train_vapour_cell", *VAPOUR]) == 0
    assert resume(tmp_path / "two", "--epochs", "3") == 0
    assert_same(folder_of(tmp_path / "one"), folder_of(tmp_path / "two"))
    assert resume(tmp_path / "two") == 0
    assert_same(folder_of(tmp_path / "one"), folder_of(tmp_path / "two"))


def test_a_run_that_a_fault_has_ended_goes_on_without_the_fault(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = "chip, random directions"
    assert train(tmp_path / "one", pictures, case) == 0
    faulty = tmp_path / "two"
    assert train(faulty, pictures, case, "--checkpoint", "1", "--fault", "output:timeout@45") == 2
    assert listed(folder_of(faulty))
    assert resume(faulty) == 0
    assert_same(folder_of(tmp_path / "one"), folder_of(faulty))


@pytest.mark.slow
def test_random_kills_change_nothing(tmp_path: Path) -> None:
    script = Path(__file__).with_name("resume_kills.py")
    done = subprocess.run([sys.executable, str(script), "--count", "2"], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"(\d+) kills, 0 runs that ended differently", done.stdout)
    assert found is not None
    assert int(found[1]) >= 2


def test_the_first_signal_waits_for_the_step_and_the_second_does_not() -> None:
    with stoppable() as stop:
        stop.gently = True
        signal.raise_signal(signal.SIGINT)
        assert stop.received == signal.SIGINT
        with pytest.raises(Stopped, match="SIGTERM"):
            signal.raise_signal(signal.SIGTERM)


def test_a_step_that_does_not_end_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labonn.cli.stopping.PATIENCE_S", 0.1)
    start = time.monotonic()
    with stoppable() as stop:
        stop.gently = True
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Stopped, match="SIGINT"):
            threading.Event().wait(20)
    assert time.monotonic() - start < 10
