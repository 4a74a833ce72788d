"""The behaviour suite on every registered driver against its emulator; a driver that is registered is in it."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import numpy as np

from labonn.registry import registered
from labonn.testing import DriverBehaviour, Rig

SMALL_SLM = {"shape": [4, 6], "panel": [24, 36]}
OPTIONS: dict[str, dict[str, Any]] = {
    "qontrol": {"channels": 5, "first": 2},
}


class Test_meerstetter(DriverBehaviour):
    driver = "meerstetter"

    def refuse(self, rig: Rig) -> None:
        """It has no limit registers for targets, but a range: 150 degC at most."""
        rig.device.spec = rig.spec.__class__(rig.spec.names, "degC", rig.spec.lower, 2 * rig.spec.upper, rig.spec.step, rig.spec.settle_s)
        self.play(rig, 2 * rig.spec.upper[None], [0])


class Test_slm_slmpy_net(DriverBehaviour):
    driver = "slm_slmpy_net"
    options: ClassVar[dict[str, Any]] = SMALL_SLM
    test_another_instrument_is_not_taken = None  # it cannot be asked who it is

    def refuse(self, rig: Rig) -> None:
        """The server knows its panel's size, the bench file's is too small."""
        rig.device.load(self.rows(rig.spec, 1), np.array([0]), self.dwell_s)
        with rig.wire.broken(lambda reply: b"err"):
            rig.device.arm()


class Test_slm_server(DriverBehaviour):
    driver = "slm_server"
    options: ClassVar[dict[str, Any]] = SMALL_SLM

    def refuse(self, rig: Rig) -> None:
        """Another client has taken the panel meanwhile."""
        self.wait_for_the_instrument(rig)
        other = json.dumps({"op": "open", "seq": 1, "session": "of another bench", "name": "another bench", "lease_s": 60}).encode()
        assert b"error" not in rig.emulator.handle_parts([other])[0]
        try:
            self.play(rig, self.rows(rig.spec, 1), [0])
        finally:
            self.wait_for_the_instrument(rig)

    def wait_for_the_instrument(self, rig: Rig) -> None:
        """The panel belongs to the one before until its lease ends."""
        ended_s = rig.emulator.now() + 2 * rig.port.options.lease_s
        rig.emulator.now = lambda: ended_s


class Test_pm100(DriverBehaviour):
    """A reading is as long as its averaging, and sees light by itself, not by its place in a table."""

    driver = "pm100"
    dwell_s = 0.02
    before = 0

    def readings(self, rig: Rig) -> int:
        return sum(request.count(b"READ?") for request in rig.wire.requests)

    def illuminate(self, rig: Rig, signal: Any) -> None:
        rig.emulator.inputs = lambda times_s: signal(np.full(len(times_s), (self.readings(rig) - self.before - 0.5) * self.dwell_s))

    def record(self, rig: Rig, shots: int, bursts: int = 1) -> Any:
        self.before = self.readings(rig)
        return super().record(rig, shots, bursts)

    def test_a_trigger_fires_once_each_time_it_is_told_to(self, rig: Rig) -> None:
        """It has no trigger output; what it does at once is read."""
        self.ready(rig)
        rig.device.arm(3, self.dwell_s)
        rig.device.fire(3, self.dwell_s)
        assert self.readings(rig) == 3
        rig.device.fetch()
        assert self.readings(rig) == 3


class Test_slm_monitor(DriverBehaviour):
    driver = "slm_monitor"
    options: ClassVar[dict[str, Any]] = SMALL_SLM
    ends_with_its_driver = True
    test_a_refused_set_is_told_in_the_instruments_words = None  # a window refuses nothing


class Test_slm_slmpy(DriverBehaviour):
    driver = "slm_slmpy"
    options: ClassVar[dict[str, Any]] = SMALL_SLM
    ends_with_its_driver = True
    test_a_refused_set_is_told_in_the_instruments_words = None  # a window refuses nothing


class Test_redpitaya_out(DriverBehaviour):
    driver = "redpitaya_out"
    options: ClassVar[dict[str, Any]] = {"trigger": "external"}
    passing = ("time_s", "volts_v")  # what was triggered ends while somebody talks to it


class Test_ldc500_laser(DriverBehaviour):
    driver = "ldc500_laser"
    passing = ("time_s", "currents_a", "powers_w", "temperatures_c")  # they settle


class Test_ldc500_tec(DriverBehaviour):
    driver = "ldc500_tec"
    passing = ("time_s", "currents_a", "powers_w", "temperatures_c", "status")

    def is_safe(self, rig: Rig) -> bool:
        return not rig.emulator.tec.on


class Test_nidaqmx_out(DriverBehaviour):
    driver = "nidaqmx_out"
    options: ClassVar[dict[str, Any]] = {"channels": 3, "trigger": "PFI0"}  # its own inputs do not trigger it here

    def sdk_problem(self, rig: Rig) -> Exception:
        return unplugged(rig)


class Test_nidaqmx_in(DriverBehaviour):
    driver = "nidaqmx_in"

    def sdk_problem(self, rig: Rig) -> Exception:
        return unplugged(rig)


def unplugged(rig: Rig) -> Exception:
    """What NI's package raises."""
    problem: Exception = rig.emulator.errors.DaqError("Device identifier is invalid.", -200220)
    return problem


for _name in registered("labonn.drivers"):
    _made = type(f"Test_{_name}", (DriverBehaviour,), {"driver": _name, "options": OPTIONS.get(_name, {}), "__module__": __name__})
    globals().setdefault(_made.__name__, _made)


class Test_qontrol_by_volts(DriverBehaviour):
    driver = "qontrol"
    options: ClassVar[dict[str, Any]] = {"mode": "voltage", "channels": 12}
    upper = "4.5 V"  # into 200 ohm; 24 mA is its compliance


class Test_stream_dac_of_amperes(DriverBehaviour):
    driver = "stream_dac"
    options: ClassVar[dict[str, Any]] = {"channels": 3, "a_per_v": 0.01}

    def table(self, rig: Rig, shots: int) -> Any:
        """The emulator's outputs are volts."""
        return 0.01 * rig.emulator.volts()


class Test_stream_dac_of_floats(DriverBehaviour):
    driver = "stream_dac"
    options: ClassVar[dict[str, Any]] = {"channels": 11, "bits": 64}


class Test_stream_adc_of_floats(DriverBehaviour):
    driver = "stream_adc"
    options: ClassVar[dict[str, Any]] = {"channels": 1, "bits": 32}


class Test_keithley2400_with_a_small_range(DriverBehaviour):
    driver = "keithley2400"
    options: ClassVar[dict[str, Any]] = {"range_a": 0.001, "compliance_v": 2.0}
    upper = "0.5 mA"


class Test_slm_monitor_of_10_bits(DriverBehaviour):
    driver = "slm_monitor"
    options: ClassVar[dict[str, Any]] = {"shape": [3, 5], "panel": [24, 40], "bits": 10, "stroke_rad": 5.0}
    ends_with_its_driver = True
    test_a_refused_set_is_told_in_the_instruments_words = None
