"""Output error made by interference with a target beam, against the computed one: 784-128-10, alpha0 = 10."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from labonn.plotting.axes import legend_above, log_scale
from labonn.plotting.files import new_figure
from labonn.plotting.look import BLUE, ORANGE, Look, colour
from labonn.reproduce import Choices, Row
from labonn.reproduce.experiment import Found
from labonn.reproduce.jobs import own_job
from labonn.reproduce.sets import MINI, Images
from labonn.sweeps import Job, Outcome
from procedures.papers import guo, guo_fig3
from procedures.papers.guo_drawing import draw_bands
from procedures.papers.guo_reading import accuracies, course, data_of, shots

SOURCE = f"{guo.PAPER}, Fig. 1b"
WORK = "procedures.papers.interference_error:measured"
BENCHES = {"ideal": "ideal bench", "realistic": "bench with all imperfections, SLM response and the feedback's zero measured"}
IMAGES, EPOCHS = 512, 8
TRAINED = {"digital": "computed error", "interference": "error by interference"}
APART = {"error_difference": "errors at the neurons apart", "gradient1_difference": "gradients of the first layer apart"}
SHORT = ("error at\nthe neurons", "gradient of\nthe first layer")


def cases(choices: Choices) -> dict[str, list[Job]]:
    """Trainings with either error (the computed one is guo-fig3's), and the two errors measured side by side on either bench."""
    trainings = {"digital": guo_fig3.cases(choices)["optical"], "interference": _interference(choices)}
    settings = {"hidden": [128], "depth": guo_fig3.DEPTH, "epochs": EPOCHS, "compared": IMAGES}
    told = f"{SOURCE}: both errors side by side"
    measured = {
        bench: [
            own_job(WORK, f"{told}, {bench}", n, images=Images(MINI), cost=5.0, ideal=bench == "ideal", **settings) for n in choices.numbers
        ]
        for bench in BENCHES
    }
    return trainings | measured


def _interference(choices: Choices) -> list[Job]:
    return guo.on_bench(choices, f"{SOURCE}: interference", [128], optical_depth=guo_fig3.DEPTH, derivative="optical", error="optical")


def rows(choices: Choices, found: Found) -> list[Row]:
    """Accuracies with either error, their difference, and how far the two errors are apart."""
    trained = {kind: found.get(kind, ()) for kind in TRAINED}
    table = [
        Row(
            f"test accuracy, {told}",
            accuracies(trained[kind]),
            paper=guo_fig3.PAPER,
            paper_sd=guo_fig3.PAPER_SD,
            by=guo.IDEAL,
            **_about(trained[kind]),
        )
        for kind, told in TRAINED.items()
    ]
    pairs = zip(*(accuracies(trained[kind]) for kind in ("interference", "digital")), strict=False)
    off = [one - two for one, two in pairs]
    told = "interference less computed, the same seed"
    data = data_of(trained["digital"])
    table.append(Row(told, off, "points", by=guo.IDEAL, data=data, higher=None, remark="Eq. 7: both are z - t"))
    for bench, words in BENCHES.items():
        outcomes = found.get(bench, ())
        about: dict[str, Any] = {
            "by": f"drivers, {words}",
            "data": f"mini: {IMAGES} training images",
            "evaluations": shots(outcomes),
            "higher": False,
        }
        for name, what in APART.items():
            table.append(Row(f"{what}, {bench} bench", [100 * one.result[name] for one in outcomes], **about))
    return table


def _about(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {"data": data_of(outcomes), "evaluations": shots(outcomes)}


def notes(choices: Choices, found: Found) -> list[str]:
    """What the differences mean, with what was measured."""
    told = [
        f"Differences are rms over {IMAGES} images and 128 neurons, relative to the error that was computed; the weights shown were "
        f"trained in the twin for {EPOCHS} epochs on the shipped images."
    ]
    for bench in ("ideal", "realistic"):
        some = [one.result for one in found.get(bench, ())]
        if some:
            sent = [100 * float(np.mean([one[f"{kind}_error_as_sent_difference"] for one in some])) for kind in ("digital", "optical")]
            told.append(
                f"On the {bench} bench the computed error arrives at the neurons {sent[0]:.2g} % off W^T (z - t), that by interference "
                f"{sent[1]:.2g} %; z are the outputs as they are read, and only the SLMs' response "
                "and the feedback modulator's zero are measured before."
            )
    told.append(
        "Both trainings start from N(0, 0.1), as App. A.4 says, and end below the paper as that of guo-fig3 does; there, from N(0, 0.01), "
        "they do not."
    )
    both = [one for kind in ("digital", "interference") for one in found.get(kind, ())[:1]]
    if len(both) == 2:
        counts = [one.result["shots"] for one in both]
        told.append(f"One training takes {counts[0]:,} shots with the computed error and {counts[1]:,} by interference.")
    return told


def figure(choices: Choices, found: Found, look: Look) -> Any:
    """Validation accuracy with either error; beside it what the two errors differ by."""
    made = new_figure(look, 0.4)
    left, right = made.subplots(1, 2, width_ratios=(1.3, 1.0))
    draw_bands(left, {told: [course(one) for one in found.get(kind, ())] for kind, told in TRAINED.items()})
    left.set(xlabel="epoch", ylabel="validation accuracy (%)")
    places = np.arange(len(APART))
    for bench, mark, shade in (("ideal", "o", BLUE), ("realistic", "s", ORANGE)):
        values = [[100 * one.result[name] for one in found.get(bench, ())] for name in APART]
        heights = [np.mean(each) if each else np.nan for each in values]
        right.plot(places, heights, mark, ms=5, label=f"{bench} bench", color=colour(shade))
    right.set_xticks(places, SHORT)
    right.set_xlim(-0.5, len(APART) - 0.5)
    right.grid(axis="y", lw=0.3, alpha=0.5)
    right.set_ylabel("interference against computed (%)")
    right.set_ylim(1e-15, 1e3)
    log_scale(right.yaxis)
    legend_above(right, 2)
    return made
