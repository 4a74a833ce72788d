"""The LDC500 drivers against their emulator (in process, TCP, serial, VISA), refusals, trips, broken wires; and PyMeasure on it."""

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

from drivers.insist import TRIES
from drivers.ldc500 import LINK, Ldc500Line, number, token, tripped
from drivers.ldc500_laser import Ldc500Laser, Ldc500LaserOptions
from drivers.ldc500_tec import Ldc500Tec, Ldc500TecOptions
from labonn.bench import Bench
from labonn.clock import SimulatedClock
from labonn.devices import Actuator, GainSections, Heaters
from labonn.errors import (
    DesyncError,
    IdentityError,
    LabonnError,
    LimitError,
    LinkClosedError,
    LinkTimeoutError,
    RefusedError,
    TableError,
    UnknownStateError,
)
from labonn.shots import ShotTable
from sim_backends.firmware.ldc500 import Ldc500Firmware
from sim_backends.served import serve_tcp
from sim_backends.simlinks import SimulatedLink


def wire(firmware: Ldc500Firmware) -> Disturbed:
    return Disturbed(SimulatedLink(firmware, SimulatedClock(), **LINK), longest=63)  # or a real one throws it away


def laser_of(firmware: Ldc500Firmware, upper: float = 0.1, **options: Any) -> tuple[Ldc500Laser, Disturbed]:
    link = wire(firmware)
    laser = Ldc500Laser(link, Ldc500LaserOptions(**{"limit_a": 0.2, **options}), "pump")
    laser.prepare(laser.spec.tighten(None, upper, "bench.toml"))
    link.asked.clear()
    return laser, link


def tec_of(firmware: Ldc500Firmware, **options: Any) -> tuple[Ldc500Tec, Disturbed]:
    link = wire(firmware)
    tec = Ldc500Tec(link, Ldc500TecOptions(**options), "oven")
    tec.prepare(tec.spec.tighten(None, 50.0, "bench.toml"))
    link.asked.clear()
    return tec, link


def hold(device: Any, value: float) -> None:
    device.load(np.array([[value]]), np.zeros(3, int), 1e-6)
    device.arm()


def snapshot(firmware: Ldc500Firmware) -> tuple[dict[str, Any], dict[str, Any]]:
    moving = ("temperature_c", "current_a", "_error")
    halves = [vars(half).items() for half in (firmware.laser, firmware.tec)]
    laser, tec = ({k: v for k, v in half if isinstance(v, int | float | dict) and "_s" not in k and k not in moving} for half in halves)
    return laser, tec


def test_replies_are_read_as_numbers_and_tokens_in_either_mode() -> None:
    assert number("p", "123.000") == 123
    assert number("p", "-1.5E-03") == -1.5e-3
    assert [token("p", reply, ("OFF", "ON")) for reply in ("OFF", "ON", "0", "1")] == [0, 1, 0, 1]
    for bad in ("", "nan", "1,2", "1_0", "ON", "1 2", "١"):
        with pytest.raises(DesyncError, match="p: "):
            number("p", bad)
    for bad in ("2", "on", "", "ONOFF", "-1", "²"):
        with pytest.raises(DesyncError, match="p: "):
            token("p", bad, ("OFF", "ON"))
    assert tripped(1024 + 8192) == "over-voltage, above TMAX"
    assert "interlock" in tripped(0)


