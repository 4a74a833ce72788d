"""What theta the trained chips of Fig. 4a have: a histogram; and how they spread while a chip learns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from labonn.plotting.files import new_figure
from labonn.plotting.look import Look, style_of
from labonn.plotting.parameters import draw_histogram
from labonn.reproduce import Choices, Row
from labonn.reproduce.experiment import Found
from labonn.sweeps import Job
from procedures.papers import ptonn, ptonn_fig4a
from procedures.papers.ptonn_drawing import counted
from procedures.papers.ptonn_reading import about, couplers_of, mean_theta_at, spreading

SOURCE = f"{ptonn.PAPER}, Fig. 5"
LIMIT, START = 0.2, 0.1  # rad: of what is trained, and of what it starts from
MEAN_SD = 16.0  # 1e-4 rad, of the mean of 1,601 theta of mean |theta| 0.05, drawn from a normal distribution
PAPER, AS_FAR = 0.05, ptonn_fig4a.PAPER["test"]  # rad, mean |theta| of a chip that reached so many %


def cases(choices: Choices) -> dict[str, list[Job]]:
    """The trainings of Fig. 4a, couplers only."""
    return {"theta": ptonn_fig4a.cases(choices)["theta"]}


def rows(choices: Choices, found: Found) -> list[Row]:
    """Moments of the distribution."""
    some = found.get("theta", ())
    thetas, given = couplers_of(some), {"by": ptonn.REAL, "higher": None, **about(some)}
    near = [100 * float(np.mean(np.abs(theta) < LIMIT / 2)) for theta in thetas]
    edge = [100 * float(np.mean(np.abs(theta) > 0.999 * LIMIT)) for theta in thetas]
    early = _early(found)
    reached = f"mean |theta| when {AS_FAR:g} % were first reached"
    drawn = f"of one chip of the paper's; {MEAN_SD:g} is what chance makes of 1,601 couplers like its own"
    remark = "validation accuracy, as far as the paper's chip came; at the first report above"
    return [
        Row(
            "largest |theta|",
            [float(np.abs(theta).max()) for theta in thetas],
            "rad",
            remark=f"held to {LIMIT:g} here; the paper's remain below",
            **given,
        ),
        Row("mean |theta|", [float(np.abs(theta).mean()) for theta in thetas], "rad", PAPER, **given),
        Row(reached, early, "rad", PAPER, remark=remark, **given),
        Row("mean theta", [1e4 * float(theta.mean()) for theta in thetas], "1e-4 rad", -2.0, MEAN_SD, remark=drawn, **given),
        Row("|theta| below 0.1", near, "% of couplers", remark="the paper: most", **given),
        Row("at the limit of 0.2", edge, "% of couplers", **given),
    ]


def _early(found: Found) -> list[float]:
    """Mean |theta| where a chip had come as far as the paper's; nothing for those that have not."""
    means = [mean_theta_at(one, AS_FAR) for one in found.get("theta", ())]
    return [mean for mean in means if not math.isnan(mean)]


def figure(choices: Choices, found: Found, look: Look) -> Any:
    """Couplers of all seeds together; how far from zero they are, against the accuracy reached."""
    drawn = new_figure(look, 0.4)
    trained, spread = drawn.subplots(1, 2, width_ratios=(1.5, 1))
    thetas = couplers_of(found.get("theta", ()))
    if thetas:
        draw_histogram(trained, np.concatenate(thetas), (-LIMIT, LIMIT))
        trained.set_title(f"{counted(len(thetas), 'trained chip')} of {len(thetas[0]):,} couplers")
    for place, one in enumerate(found.get("theta", ())):
        percents, means = spreading(one)
        spread.plot(percents, means, color=style_of(place)["color"], ls="", marker=".", ms=3)
    spread.plot(AS_FAR, PAPER, "k+", ms=8)
    spread.annotate("paper", (AS_FAR, PAPER), (0, 4), textcoords="offset points", ha="center", va="bottom")
    spread.set(xlabel="validation accuracy (%)", ylabel="mean |theta| (rad)", ylim=(START / 2 * 0.9, None))
    return drawn


def notes(choices: Choices, found: Found) -> list[str]:
    """Why theta are further from zero than the paper's, and where the numbers come from."""
    some, early, said = found.get("theta", ()), _early(found), list[str]()
    if early:
        last = np.mean([np.abs(theta).mean() for theta in couplers_of(some)])
        reached = np.mean([100 * one.result["test_accuracy"] for one in some])
        said.append(
            f"A chip that learns more moves its couplers further. From {START / 2:g} rad at the start, mean |theta| was "
            f"{np.mean(early):.3f} rad where a chip had come as far as the paper's ({AS_FAR:g} %), and is {last:.3f} rad "
            f"at the end ({reached:.1f} % test). The paper's {PAPER:g} rad is that of a chip that learnt less; it equals this start's, so "
            "that its start, or what held it back, was another."
        )
    return [
        *said,
        f"theta start uniform between {-START:g} and {START:g} rad; how the paper's start it does not say. They are what the "
        "nominal curve makes of the currents; a simulated section's own strength and current of no gain are some 3 % off.",
    ]
