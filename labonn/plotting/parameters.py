"""What was trained: a histogram of the parameters, a map of the chip, weights as images."""

from __future__ import annotations

from typing import Any

import numpy as np

from labonn.channels import Floats
from labonn.plotting.axes import log_scale
from labonn.plotting.look import BLUE, SIGNED, bare, colour, ink
from labonn.plotting.past import Array
from labonn.record.layouts import Layout

BINS = 60
MOST_TILES, TILES_WIDE, GAP = 20, 10, 2


def draw_histogram(axes: Any, values: Floats, limit: tuple[float, float], what: str = "theta (rad)", noun: str = "couplers") -> None:
    """Values of parameters; limits inside the picture as dotted lines."""
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    largest = float(np.abs(values).max(initial=0.0)) or 1.0
    reach = min(max(abs(limit[0]), abs(limit[1])), 1.1 * largest)
    axes.hist(values, bins=np.linspace(-reach, reach, BINS + 1).tolist(), color=colour(BLUE))
    for edge in limit:
        if abs(edge) <= 1.01 * reach:
            axes.axvline(edge, color=ink(), lw=0.8, ls=":")
    if np.mean(np.abs(values) > 0.99 * reach) > 0.02:
        log_scale(axes.yaxis)
    axes.set(xlabel=what, ylabel=noun)
    bare(axes)


def grids_of(layout: Layout, values: Floats) -> list[tuple[str, Floats]]:
    """(name, (ports, columns) values with NaN where there is none) of each part of a chip; a coupler is between two ports, and on both."""
    found, start = list[tuple[str, Floats]](), 0
    for name, count in layout.parts:
        span = slice(start, start + count)
        start += count
        if not count:
            continue
        x, y = (np.asarray(places)[span] for places in (layout.x, layout.y))
        wide = 1 if name.startswith("amp") else 2
        grid = np.full((int(y.max()) + wide, int(x.max()) + 1), np.nan)
        for row in range(wide):
            grid[y + row, x] = np.asarray(values)[span]
        found.append((name, grid))
    return found


def draw_map(figure: Any, layout: Layout, values: Floats, name: str = "theta") -> None:
    """Parts of the chip in the order in which light passes, coloured by value; amplifiers, a column each, narrow between the meshes."""
    grids = grids_of(layout, values)
    widest = max(grid.shape[1] for _, grid in grids)
    widths = [max(grid.shape[1], 0.05 * widest) for _, grid in grids]
    axes = figure.subplots(1, len(grids), width_ratios=widths, squeeze=False)[0]
    reach = float(np.nanmax(np.abs(values), initial=0.0))
    reach = min(reach, max(abs(layout.lower), abs(layout.upper))) or 1.0
    for place, (one, (part, grid)) in enumerate(zip(axes, grids, strict=True)):
        image = one.imshow(grid, cmap=SIGNED, vmin=-reach, vmax=reach, aspect="auto", interpolation="nearest")
        one.set_xticks([])
        one.set_yticks([])
        one.set_xlabel(part, rotation=90 if grid.shape[1] < 0.1 * widest else 0)
        bare(one, "top", "right", "left", "bottom")
        if place == 0:
            one.set_ylabel("port")
    figure.colorbar(image, ax=list(axes), label=f"{name} ({layout.unit})", fraction=0.05, pad=0.02)


def draw_weights(axes: Any, weights: Array, reach: float | None = None) -> Any:
    """A matrix as an image, of outputs (rows) by inputs; the image."""
    largest = float(np.nanmax(np.abs(weights), initial=0.0)) if reach is None else reach
    image = axes.imshow(weights, cmap=SIGNED, vmin=-(largest or 1.0), vmax=largest or 1.0, aspect="auto", interpolation="nearest")
    axes.set(xlabel="input", ylabel="output")
    bare(axes, "top", "right", "left", "bottom")
    return image


def draw_neurons_weights(axes: Any, weights: Array, shape: tuple[int, int]) -> None:
    """What the neurons of the first layer look at: their weights as small images side by side, those with the largest weights first."""
    order = np.argsort(-np.square(weights).sum(axis=1), kind="stable")[:MOST_TILES]
    wide, (rows, columns) = min(TILES_WIDE, len(order)), shape
    high = -(-len(order) // wide)
    mosaic = np.full((high * (rows + GAP) - GAP, wide * (columns + GAP) - GAP), np.nan)
    for place, neuron in enumerate(order):
        top, left = (place // wide) * (rows + GAP), (place % wide) * (columns + GAP)
        mosaic[top : top + rows, left : left + columns] = weights[neuron].reshape(shape)
    reach = float(np.nanmax(np.abs(mosaic), initial=0.0)) or 1.0
    image = axes.imshow(mosaic, cmap=SIGNED, vmin=-reach, vmax=reach, interpolation="nearest")
    axes.set_axis_off()
    axes.figure.colorbar(image, ax=axes, label="weight", fraction=0.03, pad=0.02)


def layers_of(arrays: dict[str, Array], which: str = "best") -> list[Array]:
    """Weight matrices by layer, of weights.npz."""
    names = sorted((name for name in arrays if name.startswith(which)), key=lambda name: (len(name), name))
    found = [arrays[name] for name in names]
    return [one for one in found if one.ndim == 2 and one.size and one.dtype.kind == "f" and np.isfinite(one).all()]
