"""Figure of layers done by light: activations and gradient beside the twin's, and what tuning by light has changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labonn.channels import Floats

if TYPE_CHECKING:
    from labonn.convolution.comparing import Compared

DOTS = 4000
COLOURS = ("#1f5a8a", "#c2571a", "#2f7d4f")


def convolution_figure(compared: Compared, steps: Sequence[Mapping[str, float]], accuracies: Mapping[str, float], path: Path) -> None:
    """Draw it.

    Args:
        steps: rows with "step" and "loss" of the tuning; may be empty. accuracies: name -> 0 to 1. path: PNG file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.5, 4.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplot_mosaic([["activation", "gradient", "accuracy"], ["activation", "gradient", "loss" if steps else "accuracy"]])
    _against(axes["activation"], compared.twin, compared.measured, "activation", "saturation fields")
    _against(axes["gradient"], compared.gradient.believed, compared.gradient.parts, "gradient of the same errors", "")
    _accuracies(axes["accuracy"], accuracies)
    if steps:
        axes["loss"].plot([row["step"] for row in steps], [row["loss"] for row in steps], color=COLOURS[0], lw=1)
        axes["loss"].set(xlabel="step of tuning by light", ylabel="loss of the batch", ylim=(0, None))
    figure.align_ylabels([axes[name] for name in ("accuracy", "loss") if name in axes])
    figure.savefig(path)


def _against(axes: Any, wanted: Sequence[Floats], found: Sequence[Floats], what: str, unit: str) -> None:
    """Each stage's numbers, measured over computed; those of later stages in front."""
    rng, ends = np.random.default_rng(0), 0.0
    for i, (x, y) in enumerate(zip(wanted, found, strict=True)):
        dots = rng.permutation(x.size)[:DOTS]
        axes.plot(x.ravel()[dots], y.ravel()[dots], ".", ms=2, alpha=0.4, color=COLOURS[i % 3], label=f"layer {i + 1}", rasterized=True)
        ends = max(ends, float(np.abs(x).max()))
    axes.plot([-ends, ends], [-ends, ends], color="#222222", lw=0.8)
    told = f" ({unit})" if unit else ""
    axes.set(xlabel=f"{what}, twin{told}", ylabel=f"{what}, measured{told}")
    axes.legend(markerscale=5, frameon=False)


def _accuracies(axes: Any, accuracies: Mapping[str, float]) -> None:
    names, heights = list(accuracies), [100 * value for value in accuracies.values()]
    bars = axes.bar(names, heights, color=["#999999", *COLOURS][: len(names)], width=0.6)
    axes.bar_label(bars, fmt="%.1f")
    lowest = max(0.0, min(heights) - 10)
    axes.set(ylim=(lowest, max(heights) + 0.2 * (max(heights) - lowest)), ylabel="accuracy (%)")
