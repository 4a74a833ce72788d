"""Figures of a run: how it learned, and where on the absorber's curve its neurons work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Curve = Callable[[Array], Array]
LOSS, ACCURACY, CURVE = "#1f5a8a", "#c2571a", "#222222"
FILLS = ("#4c8fbf", "#7fb36b", "#b58cc4", "#d0a85c")
BINS = 80
SHOWN_SHARE = 0.999


def training_figure(metrics: Sequence[Mapping[str, Any]], neuron_inputs: Mapping[str, Array], curve: Curve, path: Path) -> None:
    """Draw the learning curve beside the histogram of neuron inputs over the absorber's curve.

    Args:
        metrics: rows with "epoch", "train_loss" and "validation_accuracy" (0 to 1); what a row lacks is left out.
        neuron_inputs: layer's name -> field amplitudes z at its absorber, any shape, in units of the saturation field.
        curve: z -> output field of the absorber, elementwise.
        path: PNG file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 4.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _learning(left, metrics)
    _histogram(right, neuron_inputs, curve)
    figure.savefig(path)


def _learning(axes: Any, metrics: Sequence[Mapping[str, Any]]) -> None:
    epochs, losses = _series(metrics, "train_loss")
    axes.plot(epochs, losses, color=LOSS, lw=1.8, marker="o", ms=_dots(epochs))
    axes.set(title="Learning curve" if metrics else "Learning curve (no epoch was finished)", xlabel="epoch")
    axes.set_ylabel("training loss", color=LOSS)
    axes.set_ylim(bottom=0)
    numbers = [row.get("epoch", i + 1) for i, row in enumerate(metrics)] or [0]
    axes.set_xlim(min(numbers) - 0.5, max(numbers) + 0.5)
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    epochs, accuracies = _series(metrics, "validation_accuracy")
    if not epochs.size:
        return
    other = axes.twinx()
    other.plot(epochs, 100 * accuracies, color=ACCURACY, lw=1.8, marker="o", ms=_dots(epochs))
    other.set_ylabel("validation accuracy (%)", color=ACCURACY)
    best = int(np.argmax(accuracies))
    other.plot(epochs[best], 100 * accuracies[best], "*", color=ACCURACY, ms=15, mec="white", mew=1.0, zorder=5)
    axes.set_title(f"Learning curve (★ best: {100 * accuracies[best]:.1f} % in epoch {epochs[best]:g})")
    for each in (axes, other):
        each.spines["top"].set_visible(False)


def _histogram(axes: Any, neuron_inputs: Mapping[str, Array], curve: Curve) -> None:
    values = {name: np.asarray(z, np.float64).ravel() for name, z in neuron_inputs.items()}
    values = {name: z[np.isfinite(z)] for name, z in values.items()}
    everything = np.concatenate([np.abs(z) for z in values.values()] or [np.zeros(0)])
    reach = max(1.05 * float(np.quantile(everything, SHOWN_SHARE)), 1.0) if everything.size else 3.0
    edges = np.linspace(-reach, reach, BINS + 1)
    shares = {name: np.histogram(z, edges)[0] / max(z.size, 1) * 100 for name, z in values.items()}
    for (name, share), colour in zip(shares.items(), np.resize(FILLS, len(shares)), strict=True):
        axes.stairs(share, edges, fill=True, color=colour, alpha=0.55, label=name)
    z = np.linspace(-reach, reach, 801)
    other = axes.twinx()
    other.plot(z, curve(z), color=CURVE, lw=1.8, label="absorber g(z)")
    axes.set(title="Neuron inputs on the absorber's curve", xlabel="z (saturation fields)", ylabel="inputs (% a bin)", xlim=(-reach, reach))
    other.set_ylabel("output field g(z)")
    _clear_tops(axes, other, shares)
    axes.legend(*_joined_legend(axes, other), loc="upper left", frameon=False)


def _clear_tops(axes: Any, other: Any, shares: Mapping[str, Array]) -> None:
    """Room for the legend above the bars, and the curve's zero at the middle of its axis."""
    axes.set_ylim(0, 1.3 * max((float(share.max()) for share in shares.values()), default=1.0) or 1.0)
    swing = max(abs(limit) for limit in other.get_ylim())
    other.set_ylim(-swing, swing)
    for each in (axes, other):
        each.spines["top"].set_visible(False)


def _joined_legend(axes: Any, other: Any) -> tuple[list[Any], list[str]]:
    pairs = [each.get_legend_handles_labels() for each in (axes, other)]
    return [*pairs[0][0], *pairs[1][0]], [*pairs[0][1], *pairs[1][1]]


def _series(metrics: Sequence[Mapping[str, Any]], key: str) -> tuple[Array, Array]:
    pairs = [(row.get("epoch", i + 1), row[key]) for i, row in enumerate(metrics) if row.get(key) is not None]
    return np.array([p[0] for p in pairs], np.float64), np.array([p[1] for p in pairs], np.float64)


def _dots(epochs: Array) -> float:
    """Markers while they can be told apart."""
    return 4.0 if epochs.size <= 25 else 0.0
