"""What a job's settings say about the folders that it needs, checked where it is done."""

from __future__ import annotations

import functools
import hashlib
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labonn.errors import SweepError

FILES = "*ubyte*"  # of a data set
SHARED = "every computer of a sweep needs it at the same path"


def check(settings: Mapping[str, Any], places: Mapping[str, str]) -> None:
    """A place whose setting of the same name has a `sha256` is a folder with that content.

    Raises:
        SweepError: it is not; says which computer this is.
    """
    for name, place in places.items():
        about = settings.get(name)
        wanted = about.get("sha256") if isinstance(about, Mapping) else None
        if wanted:
            _check_folder(name, Path(place), wanted)


def _check_folder(name: str, folder: Path, wanted: str) -> None:
    here = platform.node()
    if not folder.is_dir():
        raise SweepError(f"--{name} {folder}: no such folder on {here}; {SHARED}")
    try:
        found = known(folder)
    except OSError as problem:
        raise SweepError(f"--{name} {folder}: cannot be read on {here}: {problem}") from problem
    if found != wanted:
        told = f"its files on {here} have SHA-256 {found[:12]}…, those of the job {wanted[:12]}…"
        raise SweepError(f"--{name} {folder}: {told}; {SHARED}, with the same content")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob(FILES) if path.is_file())


def known(folder: Path) -> str:
    """Its SHA-256, computed once: as long as sizes and times stay, the content does."""
    return _known(folder, tuple((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in _files(folder)))


@functools.lru_cache(maxsize=64)
def _known(folder: Path, stamps: tuple[tuple[str, int, int], ...]) -> str:
    return sha256(folder)


def sha256(folder: Path) -> str:
    """Of a data set's files, in the order of their names."""
    found = hashlib.sha256()
    for path in _files(folder):
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                found.update(block)
    return found.hexdigest()