def test_opening_identifies_both_halves_and_changes_nothing() -> None:
    firmware = Ldc500Firmware(serial=77)
    firmware.feed(b"TERM LF;SILM 150;SILD 100;LDON 1;TEMP 30;TEON 1;TOKN 1\n")
    firmware.feed(b"FOOO;SILD 999\n")
    before, errors = snapshot(firmware), (firmware.status.execution, firmware.status.command)
    link = wire(firmware)
    laser, tec = Ldc500Laser(link, Ldc500LaserOptions(), "pump"), Ldc500Tec(link, Ldc500TecOptions(), "oven")
    assert laser.identity == tec.identity == "Stanford_Research_Systems,LDC501,s/n000077"
    assert (laser.spec.unit, laser.spec.depth, laser.spec.lower[0], laser.spec.upper[0]) == ("A", 1, 0.0, pytest.approx(0.15))
    assert (tec.spec.unit, tec.spec.depth, tec.spec.lower[0], tec.spec.upper[0]) == ("degC", 1, 0.0, 60.0)
    assert snapshot(firmware) == before
    assert (firmware.status.execution, firmware.status.command) == errors == (1, 2)  # not taken away from whoever made them
    assert isinstance(laser, Actuator)
    assert isinstance(laser, GainSections)
    assert isinstance(tec, Actuator)
    assert isinstance(tec, Heaters)
    assert Ldc500Laser.shares == Ldc500Tec.shares
    assert Ldc500Laser.link_options == Ldc500Tec.link_options


@pytest.mark.parametrize(("range_", "limit_a", "upper"), [("", None, 0.25), ("low", 0.4, 0.25), ("high", 0.4, 0.4), ("high", 2.0, 0.5)])
def test_the_limit_is_the_tightest_of_range_and_silm_or_option(range_: str, limit_a: float | None, upper: float) -> None:
    laser = Ldc500Laser(wire(Ldc500Firmware()), Ldc500LaserOptions(range=range_, limit_a=limit_a), "pump")
    assert laser.spec.upper[0] == pytest.approx(upper)
    laser.prepare(laser.spec)


def test_preparing_switches_off_and_writes_the_limits_into_the_registers() -> None:
    firmware = Ldc500Firmware()
    firmware.feed(b"SILD 100;LDON 1;MODU 1;PILM 5000;SMOD CP;FOO;SILD 999\n")
    laser, _ = laser_of(firmware, upper=0.0123456, compliance_v=2.5, range="low")
    assert firmware.feed(b"LDON?;SILD?;SILM?;SVLM?;SMOD?;MODU?;RNGE?\n").split() == [b"0", b"0.000", b"12.345", b"2.500", b"0", b"0", b"0"]
    assert laser.spec.upper[0] == pytest.approx(0.012345)
    assert laser.compliance_v == 2.5
    firmware.feed(b"SILD 12.4\n")
    assert firmware.feed(b"LEXE?\n").strip() == b"1"  # the instrument refuses by itself
    hold(laser, 0.012345)


@pytest.mark.parametrize("way", ["in process", "tcp", "serial", "visa"])
@pytest.mark.parametrize("words", [0, 1])
def test_currents_are_set_in_one_exchange_over_every_link(way: str, words: int) -> None:
    firmware = Ldc500Firmware()
    firmware.feed(f"TOKN {words}\n".encode())
    with served(way, firmware, SimulatedClock(), LINK) as link:
        laser = Ldc500Laser(link, Ldc500LaserOptions(limit_a=0.2), "pump")
        laser.prepare(laser.spec)
        before = link.exchanges
        for amperes in (0.1, 0.0123, 0.0, 0.2):
            hold(laser, amperes)
            firmware.time_s += 1
            assert firmware.currents_a[0] == pytest.approx(amperes, abs=1e-6)
            assert firmware.laser.on
        assert link.exchanges == before + 4
        amperes, volts = laser.measured()
        assert (amperes, volts) == (pytest.approx(0.2), pytest.approx(1.8))
        laser.safe()
        assert (firmware.laser.on, firmware.laser.setpoint_ma, firmware.currents_a[0]) == (0, 0, 0)


@pytest.mark.parametrize("end", ["LF", "CRLF"])
def test_both_ends_of_lines_that_end_in_a_newline_are_read(end: str) -> None:
    firmware = Ldc500Firmware()
    firmware.feed(f"TERM {end}\n".encode())
    hold(laser_of(firmware)[0], 0.05)
    assert firmware.laser.setpoint_ma == 50


