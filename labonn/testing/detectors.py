"""What every detector does: as many rows as shots, in order, finite, of the light that is there, burst after burst."""

from __future__ import annotations

import numpy as np
import pytest

from labonn.errors import LabonnError
from labonn.testing.rig import PORT, Rig
from labonn.testing.settings import needs
from labonn.testing.suite import Suite

BURSTS = 3


class Detectors(Suite):
    """Drivers whose instruments read light."""

    @needs("detector")
    @pytest.mark.parametrize("shots", [1, 5])
    def test_there_are_as_many_finite_rows_as_shots(self, rig: Rig, shots: int) -> None:
        self.ready(rig)
        read = self.record(rig, shots)
        assert read.shape == (shots, len(rig.spec))
        assert read.dtype in (np.float32, np.float64)
        assert np.all(np.isfinite(read))

    @needs("detector", "emulated")
    def test_rows_and_channels_are_those_of_the_light(self, rig: Rig) -> None:
        self.ready(rig)
        assert self.like(rig, self.record(rig, 6), self.lit(rig, 6))

    @needs("detector")
    def test_it_is_armed_and_read_again_and_again(self, rig: Rig) -> None:
        self.ready(rig)
        for shots in (4, 2, 4):
            read = self.record(rig, shots)
            assert read.shape == (shots, len(rig.spec))
            assert rig.emulator is None or self.like(rig, read, self.lit(rig, shots))

    @needs("detector")
    def test_armed_twice_it_records_once(self, rig: Rig) -> None:
        self.ready(rig)
        rig.device.arm(5, self.dwell_s)
        assert self.record(rig, 3).shape == (3, len(rig.spec))

    @needs("detector")
    def test_as_many_bursts_as_it_takes_follow_each_other_in_one_record(self, rig: Rig) -> None:
        self.ready(rig)
        bursts = min(BURSTS, getattr(rig.device, "most_bursts", 1))
        read = self.record(rig, 2, bursts)
        assert read.shape == (2 * bursts, len(rig.spec))
        assert rig.emulator is None or self.like(rig, read, np.tile(self.lit(rig, 2), (bursts, 1)))

    @needs("detector")
    @pytest.mark.parametrize("part", [1.0, 0.5, 0.1])
    def test_a_range_is_taken_that_holds_what_was_asked_for(self, rig: Rig, part: float) -> None:
        self.ready(rig)
        wanted = part * np.asarray(rig.spec.upper)
        taken = np.asarray(rig.device.set_range(wanted))
        assert taken.shape == (len(rig.spec),)
        assert np.all(taken >= wanted * (1 - 1e-6))
        lit = 0.9 * wanted
        if rig.emulator is not None:
            self.illuminate(rig, lambda times: np.repeat(lit[None], len(times), axis=0))
            assert np.all(np.abs(self.record(rig, 2) - lit) <= self.tolerance(rig))

    @needs("detector")
    def test_a_range_beyond_all_is_refused(self, rig: Rig) -> None:
        for wrong in (1e9, -1.0, np.nan):
            with pytest.raises(LabonnError, match=PORT):
                rig.device.set_range(wrong)
