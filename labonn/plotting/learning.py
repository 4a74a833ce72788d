"""Learning curves: loss, accuracy and the gradient's error, of one run or of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labonn.plotting.axes import legend_above, log_scale
from labonn.plotting.courses import Course
from labonn.plotting.look import BAND, BLUE, FAINT, GREEN, ORANGE, bare, colour, style_of
from labonn.plotting.past import Array

WORDS = {
    "loss": "loss of a mini-batch", "train_loss": "training", "validation_loss": "validation", "accuracy": "of a mini-batch",
    "train_accuracy": "training", "validation_accuracy": "validation", "test_accuracy": "test", "gradient_rms": "gradient (rms)",
    "standard_error_rms": "its standard error (rms)", "gradient_cosine": "cosine with the true gradient (expected)",
}  # fmt: skip
FEW = 25  # points up to which each is marked


def words(name: str) -> str:
    """A metric's name for people."""
    return WORDS.get(name, name.replace("_", " "))


def draw_courses(axes: Any, found: Sequence[Course], factor: float, percent: bool = False, log: bool = False) -> None:
    """Metrics of one run: those of reports as lines, those of steps as a thin line in the band of their extremes, behind."""
    size = 100.0 if percent else 1.0
    for place, one in enumerate(sorted(found, key=lambda course: course.every)):
        x, y, style = factor * one.x, size * one.y, style_of(place)
        if one.every == "step":
            axes.plot(x, y, color=FAINT, lw=0.7, label=words(one.name), zorder=1)
            if one.low is not None and one.high is not None:
                axes.fill_between(x, size * one.low, size * one.high, color=FAINT, alpha=BAND, lw=0, zorder=0)
        else:
            axes.plot(x, y, **style, marker="o" if len(x) <= FEW else "", label=words(one.name), zorder=2)
    _scaled(axes, log, percent)
    if len(found) > 1:
        axes.legend(loc="best")


def _scaled(axes: Any, log: bool, percent: bool) -> None:
    if log:
        log_scale(axes.yaxis)
    elif percent:
        axes.set_ylim(0, 100)
    else:
        axes.set_ylim(0, 1.05 * max(float(axes.dataLim.y1), 1e-12))
    axes.set_xlim(left=0)


def draw_compared(axes: Any, named: Mapping[str, tuple[Course, Array | None]], factor: float, percent: bool, log: bool = False) -> None:
    """The same metric of several runs, or of groups of runs as mean and band of one standard deviation; name -> (course, deviations)."""
    size = 100.0 if percent else 1.0
    for place, (name, (one, spread)) in enumerate(named.items()):
        x, y, style = factor * one.x, size * one.y, style_of(place)
        axes.plot(x, y, **style, label=name)
        if spread is not None:
            axes.fill_between(x, y - size * spread, y + size * spread, color=style["color"], alpha=BAND, lw=0)
    _scaled(axes, log, percent)
    axes.legend(loc="best")


def draw_loss(axes: Any, epochs: Array, losses: Array, colour: str) -> None:
    """Losses of a training's reports."""
    axes.plot(epochs, losses, color=colour, lw=1.8, marker="o", ms=4.0 if epochs.size <= FEW else 0.0)
    axes.set_ylim(bottom=0)


def draw_gradient(axes: Any, below: Any, found: Mapping[str, Course], factor: float) -> None:
    """The gradient and its standard error, both rms over parameters; below, how well its direction is known."""
    for name, shade in (("gradient_rms", BLUE), ("standard_error_rms", ORANGE)):
        if name in found:
            one = found[name]
            axes.plot(factor * one.x, one.y, color=colour(shade), lw=1.0, label=words(name), ls="-" if name == "gradient_rms" else "--")
    log_scale(axes.yaxis)
    axes.set_ylabel("1/rad")
    axes.set_xlim(left=0)
    legend_above(axes, 2)
    if below is not None:
        one = found["gradient_cosine"]
        below.plot(factor * one.x, one.y, color=colour(GREEN), lw=1.0)
        below.set(ylabel="expected\ncosine", ylim=(min(0.0, float(np.min(one.y))), 1.02))
        bare(below)