def test_both_ends_of_the_limits_are_allowed_and_nothing_beyond() -> None:
    firmware = Ldc500Firmware()
    laser, link = laser_of(firmware, upper=0.1)
    tec, heat = tec_of(firmware)
    for device, edges in ((laser, (0.1, 0.0)), (tec, (50.0, 0.0))):
        for edge in edges:
            hold(device, edge)
    assert (firmware.laser.setpoint_ma, firmware.tec.target_c) == (0, 0)
    link.asked.clear()
    heat.asked.clear()
    for device, name, values in ((laser, "pump/ld", (-1e-6, 0.100001)), (tec, "oven/tec", (-0.01, 50.01))):
        for bad in (*values, math.nan, math.inf):
            with pytest.raises(LimitError, match=name):
                device.load(np.array([[bad]]), np.zeros(1, int), 1e-6)  # type: ignore[attr-defined]
    assert not link.asked
    assert not heat.asked


def test_a_refused_set_raises_with_the_instruments_words_and_is_not_blamed_on_the_next() -> None:
    firmware = Ldc500Firmware()
    laser, _ = laser_of(firmware)
    firmware.feed(b"SILM 20\n")  # somebody at the front panel
    with pytest.raises(RefusedError, match=r"pump: 'SILD 50\.000;LDON 1' was refused: LEXE 1, illegal value .*its interlock answers '0'"):
        hold(laser, 0.05)
    firmware.feed(b"SILM 100\n")
    hold(laser, 0.05)
    assert firmware.laser.setpoint_ma == 50
    tec, _ = tec_of(firmware)
    firmware.feed(b"TMAX 30\n")
    with pytest.raises(RefusedError, match=r"oven: 'TMOD 1;TEMP 40\.000;TEON 1' was refused: LEXE 1, illegal value"):
        hold(tec, 40.0)
    with pytest.raises(RefusedError, match=r"LCME 2, undefined command"):
        Ldc500Line(wire(firmware), "pump", False).checked(("FOOO 1",))


def test_with_the_interlock_open_it_says_so_and_stays_off() -> None:
    firmware = Ldc500Firmware()
    firmware.feed(b"TOKN 1\n")
    laser, _ = laser_of(firmware)
    firmware.laser.interlock_closed = False
    with pytest.raises(RefusedError, match=r"LEXE 5, not compatible with its present state .*its interlock answers 'OPEN'"):
        hold(laser, 0.05)
    assert firmware.currents_a[0] == 0


def test_a_laser_that_tripped_is_never_switched_on_again_by_a_set() -> None:
    firmware = Ldc500Firmware()
    laser, _ = laser_of(firmware)
    hold(laser, 0.05)
    firmware.laser.interlock_closed = False
    assert firmware.currents_a[0] == 0
    firmware.laser.interlock_closed = True
    for _ in range(2):
        with pytest.raises(UnknownStateError, match=r"at 60 mA the laser has switched itself off .*interlock"):
            hold(laser, 0.06)
        assert firmware.currents_a[0] == 0
    laser.safe()
    hold(laser, 0.05)
    firmware.time_s += 1
    assert firmware.currents_a[0] == pytest.approx(0.05)


def test_over_its_compliance_the_laser_trips_and_why_is_told() -> None:
    firmware = Ldc500Firmware()
    laser, _ = laser_of(firmware, compliance_v=1.4)  # 1.2 V and 3 ohm: 66.7 mA
    hold(laser, 0.066)
    with pytest.raises(UnknownStateError, match=r"pump: at 68 mA the laser has switched itself off .over-voltage."):
        hold(laser, 0.068)
    assert not firmware.laser.on


def test_what_reads_back_otherwise_is_told() -> None:
    laser, link = laser_of(Ldc500Firmware())
    link.faults = [lambda reply: reply.replace(b"50.000", b"50.011")]
    with pytest.raises(UnknownStateError, match=r"set to 50 mA it reads back 50\.011 mA"):
        hold(laser, 0.05)
    tec, heat = tec_of(Ldc500Firmware())
    heat.faults = [lambda reply: reply.replace(b"30.000", b"30.100")]
    with pytest.raises(UnknownStateError, match=r"set to 30 degC it reads back 30\.1 degC"):
        hold(tec, 30.0)
    limited = Ldc500Tec(heat, Ldc500TecOptions(limit_a=2.0), "oven")
    heat.faults = [None, lambda reply: reply.replace(b"2.000", b"1.900")]
    with pytest.raises(UnknownStateError, match=r"TILM was set to 2 and reads back 1\.9"):
        limited.prepare(limited.spec)


