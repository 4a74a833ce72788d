"""Parts of figures that several experiments share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labonn.channels import Floats
from labonn.plotting.look import BAND, style_of, whole_numbers

LOWEST = 90.0  # %; below, the first epochs would press the rest together


def draw_bands(axes: Any, named: Mapping[str, Sequence[Floats]]) -> None:
    """Accuracies (epochs,) of several seeds in %, as mean and band of one standard deviation, a line a name."""
    lowest, last = 100.0, 2
    for place, (name, courses) in enumerate(named.items()):
        whole = [one for one in courses if one.size]
        if not whole:
            continue
        length = min(len(one) for one in whole)
        values = 100 * np.array([one[:length] for one in whole])
        epochs, mean, style = np.arange(1, length + 1), values.mean(axis=0), style_of(place)
        axes.plot(epochs, mean, **style, label=name)
        if len(whole) > 1:
            spread = values.std(axis=0, ddof=1)
            axes.fill_between(epochs, mean - spread, mean + spread, color=style["color"], alpha=BAND, lw=0)
        lowest, last = min(lowest, float(values[:, length // 3 :].min())), max(last, length)
    axes.set_ylim(min(LOWEST, np.floor(lowest / 5) * 5), 100)
    axes.set_xlim(1, last)
    whole_numbers(axes.xaxis)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right")
