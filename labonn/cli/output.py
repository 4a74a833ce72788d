"""What commands print: short tables for people, one JSON object for programs."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TextIO

from labonn.runs import plain
from labonn.units import duration

LABEL_WIDTH = 28
WIDTH, NARROWEST = 80, 40  # columns where there is no terminal to ask; and of the narrowest that tables are made for
COLOURS = {"red": "31", "green": "32", "yellow": "33"}
WORDS = re.compile(r"\s+|[^\s,]+,?|,")  # lines are broken at spaces and behind commas
LABEL = re.compile(r"\s*\S.*?\s{2,}(?=\S)")


def print_json(value: Mapping[str, Any]) -> None:
    """One line on stdout."""
    print(json.dumps(plain(value), allow_nan=False))


@contextlib.contextmanager
def printing(json: bool, quiet: bool) -> Iterator[None]:
    """What is printed in here does not get between the JSON on stdout: it goes to stderr, or with `quiet` nowhere."""
    if not json:
        yield
    elif quiet:
        with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
            yield
    else:
        with contextlib.redirect_stdout(sys.stderr):
            yield


def result_lines(result: Any) -> list[str]:
    """A result as `name  value` lines; what is too long for a line is left to result.json."""
    values = plain(result)
    if not isinstance(values, Mapping):
        return [] if values is None else [str(values)]
    rows = [_row(str(key), value) for key, value in values.items()]
    shown = [(label, text) for label, text in rows if text is not None]
    width = min(LABEL_WIDTH, max((len(label) for label, _ in shown), default=0))
    return [row for label, text in shown for row in folded(f"{label:<{width}}  {text}", hang=width + 2)]


def _row(key: str, value: Any) -> tuple[str, str | None]:
    """Label and text; names that end in _s are seconds, as everywhere in the project."""
    if key.endswith("_s") and isinstance(value, (int, float)) and not isinstance(value, bool):
        return key.removesuffix("_s").replace("_", " "), duration(float(value))
    return key.replace("_", " "), _short(value)


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


def columns() -> int:
    """Of the terminal that stdout is, or 80."""
    return max(shutil.get_terminal_size((WIDTH, 24)).columns, NARROWEST) if sys.stdout.isatty() else WIDTH


def folded(line: str, width: int | None = None, hang: int | None = None) -> list[str]:
    """A line as lines of at most `width` (None: the terminal's), except for words that are longer: paths stay whole.

    What goes on begins below what follows the label, or `hang` columns from the left.
    """
    width = columns() if width is None else width
    if len(line) <= width:
        return [line]
    label = LABEL.match(line)
    start = len(line) - len(line.lstrip())
    if hang is None:
        hang = label.end() if label is not None and start + 2 < label.end() <= width // 2 else start + 2
    rows = [" " * start]
    for word in WORDS.findall(line[start:]):
        if rows[-1].strip() and len((rows[-1] + word).rstrip()) > width >= hang + len(word):
            rows.append(" " * hang + word.lstrip())
        elif rows[-1].strip() or word.strip():
            rows[-1] += word
    return [row.rstrip() for row in rows if row.strip()]


def print_lines(lines: Iterable[str]) -> None:
    """Lines of text, folded where they are too long."""
    print("\n".join(row for line in lines for text in line.split("\n") for row in folded(text)))


def coloured(stream: TextIO | None = None) -> bool:
    """Whether colours are wanted there: NO_COLOR and FORCE_COLOR before anything else, then whether it is a terminal that has them."""
    stream = sys.stdout if stream is None else stream
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and os.environ.get("TERM") != "dumb")


def paint(text: str, colour: str | None, stream: TextIO | None = None) -> str:
    """In that colour, if one is given and stdout (or `stream`) has any."""
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if colour and text and coloured(stream) else text


def console() -> Any:
    """A rich console on stdout, 80 columns wide where there is no terminal to ask."""
    from rich.console import Console

    return Console(width=columns(), highlight=False)
