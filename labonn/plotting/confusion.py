"""Which class was read as which."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from labonn.channels import Floats
from labonn.shots import Ints

SHOWN_SHARE = 0.5  # %, below which a cell stays empty


def counts_of(outputs: Floats, labels: Ints) -> Ints:
    """(K, K) images of each class (row) read as each class (column); those with outputs that are no numbers are left out."""
    outputs, labels = np.asarray(outputs), np.asarray(labels)
    good = np.isfinite(outputs).all(axis=1)
    classes = max(outputs.shape[1], int(labels.max(initial=0)) + 1)
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels[good], outputs[good].argmax(axis=1)), 1)
    return counts


def binomial_error(share: float, count: int) -> float:
    """Standard error of a share that was counted on so many images; where all or none were right, that of one wrong in count + 1."""
    if count <= 0:
        return math.nan
    return math.sqrt(share * (1 - share) / count) if 0 < share < 1 else 0.5 / (count + 1)


def draw_confusion(axes: Any, counts: Ints, fontsize: float = 7.0, bar: bool = True) -> None:
    """Shares of each class, in percent; a colour bar beside it."""
    classes = len(counts)
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for row, column in np.ndindex(classes, classes):
        if shares[row, column] >= SHOWN_SHARE and classes <= 20:
            shade = "#ffffff" if shares[row, column] > 55 else "#333333"
            axes.text(column, row, f"{shares[row, column]:.0f}", ha="center", va="center", fontsize=fontsize, color=shade)
    axes.set(xlabel="read as", ylabel="class")
    if classes <= 20:
        axes.set_xticks(range(classes))
        axes.set_yticks(range(classes))
    for side in ("top", "right"):
        axes.spines[side].set_visible(True)
    if bar:
        axes.figure.colorbar(image, ax=axes, shrink=0.8, label="% of the class")
