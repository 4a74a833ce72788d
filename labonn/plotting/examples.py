"""Test images, and what was read of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labonn.channels import Floats
from labonn.plotting.look import BLUE, FAINT, ORANGE, bare, colour
from labonn.plotting.past import Array
from labonn.shots import Ints

EXAMPLES = 6


@dataclass(frozen=True)
class Tested:
    """The test of a run.

    Attributes:
        outputs: (n, K), finite. labels: (n,). images: (n, rows, columns) or None. left_out: images whose outputs were no numbers.
    """

    outputs: Floats
    labels: Ints
    images: Array | None
    left_out: int = 0

    @property
    def read(self) -> Ints:
        """(n,) the class that was read."""
        return np.asarray(self.outputs.argmax(axis=1))

    @property
    def leads(self) -> Floats:
        """(n,) by how much the largest output leads the next."""
        ordered = np.sort(self.outputs, axis=1)
        return np.asarray(ordered[:, -1] - ordered[:, -2])

    @property
    def accuracy(self) -> float:
        """Share of right images; those that were left out count as wrong."""
        return float(np.sum(self.read == self.labels)) / (len(self.labels) + self.left_out)


def tested(arrays: dict[str, Array]) -> Tested | None:
    """What test.npz holds; None if that is no test of classes."""
    outputs, labels = arrays.get("outputs"), arrays.get("labels")
    if outputs is None or labels is None or outputs.ndim != 2 or outputs.shape[1] < 2 or labels.shape != outputs.shape[:1]:
        return None
    if outputs.dtype.kind != "f" or labels.dtype.kind not in "iu" or not len(labels) or int(labels.min()) < 0:
        return None
    good = np.isfinite(outputs).all(axis=1)
    images = arrays.get("images")
    fits = images is not None and images.ndim == 3 and len(images) == len(labels) and images.dtype.kind in "uif"
    if not good.any():
        return None
    kept = images[good] if images is not None and fits else None
    return Tested(outputs[good].astype(np.float64), labels[good].astype(np.int64), kept, int((~good).sum()))


def chosen(test: Tested, count: int = EXAMPLES) -> tuple[Ints, Ints]:
    """(right, wrong): images of each, evenly from the surest to the least sure."""
    leads, right = test.leads, test.read == test.labels
    return _evenly(np.flatnonzero(right), leads, count), _evenly(np.flatnonzero(~right), leads, count)


def _evenly(which: Ints, leads: Floats, count: int) -> Ints:
    ordered = which[np.argsort(-leads[which], kind="stable")]
    if len(ordered) <= count:
        return ordered
    return np.asarray(ordered[np.round(np.linspace(0, len(ordered) - 1, count)).astype(int)])


def draw_image(axes: Any, image: Array) -> None:
    """One image, white on black."""
    axes.imshow(image, cmap="gray", interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def draw_outputs(axes: Any, outputs: Floats, label: int) -> None:
    """What each output read for one image: the class it is full, what it was taken for marked."""
    read = int(outputs.argmax())
    shades = [colour(BLUE) if k == label else colour(ORANGE) if k == read else FAINT for k in range(len(outputs))]
    axes.bar(range(len(outputs)), outputs, color=shades, width=0.75)
    axes.axhline(0, color=FAINT, lw=0.6, zorder=0)
    axes.set(xlabel="class", ylabel="output", xticks=range(len(outputs)))
    told = f"{label} read as {label}" if read == label else f"{label} read as {read}"
    axes.set_title(told)
    bare(axes)


def draw_examples(figure: Any, test: Tested, rows: Sequence[Ints]) -> None:
    """Images over small bars of their outputs, a pair of rows for each group."""
    wide = max(len(which) for which in rows)
    grid = figure.subplots(2 * len(rows), wide, squeeze=False, height_ratios=[2, 1] * len(rows))
    for place, which in enumerate(rows):
        for column in range(wide):
            above, below = grid[2 * place, column], grid[2 * place + 1, column]
            if column >= len(which):
                above.set_visible(False)
                below.set_visible(False)
                continue
            _example(above, below, test, int(which[column]))


def _example(above: Any, below: Any, test: Tested, one: int) -> None:
    if test.images is not None:
        draw_image(above, test.images[one])
    else:
        above.axis("off")
    draw_outputs(below, test.outputs[one], int(test.labels[one]))
    above.set_title(below.get_title(), fontsize="small")
    below.set(title="", xlabel="", ylabel="", xticks=[], yticks=[])
    bare(below, "left", "bottom")
