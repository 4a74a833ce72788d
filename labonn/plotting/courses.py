"""How numbers of a run went: series over steps, hardware evaluations, bench time or epochs; and means over runs that differ in the seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labonn.plotting.past import Array, Past, column
from labonn.record.reading import Record

AGAINST = {
    "steps": "steps of the optimizer",
    "evaluations": "hardware evaluations: settings of a chip, shots elsewhere",
    "bench-time": "time on the bench's clock since the first step",
    "epochs": "passes over the training images",
}


@dataclass(frozen=True)
class Course:
    """One number over a run.

    Attributes:
        name: of the metric. x, y: (n,). low, high: (n,) extremes of the steps that a point stands for, or None.
        every: "step" or "report": how often the number came.
    """

    name: str
    x: Array
    y: Array
    low: Array | None = None
    high: Array | None = None
    every: str = "report"


@dataclass(frozen=True)
class Axis:
    """What a run is shown against.

    Attributes:
        label: with the unit. steps, x: (n,) where some steps are on it; between them it is straight.
    """

    label: str
    steps: Array
    x: Array

    def at(self, steps: Array) -> Array:
        """(n,) places of steps."""
        return np.interp(steps, self.steps, self.x) if self.steps.size > 1 else np.full(len(steps), np.nan)


def axis_of(past: Past, against: str) -> Axis:
    """The axis of one run; without places if the run cannot say them."""
    return {"steps": _steps, "evaluations": _evaluations, "bench-time": _bench_time, "epochs": _epochs}[against](past)


def _steps(past: Past) -> Axis:
    ends = np.array([0.0, 1e15])
    return Axis("step", ends, ends)


def _epochs(past: Past) -> Axis:
    return Axis("epoch", *_anchored(row_steps(past), column(past.rows, "epoch")))


def _evaluations(past: Past) -> Axis:
    if "evaluations" in past.names("step"):
        seen = past.series("evaluations")
        if seen:
            return Axis("hardware evaluations", *_anchored(seen["step"], seen["high"]))
    settings = column(past.rows, "settings")
    if np.isfinite(settings).any():
        return Axis("hardware evaluations", *_anchored(row_steps(past), settings))
    effort = past.effort
    if effort:
        return Axis("hardware evaluations (shots)", *_anchored(effort["step"], effort["shots"]))
    return Axis("hardware evaluations (shots)", *_anchored(row_steps(past), column(past.rows, "shots")))


def _bench_time(past: Past) -> Axis:
    """From the last moment before the first step: what a warm-up takes is not the training's."""
    effort = past.effort
    if not effort:
        return Axis("bench time (s)", *_anchored(row_steps(past), column(past.rows, "bench_time_s")))
    began_s = past.ask(_began_s, 0.0)
    return Axis("bench time (s)", *_anchored(effort["step"], effort["bench_s"] - began_s))


def _began_s(record: Record) -> float:
    """On the bench's clock."""
    before = record.steps(kind="part")
    early = before["bench_s"][before["step"] == 0]
    return float(early[-1]) if early.size else 0.0


def _anchored(steps: Array, values: Array) -> tuple[Array, Array]:
    """From nothing at the beginning, without what is not known, each step once: when it ended."""
    known = np.isfinite(steps) & np.isfinite(values) & (steps > 0)
    places, x = np.append(0.0, steps[known]), np.append(0.0, values[known])
    first = np.append(True, np.diff(places) > 0)
    return places[first], x[first]


def row_steps(past: Past) -> Array:
    """(n,) the step at which each row of metrics came; its number where that is not known."""
    steps = column(past.rows, "steps")
    return np.where(np.isfinite(steps), steps, np.arange(1, len(steps) + 1))


def courses(past: Past, ending: str, against: str) -> list[Course]:
    """All metrics whose name ends so, those of steps first; without what is not known."""
    axis, found = axis_of(past, against), list[Course]()
    if not axis.steps.size:
        return found
    for name in past.names("step"):
        if name.endswith(ending):
            seen = past.series(name)
            found += _known(Course(name, axis.at(seen["step"]), seen["value"], seen["low"], seen["high"], "step")) if seen else []
    steps, names = row_steps(past), dict.fromkeys(name for row in past.rows for name in row)
    for name in names:
        if str(name).endswith(ending):
            found += _known(Course(str(name), axis.at(steps), column(past.rows, name)))
    return found


def _known(course: Course) -> list[Course]:
    good = np.isfinite(course.x) & np.isfinite(course.y)
    if not good.any():
        return []
    low, high = (None if values is None else values[good] for values in (course.low, course.high))
    return [Course(course.name, course.x[good], course.y[good], low, high, course.every)]


def best_course(found: Sequence[Course], *endings: str) -> Course | None:
    """The one that tells most: the first of these endings that there is, reports before steps."""
    for ending in endings:
        for every in ("report", "step"):
            for one in found:
                if one.name.endswith(ending) and one.every == every:
                    return one
    return None


def mean_of(found: Sequence[Course]) -> tuple[Course, Array]:
    """Mean and standard deviation over runs, at the first run's points where all runs have been; (course, (n,) deviations)."""
    first = found[0]
    low, high = max(one.x.min() for one in found), min(one.x.max() for one in found)
    x = first.x[(first.x >= low) & (first.x <= high)]
    values = np.stack([np.interp(x, one.x, one.y) for one in found])
    spread = values.std(axis=0, ddof=1) if len(found) > 1 else np.zeros(len(x))
    return Course(first.name, x, values.mean(axis=0), every=first.every), spread


def scaled(values: Sequence[Array], label: str) -> tuple[float, str]:
    """(factor, label) that keep the numbers on an axis short: seconds as hours, evaluations in millions."""
    largest = max((float(np.nanmax(one, initial=0.0)) for one in values), default=0.0)
    if label.endswith("(s)"):
        for seconds, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
            if largest >= 2 * seconds:
                return 1 / seconds, f"{label.removesuffix('(s)')}({unit})"
        return 1.0, label
    for size, word in ((1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if largest >= 10 * size and label != "epoch":
            words, _, unit = label.partition(" (")
            return 1 / size, f"{words} ({word} {unit}" if unit else f"{words} ({word})"
    return 1.0, label


def effort_of(record: Record) -> tuple[float, int, int]:
    """(bench seconds, shots, exchanges) of the whole run."""
    seen = record.effort(1)
    if not len(seen["entry"]):
        return 0.0, 0, 0
    return float(seen["bench_s"][-1]), int(seen["shots"][-1]), int(seen["exchanges"][-1])
