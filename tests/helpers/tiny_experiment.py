"""Numbers that are known beforehand.

An experiment for tests: three cases that are within, above and below the paper's number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labonn.plotting.files import new_figure
from labonn.plotting.look import Look
from labonn.reproduce import Choices, Row
from labonn.sweeps import Job, Outcome

SOURCE = "Nobody et al. 1900, Fig. 1"
MEANS = {"same": 97.3, "more": 98.5, "less": 95.0}
BY, DATA = "twin", "digits, 60,000 training images"


def cases(choices: Choices) -> dict[str, list[Job]]:
    """A job a seed."""
    scale = choices.value("scale", 1.0)
    choices.value("epochs", 50, 8)
    return {
        case: [Job("tiny_work:number", {"mean": scale * mean}, seed, title=f"number that is {case}", cost=30.0) for seed in choices.numbers]
        for case, mean in MEANS.items()
    }


def rows(choices: Choices, found: Mapping[str, Sequence[Outcome]]) -> list[Row]:
    """One a case."""
    return [
        Row(f"case {case}", [one.result["value"] for one in found[case]], paper=97.3, paper_sd=0.1, by=BY, data=DATA, aim=96.0)
        for case in MEANS
    ]  # fmt: skip


def notes(choices: Choices, found: Mapping[str, Sequence[Outcome]]) -> list[str]:
    """A paragraph."""
    return ["All of this is <made up> & known."]


def figure(choices: Choices, found: Mapping[str, Sequence[Outcome]], look: Look) -> Any:
    """Bars."""
    drawn = new_figure(look, 0.4)
    axes = drawn.subplots()
    axes.bar(list(found), [found[case][0].result["value"] for case in found])
    axes.set_ylabel("accuracy (%)")
    return drawn
