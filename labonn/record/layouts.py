"""Where the values of a map belong: what a run's parameters are, and the place of each on the chip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labonn.channels import Floats


@dataclass(frozen=True)
class Layout:
    """Of a map of n values.

    Attributes:
        title: what they are. unit: of the values.
        parts: name and number of values of each part, in their order: a chip's meshes.
        x, y: (n,) whole numbers, the column and the row of each value in its part.
        lower, upper: what they stay within, for the scale of colours.
    """

    title: str
    unit: str
    parts: Sequence[tuple[str, int]]
    x: Sequence[int]
    y: Sequence[int]
    lower: float
    upper: float

    def __post_init__(self) -> None:
        count = sum(number for _, number in self.parts)
        if not len(self.x) == len(self.y) == count:
            raise ValueError(f"a layout of {count} values with {len(self.x)} columns and {len(self.y)} rows")

    def packed(self) -> dict[str, Any]:
        """As plain values."""
        places = {name: np.asarray(getattr(self, name)).tolist() for name in ("x", "y")}
        parts = [[name, number] for name, number in self.parts]
        return {"title": self.title, "unit": self.unit, "parts": parts, **places, "lower": self.lower, "upper": self.upper}

    @classmethod
    def unpacked(cls, about: dict[str, Any]) -> Layout:
        """The one that was packed."""
        return cls(**{**about, "parts": [(name, number) for name, number in about["parts"]]})


@dataclass(frozen=True)
class Map:
    """Parameters that a run has now.

    Attributes:
        layout: where they belong. values: (n,).
    """

    layout: Layout
    values: Floats
