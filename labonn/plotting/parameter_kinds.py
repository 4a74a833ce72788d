"""Figures of what was trained: maps of a chip, weights, histograms; `no_…` says why not."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from labonn.errors import LabonnError
from labonn.plotting import parameters as drawn
from labonn.plotting.axes import few_ticks
from labonn.plotting.past import Past
from labonn.plotting.wanted import Wanted
from labonn.record.layouts import Layout
from labonn.record.reading import Record


def newest_maps(past: Past) -> dict[str, tuple[Layout, Any]]:
    """name -> layout and the last values that are on record."""
    found = {}
    for name, layout in past.ask(lambda record: record.map_layouts(), {}).items():
        seen = past.ask(partial(Record.maps, name=name, last=1), {})
        if seen and len(seen["values"]):
            found[name] = layout, seen["values"][-1]
    return found


def no_map(past: Past) -> str:
    """Why not."""
    return "" if newest_maps(past) else "no map of a chip is on record (only trainings of chips keep one)"


def chip_map(figure: Any, past: Past, wanted: Wanted) -> None:
    """Of theta, or of another that there is."""
    maps = newest_maps(past)
    name = wanted.part or next(iter(sorted(maps, key=lambda one: one != "theta")))
    if name not in maps:
        raise LabonnError(f"{past.folder}: --part {name}: its maps are {', '.join(maps)}")
    drawn.draw_map(figure, maps[name][0], maps[name][1], name)


def no_parameters(past: Past) -> str:
    """Why not."""
    if newest_maps(past) or drawn.layers_of(past.arrays("weights")) or _flat(past) is not None:
        return ""
    return "it has neither parameters of a chip nor weights.npz"


def _flat(past: Past) -> Any:
    """Parameters of a chip without a map, of an older run."""
    best = past.arrays("weights").get("best")
    return best if best is not None and best.ndim == 1 and best.size and best.dtype.kind == "f" else None


def parameters(figure: Any, past: Past, wanted: Wanted) -> None:
    """Couplers of a chip, or weights layer by layer."""
    maps, layers = newest_maps(past), drawn.layers_of(past.arrays("weights"))
    if maps:
        name = wanted.part if wanted.part in maps else next(iter(sorted(maps, key=lambda one: one != "theta")))
        layout, values = maps[name]
        couplers = np.concatenate([np.full(count, not part.startswith("amp")) for part, count in layout.parts])
        drawn.draw_histogram(figure.subplots(), values[couplers], (layout.lower, layout.upper), f"{name} ({layout.unit})")
    elif layers:
        axes = figure.subplots(1, len(layers), squeeze=False)[0]
        for place, (one, layer) in enumerate(zip(axes, layers, strict=True)):
            drawn.draw_histogram(one, layer.ravel(), (-1.0, 1.0), f"weights {place + 1}", "number" if not place else "")
            few_ticks(one.xaxis)
    else:
        drawn.draw_histogram(figure.subplots(), _flat(past), (-math.inf, math.inf), "parameter (rad)", "number")


def no_weights(past: Past) -> str:
    """Why not."""
    return "" if drawn.layers_of(past.arrays("weights")) else "it has no weights.npz with matrices"


def weights(figure: Any, past: Past, wanted: Wanted) -> None:
    """Every layer as an image."""
    layers = drawn.layers_of(past.arrays("weights"))
    axes = figure.subplots(1, len(layers), squeeze=False)[0]
    for place, (one, layer) in enumerate(zip(axes, layers, strict=True)):
        image = drawn.draw_weights(one, layer)
        one.set_xlabel(f"input of layer {place + 1}")
        if place:
            one.set_ylabel("")
        bar = figure.colorbar(image, ax=one, location="top", shrink=0.9)
        digit = 10.0 ** np.floor(np.log10(image.norm.vmax))
        end = digit * np.floor(image.norm.vmax / digit)  # inside the scale, and short: three fit above the narrowest image
        bar.set_ticks([-end, 0, end], labels=[f"{tick:g}" for tick in (-end, 0, end)])
