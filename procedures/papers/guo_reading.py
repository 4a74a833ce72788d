"""Results of trainings and sweeps, read for tables and figures."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np

from labonn.channels import Floats
from labonn.plotting.past import Past
from labonn.sweeps import Outcome

SPLIT = ("train", "validation", "test")


def accuracies(outcomes: Sequence[Outcome]) -> list[float]:
    """Test accuracies in %."""
    return [100 * one.result["test_accuracy"] for one in outcomes]


def shots(outcomes: Sequence[Outcome]) -> float | None:
    """Mean number of shots of a run; None without any."""
    counts = [float(one.result["shots"]) for one in outcomes if "shots" in one.result]
    return statistics.fmean(counts) if counts else None


def data_of(outcomes: Sequence[Outcome], name: str = "") -> str:
    """Data set and split; name: of the set, where the result has only its sizes."""
    for one in outcomes:
        if "data" in one.result:
            return str(one.result["data"])
        if "images" in one.result:
            counts = ", ".join(f"{one.result['images'][part]:,} {'training' if part == 'train' else part}" for part in SPLIT)
            return f"{name}: {counts} images"
    return ""


def course(one: Outcome, name: str = "validation_accuracy") -> Floats:
    """(epochs,) a metric of the run; empty if its folder is gone."""
    if one.run is None or not one.run.is_dir():
        return np.empty(0)
    with Past(one.run) as past:
        return np.array([row[name] for row in past.rows if name in row], np.float64)
