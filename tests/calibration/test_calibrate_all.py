"""What a bench needs is measured in order, what holds is kept, and what fails takes with it only what builds on it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from labonn.bench import Bench
from labonn.calibration import Store
from labonn.calibration.ordering import Part, Step, needed, options_of, procedures
from labonn.cli import main
from labonn.errors import CalibrationError, ProcedureError
from labonn.procedures import Procedure
from procedures import calibrate_all
from procedures.benches import shipped, vapour_cell


def procedure(kind: str, **about: Any) -> Procedure:
    """One that does nothing."""
    module = ModuleType(f"calibrate_{kind}")
    given: dict[str, Any] = {"KIND": kind, "benches": ("row",), "options": lambda parser: None, "main": lambda *_: {}}
    for name, value in {**given, **about}.items():
        setattr(module, name, value)
    return Procedure(f"calibrate_{kind}", "here", module)


class Here:
    """A bench as far as its file goes."""

    def __init__(self, light: str = "row", ports: tuple[str, ...] = ()) -> None:
        self.file = argparse.Namespace(simulation={"bench": light}, name="here.toml")
        self.ports = dict.fromkeys(ports)


def kinds(bench: Any, *given: Procedure) -> list[str]:
    return [step.kind for step in needed(bench, {one.module.KIND: one for one in given})]


def test_kinds_come_after_those_that_they_build_on() -> None:
    given = [procedure(kind) for kind in ("matrix", "ovens", "slm_weights", "absorbers", "modulators", "detectors")]
    assert kinds(Here(), *given) == ["detectors", "modulators", "slm_weights", "absorbers", "ovens", "matrix"]


def test_a_procedure_says_itself_what_it_comes_after_and_which_benches_it_is_for() -> None:
    first, second = procedure("a", AFTER=("b",)), procedure("b")
    other, shy = procedure("c", benches=("desk",)), procedure("d", benches=(), applies=lambda bench: "lamp" in bench.ports)
    assert kinds(Here(), first, second, other, shy) == ["b", "a"]
    assert kinds(Here(ports=("lamp",)), first, second, other, shy) == ["b", "a", "d"]
    assert kinds(Here("desk"), first, second, other, shy) == ["c"]


def test_kinds_that_wait_for_each_other_are_refused() -> None:
    with pytest.raises(ProcedureError, match="calibrations that wait for each other: a, b"):
        kinds(Here(), procedure("a", AFTER=("b",)), procedure("b", AFTER=("a",)))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (shipped("modulator_row"), ["detectors", "modulators"]),
        (vapour_cell((20, 8, 4)), ["modulators", "slm_weights", "absorbers", "ovens"]),
        (shipped("heater_bank"), ["heaters"]),
    ],
    ids=["row", "vapour", "heaters"],
)
def test_registered_procedures_are_found_for_the_benches_that_they_are_for(tmp_path: Path, text: str, wanted: list[str]) -> None:
    path = tmp_path / "bench.toml"
    path.write_text(text)
    known, broken = procedures()
    assert not broken
    with Bench.open(path, dry_run=True) as bench:
        found = [step.kind for step in needed(bench, known)]
    assert [kind for kind in found if kind in wanted] == wanted


def test_a_procedure_gets_its_own_defaults_and_the_runs_options() -> None:
    def options(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--levels", type=int, default=5)
        parser.add_argument("--port")

    args = argparse.Namespace(out=Path("runs"), seed=3, levels=99, calibrations=None)
    found = options_of(procedure("a", options=options), args, Path("kept"), port="weights1", dwell=1)
    assert (found.levels, found.port, found.seed, found.calibrations) == (5, "weights1", 3, Path("kept"))
    assert not hasattr(found, "dwell")


def test_figures_and_arrays_of_a_part_are_named_after_it(tmp_path: Path) -> None:
    saved: list[str] = []
    run = argparse.Namespace(save_figure=lambda name, draw: saved.append(name) or tmp_path, seed=4, event=saved.append)
    part = Part(run, "modulators")
    part.save_figure("calibration", print)
    part.save_figure("calibration_weights1", print)
    part.save_figure("map", print)
    part.event("said")
    assert saved == ["modulators", "modulators_weights1", "modulators_map", "said"]
    assert part.seed == 4


def run_all(tmp_path: Path, bench: Path, *options: str, code: int = 0) -> Path:
    """The run's folder."""
    out = tmp_path / "runs"
    before = set(out.glob("*")) if out.is_dir() else set()
    given = ["--dry-run", "--bench", str(bench), "--out", str(out), "--calibrations", str(tmp_path / "kept"), *options]
    assert main(["run", "calibrate_all", *given]) == code
    (folder,) = set(out.glob("*")) - before
    return folder


