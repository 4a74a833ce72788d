"""What `--ideal` leaves as the bench file has it: the names in [simulation] `ideal_except`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from labonn.benchfile import BenchFile
from labonn.errors import BenchFileError

BITS = "bits"  # of all ports
Part = TypeVar("Part")


def spared(file: BenchFile) -> tuple[str, ...]:
    """`bits`, PART or PART.KEY of the [simulation] tables; none unless the file says so.

    Raises:
        BenchFileError: no list of names.
    """
    names = file.simulation.get("ideal_except", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        told = 'a list of names is wanted, such as ["bits", "slm.flicker_rad"]'
        raise BenchFileError(f"{file.name}: simulation.ideal_except = {names!r}: {told}")
    return tuple(names)


def unknown_spared(file: BenchFile, keys: Mapping[str, Iterable[str]]) -> list[str]:
    """One line for every spared name that is no setting of the file; `keys`: part -> keys that its table has."""
    known = [BITS, *(name for part, own in keys.items() for name in (part, *(f"{part}.{key}" for key in own)))]
    wrong = [name for name in spared(file) if name not in known]
    return [f"simulation.ideal_except: {name!r} is none of the settings of this file: {', '.join(known)}" for name in wrong]


def ideal_but(ideal: Part, own: Part, part: str, keys: Iterable[str], names: tuple[str, ...]) -> Part:
    """`ideal` settings of a part, those that are spared as in `own`.

    Args:
        keys: that the file's table of this part has. names: `spared`.
    """
    kept: dict[str, Any] = {key: getattr(own, key) for key in keys if part in names or f"{part}.{key}" in names}
    return replace(ideal, **kept) if kept else ideal  # type: ignore[type-var]
