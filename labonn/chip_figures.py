"""The figure of a chip's training: learning curves against hardware evaluations, confusion matrix, histogram of the parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labonn.channels import Floats
from labonn.figures import ACCURACY, LOSS
from labonn.plotting.confusion import counts_of, draw_confusion
from labonn.plotting.parameters import draw_histogram
from labonn.shots import Ints


def chip_figure(
    metrics: Sequence[Mapping[str, Any]], outputs: Floats, labels: Ints, couplers: Floats, limit: tuple[float, float], path: Path
) -> None:
    """Draw what a training of a chip came to.

    Args:
        metrics: records with "epoch", "settings", "train_loss", "validation_accuracy".
        outputs: (n, classes) on the test images. labels: (n,).
        couplers: trained parameters of the couplers, in radians. limit: their range. path: PNG file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.5, 4.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    _curves(left, metrics)
    counts = counts_of(outputs, labels)
    draw_confusion(middle, counts)
    middle.set_title(f"Test images: {100 * float(np.trace(counts)) / max(len(labels), 1):.1f} % right")
    draw_histogram(right, couplers, limit)
    right.set_title(f"Couplers: mean |theta| {float(np.mean(np.abs(couplers))):.3f} rad")
    figure.savefig(path)


def _curves(axes: Any, metrics: Sequence[Mapping[str, Any]]) -> None:
    evaluations = np.array([row["settings"] for row in metrics], np.float64) / 1e6
    axes.plot(evaluations, [row["train_loss"] for row in metrics], color=LOSS, lw=1.8)
    axes.set_xlabel("hardware evaluations (million settings)")
    axes.set_ylabel("training loss (cross-entropy)", color=LOSS)
    axes.set_ylim(bottom=0)
    other = axes.twinx()
    accuracy = [100 * row["validation_accuracy"] for row in metrics]
    other.plot(evaluations, accuracy, color=ACCURACY, lw=1.8)
    other.set_ylabel("validation accuracy (%)", color=ACCURACY)
    other.set_ylim(0, 100)
    if metrics and evaluations[-1] > 0:
        axes.set_xlim(0, evaluations[-1])
        per_epoch = metrics[-1]["epoch"] / evaluations[-1]
        above = axes.secondary_xaxis("top", functions=(lambda x: x * per_epoch, lambda x: x / per_epoch))
        above.set_xlabel("epochs")
