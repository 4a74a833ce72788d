"""Guo et al. 2021, Fig. 3d: random functions in place of the derivative."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labonn.plotting.look import Look
from labonn.reproduce import Choices
from labonn.sweeps import Job, Outcome, Task
from labonn.twin.derivatives import mismatch, random_curve
from procedures.papers import guo_fig3d, random_derivatives

QUICK = Choices(quick=True)
IMAGES = {"train": 10, "validation": 2, "test": 2}


def found() -> dict[str, list[Outcome]]:
    groups = [{"mismatch": [0.02, 0.6], "test_accuracy": [0.95, 0.5]}, {"mismatch": [0.12], "test_accuracy": [0.93]}]
    same = [Outcome({"test_accuracy": accuracy, "images": IMAGES}, None, 0.0) for accuracy in (0.96, 0.90)]
    return {"random": [Outcome({**group, "images": IMAGES}, None, 0.0) for group in groups], "exact": same, "optical": same[:1]}


@pytest.mark.parametrize(("given", "sizes"), [({}, [16]), ({"functions": "45"}, [20, 20, 5])])
def test_every_function_is_in_one_job(given: dict[str, str], sizes: list[int]) -> None:
    jobs = guo_fig3d.cases(Choices(quick=True, given=given))["random"]
    ranges = [range(*job.settings["functions"]) for job in jobs]
    assert [len(one) for one in ranges] == sizes
    assert [number for one in ranges for number in one] == list(range(sum(sizes)))


def test_all_200_functions_start_from_the_same_weights() -> None:
    jobs = guo_fig3d.cases(Choices(data="mini"))["random"]
    assert sum(job.settings["functions"][1] - job.settings["functions"][0] for job in jobs) == 200
    assert {job.seed for job in jobs} == {0}


def test_a_job_trains_with_its_functions(tmp_path: Path) -> None:
    settings = {"network": "784-4-10", "depth": 10.0, "epochs": 1, "functions": [5, 7]}
    result = random_derivatives.trained(Task(Job(guo_fig3d.WORK, settings, 0, {"data": "mini"}), tmp_path, lambda *_: None))
    assert result["mismatch"] == pytest.approx([mismatch(random_curve(number), 10.0) for number in (5, 6)])
    assert len(set(result["test_accuracy"])) == 2
    assert result["images"] == {"train": 5000, "validation": 500, "test": 500}


def test_losses_are_against_the_true_derivative_from_the_same_start() -> None:
    off, lost = guo_fig3d.losses(found())
    assert off == pytest.approx([2, 60, 12])
    assert lost == pytest.approx([1, 46, 3])


def test_the_table_sorts_functions_by_their_error_and_says_how_long_they_were_trained() -> None:
    rows = {row.what: row for row in guo_fig3d.rows(QUICK, found())}
    assert rows["lost at 1 - S of 0 to 5 % (1 function)"].ours == pytest.approx([1])
    assert rows["lost at 1 - S of 50 to 100 % (1 function)"].ours == pytest.approx([46])
    median = rows["median loss below 1 - S = 15 %"]
    assert median.mean == pytest.approx(2)
    assert "8 epochs a training" in median.data
    assert "mini: 10 training" in median.data


def test_the_figure_has_a_dot_a_function() -> None:
    lines = {line.get_label(): line for line in guo_fig3d.figure(QUICK, found(), Look()).axes[0].lines}
    assert np.array(lines["random functions"].get_xydata()) == pytest.approx(np.array([[2, 1], [60, 46], [12, 3]]))
    assert lines["optical derivative"].get_xdata()[0] == pytest.approx(5.6, abs=0.1)
