"""Guo et al. 2021, Fig. 2: curves that are measured on a bench, and the probe's scaling factors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad

from labonn.plotting.look import Look
from labonn.reproduce import Choices
from labonn.sweeps import Job, Outcome, Task
from procedures.papers import guo_fig2, pump_probe
from procedures.papers.guo_curves import computed, factor

QUICK = Choices(quick=True)


def outcome(folder: Path, depth: float, reach: float, *, ideal: bool) -> Outcome:
    job = Job(guo_fig2.WORK, {"depth": depth, "reach": reach, "points": 41, "ideal": ideal})
    result = pump_probe.measured(Task(job, folder, lambda *_: None))
    return Outcome(result, folder / result["run"], 0.0)


def t(e: float, depth: float) -> float:
    return float(np.exp(-depth / 2 / (1 + e**2)))


def g_slope(e: float, depth: float) -> float:
    return (1 + depth * e**2 / (1 + e**2) ** 2) * t(e, depth)


@pytest.mark.parametrize(("depth", "width"), [(1.0, 1.947123), (30.0, 5.66511)])
def test_the_factor_makes_the_probe_as_large_as_the_derivative_along_it(depth: float, width: float) -> None:
    def product(one: float, two: float) -> float:  # Eq. B2's, with 2 sigma where Eq. 6 is largest
        sides = {1: t, 2: g_slope}
        return float(quad(lambda e: sides[one](e, depth) * sides[two](e, depth) * np.exp(-2 * e**2 / width**2), 0, 6 * width)[0])

    field, _, slope, probe = computed(depth, 3 * width)
    assert factor(field, probe, slope, depth) == pytest.approx(product(2, 2) / product(1, 2), rel=1e-3)


def test_the_factors_round_to_the_published_ones() -> None:
    rows = guo_fig2.rows(QUICK, {})
    assert [(row.paper, row.verdict) for row in rows if row.by == "Eqs. 5 and 6"] == [(1.2, "within"), (2.5, "within")]


def test_light_of_the_ideal_bench_draws_equations_4_to_6(tmp_path: Path) -> None:
    one = outcome(tmp_path, 30.0, 12.0, ideal=True)
    field, behind, slope, probe = guo_fig2.measured(one)
    transmissions = np.exp(-15 / (1 + field**2))
    assert field[-1] == pytest.approx(12, rel=1e-3)
    assert np.allclose(behind, field * transmissions, atol=1e-4)
    assert np.allclose(probe, transmissions, atol=1e-4)
    assert np.allclose(slope[2:-2], [g_slope(e, 30.0) for e in field[2:-2]], atol=0.03)  # straight between fields 0.3 apart
    (row,) = [row for row in guo_fig2.rows(QUICK, {"ideal 30": [one]}) if row.what.startswith("factor") and row.ours and row.evaluations]
    assert row.mean == pytest.approx(2.52, abs=0.02)
    assert row.evaluations == one.result["shots"] > 41 * 16


def test_a_bench_with_imperfections_is_told_from_the_equations(tmp_path: Path) -> None:
    apart = [guo_fig2.apart(1, *guo_fig2.measured(outcome(tmp_path, 1.0, 6.0, ideal=ideal))) for ideal in (True, False)]
    assert apart[0] < 0.2
    assert 0.3 < apart[1] < 10


def test_the_figure_has_a_column_a_depth_and_shows_what_was_measured(tmp_path: Path) -> None:
    found = {"ideal 1": [outcome(tmp_path, 1.0, 6.0, ideal=True)]}
    figure = guo_fig2.figure(QUICK, found, Look())
    assert [axes.get_title() for axes in figure.axes[:2]] == ["alpha0 = 1", "alpha0 = 30"]
    labels = [axes.get_legend_handles_labels()[1] for axes in figure.axes]
    assert labels[0] == ["Eq. 4", "ideal bench"]
    assert labels[1] == ["Eq. 4"]
    assert labels[3][-1] == "probe × 2.52"
