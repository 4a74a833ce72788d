"""Actions that are broken by a suite, and where in them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from labonn.errors import LabonnError, LinkError
from labonn.testing.rig import Rig
from labonn.testing.suite import Suite
from labonn.testing.wire import Fault

MOST_PLACES = 12  # of a fault among the exchanges of one action
TRIES = 3


class Breaking(Suite):
    """Without checks."""

    def ready_with_a_row(self, rig: Rig) -> Any:
        """Ready; of an actuator the bank whose first row it plays."""
        self.ready(rig)
        if "actuator" not in self.traits():
            return None
        bank = self.rows(rig.spec, 3)
        self.play(rig, bank, [0])
        return bank

    def set_second(self, rig: Rig) -> None:
        """Another row of a fresh bank."""
        rig.device.load(self.rows(rig.spec, 3), np.array([1]), self.dwell_s)
        rig.device.arm()

    def make_safe(self, rig: Rig) -> None:
        """As the bench does."""
        rig.device.safe()

    def record_four(self, rig: Rig) -> Any:
        """A record of four shots."""
        return self.record(rig, 4)

    def held(self, rig: Rig) -> Any:
        """(1, C) what a held port's outputs are now."""
        outputs = self.outputs(rig)
        return None if outputs is None else outputs[None]

    def work(self, rig: Rig, bank: Any) -> None:
        """The third row, or a record, as it should be."""
        if "actuator" in self.traits():
            assert self.like(rig, self.play(rig, bank, [2]), bank[[2]])
        else:
            assert self.like(rig, self.record(rig, 4), self.lit(rig, 4))

    def places(self, action: Callable[[Rig], object]) -> list[int]:
        """At which exchanges of `action` a fault is tried: all of a few, else evenly spread."""
        with self.opened() as rig:
            self.ready_with_a_row(rig)
            before = len(rig.wire.requests)
            action(rig)
            count = len(rig.wire.requests) - before
        assert count > 0, "the action talks to nobody"
        return sorted({int(place) for place in np.linspace(0, count - 1, min(count, MOST_PLACES))})

    def broken(self, rig: Rig, place: int, fault: Fault, action: Callable[[Rig], Any]) -> tuple[LabonnError | None, Any]:
        """(What `action` raises with that fault at that exchange, or what it gives)."""
        with rig.wire.broken(*[None] * place, fault):
            try:
                return None, action(rig)
            except LabonnError as told:
                return told, None

    def after_trouble(self, rig: Rig, action: Callable[[Rig], Any]) -> Any:
        """The result of `action`; a link may tell of stray replies before it is clean again."""
        for _ in range(TRIES - 1):
            with contextlib.suppress(LinkError):
                return action(rig)
        return action(rig)
