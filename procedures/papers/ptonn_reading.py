"""What runs of chips have left: learning curves, parameters, confusion of classes, powers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from labonn.benchfile import parse
from labonn.channels import Floats
from labonn.chips import ChipOptics
from labonn.plotting.confusion import counts_of
from labonn.plotting.past import Past
from labonn.shots import Ints
from labonn.sweeps import Outcome

AGAINST = {"settings": "hardware evaluations (thousands)", "bench_time_s": "bench time (s)", "steps": "steps"}


def percent(outcomes: Sequence[Outcome], name: str = "test_accuracy") -> list[float]:
    """One number a seed."""
    return [100 * float(one.result[name]) for one in outcomes]


def about(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """What a row says of its data and of its hardware evaluations."""
    if not outcomes:
        return {}
    return {"data": str(outcomes[0].result["data"]), "evaluations": float(np.mean([one.result["evaluations"] for one in outcomes]))}


def table_of(one: Outcome) -> dict[str, Floats]:
    """Columns of a training's metrics; empty if its folder is gone."""
    if one.run is None or not one.run.is_dir():
        return {}
    with Past(one.run) as past:
        rows = past.rows
    names = [name for name in rows[0] if all(isinstance(row.get(name), (int, float)) for row in rows)] if rows else []
    return {str(name): np.array([row[name] for row in rows], np.float64) for name in names}


def course(one: Outcome, against: str) -> tuple[Floats, Floats]:
    """(x, validation accuracy in %) of a training, x from its first step; `against` is one of AGAINST."""
    table = table_of(one)
    if not table:
        return np.empty(0), np.empty(0)
    x = table[against]
    if against == "bench_time_s":
        x = x - (x[-1] - float(one.result["training_time_s"]))
    return x / (1e3 if against == "settings" else 1.0), 100 * table["validation_accuracy"]


def first_above(one: Outcome, percents: float) -> float:
    """Hardware evaluations until a validation accuracy was reached, straight between reports; NaN if it was not."""
    x, y = course(one, "settings")
    above = np.flatnonzero(y >= percents)
    if not above.size:
        return float("nan")
    i = int(above[0])
    if i == 0:
        return float(1e3 * x[0])
    return float(1e3 * np.interp(percents, y[i - 1 : i + 1], x[i - 1 : i + 1]))


def confusion(outcomes: Sequence[Outcome]) -> Ints:
    """Counts over the test images of all seeds."""
    tests = [one.arrays("test") for one in outcomes]
    return np.asarray(sum(counts_of(test["outputs"], test["labels"]) for test in tests))


def optics_of(one: Outcome) -> ChipOptics:
    """What the bench of a training was believed to be."""
    path = (one.run or Path()) / "bench.toml"
    return ChipOptics.of(parse(path.read_text(encoding="utf-8"), path.name))


def couplers_of(outcomes: Sequence[Outcome]) -> list[Floats]:
    """theta of all couplers, of each seed's best parameters."""
    return [one.arrays("weights")["best"][~optics_of(one).amplifiers] for one in outcomes]


def spreading(one: Outcome) -> tuple[Floats, Floats]:
    """(validation accuracies in %, mean |theta| of the couplers then) of a training's reports; empty without a record of its parameters."""
    table = table_of(one)
    if not table or one.run is None:
        return np.empty(0), np.empty(0)
    with Past(one.run) as past:
        kept = past.ask(lambda record: record.maps("theta"), {})
    if not len(kept.get("step", ())):
        return np.empty(0), np.empty(0)
    means = np.abs(kept["values"][:, ~optics_of(one).amplifiers]).mean(axis=1, dtype=np.float64)
    return 100 * table["validation_accuracy"], np.interp(table["steps"], kept["step"], means)


def mean_theta_at(one: Outcome, percents: float) -> float:
    """Mean |theta| at the first report of at least so high a validation accuracy; NaN if there was none."""
    accuracies, means = spreading(one)
    above = np.flatnonzero(accuracies >= percents)
    return float(means[above[0]]) if above.size else float("nan")


def heater_watts(one: Outcome) -> Floats:
    """(P,) of the heaters at the best parameters, by the nominal curve; those of attenuators are among them."""
    return np.asarray(replace(optics_of(one).heater, drive="W").driven(one.arrays("weights")["best"]))


def coupler_watts(one: Outcome) -> Floats:
    """(C,) of the couplers' heaters, without those of attenuators."""
    return np.asarray(heater_watts(one)[~optics_of(one).amplifiers])


def section_amperes(one: Outcome) -> Floats:
    """(P,) of the gain sections at the best parameters, by the nominal curves."""
    return optics_of(one).drive(one.arrays("weights")["best"])


def noise_of(outcomes: Sequence[Outcome], name: str) -> Floats:
    """(seeds, sigmas) of what perturb_chip found, in %."""
    return 100 * np.array([one.result["noise"][name] for one in outcomes])
