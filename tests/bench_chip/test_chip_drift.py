"""A laser whose power drifts steadily: drift-null Walsh codes and alternating differences do not mind, blocked differences are ruined."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labonn.gradients import central, forward, walsh

Array = NDArray[Any]
STEPS = {"pt_chip": 0.04, "mzi_chip": 0.1}


def harm(rig_of: Callable[..., Any], perfect: Callable[..., Any], name: str, method: str) -> tuple[float, float]:
    """(rms error by drift over rms gradient, apart from light that is brighter on the whole; how much brighter it became)."""
    step, found, brighter = STEPS[name], list[Array](), 0.0
    for drift in (0.0, 1.8e4):
        rig = rig_of(name, share=0.5, **perfect(power_drift_per_h=drift))
        plans: dict[str, Callable[[], Any]] = {
            "blocked": lambda rig=rig: central(rig.objective, rig.theta, step, blocked=True),
            "alternating": lambda rig=rig: central(rig.objective, rig.theta, step),
            "forward": lambda rig=rig: forward(rig.objective, rig.theta, step),
            "walsh": lambda rig=rig: walsh(rig.objective, rig.theta, step / 8, rng=np.random.default_rng(3)),
        }
        shots = rig.objective.shots
        found.append(rig.run(plans[method]()).gradient)
        brighter = drift / 3600 * (rig.objective.shots - shots) * 1e-6
    still, drifting = found
    common = drifting @ still / (still @ still)
    return float(np.linalg.norm(drifting - common * still) / np.linalg.norm(still)), brighter


@pytest.mark.parametrize("name", ["pt_chip", "mzi_chip"])
def test_drift_null_walsh_codes_are_unharmed_where_blocked_differences_are_not(
    rig_of: Callable[..., Any], perfect: Callable[..., Any], name: str
) -> None:
    blocked, brighter = harm(rig_of, perfect, name, "blocked")
    assert 0.003 < brighter < 0.006
    assert blocked > 0.02
    for method in ("alternating", "forward", "walsh"):
        harmed, brighter = harm(rig_of, perfect, name, method)
        assert harmed < brighter, method  # the gradient itself changes that much with the power
        assert harmed < blocked / 10, method


def test_a_drift_of_all_parameters_is_not_taken_for_their_gradient_either(rig_of: Callable[..., Any], perfect: Callable[..., Any]) -> None:
    """Heaters that all drift at 0.02 rad a second, in slots of 0.1 s."""
    gradients = {}
    for drift in (0.0, 72.0):
        rig = rig_of("mzi_chip", share=0.5, **perfect(heaters={"drift_rad_per_h": drift, "drift_tick_s": 0.05}))
        rig.objective.slots = replace(rig.objective.slots, dwell_s=0.1 / 6)
        for blocked in (True, False):
            gradients[drift, blocked] = rig.run(central(rig.objective, 0.2 * rig.theta, 0.1, blocked=blocked)).gradient
    away = {blocked: np.linalg.norm(gradients[72.0, blocked] - gradients[0.0, blocked]) for blocked in (True, False)}
    assert away[True] > 3 * away[False]
