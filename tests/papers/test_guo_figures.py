"""Figures of the experiments on Guo et al.'s networks show what their runs reached, and can be drawn before any run is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from guo_hand_made import outcomes, whole

from labonn.plotting.files import encoded
from labonn.plotting.look import WIDTHS, Look, looking
from labonn.reproduce import Choices
from procedures.papers import guo_ablation, guo_bench, guo_cells, guo_fig4a, guo_fig4b, guo_fig5, guo_table1

LOOK = Look(width_mm=WIDTHS["double"], dpi=40)
MODULES = (guo_fig4a, guo_fig4b, guo_table1, guo_fig5, guo_cells, guo_bench, guo_ablation)


def drawn(module: Any, choices: Choices, found: Any) -> Any:
    with looking(LOOK):
        figure = module.figure(choices, found, LOOK)
        assert figure is None or encoded(figure, "png").startswith(b"\x89PNG")
    return figure


def marks(axes: Any) -> dict[str, Any]:
    """label -> (n, 2) middles of what has error bars."""
    return {one.get_label(): one.lines[0].get_xydata() for one in axes.containers if one.lines[0] is not None}


@pytest.mark.parametrize("module", MODULES)
def test_a_figure_of_nothing_can_be_drawn(module: Any) -> None:
    drawn(module, Choices(quick=True), {})


@pytest.mark.parametrize("module", MODULES)
def test_a_figure_of_whole_runs_can_be_drawn(module: Any, tmp_path: Path) -> None:
    choices = whole(tmp_path)
    assert drawn(module, choices, outcomes(tmp_path / "runs", module.cases(choices), {})) is not None


def test_accuracy_against_depth_is_that_of_the_seeds_beside_the_papers(tmp_path: Path) -> None:
    choices = whole(tmp_path)
    found = outcomes(tmp_path / "runs", guo_fig4a.cases(choices), {"depth 0.5": [0.90, 0.91, 0.92]})
    learning, against = drawn(guo_fig4a, choices, found).axes
    curve = marks(against)
    np.testing.assert_allclose(curve["SA, twin, 20 epochs"][1], (0.5, 91.0))
    np.testing.assert_allclose(curve["paper"], [(0, 85.7), (30, 98.0)])
    lines = {line.get_label(): line.get_xydata() for line in learning.get_lines()}
    np.testing.assert_allclose(lines["SA, optical derivative"], [(1, 80), (2, 85)])


def test_lines_of_table_1_stand_beside_the_papers(tmp_path: Path) -> None:
    choices = whole(tmp_path)
    found = outcomes(tmp_path / "runs", guo_table1.cases(choices), {"twin bits6": [0.93, 0.94, 0.95]})
    (axes,) = drawn(guo_table1, choices, found).axes
    assert [label.get_text() for label in axes.get_yticklabels()][7] == "6 bits"
    curve = marks(axes)
    assert curve["twin"][7][0] == pytest.approx(94.0)
    assert curve["paper"][7][0] == 93.5
    assert np.all(np.rint(curve["paper"][:, 1]) == range(9)), "each in its line"
    assert len(curve["twin, fixed full scales"]) == 3


def test_errors_of_convolutional_networks_are_what_is_missing_to_all(tmp_path: Path) -> None:
    choices = whole(tmp_path)
    found = outcomes(tmp_path / "runs", guo_fig4b.cases(choices), {"sa": [0.99, 0.992, 0.994]})
    _, errors = drawn(guo_fig4b, choices, found).axes
    assert marks(errors)["ours"][0][0] == pytest.approx(0.8)
    at = list(guo_fig4b.cases(choices)).index("relu-mse")
    assert marks(errors)["paper"][0] == pytest.approx((0.5, at), abs=0.4)