def test_limits_that_read_back_otherwise_are_told() -> None:
    link = wire(Ldc500Firmware())
    laser = Ldc500Laser(link, Ldc500LaserOptions(limit_a=0.2), "pump")
    link.faults = [None, None, None, lambda reply: reply.replace(b"200.000", b"250.000")]
    with pytest.raises(UnknownStateError, match=r"0\.25 A were read back after"):
        laser.prepare(laser.spec)


def test_the_oven_reaches_its_target_and_says_so() -> None:
    firmware = Ldc500Firmware()
    tec, link = tec_of(firmware, limit_a=2.0, limit_v=5.0)
    assert (firmware.tec.limit_a, firmware.tec.limit_v) == (2.0, 5.0)
    with pytest.raises(TableError, match="nothing is loaded"):
        tec.reached()
    hold(tec, 45.0)
    assert link.asked == [b"TMOD 1;TEMP 45.000;TEON 1;TEMP?;TMOD?;TEON?;LEXE?;LCME?"]
    assert not tec.reached()
    firmware.time_s += 120
    assert tec.temperature() == pytest.approx([45.0], abs=0.01)
    assert tec.reached()
    hold(tec, 44.0)
    assert link.asked[-1] == b"TEMP 44.000;TEMP?;TMOD?;TEON?;LEXE?;LCME?"
    firmware.tec.connected = False
    with pytest.raises(UnknownStateError, match="is its sensor connected"):
        tec.temperature()
    with pytest.raises(UnknownStateError, match="oven: at 43 degC the controller has switched itself off"):
        hold(tec, 43.0)
    tec.safe()
    assert not firmware.tec.on


def test_output_off_and_on_again_keeps_the_loaded_row() -> None:
    firmware = Ldc500Firmware()
    laser, _ = laser_of(firmware)
    with pytest.raises(TableError, match="nothing is loaded"):
        laser.output(True)
    with pytest.raises(TableError, match="nothing is loaded"):
        tec_of(firmware)[0].arm()
    hold(laser, 0.01)
    laser.output(False)
    assert firmware.currents_a[0] == 0
    laser.output(True)
    firmware.time_s += 1
    assert firmware.currents_a[0] == pytest.approx(0.01)


@pytest.mark.parametrize("half", ["laser", "tec"])
def test_safe_gets_through_passing_trouble_and_works_from_any_state(half: str) -> None:
    firmware = Ldc500Firmware()
    device, link = laser_of(firmware) if half == "laser" else tec_of(firmware)
    device.safe()
    hold(device, 0.05 if half == "laser" else 30.0)
    firmware.feed(b"FOO;SILD 9999;SCAN 1,20,1000\n")
    link.faults = [LinkTimeoutError("lost"), DesyncError("late")]
    device.safe()
    assert not (firmware.laser.on if half == "laser" else firmware.tec.on)
    link.faults = [LinkTimeoutError("lost")] * TRIES
    with pytest.raises(LinkTimeoutError):
        device.safe()
    link.faults = [lambda reply: b"1" + reply[1:]] * TRIES
    with pytest.raises(UnknownStateError, match="switched off it reads back 1"):
        device.safe()
    device.close()
    device.close()
    with pytest.raises(LinkClosedError):
        device.safe()


@pytest.mark.parametrize("answer", [b"Agilent Technologies,33521A,1,2", b"Stanford_Research_Systems,SR830,s/n1,ver1", b""])
def test_another_instrument_is_not_taken(answer: bytes) -> None:
    class Other:
        def exchange(self, request: bytes, lines: int = 1) -> bytes:
            return answer

    for driver, options in ((Ldc500Laser, Ldc500LaserOptions()), (Ldc500Tec, Ldc500TecOptions())):
        with pytest.raises(IdentityError, match="LDC501"):
            driver(Other(), options, "pump")


