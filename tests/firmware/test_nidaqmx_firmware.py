"""The emulated NI-DAQmx: its rules by hand, its names and numbers against the real package, and that package as its client."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import nidaqmx
import nidaqmx.constants
import nidaqmx.errors
import nidaqmx.stream_readers
import nidaqmx.stream_writers
import nidaqmx.system
import nidaqmx.task.channels
import nidaqmx.task.collections
import nidaqmx.task.triggering
import nidaqmx.utils
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nidaqmx.error_codes import DAQmxErrors, DAQmxWarnings

from drivers.nidaqmx_in import NiDaqIn
from drivers.nidaqmx_out import NiDaqOut
from drivers.nidaqmx_table import load_sdk
from sim_backends.firmware import nidaqmx_channels, nidaqmx_constants, nidaqmx_parts, nidaqmx_streams, nidaqmx_system, nidaqmx_tasks
from sim_backends.firmware.nidaqmx import NiDaqTable
from sim_backends.firmware.nidaqmx_constants import AcquisitionType, DaqError, DaqResourceWarning, DaqWarning, TaskMode

FINITE = AcquisitionType.FINITE


@pytest.fixture
def table() -> NiDaqTable:
    return NiDaqTable(noise=0.0)


def refused(code: int, action: Callable[[], Any]) -> str:
    """The words of the refusal with this number."""
    with pytest.raises(DaqError) as caught:
        action()
    assert caught.value.error_code == code
    assert str(caught.value).endswith(f"Status Code: {code}")
    return str(caught.value)


def output(table: Any, lines: str = "Dev1/ao0", rate: float = 0.0, count: int = 4, trigger: str = "", **limits: float) -> Any:
    """A task of analog outputs."""
    task = table.Task()
    task.ao_channels.add_ao_voltage_chan(lines, **limits)
    return clocked(task, rate, count, trigger)


def recording(table: Any, lines: str = "Dev1/ai0", rate: float = 0.0, count: int = 4, trigger: str = "", **limits: float) -> Any:
    """A task of analog inputs."""
    task = table.Task()
    task.ai_channels.add_ai_voltage_chan(lines, **limits)
    return clocked(task, rate, count, trigger)


def clocked(task: Any, rate: float, count: int, trigger: str) -> Any:
    if rate:
        task.timing.cfg_samp_clk_timing(rate, sample_mode=FINITE, samps_per_chan=count)
    if trigger:
        task.triggers.start_trigger.cfg_dig_edge_start_trig(trigger)
    return task


# ------------------------------------------------------------------------------------------------ names, numbers and signatures


@pytest.mark.parametrize("name", ["AcquisitionType", "Edge", "ResolutionType", "TaskMode", "TerminalConfiguration", "VoltageUnits"])
def test_constants_have_the_packages_numbers(name: str) -> None:
    real = getattr(nidaqmx.constants, name)
    for member in getattr(nidaqmx_constants, name):
        assert real[member.name].value == member.value
    assert nidaqmx_constants.READ_ALL_AVAILABLE == nidaqmx.constants.READ_ALL_AVAILABLE
    assert nidaqmx_constants.WAIT_INFINITELY == nidaqmx.constants.WAIT_INFINITELY


ERROR_NAMES = {
    -50103: "PAL_RESOURCE_RESERVED", -200077: "INVALID_ATTRIBUTE_VALUE", -200170: "PHYSICAL_CHAN_DOES_NOT_EXIST",
    -200220: "INVALID_DEVICE_ID", -200278: "SAMPLES_WILL_NEVER_BE_AVAILABLE", -200284: "SAMPLES_NOT_YET_AVAILABLE",
    -200462: "OUTPUT_BUFFER_EMPTY", -200524: "WRITE_NUM_CHANS_MISMATCH", -200560: "WAIT_UNTIL_DONE_DOES_NOT_INDICATE_DONE",
    -200561: "INVALID_AO_DATA_WRITE", -200609: "OUTPUT_BUF_SIZE_TOO_SMALL_TO_START_GEN", -201003: "DEV_CANNOT_BE_ACCESSED",
    -89120: "INVALID_ROUTING_SOURCE_TERMINAL_NAME_ROUTING", -200846: "CANNOT_WRITE_WHEN_AUTO_START_FALSE_AND_TASK_NOT_RUNNING",
}  # fmt: skip


def test_every_error_number_is_one_of_the_package_and_means_the_same() -> None:
    assert all(DAQmxErrors(code).value == code for code in nidaqmx_constants.WORDS)
    assert {code: DAQmxErrors(code).name for code in ERROR_NAMES} == ERROR_NAMES
    assert DAQmxWarnings(200010).name == "STOPPED_BEFORE_DONE"


def test_an_error_reads_as_the_packages_own() -> None:
    ours, real = DaqError("Wrong.", -200077, "T"), nidaqmx.errors.DaqError("Wrong.", -200077, "T")
    assert (str(ours), ours.error_code) == (str(real), real.error_code)
    assert [c.__name__ for c in DaqError.__mro__[:3]] == [c.__name__ for c in type(real).__mro__[:3]]


CLASSES = [
    (nidaqmx_tasks.Task, nidaqmx.Task),
    (nidaqmx_channels.OutputChannels, nidaqmx.task.collections.AOChannelCollection),
    (nidaqmx_channels.InputChannels, nidaqmx.task.collections.AIChannelCollection),
    (nidaqmx_parts.Timing, nidaqmx.task.Timing),
    (nidaqmx_parts.StartTrigger, nidaqmx.task.triggering.StartTrigger),
    (nidaqmx_parts.Triggers, nidaqmx.task.triggering.Triggers),
    (nidaqmx_streams.AnalogMultiChannelWriter, nidaqmx.stream_writers.AnalogMultiChannelWriter),
    (nidaqmx_streams.AnalogMultiChannelReader, nidaqmx.stream_readers.AnalogMultiChannelReader),
    (nidaqmx_system.Device, nidaqmx.system.Device),
]
OURS = {
    "abort", "alive", "arrive", "at_rest", "channels_of", "count", "finite", "inputs", "mode", "passed", "rate", "refusal", "source",
    "take", "verify",
}  # fmt: skip  # the emulator's own workings


@pytest.mark.parametrize(("ours", "real"), CLASSES, ids=lambda c: c.__module__ + "." + c.__name__)
def test_whatever_the_emulator_has_the_package_has_with_the_same_arguments(ours: type, real: type) -> None:
    names = {n for n in dir(ours) if not n.startswith("_")} - OURS
    assert names
    for name in names:
        there = inspect.getattr_static(real, name, None)
        assert there is not None or hasattr(real, name), name
        mine = inspect.getattr_static(ours, name)
        if inspect.isfunction(mine):
            assert list(inspect.signature(mine).parameters) == list(inspect.signature(getattr(real, name)).parameters), name


def test_defaults_of_arguments_are_those_of_the_package() -> None:
    pairs = [(a, b, name) for a, b in CLASSES for name in dir(a) if not name.startswith("_") and name not in OURS]
    compared = 0
    for ours, real, name in pairs:
        if not inspect.isfunction(inspect.getattr_static(ours, name)):
            continue
        theirs = inspect.signature(getattr(real, name)).parameters
        for key, mine in inspect.signature(getattr(ours, name)).parameters.items():
            if mine.default is inspect.Parameter.empty or mine.default is nidaqmx_tasks.UNSET:
                continue
            assert getattr(mine.default, "value", mine.default) == getattr(theirs[key].default, "value", theirs[key].default), (name, key)
            compared += 1
    assert compared > 15


# ------------------------------------------------------------------------------------------------------------------- its rules


def test_a_6363_is_what_its_specifications_say(table: NiDaqTable) -> None:
    device = table.system.System.local().devices["Dev1"]
    assert (device.product_type, device.ao_max_rate, device.ai_max_single_chan_rate) == ("PCIe-6363", 2.86e6, 2e6)
    assert device.ai_max_multi_chan_rate == 1e6
    assert device.ao_voltage_rngs == [-5.0, 5.0, -10.0, 10.0]
    assert len(device.ai_physical_chans.channel_names) == 32
    assert device.ao_physical_chans.channel_names == ["Dev1/ao0", "Dev1/ao1", "Dev1/ao2", "Dev1/ao3"]
    assert recording(table).ai_channels[0].ai_resolution == 16


def test_the_device_is_asked_for_only_when_something_is_wanted_of_it(table: NiDaqTable) -> None:
    device = table.system.System.local().devices["Dev9"]
    assert "Device Specified: Dev9" in refused(-200220, lambda: device.product_type)


@pytest.mark.parametrize(
    ("code", "lines", "limits"),
    [
        (-200170, "Dev1/ao4", {}),
        (-200170, "Dev1/ao0:4", {}),
        (-200220, "Dev2/ao0", {}),
        (-200430, "Dev1/ai0", {}),
        (-200489, "Dev1/ao0,Dev1/ao0", {}),
        (-200077, "Dev1/ao0", {"max_val": 10.1}),
        (-200082, "Dev1/ao0", {"min_val": 1.0, "max_val": 1.0}),
    ],
)
def test_a_wrong_output_channel_is_refused_and_changes_nothing(table: NiDaqTable, code: int, lines: str, limits: Any) -> None:
    task = table.Task()
    refused(code, lambda: task.ao_channels.add_ao_voltage_chan(lines, **limits))
    assert task.number_of_channels == 0
    assert task.ao_channels.add_ao_voltage_chan("Dev1/ao3:1").name == "Dev1/ao3"
    assert task.channel_names == ["Dev1/ao3", "Dev1/ao2", "Dev1/ao1"]


def test_the_narrowest_range_that_holds_the_limits_is_taken(table: NiDaqTable) -> None:
    taken = {v: recording(table, min_val=-v, max_val=v).ai_channels[0].ai_rng_high for v in (0.05, 0.1, 0.11, 1.0, 9.0, 10.0)}
    assert taken == {0.05: 0.1, 0.1: 0.1, 0.11: 0.2, 1.0: 1.0, 9.0: 10.0, 10.0: 10.0}
    assert output(table, min_val=-1, max_val=5).ao_channels[0].ao_dac_rng_low == -5


def test_differential_inputs_are_only_those_that_have_a_partner(table: NiDaqTable) -> None:
    diff = nidaqmx.constants.TerminalConfiguration.DIFF  # the package's own constant does as well
    task = table.Task()
    task.ai_channels.add_ai_voltage_chan("Dev1/ai7", terminal_config=diff)
    refused(-200077, lambda: task.ai_channels.add_ai_voltage_chan("Dev1/ai8", terminal_config=diff))
    task.ai_channels.add_ai_voltage_chan("Dev1/ai8")
    assert [c.ai_term_cfg.name for c in task.ai_channels] == ["DIFF", "RSE"]


def test_inputs_and_outputs_do_not_share_a_task(table: NiDaqTable) -> None:
    task = output(table)
    refused(-200559, lambda: task.ai_channels.add_ai_voltage_chan("Dev1/ai0"))


@pytest.mark.parametrize(("channels", "most"), [(1, 2.86e6), (2, 2.0e6), (3, 1.54e6), (4, 1.25e6)])
def test_the_more_outputs_the_lower_the_highest_rate(table: NiDaqTable, channels: int, most: float) -> None:
    fast = output(table, f"Dev1/ao0:{channels - 1}", most)
    assert fast.timing.samp_clk_rate >= most
    faster = output(table, f"Dev1/ao0:{channels - 1}", most * 1.001)
    assert "Property: DAQmx_SampClk_Rate" in refused(-200077, lambda: faster.write(np.zeros((channels, 4))))


@pytest.mark.parametrize(("channels", "most"), [(1, 2e6), (2, 500e3), (8, 125e3), (32, 31250.0)])
def test_the_inputs_share_one_converter(table: NiDaqTable, channels: int, most: float) -> None:
    recording(table, f"Dev1/ai0:{channels - 1}", most).control(TaskMode.TASK_VERIFY)
    refused(-200077, lambda: recording(table, f"Dev1/ai0:{channels - 1}", most * 1.001).start())


@pytest.mark.parametrize(("wanted", "made"), [(1e6, 1e6), (3e5, 1e8 / 333), (1e8 / 334, 1e8 / 334), (7e5, 1e8 / 142)])
def test_a_rate_is_the_timebase_divided_and_never_below_what_was_asked_for(table: NiDaqTable, wanted: float, made: float) -> None:
    assert recording(table, rate=wanted).timing.samp_clk_rate == pytest.approx(made, rel=1e-12)
    assert made >= wanted * (1 - 1e-12)


def test_a_generation_plays_its_samples_from_the_edge_on_and_holds_the_last(table: NiDaqTable) -> None:
    task = output(table, "Dev1/ao1:2", 1000.0, 3, "/Dev1/PFI0")
    assert task.write([[1.0, 2.0, 3.0], [-1.0, -2.0, -3.0]]) == 3
    task.start()
    assert not table.volts_v.any()
    assert not task.is_task_done()
    table.external_trigger()
    played = table.sampled(np.array([-1e-6, 0.0, 0.9e-3, 1e-3, 2e-3, 5.0]))
    step = 20 / 2**16
    assert np.abs(played[:, 1] - [0, 1, 1, 2, 3, 3]).max() <= step / 2
    assert np.array_equal(played[:, 2], -played[:, 1])
    assert not played[:, [0, 3]].any()
    task.wait_until_done()
    assert table.time_s == pytest.approx(3e-3)
    task.stop()
    task.close()
    assert table.volts_v[1] == pytest.approx(3, abs=step)


def test_a_buffer_shorter_than_the_generation_is_played_again(table: NiDaqTable) -> None:
    task = output(table, rate=1000.0, count=5)
    task.write([1.0, 2.0])
    task.start()
    assert np.rint(table.sampled(np.arange(7) / 1000)[:, 0]).tolist() == [1, 2, 1, 2, 1, 1, 1]


def test_the_record_starts_everything_that_waits_for_it_and_sees_the_light_from_then_on(table: NiDaqTable) -> None:
    asked: list[Any] = []
    fired: list[float] = []
    table.on_fire = lambda: fired.append(table.time_s)
    table.inputs = lambda times_s: (asked.append(times_s), table.sampled(times_s))[1][:, :2]
    waiting = output(table, "Dev1/ao0:1", 1000.0, 2, "ai/StartTrigger")
    waiting.write([[1.0, 2.0], [3.0, 4.0]])
    waiting.start()
    record = recording(table, "Dev1/ai4:5", 2000.0, 4)
    record.start()
    assert len(fired) == 1
    assert asked[0].tolist() == [0, 0.0005, 0.001, 0.0015]
    assert np.rint(record.read(-1)).tolist() == [[1, 1, 2, 2], [3, 3, 4, 4]]
    assert table.time_s == pytest.approx(fired[0] + 0.002)


def test_internal_channels_read_the_outputs_back(table: NiDaqTable) -> None:
    output(table, "Dev1/ao0:1").write([1.5, -2.5])
    assert recording(table, "Dev1/_ao0_vs_aognd, Dev1/_ao1_vs_aognd").read() == pytest.approx([1.5, -2.5], abs=1e-3)


def test_inputs_have_noise_steps_and_an_end() -> None:
    table = NiDaqTable(seed=3)
    record = recording(table, "Dev1/ai0", 1e4, 20000, min_val=-1, max_val=1)
    record.start()
    dark = np.array(record.read(-1))
    assert np.std(dark) == pytest.approx(35e-6, rel=0.1)  # 31.5 uV of the range, 16 uV of the amplifier, 9 uV of the steps
    steps = dark / (2 * 1.05 / 2**16)
    assert np.abs(steps - np.rint(steps)).max() < 1e-6
    record.stop()
    table.inputs = lambda times_s: np.full((len(times_s), 32), 5.0)
    record.start()
    assert np.unique(record.read(-1)) == pytest.approx([1.05], abs=1e-3)


def test_light_of_another_shape_or_without_a_number_is_an_error_of_the_bench(table: NiDaqTable) -> None:
    table.inputs = lambda times_s: np.zeros((len(times_s), 3))
    with pytest.raises(ValueError, match=r"inputs gave \(1, 3\); 1 times of 1 channels, or of 32 are wanted"):
        recording(table).read()
    table.inputs = lambda times_s: np.full((len(times_s), 32), np.nan)
    with pytest.raises(ValueError, match="Dev1/ai0: the light gave what is no number"):
        recording(table).read()


def test_a_line_and_the_inputs_belong_to_one_task_at_a_time(table: NiDaqTable) -> None:
    first = recording(table, rate=1000.0)
    first.control(TaskMode.TASK_COMMIT)
    second = recording(table, "Dev1/ai5")
    assert "Reserved by: _unnamedTask<0>" in refused(-50103, second.read)
    first.control(TaskMode.TASK_UNRESERVE)
    assert second.read() == 0.0
    clock = output(table, rate=1000.0)
    clock.write([1.0, 2.0])
    refused(-50103, lambda: output(table).write(1.0))
    refused(-50103, lambda: output(table, "Dev1/ao1", 1000.0).write([1.0, 2.0]))  # the clock of the outputs
    output(table, "Dev1/ao1").write(1.0)
    clock.close()
    output(table).write(1.0)


def test_reading_too_early_is_a_timeout_and_too_much_is_never(table: NiDaqTable) -> None:
    task = recording(table, rate=1000.0, count=100)
    task.start()
    refused(-200284, lambda: task.read(50, timeout=0.04))
    assert table.time_s == pytest.approx(0.04)
    assert len(task.read(50, timeout=0.011)) == 50
    refused(-200278, lambda: task.read(51))
    assert len(task.read(50, timeout=-1)) == 50


def test_a_record_whose_edge_does_not_come_is_a_timeout(table: NiDaqTable) -> None:
    task = recording(table, rate=1000.0, trigger="PFI3")
    task.start()
    refused(-200284, lambda: task.read(4, timeout=1.5))
    refused(-200560, lambda: task.wait_until_done(0.5))
    assert table.time_s == pytest.approx(2.0)
    table.external_trigger()
    assert task.read(4) == [0, 0, 0, 0]


@pytest.mark.parametrize("terminal", ["PFI16", "/Dev1/PFI", "/Dev1/ai/ReferenceTrigger", "", "/", "nonsense"])
def test_an_unknown_terminal_is_refused(table: NiDaqTable, terminal: str) -> None:
    task = recording(table)
    refused(-89120, lambda: task.triggers.start_trigger.cfg_dig_edge_start_trig(terminal))


@pytest.mark.parametrize(
    ("code", "data"),
    [(-200524, [[1.0, 2.0]]), (-200524, np.zeros((3, 2))), (-200561, [[1.0, 2.0], [1.0, 2.1]]), (-200561, [[1.0, 2.0], [np.nan, 0.0]])],
)
def test_wrong_data_is_refused_and_nothing_is_written(table: NiDaqTable, code: int, data: Any) -> None:
    task = output(table, "Dev1/ao0:1", 1000.0, 2, min_val=-2.0, max_val=2.0)
    refused(code, lambda: task.write(np.asarray(data)))
    refused(-200462, task.start)
    task.write([[1.0, 2.0], [0.5, -2.0]])
    task.start()


def test_the_rules_of_a_buffer(table: NiDaqTable) -> None:
    task = output(table, rate=1000.0, count=2)
    refused(-200846, lambda: output(table, "Dev1/ao1").write(1.0, auto_start=False))
    task.write([1.0, 2.0])
    refused(-200547, lambda: task.write([1.0]))
    task.start()
    refused(-200288, lambda: task.write([1.0, 2.0]))
    refused(-200479, task.start)
    refused(-200479, lambda: task.timing.cfg_samp_clk_timing(10.0))
    task.wait_until_done()
    task.stop()
    assert task.write([3.0, 4.0]) == 2
    short = output(table, "Dev1/ao2", 1000.0, 2)
    task.close()
    short.write([1.0], auto_start=False)
    refused(-200609, short.start)


def test_tasks_without_channels_closed_tasks_and_names_twice(table: NiDaqTable) -> None:
    task = table.Task("mine")
    refused(-200478, task.start)
    refused(-200089, lambda: table.Task("mine"))
    task.close()
    refused(-200088, task.start)
    with pytest.warns(DaqResourceWarning, match="closed before"):
        task.close()
    assert table.Task("mine").name == "mine"


def test_stopping_before_the_end_warns_and_aborting_does_not(table: NiDaqTable) -> None:
    task = recording(table, rate=1000.0)
    task.start()
    with pytest.warns(DaqWarning, match="200010"):
        task.stop()
    task.start()
    task.control(TaskMode.TASK_ABORT)
    assert task.is_task_done()


def test_a_reset_ends_all_tasks_and_brings_the_outputs_to_zero(table: NiDaqTable) -> None:
    task = output(table, rate=1000.0)
    task.write([1.0, 2.0, 3.0, 4.0])
    task.start()
    assert table.volts_v[0] == pytest.approx(1, abs=1e-3)
    table.system.System.local().devices[0].reset_device()
    assert not table.volts_v.any()
    output(table).write(2.0)
    assert table.volts_v[0] == pytest.approx(2, abs=1e-3)


def test_an_unplugged_device_is_gone_from_the_list_and_from_tasks(table: NiDaqTable) -> None:
    task = output(table)
    table.unplugged = True
    refused(-201003, lambda: task.write(1.0))
    assert len(table.system.System.local().devices) == 0
    table.unplugged = False
    task.write(1.0)


def test_a_usb_6009_has_outputs_that_only_software_sets() -> None:
    table = NiDaqTable("USB-6009")
    device = table.system.System.local().devices["Dev1"]
    assert not device.ao_samp_clk_supported
    refused(-200452, lambda: device.ao_max_rate)
    refused(-200452, lambda: output(table, rate=100.0, min_val=0, max_val=5).write([1.0, 2.0]))
    refused(-200077, lambda: output(table))  # its outputs go from 0 to 5 V, the default does not
    refused(-200170, lambda: recording(table, "Dev1/_ao0_vs_aognd"))
    with pytest.raises(ValueError, match="product = 'USB-1': emulated are PCIe-6363, USB-6363"):
        NiDaqTable("USB-1")


ACTIONS = ["start", "stop", "close", "read", "write", "wait", "commit", "unreserve", "abort", "reset", "edge", "add", "clock", "trigger"]


def act(table: NiDaqTable, task: Any, inputs: bool, action: str, number: int) -> None:
    """One call of a program that knows nothing."""
    adder = task.ai_channels.add_ai_voltage_chan if inputs else task.ao_channels.add_ao_voltage_chan
    source = "PFI0" if number % 2 else "ai/StartTrigger"
    shape = max(task.number_of_channels, 1), max(number, 1)
    actions: dict[str, Callable[[], Any]] = {
        "start": task.start,
        "stop": task.stop,
        "read": lambda: task.read(number, 0.01),
        "write": lambda: task.write(np.full(shape, float(number))),
        "wait": lambda: task.wait_until_done(0.01),
        "reset": lambda: table.system.System.local().devices[0].reset_device(),
        "commit": lambda: task.control(TaskMode.TASK_COMMIT),
        "unreserve": lambda: task.control(TaskMode.TASK_UNRESERVE),
        "abort": lambda: task.control(TaskMode.TASK_ABORT),
        "edge": table.external_trigger,
        "close": lambda: None if task._closed else task.close(),
        "add": lambda: adder(f"Dev1/{'ai' if inputs else 'ao'}{number}"),
        "clock": lambda: task.timing.cfg_samp_clk_timing(10.0**number, samps_per_chan=number),
        "trigger": lambda: task.triggers.start_trigger.cfg_dig_edge_start_trig(source),
    }
    actions[action]()


@settings(max_examples=150)
@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 3), st.integers(-1, 9)), max_size=40))
def test_whatever_is_called_nothing_but_daqmx_errors_come_and_what_is_refused_changes_no_output(calls: list[tuple[str, int, int]]) -> None:
    table = NiDaqTable()
    tasks = [table.Task() for _ in range(4)]
    codes: set[int] = set()
    for action, which, number in calls:
        before = table.volts_v
        try:
            act(table, tasks[which], which < 2, action, number)
        except DaqError as problem:
            codes.add(problem.error_code)
            assert action in ("wait", "read") or np.array_equal(table.volts_v, before)  # these let time pass
        except DaqWarning:
            codes.add(-50103 if action == "stop" else 0)
        assert np.abs(table.volts_v).max() <= 10
    assert codes <= set(nidaqmx_constants.WORDS)


# --------------------------------------------------------------------------------------------- the package itself as its client


class Interpreter:
    """What the real package calls in place of NI's library: passes the calls of its lowest layer to the emulator, numbers for names."""

    DEVICE: ClassVar = {
        0x0631: "product_type", 0x0632: "serial_num", 0x298C: "ai_max_single_chan_rate", 0x298D: "ai_max_multi_chan_rate",
        0x298E: "ai_min_rate", 0x298F: "ai_simultaneous_sampling_supported", 0x2990: "ai_voltage_rngs", 0x2996: "ao_samp_clk_supported",
        0x2997: "ao_max_rate", 0x2998: "ao_min_rate", 0x299B: "ao_voltage_rngs", 0x22CA: "is_simulated",
    }  # fmt: skip
    CHANNEL: ClassVar = {
        0x1186: "ao_max", 0x1187: "ao_min", 0x182C: "ao_resolution", 0x182D: "ao_dac_rng_low", 0x182E: "ao_dac_rng_high",
        0x1765: "ai_resolution", 0x1815: "ai_rng_high", 0x17DD: "ai_max", 0x17DE: "ai_min",
    }  # fmt: skip
    driver_version = (24, 8)

    def __init__(self, table: NiDaqTable) -> None:
        self.table, self.tasks, self.numbers = table, {}, itertools.count(1)
        self.last = ""
        self.asked: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        found = object.__getattribute__(self, name)
        if not inspect.ismethod(found):
            return found

        def call(*given: Any) -> Any:
            self.asked.append(name)
            try:
                return found(*given)
            except DaqError as problem:
                raise nidaqmx.errors.DaqError(str(problem), problem.error_code) from None

        return call

    def create_task(self, name: str) -> tuple[int, bool]:
        number = next(self.numbers)
        self.tasks[number] = self.table.Task(name)
        return number, True

    def clear_task(self, task: int) -> None:
        self.tasks.pop(task).close()

    def hash_task_handle(self, task: int) -> int:
        return task

    def create_ao_voltage_chan(self, task: int, lines: str, name: str, low: float, high: float, units: int, scale: str) -> None:
        self.tasks[task].ao_channels.add_ao_voltage_chan(lines, name, low, high, units, scale)

    def create_ai_voltage_chan(self, task: int, lines: str, name: str, *settings: Any) -> None:
        self.tasks[task].ai_channels.add_ai_voltage_chan(lines, name, *settings)

    def internal_get_last_created_chan(self) -> None:
        raise NotImplementedError

    def cfg_samp_clk_timing(self, task: int, rate: float, source: str, edge: int, mode: int, count: int) -> None:
        self.tasks[task].timing.cfg_samp_clk_timing(rate, source, edge, mode, count)

    def cfg_dig_edge_start_trig(self, task: int, source: str, edge: int) -> None:
        self.tasks[task].triggers.start_trigger.cfg_dig_edge_start_trig(source, edge)

    def start_task(self, task: int) -> None:
        self.tasks[task].start()

    def stop_task(self, task: int) -> None:
        self.tasks[task].stop()

    def task_control(self, task: int, action: int) -> None:
        self.tasks[task].control(action)

    def is_task_done(self, task: int) -> bool:
        return bool(self.tasks[task].is_task_done())

    def wait_until_task_done(self, task: int, timeout: float) -> None:
        self.tasks[task].wait_until_done(timeout)

    def write_analog_f64(self, task: int, count: int, start: bool, timeout: float, layout: int, data: Any) -> int:
        assert layout == nidaqmx.constants.FillMode.GROUP_BY_CHANNEL.value
        assert data.dtype == np.float64
        assert data.flags.c_contiguous
        written: int = self.tasks[task].write(data.reshape(-1, count), start, timeout)
        return written

    def read_analog_f64(self, task: int, count: int, timeout: float, layout: int, data: Any) -> tuple[Any, int]:
        assert layout == nidaqmx.constants.FillMode.GROUP_BY_CHANNEL.value
        found = self.tasks[task].take(count, timeout)
        data.reshape(-1)[: found.size] = found.ravel()
        return data, found.shape[1]

    def get_task_attribute_string(self, task: int, number: int) -> str:
        return str({0x1276: self.tasks[task].name, 0x1273: ", ".join(self.tasks[task].channel_names)}[number])

    def get_task_attribute_uint32(self, task: int, number: int) -> int:
        assert number == 0x2181
        return len(self.tasks[task].chans)

    def get_write_attribute_uint32(self, task: int, number: int) -> int:
        assert number == 0x217E
        return len(self.tasks[task].chans)

    def get_read_attribute_uint32(self, task: int, number: int) -> int:
        return {0x217B: len(self.tasks[task].chans), 0x31E8: self.tasks[task].timing.count}[number]

    def get_read_attribute_string(self, task: int, number: int) -> str:
        assert number == 0x1823
        return ", ".join(self.tasks[task].channel_names)

    def get_timing_attribute_double(self, task: int, number: int) -> float:
        assert number == 0x1344
        return float(self.tasks[task].timing.samp_clk_rate)

    def get_chan_attribute_int32(self, task: int, name: str, number: int) -> int:
        inputs = self.tasks[task].inputs
        kinds = nidaqmx.constants.ChannelType
        return {0x187F: (kinds.ANALOG_INPUT if inputs else kinds.ANALOG_OUTPUT).value, 0x0695: 10322}[number]

    def get_chan_attribute_double(self, task: int, name: str, number: int) -> float:
        collection = self.tasks[task].ai_channels if self.tasks[task].inputs else self.tasks[task].ao_channels
        return float(getattr(collection[name], self.CHANNEL[number]))

    def _of_device(self, name: str, number: int) -> Any:
        return getattr(self.table.system.System.local().devices[name], self.DEVICE[number])

    get_device_attribute_double = get_device_attribute_uint32 = get_device_attribute_bool = get_device_attribute_double_array = _of_device

    def get_device_attribute_string(self, name: str, number: int) -> str:
        device = self.table.system.System.local().devices[name]
        lines = {0x231E: "ai_physical_chans", 0x231F: "ao_physical_chans"}
        return ", ".join(getattr(device, lines[number]).channel_names) if number in lines else str(self._of_device(name, number))

    def get_system_info_attribute_string(self, number: int) -> str:
        assert number == 0x193B
        return ", ".join(self.table.system.System.local().devices.device_names)

    def reset_device(self, name: str) -> None:
        self.table.system.System.local().devices[name].reset_device()


