"""Random smooth functions in place of the absorber's derivative: accuracy against their error 1 - S; 784-128-10, alpha0 = 10."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from labonn import absorbers
from labonn.channels import Floats
from labonn.plotting.files import new_figure
from labonn.plotting.look import BLUE, FAINT, GREEN, ORANGE, Look, colour
from labonn.reproduce import Choices, Row, twin_job
from labonn.reproduce.experiment import Found
from labonn.reproduce.jobs import own_job
from labonn.sweeps import Job, Outcome
from procedures.papers import guo
from procedures.papers.guo_reading import accuracies, data_of

SOURCE = f"{guo.PAPER}, Fig. 3d, App. B"
WORK = "procedures.papers.random_derivatives:trained"
NETWORK, DEPTH = "784-128-10", 10.0
GROUP = 20  # functions a job
TWIN = "twin"
EPOCH_S = {False: 0.8, True: 0.08}  # of a training, full and quick
EDGES = (0.0, 5.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0)  # of 1 - S in %, for means
ROBUST = 15.0  # % of 1 - S up to which the paper finds no loss
REFERENCES = {"exact": "true derivative", "optical": "optical derivative"}


def epochs(choices: Choices) -> int:
    """Of each training: fewer than the other networks', as there are hundreds."""
    return int(choices.value("function_epochs", 5, 8))


def cases(choices: Choices) -> dict[str, list[Job]]:
    """Groups of functions, all from one start; the true and the optical derivative for as many epochs, from several."""
    images, count = choices.images("mnist"), int(choices.value("functions", 200, 16))
    assert images is not None
    cost = EPOCH_S[choices.quick] * epochs(choices)
    groups = []
    for first in range(0, count, GROUP):
        end = min(first + GROUP, count)
        settings = {"network": NETWORK, "depth": DEPTH, "epochs": epochs(choices), "functions": [first, end]}
        groups.append(own_job(WORK, f"{SOURCE}: functions {first} to {end - 1}", 0, images=images, cost=cost * (end - first), **settings))
    return {
        "random": groups,
        **{kind: [_reference(choices, kind, told, seed, cost) for seed in choices.numbers] for kind, told in REFERENCES.items()},
    }


def _reference(choices: Choices, kind: str, told: str, seed: int, cost: float) -> Job:
    images = choices.images("mnist")
    assert images is not None
    settings = {"network": NETWORK, "activation": ["absorber", DEPTH], "derivative": kind, "epochs": epochs(choices)}
    return twin_job(f"{SOURCE}: {told}", images, seed, cost=cost, **settings)


def rows(choices: Choices, found: Found) -> list[Row]:
    """Of the true derivative, the optical one, and of random functions by their error: how much accuracy is lost."""
    name = _name(choices)
    exact = accuracies(found.get("exact", ()))
    epochs_told = f"{epochs(choices)} epochs a training"
    told = {kind: f"test accuracy, {words}" for kind, words in REFERENCES.items()}
    table = [
        Row(told[kind], accuracies(some), by=TWIN, data=f"{data_of(some, name)}; {epochs_told}")
        for kind in REFERENCES
        for some in [found.get(kind, ())]
    ]
    off, lost = losses(found)
    data = f"{data_of(found.get('random', ()), name)}; {epochs_told}"
    for low, high in pairwise(EDGES):
        inside = lost[(low <= off) & (off < high)]
        if inside.size and exact:
            what = f"lost at 1 - S of {low:g} to {high:g} % ({inside.size} function{'s' * (inside.size > 1)})"
            table.append(Row(what, inside.tolist(), "points", by=TWIN, data=data, higher=False))
    near = lost[off < ROBUST]
    robust = f"the paper: robust up to about {ROBUST:g} %; {near.size} of the {lost.size} functions are below"
    if near.size:
        table.append(
            Row(
                f"median loss below 1 - S = {ROBUST:g} %",
                [float(np.median(near))],
                "points",
                by=TWIN,
                data=data,
                higher=False,
                remark=robust,
            )
        )
    return table


def losses(found: Found) -> tuple[Floats, Floats]:
    """((F,) 1 - S in %, (F,) points of test accuracy lost against the true derivative from the same start) of the random functions."""
    off, reached = (_joined(found.get("random", ()), name) for name in ("mismatch", "test_accuracy"))
    same = [100 * one.result["test_accuracy"] for one in found.get("exact", ())[:1]]
    return 100 * off, (same[0] if same else np.nan) - 100 * reached


def _joined(outcomes: Sequence[Outcome], name: str) -> Floats:
    return np.array([value for one in outcomes for value in one.result[name]], np.float64)


def _name(choices: Choices) -> str:
    images = choices.images("mnist")
    return images.name if images is not None else ""


def notes(choices: Choices, found: Found) -> list[str]:
    """How many, how long, and from which start."""
    off, lost = losses(found)
    told = [
        f"{off.size} random functions (App. B; 6 knots to each side up to 6 saturation fields, which the paper leaves open), each "
        f"trained for {epochs(choices)} epochs where the paper's networks have {guo.EPOCHS}; all from one start, with images in one order, "
        "so that only the function differs. `--set function_epochs=50` does as the paper does."
    ]
    good, bad = lost[off < ROBUST], lost[off >= 50]
    if good.size and bad.size:
        told.append(
            f"Below 1 - S = {ROBUST:g} % functions lose {np.mean(good):.2f} points on average and {np.max(good):.2f} at most; "
            f"from 50 % on they lose {np.mean(bad):.1f} on average and {np.max(bad):.1f} at most."
        )
    return told


def figure(choices: Choices, found: Found, look: Look) -> Any:
    """A dot a function: accuracy lost against 1 - S, with means of the ranges, the optical derivative, and the spread of the true one."""
    made = new_figure(look, 0.42)
    axes = made.subplots()
    off, lost = losses(found)
    exact, optical = (accuracies(found.get(kind, ())) for kind in REFERENCES)
    if len(exact) > 1:
        spread = float(np.std(exact, ddof=1))
        axes.axhspan(-spread, spread, color=FAINT, alpha=0.25, lw=0, label="true derivative, standard deviation over seeds")
    axes.axhline(0, color=FAINT, lw=0.6)
    axes.axvline(ROBUST, color=FAINT, lw=0.6, ls=":")
    axes.plot(off, lost, ".", ms=4, color=colour(BLUE), alpha=0.7, label="random functions")
    places = [(low, high, lost[(low <= off) & (off < high)]) for low, high in pairwise(EDGES)]
    for number, (low, high, inside) in enumerate(one for one in places if one[2].size):
        axes.plot([low, high], [np.mean(inside)] * 2, color=colour(ORANGE), label="mean of a range" if not number else None)
    if exact and optical:
        place, value = 100 * absorbers.mismatch("eq4", DEPTH), float(np.mean(exact) - np.mean(optical))
        axes.plot(place, value, "D", ms=5, color=colour(GREEN), label="optical derivative")
    axes.set(xlabel="error of the derivative, 1 - S (%)", ylabel="test accuracy lost (points)", xlim=(0, 100))
    axes.set_yscale("symlog", linthresh=1.0)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_ylim(top=2 * float(np.nanmax(lost, initial=5.0)))
    axes.legend(loc="lower right")
    return made
