"""784-128-128-10 with saturable gain in place of absorption; accuracy against the gain factor."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np

from labonn import absorbers
from labonn.plotting.files import new_figure
from labonn.plotting.look import Look, style_of
from labonn.reproduce import Choices, Row
from labonn.reproduce.experiment import Found
from labonn.sweeps import Job
from procedures.papers import guo
from procedures.papers.guo_drawing import draw_bands
from procedures.papers.guo_points import draw_against, draw_paper, legend_there, told
from procedures.papers.guo_reading import accuracies, course
from procedures.papers.guo_trainings import DEEP, TWIN, few, in_twin, mnist, on_bench, reached

SOURCE = f"{guo.PAPER}, Fig. 5"
GAIN = 3.0
PAPER = (97.3, 0.1)  # at that gain
REACH = 3.0  # saturation fields that the figure shows
GAINS = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
QUICK_GAINS = (0.5, 1.0, 3.0)
CURVE = "gain "


def cases(choices: Choices) -> dict[str, list[Job]]:
    """g0 = 3 with all epochs, ReLU (as in Fig. 4a), and the curve."""
    images, seeds, epochs = mnist(choices), choices.numbers, guo.epochs(choices)
    title = f"{SOURCE}: saturable gain, g0 = {GAIN:g}"
    found = {"twin": in_twin(images, title, DEEP, ["absorber", GAIN, "gain"], seeds, epochs)}
    seeds_there, gain_s = few(choices, "bench_seeds"), 6.5
    found["bench"] = on_bench(images, title, [128, 128], seeds_there, epochs, epoch_s=gain_s, optical_depth=GAIN, cell="gain")
    found["relu"] = in_twin(images, f"{SOURCE}: ReLU", DEEP, ["relu"], seeds, epochs, derivative="exact", loss="cross_entropy")
    for gain in gains(choices):
        title = f"{SOURCE}: g0 = {gain:g}"
        found[f"{CURVE}{gain:g}"] = in_twin(images, title, DEEP, ["absorber", gain, "gain"], seeds, curve_epochs(choices))
    return found


def curve_epochs(choices: Choices) -> int:
    """Of the curve's trainings."""
    return int(choices.value("curve_epochs", 20, 5))


def gains(choices: Choices) -> tuple[float, ...]:
    """Of the curve."""
    return QUICK_GAINS if choices.quick else GAINS


def rows(choices: Choices, found: Found) -> list[Row]:
    """Test accuracies."""
    images, epochs, short = mnist(choices), guo.epochs(choices), curve_epochs(choices)
    table = []
    for case, by in {"bench": guo.IDEAL, "twin": TWIN}.items():
        table.append(reached(f"saturable gain, g0 = {GAIN:g}", found.get(case, ()), images, epochs, by, paper=PAPER[0], paper_sd=PAPER[1]))
    table.append(reached("ReLU, cross-entropy (digital)", found.get("relu", ()), images, epochs, paper=98.0, paper_sd=0.2))
    curve = {gain: found.get(f"{CURVE}{gain:g}", ()) for gain in gains(choices)}
    return table + [reached(f"saturable gain, g0 = {gain:g}, of the curve", some, images, short) for gain, some in curve.items()]


def notes(choices: Choices, found: Found) -> list[str]:
    """How far the curve goes; whether bench and twin agree."""
    said = [
        f"Accuracy against gain is that of the twin after {curve_epochs(choices)} epochs (the paper: {guo.EPOCHS}); start weights "
        "N(0, 0.1), inputs 0 to 1, as for absorbers: the paper names no others."
    ]
    pairs = zip(accuracies(found.get("bench", ())), accuracies(found.get("twin", ())), strict=False)
    apart = ", ".join(f"{bench:.2f} and {twin:.2f} %" for bench, twin in pairs)
    if apart:
        said.append(f"Drivers and twin from the same start weights and images: {apart}.")
    low = accuracies(found.get(f"{CURVE}1", ()))
    means = {gain: statistics.fmean(some) for gain in gains(choices) if (some := accuracies(found.get(f"{CURVE}{gain:g}", ())))}
    if means:
        best = max(means, key=lambda gain: means[gain])
        said.append(f"The paper's best gain factor is 3; the best of this curve is {best:g}, {means[best]:.2f} %.")
    if low:
        said.append(f"The paper finds high accuracy with a gain factor as small as 1; here {told(low)} % at g0 = 1.")
    return said


def figure(choices: Choices, found: Found, look: Look) -> Any:
    """Transmission and derivatives, learning curves, accuracy against gain, as Fig. 5b-d."""
    made = new_figure(look, 0.34)
    curves, learning, against = made.subplots(1, 3)
    field = np.linspace(-REACH, REACH, 301)
    probe = absorbers.transmission("gain", field, GAIN)
    for place, (name, values) in enumerate(
        {"transmission": field * probe, "true derivative": absorbers.derivative("gain", field, GAIN), "probe": probe}.items()
    ):
        curves.plot(field, values, **style_of(place), label=name)
    curves.set(xlabel="field (saturation fields)", ylabel="field, or slope", title=f"g0 = {GAIN:g}", ylim=(-6, 10))
    legend_there(curves, "upper left")
    named = {"SG, drivers": "bench", "SG, twin": "twin", "ReLU (digital)": "relu"}
    draw_bands(learning, {words: [course(one) for one in found.get(case, ())] for words, case in named.items()})
    learning.set(xlabel="epoch", ylabel="validation accuracy (%)")
    legend_there(learning, "center right")
    against_gain = {gain: accuracies(found.get(f"{CURVE}{gain:g}", ())) for gain in gains(choices)}
    draw_against(against, against_gain, f"twin, {curve_epochs(choices)} epochs")
    for place, (case, words) in enumerate({"bench": "drivers", "twin": "twin"}.items(), start=1):
        draw_against(against, {GAIN: accuracies(found.get(case, ()))}, f"{words}, {guo.epochs(choices)} epochs", place)
    if not choices.quick:
        draw_paper(against, {GAIN: PAPER})
    against.set(xlabel="gain factor g0", ylabel="test accuracy (%)")
    legend_there(against, "best")
    return made
