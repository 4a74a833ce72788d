"""A chip of interferometers that starts from a training of its model: through nominal curves, through measured ones, or at random."""

from __future__ import annotations

from typing import Any

import numpy as np

from labonn.plotting.files import new_figure
from labonn.plotting.look import Look
from labonn.reproduce import Choices, Row, run_job
from labonn.reproduce.experiment import Found
from labonn.reproduce.jobs import CALIBRATIONS, DATA
from labonn.sweeps import Job
from procedures.papers import ptonn
from procedures.papers.ptonn_drawing import draw_learning
from procedures.papers.ptonn_reading import about, percent, table_of

SOURCE = f"beyond {ptonn.PAPER}"
SIZES = [16, 10, 10]  # 275 heaters, images averaged to 4 x 4
LEFT_OUT = 14  # heaters that may fail the calibration, 5 %
QUICKLY = ("nominal", "calibrated")
STARTS = {"random": "random start", "nominal": "believed start, nominal curves", "calibrated": "believed start, calibrated curves"}


def cases(choices: Choices) -> dict[str, list[Job]]:
    """The same short training from three starts, on the same chips."""
    steps = int(choices.value("tuning_steps", 100, 20))
    chip = {"bench": "mzi_chip", "sizes": SIZES}
    training = {**chip, "data": DATA, "gradient": "forward", "steps": steps, "report": 5}
    found = {**training, "start": "believed"}
    measured = ("calibrate_mesh", {**chip, "calibrations": CALIBRATIONS, "leave_out": LEFT_OUT})
    turns: dict[str, list[tuple[str, dict[str, Any]]]] = {
        "random": [("train_chip", training)],
        "nominal": [("train_chip", found)],
        "calibrated": [measured, ("train_chip", {**found, "calibrations": CALIBRATIONS})],
    }
    images = choices.images("mnist")
    return {
        start: [run_job(f"{SOURCE}: {STARTS[start]}", n, *some, images=images, cost=8 + 7 * len(some)) for n in choices.numbers]
        for start, some in turns.items()
        if not choices.quick or start in QUICKLY
    }


def rows(choices: Choices, found: Found) -> list[Row]:
    """Validation accuracies after the first steps, test accuracies at the end."""
    done = []
    for start, told in STARTS.items():
        some = found.get(start, ())
        tables = [table for table in map(table_of, some) if table]
        given = {"by": f"{ptonn.REAL}, {'-'.join(map(str, SIZES))}", **about(some)}
        first = [100 * float(table["validation_accuracy"][0]) for table in tables]
        done.append(Row(f"{told}, after 5 steps (validation)", first, **given))
        done.append(Row(f"{told}, at the end", percent(some), **given))
    return done


def figure(choices: Choices, found: Found, look: Look) -> Any:
    """Learning curves against evaluations."""
    drawn = new_figure(look, 0.45)
    axes = drawn.subplots()
    draw_learning(axes, {told: found.get(start, ()) for start, told in STARTS.items()})
    return drawn


def notes(choices: Choices, found: Found) -> list[str]:
    """What is measured, and what it costs."""
    told = [
        "MZI chips of 16-10-10 neurons with all imperfections: phases without power are 0.2 rad off, powers of pi 3 %, and neighbours "
        f"heat each other. calibrate_mesh finds all 275 heaters from one table; up to {LEFT_OUT} may fail, and keep nominal curves. PT "
        "chips are not here: calibrate_gain_sections needs detectors before and behind every section, which they do not have.",
    ]
    if found.get("nominal") and found.get("calibrated"):
        nominal, calibrated = (float(np.mean(percent(found[start]))) for start in ("nominal", "calibrated"))
        told.append(f"Calibrated curves are worth {calibrated - nominal:+.1f} points at the end of this short training.")
    return told
