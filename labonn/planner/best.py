"""The step with the least mean square error, noise against the error that was measured to come with steps."""

from __future__ import annotations

import numpy as np

from labonn.planner.powers import Curve

FINE = 200
LOWEST = 1e-3  # of the smallest step that was measured


def best_step(noise: float, curve: Curve, smallest: float) -> tuple[float, float]:
    """(D, noise / D^2) with the least noise / D^2 + curve(D)^2; of a cubic, that of `best_step_central`.

    D is no less than `smallest` and no more than the largest step that was measured.
    """
    most = float(curve.steps[-1])
    steps = np.geomspace(min(max(smallest, LOWEST * float(curve.steps[0])), most), most, FINE)
    step = float(steps[np.argmin(noise / steps**2 + curve.at(steps) ** 2)])
    return step, noise / step**2
