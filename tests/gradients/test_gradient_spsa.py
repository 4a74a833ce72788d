"""Simultaneous perturbation of a known cubic: unbiased, its variance, its cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from labonn.banks import Dither, dense
from labonn.errors import ProcedureError
from labonn.gradients import spsa

Make = Callable[..., Any]
STEP = 0.1


def rms(values: Any) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


@pytest.mark.parametrize("pairs", [1, 2, 6])
def test_spsa_is_unbiased_with_the_variance_of_the_formula_and_of_the_reported_standard_error(
    paper: Make, scatter: Make, pairs: int
) -> None:
    objective, rng = paper(12, curved=0.0, sigma=0.3), np.random.default_rng(3)
    mean, deviation, reported = scatter(objective, lambda: spsa(objective, np.zeros(12), STEP, pairs, rng), 1500)
    g = objective.loss.g
    variance = (objective.sigma**2 / (2 * STEP**2) + np.sum(g**2) - g**2) / pairs
    np.testing.assert_allclose(deviation, np.sqrt(variance), rtol=0.1)
    assert rms((mean - g) / np.sqrt(variance / 1500)) < 1.5
    assert rms(reported) == pytest.approx(rms(deviation), rel=0.1)


def test_without_noise_all_variance_is_that_of_the_directions(paper: Make, scatter: Make) -> None:
    objective, rng = paper(12, curved=0.0), np.random.default_rng(3)
    _, deviation, reported = scatter(objective, lambda: spsa(objective, np.zeros(12), STEP, 5, rng), 1500)
    g = objective.loss.g
    np.testing.assert_allclose(deviation, np.sqrt((np.sum(g**2) - g**2) / 5), rtol=0.1)
    np.testing.assert_allclose(reported, deviation, rtol=0.1)


def test_even_orders_cancel_in_every_pair_and_third_orders_are_as_small_as_the_step_squared(paper: Make) -> None:
    objective, theta = paper(8), np.linspace(-0.3, 0.3, 8)
    errors = []
    for step in (0.1, 0.01):
        estimate = objective.run(spsa(objective, theta, step, 4000, np.random.default_rng(1)))
        errors.append(estimate.gradient)
    exact = objective.run(spsa(objective, theta, 1e-4, 4000, np.random.default_rng(1))).gradient
    assert rms(errors[0] - exact) / rms(errors[1] - exact) == pytest.approx(100, rel=0.05)
    assert rms(exact - objective.loss.gradient(theta)) < 4 * rms(objective.loss.gradient(theta)) * np.sqrt(8 / 4000)


def test_sigma_comes_from_repeated_settings_and_is_blind_to_curvature_and_drift(paper: Make) -> None:
    objective, rng = paper(20, sigma=1e-3, drift=lambda k: 0.01 * k), np.random.default_rng(3)
    found = [objective.run(spsa(objective, np.zeros(20), STEP, 3, rng)) for _ in range(150)]
    assert rms([estimate.sigma for estimate in found]) == pytest.approx(1e-3, rel=0.1)
    assert found[0].settings == 6 + 8


def test_directions_are_signs_played_to_both_sides_as_one_dither(paper: Make) -> None:
    objective = paper(11, curved=0.0)
    estimate = objective.run(spsa(objective, np.zeros(11), STEP, 500, np.random.default_rng(3), checks=0))
    bank = objective.tables[0].banks["parameters"]
    assert isinstance(bank, Dither)
    moved = dense(bank) / STEP
    np.testing.assert_allclose(np.abs(moved), 1)
    np.testing.assert_allclose(moved[0::2], -moved[1::2])
    correlation = moved[0::2].T @ moved[0::2] / 500
    assert np.abs(correlation - np.eye(11)).max() < 5 / np.sqrt(500)
    assert (estimate.settings, estimate.notes) == (1000, ("sigma was not measured: no checks",))
    assert np.isnan(estimate.sigma)


@pytest.mark.parametrize(("pairs", "checks"), [(0, 8), (3, 1), (3, -1)])
def test_numbers_that_measure_nothing_are_refused(paper: Make, pairs: int, checks: int) -> None:
    objective = paper(5)
    with pytest.raises(ProcedureError, match=f"{pairs} pairs and {checks} checks"):
        objective.run(spsa(objective, np.zeros(5), STEP, pairs, np.random.default_rng(0), checks))
