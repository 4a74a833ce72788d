"""What commands print: short tables for people, one JSON object for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from labonn.runs import plain

LABEL_WIDTH = 28


def print_json(value: Mapping[str, Any]) -> None:
    """One line on stdout."""
    print(json.dumps(plain(value), allow_nan=False))


def result_lines(result: Any) -> list[str]:
    """A result as `name  value` lines; what is too long for a line is left to result.json."""
    values = plain(result)
    if not isinstance(values, Mapping):
        return [] if values is None else [str(values)]
    rows = [_row(str(key), value) for key, value in values.items()]
    shown = [(label, text) for label, text in rows if text is not None]
    width = min(LABEL_WIDTH, max((len(label) for label, _ in shown), default=0))
    return [f"{label:<{width}}  {text}" for label, text in shown]


def _row(key: str, value: Any) -> tuple[str, str | None]:
    """Label and text; names that end in _s are seconds, as everywhere in the project."""
    if key.endswith("_s") and isinstance(value, (int, float)) and not isinstance(value, bool):
        return key.removesuffix("_s").replace("_", " "), duration(float(value))
    return key.replace("_", " "), _short(value)


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, in two numbers at most."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _short(value: Any) -> str | None:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, list):
        texts = [_short(item) for item in value]
        return ", ".join(t for t in texts if t) if 0 < len(value) <= 8 and not any(isinstance(v, (list, Mapping)) for v in value) else None
    return None if isinstance(value, Mapping) else "-" if value is None else str(value)


def console(width: int = 80) -> Any:
    """A rich console on stdout, 80 columns wide where there is no terminal to ask."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else width, highlight=False)
