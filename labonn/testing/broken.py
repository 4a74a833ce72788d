"""What drivers do when the wire is broken: every fault of every exchange is told, or was made good; nothing wrong is believed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from labonn.errors import DesyncError, LinkClosedError, LinkError, LinkTimeoutError
from labonn.testing.breaking import Breaking
from labonn.testing.rig import Rig
from labonn.testing.settings import needs
from labonn.testing.wire import FAULTS

PASSING = ("lost", "truncated", "doubled", "late")


class Broken(Breaking):
    """Drivers over a wire that loses, cuts, doubles, delays and mixes up replies."""

    @needs("actuator", "wire")
    @pytest.mark.parametrize("fault", FAULTS)
    def test_a_set_over_a_broken_wire_is_told_or_true(self, fault: str) -> None:
        for place in self.places(self.set_second):
            with self.opened() as rig:
                bank = self.ready_with_a_row(rig)
                told, _ = self.broken(rig, place, fault, self.set_second)
                if told is None:
                    assert self.like(rig, self.held(rig) if rig.spec.depth == 1 else self.table(rig, 1), bank[[1]])
                rig.device.safe()
                assert self.is_safe(rig)
                assert self.like(rig, self.play(rig, bank, [2]), bank[[2]])

    @needs("actuator", "wire")
    def test_a_set_whose_reply_is_lost_times_out(self) -> None:
        for place in self.places(self.set_second):
            with self.opened() as rig:
                self.ready_with_a_row(rig)
                with rig.wire.broken(*[None] * place, "lost"), pytest.raises(LinkTimeoutError):
                    self.set_second(rig)

    @needs("actuator", "wire")
    @pytest.mark.parametrize("fault", PASSING)
    def test_safe_gets_through_passing_trouble(self, fault: str) -> None:
        for place in self.places(self.make_safe):
            with self.opened() as rig:
                self.ready_with_a_row(rig)
                with rig.wire.broken(*[None] * place, fault):
                    rig.device.safe()
                assert self.is_safe(rig)

    @needs("detector", "wire")
    @pytest.mark.parametrize("fault", FAULTS)
    def test_a_record_over_a_broken_wire_is_told_or_true(self, fault: str) -> None:
        for place in self.places(self.record_four):
            with self.opened() as rig:
                self.ready(rig)
                self.record(rig, 2)
                told, read = self.broken(rig, place, fault, self.record_four)
                assert told is not None or self.like(rig, read, self.lit(rig, 4))
                assert self.like(rig, self.after_trouble(rig, self.record_four), self.lit(rig, 4))

    @needs("detector", "wire")
    def test_a_record_whose_reply_is_lost_times_out(self) -> None:
        for place in self.places(self.record_four):
            with self.opened() as rig:
                self.ready(rig)
                with rig.wire.broken(*[None] * place, "lost"), pytest.raises(LinkTimeoutError):
                    self.record_four(rig)

    @needs("messages")
    def test_an_earlier_reply_in_place_of_the_right_one_is_not_believed(self) -> None:
        action: Callable[[Rig], Any] = self.set_second if "actuator" in self.traits() else self.record_four
        for place in self.places(action):
            with self.opened() as rig:
                self.ready_with_a_row(rig)
                self.broken(rig, 0, None, action)
                with rig.wire.broken(*[None] * place, "earlier"), pytest.raises(DesyncError):
                    action(rig)

    @needs("wire")
    def test_a_dropped_link_is_told_and_a_new_one_works(self, rig: Rig) -> None:
        bank = self.ready_with_a_row(rig)
        rig.wire.dropped = True
        with pytest.raises(LinkClosedError):
            self.work(rig, bank)
        if "actuator" in self.traits():
            with pytest.raises(LinkError):
                rig.device.safe()
        rig.device.close()
        rig.wire.dropped = False
        self.wait_for_the_instrument(rig)
        rig.reopen()
        self.ready(rig)
        self.work(rig, bank)
