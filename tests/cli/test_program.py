"""labonn.run: what the command does, from a program: the same run, the same refusals, the same way on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_info

import labonn
from labonn.bench import Bench
from labonn.cli import main
from labonn.cli.program import words
from labonn.cli.run_options import parser_of
from labonn.errors import BenchFileError, LimitError, ProcedureError
from labonn.procedures import load
from labonn.runs import Run

ROW = Path(__file__).parents[2] / "procedures/benches/modulator_row.toml"
SMALL: dict[str, Any] = {"dry_run": True, "hidden": [8], "epochs": 1, "limit": 64}
SMALL_WORDS = ["--dry-run", "--hidden", "8", "--epochs", "1", "--limit", "64"]


def test_it_is_the_run_of_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = labonn.run("train_vapour_cell", **SMALL, seed=4, out=tmp_path / "one")
    assert capsys.readouterr().out == ""  # the result is what is returned
    assert main(["run", "train_vapour_cell", *SMALL_WORDS, "--seed", "4", "--out", str(tmp_path / "two")]) == 0
    other = labonn.open_run("latest", tmp_path / "two")
    assert run.result == other.result
    assert run.metrics("loss")["value"].tolist() == other.metrics("loss")["value"].tolist()
    assert {path.name for path in run.folder.iterdir()} == {path.name for path in other.folder.iterdir()}
    assert run.status() == "finished"
    mine, theirs = ({k: v for k, v in r.settings.items() if k not in ("command", "options")} for r in (run, other))
    assert mine == theirs
    apart = {name for name in run.settings["options"] if run.settings["options"][name] != other.settings["options"][name]}
    assert apart == {"out"}


def test_the_command_on_record_can_be_given_to_a_shell(tmp_path: Path) -> None:
    run = labonn.run("train_vapour_cell", **SMALL, out=tmp_path)
    assert run.settings["command"].startswith("labonn run train_vapour_cell --dry-run --hidden 8 --epochs=1 --limit=64 --out=")
    assert json.loads((run.folder / "settings.json").read_text())["options"]["hidden"] == [8]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"dry_run": True, "ideal": False, "seed": None}, ["--dry-run"]),
        ({"guardian": True}, ["--guardian"]),
        ({"guardian": False}, ["--no-guardian"]),
        ({"fault": ["gain:timeout@1", "gain:nan@2"]}, ["--fault=gain:timeout@1", "--fault=gain:nan@2"]),
        ({"faults": "gain:timeout@1"}, ["--fault=gain:timeout@1"]),
        (
            {"simulate": ["laser.rin_db_per_hz=-100", "heaters.tau_s=2e-5"]},
            ["--simulate", "laser.rin_db_per_hz=-100", "heaters.tau_s=2e-5"],
        ),
        ({"simulate": "laser.rin_db_per_hz=-100"}, ["--simulate", "laser.rin_db_per_hz=-100"]),
        ({"sizes": (9, 5, 4)}, ["--sizes", "9", "5", "4"]),
        ({"lr": 1e-3, "bench": Path("x.toml")}, ["--lr=0.001", "--bench=x.toml"]),
        ({"step": -0.5}, ["--step=-0.5"]),
    ],
)
def test_options_are_spelled_as_on_the_command_line(options: dict[str, Any], expected: list[str]) -> None:
    parser = parser_of(load("train_chip"))
    assert words(parser, options) == expected
    parsed = vars(parser.parse_args(["train_chip", *expected]))
    for name, value in options.items():
        if value is not None and name not in ("bench", "fault", "faults", "simulate", "sizes"):
            assert parsed[name] == value


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dryrun": True}, r"labonn run train_chip: there is no option dryrun = True; did you mean dry_run\?"),
        ({"zzz": 1}, r"there is no option zzz = 1; see `labonn run train_chip --help`"),
        ({"dry_run": "yes"}, "dry_run = 'yes': True or False is wanted"),
        ({"steps": True}, "steps = True: a value is wanted, N"),
        ({"steps": {}}, "steps = {}: text or a number is wanted"),
        ({"steps": "many"}, "argument --steps: invalid int value: 'many'"),
        ({"plan": True}, "labonn run train_chip --plan"),
        ({"dry_run": True, "limit": -1}, "--limit -1: more than 0 is wanted"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_opened(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ProcedureError, match=message):
        labonn.run("train_chip", out=tmp_path / "runs", **options)
    assert not (tmp_path / "runs").exists()


def test_an_open_bench_is_refused_with_what_to_give_instead(tmp_path: Path) -> None:
    with Bench.open(ROW, dry_run=True) as bench, pytest.raises(ProcedureError, match="bench = Bench: its file or URL is wanted"):
        labonn.run("calibrate_modulators", bench=bench, dry_run=True, out=tmp_path)
    with pytest.raises(BenchFileError, match="no such file"):
        labonn.run("calibrate_modulators", bench="nothing.toml", dry_run=True, out=tmp_path)


PLAN = """
import numpy as np
from labonn.shots import ShotTable

