"""Methods side by side: the same gradient measured many times by each, against a careful reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.bench import Bench
from labonn.channels import Floats
from labonn.chip_methods import Gradients, MethodSettings
from labonn.chip_training import STEPS
from labonn.gradients import Estimate, OnChip, central
from labonn.runs import Run
from labonn.shots import Ints

FINER = 0.5  # of the usual step, for the reference: a quarter of the bias


@dataclass(frozen=True)
class Compared:
    """What a method gave.

    Attributes:
        gradients: (N, P) as measured. error: rms over parameters and repetitions of what they are off the reference of their turn.
        scatter: of repetitions, without what they have in common. reported: rms of the standard errors they came with.
        seconds, settings: of bench time and hardware evaluations, a gradient.
        downhill: cosine squared with the reference, a second: what the planner goes by.
        chosen, predicted: of "auto": what it is, and (standard error, bias, seconds) as planned.
    """

    gradients: Floats
    error: float
    scatter: float
    reported: float
    seconds: float
    settings: float
    downhill: float
    chosen: str = ""
    predicted: tuple[float, float, float] | None = None

    @staticmethod
    def lines(found: Mapping[str, Compared]) -> list[str]:
        """A table of 80 columns."""
        lines = [f"{'method':<10}{'error':>10}{'scatter':>10}{'reported':>10}{'time (s)':>10}{'settings':>10}{'downhill/s':>12}"]
        for name, one in found.items():
            errors = f"{one.error:>10.3g}{one.scatter:>10.3g}{one.reported:>10.3g}"
            lines.append(f"{name:<10}{errors}{one.seconds:>10.4g}{one.settings:>10.0f}{one.downhill:>12.3g} {one.chosen}"[:80])
        return lines


def compare(
    bench: Bench, objective: OnChip, theta: Floats, moved: NDArray[np.bool_], args: Any, run: Run
) -> tuple[Floats, dict[str, Compared]]:
    """((moved,) reference gradient, method -> what it gave).

    Args:
        moved: (P,) parameters that count. args: options of the procedure: methods, times, reference, step, repeats, ...
        run: every turn of all methods is a step of it.
    """
    some, step = np.flatnonzero(moved), args.step or STEPS[objective.optics.design.coupler]
    methods = {name: _method(objective, name, args, moved, run.seed, bench) for name in args.methods}
    for method in methods.values():
        if method.planner is not None:
            bench.run(method.planner.plan(theta))
    taken: dict[str, list[tuple[Estimate, float, int]]] = {name: [] for name in methods}
    careful, repeats, own = [], -(-args.reference // args.times), objective.slots
    waits = [method.planner.choice.slots.settle for method in methods.values() if method.planner is not None and method.planner.choice]
    patient = replace(own, settle=max([method.slots.settle for method in methods.values()] + waits))
    with run.progress(args.times, "turn") as progress:
        for turn in range(args.times):  # by turns, so that what drifts drifts for all
            for name, method in methods.items():
                start, count, objective.slots = bench.clock.now(), objective.settings, method.slots
                estimate = bench.run(method(objective, theta))
                taken[name].append((estimate, bench.clock.now() - start, objective.settings - count))
            objective.slots = patient  # as long as the most patient of the methods waits
            careful.append(bench.run(central(objective, theta, FINER * step, subset=some, repeats=repeats, scaled=False)).gradient[some])
            progress.update(turn + 1, objective.shots)
            run.step(turn + 1)
    objective.slots = own
    trend = _trend(np.stack(careful))
    return trend.mean(axis=0), {name: _summed(taken[name], trend, some, methods[name]) for name in methods}


def _trend(careful: Floats) -> Floats:
    """(N, P) straight lines through the references of all turns: where a bench drifts, so does the gradient itself."""
    turns = np.arange(len(careful)) - (len(careful) - 1) / 2
    return np.asarray(careful.mean(axis=0) + turns[:, None] * (turns @ careful) / np.sum(turns**2))


def _method(objective: OnChip, name: str, args: Any, moved: NDArray[np.bool_], seed: int, bench: Bench) -> Gradients:
    settings = MethodSettings(name, args.step, args.repeats, args.coordinates, args.pairs, args.settle, args.budget, seed)
    before = objective.slots
    method = Gradients(objective, settings, moved, bench.clock.now)
    objective.slots = before
    return method


def _summed(taken: Sequence[tuple[Estimate, float, int]], trend: Floats, some: Ints, method: Gradients) -> Compared:
    gradients = np.stack([one.gradient[some] for one, _, _ in taken])
    error = float(np.sqrt(np.mean((gradients - trend) ** 2)))
    scatter = float(np.sqrt(np.mean((gradients - trend).var(axis=0, ddof=1))))
    reported = float(np.sqrt(np.mean([one.standard_error[some] ** 2 for one, _, _ in taken])))
    seconds, settings = (float(np.mean([one[place] for one in taken])) for place in (1, 2))
    lengths = np.sum(gradients**2, axis=1) * np.sum(trend**2, axis=1)
    downhill = float(np.mean(np.sum(gradients * trend, axis=1) ** 2 / lengths)) / seconds
    choice = method.planner.choice if method.planner is not None else None
    if choice is None:
        return Compared(gradients, error, scatter, reported, seconds, settings, downhill)
    predicted = choice.standard_error, choice.bias, choice.seconds
    return Compared(gradients, error, scatter, reported, seconds, settings, downhill, choice.method, predicted)


def compared_figure(reference: Floats, found: Mapping[str, Compared], path: Path) -> None:
    """Draw mean errors along the parameters, in the order in which they were measured, and all errors beside the reported ones."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    colours = dict(zip(found, ("#c2571a", "#1f5a8a", "#7fb36b", "#b58cc4", "#d0a85c", "#222222", "#8a8a8a", "#4c8fbf"), strict=False))
    window = max(1, len(reference) // 40)
    for name, one in found.items():
        off = one.gradients.mean(axis=0) - reference
        smooth = np.convolve(off, np.ones(window) / window, mode="valid")
        left.plot(np.arange(len(smooth)) + window / 2, smooth, color=colours.get(name, "#555555"), lw=1.4, label=name)
    left.axhline(0, color="#bbbbbb", lw=0.8, zorder=0)
    left.set(title=f"Mean error, averaged over {window} parameters", xlabel="parameter", ylabel="error of the gradient (1/rad)")
    left.legend(frameon=False, ncols=2)
    places = np.arange(len(found))
    right.bar(places - 0.2, [one.error for one in found.values()], 0.38, color=[colours.get(n, "#555555") for n in found], label="found")
    right.bar(places + 0.2, [one.reported for one in found.values()], 0.38, color="#d9d9d9", label="reported")
    right.set_xticks(places, list(found))
    right.set(title="rms error of one gradient", ylabel="1/rad", yscale="log")
    right.legend(["found (coloured)", "reported"], frameon=False)
    for axes in (left, right):
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    figure.savefig(path)
