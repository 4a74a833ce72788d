"""The NI-DAQmx drivers on the emulated package: tables, limits, clocks, refusals, disturbed tasks; and loading the package."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nidaqmx.error_codes import DAQmxErrors

from drivers import nidaqmx_table
from drivers.nidaqmx_clock import check_clock, check_input, most_a_channel, samples_a_shot
from drivers.nidaqmx_in import NiDaqIn
from drivers.nidaqmx_out import NiDaqOut
from drivers.nidaqmx_table import OneTask, ReservedError, ranges_of, typed
from labonn.bench import Bench
from labonn.devices import Actuator, Detector, Trigger
from labonn.errors import (
    ConnectError,
    DesyncError,
    IdentityError,
    LabonnError,
    LimitError,
    LinkClosedError,
    LinkTimeoutError,
    MissingPackageError,
    ReadingError,
    RefusedError,
    TableError,
    UnknownStateError,
)
from labonn.shots import Changes, Dither, ShotTable
from labonn.sources import SdkCalls
from sim_backends.firmware.nidaqmx import NiDaqTable
from sim_backends.firmware.nidaqmx_constants import DaqError

STEP = 20 / 2**16
DWELL_S = 1e-4


@pytest.fixture
def table() -> NiDaqTable:
    """A device whose first four inputs see its outputs."""
    return wired(NiDaqTable(noise=0.0))


def wired(table: NiDaqTable) -> NiDaqTable:
    table.inputs = lambda times_s: np.pad(table.sampled(times_s), ((0, 0), (0, table.model.inputs - table.model.outputs)))
    return table


def output(table: Any, prepared: bool = True, **options: Any) -> NiDaqOut:
    driver = NiDaqOut(table, NiDaqOut.Options(**{"channels": 2, **options}), "modulators")
    if prepared:
        driver.prepare(driver.spec)
    return driver


def detectors(table: Any, **options: Any) -> NiDaqIn:
    return NiDaqIn(table, NiDaqIn.Options(**{"channels": 2, **options}), "detectors")


def record(driver: NiDaqIn, shots: int, dwell_s: float = DWELL_S) -> Any:
    driver.arm(shots, dwell_s)
    driver.fire(shots, dwell_s)
    return driver.fetch()


class Faulty:
    """A function table whose named methods of tasks, readers and writers do something else, as often as there are faults."""

    def __init__(self, table: NiDaqTable, **faults: list[Any]) -> None:
        self._table, self.faults = table, faults
        self.stream_readers = SimpleNamespace(AnalogMultiChannelReader=self._maker(table.stream_readers.AnalogMultiChannelReader))
        self.stream_writers = SimpleNamespace(AnalogMultiChannelWriter=self._maker(table.stream_writers.AnalogMultiChannelWriter))
        self.Task = self._maker(table.Task)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def _maker(self, make: Callable[..., Any]) -> Callable[..., Any]:
        def made(*given: Any, **named: Any) -> Any:
            thing = make(*given, **named)
            for name in self.faults:
                if hasattr(thing, name):
                    self._disturb(thing, name)
            return thing

        return made

    def _disturb(self, thing: Any, name: str) -> None:
        original = getattr(thing, name)

        def disturbed(*given: Any, **named: Any) -> Any:
            fault = self.faults[name].pop(0) if self.faults[name] else None
            if isinstance(fault, int):
                raise DaqError("Wrong.", fault)
            return original(*given, **named) if fault is None else fault(original, *given, **named)

        setattr(thing, name, disturbed)


# ---------------------------------------------------------------------------------------------------------- what they are


def test_the_drivers_are_an_actuator_and_a_detector_that_triggers(table: NiDaqTable) -> None:
    out, inputs = output(table), detectors(table)
    assert isinstance(out, Actuator)
    assert isinstance(inputs, Detector)
    assert isinstance(inputs, Trigger)
    assert not isinstance(out, Trigger)
    assert not isinstance(inputs, Actuator)
    assert (NiDaqOut.shares, NiDaqOut.link_options) == (NiDaqIn.shares, NiDaqIn.link_options)


def test_opening_identifies_reads_and_changes_nothing(table: NiDaqTable) -> None:
    task = table.Task()
    task.ao_channels.add_ao_voltage_chan("Dev1/ao1")
    task.write(1.5)
    task.close()
    before, time_s = table.volts_v, table.time_s
    out, inputs = output(table, prepared=False, first=1), detectors(table, channels=3, first=30 - 1)
    assert out.identity == inputs.identity == "National Instruments PCIe-6363, serial number 01C0FFEE"
    assert (out.spec.names, inputs.spec.names) == (("ao1", "ao2"), ("ai29", "ai30", "ai31"))
    assert (out.spec.lower[0], out.spec.upper[0], out.spec.step[0], out.spec.depth) == (-10, 10, STEP, 65536)
    assert (inputs.spec.lower[0], inputs.spec.upper[0], inputs.spec.step[0]) == (-10, 10, STEP)
    assert (np.array_equal(table.volts_v, before), table.time_s, table._holders) == (True, time_s, {})


def test_another_model_is_refused(table: NiDaqTable) -> None:
    with pytest.raises(IdentityError, match=r"modulators: Dev1 is National Instruments PCIe-6363, .* says product = 'USB-6363'"):
        output(table, product="USB-6363")
    with pytest.raises(IdentityError, match="detectors: Dev1 is"):
        detectors(table, product="USB-6363")
    assert output(table, product="PCIe-6363").identity


def test_lines_that_are_not_there_are_named_with_those_that_are(table: NiDaqTable) -> None:
    with pytest.raises(TableError, match="Dev1/ao4 does not exist; first = 3 and channels = 2, the device has Dev1/ao0 to Dev1/ao3"):
        output(table, first=3)
    with pytest.raises(TableError, match=r"Dev1/ai32 does not exist; .* Dev1/ai0 to Dev1/ai31"):
        detectors(table, channels=33)


def test_a_device_that_is_not_there_is_a_connect_error(table: NiDaqTable) -> None:
    table.device = "Dev1"
    elsewhere = SimpleNamespace(**{name: getattr(table, name) for name in ("Task", *nidaqmx_table.PARTS)}, device="Dev7")
    with pytest.raises(ConnectError, match="modulators: Device identifier is invalid; Device Specified: Dev7; Status Code: -200220"):
        output(elsewhere)


@pytest.mark.parametrize(
    "wrong",
    [{"channels": 0}, {"first": -1}, {"depth": 0}, {"trigger": ""}, {"readback_v": -1.0}, {"settle_s": float("inf")}, {"timeout_s": 0.0}],
)
def test_impossible_options_of_outputs_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        NiDaqOut.Options(**{"channels": 1, **wrong})


@pytest.mark.parametrize(
    "wrong",
    [{"channels": 0}, {"first": -1}, {"depth": 0}, {"samples": 1}, {"skip": -1}, {"terminals": "wire"}, {"range_v": -1}, {"timeout_s": 0}],
)
def test_impossible_options_of_inputs_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        NiDaqIn.Options(**{"channels": 1, **wrong})


# ---------------------------------------------------------------------------------------------------- loading the package


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nidaqmx", None)
    with pytest.raises(MissingPackageError, match=r'needs the package nidaqmx \(.*\): pip install "labonn\[ni\]"'):
        NiDaqOut.load_sdk("nidaqmx://Dev1")


def test_without_nis_driver_the_real_package_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import nidaqmx.utils

    def missing(*given: Any) -> Any:
        raise nidaqmx.errors.DaqNotFoundError("Could not find an installation of NI-DAQmx.")

    monkeypatch.setattr(nidaqmx.utils, "_select_interpreter", missing)
    with pytest.raises(MissingPackageError, match="nidaqmx://Dev1: Could not find an installation of NI-DAQmx; install NI-DAQmx"):
        NiDaqIn.load_sdk("nidaqmx://Dev1")


@pytest.mark.parametrize("url", ["nidaqmx://", "nidaqmx://Dev1/ao0", "visa://Dev1"])
def test_a_link_without_a_device_name_is_refused(url: str) -> None:
    with pytest.raises(ConnectError, match=r"linked by nidaqmx://NAME"):
        NiDaqOut.load_sdk(url)


def test_a_device_that_the_computer_does_not_have_is_named_with_those_it_has(table: NiDaqTable, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("", *nidaqmx_table.PARTS):
        module = ModuleType(f"nidaqmx.{name}".rstrip("."))
        module.__dict__.update(vars(getattr(table, name)) if name else {"Task": table.Task})
        monkeypatch.setitem(sys.modules, module.__name__, module)
    with pytest.raises(ConnectError, match=r"nidaqmx://Dev2: NI-DAQmx has no device 'Dev2'; it has Dev1$"):
        NiDaqOut.load_sdk("nidaqmx://Dev2")
    assert NiDaqOut.load_sdk("nidaqmx://Dev1").device == "Dev1"


NUMBERS = {
    LinkTimeoutError: ("SAMPLES_NOT_YET_AVAILABLE", "OPERATION_TIMED_OUT", "WAIT_UNTIL_DONE_DOES_NOT_INDICATE_DONE"),
    ConnectError: ("INVALID_DEVICE_ID", "DEV_ABSENT_OR_UNAVAILABLE"),
    LinkClosedError: ("DEV_CANNOT_BE_ACCESSED", "PAL_TRANSFER_ABORTED", "RUNTIME_ABORTED_ROUTING"),
    ReservedError: ("PAL_RESOURCE_RESERVED", "RESOURCE_ALREADY_RESERVED"),
    RefusedError: ("SAMPLES_NO_LONGER_AVAILABLE", "INVALID_ATTRIBUTE_VALUE", "INVALID_AO_DATA_WRITE"),
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in NUMBERS.items() for name in names])
def test_errors_of_the_package_become_typed_errors_with_its_words(kind: type[LabonnError], name: str) -> None:
    problem = typed(DAQmxErrors[name].value, "port: words")
    assert type(problem) is kind
    assert str(problem) == "port: words"


def test_ranges_come_in_pairs_and_the_narrowest_is_first() -> None:
    assert ranges_of([-10.0, 10.0, 0.0, 5.0, -1.0, 1.0]) == [(-1, 1), (0, 5), (-10, 10)]


# ------------------------------------------------------------------------------------------------------------------ tables


@pytest.mark.parametrize("shots", [1, 2, 3, 100])
def test_a_table_is_played_row_by_row_as_the_record_takes_it(table: NiDaqTable, shots: int) -> None:
    out, inputs = output(table), detectors(table)
    bank = np.linspace(-10, 10, 14).reshape(7, 2)
    order = np.random.default_rng(shots).integers(0, 7, shots)
    for loaded in (bank, None, bank[::-1].astype(np.float32)):
        out.load(loaded, order, DWELL_S)
        out.arm()
        readings = record(inputs, shots)
        wanted = (bank if loaded is None else loaded)[order]
        assert readings.shape == (shots, 2)
        assert np.abs(readings - wanted).max() <= 1.05 * STEP


def test_the_outputs_wait_for_the_record_and_hold_the_last_row(table: NiDaqTable) -> None:
    out, inputs = output(table), detectors(table)
    out.load(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([0, 1]), DWELL_S)
    out.arm()
    with pytest.raises(TableError, match="modulators: nothing is loaded"):
        out.arm()
    table.time_s += 5.0
    assert not table.volts_v.any()
    record(inputs, 2)
    table.time_s += 5.0
    assert table.volts_v[:2] == pytest.approx([3, 4], abs=STEP)


def test_sparse_banks_are_played_as_their_dense_form(table: NiDaqTable) -> None:
    out, inputs = output(table), detectors(table)
    base = np.array([1.0, -1.0])
    changes = Changes(base, np.array([[0], [1]]), np.array([[2.0], [3.0]]))
    dither = Dither(base, np.array([0.5, 0.25]), np.packbits(np.array([[1, 0], [0, 1]], np.uint8), axis=1))
    for bank in (changes, dither):
        out.load(bank, np.array([1, 0, 1]), DWELL_S)
        out.arm()
        assert np.abs(record(inputs, 3) - bank.rows(np.array([1, 0, 1]))).max() <= 1.05 * STEP


def test_orders_of_the_same_length_use_the_same_tasks_again(table: NiDaqTable) -> None:
    counted = SdkCalls(table)
    out, inputs = output(counted), detectors(counted)
    bank, made = np.ones((3, 2)), []
    for _ in range(4):
        out.load(bank, np.array([0, 1, 2]), DWELL_S)
        out.arm()
        record(inputs, 3)
        made.append(counted.exchanges)
    assert len(set(made)) == 1


def test_what_was_loaded_last_is_played(table: NiDaqTable) -> None:
    out, inputs = output(table), detectors(table)
    for value in (1.0, 2.0, 3.0):
        out.load(np.full((1, 2), value), np.zeros(4, np.int64), DWELL_S)
    out.arm()
    assert record(inputs, 4) == pytest.approx(np.full((4, 2), 3.0), abs=2 * STEP)


def test_an_external_edge_starts_the_outputs(table: NiDaqTable) -> None:
    out = output(table, trigger="PFI2")
    out.load(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1, 0]), DWELL_S)
    out.arm()
    table.external_trigger()
    assert np.rint(table.sampled(np.array([0.0, DWELL_S]))[:, :2]).tolist() == [[3, 4], [1, 2]]
    out.load(None, np.array([0, 1]), DWELL_S)  # never waits for the one before, which is aborted
    out.arm()


def test_what_cannot_be_loaded_or_armed_says_why(table: NiDaqTable) -> None:
    out = output(table)
    with pytest.raises(TableError, match="modulators: no bank was loaded before; the port has 2 channels"):
        out.load(None, np.array([0]), DWELL_S)
    with pytest.raises(TableError, match="modulators: a row has 3 values; the port has 2 channels"):
        out.load(np.zeros((1, 3)), np.array([0]), DWELL_S)
    with pytest.raises(TableError, match="modulators: nothing is loaded"):
        out.arm()
    with pytest.raises(TableError, match=r"modulators: 9000000 shots are 18000000 samples, more than 16777216"):
        out.load(np.zeros((1, 2)), np.zeros(9_000_000, np.int64), DWELL_S)


# ------------------------------------------------------------------------------------------------------------------ limits


def test_limits_are_those_of_the_channels_and_both_ends_can_be_set(table: NiDaqTable, monkeypatch: pytest.MonkeyPatch) -> None:
    out = output(table, prepared=False)
    spec = out.spec.tighten(-1.5, [2.0, 4.0], "bench.toml")
    out.prepare(spec)
    assert out.spec.step.tolist() == [10 / 2**16] * 2  # the 5 V range holds them
    out.load(np.array([[-1.5, -1.5], [2.0, 4.0]]), np.array([0, 1]), DWELL_S)
    for outside in ([2.0001, 0.0], [0.0, -1.5001], [np.nan, 0.0]):
        with pytest.raises(LimitError, match=r"modulators/ao[01]: .* in row 0 is outside .* \(bench.toml\)"):
            out.load(np.array([outside]), np.array([0]), DWELL_S)
    monkeypatch.setattr(type(spec), "check", lambda *given: None)  # the package has the limits too
    with pytest.raises(RefusedError, match=r"too large or too small; Requested Value: 2.5"):
        out.load(np.array([[2.5, 0.0]]), np.array([0, 0]), DWELL_S)


def test_limits_that_leave_no_room_are_kept_to_a_microvolt(table: NiDaqTable) -> None:
    out = output(table, prepared=False)
    out.prepare(out.spec.tighten([10.0, 1.0], [10.0, 1.0], "bench.toml"))
    assert table.volts_v[:2] == pytest.approx([10, 1], abs=STEP)
    assert out.safe() is None


def test_limits_that_read_back_otherwise_are_an_unknown_state(table: NiDaqTable) -> None:
    def wider(original: Any, line: str, **limits: float) -> Any:
        return original(line, **{**limits, "max_val": 5.0})

    out = NiDaqOut(table, NiDaqOut.Options(channels=1), "modulators")
    make = table.Task
    table.Task = lambda: widened(make(), wider)
    with pytest.raises(UnknownStateError, match="Dev1/ao0 has limits of -2 to 5 V after -2 to 2 V were set"):
        out.prepare(out.spec.tighten(-2.0, 2.0, "bench.toml"))


def widened(task: Any, wider: Any) -> Any:
    original = task.ao_channels.add_ao_voltage_chan
    task.ao_channels.add_ao_voltage_chan = lambda line, **limits: wider(original, line, **limits)
    return task


# ------------------------------------------------------------------------------------------------------------------ clocks


def test_output_shots_are_limited_by_the_devices_rate(table: NiDaqTable) -> None:
    out = output(table, channels=1)
    out.load(np.zeros((1, 1)), np.zeros(4, np.int64), 35e-8)
    with pytest.raises(TableError, match=r"4 shots of 340 ns are too short; the device's limit is 349.65 ns .* ao_max_rate = 2.86 MSa/s"):
        out.load(np.zeros((1, 1)), np.zeros(4, np.int64), 34e-8)
    with pytest.raises(TableError, match=r"1 shots of 500 ns are too short; the device's limit is 699.301 ns \(2 samples a shot"):
        out.load(np.zeros((1, 1)), np.zeros(1, np.int64), 50e-8)
    out.close()
    four = output(table, channels=4)
    with pytest.raises(RefusedError, match=r"DAQmx_SampClk_Rate; Requested Value: 2000000.0; Maximum Value: 1250000.0"):
        four.load(np.zeros((1, 4)), np.zeros(4, np.int64), 5e-7)


def test_input_shots_are_limited_by_the_shared_converter(table: NiDaqTable) -> None:
    inputs = detectors(table, channels=4)
    inputs.arm(3, 8e-6)
    told = r"a shot of 7.9 us is too short; the limit is 8 us \(2 samples a shot on 4 channels, 250 kSa/s a channel: min"
    with pytest.raises(TableError, match=told):
        inputs.arm(3, 7.9e-6)
    inputs.close()
    alone = detectors(table, channels=1, samples=1, skip=0)
    alone.arm(3, 5e-7)
    with pytest.raises(TableError, match="the limit is 500 ns"):
        alone.arm(3, 4.9e-7)
    with pytest.raises(TableError, match=r"a shot of 50 s is too long; the limit is 42.9497 s .*ai_min_rate"):
        alone.arm(3, 50.0)


def test_slow_shots_are_made_of_several_output_samples() -> None:
    assert samples_a_shot("p", 5, 1e-3, 0.023, 1e6) == 1
    assert samples_a_shot("p", 5, 100.0, 0.023, 1e6) == 3
    assert samples_a_shot("p", 1, 1e-3, 0.023, 1e6) == 2


def test_a_converter_a_channel_needs_no_sharing() -> None:
    assert most_a_channel(2e6, 1e6, 4, simultaneous=True) == 2e6
    assert most_a_channel(2e6, 1e6, 4, simultaneous=False) == 250e3
    assert most_a_channel(2e6, 1e6, 1, simultaneous=False) == 2e6
    check_input("p", 1e-6, 2, 4, 0.02, 2e6)


def play(table: NiDaqTable) -> None:
    output(table).load(np.zeros((1, 2)), np.zeros(1000, np.int64), 12.345e-6)


def take(table: NiDaqTable) -> None:
    detectors(table).arm(1000, 12.345e-6)


@pytest.mark.parametrize("use", [play, take])
def test_shots_that_the_clock_cannot_make_are_refused_with_what_it_makes(table: NiDaqTable, use: Any) -> None:
    """1234.5 ticks of 10 ns become 1234; halves of them, 617.25, become 617."""
    told = "a shot of 12.345 us cannot be made by the device's clock, which takes 12.34 us: 0.405 shots apart after 1000"
    with pytest.raises(TableError, match=told):
        use(table)
    assert table._holders == {}


@given(st.integers(1, 10**6), st.floats(1e-6, 1.0), st.floats(-1e-3, 1e-3))
def test_a_clock_is_refused_exactly_if_it_runs_away(shots: int, dwell_s: float, error: float) -> None:
    late = abs(shots * dwell_s * (1 / (1 + error)) - shots * dwell_s) / dwell_s
    if abs(late - 0.02) < 1e-9:
        return
    if late < 0.02:
        check_clock("p", 1 / dwell_s, (1 + error) / dwell_s, shots, dwell_s)
    else:
        with pytest.raises(TableError, match=r"p: a shot of .* cannot be made"):
            check_clock("p", 1 / dwell_s, (1 + error) / dwell_s, shots, dwell_s)


def test_a_clock_that_tells_no_rate_is_refused() -> None:
    with pytest.raises(TableError, match="cannot be made"):
        check_clock("p", 1e6, 0.0, 1, 1e-6)


# -------------------------------------------------------------------------------------------------------------- held, safe


@pytest.mark.parametrize(("product", "options"), [("USB-6009", {}), ("PCIe-6363", {"depth": 1})])
def test_outputs_without_a_clock_hold_a_row(product: str, options: dict[str, Any]) -> None:
    table = NiDaqTable(product)
    out = output(table, **options)
    assert out.spec.depth == 1
    out.load(np.array([[1.0, 2.0], [0.5, 4.0]]), np.array([1, 1]), DWELL_S)
    assert not table.volts_v.any()
    out.arm()
    assert table.volts_v[:2] == pytest.approx([0.5, 4.0], abs=2e-3)
    out.arm()
    with pytest.raises(TableError, match="cannot be sequenced"):
        out.load(np.array([[1.0, 2.0], [0.5, 4.0]]), np.array([0, 1]), DWELL_S)
    with pytest.raises(LimitError, match="modulators/ao1"):
        out.load(np.array([[1.0, 10.1]]), np.array([0]), DWELL_S)
    out.safe()
    assert not table.volts_v.any()


def test_the_safe_level_is_the_nearest_to_zero_that_is_allowed(table: NiDaqTable) -> None:
    out = output(table, prepared=False)
    out.prepare(out.spec.tighten([1.0, -5.0], [2.0, -0.5], "bench.toml"))
    assert table.volts_v[:2] == pytest.approx([1.0, -0.5], abs=STEP)


STATES: dict[str, Callable[[NiDaqOut, NiDaqIn], None]] = {
    "new": lambda out, inputs: None,
    "loaded": lambda out, inputs: out.load(np.ones((2, 2)), np.array([0, 1]), DWELL_S),
    "armed": lambda out, inputs: (out.load(np.ones((2, 2)), np.array([0, 1]), DWELL_S), out.arm())[0],
    "running": lambda out, inputs: (STATES["armed"](out, inputs), inputs.arm(2, DWELL_S), inputs._start(inputs._tasks.task))[0],
    "played": lambda out, inputs: (STATES["armed"](out, inputs), record(inputs, 2))[0],
    "closed": lambda out, inputs: (STATES["armed"](out, inputs), out.close())[0],
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("depth", [65536, 1])
def test_safe_works_from_every_state_and_the_next_table_too(table: NiDaqTable, state: str, depth: int) -> None:
    out, inputs = output(table), detectors(table)
    STATES[state](out, inputs)
    assert bool(table.volts_v.any()) == (state in ("running", "played"))
    out.safe()
    assert not table.volts_v.any()
    with pytest.raises(TableError, match="nothing is loaded"):
        out.arm()
    STATES["played"](out, inputs)
    assert table.volts_v[0] == pytest.approx(1, abs=STEP)


def test_safe_takes_the_outputs_from_a_task_that_was_left_behind(table: NiDaqTable) -> None:
    out = output(table)
    other = table.Task()
    other.ao_channels.add_ao_voltage_chan("Dev1/ao0")
    other.timing.cfg_samp_clk_timing(1000.0, samps_per_chan=10)
    other.write(np.full(10, 3.0), auto_start=True)
    with pytest.raises(ReservedError, match=r"The specified resource is reserved.*Reserved by"):
        out.prepare(out.spec)  # preparing does not end what others do
    assert table.volts_v[0] == pytest.approx(3, abs=STEP)
    out.safe()
    assert not table.volts_v.any()


@pytest.mark.parametrize("code", [-200284, -200077, -50103, -88709])
def test_safe_is_tried_again_after_an_error(table: NiDaqTable, code: int) -> None:
    faulty = Faulty(table, write=[])
    out = output(faulty)
    out.load(np.ones((2, 2)), np.array([0, 1]), DWELL_S)
    faulty.faults["write"][:] = [code, code]
    out.safe()
    assert faulty.faults["write"] == []
    faulty.faults["write"][:] = [code, code, code]
    with pytest.raises(LabonnError, match=str(code)):
        out.safe()


def test_an_unplugged_device_is_told_and_can_come_back(table: NiDaqTable) -> None:
    out = output(table)
    table.unplugged = True
    for _ in range(2):
        with pytest.raises(LinkClosedError, match=r"modulators: Device cannot be accessed.*-201003"):
            out.safe()
    table.unplugged = False
    out.safe()
    out.close()


def test_outputs_are_read_back_if_that_is_wanted(table: NiDaqTable) -> None:
    faulty = Faulty(table, read=[])
    held = output(faulty, depth=1, readback_v=0.01)
    held.load(np.array([[1.0, -2.0]]), np.array([0]), DWELL_S)
    held.arm()
    faulty.faults["read"][:] = [lambda original, **named: [1.0, -1.9]]
    with pytest.raises(UnknownStateError, match=r"modulators: Dev1/ao1: set to -2 V it reads back -1.9 V, more than 10 mV off"):
        held.arm()
    faulty.faults["read"][:] = [lambda original, **named: [float("nan"), -2.0]]
    with pytest.raises(UnknownStateError, match="Dev1/ao0: set to 1 V it reads back nan"):
        held.arm()
    inputs = detectors(table)
    inputs.arm(3, DWELL_S)
    held.safe()  # even while inputs record, by a reset of the device
    assert not table.volts_v.any()
    inputs.arm(3, DWELL_S)
    inputs.fire(3, DWELL_S)
    inputs.fetch()
    held.safe()


def test_closing_twice_leaves_the_outputs_and_no_task(table: NiDaqTable) -> None:
    out, inputs = output(table), detectors(table)
    STATES["played"](out, inputs)
    for device in (out, inputs, out, inputs):
        device.close()
    assert (table._tasks, table._holders) == ({}, {})
    assert table.volts_v[0] == pytest.approx(1, abs=STEP)


def test_a_task_that_cannot_be_set_up_is_not_left_open(table: NiDaqTable) -> None:
    tasks = OneTask(table)
    with pytest.raises(ZeroDivisionError):
        tasks.open("x", lambda task: 1 / 0)
    assert (tasks.task, table._tasks) == (None, {})


# -------------------------------------------------------------------------------------------------------------- the record


def test_the_samples_after_the_first_of_a_shot_are_averaged(table: NiDaqTable) -> None:
    table.inputs = lambda times_s: np.tile(times_s[:, None] * 1000, (1, 32))  # a volt in a millisecond
    inputs = detectors(table, samples=5, skip=2)
    assert record(inputs, 3, 1e-3)[:, 0] == pytest.approx([0.6, 1.6, 2.6], abs=STEP)  # of 0.4, 0.6 and 0.8 of a shot
    single = detectors(table, samples=1, skip=0)
    inputs.close()
    assert record(single, 1, 1e-3)[0, 0] == pytest.approx(0.0, abs=STEP)


def test_a_range_is_the_smallest_that_holds_and_is_read_back(table: NiDaqTable) -> None:
    inputs = detectors(table)
    assert inputs.set_range(0.1).tolist() == [0.1, 0.1]
    assert inputs.set_range(np.array([0.11, 10.0])).tolist() == [0.2, 10.0]
    table.inputs = lambda times_s: np.full((len(times_s), 32), 1e-4)
    assert record(inputs, 2) == pytest.approx(np.full((2, 2), 1e-4), abs=1e-3)
    assert abs(record(inputs, 2)[0, 0] - 1e-4) <= 0.4 / 2**16
    for wrong in (0.0, -1.0, 10.001, np.nan):
        with pytest.raises(LimitError, match=r"detectors/ai1: a range of .* V is not above 0 and up to 10 V \(driver\)"):
            inputs.set_range(np.array([1.0, wrong]))
    assert detectors(table, range_v=0.15)._taken == [(-0.2, 0.2)] * 2


def test_a_smaller_range_than_was_asked_for_is_an_unknown_state(table: NiDaqTable, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = detectors(table)
    monkeypatch.setattr("sim_backends.firmware.nidaqmx_channels.Channel.ai_rng_high", property(lambda channel: channel.span[1] / 2))
    with pytest.raises(UnknownStateError, match=r"detectors/ai0: a range of 5 V was asked for, the device takes 2.5 V"):
        inputs.set_range(5.0)


def test_samples_at_the_end_of_the_range_are_counted(table: NiDaqTable) -> None:
    inputs = detectors(table, samples=3, skip=1)
    inputs.set_range(np.array([1.0, 10.0]))
    table.inputs = lambda times_s: np.tile([0.5, 2.0], (len(times_s), 1))
    record(inputs, 4)
    assert inputs.saturated == 0
    table.inputs = lambda times_s: np.stack([np.where(times_s < 2 * DWELL_S, -3.0, 0.5), np.full(len(times_s), 2.0)], axis=1)
    readings = record(inputs, 4)
    assert inputs.saturated == 2 * 2
    assert readings[:2, 0] == pytest.approx([-1.05, -1.05], abs=1e-3)


@pytest.mark.parametrize("terminals", ["rse", "nrse", "diff"])
def test_terminals_are_as_the_bench_file_says(table: NiDaqTable, terminals: str) -> None:
    inputs = detectors(table, terminals=terminals)
    inputs.arm(2, DWELL_S)
    assert inputs._tasks.task.ai_channels[0].ai_term_cfg.name == terminals.upper()


def test_terminals_that_the_device_has_not_are_refused_with_its_words(table: NiDaqTable) -> None:
    with pytest.raises(RefusedError, match=r"detectors: .*DAQmx_AI_TermCfg; Requested Value: PSEUDO_DIFF; Channel Name: Dev1/ai0"):
        detectors(table, terminals="pseudo_diff")


def test_a_trigger_that_nobody_reads_is_seen_through(table: NiDaqTable) -> None:
    out, inputs = output(table), detectors(table)
    out.load(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([0, 1]), 1e-3)
    out.arm()
    start_s = table.time_s
    inputs.fire(2, 1e-3)
    assert table.time_s - start_s == pytest.approx(2e-3)
    assert table.volts_v[0] == pytest.approx(3, abs=STEP)
    with pytest.raises(TableError, match="detectors: nothing was recorded since the last fetch"):
        inputs.fetch()
    assert record(inputs, 5).shape == (5, 2)


def test_inputs_that_wait_for_an_edge_record_from_it_on(table: NiDaqTable) -> None:
    inputs = detectors(table, trigger="PFI1", timeout_s=0.5)
    table.inputs = lambda times_s: np.full((len(times_s), 2), 1.0)
    with pytest.raises(TableError, match=r"detectors: waits for an edge at PFI1 \(trigger\); it cannot be the bench's trigger"):
        inputs.fire(3, DWELL_S)
    inputs.arm(3, DWELL_S)
    with pytest.raises(LinkTimeoutError, match="detectors: Some or all of the samples requested have not yet been acquired"):
        inputs.fetch()
    inputs.arm(3, DWELL_S)
    table.external_trigger()
    assert inputs.fetch() == pytest.approx(np.ones((3, 2)), abs=STEP)


def test_more_shots_than_a_record_holds_are_refused(table: NiDaqTable) -> None:
    inputs = detectors(table, depth=10)
    assert record(inputs, 10).shape == (10, 2)
    with pytest.raises(TableError, match=r"11 shots; a record holds 1 to 10"):
        inputs.arm(11, DWELL_S)


def test_a_record_that_was_armed_and_forgotten_does_not_come_later(table: NiDaqTable) -> None:
    inputs = detectors(table)
    table.inputs = lambda times_s: np.full((len(times_s), 2), 1.0)
    inputs.arm(3, DWELL_S)
    inputs.arm(3, DWELL_S)
    inputs.fire(3, DWELL_S)
    table.inputs = lambda times_s: np.full((len(times_s), 2), 2.0)
    inputs.arm(3, DWELL_S)  # the record before was not fetched
    with pytest.raises(TableError, match="nothing was recorded"):
        inputs.fetch()
    inputs.fire(3, DWELL_S)
    assert inputs.fetch() == pytest.approx(np.full((3, 2), 2.0), abs=STEP)


def short(original: Any, data: Any, count: int, **named: Any) -> int:
    """Half of the samples come."""
    return int(original(np.zeros((len(data), count // 2)), count // 2, **named))


def twice(original: Any, data: Any, count: int, **named: Any) -> int:
    return 2 * int(original(data, count, **named))


def unfilled(original: Any, data: Any, count: int, **named: Any) -> int:
    """The array stays as it was."""
    return int(original(np.zeros_like(data), count, **named))


def infinite(original: Any, data: Any, count: int, **named: Any) -> int:
    got = int(original(data, count, **named))
    data[-1, -1] = np.inf
    return got


def test_readings_that_are_none_are_named(table: NiDaqTable) -> None:
    inputs = detectors(Faulty(table, read_many_sample=[infinite, unfilled]))
    with pytest.raises(ReadingError, match="detectors/ai1: reads what is no number in shot 2"):
        record(inputs, 3)
    with pytest.raises(ReadingError, match="detectors/ai0: reads what is no number in shot 0"):
        record(inputs, 3)


FAULTS = st.sampled_from([None, short, twice, unfilled, infinite, -200284, -200279, -201003, -50103, -200474, -12345])


@settings(max_examples=60)
@given(st.lists(FAULTS, max_size=6), st.lists(st.sampled_from([None, None, -200284, -50103, -200077]), max_size=4))
def test_whatever_a_reader_does_a_record_is_right_or_an_error(faults: list[Any], starts: list[Any]) -> None:
    table = NiDaqTable(noise=0.0)
    inputs = detectors(Faulty(table, read_many_sample=list(faults), start=list(starts)))
    told: list[str] = []
    for value in (0.5, -1.5, 2.5, 3.5, -4.5, 5.5):
        table.inputs = lambda times_s, value=value: np.full((len(times_s), 2), value)
        try:
            found = record(inputs, 4)
        except LabonnError as problem:
            told.append(str(problem))
        else:
            assert np.abs(found - value).max() <= 1.05 * STEP
    inputs.close()
    assert table._tasks == {}
    assert all(words.startswith("detectors") for words in told)


def test_wrong_numbers_of_samples_are_desyncs(table: NiDaqTable) -> None:
    inputs = detectors(Faulty(table, read_many_sample=[short, twice]))
    for told in ("3 samples a channel came, 6 were to come", "12 samples a channel came, 6 were to come"):
        with pytest.raises(DesyncError, match=told):
            record(inputs, 3)
    assert record(inputs, 3).shape == (3, 2)


def test_wrong_numbers_of_written_samples_are_an_unknown_state(table: NiDaqTable) -> None:
    faulty = Faulty(table, write_many_sample=[lambda original, *given, **named: original(*given, **named) - 1], write=[])
    out = output(faulty)
    with pytest.raises(UnknownStateError, match="4 samples were written, the device took 3"):
        out.load(np.ones((4, 2)), np.arange(4), DWELL_S)
    with pytest.raises(TableError, match="nothing is loaded"):
        out.arm()
    faulty.faults["write"][:] = [lambda original, *given, **named: 0]
    with pytest.raises(UnknownStateError, match="one sample was written, the device took 0"):
        out.prepare(out.spec)


WRITES = st.sampled_from([None, -200284, -50103, -200561, -201003, -12345])


@settings(max_examples=60)
@given(st.lists(WRITES, max_size=5), st.lists(WRITES, max_size=5))
def test_whatever_a_writer_does_the_outputs_play_what_was_loaded_or_it_is_an_error(writes: list[Any], starts: list[Any]) -> None:
    table = wired(NiDaqTable(noise=0.0))
    faulty = Faulty(table, write_many_sample=list(writes), start=list(starts))
    out, inputs = output(faulty), detectors(table)
    told: list[str] = []
    for value in (0.5, -1.5, 2.5, 3.5):
        try:
            out.load(np.full((3, 2), value), np.arange(3), DWELL_S)
            out.arm()
        except LabonnError as problem:
            told.append(str(problem))
        else:
            assert np.abs(record(inputs, 3) - value).max() <= 1.05 * STEP
    out.safe()
    assert not table.volts_v.any()
    assert all(words.startswith("modulators") for words in told)


# --------------------------------------------------------------------------------------------------------------- the bench

BENCH = """
[ports.modulators]
driver = "nidaqmx_out"
link = "nidaqmx://Dev1"
channels = 2
first = 1
upper = "4 V"
readback_v = 0.01
[ports.detectors]
driver = "nidaqmx_in"
link = "nidaqmx://Dev1"
channels = 3
first = 4
role = "trigger"
[simulation]
bench = "unlit"
"""


def test_a_bench_plays_tables_on_the_two_sides_of_one_device(tmp_path: Path) -> None:
    (tmp_path / "ni.toml").write_text(BENCH)
    with Bench.open(tmp_path / "ni.toml", dry_run=True) as bench:
        (emulator,) = bench._opened.simulated.instruments.of("detectors")
        emulator.inputs = lambda times_s: emulator.sampled(times_s)[:, 1:]
        bank = np.linspace(-4, 4, 12).reshape(6, 2)
        order = np.array([5, 0, 3, 3, 1])
        for banks in ({"modulators": bank}, {}):
            found = bench.play(ShotTable(banks, {"modulators": order}, DWELL_S))["detectors"]
            assert np.abs(found[:, :2] - bank[order]).max() < 2e-3
        bench.play(ShotTable({}, {"modulators": order}, DWELL_S, read=()))
        assert emulator.volts_v[1:3] == pytest.approx(bank[1], abs=STEP)
        with pytest.raises(LimitError, match=r"modulators/ao2: 4.01 V in row 0 is outside -10 to 4 V \(ni.toml\)"):
            bench.play(ShotTable({"modulators": np.array([[0.0, 4.01]])}, {}, DWELL_S))
    assert not emulator.volts_v.any()
    assert emulator._tasks == {}


def test_a_device_that_refuses_in_the_middle_ends_safe(tmp_path: Path) -> None:
    (tmp_path / "ni.toml").write_text(BENCH)
    bench = Bench.open(tmp_path / "ni.toml", dry_run=True)
    (emulator,) = bench._opened.simulated.instruments.of("detectors")

    def wrong(times_s: Any) -> Any:
        raise DaqError("Wrong.", -200077)

    emulator.inputs = wrong
    with pytest.raises(RefusedError, match="detectors: Wrong"):
        bench.play(ShotTable({"modulators": np.ones((2, 2))}, {"modulators": np.array([0, 1])}, DWELL_S))
    assert emulator.volts_v[1] == pytest.approx(1, abs=STEP)
    bench.close()
    assert not emulator.volts_v.any()
    assert emulator._tasks == {}
