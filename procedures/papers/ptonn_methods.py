"""Each gradient method at equal hardware time, on both chips: accuracy against bench time and against hardware evaluations."""

from __future__ import annotations

from typing import Any

from labonn.plotting.files import new_figure
from labonn.plotting.look import Look
from labonn.reproduce import Choices, Row
from labonn.reproduce.experiment import Found
from labonn.sweeps import Job
from procedures.papers import ptonn
from procedures.papers.ptonn_drawing import draw_learning
from procedures.papers.ptonn_reading import about, percent

SOURCE = f"beyond {ptonn.PAPER}"
BENCHES = {"PT": "pt_chip", "MZI": "mzi_chip"}
COMMON = ("central", "forward", "subset", "spsa", "walsh", "aware", "auto")
METHODS = {"PT": COMMON, "MZI": (*COMMON[:5], "lagged", "shift", "adjoint", *COMMON[5:])}
QUICKLY = {"PT": ("central", "forward", "aware"), "MZI": ("central", "adjoint")}
DEAR = ("spsa", "walsh", "lagged")  # methods whose light costs much to compute: all parameters move at once
MANY_STEPS = ("subset", "spsa", "adjoint", "aware")
MOST_STEPS, TIME_S = 1500, 8.0


def cases(choices: Choices) -> dict[str, list[Job]]:
    """Trainings that end when so many seconds of bench time are gone, or after MOST_STEPS."""
    seconds, most = bench_seconds(choices), int(choices.value("most_steps", MOST_STEPS, 300))
    done: dict[str, list[Job]] = {}
    for kind, bench in BENCHES.items():
        for method in methods(choices, kind):
            title = f"{bench}, {seconds:g} s of bench time by {method}"
            how = {"gradient": method, "hardware_time": seconds, "steps": most, "report": 20 if method in MANY_STEPS else 3}
            cost = 4 + (6.0 if method in DEAR else 0.7) * seconds
            done[f"{kind}: {method}"] = ptonn.cheaply(choices, title, bench, cost, **how)
    return done


def methods(choices: Choices, kind: str) -> tuple[str, ...]:
    """Those that the chip can have."""
    return QUICKLY[kind] if choices.quick else METHODS[kind]


def bench_seconds(choices: Choices) -> float:
    """For every training."""
    return float(choices.value("bench_seconds", TIME_S, 3.0))


def rows(choices: Choices, found: Found) -> list[Row]:
    """Test accuracies, and steps that were made in that time."""
    done = []
    for case, some in found.items():
        if some:
            steps = sum(int(one.result["steps"]) for one in some) / len(some)
            spent = sum(float(one.result["training_time_s"]) for one in some) / len(some)
            remark = f"{steps:,.0f} steps in {spent:.3g} s of bench time"
            done.append(Row(case, percent(some), by=ptonn.REAL, remark=remark, **about(some)))
    return done


def figure(choices: Choices, found: Found, look: Look) -> Any:
    """A row of panels a chip: against bench time, and against evaluations."""
    drawn = new_figure(look, 0.75)
    for line, kind in zip(drawn.subplots(2, 2, sharey=True), BENCHES, strict=True):
        named = {method: found.get(f"{kind}: {method}", ()) for method in methods(choices, kind)}
        for axes, against in zip(line, ("bench_time_s", "settings"), strict=True):
            draw_learning(axes, named, against, legend=False)
        line[1].set_ylabel("")
        line[0].set_title(f"{kind} chip")
        if line[1].get_legend_handles_labels()[0]:
            line[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return drawn


def notes(choices: Choices, found: Found) -> list[str]:
    """What was equal, and what the methods could not do."""
    return [
        f"Every training has {bench_seconds(choices):g} s of bench time, all imperfections, couplers only, batches of 64. What costs "
        "time are shots (1 us each), writes of settings, and tables. Learning rates are train_chip's own, the same for all methods of "
        "a chip, and fall over the time.",
        "shift (parameter shift) and adjoint (in-situ backpropagation) are for interferometers, lagged is for parameters with a lag: "
        "PT chips can have none of them. adjoint has monitors at every phase shifter, which the others do not need. A method whose "
        "steps are cheap ends at most_steps, before its time is up.",
    ]