@pytest.fixture
def package(table: NiDaqTable, monkeypatch: pytest.MonkeyPatch) -> Iterator[Interpreter]:
    """The real package on top of the emulator."""
    interpreter = Interpreter(table)
    monkeypatch.setattr(nidaqmx.utils, "_select_interpreter", lambda *given, **named: interpreter)
    yield interpreter
    assert interpreter.tasks == {}, "a task was left open"


def test_the_package_reads_sets_and_records_as_its_examples_do(table: NiDaqTable, package: Interpreter) -> None:
    table.inputs = lambda times_s: np.outer(1 + times_s, np.ones(32))
    with nidaqmx.Task() as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0:3")
        assert task.read() == pytest.approx([1.0] * 4, abs=1e-3)
        assert [c.name for c in task.ai_channels] == [f"Dev1/ai{n}" for n in range(4)]
    with nidaqmx.Task() as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
        task.timing.cfg_samp_clk_timing(1000.0, sample_mode=nidaqmx.constants.AcquisitionType.FINITE, samps_per_chan=50)
        assert task.read(nidaqmx.constants.READ_ALL_AVAILABLE) == pytest.approx(1 + np.arange(50) / 1000, abs=1e-3)
    with nidaqmx.Task() as task:
        task.ao_channels.add_ao_voltage_chan("Dev1/ao0", min_val=0, max_val=5)
        assert task.write(1.1) == 1
        with pytest.raises(nidaqmx.DaqError, match="too large or too small") as caught:
            task.write(5.1)
        assert caught.value.error_type is DAQmxErrors.INVALID_AO_DATA_WRITE
    assert table.volts_v[0] == pytest.approx(1.1, abs=1e-3)
    with nidaqmx.Task() as task:
        task.ao_channels.add_ao_voltage_chan("Dev1/ao0")
        task.timing.cfg_samp_clk_timing(1000, samps_per_chan=5)
        assert task.write([1.1, 2.2, 3.3, 4.4, 5.5], auto_start=False) == 5
        task.start()
        task.wait_until_done()
        task.stop()
    assert table.volts_v[0] == pytest.approx(5.5, abs=1e-3)
    assert [d.product_type for d in nidaqmx.system.System.local().devices] == ["PCIe-6363"]


