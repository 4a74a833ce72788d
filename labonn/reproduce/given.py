"""Settings as text: `--set NAME=VALUE`, read as what the experiment's own value is."""

from __future__ import annotations

import math
from typing import Any

from labonn.errors import ProcedureError

TRUTHS = {"yes": True, "true": True, "on": True, "1": True, "no": False, "false": False, "off": False, "0": False}


def value_of(name: str, text: str, full: Any) -> Any:
    """The text as a value of the type of `full`; a list's parts stand behind each other with commas, and are of the type of its first.

    Raises:
        ProcedureError: it is none.
    """
    try:
        if isinstance(full, (list, tuple)):
            kind = full[0] if full else ""
            return type(full)(_one(part.strip(), kind) for part in text.split(","))
        return _one(text, full)
    except ValueError:
        raise ProcedureError(f"--set {name}={text}: {_wanted(full)} is wanted, such as {words_of(full)}") from None


def _one(text: str, like: Any) -> Any:
    if isinstance(like, bool):
        if text.lower() not in TRUTHS:
            raise ValueError(text)
        return TRUTHS[text.lower()]
    if isinstance(like, int):
        return int(text)
    if isinstance(like, float):
        number = float(text)
        if not math.isfinite(number):
            raise ValueError(text)
        return number
    return text


def words_of(value: Any) -> str:
    """A value as it would be given."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ",".join(words_of(part) for part in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _wanted(full: Any) -> str:
    if isinstance(full, (list, tuple)):
        return "a list with commas"
    kinds = {bool: "yes or no", int: "a whole number", float: "a number"}
    return kinds.get(type(full), "a text")
