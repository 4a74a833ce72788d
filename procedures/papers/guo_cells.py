"""Cells that really absorb along their length, two-level and Doppler-broadened, each trained by three derivatives."""

from __future__ import annotations

from typing import Any

from labonn import absorbers
from labonn.plotting.files import new_figure
from labonn.plotting.look import Look
from labonn.reproduce import Choices, Row
from labonn.reproduce.experiment import Found
from labonn.sweeps import Job
from procedures.papers import guo
from procedures.papers.guo_drawing import draw_bands
from procedures.papers.guo_points import draw_lines, legend_over
from procedures.papers.guo_reading import accuracies, course
from procedures.papers.guo_trainings import mnist, off, on_bench, reached

SOURCE = f"beyond {guo.PAPER}, Fig. 4a"
CELLS = {"eq4": "Eq. 4", "two_level": "two-level", "doppler": "Doppler"}
DERIVATIVES = {"optical": "optical derivative", "corrected": "measured correction", "exact": "true derivative"}
DEPTH = 10.0
QUICK = (("eq4", "optical"), ("two_level", "optical"), ("two_level", "corrected"), ("doppler", "optical"), ("doppler", "corrected"))


def cases(choices: Choices) -> dict[str, list[Job]]:
    """Every cell with every derivative, through the drivers."""
    images, count, epochs = mnist(choices), limit(choices), cell_epochs(choices)
    return {
        f"{cell} {kind}": on_bench(
            images, f"{SOURCE}: {told} cell, {how}", [128, 128], choices.numbers, epochs, epoch_s=count * 1.2e-4,
            optical_depth=DEPTH, cell=cell, derivative=kind, limit=count,
        )
        for cell, told in CELLS.items()
        for kind, how in DERIVATIVES.items()
        if not choices.quick or (cell, kind) in QUICK
    }  # fmt: skip


def limit(choices: Choices) -> int:
    """Training images."""
    return int(choices.value("cell_images", 20_000, 2_000))


def cell_epochs(choices: Choices) -> int:
    """Epochs."""
    return int(choices.value("cell_epochs", 15, 3))


def rows(choices: Choices, found: Found) -> list[Row]:
    """Test accuracies, and what correction and true derivative have more than the optical one."""
    images, epochs = mnist(choices), cell_epochs(choices)
    table = [
        reached(f"{told} cell, {how}", found.get(f"{cell} {kind}", ()), images, epochs, guo.IDEAL)
        for cell, told in CELLS.items()
        for kind, how in DERIVATIVES.items()
        if not choices.quick or (cell, kind) in QUICK
    ]
    for cell, told in CELLS.items():
        for kind in ("corrected", "exact"):
            more = off(found.get(f"{cell} {kind}", ()), found.get(f"{cell} optical", ()))
            what = f"{told} cell: {DERIVATIVES[kind]} less optical, the same seed"
            if more:
                table.append(Row(what, more, "points", by=guo.IDEAL, data=table[0].data))
    return table


def notes(choices: Choices, found: Found) -> list[str]:
    """What the correction is, and how far the derivatives are apart."""
    apart = ", ".join(f"{told} {100 * absorbers.mismatch(cell, DEPTH):.1f} %" for cell, told in CELLS.items())
    return [
        f"Error 1 - S of the optical derivative (Eq. B2) at alpha0 = {DEPTH:g}: {apart}; the paper finds training robust up to about 15 %.",
        "The measured correction takes E_in and E_out from the taps: for any cell that absorbs locally the true derivative is the probe's "
        "transmission times alpha(E_out^2)/alpha(E_in^2). It makes a layer's own weight gradient exact and costs no light; the error that "
        "travels on to the layer before stays optical. The true derivative injects a digitally corrected error at every layer.",
        f"Networks 784-128-128-10 on {limit(choices):,} training images, so that three cells by three derivatives stay affordable.",
    ]


def figure(choices: Choices, found: Found, look: Look) -> Any:
    """Accuracy of every cell by derivative, and learning curves by the optical derivative and the correction."""
    made = new_figure(look, 0.36)
    axes, learning = made.subplots(1, 2, width_ratios=(1.2, 1))
    groups = {how: [accuracies(found.get(f"{cell} {kind}", ())) for cell in CELLS] for kind, how in DERIVATIVES.items()}
    draw_lines(axes, list(CELLS.values()), groups)
    axes.set(xlabel="test accuracy (%)")
    legend_over(axes, 3)
    curves = {f"{told}, {kind}": f"{cell} {kind}" for cell, told in CELLS.items() for kind in ("optical", "corrected")}
    draw_bands(learning, {words: [course(one) for one in found.get(case, ())] for words, case in curves.items()})
    learning.set(xlabel="epoch", ylabel="validation accuracy (%)")
    if learning.get_legend_handles_labels()[0]:
        learning.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return made
