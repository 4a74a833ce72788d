"""The PM100 driver against its emulator (in process, TCP, VISA), refusals, broken wires; other people's clients on the same emulator."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from disturbed import Disturbed, served
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.pm100 import Pm100, Pm100Options
from labonn.bench import Bench
from labonn.clock import SimulatedClock
from labonn.devices import Detector, Photodetectors, Trigger
from labonn.errors import (
    DesyncError,
    IdentityError,
    LabonnError,
    LimitError,
    LinkClosedError,
    LinkTimeoutError,
    ReadingError,
    RefusedError,
    TableError,
    UnknownStateError,
)
from labonn.shots import Readings, ShotTable
from sim_backends.firmware.pm100 import Pm100Firmware
from sim_backends.served import serve_tcp
from sim_backends.simlinks import SimulatedLink


def lit(watts: float, **kinds: Any) -> Pm100Firmware:
    firmware = Pm100Firmware(**kinds)
    firmware.inputs = lambda times_s: np.full((len(times_s), 1), watts)
    return firmware


def opened(firmware: Pm100Firmware, **options: Any) -> tuple[Pm100, Disturbed]:
    link = Disturbed(SimulatedLink(firmware, SimulatedClock(), **Pm100.link_options))
    return Pm100(link, Pm100Options(**options), "power"), link


def test_opening_identifies_meter_and_sensor_and_changes_nothing() -> None:
    firmware = Pm100Firmware(serial=77)
    firmware.feed(b"SENS:CORR:WAV 900;:SENS:POW:UNIT DBM;:FOO\n")
    before, errors = dict(firmware.values), len(firmware.status.errors)
    meter, _ = opened(firmware)
    assert (meter.identity, meter.sensor) == ("Thorlabs,PM100D,P0000077", "S130C,00000077")
    assert (meter.spec.unit, meter.spec.depth, len(meter.spec)) == ("W", 1, 1)
    assert meter.spec.upper[0] == pytest.approx(5e-3 / 0.59)
    assert (firmware.values, len(firmware.status.errors)) == (before, errors)
    assert isinstance(meter, Detector)
    assert isinstance(meter, Photodetectors)
    assert isinstance(meter, Trigger)


@pytest.mark.parametrize("way", ["in process", "tcp", "visa"])
def test_power_is_read_over_every_link(way: str) -> None:
    firmware = lit(3e-5, seed=4)
    with served(way, firmware, SimulatedClock(), Pm100.link_options) as link:
        meter = Pm100(link, Pm100Options(wavelength_nm=800), "power")
        meter.arm(20, 0.02)
        before = link.exchanges
        meter.fire(20, 0.02)
        assert link.exchanges == before + 20
        watts = meter.fetch()
        assert link.exchanges == before + 20
        assert watts.shape == (20, 1)
        np.testing.assert_allclose(watts, 3e-5, rtol=1e-3)
        assert watts.std() > 0
        assert meter.saturated == 0
        assert firmware.values["nm"] == 800


def test_a_served_run_is_bit_identical_to_one_in_process() -> None:
    ends = []
    for way in ("in process", "tcp"):
        clock, firmware = SimulatedClock(), lit(1e-4)
        with served(way, firmware, clock, Pm100.link_options) as link:
            meter = Pm100(link, Pm100Options(), "power")
            meter.arm(5, 0.01)
            ends.append((clock.now(), meter.fetch().tobytes(), link.exchanges))
    assert ends[0] == ends[1]


def test_samples_averaged_follow_from_the_dwell_time() -> None:
    firmware = lit(1e-4)
    meter, link = opened(firmware)
    for dwell_s, samples in ((0.101, 300), (0.0014, 1), (60.0, 9000)):  # by hand: (dwell - 1 ms) x 3000 a second, 3 s at most
        meter.arm(1, dwell_s)
        assert firmware.values["average"] == samples
    link.asked.clear()
    meter.arm(4, 60.0)
    assert link.asked == []
    fixed, _ = opened(firmware, average=30, sample_s=3e-3)
    fixed.arm(1, 1.0)
    assert firmware.values["average"] == 30


@pytest.mark.parametrize(("average", "limit"), [(0, "1.33 ms"), (30, "11 ms")])
def test_a_shot_shorter_than_a_reading_is_refused_before_any_byte(average: int, limit: str) -> None:
    meter, link = opened(lit(1e-4), average=average)
    link.asked.clear()
    with pytest.raises(TableError, match=f"power: a shot of 100 us is shorter than a reading: {limit}"):
        meter.arm(1, 1e-4)
    assert link.asked == []


def test_more_averaging_means_less_noise() -> None:
    spreads = []
    for dwell_s in (0.0014, 0.1):
        meter, _ = opened(lit(1e-4, seed=1), range_w=5e-3)
        meter.arm(60, dwell_s)
        spreads.append(meter.fetch().std())
    assert spreads[0] > 8 * spreads[1]  # the square root of 297 samples is 17


def test_readings_of_one_fire_come_one_after_another_while_the_light_is_held() -> None:
    firmware = Pm100Firmware(noise=0.0, offset_a=0.0)
    began: list[float] = []

    def light(times_s: Any) -> Any:
        began.append(firmware.time_s)
        assert np.all((times_s > 0) & (times_s < 0.02))
        return np.full((len(times_s), 1), 1e-5 * len(began))

    firmware.inputs = light
    meter, _ = opened(firmware)
    meter.arm(3, 0.02)
    began.clear()
    meter.fire(3, 0.02)
    np.testing.assert_allclose(meter.fetch().ravel(), [1e-5, 2e-5, 3e-5], rtol=2e-4)
    assert np.all(np.diff(began) > 0.018)


def test_it_reads_when_fetched_if_another_instrument_is_the_trigger() -> None:
    firmware = lit(1e-5)
    meter, _ = opened(firmware)
    with pytest.raises(TableError, match="no record was armed"):
        meter.fetch()
    meter.fire(1, 0.01)  # the bench's trigger, but nobody reads it
    meter.arm(2, 0.01)
    firmware.inputs = lambda times_s: np.full((len(times_s), 1), 2e-5)
    np.testing.assert_allclose(meter.fetch().ravel(), 2e-5, rtol=1e-3)


def test_a_fixed_range_is_the_smallest_that_holds_it_and_saturates_beyond() -> None:
    firmware = lit(2e-4)
    meter, _ = opened(firmware, range_w=3e-4)
    meter.arm(2, 0.01)
    full = 5e-4 / firmware.sensor.at(635)  # type: ignore[union-attr]
    assert not firmware.values["auto"]
    np.testing.assert_allclose(meter.fetch(), 2e-4, rtol=1e-3)
    np.testing.assert_allclose(meter.set_range(9e-5), [full / 10])
    meter.arm(4, 0.01)
    np.testing.assert_allclose(meter.fetch(), full / 10)
    assert meter.saturated == 4
    np.testing.assert_allclose(meter.set_range(np.array([2e-4])), [full])
    meter.arm(4, 0.01)
    np.testing.assert_allclose(meter.fetch(), 2e-4, rtol=1e-3)
    assert meter.saturated == 0


def test_both_ends_of_the_ranges_are_allowed_and_nothing_beyond() -> None:
    meter, link = opened(Pm100Firmware(), wavelength_nm=960)
    meter.arm(1, 0.01)
    most = float(meter.spec.upper[0])
    assert most == pytest.approx(5e-3 / 0.61)  # the spec has followed the wavelength
    assert meter.set_range(most)[0] == pytest.approx(most)
    assert meter.set_range(1.001 * 5e-8 / 0.61)[0] == pytest.approx(5e-7 / 0.61)
    link.asked.clear()
    for bad in (0.0, -1e-6, 1.01 * most, math.nan, math.inf):
        with pytest.raises(LimitError, match=r"power: a range of .* is not above 0 and up to 8\.19672 mW"):
            meter.set_range(bad)
    assert link.asked == []


def test_the_automatic_range_follows_the_light_over_five_decades() -> None:
    firmware = Pm100Firmware(seed=2, offset_a=0.0)
    meter, _ = opened(firmware, range_w=None)
    for watts in (5e-3, 5e-4, 5e-6, 5e-7, 5e-8):
        firmware.inputs = lambda times_s, watts=watts: np.full((len(times_s), 1), watts)  # type: ignore[misc]
        meter.arm(3, 0.05)
        np.testing.assert_allclose(meter.fetch(), watts, rtol=0.01)
    firmware.inputs = lambda times_s: np.full((len(times_s), 1), 1.0)
    meter.arm(2, 0.05)
    np.testing.assert_allclose(meter.fetch(), meter.spec.upper[0])
    assert meter.saturated == 2


def test_the_zero_adjustment_removes_the_dark_signal_and_is_refused_in_the_light() -> None:
    dark = Pm100Firmware(offset_a=4e-10)
    before, _ = opened(dark)
    before.arm(10, 0.1)
    assert before.fetch().mean() == pytest.approx(4e-10 / dark.sensor.at(635), rel=0.01)  # type: ignore[union-attr]
    after, _ = opened(dark, zero=True)
    after.arm(10, 0.1)
    assert abs(after.fetch().mean()) < 1e-11
    assert after.zero() == pytest.approx(4e-10, rel=0.01)
    bright, _ = opened(lit(1e-3), zero=True)
    with pytest.raises(RefusedError, match=r"power: .*ZERO:INIT' was refused: -221,\"Settings conflict\""):
        bright.arm(1, 0.1)


def test_a_zero_adjustment_without_an_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.pm100.MOST_POLLS", 5)
    meter, link = opened(Pm100Firmware())
    link.faults = [None, *[lambda _: b"1"] * 5]
    with pytest.raises(UnknownStateError, match="its zero adjustment does not end"):
        meter.zero()


def test_a_wavelength_outside_the_sensors_range_is_refused() -> None:
    for nm in (400, 1100):
        opened(Pm100Firmware(), wavelength_nm=nm)
    for nm in (399, 1550):
        with pytest.raises(LimitError, match=f"power: wavelength_nm = {nm} is outside 400 to 1100 nm .sensor S130C,00000001."):
            opened(Pm100Firmware(), wavelength_nm=nm)
    meter, _ = opened(Pm100Firmware.for_port({"wavelength_nm": 1550.0}, 1, 0), wavelength_nm=1550)
    assert meter.sensor.startswith("S155C")


def test_a_setting_that_reads_back_otherwise_is_told() -> None:
    meter, link = opened(Pm100Firmware(), wavelength_nm=850)
    link.faults = [lambda reply: reply.replace(b"8.50000000E+02", b"8.50100000E+02")]
    with pytest.raises(UnknownStateError, match=r"850\.1 nm"):
        meter.arm(1, 0.01)
    meter.arm(1, 0.01)
    link.faults = [lambda reply: reply.replace(b"8.9", b"6.9")]
    with pytest.raises(UnknownStateError, match=r"range 6\.9\d* mW, automatic 0 were read back after 7 mW"):
        meter.set_range(7e-3)
    link.faults = [lambda reply: b'3;0,"No error"']
    with pytest.raises(UnknownStateError, match="3 samples a reading were read back, 297 set"):
        meter.arm(1, 0.1)


def test_a_refused_reading_raises_with_the_instruments_words() -> None:
    firmware = lit(1e-5)
    meter, _ = opened(firmware)
    meter.arm(1, 0.01)
    firmware.sensor = None  # somebody unplugs it
    with pytest.raises(RefusedError, match='-241,"Hardware missing"'):
        meter.fetch()


def test_what_is_no_number_is_no_reading() -> None:
    meter, link = opened(lit(1e-5))
    meter.arm(2, 0.01)
    link.faults = [None, lambda _: b'9.91000000E+37;9.91000000E+37;2;0,"No error"']
    with pytest.raises(ReadingError, match="power: reading 1 is not a number"):
        meter.fetch()


def test_other_instruments_and_sensors_are_not_taken() -> None:
    class Other:
        def __init__(self, *answers: bytes) -> None:
            self.answers = list(answers)

        def exchange(self, request: bytes, lines: int = 1) -> bytes:
            return self.answers.pop(0)

    for answers, error, words in (
        ((b"KEITHLEY INSTRUMENTS INC.,MODEL 2400,1,2",), IdentityError, "KEITHLEY"),
        ((b"THORLABS,PM100D,P1,2.4.0", b"no sensor,,,0,0,0"), IdentityError, "no sensor head is connected"),
        ((b"THORLABS,PM100D,P1,2.4.0", b'"ES111C","1","02-Jan-2020",3,1,2'), IdentityError, "ES111C,1 does not measure power"),
        ((b"THORLABS,PM100D,P1,2.4.0", b"S130C,1,2"), DesyncError, "not the identification of a sensor"),
    ):
        with pytest.raises(error, match=words):
            Pm100(Other(*answers), Pm100Options(), "power")  # type: ignore[arg-type]
    with pytest.raises(IdentityError, match="no sensor head"):
        opened(Pm100Firmware(sensor=""))


@pytest.mark.parametrize(
    "wrong", [{"wavelength_nm": 0.0}, {"range_w": math.inf}, {"sample_s": 0.0}, {"average": -1}, {"average": 9001}, {"bandwidth": "wide"}]
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Pm100Options(**wrong)


def test_late_and_doubled_replies_are_never_readings_and_a_closed_link_is_told() -> None:
    firmware = lit(1e-5)
    meter, link = opened(firmware)
    meter.arm(1, 0.01)
    link.faults = [LinkTimeoutError("lost")]
    with pytest.raises(LinkTimeoutError):
        meter.fetch()
    link.faults = [lambda reply: reply + b";" + reply]
    with pytest.raises(DesyncError):
        meter.fetch()
    link.faults = [lambda reply: reply[: len(reply) // 2]]
    with pytest.raises(DesyncError):
        meter.fetch()
    np.testing.assert_allclose(meter.fetch(), 1e-5, rtol=0.01)
    meter.close()
    meter.close()
    with pytest.raises(LinkClosedError):
        meter.fetch()


GARBAGE = [
    b"", b";", b'0,"No error"', b'1.0E-05;0,"No error"', b"1.0E-05", b'1.0E-05;-113,"Undefined header"', b'nan;0,"No error"',
    b'9.91E+37;0,"No error"', b'9.9E+37;0,"No error"', b"S130C,1,02-Jan-2020,1,18,289", b"Thorlabs,PM100D,P1,2", b"W", b"4.0E+02;1.1E+03",
    b'1_0;0,"No error"', b"1", b"0",
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(GARBAGE) | st.binary(max_size=30), min_size=1, max_size=8))
def test_whatever_the_wire_says_only_typed_errors_come_out(answers: list[bytes]) -> None:
    link = Disturbed(SimulatedLink(lit(1e-5), SimulatedClock(), **Pm100.link_options))

    def disturb() -> None:
        link.faults = [lambda _, answer=answer: answer for answer in answers]  # type: ignore[misc]

    disturb()
    meter: Pm100 | None = None
    with contextlib.suppress(LabonnError):
        meter = Pm100(link, Pm100Options(wavelength_nm=850), "power")
    link.faults = []
    if meter is None:
        meter = Pm100(link, Pm100Options(), "power")
    actions: list[Callable[[], Any]] = [lambda: meter.arm(2, 0.01), lambda: meter.fire(2, 0.01), meter.fetch, lambda: meter.set_range(1e-4)]
    for action in actions:
        disturb()
        with contextlib.suppress(LabonnError):
            action()


@pytest.mark.parametrize("answer", [a for a in GARBAGE if a not in GARBAGE[3:9:5] and not a.startswith(b"9.9E")])
def test_only_the_whole_right_answer_counts_as_a_reading(answer: bytes) -> None:
    meter, link = opened(lit(1e-5))
    meter.arm(1, 0.01)
    link.faults = [lambda _: answer]
    with pytest.raises((DesyncError, RefusedError, ReadingError)):
        meter.fetch()


BENCH = """
[ports.power]
driver = "pm100"
link = "visa://USB0::0x1313::0x8078::P0000001::INSTR"
role = "trigger"
wavelength_nm = 850.0
[simulation]
bench = "unlit"
"""


def test_a_bench_reads_it_shot_by_shot_in_the_dark(tmp_path: Path) -> None:
    file = tmp_path / "bench.toml"
    file.write_text(BENCH)

    def plan() -> Any:
        readings: Readings = yield ShotTable({}, dwell_s=0.02, shots=7)
        return readings["power"]

    for way in ({}, {"served": True}):
        with Bench.open(file, dry_run=True, **way) as bench:  # type: ignore[arg-type]
            watts = bench.run(plan())
        assert watts.shape == (7, 1)
        assert np.all(np.abs(watts) < 1e-8)
        assert watts.std() > 0


@contextlib.contextmanager
def visa_name(firmware: Pm100Firmware) -> Iterator[str]:
    with serve_tcp(firmware, SimulatedClock()) as url:
        yield f"TCPIP::127.0.0.1::{url.rpartition(':')[2]}::SOCKET"


@contextlib.contextmanager
def pymeasure_adapter(firmware: Pm100Firmware) -> Iterator[Any]:
    """PyMeasure's own VISA adapter, on a socket."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pymeasure.adapters import VISAAdapter
    with serve_tcp(firmware, SimulatedClock()) as url:
        name = f"TCPIP::127.0.0.1::{url.rpartition(':')[2]}::SOCKET"
        adapter = VISAAdapter(name, visa_library="@py", read_termination="\n", write_termination="\n", timeout=2000)
        try:
            yield adapter
        finally:
            adapter.close()
            adapter.manager.close()


