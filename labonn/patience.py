"""How patient the guardian of a bench is: the `[guardian]` table of a bench file."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class GuardianSettings:
    """Times of a guardian (labonn.guardian), in seconds.

    Attributes:
        lease_s: seconds of silence until a client counts as gone and the bench is made safe.
        patience_s: seconds that a client may do other things than use the bench before it counts as hung.
        grace_s: seconds that a play may still take when it is to end; then the guardian's twin takes over.
        idle_s: seconds that a guardian made for one client waits for it.
    """

    lease_s: float = 5.0
    patience_s: float = 600.0
    grace_s: float = 10.0
    idle_s: float = 30.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = 0.2 if field.name == "lease_s" else 0.0
            if not least <= value < math.inf:
                raise ValueError(f"{field.name} = {value:g}: a time from {least:g} s on is wanted")
