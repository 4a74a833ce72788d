"""The VISA library in process: PyVISA's own classes, PyMeasure and plain scripts on simulated instruments; where a read ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvisa
from hypothesis import given
from hypothesis import strategies as st
from pyvisa.constants import AccessModes, BufferOperation, EventMechanism, EventType, ResourceAttribute, SerialTermination, StatusCode

from labonn import visa_bench
from labonn.clock import SimulatedClock
from labonn.errors import BenchFileError
from labonn.visa_bench import BenchChoice, VisaBench, resource_name
from labonn.visa_instrument import VisaInstrument
from labonn.visa_library import SimulatedVisaLibrary
from labonn.visa_session import VisaSession

BENCH = """
[ports.source]
driver = "keithley2400"
link = "visa://GPIB::24"

[ports.soas]
driver = "keithley2400"
link = ["visa://USB0::0x05E6::0x2400::1234567::INSTR", "visa://TCPIP::10.0.0.7::inst0::INSTR"]

[ports.heaters]
driver = "qontrol"
channels = 8
link = "serial:///dev/ttyUSB0"

[ports.lan]
driver = "keithley2400"
link = "tcp://10.0.0.8:5025"

[ports.out]
driver = "stream_adc"
link = "zmq://127.0.0.1:5571"
role = "trigger"
channels = 4

