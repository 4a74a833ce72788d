"""The clock of a bench behind a guardian."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labonn.clock import RealClock

if TYPE_CHECKING:
    from labonn.guardian.client import RemoteBench


class RemoteClock:
    """The bench's time, as of the guardian's last reply; in the lab's time it goes on by itself."""

    def __init__(self, bench: RemoteBench, concurrent: bool) -> None:
        self._bench, self.concurrent = bench, concurrent
        self._lab, self._asks = RealClock(), bench.state["now"] is None
        self._lab.go_on_from(float(bench.state["now"] or 0.0))

    def now(self) -> float:
        """Seconds since the bench was opened."""
        if self._asks:  # a tape is made, and has to have this
            return float(self._bench.call("now", {})[0])
        return self._lab.now() if self.concurrent else float(self._bench.state["now"])

    def go_on_from(self, seconds: float) -> None:
        """In the lab's time: count what an earlier session took as well."""
        self._lab.go_on_from(seconds)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        if seconds > 0:
            self._bench.call("wait", {"seconds": seconds})
