"""What the experiments of Fig. 4b tell of their convolutional networks: rows, notes, figure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from labonn.plotting.files import new_figure
from labonn.plotting.look import Look
from labonn.reproduce import Choices, Row
from labonn.reproduce.experiment import Found
from labonn.sweeps import Outcome
from procedures.papers.guo_cnn import NETS, OPTICAL, Set, epochs_of, nets_of
from procedures.papers.guo_drawing import draw_bands
from procedures.papers.guo_points import draw_lines, told
from procedures.papers.guo_reading import accuracies, course
from procedures.papers.guo_trainings import reached

DIGITAL = ("relu", "tanh", "sigmoid")  # what the paper's figure compares with
START = (
    "Small dense weights are those of the code that the authors published for this figure, N(0, 0.01) after the convolutions; App. A.4 "
    "says N(0, 0.1) for all. That code has a dropout of 0.4 before the dense layers, too, which the paper does not name, and which is left "
    "out here."
)


def cnn_rows(choices: Choices, data: Set, found: Found) -> list[Row]:
    """Test accuracies of the networks, and what SA has more than the digital ones."""
    images = choices.images(data.name)
    if images is None:
        return []
    table = []
    for case in nets_of(choices, data):
        paper, error = dict(data.paper).get(case, (None, None))
        epochs, outcomes = epochs_of(choices, data, case), found.get(case, ())
        remark = "" if choices.quick else partial(data, outcomes)
        table.append(reached(NETS[case].told, outcomes, images, epochs, paper=paper, paper_sd=error, remark=remark))
    return table


def partial(data: Set, outcomes: Sequence[Outcome]) -> str:
    """What is to be said where there are fewer images than in the paper."""
    counts = [one.result["images"]["train"] for one in outcomes if "images" in one.result]
    if not counts or counts[0] >= data.whole:
        return ""
    return f"partial data: {counts[0]:,} of the paper's {data.whole:,} training images"


def cnn_notes(choices: Choices, data: Set, found: Found) -> list[str]:
    """How SA compares with the digital networks; what is less than in the paper."""
    if choices.images(data.name) is None:
        return [f"{data.told} is not there: `labonn data fetch {data.name}`, or put its IDX files into a folder {data.name} of --data DIR."]
    less = partial(data, [one for some in found.values() for one in some])
    said = [f"{less[0].upper()}{less[1:]}: no number of the paper compares with these."] if less and not choices.quick else []
    reached_by = {case: accuracies(found.get(case, ())) for case in nets_of(choices, data)}
    said += [_compared(case, reached_by) for case in OPTICAL if reached_by.get(case) and any(map(reached_by.get, DIGITAL))]
    if reached_by.get("sa-small"):
        said.append(START)
    best = max((one for one in map(reached_by.get, OPTICAL) if one), key=statistics.fmean, default=None)
    if best and not choices.quick:
        images = next(found[case][0].result.get("images", {}).get("test", 0) for case in OPTICAL if found.get(case))
        share = statistics.fmean(best) / 100
        chance = 100 * math.sqrt(share * (1 - share) / images) if images else 0.0
        said.append(f"{images:,} test images alone let an accuracy of {100 * share:.1f} % vary by {chance:.2f} points (binomial).")
    if any(epochs_of(choices, data, case) < (40 if case in OPTICAL else 20) for case in nets_of(choices, data)):
        said.append("The paper trains SA networks for 40 epochs and digital ones for 20; here networks have as many as their rows say.")
    return said


def _compared(case: str, reached_by: Mapping[str, list[float]]) -> str:
    """An optical network against the digital ones."""
    ours = reached_by[case]
    apart = ", ".join(
        f"{_name(other)} {told(theirs)} % ({statistics.fmean(ours) - statistics.fmean(theirs):+.2f})"
        for other in DIGITAL
        if (theirs := reached_by.get(other))
    )
    return f"{_name(case)} {told(ours)} % against {apart}; in brackets how many points it is above."


def _name(case: str) -> str:
    return NETS[case].told.partition(",")[0]


def cnn_figure(choices: Choices, data: Set, found: Found, look: Look) -> Any:
    """Learning curves; test errors of all networks, on a scale that shows the small ones."""
    cases = [case for case in nets_of(choices, data) if found.get(case)]
    if not cases:
        return None
    made = new_figure(look, 0.42)
    learning, errors = made.subplots(1, 2, width_ratios=(1, 1.1))
    named = {_name(case): [course(one) for one in found[case]] for case in cases if case in (*OPTICAL, *DIGITAL)}
    draw_bands(learning, named)
    if learning.get_legend_handles_labels()[0]:
        learning.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    learning.set(xlabel="epoch", ylabel="validation accuracy (%)", title=data.told)
    wrong = [[100 - number for number in accuracies(found[case])] for case in cases]
    known = dict(data.paper)
    paper = [(100 - known[case][0], known[case][1]) if case in known else None for case in cases]
    labels = [NETS[case].told.replace(" (digital)", "").replace(", ", "\n", 1) for case in cases]
    draw_lines(errors, labels, {"ours": wrong}, () if choices.quick else paper)
    errors.set_xscale("log")
    errors.set(xlabel="test error (%)")
    errors.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    errors.xaxis.set_minor_formatter(
        lambda value, _: f"{value:g}" if f"{value:g}"[0] in "25" or f"{value:g}".strip("0.")[0] in "25" else ""
    )
    if len(errors.get_legend_handles_labels()[0]) > 1:
        errors.legend(loc="best")
    return made
