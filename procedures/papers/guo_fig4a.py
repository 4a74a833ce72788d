"""784-128-128-10: saturable absorbers trained optically and exactly, against ReLU (digital); accuracy against optical depth."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from labonn.plotting.files import new_figure
from labonn.plotting.look import FAINT, Look
from labonn.reproduce import Choices, Row
from labonn.reproduce.experiment import Found
from labonn.sweeps import Job, Outcome
from procedures.papers import guo
from procedures.papers.guo_drawing import draw_bands
from procedures.papers.guo_points import draw_against, draw_paper, legend_there, spread, told
from procedures.papers.guo_reading import accuracies, course
from procedures.papers.guo_trainings import DEEP, in_twin, mnist, off, on_bench, reached

SOURCE = f"{guo.PAPER}, Fig. 4a"
DEPTH = 30.0
BENCH = {"optical": "SA, optical derivative, alpha0 = 30", "exact": "SA, true derivative, alpha0 = 30"}
DIGITAL = {"relu": ("ReLU, cross-entropy (digital)", "cross_entropy"), "relu-mse": ("ReLU, MSE (digital)", "mse")}
PAPER = {"optical": (98.0, 0.2), "exact": (98.1, 0.3), "relu": (98.0, 0.2), "relu-mse": (98.0, 0.2)}
LINEAR = (85.7, 0.4)  # of alpha0 -> 0
DEPTHS = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 50.0)
QUICK_DEPTHS = (0.0, 1.0, 10.0, 30.0, 50.0)
CURVE = "depth "
LEARNING = 20  # %, twice chance
DEEP_DEPTH = 50.0
STARTS = {  # case -> (start, derivative, what it is); beyond alpha0 = 30 App. A.4 starts from two peaks
    "peaks": ("peaks", "optical", "optical derivative, from two peaks"),
    "peaks exact": ("peaks", "exact", "true derivative, from two peaks"),
    "normal": ("normal", "optical", "optical derivative, from one peak"),
    "normal exact": ("normal", "exact", "true derivative, from one peak"),
}


def cases(choices: Choices) -> dict[str, list[Job]]:
    """Both derivatives through the drivers, ReLU, and the curve in the twin."""
    images, seeds, epochs = mnist(choices), choices.numbers, guo.epochs(choices)
    found = {
        kind: on_bench(
            images, f"{SOURCE}: {words}", [128, 128], seeds, epochs, epoch_s=6.5 if kind == "optical" else 9.0,
            optical_depth=DEPTH, derivative=kind,
        )
        for kind, words in BENCH.items()
    }  # fmt: skip
    for case, (words, loss) in DIGITAL.items():
        found[case] = in_twin(images, f"{SOURCE}: {words}", DEEP, ["relu"], seeds, epochs, derivative="exact", loss=loss)
    for depth in depths(choices):
        title = f"{SOURCE}: alpha0 = {depth:g}"
        found[f"{CURVE}{depth:g}"] = in_twin(images, title, DEEP, ["absorber", depth], seeds, epochs_at(choices, depth))
    if not choices.quick:
        for case, (start, derivative, words) in STARTS.items():
            title, cell = f"{SOURCE}: alpha0 = {DEEP_DEPTH:g}, {words}", ["absorber", DEEP_DEPTH]
            found[case] = in_twin(images, title, DEEP, cell, seeds, epochs, start=start, derivative=derivative)
    return found


def depths(choices: Choices) -> tuple[float, ...]:
    """Of the curve."""
    return QUICK_DEPTHS if choices.quick else DEPTHS


def epochs_at(choices: Choices, depth: float) -> int:
    """Of the trainings at a depth of the curve: where the paper has a number, as many as the paper's."""
    return guo.epochs(choices) if depth == 0 else curve_epochs(choices)


def curve_epochs(choices: Choices) -> int:
    """Of the curve's trainings."""
    return int(choices.value("curve_epochs", 20, 5))


def rows(choices: Choices, found: Found) -> list[Row]:
    """Test accuracies."""
    images, epochs = mnist(choices), guo.epochs(choices)
    table = []
    for case, words in {**BENCH, **{case: words for case, (words, _) in DIGITAL.items()}}.items():
        by = guo.IDEAL if case in BENCH else "twin"
        table.append(reached(words, found.get(case, ()), images, epochs, by, paper=PAPER[case][0], paper_sd=PAPER[case][1]))
    less = off(found.get("optical", ()), found.get("exact", ()))
    table.append(
        Row("optical less true derivative, the same seed", less, "points", by=guo.IDEAL, data=table[0].data, higher=None,
            remark="the paper: similar accuracy")
    )  # fmt: skip
    for depth in depths(choices):
        paper, error = LINEAR if depth == 0 else (None, None)
        remark = "the paper's limit alpha0 -> 0: only linear functions can be learned" if depth == 0 else ""
        outcomes = found.get(f"{CURVE}{depth:g}", ())
        told_depth = f"SA, optical derivative, alpha0 = {depth:g}"
        table.append(
            reached(
                told_depth,
                outcomes,
                images,
                epochs_at(choices, depth),
                paper=paper,
                paper_sd=error,
                remark=remark,
                higher=None if paper else True,
            )
        )
    if not choices.quick:
        for case, (_, _, words) in STARTS.items():
            table.append(reached(f"SA, alpha0 = {DEEP_DEPTH:g}, {words}", found.get(case, ()), images, epochs))
    return table


