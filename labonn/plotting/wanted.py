"""What is wanted of a figure beside its kind."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Wanted:
    """Options of figures; each kind takes those that it knows.

    Attributes:
        against: x axis, one of courses.AGAINST. mean: of runs of equal settings. log: scale of losses.
        port: by name; None: the one that tells most. image: number of a test image. part: "theta" or "phi", or a coefficient's name.
    """

    against: str = "steps"
    mean: bool = False
    log: bool = False
    port: str | None = None
    image: int = 0
    part: str | None = None
