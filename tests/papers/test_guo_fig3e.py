"""Guo et al. 2021, Fig. 3e: the error of the optical derivative against the optical depth."""

from __future__ import annotations

import numpy as np
import pytest

from labonn.plotting.look import Look
from labonn.reproduce import Choices
from procedures.papers import guo_fig3e

QUICK = Choices(quick=True)


def test_the_error_of_equation_4_goes_to_its_limit_from_below() -> None:
    errors = [guo_fig3e.error("eq4", depth) for depth in (10.0, 100.0, 1000.0, 10_000.0)]
    assert errors == sorted(errors)
    assert errors[-1] == pytest.approx(guo_fig3e.limit(), abs=0.02)
    assert errors[-1] < guo_fig3e.limit()


def test_it_saturates_where_the_paper_says() -> None:
    (row,) = [row for row in guo_fig3e.rows(QUICK, {}) if row.paper is not None]
    assert (row.what, row.paper, row.verdict) == ("Eq. 4, alpha0 = 100", 10.0, "within")


def test_there_are_no_jobs_and_every_cell_has_its_rows() -> None:
    assert guo_fig3e.cases(QUICK) == {}
    rows = guo_fig3e.rows(QUICK, {})
    assert len(rows) == len(guo_fig3e.CELLS) * len(guo_fig3e.DEPTHS) + 2
    assert all(np.isfinite(row.mean) for row in rows)


def test_integrals_that_end_at_6_explain_the_smaller_number() -> None:
    first, second = guo_fig3e.notes(QUICK, {})
    assert "9.0 % at alpha0 = 30" in first
    assert "give 6.6 % there" in first
    assert "two-level cell has 40 %" in second


def test_the_figure_has_a_line_a_cell_and_none_of_them_wavers() -> None:
    axes = guo_fig3e.figure(QUICK, {}, Look()).axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    rising = [np.asarray(lines[guo_fig3e.CELLS[cell]].get_ydata()) for cell in ("eq4", "two_level")]
    assert all(len(y) == 32 and np.all(np.diff(y) > 0) for y in rising)
    doppler = np.asarray(lines[guo_fig3e.CELLS["doppler"]].get_ydata())
    assert np.all(np.diff(doppler[np.argmax(doppler) :]) < 0)
