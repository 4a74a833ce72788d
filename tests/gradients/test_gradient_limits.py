"""Perturbations at limits, and what is refused before anything is played or found in what comes back."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import pytest

from labonn.errors import LimitError, ProcedureError, ReadingError
from labonn.gradients import Slots, central, forward, lagged, spsa, walsh

Make = Callable[..., Any]
STEP = 0.1


def rng() -> np.random.Generator:
    return np.random.default_rng(8)


PLANS: dict[str, Callable[..., Any]] = {
    "central": central,
    "forward": forward,
    "spsa": lambda o, theta, step: spsa(o, theta, step, 4000, rng()),
    "walsh": lambda *args: walsh(*args, rng=rng()),
    "lagged": lambda *args: lagged(*args, rng=rng()),
}
every = pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())


@every
def test_perturbations_stay_inside_the_limits_and_what_was_changed_is_said(paper: Make, plan: Callable[..., Any]) -> None:
    objective = paper(6, curved=0.0, limit=0.3)  # which asserts that no setting is outside
    objective.upper[4] = objective.lower[4] = 0.2
    theta = np.array([0.0, 0.3, -0.3, 0.25, 0.2, -0.3])
    estimate = objective.run(plan(objective, theta, STEP))
    wanted = np.where(np.arange(6) == 4, 0, objective.loss.g)
    np.testing.assert_allclose(estimate.gradient, wanted, rtol=0, atol=0.1 if plan is PLANS["spsa"] else 1e-9)
    assert estimate.standard_error[4] == 0
    changed = ["3 of 6 perturbations one-sided at a limit", "1 of 6 perturbations shortened at a limit"]
    if plan is forward:
        changed = ["2 of 6 perturbations downward at a limit"]
    assert estimate.notes == (*changed, "gradient 0 for parameters without a range: 4")


def test_a_range_narrower_than_the_step_shortens_the_perturbation(paper: Make) -> None:
    objective = paper(3, curved=0.0, limit=0.03)
    for plan in (central, forward):
        estimate = objective.run(plan(objective, np.zeros(3), STEP))
        np.testing.assert_allclose(estimate.gradient, objective.loss.g, rtol=0, atol=1e-9)
        assert estimate.notes == ("3 of 3 perturbations shortened at a limit",)


def test_the_standard_error_is_that_of_the_distance_that_was_left(paper: Make) -> None:
    objective = paper(2, curved=0.0, limit=0.3, sigma=1e-3)
    estimate = objective.run(central(objective, np.array([0.0, 0.3]), STEP))
    np.testing.assert_allclose(estimate.standard_error, estimate.sigma / np.sqrt(2) / np.array([0.1, 0.05]))


@every
def test_rounding_does_not_carry_a_dither_over_a_limit(paper: Make, plan: Callable[..., Any]) -> None:
    objective, draw = paper(200, curved=0.0), np.random.default_rng(2)
    objective.upper = draw.uniform(0.1, 3, 200)
    objective.lower = objective.upper - draw.uniform(0.01, 0.2, 200)
    theta = draw.uniform(objective.lower, objective.upper)
    made = spsa(objective, theta, STEP, 3, rng()) if plan is PLANS["spsa"] else plan(objective, theta, STEP)
    assert objective.run(made).gradient.shape == (200,)


def test_steps_may_differ_from_parameter_to_parameter(paper: Make) -> None:
    objective, steps = paper(20), np.linspace(0.01, 0.2, 20)
    estimate = objective.run(central(objective, np.zeros(20), steps))
    np.testing.assert_allclose(estimate.gradient, objective.loss.g + steps**2 * objective.loss.c / 6, rtol=0, atol=1e-11)
    coded = objective.run(walsh(objective, np.zeros(20), steps, rng=rng()))
    wanted = objective.loss.g + steps**2 * objective.loss.c / 6 + objective.loss.m @ steps**2 / 2
    np.testing.assert_allclose(coded.gradient, wanted, rtol=0, atol=1e-11)


@every
@pytest.mark.parametrize(
    ("theta", "step", "error", "told"),
    [
        ([0, 0, 0.4], STEP, LimitError, r"parameter 2: 0\.4 is outside -0\.3 to 0\.3 \(the objective's limits\)"),
        ([0, np.nan, np.nan], STEP, LimitError, r"parameter 1: nan is outside .* \(2 parameters are so\)"),
        ([0, 0, 0], 0.0, ProcedureError, r"parameter 0: a step of 0\.0"),
        ([0, 0, 0], [STEP, -STEP, STEP], ProcedureError, r"parameter 1: a step of -0\.1; steps are positive"),
        ([0, 0, 0], np.inf, ProcedureError, r"parameter 0: a step of inf"),
        ([0.2, 0, 0], 1e-20, ProcedureError, r"parameter 0: a step of 1e-20 is too small to move 0\.2"),
        ([0, 0], STEP, ProcedureError, r"theta has shape \(2,\)"),
        ([0, 0, 0], [STEP], ProcedureError, r"step \(1,\)"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_played(
    paper: Make, plan: Callable[..., Any], theta: Any, step: Any, error: type[Exception], told: str
) -> None:
    objective = paper(3, limit=0.3)
    with pytest.raises(error, match=told):
        objective.run(plan(objective, np.array(theta, float), np.asarray(step)))
    assert objective.tables == []


def test_limits_that_leave_nothing_are_refused(paper: Make) -> None:
    objective = paper(2, limit=0.0)
    with pytest.raises(ProcedureError, match="no parameter can move"):
        objective.run(central(objective, np.zeros(2), STEP))
    objective.lower = np.array([0.0, 1.0])
    with pytest.raises(ProcedureError, match=r"parameter 1: its lower limit 1\.0 is above its upper limit 0\.0"):
        objective.run(central(objective, np.zeros(2), STEP))


def test_many_parameters_without_a_range_are_counted_after_the_first_ten(paper: Make) -> None:
    objective = paper(20, curved=0.0)
    objective.lower[:15] = objective.upper[:15] = 0
    estimate = objective.run(walsh(objective, np.zeros(20), STEP, rng=rng()))
    assert estimate.notes == ("gradient 0 for parameters without a range: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 5 more",)
    assert not estimate.gradient[:15].any()
    np.testing.assert_allclose(estimate.gradient[15:], objective.loss.g[15:], rtol=0, atol=1e-12)


@every
def test_a_loss_that_is_not_a_number_is_named(paper: Make, plan: Callable[..., Any]) -> None:
    objective = paper(5, images=2, drift=lambda k: np.where(k == 3, np.nan, 0.0))
    with pytest.raises(ReadingError, match="the loss of setting 3, image 0 is nan; 2 of "):
        objective.run(plan(objective, np.zeros(5), STEP))


class TwoTables:
    """An objective that needs two tables for every bank, or gives losses of a wrong shape; and knows whether it was closed."""

    lower, upper, slots = np.full(4, -1.0), np.full(4, 1.0), Slots(1e-6, 2, 3)
    closed, rows = False, 0

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def evaluate(self, settings: Any) -> Generator[Any, Any, Any]:
        try:
            yield from self.inner.evaluate(settings)
            losses = yield from self.inner.evaluate(settings)
            return losses[self.rows :]
        finally:
            self.closed = True


def test_tables_and_shots_are_counted_as_played(paper: Make) -> None:
    inner = paper(4, images=3, slots=Slots(1e-6, 2, 3))
    estimate = inner.run(central(TwoTables(inner), np.zeros(4), STEP))
    assert (estimate.settings, estimate.tables, estimate.shots) == (24, 2, 2 * 24 * 5)


def test_losses_of_a_wrong_shape_are_refused(paper: Make) -> None:
    objective = TwoTables(paper(4, images=3, slots=Slots(1e-6, 2, 3)))
    objective.rows = 1
    with pytest.raises(ProcedureError, match=r"losses of shape \(23, 3\); 24 settings by images"):
        objective.inner.run(central(objective, np.zeros(4), STEP))


def test_a_plan_that_is_given_up_closes_its_evaluation(paper: Make) -> None:
    objective = TwoTables(paper(4, images=3, slots=Slots(1e-6, 2, 3)))
    plan = central(objective, np.zeros(4), STEP)
    next(plan)
    assert not objective.closed
    plan.close()
    assert objective.closed
