"""Neuron inputs on the absorber's curve: where on it the neurons of each layer work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from labonn.plotting.past import Array

Curve = Callable[[Array], Array]
FILLS = ("#4c8fbf", "#7fb36b", "#b58cc4", "#d0a85c")
BINS = 80
SHOWN_SHARE = 0.999
POINTS = 801


@dataclass(frozen=True)
class Neurons:
    """Of a network.

    Attributes:
        names: of the layers. edges: (n + 1,) of the bins. shares: (layers, n) % of the inputs. curve: (m,) output over the edges' range.
    """

    names: tuple[str, ...]
    edges: Array
    shares: Array
    curve: Array

    @classmethod
    def of(cls, inputs: Mapping[str, Array], curve: Curve) -> Self:
        """Args: inputs: layer -> field amplitudes z, any shape, in saturation fields. curve: z -> output field, elementwise."""
        values = {name: np.asarray(z, np.float64).ravel() for name, z in inputs.items()}
        values = {name: z[np.isfinite(z)] for name, z in values.items()}
        everything = np.concatenate([np.abs(z) for z in values.values()] or [np.zeros(0)])
        reach = max(1.05 * float(np.quantile(everything, SHOWN_SHARE)), 1.0) if everything.size else 3.0
        edges = np.linspace(-reach, reach, BINS + 1)
        shares = [np.histogram(z, edges)[0] / max(z.size, 1) * 100 for z in values.values()]
        table = np.array(shares, np.float64).reshape(len(values), BINS)
        return cls(tuple(values), edges, table, np.asarray(curve(np.linspace(-reach, reach, POINTS)), np.float64))

    def arrays(self) -> dict[str, Array]:
        """For an .npz file."""
        return {"neuron_edges": self.edges, "neuron_shares": self.shares, "neuron_curve": self.curve}

    @classmethod
    def kept(cls, arrays: Mapping[str, Array]) -> Self | None:
        """From an .npz file; None if it has none."""
        edges, shares, curve = (arrays.get(f"neuron_{name}") for name in ("edges", "shares", "curve"))
        if edges is None or shares is None or curve is None or shares.ndim != 2 or shares.shape[1] != len(edges) - 1 or not len(shares):
            return None
        return cls(tuple(f"cell {place + 1}" for place in range(len(shares))), edges, shares, curve)


def draw_neurons(axes: Any, neurons: Neurons, ink: Any, lw: float = 1.8) -> None:
    """Shares of the inputs as filled steps, the absorber's curve on an axis of its own, its zero in the middle."""
    reach = float(neurons.edges[-1])
    for name, share, fill in zip(neurons.names, neurons.shares, np.resize(FILLS, len(neurons.names)), strict=True):
        axes.stairs(share, neurons.edges, fill=True, color=fill, alpha=0.55, label=name)
    other = axes.twinx()
    other.plot(np.linspace(-reach, reach, len(neurons.curve)), neurons.curve, color=ink, lw=lw, label="absorber g(z)")
    axes.set(xlabel="z (saturation fields)", ylabel="inputs (% a bin)", xlim=(-reach, reach))
    other.set_ylabel("output field g(z)")
    axes.set_ylim(0, 1.3 * float(neurons.shares.max(initial=0.0)) or 1.0)
    swing = max(abs(limit) for limit in other.get_ylim())
    other.set_ylim(-swing, swing)
    for each in (axes, other):
        each.spines["top"].set_visible(False)
    other.spines["right"].set_visible(True)
    pairs = [each.get_legend_handles_labels() for each in (axes, other)]
    axes.legend([*pairs[0][0], *pairs[1][0]], [*pairs[0][1], *pairs[1][1]], loc="upper left", frameon=False)
