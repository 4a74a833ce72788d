"""Moments of a small run at which the campaign looks, or does something, and what its tables read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MOMENTS = ("opened", "first", "middle", "last")



def nothing(moment: str, bench: Any) -> None:
    """A listener that has nothing to do."""


listener: Callable[[str, Any], None] = nothing
readings: list[dict[str, Any]] = []


def reached(moment: str, bench: Any) -> None:
    """The run is there now."""
    listener(moment, bench)
