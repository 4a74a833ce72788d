"""Parts of figures that experiments on chips share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labonn.plotting.look import BAND, FAINT, style_of
from labonn.sweeps import Outcome
from procedures.papers.ptonn_reading import AGAINST, course

FEW = 12  # points of a line, which are marked


def draw_learning(axes: Any, named: Mapping[str, Sequence[Outcome]], against: str = "settings", legend: bool = True) -> None:
    """Validation accuracies, mean and band of one standard deviation over seeds, a line a name."""
    for place, (name, outcomes) in enumerate(named.items()):
        courses = [(x, y) for x, y in (course(one, against) for one in outcomes) if x.size]
        if not courses:
            continue
        last, first = min(x[-1] for x, _ in courses), max(x[0] for x, _ in courses)
        x = courses[0][0][(courses[0][0] <= last) & (courses[0][0] >= first)]
        values = np.array([np.interp(x, *one) for one in courses])
        mean, style = values.mean(axis=0), style_of(place)
        axes.plot(x, mean, **style, label=name, marker="." if len(x) < FEW else "")
        if len(courses) > 1:
            spread = values.std(axis=0, ddof=1)
            axes.fill_between(x, mean - spread, mean + spread, color=style["color"], alpha=BAND, lw=0)
    axes.set(xlabel=AGAINST[against], ylabel="validation accuracy (%)", ylim=(0, 100))
    axes.set_xlim(left=0)
    if legend and axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right")


def draw_paper(axes: Any, percents: float, words: str) -> None:
    """The paper's number, as a dotted line across."""
    axes.axhline(percents, color=FAINT, ls=":", lw=0.9)
    below = {"xytext": (0, -2), "textcoords": "offset points", "va": "top", "ha": "right"}
    axes.annotate(words, (1.0, percents), xycoords=("axes fraction", "data"), color=FAINT, **below)


def counted(count: int, noun: str) -> str:
    """1 run, 3 runs."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