def test_its_lan_port_is_unlocked_first() -> None:
    firmware = Ldc500Firmware(lan=True)
    with pytest.raises(LinkTimeoutError):
        Ldc500Laser(wire(firmware), Ldc500LaserOptions(), "pump")
    laser = Ldc500Laser(wire(firmware), Ldc500LaserOptions(lan=True), "pump")
    assert laser.identity.startswith("Stanford")


@pytest.mark.parametrize("wrong", [{"limit_a": 0.0}, {"limit_a": 2.1}, {"compliance_v": 11.0}, {"settle_s": math.inf}, {"range": "middle"}])
def test_laser_options_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Ldc500LaserOptions(**wrong)


@pytest.mark.parametrize("wrong", [{"limit_a": 5.0}, {"limit_v": 0.0}, {"tolerance_c": -1.0}, {"settle_s": math.nan}])
def test_tec_options_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Ldc500TecOptions(**wrong)


GARBAGE = [
    b"", b"\n", b"0", b"1\n0", b"50.000\n1\n0\n0", b"50.000\n1\n0", b"50.000\n1\n0\n0\n0", b"50.000\n0\n0\n0", b"50.000\n1\n5\n0",
    b"0\n0\n0\n0",
    b"49.000\n1\n0\n0", b"nan\n1\n0\n0", b"50.000\nYES\n0\n0", b"1_0\n1\n0\n0", b"Stanford_Research_Systems,LDC501,s/n1,ver2.46",
    b"30.000\n1\n1\n0\n0",
    b"50.000\n1\n0\n0.5",
]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(GARBAGE) | st.binary(max_size=30), min_size=1, max_size=6))
def test_whatever_the_wire_says_only_typed_errors_come_out(answers: list[bytes]) -> None:
    laser, link = laser_of(Ldc500Firmware())
    tec, heat = tec_of(Ldc500Firmware())
    actions: list[Callable[[], Any]] = [
        lambda: hold(laser, 0.05), laser.measured, laser.safe, lambda: laser.prepare(laser.spec),
        lambda: hold(tec, 30.0), tec.temperature, tec.reached, tec.safe, lambda: tec.prepare(tec.spec),
        lambda: Ldc500Laser(link, Ldc500LaserOptions(), "pump"), lambda: Ldc500Tec(heat, Ldc500TecOptions(), "oven"),
    ]  # fmt: skip
    for action in actions:
        for disturbed in (link, heat):
            disturbed.faults = [lambda _, answer=answer: answer for answer in answers]  # type: ignore[misc]
        with contextlib.suppress(LabonnError):
            action()


@pytest.mark.parametrize("answer", [a for a in GARBAGE if a != GARBAGE[4]])
def test_only_the_whole_right_answer_counts_as_set(answer: bytes) -> None:
    laser, link = laser_of(Ldc500Firmware())
    link.faults = [lambda _: answer]
    with pytest.raises((DesyncError, RefusedError, UnknownStateError)):
        hold(laser, 0.05)


BENCH = """
[ports.pump]
driver = "ldc500_laser"
link = "serial:///dev/ttyUSB0"
limit_a = 0.2
upper = "150 mA"
[ports.mount]
driver = "ldc500_tec"
link = "serial:///dev/ttyUSB0"
limit_a = 2.0
upper = "50 degC"
settle_s = 10.0
[ports.power]
driver = "pm100"
link = "visa://USB0::0x1313::0x8078::P0000001::INSTR"
role = "trigger"
wavelength_nm = 850.0
[simulation]
bench = "unlit"
"""


