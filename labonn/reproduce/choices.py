"""What is chosen on the command line for all experiments: size, seeds, data."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labonn.errors import ProcedureError

MINI = "mini"
SETS = ("mnist", "kmnist", "emnist")
FULL_SEEDS, QUICK_SEEDS = 3, 1


@dataclass(frozen=True)
class Images:
    """A data set as a job names it: by its content, not by its place.

    Attributes:
        name: mini, or the folder's. sha256: of its files, in the order of their names; empty for mini. folder: where it is here.
    """

    name: str
    sha256: str = ""
    folder: str = MINI


@dataclass
class Choices:
    """How large everything is to be.

    Attributes:
        quick: a first look: the shipped images, few epochs, one seed. seeds: how many; None: FULL_SEEDS, or QUICK_SEEDS.
        data: a folder with the data sets in it (folders named mnist…, kmnist…, emnist…), or "mini" for the shipped images.
        given: `--set NAME=VALUE`, for settings that an experiment asks for by `value`.
    """

    quick: bool = False
    seeds: int | None = None
    data: str = "data"
    given: Mapping[str, str] = field(default_factory=dict)
    _asked: set[str] = field(default_factory=set, repr=False)
    _images: dict[str, Images | None] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.seeds is not None and self.seeds < 1:
            raise ProcedureError(f"--seeds {self.seeds}: at least 1")

    @property
    def numbers(self) -> range:
        """The seeds."""
        return range(self.seeds or (QUICK_SEEDS if self.quick else FULL_SEEDS))

    def value(self, name: str, full: Any, quick: Any = None) -> Any:
        """A setting: what was given for it, else the full one, or the quick one (None: the full one).

        Raises:
            ProcedureError: what was given is of another type than `full`.
        """
        self._asked.add(name)
        if name in self.given:
            try:
                return type(full)(self.given[name])
            except ValueError:
                raise ProcedureError(f"--set {name}={self.given[name]}: {type(full).__name__} is wanted, such as {full}") from None
        return quick if self.quick and quick is not None else full

    def check(self) -> None:
        """Once all experiments have asked for their settings: refuse given ones that none has asked for.

        Raises:
            ProcedureError: there is one.
        """
        for name in self.given:
            if name not in self._asked:
                near = difflib.get_close_matches(name, self._asked, n=1)
                known = f"did you mean {near[0]}?" if near else f"settings here are {', '.join(sorted(self._asked)) or 'none'}"
                raise ProcedureError(f"--set {name}={self.given[name]}: no such setting; {known}")

    def images(self, name: str) -> Images | None:
        """The data set of that name; None where it is not there. MNIST is the shipped part of it in a quick look, or where that was chosen.

        Raises:
            ProcedureError: MNIST is wanted whole, and not there.
        """
        if name not in self._images:
            self._images[name] = self._find(name)
        return self._images[name]

    def _find(self, name: str) -> Images | None:
        if name == "mnist" and (self.quick or self.data == MINI):
            return Images(MINI)
        folders = [] if self.data == MINI else sorted(path for path in Path(self.data).expanduser().glob(f"{name}*") if path.is_dir())
        if folders:
            return Images(folders[0].name, _sha256(folders[0]), str(folders[0].resolve()))
        if name == "mnist":
            told = "`labonn data fetch mnist` makes one; --data mini takes the shipped 5,000 images, --quick is a first look with these"
            raise ProcedureError(f"--data {self.data}: no folder mnist there; {told}")
        return None


def _sha256(folder: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file():
            found.update(path.read_bytes())
    return found.hexdigest()
