"""Codes faster than the actuators settle: the lag is played shot by shot, the regression has to find the gradient nevertheless."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from labonn.errors import ProcedureError
from labonn.gradients import Slots, lagged, walsh

Make = Callable[..., Any]
STEP = 0.1
DWELL = 1e-6


def rms(values: Any) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def rng(seed: int = 8) -> np.random.Generator:
    return np.random.default_rng(seed)


def behind_a_lag(paper: Make, count: int, taus: float, settle: int, images: int, **fields: Any) -> Any:
    """An objective of which a slot lasts so many time constants; cold at first."""
    tau = DWELL * (settle + images) / taus
    start = np.full(count, 0.05)
    return paper(count, images, slots=Slots(DWELL, settle, images, tau), lag_s=tau, start=start, **{"curved": 0.0} | fields)


def test_naive_correlation_is_eighteen_percent_wrong_at_two_time_constants_and_the_regression_is_right(paper: Make) -> None:
    """With about as many parameters as codes, as on a full chip."""
    objective, theta = behind_a_lag(paper, 112, 2.0, settle=19, images=1), np.full(112, 0.3)
    g = objective.loss.g
    naive = [objective.run(lagged(objective, theta, STEP, tau_s=0.0, rng=rng(seed))).gradient - g for seed in range(6)]
    assert rms(naive) / rms(g) == pytest.approx(0.18, abs=0.02)
    estimate = objective.run(lagged(objective, theta, STEP, rng=rng()))
    np.testing.assert_allclose(estimate.gradient, g, rtol=0, atol=1e-5)
    assert estimate.method == "lagged"
    assert estimate.notes == ()
    assert estimate.settings == 256 + 7


@pytest.mark.parametrize("taus", [1.0, 2.0, 4.0])
def test_images_recorded_while_the_state_still_moves_are_solved_each_for_itself(paper: Make, taus: float) -> None:
    objective = behind_a_lag(paper, 20, taus, settle=18, images=12)
    estimate = objective.run(lagged(objective, np.zeros(20), STEP, rng=rng()))
    assert estimate.notes == ()
    np.testing.assert_allclose(estimate.gradient, objective.loss.g, rtol=0, atol=1e-5)


def test_where_nothing_settles_the_lag_is_averaged_over_the_images_and_that_is_said(paper: Make) -> None:
    objective = behind_a_lag(paper, 20, 2.0, settle=0, images=12)
    estimate = objective.run(lagged(objective, np.zeros(20), STEP, rng=rng()))
    assert "averaged over the images" in estimate.notes[0]
    assert rms(estimate.gradient - objective.loss.g) > 1e-3, "the gradients of the images differ"
    objective.loss.own[:] = 0
    same = objective.run(lagged(objective, np.zeros(20), STEP, rng=rng()))
    np.testing.assert_allclose(same.gradient, objective.loss.g, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("settle", "images"), [(19, 1), (12, 8), (0, 8)])
def test_noise_behind_a_lag_is_that_of_the_reported_standard_error_for_every_code(
    paper: Make, scatter: Make, settle: int, images: int
) -> None:
    objective = behind_a_lag(paper, 18, 2.0, settle, images, sigma=1e-2)
    objective.loss.own[:] = 0
    mean, deviation, reported = scatter(objective, lambda: lagged(objective, np.zeros(18), STEP, rng=rng()), 250)
    np.testing.assert_allclose(reported / deviation, 1, rtol=0, atol=0.2)
    assert rms(reported) == pytest.approx(rms(deviation), rel=0.07)
    assert rms(mean - objective.loss.g) < 0.15 * rms(deviation)
    assert deviation.max() / deviation.min() > 1.2, "fast codes suffer more"


def test_at_two_time_constants_noise_is_seventeen_percent_above_that_of_settled_codes(paper: Make) -> None:
    objective, draw = behind_a_lag(paper, 40, 2.0, settle=19, images=1), rng()
    estimates = [objective.run(lagged(objective, np.zeros(40), STEP, rows=256, rng=draw)) for _ in range(10)]
    unit = 1 / np.sqrt(2 * 256) / STEP
    ratios = [rms(e.standard_error) / e.sigma / unit for e in estimates]
    assert np.mean(ratios) == pytest.approx(1.17, abs=0.02)


def test_sigma_is_that_of_one_evaluation(paper: Make) -> None:
    objective, draw = behind_a_lag(paper, 18, 2.0, settle=12, images=8, sigma=1e-2), rng()
    found = [objective.run(lagged(objective, np.zeros(18), STEP, rng=draw)).sigma for _ in range(60)]
    assert rms(found) == pytest.approx(1e-2, rel=0.1)


@pytest.mark.parametrize(("bits", "degree"), [(2, 1), (2, 2), (3, 3)])
def test_drift_is_not_seen_behind_a_lag_either(paper: Make, bits: int, degree: int) -> None:
    objective = behind_a_lag(paper, 18, 2.0, settle=19, images=1)
    objective.start, objective.drift = None, lambda k: (k / 50) ** degree
    estimate = objective.run(lagged(objective, np.zeros(18), STEP, bits=bits, rng=rng()))
    assert rms(estimate.gradient - objective.loss.g) < 1e-4


def test_even_orders_cancel_under_lag(paper: Make) -> None:
    objective = behind_a_lag(paper, 18, 2.0, settle=19, images=1, curved=1.0)
    objective.loss.c[:], objective.loss.m[:], objective.start = 0, 0, None
    estimate = objective.run(lagged(objective, np.zeros(18), STEP, rng=rng()))
    assert rms(estimate.gradient - objective.loss.g) < 1e-4


def test_without_a_lag_it_is_as_good_as_plain_codes(paper: Make) -> None:
    objective, theta = paper(20), np.linspace(-0.5, 0.5, 20)
    one, two = (objective.run(plan(objective, theta, STEP, rng=rng())) for plan in (lagged, walsh))
    np.testing.assert_allclose(one.gradient, two.gradient, rtol=0, atol=1e-12)
    assert one.loss == pytest.approx(two.loss, abs=1e-12)


def test_slots_that_are_far_too_short_and_lags_that_are_none_are_refused(paper: Make) -> None:
    objective = behind_a_lag(paper, 5, 0.01, settle=19, images=1)
    with pytest.raises(ProcedureError, match=r"slots of 2e-05 s are too short for a lag of 0\.002 s"):
        objective.run(lagged(objective, np.zeros(5), STEP, rng=rng()))
    with pytest.raises(ProcedureError, match="a lag of -1"):
        objective.run(lagged(objective, np.zeros(5), STEP, tau_s=-1.0, rng=rng()))
