"""Several runs in one figure: each its line, or means and bands over runs that differ in the seed only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labonn.errors import LabonnError
from labonn.plotting.courses import Course, axis_of, best_course, courses, mean_of, scaled
from labonn.plotting.learning import draw_compared, words
from labonn.plotting.past import Array, Past, settings_of
from labonn.plotting.wanted import Wanted

ACCURACIES = ("validation_accuracy", "accuracy")
LOSSES = ("train_loss", "loss")
MOST_NAMED = 3  # options in a name
Named = dict[str, tuple[Course, Array | None]]


def learning(figure: Any, runs: Sequence[Past], wanted: Wanted) -> None:
    """Losses over accuracies."""
    above, below = figure.subplots(2, 1, sharex=True)
    _panel(above, runs, wanted, LOSSES, labelled=False)
    _panel(below, runs, wanted, ACCURACIES)
    below.get_legend().remove()


def loss(figure: Any, runs: Sequence[Past], wanted: Wanted) -> None:
    """Losses."""
    _panel(figure.subplots(), runs, wanted, LOSSES)


def accuracy(figure: Any, runs: Sequence[Past], wanted: Wanted) -> None:
    """Accuracies."""
    _panel(figure.subplots(), runs, wanted, ACCURACIES)


def _panel(axes: Any, runs: Sequence[Past], wanted: Wanted, endings: Sequence[str], labelled: bool = True) -> None:
    found = [_one(past, wanted, endings) for past in runs]
    labels = {axis_of(past, wanted.against).label for past in runs}
    if len(labels) > 1:
        raise LabonnError(f"--against {wanted.against}: of these runs that is {' and '.join(sorted(labels))}, which is not the same")
    named = _means(runs, found) if wanted.mean else dict(zip(names_of(runs), ((one, None) for one in found), strict=True))
    factor, label = scaled([one.x for one, _ in named.values()], labels.pop())
    percent = endings is ACCURACIES
    draw_compared(axes, named, factor, percent, wanted.log and not percent)
    kinds = {one.name for one, _ in named.values()}
    about = words(kinds.pop()) if len(kinds) == 1 else ""
    axes.set_ylabel(f"{about} accuracy (%)".strip() if percent else f"{about} loss".strip() if "loss" not in about else about)
    if labelled:
        axes.set_xlabel(label)


def _one(past: Past, wanted: Wanted, endings: Sequence[str]) -> Course:
    found = best_course(courses(past, endings[-1], wanted.against), *endings)
    if found is None:
        raise LabonnError(f"{past.folder}: its {endings[-1]} is not known against {wanted.against}")
    return found


def _means(runs: Sequence[Past], found: Sequence[Course]) -> Named:
    groups: list[tuple[Mapping[str, Any], list[int]]] = []
    for place, past in enumerate(runs):
        settings = settings_of(past)
        members = next((members for other, members in groups if other == settings), None)
        if members is None:
            groups.append((settings, members := []))
        members.append(place)
    names = names_of([runs[members[0]] for _, members in groups], seeds=False)
    means: Named = {}
    for name, (_, members) in zip(names, groups, strict=True):
        course, spread = mean_of([found[place] for place in members])
        means[f"{name} ({len(members)} runs)" if len(groups) > 1 else f"mean of {len(members)} runs"] = course, spread
    return means


def names_of(runs: Sequence[Past], seeds: bool = True) -> list[str]:
    """For legends: by the options in which runs differ, or by what they are called."""
    settings = [dict(settings_of(past)) | ({"seed": past.settings.get("seed")} if seeds else {}) for past in runs]
    differing = [key for key in dict.fromkeys(key for one in settings for key in one) if len({repr(one.get(key)) for one in settings}) > 1]
    differing = [key for key in differing if not (key == "bench_name" and "bench" in differing)]
    if 0 < len(differing) <= MOST_NAMED:
        names = [", ".join(_named(key, one.get(key)) for key in differing) for one in settings]
        if len(set(names)) == len(names):
            return names
    ids = [past.summary.id or past.folder.name for past in runs]
    return ids if len(set(ids)) == len(ids) else [str(past.folder) for past in runs]


def _named(key: str, value: Any) -> str:
    shown = " ".join(map(str, value)) if isinstance(value, list) else "default" if value is None else str(value)
    return shown if key == "procedure" else f"{key.replace('_', ' ')} {shown}"