def notes(choices: Choices, found: Found) -> list[str]:
    """How far the curve goes, and where it is near its top."""
    said = [
        f"Accuracy against optical depth is that of the twin after {curve_epochs(choices)} epochs (the paper: {guo.EPOCHS}); "
        "start weights have two peaks above alpha0 = 30 and one up to there, as App. A.4 says."
    ]
    means = {depth: statistics.fmean(numbers) for depth, numbers in curve(choices, found).items() if numbers}
    if means:
        best = max(means, key=lambda depth: means[depth])
        near = [depth for depth, mean in means.items() if mean > means[best] - 0.5]
        words = ", ".join(f"{depth:g}" for depth in near)
        said.append(f"The best depth of the curve is {best:g}, {means[best]:.2f} %; within 0.5 points: {words} (the paper: 10 and more).")
    ends = {case: accuracies(found.get(case, ())) for case in STARTS}
    if all(ends.values()):
        told_ends = (f"{STARTS[case][2]}: {told(numbers)} %{_awake(found[case])}" for case, numbers in ends.items())
        said.append(
            f"The paper sees less accuracy by optical derivatives from alpha0 = 30 on. At alpha0 = {DEEP_DEPTH:g} after "
            f"{guo.epochs(choices)} epochs: {'; '.join(told_ends)}. The published code has its two peaks at 0.05, the paper at 0.15."
        )
    bench, relu = accuracies(found.get("optical", ())), accuracies(found.get("relu", ()))
    if len(bench) > 1 and len(relu) > 1:
        said.append(
            f"Optically trained {told(bench)} %, ReLU {told(relu)} %: {statistics.fmean(bench) - statistics.fmean(relu):+.2f} points."
        )
    return said


def _awake(outcomes: Sequence[Outcome]) -> str:
    """When all of them had begun to learn; empty if some never did, or have no learning curve."""
    above = [np.flatnonzero(100 * course(one) > LEARNING) for one in outcomes]
    first = sorted(int(some[0]) + 1 for some in above if some.size)
    if not first or len(first) < len(above):
        return ""
    words = " to ".join(dict.fromkeys(f"{edge}" for edge in (first[0], first[-1])))
    return f", above {LEARNING} % after {words} epoch{'' if words == '1' else 's'}"


def curve(choices: Choices, found: Found) -> dict[float, list[float]]:
    """Depth -> accuracies."""
    return {depth: accuracies(found.get(f"{CURVE}{depth:g}", ())) for depth in depths(choices)}


def figure(choices: Choices, found: Found, look: Look) -> Any:
    """Learning curves, and accuracy against optical depth, as Fig. 4a (ii) and (iii)."""
    made = new_figure(look, 0.4)
    learning, against = made.subplots(1, 2)
    named = {"SA, optical derivative": "optical", "SA, true derivative": "exact", "ReLU (digital)": "relu"}
    draw_bands(learning, {words: [course(one) for one in found.get(case, ())] for words, case in named.items()})
    learning.set(xlabel="epoch", ylabel="validation accuracy (%)")
    draw_against(against, curve(choices, found), f"SA, twin, {curve_epochs(choices)} epochs")
    full = f"{guo.epochs(choices)} epochs"
    draw_against(against, {DEPTH: accuracies(found.get("optical", ()))}, f"SA, drivers, {full}", 1)
    if found.get("normal"):
        draw_against(against, {DEEP_DEPTH: accuracies(found.get("normal", ()))}, f"SA, twin, one peak, {full}", 2)
    relu = accuracies(found.get("relu", ()))
    if relu:
        mean = statistics.fmean(relu)
        against.axhspan(mean - spread(relu), mean + spread(relu), color=FAINT, alpha=0.3, lw=0)
        against.axhline(mean, color=FAINT, lw=0.8, label="ReLU (digital)")
    if not choices.quick:
        draw_paper(against, {0.0: LINEAR, DEPTH: PAPER["optical"]})
    against.set_xscale("symlog", linthresh=1.0)
    against.set_xticks([0, 1, 10, 50] if choices.quick else [0, 0.5, 1, 2, 5, 10, 20, 50], minor=False)
    against.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    against.set(xlabel="optical depth alpha0", ylabel="test accuracy (%)", xlim=(-0.1, 70))
    legend_there(against, "best")
    return made
