"""Accuracy against the number of hardware evaluations, of all trainings on chips."""

from __future__ import annotations

from typing import Any

from labonn.plotting.axes import log_scale
from labonn.plotting.files import new_figure
from labonn.plotting.look import Look
from labonn.reproduce import Choices, Row
from labonn.reproduce.experiment import Found
from labonn.sweeps import Job
from procedures.papers import ptonn, ptonn_fig3b, ptonn_fig4a, ptonn_methods
from procedures.papers.ptonn_drawing import draw_learning
from procedures.papers.ptonn_reading import about, first_above

SOURCE = f"beyond {ptonn.PAPER}"
LEVELS = (60.0, 80.0, 85.0)  # %
LONG = {"PT": "PT, theta: central", "PT all": "PT, all: central", "MZI": "MZI: central"}
SHORT = {"PT": ("forward", "spsa", "aware"), "MZI": ("forward", "adjoint")}


def cases(choices: Choices) -> dict[str, list[Job]]:
    """Those of ptonn-fig3b, ptonn-fig4a and ptonn-methods."""
    chips = ptonn_fig4a.cases(choices)
    done = {"PT": chips["theta"], "PT all": chips["all"], "MZI": ptonn_fig3b.cases(choices)["real"]}
    return done | ptonn_methods.cases(choices)


def rows(choices: Choices, found: Found) -> list[Row]:
    """Evaluations until the validation images were first read so well; without seeds that never were."""
    done = []
    for case, some in found.items():
        told = LONG.get(case, case)
        for level in LEVELS:
            counts = [count / 1e3 for count in (first_above(one, level) for one in some) if count == count]
            if counts:
                remark = "" if len(counts) == len(some) else f"{len(counts)} of {len(some)} seeds"
                row = Row(f"{told}, {level:g} %", counts, "thousand evaluations", by=ptonn.REAL, higher=False, remark=remark, **about(some))
                done.append(row)
    return done


def figure(choices: Choices, found: Found, look: Look) -> Any:
    """Long trainings as lines; short ones by other methods beside them."""
    drawn = new_figure(look, 0.5)
    axes = drawn.subplots()
    named = {told: found.get(case, ()) for case, told in LONG.items()}
    named |= {f"{kind}: {method}": found.get(f"{kind}: {method}", ()) for kind, some in SHORT.items() for method in some}
    draw_learning(axes, {name: some for name, some in named.items() if some}, legend=False)
    if axes.get_legend_handles_labels()[0]:
        axes.set_xlim(left=0.3)
        log_scale(axes.xaxis)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return drawn


def notes(choices: Choices, found: Found) -> list[str]:
    """What an evaluation is."""
    return [
        "An evaluation is one setting of all parameters, at which a batch of 64 images is shown; those of validation, of ranges and of "
        "dead channels count as well. Rows count until up to 2,000 validation images were first read so well, straight between "
        "reports, which come every 3 or every 20 steps."
    ]