@pytest.mark.parametrize("served_", [False, True])
def test_both_halves_of_one_controller_are_two_ports_of_a_bench(tmp_path: Path, served_: bool) -> None:
    file = tmp_path / "bench.toml"
    file.write_text(BENCH)

    def plan() -> Any:
        levels, targets = np.array([[0.03], [0.15]]), np.array([[30.0]])
        return (yield ShotTable({"pump": levels, "mount": targets}, {"pump": np.array([0, 0, 1])}, dwell_s=0.02))

    with Bench.open(file, dry_run=True, served=served_) as bench:
        assert bench.specs["pump"].upper[0] == pytest.approx(0.15)
        readings = bench.run(plan())
        assert readings["power"].shape == (3, 1)
        assert bench.ports["pump"].identity == bench.ports["mount"].identity
        amperes, _ = bench.ports["pump"].measured()
        assert amperes == pytest.approx(0.15)
        assert bench.ports["mount"].temperature()[0] > 25  # on its way


@pytest.fixture
def pymeasure_controller() -> Iterator[tuple[Any, Ldc500Firmware]]:
    """PyMeasure's own driver of the LDC500, unchanged, over a VISA socket."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pymeasure.instruments.srs import ldc500series
    firmware = Ldc500Firmware()
    with serve_tcp(firmware, SimulatedClock()) as url:
        name = f"TCPIP::127.0.0.1::{url.rpartition(':')[2]}::SOCKET"
        controller = ldc500series.LDC500Series(name, visa_library="@py", read_termination="\r\n", write_termination="\n", timeout=2000)
        controller._check_set_errors_delay = 0
        yield controller, firmware
        assert controller.check_errors() == [0, 0]
        controller.adapter.close()
        controller.adapter.manager.close()


def test_pymeasure_drives_the_laser(pymeasure_controller: tuple[Any, Ldc500Firmware]) -> None:
    controller, firmware = pymeasure_controller
    controller.write("TOKN ON")  # its words of the laser half
    laser = controller.ld
    assert laser.interlock_closed is True
    wanted = {
        "current_range": "LOW", "mode": "CC", "current_limit": 120, "voltage_limit": 2.5, "current_setpoint": 60,
        "modulation_enabled": False, "modulation_bandwidth": "HIGH", "enabled": True,
    }  # fmt: skip
    for name, value in wanted.items():
        setattr(laser, name, value)
    assert {name: getattr(laser, name) for name in wanted} == wanted
    firmware.time_s += 1
    assert (laser.current, laser.voltage) == (60, 1.38)
    assert controller.pd.current == pytest.approx(1600)
    assert controller.pd.power == pytest.approx(32)
    controller.pd.calibrate(16)
    assert controller.pd.responsivity == 100
    controller.pd.current_limit = 2000
    laser.mode = "CP"
    assert controller.pd.current_setpoint == pytest.approx(1600)
    assert controller.pd.power_limit == pytest.approx(20)
    with pytest.raises(Exception, match="Error setting value"):
        laser.current_setpoint = 500
    controller.pd.bias = 3
    assert controller.pd.bias == 3
    laser.enabled = False
    assert laser.enabled is False  # which is answered when the command before has been done
    assert firmware.currents_a[0] == 0


def test_pymeasure_drives_the_cooler(pymeasure_controller: tuple[Any, Ldc500Firmware]) -> None:
    controller, firmware = pymeasure_controller
    tec = controller.tec
    tec.temperature_limits = (10, 40)
    assert tec.temperature_limits == (10, 40)
    wanted = {"current_limit": 1.5, "voltage_limit": 6, "temperature_setpoint": 33, "enabled": True}
    for name, value in wanted.items():
        setattr(tec, name, value)
    assert {name: getattr(tec, name) for name in wanted} == wanted
    firmware.time_s += 200
    assert tec.temperature == pytest.approx(33, abs=0.01)
    assert tec.current == pytest.approx(-0.4, abs=0.01)
    assert tec.voltage == pytest.approx(-0.6, abs=0.01)
    assert tec.thermometer_raw == pytest.approx(10 * math.exp(3950 * (1 / 306.15 - 1 / 298.15)), rel=1e-3)
    assert tec.thermometer_type.name == "NTCAUTO"
    assert tec.check_temperature_stability(period=0.05)
    tec.enabled = False
    assert controller.id.startswith("Stanford_Research_Systems,LDC501")
