"""49-20-10 on meshes of Mach-Zehnder interferometers, trained by central differences."""

from __future__ import annotations

from typing import Any

from labonn.plotting.confusion import draw_confusion
from labonn.plotting.files import new_figure
from labonn.plotting.look import Look
from labonn.reproduce import Choices, Row
from labonn.reproduce.experiment import Found
from labonn.sweeps import Job
from procedures.papers import ptonn
from procedures.papers.ptonn_drawing import counted, draw_learning, draw_paper
from procedures.papers.ptonn_reading import about, confusion, percent

SOURCE = f"{ptonn.PAPER}, Fig. 3b"
KINDS = {"real": ptonn.REAL, "ideal": ptonn.IDEAL}
PAPER = {"training": 69.0, "test": 70.2}
AIM = 83.0


def cases(choices: Choices) -> dict[str, list[Job]]:
    """On a chip with all imperfections, and on an ideal one, which is what the paper simulated."""
    done = {
        kind: ptonn.trained(choices, f"{SOURCE}: {told}", "mzi_chip", **({"ideal": True} if kind == "ideal" else {}))
        for kind, told in KINDS.items()
    }
    return done | {"picked": ptonn.picked(choices, f"{SOURCE}: {ptonn.REAL}", "mzi_chip")}


def rows(choices: Choices, found: Found) -> list[Row]:
    """Training and test accuracies of both chips."""
    done = []
    for kind, told in KINDS.items():
        for part, paper in PAPER.items():
            some, what = found.get(kind, ()), f"MZI, {told.removeprefix('drivers, ')}, {part}"
            aim = AIM if part == "test" else None
            done.append(Row(what, percent(some, f"{part}_accuracy"), paper=paper, aim=aim, by=told, **about(some)))
    if not choices.quick:
        some = found.get("picked", ())
        what = "MZI, all imperfections, pixels picked, test"
        done.append(Row(what, percent(some), paper=PAPER["test"], by=ptonn.REAL, **about(some)))
    return done


def figure(choices: Choices, found: Found, look: Look) -> Any:
    """Learning curves; which class was read as which."""
    drawn = new_figure(look, 0.45)
    left, right = drawn.subplots(1, 2)
    draw_learning(left, {told.removeprefix("drivers, "): found.get(kind, ()) for kind, told in KINDS.items()})
    draw_paper(left, PAPER["test"], f"paper, {PAPER['test']:g} %")
    left.set_title("MZI meshes, phases trained")
    if found.get("real"):
        draw_confusion(right, confusion(found["real"]), fontsize=5)
        right.set_title(f"all imperfections, test images of {counted(len(found['real']), 'run')}")
    else:
        right.set_axis_off()
    return drawn


def notes(choices: Choices, found: Found) -> list[str]:
    """How the paper's MZI may differ from these."""
    return [
        ptonn.WHY_BETTER,
        "An MZI here is a real rotation by its one phase, and attenuators between the meshes are open; the paper does not say which of "
        "the phases of its MZI are trained.",
        ptonn.TRAINING_SHOWN,
    ]
