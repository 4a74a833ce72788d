"""Guo et al. 2021, Fig. 1b: an error by interference against the computed one."""

from __future__ import annotations

from pathlib import Path

from labonn.plotting.look import Look
from labonn.reproduce import Choices
from labonn.sweeps import Job, Outcome, Task
from procedures.papers import guo_fig1b, guo_fig3, interference_error

QUICK = Choices(quick=True)


def compared(folder: Path, *, ideal: bool) -> dict[str, float]:
    settings = {"hidden": [12], "depth": 10.0, "epochs": 1, "compared": 64, "ideal": ideal}
    return interference_error.measured(Task(Job(guo_fig1b.WORK, settings, 3, {"data": "mini"}), folder, lambda *_: None))


def trained(accuracy: float, shots: int) -> Outcome:
    return Outcome({"test_accuracy": accuracy, "shots": shots, "data": "mini: 10 training images"}, None, 0.0)


def test_on_an_ideal_bench_interference_gives_the_computed_error(tmp_path: Path) -> None:
    found = compared(tmp_path, ideal=True)
    for name in ("error", "digital_error_as_sent", "optical_error_as_sent", "gradient1", "gradient2"):
        assert found[f"{name}_difference"] < 1e-6, name
    assert abs(found["error_factor"] - 1) < 1e-6


def test_imperfections_set_the_two_errors_apart(tmp_path: Path) -> None:
    found = compared(tmp_path, ideal=False)
    assert 0.005 < found["error_difference"] < 1
    assert 0.005 < found["gradient1_difference"] < 1


def test_the_computed_error_is_that_of_figure_3_and_trained_once() -> None:
    for choices in (QUICK, Choices(seeds=2, data="mini")):
        cases = guo_fig1b.cases(choices)
        assert cases["digital"] == guo_fig3.cases(choices)["optical"]
        assert not set(cases["digital"]) & set(cases["interference"])
        assert len(cases["ideal"]) == len(choices.numbers)


def test_the_difference_is_taken_seed_by_seed() -> None:
    found = {"digital": [trained(0.97, 200), trained(0.95, 200)], "interference": [trained(0.96, 100), trained(0.96, 100)]}
    rows = {row.what: row for row in guo_fig1b.rows(QUICK, found)}
    off = rows["interference less computed, the same seed"]
    assert [round(value, 6) for value in off.ours] == [-1, 1]
    assert rows["test accuracy, error by interference"].evaluations == 100
    assert "200 shots with the computed error and 100 by interference" in guo_fig1b.notes(QUICK, found)[-1]


def test_the_figure_can_be_drawn_before_anything_is_finished() -> None:
    assert guo_fig1b.figure(QUICK, {}, Look()) is not None
