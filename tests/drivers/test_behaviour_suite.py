"""The behaviour suite finds drivers that misbehave: each of these is a good driver with one thing spoilt."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pytest

from drivers.keithley2400 import Keithley2400
from drivers.meerstetter import Meerstetter
from drivers.scpi_line import ScpiLine
from drivers.slm_monitor import MonitorSlm
from drivers.stream import StreamClient
from drivers.stream_adc import StreamAdc
from drivers.stream_dac import StreamDac
from labonn.clock import SimulatedClock
from labonn.errors import LabonnError
from labonn.testing import DriverBehaviour, suites_of
from sim_backends.firmware.keithley2400 import Keithley2400Firmware
from sim_backends.served import serve_tcp


class Source(DriverBehaviour):
    driver = "keithley2400"


class Dac(DriverBehaviour):
    driver = "stream_dac"


class Adc(DriverBehaviour):
    driver = "stream_adc"


class Slm(DriverBehaviour):
    driver = "slm_monitor"
    options: ClassVar[dict[str, Any]] = {"shape": [4, 6], "panel": [24, 36]}
    ends_with_its_driver = True


def spoilt(before: Callable[..., Any], change: Callable[..., Any]) -> Callable[..., Any]:
    """A method whose result goes through `change`."""
    return lambda self, *args, **kwargs: change(self, before(self, *args, **kwargs))


def nothing(self: Any, *args: Any, **kwargs: Any) -> None:
    """What a driver does that forgot to do it."""


def believing(self: Any, commands: str, queries: str, count: int) -> list[float]:
    """No error queue: what was set is taken for what is."""
    self.ask(f"{commands};*OPC?")
    return [float(part) for part in self.ask(queries).split(";")]


def unread(self: Any, reply: tuple[dict[str, Any], Any]) -> tuple[dict[str, Any], Any]:
    """Replies of any number are taken."""
    return {**reply[0], "seq": self.seq}, reply[1]


def opened_on(self: Any, link: Any, options: Any, port: str, before: Any = Keithley2400.__init__) -> None:
    """A constructor that resets the instrument."""
    before(self, link, options, port)
    link.exchange(b":OUTP OFF;:SOUR:CURR 0;*OPC?")


def wide(self: Any, result: None) -> None:
    """Limits that nobody has checked."""
    self.spec = dataclasses.replace(self.spec, upper=1e3 * self.spec.upper)


def half_safe(self: Any) -> None:
    """Switched off once, and never mind whether it arrived."""
    self._line.numbers(":OUTP OFF;:SOUR:CURR 0;*OPC?", 1)


def nameless(self: Any, result: None) -> None:
    self.identity = " "


def twins(self: Any, result: None) -> None:
    self.spec = dataclasses.replace(self.spec, names=("a", "a", "b"))


def backwards(self: Any, bank: Any, order: Any, dwell_s: float, before: Any = StreamDac.load) -> None:
    before(self, bank, order[::-1], dwell_s)


def twice(self: Any, shots: int, dwell_s: float, before: Any = StreamAdc.fire) -> None:
    before(self, shots, dwell_s)
    before(self, shots, dwell_s)


def white(self: Any, frame: Any, before: Any = MonitorSlm._show) -> None:
    before(self, 255 - frame)


def gone(self: Any) -> None:
    self._window.close()
    self._window = None


class Wrong(NamedTuple):
    """A suite, what is spoilt how, and the check (with its parameter) that finds it."""

    suite: type[DriverBehaviour]
    driver: Any
    method: str
    wrong: Callable[..., Any]
    check: str
    argument: Any = None


SOURCE, DAC, ADC, SLM = (Source, Keithley2400), (Dac, StreamDac), (Adc, StreamAdc), (Slm, MonitorSlm)
opening, reading = (lambda change: spoilt(Keithley2400.__init__, change)), (lambda change: spoilt(StreamAdc.fetch, change))
WRONG = {
    "safe does nothing": Wrong(*SOURCE, "safe", nothing, "safe_works_from_any_state", "armed"),
    "safe gives up after a lost reply": Wrong(*SOURCE, "safe", half_safe, "safe_gets_through_passing_trouble", "lost"),
    "preparing leaves it on": Wrong(*DAC, "prepare", nothing, "prepared_it_is_safe_whatever_it_did_before"),
    "opening switches off": Wrong(*SOURCE, "__init__", opened_on, "opening_changes_nothing_of_an_instrument_that_is_at_work"),
    "no error queue": Wrong(Source, ScpiLine, "checked", believing, "a_refused_set_is_told_in_the_instruments_words"),
    "sets that are never sent": Wrong(*SOURCE, "arm", nothing, "both_ends_of_the_limits_are_played", np.float64),
    "limits too wide": Wrong(*SOURCE, "__init__", opening(wide), "both_ends_of_the_limits_are_played", np.float32),
    "no identity": Wrong(*SOURCE, "__init__", opening(nameless), "identity_and_limits_are_complete"),
    "two of one name": Wrong(*ADC, "__init__", spoilt(StreamAdc.__init__, twins), "identity_and_limits_are_complete"),
    "rows turned round": Wrong(*DAC, "load", backwards, "a_bench_plays_rows_in_the_order_of_the_table", np.float32),
    "channels turned round": Wrong(*ADC, "fetch", reading(lambda _, read: read[:, ::-1]), "rows_and_channels_are_those_of_the_light"),
    "a row too few": Wrong(*ADC, "fetch", reading(lambda _, read: read[:-1]), "there_are_as_many_finite_rows_as_shots", 5),
    "fired twice": Wrong(*ADC, "fire", twice, "a_trigger_fires_once_each_time_it_is_told_to"),
    "a range too small": Wrong(
        *ADC, "set_range", spoilt(StreamAdc.set_range, lambda _, taken: taken / 2), "a_range_is_taken_that_holds_what_was_asked_for", 1.0
    ),
    "replies of any number": Wrong(
        Adc, StreamClient, "_parse", spoilt(StreamClient._parse, unread), "an_earlier_reply_in_place_of_the_right_one_is_not_believed"
    ),
    "closing twice": Wrong(*SLM, "close", gone, "closing_twice_does_nothing_bad"),
    "black that is white": Wrong(*SLM, "_show", white, "prepared_it_is_safe_whatever_it_did_before"),
}


@pytest.mark.parametrize("what", WRONG)
def test_the_suite_finds(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = WRONG[what]
    assert run(found.suite, f"test_{found.check}", found.argument) is None, "the good driver passes"
    monkeypatch.setattr(found.driver, found.method, found.wrong)
    assert run(found.suite, f"test_{found.check}", found.argument) is not None


def run(suite_class: type[DriverBehaviour], check: str, argument: Any) -> BaseException | None:
    """How a check fails, if it does."""
    suite = suite_class()
    method = getattr(suite, check)
    names = method.__code__.co_varnames[1 : method.__code__.co_argcount]
    try:
        if "rig" not in names:
            method(*([] if argument is None else [argument]))
            return None
        with suite.opened() as rig:
            method(rig, *([] if argument is None else [argument]))
    except (AssertionError, LabonnError, AttributeError, pytest.fail.Exception) as found:
        return found
    return None


def test_what_does_not_fit_the_kind_is_no_check_at_all() -> None:
    assert Source.test_a_trigger_fires_once_each_time_it_is_told_to is None
    assert Adc.test_prepared_it_is_safe_whatever_it_did_before is None
    assert Slm.test_a_set_whose_reply_is_lost_times_out is None
    assert callable(Slm.test_a_function_that_fails_is_told_and_safe_works_behind_it)


def test_a_driver_that_is_not_there_is_told_by_every_check() -> None:
    class Missing(DriverBehaviour):
        driver = "keithley2600"

    with pytest.raises(LabonnError, match="did you mean 'keithley2400'"), Missing().opened():
        pass


def test_an_actuator_of_the_lab_without_limits_is_not_even_opened() -> None:
    class Real(DriverBehaviour):
        driver = "keithley2400"
        link = "tcp://127.0.0.1:1"
        upper = "5 mA"

    with pytest.raises(pytest.fail.Exception, match="say both"), Real().opened():
        pass


def test_real_hardware_gets_all_checks_that_need_no_emulator_and_stays_inside_the_limits(tmp_path: Path) -> None:
    """The instrument of the lab is an emulator on a socket here, behind the link of a bench file."""
    firmware, most = Keithley2400Firmware(load_ohm=10.0), 0.0

    def watched(data: bytes, feed: Callable[[bytes], bytes] = firmware.feed) -> bytes:
        nonlocal most
        reply = feed(data)
        most = max(most, abs(float(firmware.currents_a[0])))
        return reply

    firmware.feed = watched  # type: ignore[method-assign]
    checks = 0
    with serve_tcp(firmware, SimulatedClock()) as url:
        (tmp_path / "bench.toml").write_text(BENCH.format(url=url))
        real = suites_of(tmp_path / "bench.toml", dwell_s=1e-4)
        assert list(real) == ["Test_soa", "Test_taps"]
        assert real["Test_soa"].dwell_s == 1e-4
        for name in dir(real["Test_soa"]):
            method = getattr(real["Test_soa"], name)
            if name.startswith("test_") and callable(method):
                marks = [mark.args[1] for mark in getattr(method, "pytestmark", ())] or [[None]]
                assert [run(real["Test_soa"], name, argument) for argument in marks[0]] == [None] * len(marks[0]), name
                checks += 1
    assert most == pytest.approx(0.005, rel=1e-3)
    assert not firmware.values["output"]
    assert checks >= 12
    assert real["Test_soa"].test_a_dropped_link_is_told_and_a_new_one_works is None


BENCH = """
[ports.soa]
driver = "keithley2400"
link = "{url}"
compliance_v = 3.0
lower = "1 mA"
upper = "5 mA"
[ports.taps]
driver = "stream_adc"
link = "zmq://127.0.0.1:1"
channels = 2
role = "trigger"
"""


def test_heaters_are_asked_for_their_temperature(monkeypatch: pytest.MonkeyPatch) -> None:
    class Oven(DriverBehaviour):
        driver = "meerstetter"

    assert run(Oven, "test_heaters_tell_a_temperature_each", None) is None
    monkeypatch.setattr(Meerstetter, "temperature", lambda self: np.array([np.nan, 25.0]))
    assert run(Oven, "test_heaters_tell_a_temperature_each", None) is not None
