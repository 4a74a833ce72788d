"""Central and forward differences of a known cubic: order in time, bias, noise, drift, subsets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from labonn.banks import Changes, dense
from labonn.errors import ProcedureError
from labonn.gradients import best_step_central, best_step_forward, central, forward
from labonn.gradients.baselines import spread

Make = Callable[..., Any]
STEP = 0.1


def rms(values: Any) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


@pytest.mark.parametrize("repeats", [1, 2, 3])
@pytest.mark.parametrize("blocked", [False, True])
def test_the_bias_of_a_central_difference_is_the_third_derivative_times_step_squared_over_six(
    paper: Make, repeats: int, blocked: bool
) -> None:
    objective, theta = paper(7), np.linspace(-0.5, 0.5, 7)
    estimate = objective.run(central(objective, theta, STEP, repeats=repeats, blocked=blocked))
    wanted = objective.loss.gradient(theta) + STEP**2 * objective.loss.c / 6
    np.testing.assert_allclose(estimate.gradient, wanted, rtol=0, atol=1e-12)
    assert estimate.loss == pytest.approx(objective.loss(theta[None])[0, 0], abs=1e-13)
    assert estimate.sigma < 1e-14
    assert (estimate.method, estimate.tables, estimate.notes) == ("central", 1, ())
    assert estimate.settings == estimate.shots == objective.tables[0].shots == 14 * repeats + 16


def test_the_bias_of_a_forward_difference_is_the_second_derivative_times_step_over_two(paper: Make) -> None:
    objective, theta = paper(7), np.linspace(-0.5, 0.5, 7)
    loss = objective.loss
    estimate = objective.run(forward(objective, theta, STEP))
    second = np.diag(loss.hessian) + loss.c * theta + loss.m.T @ theta
    np.testing.assert_allclose(estimate.gradient, loss.gradient(theta) + STEP * second / 2 + STEP**2 * loss.c / 6, rtol=0, atol=1e-12)
    assert estimate.settings == 7 + 16


def test_every_image_is_shown_in_every_setting_and_the_mean_loss_is_differentiated(paper: Make) -> None:
    objective, theta = paper(5, images=4), np.full(5, 0.1)
    estimate = objective.run(central(objective, theta, STEP))
    np.testing.assert_allclose(estimate.gradient, objective.loss.gradient(theta) + STEP**2 * objective.loss.c / 6, rtol=0, atol=1e-12)
    assert estimate.shots == 4 * estimate.settings


def test_both_sides_of_a_parameter_are_neighbours_and_take_turns_in_being_first(paper: Make) -> None:
    objective, theta = paper(40, curved=0.0), np.zeros(40)
    objective.run(central(objective, theta, STEP, repeats=2))
    frames = dense(objective.tables[0].banks["parameters"])
    moved = frames[np.any(frames != 0, axis=1)]
    signs = moved.sum(axis=1).reshape(40, 4) / STEP
    np.testing.assert_allclose(signs, np.tile([1, -1, -1, 1], (40, 1)))
    rows = np.flatnonzero(np.any(frames != 0, axis=1)).reshape(40, 4)
    assert np.all(np.diff(rows) == 1), "baselines do not come between the settings of one parameter"
    assert np.count_nonzero(np.all(frames == 0, axis=1)) == 16
    assert not frames[:2].any()
    assert not frames[-2:].any()


def test_noise_of_central_differences_is_that_of_the_formula_and_of_the_reported_standard_error(paper: Make, scatter: Make) -> None:
    objective = paper(60, curved=0.0, sigma=1e-2)
    for repeats in (1, 3):
        mean, deviation, reported = scatter(objective, lambda n=repeats: central(objective, np.zeros(60), STEP, repeats=n), 60)
        formula = objective.sigma / np.sqrt(2 * repeats) / STEP
        assert rms(deviation) == pytest.approx(formula, rel=0.1)
        assert rms(reported) == pytest.approx(rms(deviation), rel=0.15)
        assert rms(mean - objective.loss.g) < 1.3 * formula / np.sqrt(60)


def test_noise_of_forward_differences_is_that_of_its_formula_and_of_the_reported_standard_error(paper: Make, scatter: Make) -> None:
    objective = paper(60, curved=0.0, sigma=1e-2)
    mean, deviation, reported = scatter(objective, lambda: forward(objective, np.zeros(60), STEP), 120)
    assert rms(deviation) == pytest.approx(objective.sigma * np.sqrt(4 / 3) / STEP, rel=0.07)
    assert rms(deviation) == pytest.approx(objective.sigma * np.sqrt(2) / STEP, rel=0.2), "of a single baseline"
    assert rms(reported) == pytest.approx(rms(deviation), rel=0.15)
    assert rms(mean - objective.loss.g) < 0.2 * rms(deviation)


def test_sigma_is_measured_with_the_gradient_whatever_the_drift(paper: Make) -> None:
    objective = paper(30, curved=0.0, sigma=1e-2, drift=lambda k: 0.02 * k)
    for plan in (central, forward):
        found = [objective.run(plan(objective, np.zeros(30), STEP)).sigma for _ in range(80)]
        assert rms(found) == pytest.approx(1e-2, rel=0.1)


def test_linear_drift_leaves_interleaved_differences_alone_and_ruins_blocked_ones(paper: Make) -> None:
    objective, theta, slope = paper(30), np.full(30, 0.2), 1e-3
    objective.drift = lambda k: slope * k
    wanted = objective.loss.gradient(theta)
    for plan in (central(objective, theta, 1e-3), central(objective, theta, 1e-3, repeats=2), forward(objective, theta, 1e-7)):
        np.testing.assert_allclose(objective.run(plan).gradient, wanted, rtol=0, atol=1e-5)
    blocked = objective.run(central(objective, theta, 1e-3, blocked=True)).gradient - wanted
    apart = 30 + 8  # settings, half of the baselines among them
    np.testing.assert_allclose(blocked, -slope * apart / 2e-3, rtol=0.15)


def test_slow_drift_of_any_form_is_taken_away_by_the_baselines_between(paper: Make) -> None:
    objective, theta = paper(100, curved=0.0), np.zeros(100)
    objective.drift = lambda k: 0.05 * np.sin(2 * np.pi * k / 200)
    interleaved, apart = (
        rms(objective.run(central(objective, theta, STEP, blocked=blocked)).gradient - objective.loss.g) for blocked in (False, True)
    )
    assert interleaved < 2e-3
    assert apart > 0.1


@pytest.mark.slow
def test_a_random_subset_is_unbiased_and_its_standard_error_has_the_subsets_variance(paper: Make, scatter: Make) -> None:
    count, size = 40, 10
    objective, rng = paper(count, curved=0.0, sigma=0.02), np.random.default_rng(5)
    g, ratio = objective.loss.g, count / size
    for plan, factor in ((central, 0.5), (forward, 4 / 3)):
        found = scatter(objective, lambda p=plan: p(objective, np.zeros(count), STEP, rng.choice(count, size, replace=False)), 1500)
        mean, deviation, reported = found
        variance = (ratio - 1) * g**2 + ratio * factor * objective.sigma**2 / STEP**2
        assert rms(deviation / np.sqrt(variance)) == pytest.approx(1, rel=0.1)
        assert rms((mean - g) / np.sqrt(variance / 1500)) < 1.4
        assert rms(reported) == pytest.approx(rms(deviation), rel=0.1)


def test_a_subset_costs_only_its_own_settings_and_leaves_the_others_zero(paper: Make) -> None:
    objective = paper(40)
    estimate = objective.run(central(objective, np.zeros(40), STEP, np.array([7, 3])))
    assert estimate.settings == 4 + 16
    assert np.flatnonzero(estimate.gradient).tolist() == [3, 7]
    assert np.all(estimate.standard_error > 0), "what was not measured is not known"
    whole = objective.run(central(objective, np.zeros(40), STEP)).gradient
    np.testing.assert_allclose(estimate.gradient[[3, 7]], 20 * whole[[3, 7]], rtol=1e-9)


@pytest.mark.parametrize("subset", [np.array([1, 1]), np.array([5]), np.array([-1]), np.array([0.0]), np.zeros(0, int)])
def test_a_subset_that_is_none_is_refused(paper: Make, subset: Any) -> None:
    objective = paper(5)
    with pytest.raises(ProcedureError, match="subset"):
        objective.run(central(objective, np.zeros(5), STEP, subset))


def test_numbers_that_measure_nothing_are_refused(paper: Make) -> None:
    objective = paper(5)
    with pytest.raises(ProcedureError, match="repeats is 0"):
        objective.run(central(objective, np.zeros(5), STEP, repeats=0))
    with pytest.raises(ProcedureError, match="2 pairs of baselines"):
        objective.run(forward(objective, np.zeros(5), STEP, baselines=2))


def test_the_settings_of_differences_are_changes_of_one_base_so_that_their_size_is_linear(paper: Make) -> None:
    objective = paper(50)
    for plan in (central, forward):
        objective.run(plan(objective, np.zeros(50), STEP))
        bank = objective.tables[0].banks["parameters"]
        assert isinstance(bank, Changes)
        assert bank.channels.shape == bank.values.shape == (bank.shape[0], 1)


def test_a_callers_theta_stays_his_own(paper: Make) -> None:
    objective, theta = paper(5), np.zeros(5)
    objective.run(central(objective, theta, STEP))
    theta += 1
    assert theta.flags.writeable


@pytest.mark.parametrize(("count", "group", "pairs"), [(12, 2, 8), (1631, 1, 42), (3262, 2, 20), (6, 6, 8), (30, 4, 3)])
def test_baselines_and_others_fill_the_table_without_gaps_and_groups_stay_whole(count: int, group: int, pairs: int) -> None:
    count -= count % group
    times = spread(count, group, pairs)
    assert sorted([*times.pairs.ravel(), *times.others]) == list(range(times.settings)) == list(range(count + 2 * pairs))
    assert np.all(np.diff(times.others.reshape(-1, group)) == 1)
    assert times.pairs[0, 0] == 0
    assert times.pairs[-1, 1] == times.settings - 1
    gaps = np.diff(times.pairs[:, 0])
    assert gaps.max() - gaps.min() <= group


def test_best_steps_have_the_least_mean_square_error_by_search() -> None:
    steps = np.geomspace(1e-3, 10, 40001)
    for sigma, derivative in ((1e-3, 6.0), (0.2, -0.5)):
        mean_square = sigma**2 / (2 * steps**2) + (steps**2 * derivative / 6) ** 2
        assert best_step_central(sigma, derivative) == pytest.approx(steps[np.argmin(mean_square)], rel=1e-3)
        mean_square = 2 * sigma**2 / steps**2 + (steps * derivative / 2) ** 2
        assert best_step_forward(sigma, derivative) == pytest.approx(steps[np.argmin(mean_square)], rel=1e-3)
    assert best_step_central(1e-3, 6) == pytest.approx(0.0794, abs=1e-4), "the example of a PT coupler"
    assert best_step_central(0.1, 0) == best_step_forward(0.1, 0) == np.inf
    with pytest.raises(ProcedureError, match="sigma nan"):
        best_step_central(np.nan, 1)