def options(parser):
    parser.add_argument("--volts", type=float)

def main(bench, args, run):
    bench.play(ShotTable({"modulators": np.full((1, 32), args.volts)}))
    return {"played": 1}
"""


def test_a_procedure_of_a_file_that_fails_raises_what_went_wrong_and_leaves_its_record(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PLAN)
    given: dict[str, Any] = {"bench": ROW, "dry_run": True, "out": tmp_path / "runs"}
    with pytest.raises(LimitError, match=r"modulators/ch0: 7 V in row 0 is outside -5 to 5 V \(modulator_row.toml\)"):
        labonn.run(tmp_path / "mine.py", volts=7, **given)
    run = labonn.open_run("latest", tmp_path / "runs")
    assert run.status() == "failed"
    assert "ended by LimitError: modulators/ch0" in repr(run)
    assert labonn.run(tmp_path / "mine.py", volts=-3, **given).result == {"played": 1}


@pytest.fixture
def threads() -> Iterator[list[int]]:
    """Of the BLAS, which are to be the same afterwards."""
    before = [pool["num_threads"] for pool in threadpool_info()]
    yield before
    assert [pool["num_threads"] for pool in threadpool_info()] == before


def test_a_program_keeps_its_signals_and_its_blas_threads(tmp_path: Path, threads: list[int]) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    labonn.run("train_vapour_cell", **SMALL, out=tmp_path)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_it_runs_where_an_event_loop_runs_and_in_a_thread(tmp_path: Path) -> None:
    async def cell() -> dict[str, Any]:
        ticks = asyncio.create_task(asyncio.sleep(0))
        here = labonn.run("train_vapour_cell", **SMALL, out=tmp_path)
        there = await asyncio.to_thread(labonn.run, "train_vapour_cell", **SMALL, out=tmp_path)
        await ticks
        assert here.folder != there.folder
        assert here.result == there.result
        return dict(there.result)

    assert asyncio.run(cell())["steps"] == 1


def test_an_interrupted_run_raises_and_goes_on_to_where_it_would_have_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {**SMALL, "limit": 320, "epochs": 3}
    whole = labonn.run("train_vapour_cell", **given, out=tmp_path / "whole")
    step = Run.step

    def interrupting(run: Run, number: int, *maps: Any, **metrics: Any) -> None:
        step(run, number, *maps, **metrics)
        if number == 4:
            os.kill(os.getpid(), signal.SIGINT)  # as the kernel of a notebook does

    monkeypatch.setattr(Run, "step", interrupting)
    with pytest.raises(KeyboardInterrupt, match="SIGINT"):
        labonn.run("train_vapour_cell", **given, out=tmp_path / "cut")
    monkeypatch.undo()
    cut = labonn.open_run("latest", tmp_path / "cut")
    assert (cut.status(), cut.newest()["step"]) == ("interrupted", 4)
    resumed = labonn.run("train_vapour_cell", resume="latest", out=tmp_path / "cut")
    assert resumed.folder == cut.folder
    assert resumed.result == whole.result
    assert resumed.to_xarray().loss.values.tolist() == whole.to_xarray().loss.values.tolist()


def test_an_interrupt_that_comes_when_all_is_done_still_stops_what_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finish = Run.finish

    def interrupted(run: Run, *given: Any, **named: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        finish(run, *given, **named)

    monkeypatch.setattr(Run, "finish", interrupted)
    with pytest.raises(KeyboardInterrupt, match="SIGINT"):
        labonn.run("train_vapour_cell", **SMALL, out=tmp_path)
    assert labonn.open_run("latest", tmp_path).result["steps"] == 1
