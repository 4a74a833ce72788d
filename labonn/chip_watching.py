"""What a chip's training shows of itself after every step: numbers, and maps of its parameters over the chip."""

from __future__ import annotations

from typing import Any

import numpy as np

from labonn.chip_training import ChipTraining
from labonn.record.layouts import Layout, Map

TITLES = {"theta": "couplers and amplifiers", "phi": "input phases of couplers"}


def step_metrics(training: ChipTraining) -> dict[str, float]:
    """Of the last step: its loss, hardware evaluations so far, rms of the gradient and of its standard error, expected cosine."""
    now = training.current
    return {
        "loss": now.losses[-1],
        "evaluations": training.objective.settings,
        "gradient_rms": now.norms[-1],
        "standard_error_rms": now.errors[-1],
        "gradient_cosine": now.cosine,
    }


def layouts_of(training: ChipTraining) -> dict[str, tuple[Layout, Any]]:
    """name -> where its values belong, and which parameters they are: "theta", and of full MZIs "phi"."""
    model = training.objective.optics.model
    return {name: _layout(training, name) for name in model.coupler.parameters}


def maps_of(training: ChipTraining, layouts: dict[str, tuple[Layout, Any]]) -> dict[str, Map]:
    """name -> the parameters as they are now."""
    return {name: Map(layout, training.grown.theta[which]) for name, (layout, which) in layouts.items()}


def _layout(training: ChipTraining, name: str) -> tuple[Layout, Any]:
    objective = training.objective
    model = objective.optics.model
    place, per = model.coupler.parameters.index(name), len(model.coupler.parameters)
    parts, which, x, y = list[tuple[str, int]](), list[Any](), list[Any](), list[Any]()
    for stage, span in model.slices.items():
        indices = np.arange(span.start, span.stop)
        if stage in model.meshes:
            mesh = model.meshes[stage]
            found, columns, rows = indices[place::per], mesh.columns, mesh.tops
        elif place == 0:
            found, columns, rows = indices, np.zeros(len(indices), np.int64), np.arange(len(indices))
        else:
            continue
        parts.append((stage, len(found)))
        which.append(found)
        x.append(columns)
        y.append(rows)
    chosen = np.concatenate(which)
    couplers = chosen[~objective.optics.amplifiers[chosen]]
    lower, upper = float(objective.lower[couplers].max()), float(objective.upper[couplers].min())
    return Layout(TITLES[name], "rad", parts, np.concatenate(x).tolist(), np.concatenate(y).tolist(), lower, upper), chosen
