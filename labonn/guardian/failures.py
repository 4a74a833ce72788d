"""Errors across the socket: by the name of their class in labonn.errors, with the same text and notes, and nothing else."""

from __future__ import annotations

from typing import Any

from labonn import errors

CLASSES: dict[str, type[errors.LabonnError]] = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.LabonnError)
}


def told(problem: BaseException) -> dict[str, Any]:
    """What is sent of an error."""
    name = next((kind.__name__ for kind in type(problem).__mro__ if CLASSES.get(kind.__name__) is kind), "")
    text = str(problem) if name else f"the guardian failed: {type(problem).__name__}: {problem}"
    return {"type": name or errors.LabonnError.__name__, "text": text, "notes": [str(note) for note in getattr(problem, "__notes__", ())]}


def error_of(told: Any) -> errors.LabonnError:
    """The error that was told of, to be raised here."""
    about = told if isinstance(told, dict) else {}
    problem = CLASSES.get(str(about.get("type")), errors.LabonnError)(str(about.get("text", told)))
    for note in about.get("notes", ()):
        problem.add_note(str(note))
    return problem
