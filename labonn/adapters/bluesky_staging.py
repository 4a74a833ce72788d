"""When the end of a Bluesky plan makes a bench safe."""

from __future__ import annotations

from labonn.adapters.bluesky_worker import PlayStatus, Worker, done


class Staging:
    """Which devices of a bench a plan has staged; when the last one is let go, the bench is made safe.

    Where plans are watched it is made safe at the end of the whole plan, because what is a part of it may be followed by another.

    Args:
        keep: leave outputs as they are then.

    Attributes:
        due: whether the bench is to be made safe when the plan ends.
    """

    def __init__(self, worker: Worker, keep: bool) -> None:
        self._worker, self._keep = worker, keep
        self._staged: set[str] = set()
        self.due = False

    def stage(self, name: str) -> None:
        """A plan is going to use it."""
        self._staged.add(name)

    def unstage(self, name: str) -> PlayStatus:
        """A plan has done with it."""
        mine = name in self._staged
        self._staged.discard(name)
        self.due = mine and not self._staged and not self._keep
        return done(f"unstage {name}") if self._worker.watched or not self.due else self.end()

    def end(self) -> PlayStatus:
        """Make it safe now."""
        self.due = False
        return self._worker.make_safe("the plan has let the bench go", ending=True)