def test_pymeasures_driver_works_unchanged() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pymeasure.instruments.thorlabs import ThorlabsPM100USB
    with pymeasure_adapter(lit(1e-4, serial=5)) as adapter:
        with pytest.warns(FutureWarning):
            meter = ThorlabsPM100USB(adapter)
        assert (meter.sensor_name, meter.is_power_sensor, meter.is_energy_sensor, meter.wavelength_settable) == ("S130C", True, False, True)
        assert (meter.wavelength_min, meter.wavelength_max) == (400, 1100)
        meter.wavelength = 850
        assert meter.wavelength == 850
        meter.wavelength = 5000  # which it truncates
        assert meter.wavelength == 1100
        meter.wavelength = 800
        assert meter.power == pytest.approx(1e-4, rel=1e-3)
        with pytest.raises(AttributeError, match="not an energy sensor"):
            _ = meter.energy
        assert meter.ask("SYST:ERR?").strip() == '0,"No error"'
    with pymeasure_adapter(Pm100Firmware(sensor="")) as adapter, pytest.warns(FutureWarning), pytest.raises(OSError, match="No sensor"):
        ThorlabsPM100USB(adapter)


class Instrument:
    """The few calls that the ThorlabsPM100 package makes of a VISA resource."""

    def __init__(self, firmware: Pm100Firmware) -> None:
        self.firmware, self.sent = firmware, 0

    def write(self, command: str) -> None:
        assert self.firmware.feed(command.encode() + b"\n") == b"", command
        self.sent += 1

    def query(self, command: str) -> str:
        reply = self.firmware.feed(command.encode() + b"\n").decode()
        assert reply.endswith("\n"), command
        self.sent += 1
        return reply.removesuffix("\n")


