"""Guo et al. 2021, Fig. 3a-c: both derivatives, and where neurons work."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from labonn.plotting.look import Look
from labonn.plotting.neurons import Neurons
from labonn.reproduce import Choices
from labonn.sweeps import Outcome
from procedures.papers import guo_fig3

QUICK = Choices(quick=True)


def trained(folder: Path, accuracy: float, inputs: np.ndarray) -> Outcome:
    folder.mkdir()
    np.savez(folder / "test.npz", **Neurons.of({"cell 1": inputs}, lambda z: z).arrays())
    rows = [{"epoch": epoch, "validation_accuracy": 0.9 + 0.01 * epoch} for epoch in (1, 2, 3)]
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return Outcome({"test_accuracy": accuracy, "shots": 1000, "data": "mini: 10 training images"}, folder, 0.0)


def test_the_share_of_unsaturated_inputs_is_counted(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    inputs = rng.uniform(-7, 7, 200_000)
    one = trained(tmp_path / "a", 0.97, inputs)
    assert guo_fig3.unsaturated(one) == pytest.approx(np.mean(np.abs(inputs) < 3.499285), abs=2e-3)  # where Eq. 6 is largest at alpha0 = 10


def test_the_table_compares_derivatives_seed_by_seed_with_the_paper(tmp_path: Path) -> None:
    z = np.linspace(-1, 1, 100)
    found = {
        "optical": [trained(tmp_path / f"o{i}", accuracy, z) for i, accuracy in enumerate((0.972, 0.973, 0.974))],
        "exact": [trained(tmp_path / f"e{i}", accuracy, z) for i, accuracy in enumerate((0.961, 0.963, 0.965))],
    }
    optical, exact, off, inside = guo_fig3.rows(QUICK, found)
    assert (optical.paper, optical.paper_sd, optical.verdict) == (97.3, 0.1, "within")
    assert exact.verdict == "below"
    assert off.verdict == "other"
    assert off.mean == pytest.approx(1.0)
    assert inside.ours == pytest.approx([100, 100, 100])
    assert (optical.data, optical.evaluations) == ("mini: 10 training images", 1000)


def test_the_figure_shows_curves_inputs_transmission_and_derivatives(tmp_path: Path) -> None:
    found = {kind: [trained(tmp_path / f"{kind}{i}", 0.97, np.linspace(-2, 2, 50)) for i in range(2)] for kind in guo_fig3.KINDS}
    figure = guo_fig3.figure(QUICK, found, Look())
    curves = figure.axes[0]
    assert curves.get_legend_handles_labels()[1] == ["optical", "true"]
    assert curves.lines[0].get_ydata() == pytest.approx([91, 92, 93])
    assert [axes.get_title() for axes in figure.axes[1:3]] == ["transmission g(z)", "its derivative"]
    assert figure.axes[4].get_legend_handles_labels()[1] == ["exact derivative", "probe", "probe × 2.20"]


def test_a_further_case_appears_in_table_and_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(guo_fig3.MORE, "other", "another recipe")
    found = {kind: [trained(tmp_path / kind, 0.97, np.linspace(-2, 2, 50))] for kind in (*guo_fig3.KINDS, "other")}
    assert "test accuracy, another recipe" in [row.what for row in guo_fig3.rows(QUICK, found)]
    assert "another recipe" in guo_fig3.figure(QUICK, found, Look()).axes[0].get_legend_handles_labels()[1]
