"""Parts of figures: accuracies against a setting, and side by side in lines."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from labonn.plotting.look import FAINT, ink, style_of

MARKS = "osv^Dp"
Numbers = Sequence[float]


def spread(numbers: Numbers) -> float:
    """Standard deviation; 0 of one number."""
    return statistics.stdev(numbers) if len(numbers) > 1 else 0.0


def draw_against(axes: Any, found: Mapping[float, Numbers], label: str, place: int = 0) -> None:
    """Means and standard deviations over seeds against a number."""
    some = {place_x: numbers for place_x, numbers in sorted(found.items()) if numbers}
    means, errors = [statistics.fmean(n) for n in some.values()], [spread(n) for n in some.values()]
    style = style_of(place) | ({"linestyle": ""} if len(some) == 1 else {})
    axes.errorbar(list(some), means, errors, **style, marker=MARKS[place], capsize=2, label=label)


def draw_paper(axes: Any, found: Mapping[float, tuple[float, float]], label: str = "paper") -> None:
    """A paper's numbers with their errors, as open diamonds."""
    means, errors = zip(*found.values(), strict=True)
    axes.errorbar(list(found), means, errors, fmt="D", mfc="none", ms=5, color=ink(), capsize=2, label=label, zorder=5)


def draw_lines(
    axes: Any, labels: Sequence[str], groups: Mapping[str, Sequence[Numbers]], paper: Sequence[tuple[float, float] | None] = ()
) -> None:
    """A line a label, from the top; in it the seeds of every group as dots, with mean and standard deviation.

    Args:
        groups: name -> numbers of every label; none where there are none. paper: (number, error) of every label.
    """
    count = len(groups) + bool(paper)
    for place, (name, values) in enumerate(groups.items()):
        color = style_of(place)["color"]
        for number, numbers in enumerate(values):
            y = number + _offset(place, count)
            axes.plot(numbers, [y] * len(numbers), ".", ms=3, alpha=0.5, color=color)
        some = [(number + _offset(place, count), numbers) for number, numbers in enumerate(values) if numbers]
        means, errors = [statistics.fmean(n) for _, n in some], [spread(n) for _, n in some]
        axes.errorbar(means, [y for y, _ in some], xerr=errors, fmt=MARKS[place], ms=4, color=color, capsize=2, label=name)
    told = [(number + _offset(count - 1, count), one) for number, one in enumerate(paper) if one is not None]
    if told:
        errors = [one[1] for _, one in told]
        axes.errorbar(
            [one[0] for _, one in told], [y for y, _ in told], xerr=errors, fmt="D", mfc="none", ms=4, color=ink(), capsize=2, label="paper"
        )
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    for edge in range(1, len(labels)):
        axes.axhline(edge - 0.5, color=FAINT, lw=0.3, alpha=0.5)


def legend_there(axes: Any, place: str) -> None:
    """A legend, if there is something to explain."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc=place)


def legend_over(axes: Any, columns: int) -> None:
    """A legend above the axes, where it hides nothing."""
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, columnspacing=1.0)


def _offset(place: int, count: int) -> float:
    return 0.7 * (place - (count - 1) / 2) / count


def told(numbers: Numbers) -> str:
    """ "97.3 +- 0.1", or without an error for one number."""
    if not numbers:
        return "-"
    error = f" +- {spread(numbers):.2f}" if len(numbers) > 1 else ""
    return f"{statistics.fmean(numbers):.2f}{error}"
