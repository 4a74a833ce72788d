"""Counts of what passes, by port and kind, that can be taken down at any moment and extrapolated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

ALL = ""  # the "port" of what belongs to the bench as a whole

Counts = Mapping[tuple[str, str], float]


class Tally:
    """Adds up.

    Attributes:
        counts: (port, kind) -> how much so far; kinds are tables, shots, rows, exchanges, sent, received (bytes), and of the bench as a
            whole (ALL) also bench_s, compute_s, play_s, record_bytes, tape_bytes.
    """

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()

    def add(self, port: str, **amounts: float) -> None:
        """So much more of some kinds."""
        for kind, amount in amounts.items():
            self.counts[port, kind] += amount  # type: ignore[assignment]

    def now(self) -> Counts:
        """All counts as they are at this moment."""
        return dict(self.counts)


def grown(end: Counts, begin: Counts, after: Counts, times: float) -> Counts:
    """`end` with what was added between `begin` and `after` once more, `times` times."""
    return {key: value + times * (after.get(key, 0.0) - begin.get(key, 0.0)) for key, value in end.items()}
