"""The digital network 49-20-10: what its topology can do at most."""

from __future__ import annotations

from typing import Any

import numpy as np

from labonn.plotting.files import new_figure
from labonn.plotting.look import Look, style_of, whole_numbers
from labonn.reproduce import Choices, Row, twin_job
from labonn.reproduce.experiment import Found
from labonn.sweeps import Job, Outcome
from procedures.papers import ptonn
from procedures.papers.guo_reading import data_of
from procedures.papers.ptonn_drawing import draw_paper
from procedures.papers.ptonn_reading import percent, table_of

SOURCE = f"{ptonn.PAPER}, Fig. 3a"
SGD, ADAM = {"optimizer": "sgd", "learning_rate": 0.1}, {"optimizer": "adam", "learning_rate": 3e-3}
MEANS: dict[str, Any] = {"network": "28x28-pool-pool-20-10", "pool": "mean"}  # over 4 x 4 pixels, then 49-20-10
PICKED: dict[str, Any] = {"network": "49-20-10", "pixels": 49}  # every fourth of a row and column
CASES: dict[str, dict[str, Any]] = {
    "sgd": {**MEANS, **SGD}, "adam": {**MEANS, **ADAM}, "picked-sgd": {**PICKED, **SGD}, "picked-adam": {**PICKED, **ADAM},
}  # fmt: skip
TOLD = {"sgd": "SGD", "adam": "Adam", "picked-sgd": "SGD, pixels picked", "picked-adam": "Adam, pixels picked"}
DATA = {True: "MNIST, means of 4 x 4 pixels", False: "MNIST, every fourth pixel of a row and column"}
PAPER = {"training": 77.5, "test": 78.5}
BATCH = 64


def cases(choices: Choices) -> dict[str, list[Job]]:
    """SGD, as in the paper, and Adam; on means of pixels, and on picked ones."""
    images = choices.images("mnist")
    assert images is not None
    epochs = int(choices.value("epochs", 50, 20))
    fixed: dict[str, Any] = {"activation": ["sigmoid"], "loss": "cross_entropy", "epochs": epochs, "batch": BATCH}
    return {
        name: [twin_job(f"{SOURCE}: {name}", images, seed, cost=0.3 * epochs, **fixed, **how) for seed in choices.numbers]
        for name, how in CASES.items()
    }


def rows(choices: Choices, found: Found) -> list[Row]:
    """Highest training accuracy, as the paper has it, and test accuracy of the epoch that validation picks."""
    done = []
    for name, told in TOLD.items():
        some = found.get(name, ())
        about: dict[str, Any] = {"by": "digital", "data": data_of(some, DATA["pool" in CASES[name]])}
        peaks = [100 * float(table["train_accuracy"].max()) for table in map(table_of, some) if table]
        done.append(Row(f"digital, {told}, training, highest", peaks, paper=PAPER["training"], **about))
        done.append(Row(f"digital, {told}, test", percent(some), paper=PAPER["test"], **about))
    return done


def figure(choices: Choices, found: Found, look: Look) -> Any:
    """Accuracies of training and validation images, epoch by epoch, means over seeds."""
    drawn = new_figure(look, 0.45)
    axes = drawn.subplots()
    for place, (name, told) in enumerate(TOLD.items()):
        color = style_of(place)["color"]
        tables = [table for table in map(table_of, found.get(name, ())) if table]
        for part, dashes in (("train", "-"), ("validation", "--")):
            if tables:
                values = 100 * np.mean([table[f"{part}_accuracy"] for table in tables], axis=0)
                axes.plot(tables[0]["epoch"], values, color=color, ls=dashes, label=told if part == "train" else None)
    draw_paper(axes, PAPER["test"], f"paper, {PAPER['test']:g} %")
    axes.set(xlabel="epoch", ylabel="accuracy (%); dashed: validation", ylim=(50, 100))
    lengths = [len(table["epoch"]) for some in found.values() for table in map(table_of, some) if table]
    if max(lengths, default=0) > 1:
        axes.set_xlim(1, max(lengths))
    whole_numbers(axes.xaxis)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right")
    return drawn


def notes(choices: Choices, found: Found) -> list[str]:
    """The bound, and when SGD was where the paper's ended."""
    told = []
    best = {case: max(percent(found.get(case, ())), default=0.0) for case in CASES}
    if all(best.values()):
        means, picks = (max(best[case] for case in CASES if ("pool" in CASES[case]) is kind) for kind in (True, False))
        said, sgd = PAPER["test"], np.mean(percent(found["picked-sgd"]))
        told.append(
            f"The bound of this topology, without biases, is {means:.1f} % at least with means of 4 x 4 pixels, and {picks:.1f} % with "
            f'every fourth pixel. The paper\'s images are "subsampled by a factor of 16": SGD on picked pixels reaches {sgd:.1f} %, the '
            f"paper's network {said:g} %."
        )
    passed: list[int] = [_passed(one) for one in found.get("sgd", ())]
    if passed and all(passed):
        epochs = ", ".join(map(str, passed))
        steps = np.mean(passed) * found["sgd"][0].result["images"]["train"] / BATCH
        told.append(f"SGD passes the paper's {PAPER['test']:g} % (validation images) in epoch {epochs}, after about {steps:,.0f} steps.")
    return told


def _passed(one: Outcome) -> int:
    """The first epoch whose validation accuracy is above the paper's test accuracy; 0 if there is none."""
    table = table_of(one)
    above = np.flatnonzero(table["validation_accuracy"] > PAPER["test"] / 100) if table else np.empty(0)
    return int(table["epoch"][above[0]]) if len(above) else 0
