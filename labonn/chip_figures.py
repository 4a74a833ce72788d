"""The figure of a chip's training: learning curves against hardware evaluations, confusion matrix, histogram of the parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labonn.channels import Floats
from labonn.figures import ACCURACY, LOSS
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
    _confusion(figure, middle, outputs, labels)
    _histogram(right, couplers, limit)
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


def _confusion(figure: Any, axes: Any, outputs: Floats, labels: Ints) -> None:
    classes = outputs.shape[1]
    found = outputs.argmax(axis=1)
    counts = np.zeros((classes, classes))
    np.add.at(counts, (labels, found), 1)
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for row, column in np.ndindex(classes, classes):
        if shares[row, column] >= 0.5:
            colour = "white" if shares[row, column] > 55 else "#333333"
            axes.text(column, row, f"{shares[row, column]:.0f}", ha="center", va="center", fontsize=7, color=colour)
    axes.set(title=f"Test images: {100 * float(np.mean(found == labels)):.1f} % right", xlabel="read as", ylabel="digit")
    axes.set_xticks(range(classes))
    axes.set_yticks(range(classes))
    figure.colorbar(image, ax=axes, shrink=0.8, label="% of the digit")


def _histogram(axes: Any, couplers: Floats, limit: tuple[float, float]) -> None:
    reach = min(max(abs(limit[0]), abs(limit[1])), 1.1 * float(np.abs(couplers).max()))
    axes.hist(couplers, bins=np.linspace(-reach, reach, 61), color="#4c8fbf")
    for edge in limit:
        if abs(edge) <= 1.01 * reach:
            axes.axvline(edge, color="#222222", lw=1, ls=":")
    axes.set_yscale("log" if np.mean(np.abs(couplers) > 0.99 * reach) > 0.02 else "linear")
    mean = float(np.mean(np.abs(couplers)))
    axes.set(title=f"Couplers: mean |theta| {mean:.3f} rad", xlabel="theta (rad)", ylabel="couplers")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
