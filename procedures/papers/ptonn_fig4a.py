"""49-20-10 on meshes of PT-symmetric couplers, trained by central differences."""

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

SOURCE = f"{ptonn.PAPER}, Fig. 4a, S2-S4"
PARTS = {"theta": "couplers only", "all": "amplifiers too"}
PAPER = {"training": 67.2, "test": 66.5}
AIMS = {"theta": 84.0, "all": 88.0}


def cases(choices: Choices) -> dict[str, list[Job]]:
    """Only theta trained, |theta| <= 0.2, as in the paper; and all parameters."""
    done = {part: ptonn.trained(choices, f"{SOURCE}: {told}", "pt_chip", train=part) for part, told in PARTS.items()}
    return done | {"picked": ptonn.picked(choices, f"{SOURCE}: {PARTS['theta']}", "pt_chip", train="theta")}


def rows(choices: Choices, found: Found) -> list[Row]:
    """Training and test accuracies; only those of couplers alone are the paper's."""
    done = []
    for part, told in PARTS.items():
        some = found.get(part, ())
        for images, paper in PAPER.items():
            known, aim = (paper if part == "theta" else None), (AIMS[part] if images == "test" else None)
            done.append(
                Row(f"PT, {told}, {images}", percent(some, f"{images}_accuracy"), paper=known, aim=aim, by=ptonn.REAL, **about(some))
            )
    if not choices.quick:
        some = found.get("picked", ())
        given = {"paper": PAPER["test"], "by": ptonn.REAL, **about(some)}
        done.append(Row(f"PT, {PARTS['theta']}, pixels picked, test", percent(some), **given))
    return done


def figure(choices: Choices, found: Found, look: Look) -> Any:
    """Learning curves; which class was read as which."""
    drawn = new_figure(look, 0.45)
    left, right = drawn.subplots(1, 2)
    draw_learning(left, {told: found.get(part, ()) for part, told in PARTS.items()})
    draw_paper(left, PAPER["test"], f"paper, {PAPER['test']:g} %")
    left.set_title("PT-symmetric couplers, all imperfections")
    if found.get("theta"):
        draw_confusion(right, confusion(found["theta"]), fontsize=5)
        right.set_title(f"couplers only, test images of {counted(len(found['theta']), 'run')}")
    else:
        right.set_axis_off()
    return drawn


def notes(choices: Choices, found: Found) -> list[str]:
    """Where ours are not the paper's conditions."""
    return [ptonn.WHY_BETTER, ptonn.TRAINING_SHOWN]