[simulation]
bench = "unlit"
seed = 5
"""
NAMES = (
    "GPIB0::24::INSTR", "USB0::0x05E6::0x2400::1234567::0::INSTR", "TCPIP0::10.0.0.7::inst0::INSTR", "ASRL/dev/ttyUSB0::INSTR",
    "TCPIP0::10.0.0.8::5025::SOCKET",
)  # fmt: skip


@pytest.fixture
def bench_file(tmp_path: Path) -> Path:
    path = tmp_path / "bench.toml"
    path.write_text(BENCH, encoding="utf-8")
    return path


@pytest.fixture
def manager(bench_file: Path) -> Iterator[Any]:
    found = pyvisa.ResourceManager(f"{bench_file}@labonn")
    yield found
    found.close()
    visa_bench.benches.clear()


@pytest.fixture
def meter(manager: Any) -> Any:
    return manager.open_resource("GPIB0::24::INSTR")


def status_of(action: Any) -> StatusCode:
    with pytest.raises(pyvisa.errors.VisaIOError) as caught:
        action()
    return StatusCode(caught.value.error_code)


class Canned:
    """An instrument that answers every write with what it is told to."""

    def __init__(self, *replies: bytes) -> None:
        self.replies, self.heard = list(replies), b""

    def feed(self, data: bytes) -> bytes:
        self.heard += data
        return self.replies.pop(0) if data and self.replies else b""

    def wire_s(self, sent: int, received: int) -> float:
        return 1e-3


def session(firmware: Any, name: str = "GPIB0::1::INSTR") -> VisaSession:
    instrument = VisaInstrument(name, firmware, SimulatedClock(), b"\n", name.endswith("INSTR") and not name.startswith("ASRL"))
    return VisaSession(instrument, 2, 1)


def test_the_resources_are_the_links_of_the_bench_file(manager: Any) -> None:
    assert manager.list_resources("?*") == NAMES
    assert manager.list_resources() == NAMES[:4]
    assert manager.list_resources("GPIB?*") == NAMES[:1]
    assert manager.list_resources_info()["GPIB0::24::INSTR"].interface_type == pyvisa.constants.InterfaceType.gpib


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("visa://GPIB0::24::INSTR", "GPIB0::24::INSTR"),
        ("visa://GPIB::24?timeout_s=1", "GPIB0::24::INSTR"),
        ("visa://TCPIP::10.0.0.7::5025::SOCKET?backend=@py", "TCPIP0::10.0.0.7::5025::SOCKET"),
        ("serial:///dev/ttyUSB0?baud=115200", "ASRL/dev/ttyUSB0::INSTR"),
        ("serial://COM3", "ASRL3::INSTR"),
        ("tcp://rp-f00.local:5000", "TCPIP0::rp-f00.local::5000::SOCKET"),
        ("zmq://10.0.0.9:5570", None),
    ],
)
def test_a_links_url_has_a_resource_name(url: str, name: str | None) -> None:
    assert resource_name(url) == name


@pytest.mark.parametrize("name", ["GPIB0::24::INSTR", "GPIB::24", "gpib0::24", "source"])
def test_an_instrument_is_found_under_every_spelling_of_its_name_and_under_its_ports(manager: Any, name: str) -> None:
    assert manager.open_resource(name).query("*IDN?").startswith("KEITHLEY INSTRUMENTS INC.,MODEL 2400")


@pytest.mark.parametrize(
    ("name", "status"), [("GPIB0::25::INSTR", StatusCode.error_resource_not_found), ("nobody", StatusCode.error_invalid_resource_name)]
)
def test_what_is_not_on_the_bench_cannot_be_opened(manager: Any, name: str, status: StatusCode) -> None:
    assert status_of(lambda: manager.open_bare_resource(name)) == status


def test_the_instruments_keep_their_state_when_nobody_is_connected(bench_file: Path) -> None:
    for wanted in (0.25, 0.5):
        manager = pyvisa.ResourceManager(f"{bench_file}@labonn")
        with manager.open_resource("source") as meter:
            meter.write(f":SOUR:DEL {wanted}")
        with manager.open_resource("source") as meter:
            assert float(meter.query(":SOUR:DEL?")) == wanted
        manager.close()


def test_a_socket_and_a_serial_port_need_the_terminators_that_the_real_ones_need(manager: Any) -> None:
    lan = manager.open_resource(NAMES[4], write_termination="\n", read_termination="\n")
    assert lan.query("*IDN?").startswith("KEITHLEY")
    lan.read_termination = None
    lan.write("*OPC?")
    assert status_of(lan.read) == StatusCode.error_timeout
    serial = manager.open_resource(NAMES[3], write_termination="\n", read_termination="\n", baud_rate=115200)
    assert serial.query("id?") == "Q8iv-" + serial.query("id?")[5:]
    serial.write("nchan?")
    assert serial.bytes_in_buffer == len(serial.read_raw())


def test_a_read_of_nothing_times_out_at_once_in_simulated_time_and_is_noted_by_the_instrument(manager: Any, meter: Any) -> None:
    clock, meter.timeout = manager.visalib.bench.clock, 30000
    before, began = clock.now(), time.perf_counter()
    assert status_of(meter.read) == StatusCode.error_timeout
    assert time.perf_counter() - began < 1
    assert 30 <= clock.now() - before < 60  # the time that the program itself needed comes on top
    assert meter.query("SYST:ERR?") == '-420,"Query UNTERMINATED"\n'
    meter.timeout = None
    assert status_of(meter.read) == StatusCode.error_timeout  # an infinite one, too: nothing can come any more


def test_an_answer_that_was_not_read_is_lost_and_noted(meter: Any) -> None:
    meter.write("*IDN?")
    assert meter.query("*OPC?") == "1\n"
    assert meter.query("SYST:ERR?").startswith("-410,")


def test_the_status_byte_tells_of_answers_and_errors_and_is_polled_beside_them(meter: Any) -> None:
    assert meter.read_stb() == 0
    meter.write("*IDN?")
    assert meter.read_stb() == 16
    meter.read()
    meter.write(":FOO")
    assert meter.read_stb() == 4
    assert meter.query("*STB?") == "4\n"


def test_a_service_request_waits_in_the_queue_and_ends_with_the_poll(meter: Any) -> None:
    assert status_of(lambda: meter.wait_on_event(EventType.service_request, 10)) == StatusCode.error_not_enabled
    meter.enable_event(EventType.service_request, EventMechanism.queue)
    meter.write("*SRE 16")
    assert meter.wait_on_event(EventType.service_request, 10, capture_timeout=True).timed_out
    meter.write("*IDN?")
    assert meter.wait_on_event(EventType.service_request, 10).event.event_type == EventType.service_request
    assert (meter.read_stb(), meter.read_stb()) == (80, 16)
    meter.read()
    meter.write("*OPC?")
    meter.wait_for_srq(timeout=100)
    meter.disable_event(EventType.service_request, EventMechanism.queue)


def test_a_handler_is_called_when_the_answer_is_there(meter: Any) -> None:
    heard: list[str] = []
    handler = meter.wrap_handler(lambda resource, event, handle: heard.append(f"{handle} {resource.read_stb()} {resource.read()}"))
    meter.install_handler(EventType.service_request, handler, "mine")
    meter.enable_event(EventType.service_request, EventMechanism.handler)
    meter.write("*SRE 16")
    meter.write("*OPC?")
    assert heard == ["mine 80 1\n"]
    meter.uninstall_handler(EventType.service_request, handler, "mine")
    meter.write("*OPC?")
    assert len(heard) == 1


@pytest.mark.parametrize("event", [EventType.trig, EventType.io_completion])
def test_other_events_do_not_exist(meter: Any, event: EventType) -> None:
    assert status_of(lambda: meter.enable_event(event, EventMechanism.queue)) == StatusCode.error_invalid_event


def test_device_clear_forgets_half_a_command_and_the_answer(meter: Any) -> None:
    meter.send_end = False
    meter.write_raw(b":SOUR:DEL 0.2")
    meter.clear()
    meter.send_end = True
    assert meter.query("*OPC?") == "1\n"
    meter.write("*IDN?")
    meter.clear()
    assert meter.query(":SYST:ERR?") == '0,"No error"\n'


def test_a_message_goes_on_until_its_end_is_signalled(meter: Any) -> None:
    meter.send_end = False
    meter.write_raw(b":SOUR:DEL ")
    meter.send_end = True
    meter.write_raw(b"0.125")
    assert float(meter.query(":SOUR:DEL?")) == 0.125


def test_a_group_trigger_is_a_trigger_and_a_socket_has_none(manager: Any, meter: Any) -> None:
    meter.assert_trigger()
    assert meter.query(":SYST:ERR?").startswith("-211,")  # nothing waits for it
    lan = manager.open_resource(NAMES[4])
    assert status_of(lan.assert_trigger) == StatusCode.error_nonsupported_operation
    assert status_of(lan.read_stb) == StatusCode.error_nonsupported_operation


def test_what_one_session_locks_the_other_cannot_use(manager: Any, meter: Any) -> None:
    other = manager.open_resource("source")
    with meter.lock_context():
        meter.lock_excl()
        assert status_of(lambda: other.query("*OPC?")) == StatusCode.error_resource_locked
        assert status_of(lambda: manager.open_bare_resource("source", AccessModes.exclusive_lock)) == StatusCode.error_resource_locked
        meter.unlock()
        assert meter.query("*OPC?") == "1\n"
    key = meter.lock()
    assert status_of(other.lock) == StatusCode.error_resource_locked
    assert other.lock(requested_key=key) == key
    assert other.query("*OPC?") == "1\n"
    meter.close()
    other.unlock()
    assert status_of(other.unlock) == StatusCode.error_session_not_locked


def test_attributes_are_those_of_the_interface(manager: Any, meter: Any) -> None:
    assert (meter.primary_address, meter.interface_number, meter.resource_class) == (24, 0, "INSTR")
    assert meter.resource_manufacturer_name.startswith("labonn")
    assert status_of(lambda: meter.get_visa_attribute(ResourceAttribute.asrl_baud_rate)) == StatusCode.error_nonsupported_attribute
    read_only = ResourceAttribute.interface_number
    assert status_of(lambda: meter.set_visa_attribute(read_only, 3)) == StatusCode.error_attribute_read_only
    assert status_of(lambda: meter.set_visa_attribute(ResourceAttribute.termchar, 300)) == StatusCode.error_nonsupported_attribute_state
    lan = manager.open_resource(NAMES[4])
    assert lan.get_visa_attribute(ResourceAttribute.tcpip_port) == 5025
    assert lan.get_visa_attribute(ResourceAttribute.tcpip_address) == "10.0.0.8"
    usb = manager.open_resource(NAMES[1])
    assert (usb.manufacturer_id, usb.model_code, usb.serial_number) == (0x05E6, 0x2400, "1234567")
    meter.close()
    with pytest.raises(pyvisa.errors.InvalidSession):
        meter.query("*OPC?")


def test_every_attribute_that_pyvisa_lists_can_be_read_or_is_refused_as_visa_does(manager: Any) -> None:
    for name in NAMES:
        resource = manager.open_resource(name)
        for attribute in resource.visa_attributes_classes:
            found, status = manager.visalib._sessions[resource.session].get(attribute.attribute_id)
            assert status in (StatusCode.success, StatusCode.error_nonsupported_attribute), attribute
            assert isinstance(found, (int, str, bool)), attribute


def test_what_is_not_there_is_refused_as_visa_does(meter: Any) -> None:
    assert status_of(lambda: meter.visalib.gpib_command(meter.session, b"?")) == StatusCode.error_nonsupported_operation
    assert status_of(lambda: meter.visalib.read_asynchronously(meter.session, 5)) == StatusCode.error_nonsupported_operation
    assert meter.visalib.status_description(meter.session, StatusCode.error_timeout)[0].startswith("Timeout")
    meter.visalib.gpib_send_ifc(meter.session)
    meter.write("*OPC?")
    meter.flush(BufferOperation.discard_read_buffer)
    assert status_of(meter.read) == StatusCode.error_timeout


def test_a_message_is_read_to_its_end_whatever_bytes_it_has() -> None:
    found = session(Canned(b"#210ab\ncd\nef\nh\n\n"))
    found.write(b"DATA?")
    assert found.read(6) == (b"#210ab", StatusCode.success_max_count_read)
    assert found.read(100) == (b"\ncd\nef\nh\n\n", StatusCode.success)


def test_a_message_ends_earlier_at_an_enabled_termination_character() -> None:
    found = session(Canned(b"one;two\n"))
    found.set(int(ResourceAttribute.termchar), ord(";"))
    found.set(int(ResourceAttribute.termchar_enabled), True)
    found.write(b"A?;B?")
    assert found.read(100) == (b"one;", StatusCode.success_termination_character_read)
    assert found.read(100) == (b"two\n", StatusCode.success)


def test_a_block_that_ends_with_the_terminators_byte_still_ends_the_message() -> None:
    firmware = Canned()
    found = session(firmware)
    found.write(b"DATA #14abc\n")
    found.write(b"NEXT\n")
    assert firmware.heard == b"DATA #14abc\n\nNEXT\n"


def test_a_serial_port_ends_at_linefeed_unless_it_is_told_otherwise() -> None:
    found = session(Canned(b"ab\ncd", b"\x00\n\x01\n", b""), "ASRL7::INSTR")
    found.write(b"x")
    assert found.read(100) == (b"ab\n", StatusCode.success_termination_character_read)
    assert found.read(2) == (b"cd", StatusCode.success_max_count_read)
    found.set(int(ResourceAttribute.asrl_end_in), SerialTermination.none)
    found.write(b"x")
    assert found.get(int(ResourceAttribute.asrl_avalaible_number)) == (4, StatusCode.success)
    assert found.read(4) == (b"\x00\n\x01\n", StatusCode.success_max_count_read)
    found.set(int(ResourceAttribute.asrl_end_out), SerialTermination.termination_char)
    found.write(b"y")
    firmware: Canned = found.instrument.firmware
    assert firmware.heard == b"xxy\n"


def test_a_socket_gives_what_there_is_only_if_it_is_told_so() -> None:
    found = session(Canned(b"part", b"more"), "TCPIP0::h::1::SOCKET")
    found.write(b"x")
    assert found.read(100) == (b"", StatusCode.error_timeout)
    assert found.instrument.clock.now() == pytest.approx(2.001)
    found.write(b"x")
    found.set(int(ResourceAttribute.suppress_end_enabled), False)
    assert found.read(100) == (b"more", StatusCode.success)


@given(st.binary(min_size=1, max_size=60), st.lists(st.integers(1, 20), min_size=1, max_size=40), st.sampled_from(["G", "T", "A"]))
def test_however_it_is_read_no_byte_is_lost_added_or_moved(data: bytes, counts: list[int], kind: str) -> None:
    found = session(Canned(data), {"G": "GPIB0::1::INSTR", "T": "TCPIP0::h::1::SOCKET", "A": "ASRL1::INSTR"}[kind])
    found.set(int(ResourceAttribute.suppress_end_enabled), False)
    found.write(b"x")
    got = b""
    for count in counts:
        if not found.instrument.output or (kind == "A" and b"\n" not in data[len(got) :] and len(data) - len(got) < count):
            break
        piece, status = found.read(count)
        assert status >= 0
        assert 0 < len(piece) <= count
        got += piece
    assert data.startswith(got)
    assert bytes(found.instrument.output) == data[len(got) :]


def test_binary_values_arrive_as_they_were_sent() -> None:
    class Scope(Canned):
        def feed(self, data: bytes) -> bytes:
            return b"#3400" + np.arange(100, dtype=">f4").tobytes() + b"\n" if b"?" in data else b""

    clock = SimulatedClock()
    library = SimulatedVisaLibrary.__new__(SimulatedVisaLibrary, _bench_with(Scope(), clock))
    manager = pyvisa.ResourceManager(library)
    for name in ("GPIB0::1::INSTR", "TCPIP0::h::1::SOCKET"):
        scope = manager.open_resource(name, read_termination="\n", write_termination="\n")
        values = scope.query_binary_values("CURV?", datatype="f", is_big_endian=True, container=np.array)
        assert np.array_equal(values, np.arange(100))
    manager.close()


def _bench_with(firmware: Any, clock: SimulatedClock) -> str:
    bench = VisaBench.__new__(VisaBench)
    whole = VisaInstrument("GPIB0::1::INSTR", firmware, clock, b"\n", True)
    stream = VisaInstrument("TCPIP0::h::1::SOCKET", firmware, clock, b"\n", False)
    import threading

    bench.clock, bench.turn, bench._follows, bench._aliases = clock, threading.RLock(), False, {}
    bench.resources = {whole.name: whole, stream.name: stream}
    visa_bench.benches["made by hand"] = bench
    return "made by hand"


def test_instruments_of_one_bench_share_its_light() -> None:
    desk = Path(__file__).parents[2] / "procedures/benches/desk.toml"
    manager: Any = pyvisa.ResourceManager(f"{desk}?seed=1@labonn")
    laser = manager.open_resource("laser", write_termination="\n", read_termination="\n")
    meter = manager.open_resource("power")
    dark = float(meter.query("MEAS:POW?"))
    laser.write("SILD 60")  # 40 mA above threshold, 0.25 W/A
    laser.write("LDON ON")
    assert abs(dark) < 1e-7
    assert float(meter.query("MEAS:POW?")) == pytest.approx(10e-3, rel=0.2)
    manager.close()
    visa_bench.benches.clear()


def test_pymeasure_runs_unchanged_and_measures_the_emulated_load(bench_file: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pymeasure.instruments.keithley import Keithley2400
    meter: Any = Keithley2400("GPIB0::24::INSTR", visa_library=f"{bench_file}@labonn")
    meter.reset()
    meter.source_mode = "current"
    meter.source_current_range = 0.01
    meter.compliance_voltage = 10
    meter.source_current = 0.005
    meter.enable_source()
    assert meter.voltage == pytest.approx(0.1, rel=1e-2)  # 5 mA through the section's 20 ohm
    assert meter.next_error == [0, '"No error"']
    meter.shutdown()
    meter.adapter.close()
    meter.adapter.manager.close()


def test_time_that_a_program_waits_passes_for_the_instruments(manager: Any, meter: Any) -> None:
    clock = manager.visalib.bench.clock
    meter.query("*OPC?")
    before = clock.now()
    time.sleep(0.05)
    meter.query("*OPC?")
    assert 0.05 < clock.now() - before < 10


def test_in_real_time_a_command_takes_as_long_as_on_the_wire(bench_file: Path) -> None:
    manager: Any = pyvisa.ResourceManager(f"{bench_file}?real_time=1@labonn")
    meter = manager.open_resource("source")
    began = time.perf_counter()
    for _ in range(20):
        meter.query("*OPC?")
    assert time.perf_counter() - began > 0.02  # a millisecond a command
    manager.close()


def test_the_seed_decides_the_serial_numbers(bench_file: Path) -> None:
    def identity(query: str) -> str:
        return str(VisaBench(BenchChoice.parse(f"{bench_file}{query}")).resources[NAMES[0]].firmware.identity)

    assert identity("?seed=1") == identity("?seed=1&ideal=1") != identity("?seed=2")


@pytest.mark.parametrize("query", ["?sead=1", "?seed=x", "?ideal", "?seed"])
def test_a_wrong_choice_is_explained(bench_file: Path, query: str) -> None:
    with pytest.raises(BenchFileError, match="known are seed=N, ideal=1 and real_time=1"):
        pyvisa.ResourceManager(f"{bench_file}{query}@labonn")


@pytest.mark.parametrize(
    "choice", [BenchChoice("b.toml"), BenchChoice("b.toml", 3), BenchChoice("a b.toml", 0, True), BenchChoice("x", None, True, True)]
)
def test_a_choice_is_read_as_it_was_written(choice: BenchChoice) -> None:
    assert BenchChoice.parse(str(choice)) == choice


def test_a_bench_file_without_a_simulated_bench_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "real.toml"
    path.write_text(BENCH.partition("[simulation]")[0], encoding="utf-8")
    with pytest.raises(BenchFileError, match=r"real.toml: simulation.bench = None: .* 'unlit'"):
        pyvisa.ResourceManager(f"{path}@labonn")
    with pytest.raises(OSError, match="which bench"):
        SimulatedVisaLibrary("")


def test_a_script_finds_the_bench_by_its_environment_alone(bench_file: Path, tmp_path: Path) -> None:
    script = tmp_path / "plain.py"
    script.write_text(
        "import pyvisa\nmanager = pyvisa.ResourceManager()\nprint(manager.list_resources('GPIB?*'))\n"
        "print(manager.open_resource('GPIB0::24::INSTR').query('*IDN?'), end='')\n"
    )
    environment = {**os.environ, "PYVISA_LIBRARY": f"{bench_file}@labonn"}
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.startswith("('GPIB0::24::INSTR',)\nKEITHLEY INSTRUMENTS INC.,MODEL 2400,"), done.stderr
    assert (done.returncode, done.stderr) == (0, "")


def test_a_query_in_process_costs_little(meter: Any) -> None:
    def seconds() -> float:
        began = time.perf_counter()
        for _ in range(500):
            meter.query("*OPC?")
        return (time.perf_counter() - began) / 500

    assert min(seconds() for _ in range(5)) < 200e-6  # about 13 us on an idle machine
