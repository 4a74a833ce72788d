"""Figures of the experiments on chips show what their runs did, and can be drawn before any run is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labonn.plotting.files import encoded
from labonn.plotting.look import WIDTHS, Look, looking
from labonn.reproduce import Choices
from procedures.papers import (
    ptonn_ablation,
    ptonn_calibrated,
    ptonn_evaluations,
    ptonn_fig3a,
    ptonn_fig3b,
    ptonn_fig4a,
    ptonn_fig4b,
    ptonn_fig5,
    ptonn_methods,
    ptonn_power,
)
from tests.papers.ptonn_outcomes import trained

LOOK = Look(width_mm=WIDTHS["double"], dpi=40)
MODULES = (
    ptonn_ablation, ptonn_calibrated, ptonn_evaluations, ptonn_fig3a, ptonn_fig3b, ptonn_fig4a, ptonn_fig4b, ptonn_fig5, ptonn_methods,
    ptonn_power,
)  # fmt: skip


def drawn(module: Any, found: Any) -> Any:
    with looking(LOOK):
        figure = module.figure(Choices(quick=True), found, LOOK)
        assert encoded(figure, "png").startswith(b"\x89PNG")
    return figure


@pytest.mark.parametrize("module", MODULES)
def test_a_figure_of_nothing_can_be_drawn(module: Any) -> None:
    drawn(module, {})


def test_learning_curves_are_those_of_the_runs(tmp_path: Path) -> None:
    figure = drawn(ptonn_fig4a, {"theta": [trained(tmp_path / "a"), trained(tmp_path / "b")], "all": [trained(tmp_path / "c")]})
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    np.testing.assert_allclose(lines["couplers only"].get_xydata(), [(1, 50), (2, 70), (3, 80)])
    texts = {text.get_text() for axes in figure.axes for text in axes.texts}
    assert "100" in texts, "all images of each class were read as that class"


def test_noise_is_drawn_against_its_strength(tmp_path: Path) -> None:
    figure = drawn(ptonn_fig4b, {"PT": [trained(tmp_path / "a")], "MZI": [trained(tmp_path / "b", "mzi_chip", accuracy=0.8)]})
    curves = {box.get_label(): box.lines[0].get_xydata() for box in figure.axes[0].containers}
    np.testing.assert_allclose(curves["PT couplers"], [(0, 85), (0.02, 40)])
    np.testing.assert_allclose(curves["MZI"], [(0, 80), (0.02, 40)])


def test_bars_are_gains_over_all_imperfections(tmp_path: Path) -> None:
    found = {
        "PT: all imperfections": [trained(tmp_path / "a", accuracy=0.80)],
        "PT: ideal bench": [trained(tmp_path / "b", accuracy=0.83)],
        "PT: without drift": [trained(tmp_path / "c", accuracy=0.81)],
    }
    left = drawn(ptonn_ablation, found).axes[0]
    names = [label.get_text() for label in left.get_yticklabels()]
    assert dict(zip(names, (bar.get_width() for bar in left.patches), strict=True)) == pytest.approx({"without drift": 1, "ideal bench": 3})
