"""What is attached: VISA names, serial ports, ZeroMQ addresses and SDK devices, and who answers there; nothing is changed by asking."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from drivers.nidaqmx_in import NiDaqIn
from drivers.nidaqmx_out import NiDaqOut
from drivers.slm_monitor import MonitorSlm
from labonn.cli import main
from labonn.clock import SimulatedClock
from labonn.discovering import Found, discover
from labonn.emulating import emulate_one
from labonn.errors import ConnectError
from labonn.registry import load, registered
from sim_backends.firmware.keithley2400 import Keithley2400Firmware
from sim_backends.firmware.meerstetter import MeerstetterFirmware
from sim_backends.firmware.qontrol import QontrolFirmware
from sim_backends.firmware.stream import StreamAdcFirmware, StreamDacFirmware
from sim_backends.messagelinks import ZmqServer
from sim_backends.served import serve_pty, serve_tcp


@pytest.fixture(autouse=True)
def bare_computer(monkeypatch: pytest.MonkeyPatch) -> None:
    """No VISA, no serial ports, no monitors, and nobody at the usual ZeroMQ ports."""
    monkeypatch.setitem(sys.modules, "pyvisa", None)
    monkeypatch.setattr("serial.tools.list_ports.comports", list)
    monkeypatch.setattr("labonn.discovering.STREAM_PORTS", ())
    monkeypatch.setattr("labonn.discovering.SLM_PORT", 9)
    monkeypatch.setattr("labonn.discovering.ANSWER_S", 0.1)
    for driver in (MonitorSlm, NiDaqIn, NiDaqOut):
        monkeypatch.setattr(driver, "attached", staticmethod(list))


def test_a_bare_computer_has_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert discover() == []
    assert main(["discover"]) == 0
    assert "nothing is attached" in capsys.readouterr().out


def test_a_serial_port_is_listed_with_its_adapter_and_not_talked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[bytes] = []
    firmware = SimpleNamespace(feed=lambda data: heard.append(data) or b"", wire_s=lambda sent, received: 0.0)
    with serve_pty(firmware, SimulatedClock()) as url:
        port = SimpleNamespace(device=url.partition("://")[2], manufacturer="FTDI", product="FT232R", serial_number="A50285BI")
        monkeypatch.setattr("serial.tools.list_ports.comports", lambda: [port])
        (found,) = discover()
        assert found == Found(url, note="FTDI FT232R A50285BI; not asked, --probe does")
        assert heard == []
        (found,) = discover(probe=True)
        assert found.note == "FTDI FT232R A50285BI; answers to none of our drivers"
        assert heard


@pytest.mark.parametrize(
    ("firmware", "driver", "options"),
    [(QontrolFirmware(modules=2), "qontrol", {}), (MeerstetterFirmware(instances=1, address=5), "meerstetter", {"address": 0})],
)
def test_an_instrument_on_a_serial_port_is_told_by_its_own_language(firmware: Any, driver: str, options: dict[str, Any]) -> None:
    before = {key: repr(value) for key, value in vars(firmware).items()}
    with serve_pty(firmware, SimulatedClock()) as url:
        (found,) = discover(serial=[url.partition("://")[2]])
    assert (found.link, found.drivers, found.options) == (url, (driver,), options)
    assert found.identity
    settings = [key for key in before if key in ("currents_a", "targets_c", "enabled", "loads_ohm")]
    assert {key: repr(vars(firmware)[key]) for key in settings} == {key: before[key] for key in settings}


def test_a_source_meter_at_an_address_is_told_by_its_idn_and_left_as_it_is() -> None:
    firmware = Keithley2400Firmware(serial=77)
    firmware.feed(b":SOUR:VOLT 3;:OUTP ON\n")
    before = dict(firmware.values)
    with serve_tcp(firmware, SimulatedClock()) as url:
        (found,) = discover(tcp=[url.partition("://")[2]])
    assert found.identity.startswith("KEITHLEY INSTRUMENTS INC.,MODEL 2400,0000077")
    assert found.drivers == ("keithley2400",)
    assert firmware.values == before


@pytest.mark.parametrize(("firmware", "driver"), [(StreamDacFirmware(3), "stream_dac"), (StreamAdcFirmware(5), "stream_adc")])
def test_a_streaming_converter_tells_its_channels(firmware: Any, driver: str) -> None:
    server = ZmqServer(firmware, SimulatedClock())
    try:
        (found,) = discover(zmq=[server.url.partition("://")[2]])
    finally:
        server.close()
    assert (found.drivers, found.options) == ((driver,), {"channels": firmware.channels})


WITH_IDN = [name for name in registered("labonn.drivers") if hasattr(load("labonn.drivers", name), "idn")]


@pytest.mark.parametrize("name", WITH_IDN)
def test_the_pattern_of_a_driver_fits_what_its_own_emulator_answers_and_no_other_does(name: str) -> None:
    served = emulate_one(name, {}, "tcp")
    try:
        (link,) = [line.split('"')[1] for line in served.lines if line.startswith("link")]
        (found,) = discover(tcp=[link.partition("://")[2]])
    finally:
        served.simulated.close()
    family = getattr(load("labonn.drivers", name), "shares", name)
    assert name in found.drivers
    assert {getattr(load("labonn.drivers", other), "shares", other) for other in found.drivers} == {family}


def test_an_address_at_which_nobody_answers_is_told_so() -> None:
    by_link = {found.link: found for found in discover(zmq=["127.0.0.1:9"], tcp=["127.0.0.1:9"])}
    assert by_link["zmq://127.0.0.1:9"].note == "nothing that our drivers know answers there"
    assert by_link["tcp://127.0.0.1:9"].note.startswith("tcp://127.0.0.1:9")


def test_an_instrument_that_no_driver_knows_is_shown_with_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    firmware = SimpleNamespace(feed=lambda data: b"ACME,Frobnicator,1,2.0\n", wire_s=lambda sent, received: 0.0)
    with serve_tcp(firmware, SimulatedClock()) as url:
        assert main(["discover", "--tcp", url.partition("://")[2]]) == 0
    told = capsys.readouterr().out
    assert "ACME,Frobnicator,1,2.0" in told
    assert "no driver of ours knows it" in told


def test_visa_instruments_are_asked_who_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    firmware = Keithley2400Firmware()
    with serve_tcp(firmware, SimulatedClock()) as url:
        host, port = url.partition("://")[2].split(":")
        names = (f"TCPIP::{host}::{port}::SOCKET", "ASRL/dev/ttyS9::INSTR", "PRLGX-ASRL::/dev/ttyS9::INTFC")
        monkeypatch.delitem(sys.modules, "pyvisa")
        import pyvisa

        monkeypatch.setattr(pyvisa.ResourceManager, "list_resources", lambda self, query: names)
        (found,) = discover(backend="@py")
    assert found.link == f"visa://{names[0]}?backend=@py"
    assert found.drivers == ("keithley2400",)


def test_monitors_and_vendors_devices_are_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    seen = [("monitor://1", "HDMI-1, HOLOEYE, 1080 x 1920", {"panel": [1080, 1920]})]
    monkeypatch.setattr(MonitorSlm, "attached", staticmethod(lambda: seen))
    assert main(["discover", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["instruments"]
    assert found["drivers"] == ["slm_monitor"]
    assert found["options"] == {"panel": [1080, 1920]}


def test_a_driver_whose_library_is_missing_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> list[Any]:
        raise ConnectError("no display")

    monkeypatch.setattr(MonitorSlm, "attached", staticmethod(fails))
    server = ZmqServer(StreamAdcFirmware(2), SimulatedClock())
    try:
        assert len(discover(zmq=[server.url.partition("://")[2]])) == 1
    finally:
        server.close()


@pytest.mark.parametrize("option", ["--tcp", "--zmq"])
def test_an_address_without_a_port_is_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["discover", option, "nowhere"]) == 2
    assert "'nowhere': HOST:PORT is wanted" in capsys.readouterr().err
