"""Finds drivers, emulators, simulated benches and procedures by entry point; the core imports none of them by name."""

from __future__ import annotations

import difflib
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from labonn.errors import LabonnError

GROUPS = ("labonn.drivers", "labonn.emulators", "labonn.benches", "labonn.procedures", "labonn.experiments")


@cache
def registered(group: str) -> dict[str, EntryPoint]:
    """name -> entry point of every installed package, ours first."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        found.setdefault(point.name, point)
    return dict(sorted(found.items()))


def load(group: str, name: str, error: type[LabonnError] = LabonnError, where: str = "") -> Any:
    """The object that `name` is registered as.

    Raises:
        error: no such name (with the nearest known ones), or its module cannot be imported (with the reason).
    """
    points = registered(group)
    what, prefix = group.removeprefix("labonn.").rstrip("s").replace("benche", "bench"), f"{where}: " if where else ""
    if name not in points:
        near = difflib.get_close_matches(name, points, n=3)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"registered are: {', '.join(points) or 'none'}"
        raise error(f"{prefix}no {what} is called {name!r}; {hint}")
    try:
        return points[name].load()
    except ImportError as problem:
        found = f"the {what} {name!r} ({points[name].value})"
        raise error(f"{prefix}{found} cannot be imported: {problem}{_hidden_by(points[name], problem)}") from problem
    except AttributeError as problem:
        raise error(f"{prefix}the {what} {name!r}: {problem}{_hidden_by(points[name], problem)}") from problem


def _hidden_by(point: EntryPoint, problem: Exception) -> str:
    """Names the folder that hides one of our top-level packages, the price of their generic names; not if another package is missing."""
    import sys

    top = point.module.partition(".")[0]
    if isinstance(problem, ModuleNotFoundError) and (problem.name or top).partition(".")[0] != top:
        return ""
    file = getattr(sys.modules.get(top), "__file__", None)
    return f" (the package {top!r} was taken from {file}; another folder of that name hides the right one?)" if file else ""