def no_error(firmware: Pm100Firmware) -> bool:
    return firmware.feed(b"SYST:ERR?\n") == b'0,"No error"\n'


def test_the_thorlabspm100_package_does_its_ordinary_work() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ThorlabsPM100 import ThorlabsPM100
    firmware = lit(1e-4)
    meter = ThorlabsPM100(inst=Instrument(firmware))
    assert meter.read == pytest.approx(1e-4, rel=1e-3)
    assert meter.fetch == pytest.approx(1e-4, rel=1e-3)
    meter.sense.average.count = 10
    assert meter.sense.average.count == 10
    meter.sense.correction.wavelength = 900
    assert (meter.sense.correction.wavelength, meter.sense.correction.minimum_wavelength) == (900, 400)
    meter.sense.power.dc.range.auto = "OFF"
    meter.sense.power.dc.range.upper = 3e-4
    assert meter.sense.power.dc.range.upper == pytest.approx(5e-4 / 0.59)
    assert meter.sense.power.dc.range.maximum_upper == pytest.approx(5e-3 / 0.59)
    assert meter.sense.power.dc.range.minimum_upper == pytest.approx(5e-8 / 0.59)
    meter.sense.power.dc.unit = "DBM"
    assert meter.read == pytest.approx(-10, abs=0.01)
    meter.sense.power.dc.unit = "W"
    meter.sense.power.dc.reference.value = 4e-5
    meter.sense.power.dc.reference.state = "ON"
    assert meter.read == pytest.approx(6e-5, rel=1e-3)
    meter.sense.power.dc.reference.state = "OFF"
    meter.sense.correction.loss.input.magnitude = 3
    assert meter.read == pytest.approx(1e-4 * 10**0.3, rel=1e-3)
    meter.sense.correction.loss.input.magnitude = 0
    meter.sense.correction.beamdiameter = 10
    meter.configure.scalar.pdensity()
    assert meter.getconfigure == "PDEN"
    assert meter.read == pytest.approx(1e-4 / (math.pi * 0.25), rel=1e-3)  # a beam of 1 cm
    meter.configure.scalar.current.dc()
    assert meter.read == pytest.approx(0.59e-4, rel=1e-3)
    meter.measure.scalar.power()
    assert meter.fetch == pytest.approx(1e-4, rel=1e-3)
    firmware.inputs = lambda times_s: np.zeros((len(times_s), 1))
    meter.sense.correction.collect.zero.initiate()
    polls = 0
    while meter.sense.correction.collect.zero.state:
        polls += 1
    assert 0 < polls < 20
    assert meter.sense.correction.collect.zero.magnitude == pytest.approx(2e-10, rel=0.05)
    assert meter.system.sensor.idn.startswith("S130C,")
    assert no_error(firmware)


def test_every_property_of_the_thorlabspm100_package_can_be_read() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ThorlabsPM100 import ThorlabsPM100
    for sensor, unknown in (("S130C", ("energy", "thermopile", "voltage", "pyro")), ("S302C", ("energy", "pyro", "current", "pdiode"))):
        firmware = lit(1e-3, sensor=sensor)
        read = 0

        def walk(group: Any, path: str) -> Iterator[tuple[Any, str]]:
            for name in group._property_list:
                yield group, f"{path}.{name}"
            for name in group._subgroups:
                yield from walk(getattr(group, name), f"{path}.{name}")

        meter = ThorlabsPM100(inst=Instrument(firmware))
        assert meter.read == pytest.approx(1e-3, rel=1e-3)
        for group, path in walk(meter, ""):
            own = path.split(".")
            if any(word in own for word in unknown) or isinstance(getattr(type(group), own[-1], None), property) is False:
                continue
            value = getattr(group, own[-1])
            read += 1
            assert no_error(firmware), path
            if own[-1] != "type":  # write-only in the package
                assert value is not None, path
        assert read > 60
