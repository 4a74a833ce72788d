"""Templates of bench files, one a type of bench: every .toml file of a package that is registered in the group `labonn.templates`."""

from __future__ import annotations

import difflib
import re
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module, resources
from pathlib import Path

from labonn.errors import LabonnError
from labonn.registry import registered

GROUP = "labonn.templates"
EMPTY = "empty"


@dataclass(frozen=True)
class Template:
    """A bench file to begin with.

    Attributes:
        name: of the type. text: of the file. source: whose it is.
    """

    name: str
    text: str
    source: str

    @property
    def title(self) -> str:
        """The first sentence of its first comment, and its description."""
        comment = re.match(r"(?:#[^\n]*\n)+", self.text)
        words = " ".join(line.lstrip("# ") for line in comment[0].splitlines()) if comment else self.name
        sentence = re.split(r"(?<=[a-z)0-9])\. (?=[A-Z])", words, maxsplit=1)[0].rstrip(".")
        description = tomllib.loads(self.text).get("bench", {}).get("description")
        return f"{sentence}; {description}" if description else sentence


def templates() -> dict[str, Template]:
    """By name, those of all registered packages; the first of a name counts.

    Raises:
        LabonnError: a registered package cannot be imported.
    """
    found: dict[str, Template] = {}
    for point in registered(GROUP).values():
        try:
            folder = resources.files(import_module(point.value))
        except ImportError as problem:
            raise LabonnError(f"bench types of {point.name!r} ({point.value}) cannot be read: {problem}") from problem
        for file in sorted(folder.iterdir(), key=lambda one: one.name):
            if file.name.endswith(".toml"):
                name = file.name.removesuffix(".toml")
                found.setdefault(name, Template(name, file.read_text(encoding="utf-8"), point.value))
    return found


def path_of(name: str) -> Path | None:
    """The file of the template of this name; None: there is none, or it is in an archive."""
    for point in registered(GROUP).values():
        with suppress(ImportError):
            found = resources.files(import_module(point.value)) / f"{name}.toml"
            if isinstance(found, Path) and found.is_file():
                return found
    return None


def template(name: str) -> Template:
    """The one of this name.

    Raises:
        LabonnError: there is none; nearest ones, or all, are named.
    """
    known = templates()
    if name not in known:
        near = difflib.get_close_matches(name, [*known, EMPTY], n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"types are {', '.join([*known, EMPTY])}"
        raise LabonnError(f"--bench-type {name}: no such type of bench; {hint}")
    return known[name]
