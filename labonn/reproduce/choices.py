"""What is chosen on the command line for all experiments: size, seeds, data."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from labonn.errors import ProcedureError
from labonn.reproduce import given, sets
from labonn.reproduce.sets import MINI, NOT_THERE, SETS, Images

__all__ = ["FULL_SEEDS", "MINI", "QUICK_SEEDS", "SETS", "Choices", "Images"]
FULL_SEEDS, QUICK_SEEDS = 3, 1


@dataclass
class Choices:
    """How large everything is to be.

    Attributes:
        quick: a first look: the shipped images, few epochs, one seed. seeds: how many; None: FULL_SEEDS, or QUICK_SEEDS.
        data: a folder with the data sets in it (folders named mnist…, kmnist…, emnist…), one of them itself, or "mini": the shipped images.
        given: `--set NAME=VALUE`, for settings that an experiment asks for by `value`.
        pretended: MNIST is taken to be there where it is not: for what there would be to do.
    """

    quick: bool = False
    seeds: int | None = None
    data: str = "data"
    given: Mapping[str, str] = field(default_factory=dict)
    pretended: bool = False
    _asked: dict[str, Any] = field(default_factory=dict, repr=False)
    _images: dict[str, Images | None] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.seeds is not None and self.seeds < 1:
            raise ProcedureError(f"--seeds {self.seeds}: at least 1")

    @property
    def numbers(self) -> range:
        """The seeds."""
        return range(self.seeds or (QUICK_SEEDS if self.quick else FULL_SEEDS))

    @property
    def departs(self) -> str:
        """Why this is not what a paper did, so that its numbers are no measure of these; empty: it is meant to be."""
        if self.quick:
            return "--quick: a smaller version (few images, few epochs) for a first look, not comparable with the paper"
        if self.data == MINI:
            return "--data mini: 5,000 training images in place of 60,000, not comparable with the paper"
        pairs = " ".join(f"{name}={value}" for name, value in self.given.items())
        return f"--set {pairs}: other settings, not comparable with the paper" if pairs else ""

    @property
    def asked(self) -> Mapping[str, Any]:
        """Settings that experiments have asked for, with their full values."""
        return self._asked

    @property
    def absent(self) -> list[str]:
        """Data sets that experiments have asked for, and that are not there."""
        return [name for name, found in self._images.items() if found is None]

    def value(self, name: str, full: Any, quick: Any = None) -> Any:
        """A setting: what was given for it, else the full one, or the quick one (None: the full one).

        Raises:
            ProcedureError: what was given is of another type than `full`.
        """
        self._asked.setdefault(name, full)
        if name in self.given:
            return given.value_of(name, self.given[name], full)
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
        if self.data == MINI:
            return None
        try:
            return sets.find(self.data, name)
        except ProcedureError:
            if not self.pretended:
                raise
            return Images(name, "not there", NOT_THERE) if name == "mnist" else None
