"""Figures of a run: how it learned, and where on the absorber's curve its neurons work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.plotting.learning import draw_loss
from labonn.plotting.neurons import Neurons, draw_neurons

Array = NDArray[Any]
Curve = Callable[[Array], Array]
LOSS, ACCURACY, CURVE = "#1f5a8a", "#c2571a", "#222222"


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
    draw_neurons(right, Neurons.of(neuron_inputs, curve), CURVE)
    right.set_title("Neuron inputs on the absorber's curve")
    figure.savefig(path)


def _learning(axes: Any, metrics: Sequence[Mapping[str, Any]]) -> None:
    epochs, losses = _series(metrics, "train_loss")
    draw_loss(axes, epochs, losses, LOSS)
    axes.set(title="Learning curve" if metrics else "Learning curve (no epoch was finished)", xlabel="epoch")
    axes.set_ylabel("training loss", color=LOSS)
    numbers = [row.get("epoch", i + 1) for i, row in enumerate(metrics)] or [0]
    axes.set_xlim(min(numbers) - 0.5, max(numbers) + 0.5)
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    epochs, accuracies = _series(metrics, "validation_accuracy")
    if not epochs.size:
        return
    other = axes.twinx()
    other.plot(epochs, 100 * accuracies, color=ACCURACY, lw=1.8, marker="o", ms=4.0 if epochs.size <= 25 else 0.0)
    other.set_ylabel("validation accuracy (%)", color=ACCURACY)
    best = int(np.argmax(accuracies))
    other.plot(epochs[best], 100 * accuracies[best], "*", color=ACCURACY, ms=15, mec="white", mew=1.0, zorder=5)
    axes.set_title(f"Learning curve (★ best: {100 * accuracies[best]:.1f} % in epoch {epochs[best]:g})")
    for each in (axes, other):
        each.spines["top"].set_visible(False)


def _series(metrics: Sequence[Mapping[str, Any]], key: str) -> tuple[Array, Array]:
    pairs = [(row.get("epoch", i + 1), row[key]) for i, row in enumerate(metrics) if row.get(key) is not None]
    return np.array([p[0] for p in pairs], np.float64), np.array([p[1] for p in pairs], np.float64)