def only(monkeypatch: pytest.MonkeyPatch, **changed: Any) -> None:
    """No other procedures than modulators and slm_weights, with some of their functions changed."""
    found = {kind: one for kind, one in procedures()[0].items() if kind in ("modulators", "slm_weights")}
    for kind, function in changed.items():
        module = ModuleType(kind)
        vars(module).update(vars(found[kind].module))
        module.main = function  # type: ignore[attr-defined]
        found[kind] = Procedure(f"calibrate_{kind}", "here", module)
    monkeypatch.setattr(calibrate_all, "procedures", lambda: (found, {}))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(vapour_cell((20, 8, 4)))
    return path


@pytest.mark.slow
def test_the_second_time_everything_still_holds(
    tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    only(monkeypatch)
    folder = run_all(tmp_path, small)
    told = capsys.readouterr().out
    rows = [line.split()[:3] for line in told.splitlines()[2:5]]
    assert rows == [
        ["modulators", "measured", "input:"],
        ["slm_weights", "measured", "weights1:"],
        ["slm_weights", "measured", "weights2:"],
    ]
    assert max(map(len, told.splitlines()[:5])) <= 80
    assert {path.name for path in folder.glob("*.png")} == {"modulators.png", "slm_weights_weights1.png", "slm_weights_weights2.png"}
    ids = Store(tmp_path / "kept").current()
    folder = run_all(tmp_path, small)
    told = capsys.readouterr().out
    assert [line.split()[1] for line in told.splitlines()[2:5]] == ["holds"] * 3
    assert all(id in told for id in ids.values())
    assert "until 20" in told
    assert Store(tmp_path / "kept").current() == ids
    assert not list(folder.glob("*.png"))
    run_all(tmp_path, small, "--again", "--only", "modulators")
    changed = {key for key, id in Store(tmp_path / "kept").current().items() if id != ids[key]}
    assert {key[1] for key in changed} == {"modulators"}


def fails(*_: Any) -> dict[str, Any]:
    raise CalibrationError("input: 3 of 20 channels failed, and nothing is kept")


def test_what_builds_on_one_that_failed_is_skipped_and_the_run_fails(
    tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    only(monkeypatch, modulators=fails)
    folder = run_all(tmp_path, small, code=2)
    told = capsys.readouterr()
    assert "modulators      failed    input: 3 of 20 channels failed, and nothing is kept" in told.out
    assert "slm_weights     skipped   it builds on modulators" in told.out
    assert "2 of 2 kinds are not calibrated: modulators, slm_weights" in told.err
    assert json.loads((folder / "result.json").read_text())["status"] == "failed"
    assert not Store(tmp_path / "kept").ids()


def test_what_does_not_build_on_it_is_done_all_the_same(
    tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    only(monkeypatch, slm_weights=fails)
    run_all(tmp_path, small, code=2)
    assert "1 of 2 kinds are not calibrated: slm_weights" in capsys.readouterr().err
    assert {key[1] for key in Store(tmp_path / "kept").current()} == {"modulators"}


def test_another_bench_gets_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    only(monkeypatch)
    path = tmp_path / "row.toml"
    path.write_text(shipped("modulator_row"))
    run_all(tmp_path, path)
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()[2:3]] == [["modulators", "measured"]]


@pytest.mark.parametrize(
    ("options", "told"), [(["--only", "lasers"], "--only lasers: kinds of calibration for small.toml are modulators, slm_weights")]
)
def test_kinds_that_the_bench_does_not_have_are_refused(
    tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: list[str], told: str
) -> None:
    only(monkeypatch)
    run_all(tmp_path, small, *options, code=2)
    assert told in capsys.readouterr().err


def test_a_calibration_made_with_one_that_is_not_current_is_measured_again(
    tmp_path: Path, calibration_like: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path / "kept")
    parent = store.save(calibration_like())
    made = calibration_like(kind="slm_weights", parents=(parent,))
    monkeypatch.setattr(calibrate_all, "survey", lambda *_, **__: ({("modulators", "slm_weights"): made}, []))
    notes: list[str] = []
    table = calibrate_all._Table(argparse.Namespace(event=notes.append))
    step = Step("slm_weights", procedure("slm_weights"), (), ())
    assert calibrate_all._holds(step, store, None, "refuse", table)  # type: ignore[arg-type]
    store.save(calibration_like(v_pi=3.6))
    assert not calibrate_all._holds(step, store, None, "refuse", table)  # type: ignore[arg-type]
    assert "was made with what is not current any more" in notes[-1]
    assert f"slm_weights     holds     modulators: {made.id} until 2026-04-01T12:00:00Z" in capsys.readouterr().out
