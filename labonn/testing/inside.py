"""What drivers do when the instrument itself is at fault: its functions fail, it forgets a set, it tells what is not so."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from labonn.errors import InstrumentError, LabonnError, ReadingError, UnknownStateError
from labonn.testing.breaking import Breaking
from labonn.testing.rig import PORT, Rig
from labonn.testing.settings import needs


class Inside(Breaking):
    """Function tables whose functions raise, and emulators that have `faults`."""

    @needs("table")
    def test_a_function_that_fails_is_told_and_safe_works_behind_it(self) -> None:
        action: Callable[[Rig], Any] = self.set_second if "actuator" in self.traits() else self.record_four
        for place in self.places(action):
            with self.opened() as rig:
                bank = self.ready_with_a_row(rig)
                with rig.wire.broken(*[None] * place, self.sdk_problem(rig)), pytest.raises(LabonnError, match=PORT):
                    action(rig)
                if "actuator" in self.traits():
                    rig.device.safe()
                    assert self.is_safe(rig)
                self.work(rig, bank)

    @needs("actuator", "ignore")
    def test_a_set_that_is_acknowledged_and_not_done_is_told(self, rig: Rig) -> None:
        bank = self.ready_with_a_row(rig)
        rig.emulator.inject("ignore", None)
        with contextlib.suppress(InstrumentError):
            assert self.like(rig, self.play(rig, bank, [1]), bank[[1]])
        assert self.like(rig, self.play(rig, bank.copy(), [2]), bank[[2]])

    @needs("actuator", "misread")
    def test_a_read_back_that_is_not_what_was_set_is_told(self, rig: Rig) -> None:
        bank = self.ready_with_a_row(rig)
        rig.emulator.inject("misread", 1.5)
        with pytest.raises(UnknownStateError, match=PORT):  # noqa: PT012
            self.play(rig, bank, [1])
            rig.prepare()  # of an instrument in which only limits are read back

    @needs("detector", "nan")
    def test_what_is_no_number_does_not_become_one(self, rig: Rig) -> None:
        self.ready(rig)
        rig.emulator.inject("nan", 0)
        try:
            read = self.record(rig, 4)[:, 0]
        except ReadingError:
            return
        assert not np.any(np.isfinite(read)) or np.ptp(read) == 0, "the bench can tell it by that"
