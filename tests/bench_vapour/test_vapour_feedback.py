"""The feedback modulator's zero is measured with the light that comes back, and the error by interference chopped around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from labonn.errors import LimitError
from labonn.targets import measure_zero

SIZES, DEPTH = (12, 6, 5, 3), 4.0
ROWS = np.arange(16)


def with_bias(part_of_v_pi: float) -> Callable[[str], str]:
    return lambda text: text + f"\n[simulation.modulators]\nbias_error_v_pi = {part_of_v_pi}\n"


def rig_with(rig_of: Callable[..., Any], part_of_v_pi: float, **how: Any) -> Any:
    rig = rig_of(SIZES, depth=DEPTH, dark=True, edit=with_bias(part_of_v_pi), **how)
    rig.network.fit_feedback(1.0)
    return rig


def passed(rig: Any, volts: Any) -> Any:
    """What the simulated modulator really lets pass."""
    modulator = rig.simulated.light._modulators["feedback"]
    return modulator.fields(np.asarray(volts, np.float64).reshape(-1, 1), rig.bench.clock.now())[:, 0]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_zero_is_found_where_the_modulator_is_really_dark(rig_of: Callable[..., Any], seed: int) -> None:
    rig = rig_with(rig_of, 0.1, seed=seed)
    network = rig.network
    before = passed(rig, network.feedback_bank())
    zero, error = rig.bench.run(measure_zero(network, rig.weights, ROWS, rig.labels[ROWS]))
    assert zero == network.feedback_zero_v
    assert abs(passed(rig, [zero])[0]) < 0.1 * network.feedback_level
    assert 0 < error < 0.1
    after = passed(rig, network.feedback_bank())
    assert np.ptp(np.abs(after)) < 0.2 * network.feedback_level < np.ptp(np.abs(before)), "as strong with both signs"


def test_an_ideal_modulator_is_left_as_it_is_believed(rig_of: Callable[..., Any]) -> None:
    rig = rig_of(SIZES, depth=DEPTH, ideal=True)
    bank = rig.network.feedback_bank()
    rig.bench.run(measure_zero(rig.network, rig.weights, ROWS, rig.labels[ROWS]))
    assert rig.network.feedback_zero_v == 0
    assert rig.network.feedback_bank() is bank


def test_gradients_by_interference_need_the_zero(rig_of: Callable[..., Any]) -> None:
    rig = rig_with(rig_of, 0.1, seed=2)

    def apart() -> float:
        one, two = (rig.step("optical", error, ROWS).gradients[0] for error in ("optical", "digital"))
        return float(np.linalg.norm(one - two) / np.linalg.norm(two))

    before = apart()
    rig.bench.run(measure_zero(rig.network, rig.weights, ROWS, rig.labels[ROWS]))
    assert apart() < 0.5 < before


def test_a_zero_beyond_the_modulators_limits_is_refused_and_never_cut_off(rig_of: Callable[..., Any]) -> None:
    rig = rig_with(rig_of, 0.0)
    rig.network.move_feedback(100.0)
    with pytest.raises(LimitError, match="feedback"):
        rig.step("optical", "optical", ROWS)
