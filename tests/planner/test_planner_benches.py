"""The planner on benches that differ in noise, lag, drift and the cost of writes, against what is measured and all methods by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from labonn.gradients import central, forward, lagged, spsa, walsh
from labonn.planner import Choice, characterise, choose

Make = Callable[..., Any]
FACTOR = 1.5
BENCHES: dict[str, dict[str, Any]] = {
    "quiet": {"sigma": 1e-5, "table_s": 2e-3},
    "noisy and drifting": {"sigma": 2e-2, "table_s": 2e-3, "drift": lambda t: 0.5 * t},
    "lagging": {"sigma": 1e-3, "lag_s": 20e-6},
    "written one by one": {"sigma": 1e-3, "write_s": 5e-4, "setting_s": 1e-3, "table_s": 1e-2, "drift": lambda t: 1e-4 * t},
}
STEPS = (0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
NARROW = (0.01, 0.02, 0.04, 0.08, 0.16)
COUNT = 300


def rng(seed: int = 3) -> np.random.Generator:
    return np.random.default_rng(seed)


def rms(values: Any) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def planned(bench: Any, theta: Any, seed: int = 3) -> Choice:
    return choose(bench.run(characterise(bench, theta, bench.clock, rng(seed))))


def seconds_downhill(bench: Any, theta: Any, plan: Callable[[], Any], times: int = 2) -> float:
    """Seconds of bench time over the squared cosine with the true gradient: for as much way downhill as an exact gradient gives."""
    g, start = bench.loss.gradient(theta), bench.now
    found = [bench.run(plan()).gradient for _ in range(times)]
    cosines = [max(e @ g, 1e-9) ** 2 / ((e @ e) * (g @ g)) for e in found]
    return float((bench.now - start) / times / np.mean(cosines))


def by_hand(bench: Any, theta: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every method at many steps; where writes cost little, those that move everything too."""
    draw, half = rng(7), len(theta) // 2
    for step in STEPS[2:5] if bench.lag_s else STEPS:
        yield f"central {step}", partial(central, bench, theta, step)
        yield f"forward {step}", partial(forward, bench, theta, step)
        yield f"half {step}", lambda step=step: central(bench, theta, step, subset=draw.choice(len(theta), half, replace=False))
    for step in () if bench.write_s else NARROW[::2] if bench.lag_s else NARROW:
        for rows in (512, 1024):
            yield f"walsh {rows} {step}", partial(walsh, bench, theta, step, rows, rng=draw)
        for pairs in (40, 150):
            yield f"spsa {pairs} {step}", partial(spsa, bench, theta, step, pairs, draw)
        if bench.slots.tau_s and bench.slots.length_s > 1.5 * bench.slots.tau_s:
            yield f"lagged {step}", partial(lagged, bench, theta, step, 512, rng=draw)


@pytest.mark.parametrize("name", BENCHES)
def test_standard_error_and_time_are_as_predicted(chip: Make, name: str) -> None:
    bench, theta = chip(COUNT, **BENCHES[name]), np.zeros(COUNT)
    choice = planned(bench, theta)
    start, draw = bench.now, rng(11)
    found = [bench.run(choice.estimate(bench, theta, draw)) for _ in range(12)]
    scatter = rms(np.std([e.gradient for e in found], axis=0, ddof=1))
    assert 1 / FACTOR < scatter / choice.standard_error < FACTOR
    assert 1 / FACTOR < (bench.now - start) / 12 / choice.seconds < FACTOR
    assert {e.settings for e in found} == {choice.settings}
    assert found[0].method == choice.method or choice.method == "subset"


@pytest.mark.parametrize("name", BENCHES)
def test_the_choice_is_not_much_slower_than_the_best_method_tried_by_hand(chip: Make, name: str) -> None:
    bench, theta = chip(COUNT, **BENCHES[name]), np.zeros(COUNT)
    choice = planned(bench, theta)
    chosen = seconds_downhill(bench, theta, lambda: choice.estimate(bench, theta, rng(11)), 4)
    own, best = bench.slots, np.inf
    for taus in (0.5, 1, 2, 3, 5) if bench.lag_s else (0,):
        settle = max(round(taus * bench.lag_s / own.dwell_s), 0)
        bench.slots = replace(own, settle=settle, tau_s=bench.lag_s)
        best = min(best, *(seconds_downhill(bench, theta, plan) for _, plan in by_hand(bench, theta)))
    assert chosen < FACTOR * best


def test_benches_that_differ_get_different_methods(chip: Make) -> None:
    theta = np.zeros(COUNT)
    methods = {name: planned(chip(COUNT, **fields), theta).method for name, fields in BENCHES.items()}
    assert methods["noisy and drifting"] == "walsh", "noise is averaged by all settings"
    assert methods["written one by one"] in ("forward", "central"), "writing everything for each setting would take minutes"
    assert methods["quiet"] == "forward", "half the settings, and the step can be small"


def test_a_chip_of_full_size_is_characterised_by_few_settings(chip: Make) -> None:
    bench, theta = chip(1631, images=64, sigma=1e-3), np.zeros(1631)
    character = bench.run(characterise(bench, theta, bench.clock, rng()))
    choice = choose(character)
    assert character.settings == bench.settings - 2 < 0.25 * 2 * 1631, "all but the first, untimed table of two"
    found = [bench.run(choice.estimate(bench, theta, rng(seed))) for seed in range(3)]
    scatter = rms(np.std([e.gradient for e in found], axis=0, ddof=1))
    assert 1 / FACTOR < scatter / choice.standard_error < FACTOR
    assert found[0].settings * bench.slots.length_s + 1e-3 == pytest.approx(choice.seconds, rel=0.01)


def test_predictions_hold_where_most_parameters_are_at_a_limit(chip: Make) -> None:
    """Steps are one-sided there."""
    theta = np.where(np.arange(COUNT) % 4 > 0, 0.2, 0.0)
    bench = chip(COUNT, limit=0.2, sigma=1e-3)
    choice = planned(bench, theta)
    assert choice.step <= 0.2
    found = [bench.run(choice.estimate(bench, theta, rng(seed))) for seed in range(8)]
    scatter = rms(np.std([e.gradient for e in found], axis=0, ddof=1))
    assert 1 / FACTOR < scatter / choice.standard_error < FACTOR


def test_lag_aware_codes_are_taken_where_slots_that_settle_cost_more(chip: Make) -> None:
    """Much noise and a lag of many shots; only methods that move everything may be chosen from."""
    bench, theta = chip(COUNT, images=2, sigma=1e-2, lag_s=40e-6), np.zeros(COUNT)
    character = bench.run(characterise(bench, theta, bench.clock, rng()))
    exact = choose(character, only=("lagged", "walsh"))
    lag = choose(character, only="lagged")
    assert exact.efficiency >= 0.9 * lag.efficiency
    found = [bench.run(lag.estimate(bench, theta, rng(seed))) for seed in range(6)]
    scatter = rms(np.std([e.gradient for e in found], axis=0, ddof=1))
    assert 1 / FACTOR < scatter / lag.standard_error < FACTOR
    assert lag.slots.length_s < 4 * 40e-6
