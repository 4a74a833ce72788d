"""Where in a bench file the trouble is: line numbers behind messages that name a table or a key, and what broken TOML may mean."""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache

HEAD = re.compile(r"\s*\[(\[?)\s*([^\[\]]+?)\s*\]")
KEY = re.compile(r"\s*([\w\-]+|\"[^\"]+\")\s*=")
NAMED = re.compile(r"^[^:\n]+: ((?:[\w\-]+(?:\[\d+\])?)(?:\.[\w\-]+)*)")
PLACE = re.compile(r"line (\d+), column (\d+)")
BARE = re.compile(r"=\s*[+-]?[\d.]+(?:[eE][+-]?\d+)?\s*[A-Za-zµ°%/]")


def with_lines(text: str, message: str) -> str:
    """`message`, a problem a line, with the line of the bench file behind every problem whose table or key stands in its text."""
    return "\n".join(_with_line(text, line) for line in message.splitlines())


def _with_line(text: str, problem: str) -> str:
    found = NAMED.match(problem)
    number = line_of(text, found[1]) if found and "(line " not in problem else None
    return problem if number is None else f"{problem} (line {number})"


def line_of(text: str, path: str) -> int | None:
    """Of "ports.gain.upper", or of the innermost table around it that there is; of a table that has no line, of the first in it."""
    places, parts = _places(text), path.split(".")
    within = (number for place, number in places.items() if place.startswith((f"{path}.", f"{path}[")))
    around = (places[whole] for n in range(len(parts), 0, -1) if (whole := ".".join(parts[:n])) in places)
    return next(around, None) or (next(within, None) if path != "ports" else None)


@lru_cache(maxsize=4)
def _places(text: str) -> dict[str, int]:
    """Table or key -> its line."""
    found: dict[str, int] = {}
    counts: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if head := HEAD.match(line):
            table = ".".join(part.strip().strip("\"'") for part in head[2].split("."))
            if head[1]:
                counts[table] = counts.get(table, -1) + 1
                table = f"{table}[{counts[table]}]"
            found.setdefault(table, number)
        elif key := KEY.match(line):
            found.setdefault(f"{table}.{key[1]}".strip(".").replace('"', ""), number)
    return found


def broken(text: str, problem: tomllib.TOMLDecodeError) -> str:
    """What TOML cannot read, with the line itself (of `text`, if that is given) and what it may lack."""
    told = str(problem)
    twice = re.search(r"Cannot (?:declare|overwrite).*?\((.*?)\)", told)
    place = PLACE.search(told)
    lines = text.splitlines()
    line = lines[int(place[1]) - 1].strip() if place and int(place[1]) <= len(lines) else ""
    return told + (f": {line}" if line else "") + _cause(line, bool(twice))


def _cause(line: str, twice: bool) -> str:
    value = line.partition("=")[2].split("#")[0].strip()
    if twice:
        return "; that table or key stands there twice: every port needs a name of its own"
    if any(mark in line for mark in "“”„‘’"):
        return '; quotes must be straight ones: "20 mA"'
    if line.startswith("[") and "]" not in line:
        return "; a ] is missing at the end of the table's name"
    if line and "=" not in line and not line.startswith("["):
        return "; a line is KEY = VALUE, or [TABLE]"
    if value.count('"') % 2:
        return "; a quote is missing"
    if BARE.search(line) or re.match(r"[A-Za-z]", value):
        return f'; text and values with a unit stand in quotes: "{value}"'
    return ""
