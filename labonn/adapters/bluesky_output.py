"""All outputs of a bench as one Bluesky device, to be switched off and on again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labonn.adapters.bluesky_worker import PlayStatus, Worker


class Output:
    """All outputs of a bench, as a shutter: set to "safe", or "on" to bring back what was set; for suspenders, and by hand.

    Args:
        name: of the device. worker: of the bench.
    """

    parent = None

    def __init__(self, worker: Worker, name: str) -> None:
        self._worker, self._name = worker, name
        self._before: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """Of the device."""
        return self._name

    @property
    def position(self) -> str:
        """ "on" if anything is set."""
        return "on" if self._worker.points.rows else "safe"

    def set(self, value: str) -> PlayStatus:
        """ "safe", or "on"."""
        self.check_value(value)
        jobs: dict[str, Callable[[], None]] = {"safe": self._off, "on": self._on}
        if value == "on":
            self._worker.check_allowed()
        return self._worker.start(f"set {self._name} {value}", jobs[value])

    def check_value(self, value: str) -> None:
        """Raise ValueError if it is neither."""
        if value not in ("safe", "on"):
            raise ValueError(f'{self._name}: "safe" or "on" is wanted, not {value!r}')

    def locate(self) -> dict[str, str]:
        """Where it is."""
        return {"setpoint": self.position, "readback": self.position}

    def _off(self) -> None:
        self._before = dict(self._worker.points.rows) or self._before
        self._worker.points.safe()

    def _on(self) -> None:
        before, self._before = self._before, {}
        self._worker.points.set(before)