def test_the_drivers_work_through_the_package_as_on_the_emulator_itself(table: NiDaqTable, package: Interpreter) -> None:
    table.inputs = lambda times_s: table.sampled(times_s)[:, :2]
    sdk = load_sdk("nidaqmx://Dev1")
    out = NiDaqOut(sdk, NiDaqOut.Options(channels=2, readback_v=0.01), "modulators")
    detectors = NiDaqIn(sdk, NiDaqIn.Options(channels=2, first=4), "detectors")
    out.prepare(out.spec.tighten(-3.0, 3.0, "bench.toml"))
    assert (out.identity, out.spec.step[0]) == (detectors.identity, 10 / 2**16)
    assert detectors.set_range([0.3, 4.0]).tolist() == [0.5, 5.0]
    detectors.set_range(10.0)
    bank = np.linspace(-3, 3, 10).reshape(5, 2)
    for order in ([4, 0, 2], [1, 1, 1], [3]):
        out.load(bank, np.array(order), 1e-4)
        out.arm()
        detectors.arm(len(order), 1e-4)
        detectors.fire(len(order), 1e-4)
        assert np.abs(detectors.fetch() - bank[order]).max() < 1e-3
    out.load(None, np.array([4]), 1e-4)
    out.arm()
    detectors.fire(1, 1e-4)
    assert table.volts_v[0] > 2
    out.safe()
    assert not table.volts_v.any()
    detectors.close()
    out.close()
