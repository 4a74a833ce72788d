"""The parts of a characterisation, each against what the bench was made to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from labonn.errors import ProcedureError
from labonn.gradients import best_step_central, central, walsh
from labonn.planner import characterise
from labonn.planner.best import best_step
from labonn.planner.costs import Timed, fit_costs
from labonn.planner.lags import two_sided
from labonn.planner.noise import noise_of
from labonn.planner.powers import Curve, Sigma, power
from labonn.planner.settling import fit_lag

Make = Callable[..., Any]


def rng(seed: int = 3) -> np.random.Generator:
    return np.random.default_rng(seed)


def characters(bench: Any, theta: Any, times: int = 4, **options: Any) -> list[Any]:
    return [bench.run(characterise(bench, theta, bench.clock, rng(seed), **options)) for seed in range(times)]


def test_noise_gradient_and_loss_are_found(chip: Make) -> None:
    bench, theta = chip(300, sigma=1e-3), np.full(300, 0.05)
    found = characters(bench, theta, 8)
    g = bench.loss.gradient(theta)
    assert np.median([c.noise.sigma for c in found]) == pytest.approx(1e-3, rel=0.15)
    assert np.median([c.gradient.value for c in found]) == pytest.approx(g @ g, rel=0.35)
    assert all(abs(c.gradient.value - g @ g) < 4 * c.gradient.error for c in found)
    assert all(c.gradient.seen for c in found)
    assert found[0].noise.loss == pytest.approx(float(bench.loss((theta @ bench.loss.mixing)[None, None]).mean()), abs=1e-3)


def test_curvatures_of_single_parameters_are_found(chip: Make) -> None:
    """Against second and third differences of the loss without noise."""
    bench, theta = chip(400, sigma=1e-6), np.zeros(400)
    h = 0.02
    at = [bench.loss((k * h * bench.loss.mixing)[:, None]).mean(axis=1) for k in (-2, -1, 0, 1, 2)]
    second = np.sqrt(np.mean(((at[3] - 2 * at[2] + at[1]) / h**2) ** 2))
    third = np.sqrt(np.mean(((at[4] - 2 * at[3] + 2 * at[1] - at[0]) / (2 * h**3)) ** 2))
    found = characters(bench, theta, 8)
    assert np.median([2 * c.second.value**0.5 for c in found]) == pytest.approx(second, rel=0.4)
    assert np.median([6 * c.both.law for c in found]) == pytest.approx(third, rel=0.5), "on the safe side"


def test_drift_is_found_and_none_is_invented(chip: Make) -> None:
    drifting = characters(chip(300, sigma=1e-4, drift=lambda t: 0.3 * t), np.zeros(300))
    assert [c.noise.drift_per_s for c in drifting] == pytest.approx([0.3] * 4, rel=0.3)
    still = characters(chip(300, sigma=1e-4), np.zeros(300))
    assert sum(c.noise.drift_per_s > 0 for c in still) <= 1
    times = np.linspace(0, 2, 200)
    bent = noise_of([rng().normal(0, 1e-3, 100)], times, 2.3 + 0.01 * times**2)
    assert bent.curvature_per_s2 == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize(("lag_s", "images"), [(20e-6, 8), (3e-6, 8), (60e-6, 1), (100e-6, 4)])
def test_an_unknown_lag_is_found(chip: Make, lag_s: float, images: int) -> None:
    bench = chip(300, images=images, sigma=1e-4, lag_s=lag_s)
    assert [c.slots.tau_s for c in characters(bench, np.zeros(300))] == pytest.approx([lag_s] * 4, rel=0.15)


def test_a_lag_is_not_seen_where_none_is_and_not_sought_where_it_is_known(chip: Make) -> None:
    assert [c.slots.tau_s for c in characters(chip(300, sigma=1e-3), np.zeros(300), 8)] == [0.0] * 8
    known = chip(300, sigma=1e-3, lag_s=20e-6)
    known.slots = replace(known.slots, tau_s=21e-6)
    assert characters(known, np.zeros(300), 1)[0].slots.tau_s == 21e-6


def test_a_lag_is_fitted_from_jumps_between_unequal_images() -> None:
    dwell, tau, images, repeats = 1e-6, 5e-6, 16, 3
    steps, levels = rng().normal(size=images), rng(4).normal(size=images)
    times = dwell * (1 + np.arange(repeats * images)).reshape(repeats, images)
    gone = 2 * np.exp(-times / tau) / (1 + np.exp(-repeats * images * dwell / tau))
    up = levels + steps * (1 - gone)
    losses = np.stack([up, 2 * levels - up])[None] + rng(5).normal(0, 1e-3, (4, 2, repeats, images))
    found, seen, _ = fit_lag(losses, dwell)
    assert seen
    assert found == pytest.approx(tau, rel=0.02)


def test_costs_are_found_and_a_full_dither_is_drawn_out_where_it_takes_too_long(chip: Make) -> None:
    fields = {"sigma": 1e-3, "table_s": 7e-3, "setting_s": 2e-4}
    quick, = characters(chip(300, **fields), np.zeros(300), 1)
    assert quick.costs.table_s == pytest.approx(7e-3, rel=0.01)
    assert [quick.costs.sparse_s, quick.costs.dither_s] == pytest.approx([2e-4] * 2, rel=0.01)
    assert quick.costs.dither_played
    slow = chip(1631, **fields, write_s=1e-3)
    character, = characters(slow, np.zeros(1631), 1)
    assert not character.costs.dither_played
    assert character.costs.sparse_s == pytest.approx(1.7e-3, rel=0.1)
    assert character.costs.dither_s == pytest.approx(0.75 * 1631e-3, rel=0.3)
    assert character.seconds < 0.5 * 2 * 1631 * 1.7e-3


def test_costs_are_never_negative_and_fit_tables_exactly() -> None:
    tables = [Timed(n, 10 * n, kind, 1e-3 + n * (1e-5 + 1e-6 * kind)) for n, kind in ((4, 1.5), (50, 1.5), (4, 75.0), (30, 75.0), (9, 0.0))]
    costs = fit_costs(tables, 1e-6, 100)
    assert [costs.table_s, costs.sparse_s, costs.dither_s] == pytest.approx([1e-3, 1.5e-6, 75e-6])
    assert costs.forward_s == pytest.approx(2e-6)
    free = fit_costs([replace(table, seconds=0.0) for table in tables], 1e-6, 100)
    assert [free.table_s, free.sparse_s, free.dither_s] == [0.0, 0.0, 0.0]


def test_the_best_step_is_that_of_the_formula_for_a_cubic_and_respects_its_bounds() -> None:
    third, sigma = 6.0, 1e-3
    cubic = Curve(np.array([0.1, 0.2, 0.4]), third / 6 * np.array([0.1, 0.2, 0.4]) ** 2, 2)
    step, noise = best_step(sigma**2 / 2, cubic, 0.0)
    assert step == pytest.approx(best_step_central(sigma, third), rel=0.05)
    assert noise == pytest.approx(sigma**2 / 2 / step**2)
    assert best_step(sigma**2 / 2, cubic, 0.15)[0] == pytest.approx(0.15)
    assert best_step(1.0, cubic, 0.0)[0] == pytest.approx(0.4)
    assert cubic.at([0.05, 0.15, 0.8]) == pytest.approx([0.0025, 0.0225, 0.64])


def test_a_mean_square_has_its_noise_taken_off_and_says_whether_it_is_seen() -> None:
    values, sigma = rng().normal(0, 2.0, 2000), Sigma(1.0, 1000, 1.0)
    seen = power(values, sigma, 1.0)
    assert seen.value == pytest.approx(3.0, rel=0.1)
    assert seen.seen
    unseen = power(values, sigma, 4.0)
    assert not unseen.seen
    assert 0 < unseen.value < 1.0


def test_under_lag_differences_keep_the_part_of_the_gradient_that_is_predicted(chip: Make) -> None:
    bench, theta = chip(300, sigma=0.0, lag_s=20e-6, bend=0.3), np.zeros(300)
    character, = characters(bench, theta, 1)
    g = bench.loss.gradient(theta)
    for settle in (9, 19, 39):
        bench.slots = replace(bench.slots, settle=settle)
        kept = two_sided(character, replace(bench.slots, tau_s=20e-6)).kept
        for plan in (central(bench, theta, 0.01), walsh(bench, theta, 0.001, rng=rng())):
            assert bench.run(plan).gradient @ g / (g @ g) == pytest.approx(kept, abs=0.05)


def test_steps_are_no_less_than_four_of_the_converter_and_no_more_than_the_largest(chip: Make) -> None:
    bench = chip(300, sigma=1e-6, smallest_step=0.02)
    low, = characters(bench, np.zeros(300), 1)
    assert low.smallest == 0.08
    assert min(low.both.steps[0], low.along.steps[0]) >= 0.08
    high, = characters(chip(300, sigma=1e-2), np.zeros(300), 1, largest_step=0.1)
    assert max(high.both.steps[-1], high.along.steps[-1]) <= 0.1
    with pytest.raises(ProcedureError, match=r"from 0\.08 \(smallest\) to 0\.05 \(largest\)"):
        characters(bench, np.zeros(300), 1, largest_step=0.05)


def test_nothing_that_can_move_is_said_so(chip: Make) -> None:
    bench = chip(20)
    bench.lower = bench.upper = np.zeros(20)
    with pytest.raises(ProcedureError, match="no parameter can move"):
        characters(bench, np.zeros(20), 1)


def test_slots_are_as_before_even_when_a_reading_fails(chip: Make) -> None:
    bench = chip(300, sigma=1e-3, lag_s=20e-6)
    before = bench.slots
    characters(bench, np.zeros(300), 1)
    assert bench.slots is before
    plan = characterise(bench, np.zeros(300), bench.clock, rng())
    table = next(plan)
    for _ in range(6):
        table = plan.send(bench.play(table))
    with pytest.raises(OSError, match="pulled"):
        plan.throw(OSError("the plug was pulled"))
    assert bench.slots is before
