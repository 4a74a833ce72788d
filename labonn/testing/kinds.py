"""What single kinds of devices add: an SLM its shape, gain sections a switch, heaters their temperatures, triggers an edge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from labonn.testing.rig import Rig
from labonn.testing.settings import needs
from labonn.testing.suite import Suite


class Kinds(Suite):
    """Checks of one kind each."""

    @needs("slm")
    def test_an_slm_has_as_many_channels_as_macropixels(self, rig: Rig) -> None:
        rows, columns = rig.device.shape
        assert rows * columns == len(rig.device.spec)
        assert rig.device.spec.unit == "1"

    @needs("gain")
    def test_gain_sections_are_switched_off_and_on_again_with_their_row(self, rig: Rig) -> None:
        self.ready(rig)
        assert rig.device.compliance_v > 0
        bank = self.rows(rig.spec, 1)
        self.play(rig, bank, [0])
        rig.device.output(False)
        assert self.is_safe(rig)
        rig.device.output(True)
        held = self.outputs(rig)
        assert self.like(rig, None if held is None else held[None], bank)

    @needs("heaters")
    def test_heaters_tell_a_temperature_each(self, rig: Rig) -> None:
        self.ready(rig)
        read = rig.device.temperature()
        assert read.shape == (len(rig.spec),)
        assert np.all(np.isfinite(read))
        assert np.all((read > -273.15) & (read < 1000))

    @needs("trigger")
    def test_a_trigger_fires_once_each_time_it_is_told_to(self, rig: Rig) -> None:
        self.ready(rig)
        fired = self.count_edges(rig)
        for times in (1, 2):
            rig.device.arm(1, self.dwell_s)
            rig.device.fire(1, self.dwell_s)
            assert rig.emulator is None or len(fired) == times
            rig.device.fetch()

    def count_edges(self, rig: Rig) -> list[Any]:
        """A list that grows with every edge at the emulator's trigger output."""
        fired: list[Any] = []
        if rig.emulator is None:
            return fired
        if not hasattr(rig.emulator, "on_fire"):
            pytest.skip("the emulator has no `on_fire`: override `count_edges`")
        before = rig.emulator.on_fire

        def fire(*about: Any) -> None:
            fired.append(about)
            before(*about)

        rig.emulator.on_fire = fire
        return fired
