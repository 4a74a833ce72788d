"""What theta the trained chips of Fig. 4a have: a histogram."""

from __future__ import annotations

from typing import Any

import numpy as np

from labonn.plotting.files import new_figure
from labonn.plotting.look import Look
from labonn.plotting.parameters import draw_histogram
from labonn.reproduce import Choices, Row
from labonn.reproduce.experiment import Found
from labonn.sweeps import Job
from procedures.papers import ptonn, ptonn_fig4a
from procedures.papers.ptonn_drawing import counted
from procedures.papers.ptonn_reading import about, couplers_of

SOURCE = f"{ptonn.PAPER}, Fig. 5"
LIMIT = 0.2


def cases(choices: Choices) -> dict[str, list[Job]]:
    """The trainings of Fig. 4a, couplers only."""
    return {"theta": ptonn_fig4a.cases(choices)["theta"]}


def rows(choices: Choices, found: Found) -> list[Row]:
    """Moments of the distribution."""
    some = found.get("theta", ())
    thetas, given = couplers_of(some), {"by": ptonn.REAL, "higher": None, **about(some)}
    near = [100 * float(np.mean(np.abs(theta) < LIMIT / 2)) for theta in thetas]
    edge = [100 * float(np.mean(np.abs(theta) > 0.999 * LIMIT)) for theta in thetas]
    return [
        Row("largest |theta|", [float(np.abs(theta).max()) for theta in thetas], "rad", LIMIT, remark="the paper: below 0.2", **given),
        Row("mean |theta|", [float(np.abs(theta).mean()) for theta in thetas], "rad", 0.05, **given),
        Row("mean theta", [1e4 * float(theta.mean()) for theta in thetas], "1e-4 rad", -2.0, **given),
        Row("|theta| below 0.1", near, "% of couplers", remark="the paper: most", **given),
        Row("at the limit of 0.2", edge, "% of couplers", **given),
    ]


def figure(choices: Choices, found: Found, look: Look) -> Any:
    """Couplers of all seeds together."""
    drawn = new_figure(look, 0.45)
    axes = drawn.subplots()
    thetas = couplers_of(found.get("theta", ()))
    if thetas:
        draw_histogram(axes, np.concatenate(thetas), (-LIMIT, LIMIT))
        axes.set_title(f"{counted(len(thetas), 'trained chip')} of {len(thetas[0]):,} couplers")
    return drawn


def notes(choices: Choices, found: Found) -> list[str]:
    """Where the distribution comes from."""
    return [
        "theta start uniform between -0.1 and 0.1 rad (mean |theta| 0.05); how the paper's start it does not say. They are what the "
        "nominal curve makes of the currents; a simulated section's own strength and current of no gain are some 3 % off."
    ]
