"""Choosing within a budget, believed gradients, and planning again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from labonn.errors import ProcedureError
from labonn.gradients import Estimate
from labonn.planner import Planner, characterise, choose

Make = Callable[..., Any]
COUNT = 300


def rng(seed: int = 3) -> np.random.Generator:
    return np.random.default_rng(seed)


def character(bench: Any, theta: Any, cheap: Any = None, seed: int = 3) -> Any:
    return bench.run(characterise(bench, theta, bench.clock, rng(seed), cheap))


def believing(bench: Any, cosine: float, seed: int = 1) -> Callable[..., Any]:
    """A gradient by one setting that has this cosine with the true one."""

    def method(objective: Any, theta: Any) -> Any:
        g = bench.loss.gradient(theta)
        other = np.random.default_rng(seed).normal(size=len(g))
        other -= g * (other @ g) / (g @ g)
        wrong = cosine * g / np.linalg.norm(g) + np.sqrt(1 - cosine**2) * other / np.linalg.norm(other)
        losses = yield from objective.evaluate(np.asarray(theta)[None, :])
        return Estimate(np.linalg.norm(g) * wrong, np.zeros(len(g)), 1, 1, 1, float(losses.mean()), np.nan, (), "believed")

    return method


@pytest.mark.parametrize("budget_s", [3e-3, 1.5e-3, 1.2e-3])
def test_a_budget_is_kept_by_what_is_then_played(chip: Make, budget_s: float) -> None:
    bench, theta = chip(COUNT, sigma=1e-3), np.zeros(COUNT)
    choice = choose(character(bench, theta), budget_s)
    assert choice.seconds <= budget_s
    start = bench.now
    bench.run(choice.estimate(bench, theta, rng()))
    assert bench.now - start <= 1.05 * budget_s
    assert choice.seconds > 0.8 * budget_s, "and made use of"
    assert "would go further, but takes more than" in " ".join(choice.why)


def test_a_budget_that_nothing_fits_is_refused_with_the_least_that_would(chip: Make) -> None:
    found = character(chip(COUNT, sigma=1e-3), np.zeros(COUNT))
    with pytest.raises(ProcedureError, match=r"budget of 0\.0005 s .* takes 0\.00108 s \(spsa, 10 settings\)"):
        choose(found, 5e-4)


def test_methods_can_be_prescribed(chip: Make) -> None:
    found = character(chip(COUNT, sigma=1e-3), np.zeros(COUNT))
    assert choose(found, only="spsa").method == "spsa"
    assert choose(found, only=("central", "subset")).method in ("central", "subset")
    with pytest.raises(ProcedureError, match="adjoint: choose from central, forward, lagged, spsa, subset, walsh"):
        choose(found, only="adjoint")
    with pytest.raises(ProcedureError, match="no lag was seen"):
        choose(found, only="lagged")


def test_why_is_told_in_lines_of_eighty_characters_with_all_methods_best_first(chip: Make) -> None:
    choice = choose(character(chip(COUNT, sigma=1e-3, lag_s=20e-6), np.zeros(COUNT)))
    assert max(map(len, choice.why)) <= 80
    text = "\n".join(choice.why)
    head = next(i for i, line in enumerate(choice.why) if line.startswith("method "))
    rows = choice.why[head + 1 : head + 7]
    assert {row.split()[0] for row in rows} == {"central", "forward", "subset", "spsa", "walsh", "lagged"}
    worth = [float(row.split()[-1]) for row in rows]
    assert worth == sorted(worth, reverse=True)
    assert f"{choice.method}, because" in text
    assert "lag 19" in text or "lag 20" in text or "lag 21" in text


@pytest.mark.parametrize("seed", range(4))
def test_a_believed_gradient_is_taken_at_a_cosine_of_nine_tenths_and_refused_at_three(chip: Make, seed: int) -> None:
    bench, theta = chip(COUNT, sigma=1e-3), np.zeros(COUNT)
    cheap = {"good": believing(bench, 0.9), "bad": believing(bench, 0.3), "opposite": believing(bench, -0.9)}
    found = character(bench, theta, cheap, seed)
    good, bad, opposite = found.believed
    assert good.cosine == pytest.approx(0.9, abs=0.06)
    assert bad.cosine == pytest.approx(0.3, abs=0.1)
    assert opposite.cosine < -0.8
    assert good.settings == 1
    choice = choose(found, cheap=cheap)
    assert choice.method == "good"
    assert choice.cosine2 == pytest.approx(0.81, abs=0.1)
    assert bench.run(choice.estimate(bench, theta, rng())).method == "believed"
    text = " ".join(choice.why)
    assert "bad refused: its cosine with measured light is 0." in text
    with pytest.raises(ProcedureError, match=r"no method is left .* bad \(cosine 0\.\d+"):
        choose(found, only="bad", cheap=cheap)


def test_a_believed_gradient_is_compared_by_single_parameters_where_dithers_take_too_long(chip: Make) -> None:
    bench, theta = chip(COUNT, sigma=1e-4, write_s=5e-4), np.zeros(COUNT)
    found = character(bench, theta, {"good": believing(bench, 0.95)})
    assert not found.dithered
    assert found.believed[0].cosine == pytest.approx(0.95, abs=0.1)


def test_it_plans_again_when_the_noise_has_changed_and_says_by_how_much(chip: Make) -> None:
    bench, theta = chip(COUNT, sigma=1e-3), np.zeros(COUNT)
    planner = Planner(bench, bench.clock, rng())
    for _ in range(12):
        bench.run(planner.gradient(theta))
    assert planner.planned == 1, "nothing has changed"
    first = planner.choice
    bench.sigma = 3e-2
    for _ in range(8):
        bench.run(planner.gradient(theta))
    assert planner.planned == 2
    again = next(line for line in planner.log if line.startswith("planned again: noise"))
    assert 8 < float(again.split()[3]) < 80
    assert planner.character.noise.sigma == pytest.approx(3e-2, rel=0.4)
    assert planner.choice.method != first.method or planner.choice.step > first.step


def test_it_does_not_plan_for_ever_where_a_method_has_another_noise_than_was_measured(chip: Make) -> None:
    """Noise that grows with the number of moved parameters."""
    bench, theta = chip(COUNT, sigma=2e-2), np.zeros(COUNT)
    planner = Planner(bench, bench.clock, rng(), only="walsh")
    play = bench.play

    def noisier(table: Any) -> Any:
        bench.sigma = 6e-2 if table.banks["parameters"].shape[0] > 600 else 2e-2
        return play(table)

    bench.play = noisier
    for _ in range(30):
        bench.run(planner.gradient(theta))
    assert planner.planned == 2


def test_it_plans_again_after_a_stretch_worth_ten_characterisations(chip: Make) -> None:
    bench, theta = chip(COUNT, sigma=1e-3), np.zeros(COUNT)
    planner = Planner(bench, bench.clock, rng(), only="central")
    plans = []
    while planner.planned < 2 and len(plans) < 400:
        bench.run(planner.gradient(theta))
        plans.append(bench.now)
    assert len(plans) > 50
    assert any(line.startswith("planned again: after") for line in planner.log)
    assert plans[-2] - plans[0] >= 9.5 * planner.character.seconds


def test_a_believed_gradient_is_left_when_it_is_no_longer_right(chip: Make) -> None:
    bench, theta = chip(COUNT, sigma=1e-3), np.zeros(COUNT)
    current = {"cosine": 0.95}
    cheap = {"believed": lambda objective, at: believing(bench, current["cosine"])(objective, at)}
    planner = Planner(bench, bench.clock, rng(), cheap=cheap)
    bench.run(planner.gradient(theta))
    assert planner.choice.method == "believed"
    current["cosine"] = 0.2
    for _ in range(200):
        bench.run(planner.gradient(theta))
    assert planner.choice.method != "believed"
    assert any("compare the believed gradient" in line for line in planner.log)


def test_what_is_played_leaves_the_slots_as_they_were(chip: Make) -> None:
    bench, theta = chip(COUNT, sigma=1e-3, lag_s=20e-6), np.zeros(COUNT)
    before = bench.slots
    planner = Planner(bench, bench.clock, rng(), budget_s=0.05)
    bench.run(planner.gradient(theta))
    assert bench.slots is before
    assert planner.choice.slots.tau_s == pytest.approx(20e-6, rel=0.1)
