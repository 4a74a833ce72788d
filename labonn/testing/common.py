"""What drivers of every kind do: open without a change, close without a fuss, tell who answered."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import numpy as np
import pytest

from labonn import devices
from labonn.errors import LabonnError
from labonn.registry import load
from labonn.testing.rig import PORT, Rig
from labonn.testing.settings import needs
from labonn.testing.suite import Suite


class Common(Suite):
    """Every driver."""

    def test_the_class_says_all_that_a_bench_wants_to_know(self) -> None:
        driver: Any = load("labonn.drivers", self.driver)
        assert dataclasses.is_dataclass(driver.Options)
        assert vars(driver.Options)["__dataclass_params__"].frozen, "Options is a frozen dataclass"
        assert hasattr(devices, driver.kind), f"kind = {driver.kind!r} is not one of labonn/devices.py"
        assert isinstance(driver.link_options, dict)
        assert hasattr(driver, "load_sdk") == (driver.transport == "sdk")

    def test_the_device_does_what_its_kind_promises(self, rig: Rig) -> None:
        kind = getattr(devices, rig.device.kind)
        wanted = devices.Actuator if rig.device.kind == "Modulators" else kind  # modulators add nothing to an actuator
        assert isinstance(rig.device, wanted)

    def test_identity_and_limits_are_complete(self, rig: Rig) -> None:
        spec = rig.device.spec
        assert isinstance(rig.device.identity, str)
        assert rig.device.identity.strip()
        assert len(spec) >= 1
        assert len(set(spec.names)) == len(spec)
        assert spec.depth >= 1
        assert np.all(np.isfinite([spec.lower, spec.upper, spec.step, spec.settle_s]))
        assert np.all(spec.lower < spec.upper)
        assert np.all(spec.step >= 0)
        assert np.all(spec.settle_s >= 0)
        assert getattr(rig.device, "most_bursts", 1) >= 1

    def test_closing_twice_does_nothing_bad(self, rig: Rig) -> None:
        rig.device.close()
        rig.device.close()
        rig.reopen()

    @needs("emulated")
    def test_opening_changes_nothing_of_an_instrument_that_is_just_on(self, rig: Rig) -> None:
        rig.device.close()
        before = self.state(rig)
        rig.reopen()
        assert self.state(rig) == before

    @needs("emulated")
    def test_opening_changes_nothing_of_an_instrument_that_is_at_work(self, rig: Rig) -> None:
        self.ready(rig)
        if "actuator" in self.traits():
            self.play(rig, self.rows(rig.spec, 1), [0])
        else:
            rig.device.arm(3, self.dwell_s)
        rig.device.close()
        before = self.state(rig)
        rig.reopen()
        assert self.state(rig) == before

    @needs("emulated", "wire")
    def test_on_a_socket_or_terminal_it_is_the_same_instrument(self, rig: Rig) -> None:
        identity, spec = rig.device.identity, rig.device.spec
        assert rig.serve() is not None
        assert (rig.device.identity, list(rig.device.spec.names)) == (identity, list(spec.names))
        assert np.array_equal(rig.device.spec.upper, spec.upper)
        self.ready(rig)
        if "actuator" in self.traits():
            rows = self.rows(rig.spec, 1)
            assert self.like(rig, self.play(rig, rows, [0]), rows)
            rig.device.safe()
            assert self.is_safe(rig)
        else:
            assert self.like(rig, self.record(rig, 2), self.lit(rig, 2))

    @needs("emulated", "wire")
    def test_another_instrument_is_not_taken(self, rig: Rig) -> None:
        if not rig.exchanges:
            pytest.skip("this instrument cannot be asked who it is")
        rig.wire.faults = ["foreign"] * 100
        with pytest.raises(LabonnError, match=PORT):
            rig.reopen()

    @needs("emulated", "wire")
    @pytest.mark.parametrize("fault", ["lost", "unheard", "truncated", "doubled", "late"])
    def test_opening_over_a_broken_wire_fails_or_finds_the_truth(self, rig: Rig, fault: str) -> None:
        identity, upper = rig.device.identity, rig.device.spec.upper
        for place in range(min(rig.exchanges, 20)):
            with rig.wire.broken(*[None] * place, fault), contextlib.suppress(LabonnError):
                found = rig.reopen()
                assert found.identity == identity
                assert np.array_equal(found.spec.upper, upper)
            rig.wire.owed = None
        assert rig.reopen().identity == identity
