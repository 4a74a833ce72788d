"""Data sets as jobs name them: by content, wherever they are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from labonn.errors import ProcedureError
from labonn.sweeps.places import FILES, known

MINI, NOT_THERE = "mini", ""  # in place of a folder
SETS = ("mnist", "kmnist", "emnist")
OTHERWISE = "--data mini takes the shipped 5,000 images, --quick is a first look with these"


@dataclass(frozen=True)
class Images:
    """A data set as a job names it: by its content, not by its place.

    Attributes:
        name: mini, or the folder's. sha256: of its files, in the order of their names; empty for mini. folder: where it is here.
    """

    name: str
    sha256: str = ""
    folder: str = MINI


def find(place: str, name: str) -> Images | None:
    """The set of that name in the folder `place`, or `place` itself; None: there is none.

    Raises:
        ProcedureError: MNIST is wanted, and not there; or `place` is a data set itself, of which nothing says which.
    """
    path = Path(os.path.expanduser(place))  # which leaves an unknown user's folder as it is
    if _filled(path):
        mine = next((one for one in SETS if path.resolve().name.startswith(one)), None)
        if mine is None:
            told = f"is a data set itself; wanted is the folder that has it, in which its name begins with {', '.join(SETS)}"
            raise ProcedureError(f"--data {place}: {told}")
        folders = [path] if mine == name else []
    else:
        folders = [one for one in sorted(path.glob(f"{name}*")) if _filled(one)]
    if folders:
        return Images(folders[0].resolve().name, known(folders[0]), str(folders[0].resolve()))
    if name == "mnist":
        raise ProcedureError(f"--data {place}: {_missing(path)}; `labonn data fetch mnist` fetches it to data/mnist; {OTHERWISE}")
    return None


def _missing(path: Path) -> str:
    if _filled(path):
        return "is another data set, and MNIST is wanted"
    return "no such folder" if not path.is_dir() else "no folder mnist with IDX files there"


def _filled(path: Path) -> bool:
    return path.is_dir() and any(path.glob(FILES))
