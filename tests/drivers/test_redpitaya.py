"""Both Red Pitaya drivers against the emulator (in process, TCP), at their limits, refused, on broken wires, and on one board."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from disturbed import Disturbed, Fault, served
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.insist import TRIES
from drivers.redpitaya_in import RedPitayaIn, RedPitayaInOptions
from drivers.redpitaya_out import RedPitayaOut, RedPitayaOutOptions
from drivers.redpitaya_record import RECORD, windows
from drivers.redpitaya_wave import played, waveform
from labonn.banks import Changes
from labonn.bench import Bench
from labonn.clock import SimulatedClock
from labonn.devices import Actuator, Detector, Photodetectors, Trigger
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
from labonn.links import BLOCK, connect
from labonn.shots import ShotTable
from sim_backends.firmware.redpitaya import RedPitayaFirmware
from sim_backends.served import serve_tcp
from sim_backends.simlinks import SimulatedLink

CLOCK_S = 8e-9
TIMEOUT = {"timeout_s": 0.2}


def opened(board: RedPitayaFirmware) -> Disturbed:
    return Disturbed(SimulatedLink(board, SimulatedClock(), **RedPitayaIn.link_options))


def detectors(board: RedPitayaFirmware, **options: Any) -> tuple[RedPitayaIn, Disturbed]:
    link = opened(board)
    return RedPitayaIn(link, RedPitayaInOptions(**options), "pd"), link


def modulators(board: RedPitayaFirmware, **options: Any) -> tuple[RedPitayaOut, Disturbed]:
    link = opened(board)
    device = RedPitayaOut(link, RedPitayaOutOptions(**options), "eom")
    device.prepare(device.spec)
    return device, link


def quiet(channels: int = 2) -> RedPitayaFirmware:
    return RedPitayaFirmware(channels, noise=0.0, calibration_error=0.0)


def staircase(dwell_s: float, levels: np.ndarray[Any, Any]) -> Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    """Light that changes from shot to shot, counted from the trigger; full of spikes in the first fifth of each."""

    def light(times_s: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        shot, part = np.divmod(times_s / dwell_s, 1)
        inside = (shot >= 0) & (shot < len(levels))
        volts = np.where(inside[:, None], levels[np.clip(shot, 0, len(levels) - 1).astype(int)], 0.9)
        return np.where((part < 0.2)[:, None], -0.9, volts)

    return light


def test_opening_either_side_identifies_and_changes_nothing() -> None:
    board = RedPitayaFirmware()
    board.feed(b"SOUR1:VOLT 0.3;:OUTPUT1:STATE ON;:ACQ:DEC 8;:ACQ:SOUR2:GAIN HV;:FOO\r\n")
    before, link = dict(board.values), opened(board)
    board.feed(b"*CLS\r\n")
    pd, eom = RedPitayaIn(link, RedPitayaInOptions(), "pd"), RedPitayaOut(link, RedPitayaOutOptions(), "eom")
    assert pd.identity == eom.identity == "Red Pitaya STEMlab 125-14 v1.0 (INSTR2023 05-03)"
    assert board.values == before
    assert all(request.endswith(b"?") and b"*CLS" not in request for request in link.asked)
    assert (pd.spec.names, pd.spec.upper.tolist(), pd.spec.depth) == (("IN1", "IN2"), [1.0, 20.0], 3069)
    assert (eom.spec.names, eom.spec.lower.tolist(), eom.spec.upper.tolist(), eom.spec.depth) == (("OUT1", "OUT2"), [-1, -1], [1, 1], 1638)
    assert eom.spec.step.tolist() == [1 / 8192] * 2
    assert isinstance(pd, Detector)
    assert isinstance(pd, Photodetectors)
    assert isinstance(pd, Trigger)
    assert isinstance(eom, Actuator)
    assert RedPitayaIn.shares == RedPitayaOut.shares
    assert RedPitayaIn.link_options == RedPitayaOut.link_options


@pytest.mark.parametrize("way", ["in process", "tcp"])
@pytest.mark.parametrize("dwell_s", [100e-9, 1e-6, 37e-6, 1e-3])
def test_each_shot_is_the_mean_of_its_own_samples_behind_its_settling(way: str, dwell_s: float) -> None:
    board = quiet()
    levels = np.random.default_rng(0).uniform(-0.8, 0.8, (40, 2))
    board.inputs = staircase(dwell_s, levels)
    with served(way, board, SimulatedClock(), RedPitayaIn.link_options) as link:
        pd = RedPitayaIn(link, RedPitayaInOptions(), "pd")
        for _ in range(2):
            pd.arm(40, dwell_s)
            pd.fire(40, dwell_s)
            np.testing.assert_allclose(pd.fetch(), levels, atol=0.7 / 8192)
        assert pd.saturated == 0


def test_the_most_shots_of_a_record_fit_at_every_dwell() -> None:
    pd, _ = detectors(quiet())
    for dwell_s in np.geomspace(22e-9, RECORD * 65536 * CLOCK_S / pd.spec.depth * 0.999, 400):
        plan = windows(pd.spec.depth, float(dwell_s), 0.25, 0.0)
        assert plan.end[-1] <= RECORD
        assert np.all(plan.end > plan.first)
        assert np.all(plan.first[1:] >= plan.end[:-1])
        assert np.all(plan.first * plan.decimation * CLOCK_S >= (np.arange(pd.spec.depth) + 0.25) * dwell_s - 1e-9 * plan.decimation)


def test_a_decimation_is_the_finest_that_holds_the_record() -> None:
    assert windows(100, 1e-6, 0.0, 0.0).decimation == 1  # 12,500 samples
    assert windows(200, 1e-6, 0.0, 0.0).decimation == 2
    plan = windows(3, 1e-6, 0.5, 2e-6)
    assert (plan.decimation, plan.first.tolist(), plan.end.tolist()) == (1, [313, 438, 563], [375, 500, 625])


@pytest.mark.parametrize("dwell_s", [8e-9, 5.0, 1e9])
def test_a_shot_too_short_or_too_long_is_told_with_its_limits_and_sends_nothing(dwell_s: float) -> None:
    pd, link = detectors(quiet())
    link.asked.clear()
    with pytest.raises(LimitError, match=r"pd: (of a shot of 8e-09 s|2 shots of (5|1e\+09) s are more than a record's 8\.582 s)"):
        pd.arm(2, dwell_s)
    assert not link.asked
    with pytest.raises(TableError, match="pd: nothing is armed"):
        pd.fetch()


def test_a_measured_delay_moves_the_shots() -> None:
    board = quiet()
    levels = np.linspace(-0.5, 0.5, 20).reshape(10, 2)
    light = staircase(1e-6, levels)
    board.inputs = lambda t: light(t - 400e-9)
    pd, _ = detectors(board, delay_s=400e-9)
    pd.arm(10, 1e-6)
    pd.fire(10, 1e-6)
    np.testing.assert_allclose(pd.fetch(), levels, atol=0.7 / 8192)


def test_ranges_are_chosen_read_back_and_scale_the_codes() -> None:
    board = quiet()
    board.inputs = lambda t: np.full((len(t), 2), [0.5, 12.0])
    pd, link = detectors(board)
    assert pd.set_range(np.array([1.0, 1.01])).tolist() == [1.0, 20.0]
    assert (pd.spec.upper.tolist(), pd.spec.step.tolist()) == ([1.0, 20.0], [1 / 8192, 20 / 8192])
    for units in ("RAW", "VOLTS"):
        pd = RedPitayaIn(link, RedPitayaInOptions(units=units), "pd")
        pd.arm(5, 1e-6)
        pd.fire(5, 1e-6)
        np.testing.assert_allclose(pd.fetch(), [[0.5, 12.0]] * 5, atol=2e-3)
    link.asked.clear()
    for bad in (0.0, -1.0, 20.001, math.nan, math.inf):
        with pytest.raises(LimitError, match=r"pd/IN1: a range of .* V is not above 0 and up to 20 V \(driver\)"):
            pd.set_range(bad)
    assert not link.asked
    link.faults = [lambda reply: reply.replace(b"LV", b"HV")]
    with pytest.raises(UnknownStateError, match="reads back"):
        pd.set_range(1.0)


def test_saturated_samples_are_counted() -> None:
    board = quiet()
    board.inputs = lambda t: np.stack([np.where(t < 1e-6, 3.0, 0.1), np.full(len(t), -1.5)], axis=1)
    pd, _ = detectors(board, settle=0.0)
    pd.arm(2, 1e-6)
    pd.fire(2, 1e-6)
    np.testing.assert_allclose(pd.fetch(), [[1, -1], [0.1, -1]], atol=3e-4)
    assert pd.saturated == 125 + 250


def test_four_inputs_need_a_board_that_has_them() -> None:
    board = quiet(4)
    board.inputs = lambda t: np.full((len(t), 4), [0.1, 0.2, 0.3, -0.4])
    pd, _ = detectors(board, channels=4)
    pd.arm(3, 1e-6)
    pd.fire(3, 1e-6)
    np.testing.assert_allclose(pd.fetch(), [[0.1, 0.2, 0.3, -0.4]] * 3, atol=1e-4)
    with pytest.raises(IdentityError, match=r"pd: the bench file says channels = 2; this board .* has 4 inputs"):
        detectors(board)
    with pytest.raises(IdentityError, match="has no fast outputs"):
        modulators(board)


@pytest.mark.parametrize("dwell_s", [1e-6, 2.3e-6, 1e-4, 5e-3])
def test_an_order_is_played_shot_by_shot_in_time_and_then_is_over(dwell_s: float) -> None:
    board = quiet()
    eom, _ = modulators(board)
    bank = np.random.default_rng(1).uniform(-1, 1, (30, 2)).astype(np.float32)
    order = np.random.default_rng(2).integers(0, 30, 77)
    eom.load(bank, order, dwell_s)
    eom.arm()
    assert board.volts_v.tolist() == [0, 0]
    board.fire_outputs([1, 2])
    middles = (np.arange(77) + 0.5) * dwell_s
    np.testing.assert_allclose(board.sampled(middles), bank[order], atol=1.3 / 8192)
    late = (np.arange(1, 77) + 0.21) * dwell_s
    np.testing.assert_allclose(board.sampled(late), bank[order][1:], atol=1.3 / 8192)
    assert not board.sampled(np.array([77 * dwell_s * 2.5])).any()


@given(st.integers(1, 1638), st.floats(8e-9, 8.0))
def test_shots_of_a_waveform_never_begin_early_nor_late_by_a_fifth(shots: int, dwell_s: float) -> None:
    if dwell_s > 16384 // shots * 65536 * CLOCK_S:
        with pytest.raises(ValueError, match="is outside 8e-09 to"):
            played(shots, dwell_s)
        return
    frequency, index = played(shots, dwell_s)
    assert 0 < frequency <= 62.5e6
    starts_s = np.searchsorted(index, np.arange(shots)) / (16384 * frequency)
    late = starts_s / dwell_s - np.arange(shots)
    assert late.min() > -1e-6
    if dwell_s > 2e-7:  # a clock is a twentieth of it
        assert late.max() < 0.21
    assert index[-1] == shots - 1
    assert 1 / frequency >= shots * dwell_s * (1 - 1e-6)


def test_waveforms_are_written_with_five_digits_of_the_scale() -> None:
    assert waveform(np.array([1.0, -0.25]), np.array([0, 1, 1]), 2.0) == "0.50000,-0.12500,-0.12500"


def test_both_ends_of_the_limits_are_allowed_and_nothing_beyond() -> None:
    board = quiet()
    eom, link = modulators(board, full_scale_v=2.0)
    assert eom.spec.upper.tolist() == [2, 2]
    eom.prepare(eom.spec.tighten([-0.5, 0.2], [1.5, 2.0], "bench.toml"))
    bank = np.array([[-0.5, 0.2], [1.5, 2.0]])
    eom.load(bank, np.array([0, 1]), 1e-5)
    eom.arm()
    assert board.volts_v.tolist() == pytest.approx([0, 0.1], abs=1e-4)  # idle is as near to 0 V as the limits allow
    board.fire_outputs([1, 2])
    np.testing.assert_allclose(board.sampled(np.array([5e-6, 15e-6])) * 2, bank, atol=5e-4)
    link.asked.clear()
    for row, channel in (([1.51, 1], "OUT1"), ([0, 2.001], "OUT2"), ([0, 0.19], "OUT2"), ([math.nan, 1], "OUT1")):
        with pytest.raises(LimitError, match=f"eom/{channel}"):
            eom.load(np.array([row]), np.zeros(2, int), 1e-6)
    for dwell_s in (7e-9, 9.0):
        with pytest.raises(LimitError, match="eom: a shot of"):
            eom.load(bank, np.array([0, 1]), dwell_s)
    with pytest.raises(TableError, match="at most 1638 of 2"):
        eom.load(bank, np.zeros(1639, int), 1e-6)
    assert not link.asked


def test_what_is_in_memory_is_not_sent_again_and_a_new_order_is() -> None:
    board = quiet()
    eom, link = modulators(board)
    with pytest.raises(TableError, match="no bank was loaded"):
        eom.load(None, np.zeros(1, int), 1e-6)
    bank = Changes(np.array([0.1, 0.2]), np.array([[0], [1]]), np.array([[0.5], [-0.5]]))
    eom.load(bank, np.array([0, 1]), 1e-6)
    link.asked.clear()
    eom.load(bank, np.array([0, 1]), 1e-6)
    eom.load(None, np.array([0, 1]), 1e-6)
    assert not link.asked
    eom.load(None, np.array([1, 0]), 1e-6)
    assert len(link.asked) == 1
    eom.arm()
    board.fire_outputs([1, 2])
    np.testing.assert_allclose(board.sampled(np.array([0.5e-6, 1.5e-6])), [[0.1, -0.5], [0.5, 0.2]], atol=1.3 / 8192)
    eom.safe()
    with pytest.raises(TableError, match="eom: nothing is loaded"):
        eom.arm()


def test_one_board_drives_and_reads_in_eight_exchanges() -> None:
    board = RedPitayaFirmware(seed=3)
    board.inputs = lambda t: 0.5 * board.sampled(t)
    link = opened(board)
    pd = RedPitayaIn(link, RedPitayaInOptions(trigger="outputs", units="VOLTS"), "pd")
    eom = RedPitayaOut(link, RedPitayaOutOptions(), "eom")
    eom.prepare(eom.spec)
    bank = np.random.default_rng(4).uniform(-1, 1, (64, 2))
    link.asked.clear()
    eom.load(bank, np.arange(64), 5e-6)
    eom.arm()
    pd.arm(64, 5e-6)
    pd.fire(64, 5e-6)
    np.testing.assert_allclose(pd.fetch(), 0.5 * bank, atol=1e-3)
    assert link.asked.count(link.asked[-3]) <= 5  # it looks until the record is full
    assert len(set(link.asked)) == 7
    for _ in range(2):  # once more without sending anything again
        eom.load(None, np.arange(64), 5e-6)
        eom.arm()
        pd.arm(64, 5e-6)
        pd.fire(64, 5e-6)
        np.testing.assert_allclose(pd.fetch(), 0.5 * bank, atol=1e-3)


def test_an_external_trigger_starts_both_sides_and_a_pulse_can_be_it() -> None:
    board = quiet()
    board.inputs = board.sampled
    link = opened(board)
    pd = RedPitayaIn(link, RedPitayaInOptions(trigger="external"), "pd")
    eom = RedPitayaOut(link, RedPitayaOutOptions(trigger="external"), "eom")
    eom.prepare(eom.spec)
    bank = np.array([[0.5, -0.5], [-0.25, 0.25]])
    eom.load(bank, np.array([0, 1, 0]), 1e-5)
    for trigger in (board.external_trigger, None):
        eom.arm()
        pd.arm(3, 1e-5)
        if trigger is None:
            pd.fire(3, 1e-5)
        else:
            trigger()
        np.testing.assert_allclose(pd.fetch(), bank[[0, 1, 0]], atol=1.3 / 8192)
        with pytest.raises(TableError, match='pd: trigger = "external" waits'):
            RedPitayaIn(link, RedPitayaInOptions(trigger="external"), "pd").fire(3, 1e-5)
        board.on_fire = board.external_trigger  # a wire from the pin to the trigger input
        pd = RedPitayaIn(link, RedPitayaInOptions(trigger="external", pulse="DIO1_P"), "pd")
    assert board.pins.levels["DIO1_P"] == 0


def test_a_trigger_that_does_not_come_is_told() -> None:
    pd, _ = detectors(quiet(), trigger="outputs", wait_s=0.05)
    pd.arm(3, 1e-6)
    pd.fire(3, 1e-6)  # the outputs are off
    with pytest.raises(UnknownStateError, match="pd: no trigger came, or the record did not end"):
        pd.fetch()
    pd.safe()
    with pytest.raises(TableError, match="nothing is armed"):
        pd.fetch()


def test_a_refused_set_raises_with_the_servers_words_and_is_not_blamed_on_the_next() -> None:
    board = quiet()
    eom, _ = modulators(board)
    board.feed(b"FOO\r\n")  # an error that was there before is not ours
    eom.load(np.array([[0.1, 0.2]]), np.zeros(4, int), 1e-6)
    eom.spec = RedPitayaOut(opened(board), RedPitayaOutOptions(full_scale_v=5.0), "eom").spec
    with pytest.raises(RefusedError, match=r"eom: .*SOUR1:TRAC:DATA:DATA 3\.0.* was refused: 9517,\"Data not normalized\""):
        eom.load(np.array([[3.0, 0.0]]), np.zeros(4, int), 1e-6)
    assert not board.values["output1"]
    eom.load(np.array([[0.3, 0.0]]), np.zeros(4, int), 1e-6)
    eom.arm()


def test_a_setting_that_reads_back_otherwise_is_told() -> None:
    board = quiet()
    pd, link = detectors(board)
    link.faults = [lambda reply: reply.replace(b"8184", b"8183")]
    with pytest.raises(UnknownStateError, match=r"pd: set to \['1', 'ON', 'RAW', '8184'\] .* reads back"):
        pd.arm(3, 1e-6)
    eom, link = modulators(board)
    link.faults = [lambda reply: reply.replace(b"OFF", b"ON", 1)]
    with pytest.raises(UnknownStateError, match=r"eom: set to .* Hz with the outputs off it reads back"):
        eom.load(np.array([[0.1, 0.2]]), np.zeros(4, int), 1e-6)
    eom.load(np.array([[0.1, 0.2]]), np.zeros(4, int), 1e-6)
    link.faults = [lambda reply: reply.replace(b"ON", b"OFF", 1)]
    with pytest.raises(UnknownStateError, match="eom: switched on they read back"):
        eom.arm()


def test_safe_gets_through_passing_trouble_stops_a_burst_and_closing_twice_is_harmless() -> None:
    board = quiet()
    eom, link = modulators(board)
    eom.load(np.array([[0.5, 0.5]]), np.zeros(100, int), 0.01)
    eom.arm()
    board.fire_outputs([1, 2])
    assert board.volts_v.tolist() == [0.5, 0.5]
    link.faults = [LinkTimeoutError("lost"), DesyncError("late")]
    eom.safe()
    assert board.volts_v.tolist() == [0, 0]
    assert (board.values["volt1"], board.values["offset2"], board.values["output1"]) == (0, 0, False)
    board.feed(b"SOUR1:VOLT:OFFS 0.5;:SOUR1:FUNC DC;:OUTPUT1:STATE ON;:SOUR1:TRIG:INT\r\n")  # somebody else
    eom.safe()
    assert board.volts_v.tolist() == [0, 0]
    link.faults = [LinkTimeoutError("lost")] * TRIES
    with pytest.raises(LinkTimeoutError):
        eom.safe()
    link.faults = [lambda reply: reply.replace(b"OFF", b"ON")] * TRIES
    with pytest.raises(UnknownStateError, match="eom: switched off they read back"):
        eom.safe()
    eom.close()
    eom.close()
    with pytest.raises(LinkClosedError):
        eom.safe()


def test_other_instruments_and_older_servers_are_not_taken() -> None:
    class Other:
        def exchange(self, request: bytes, lines: int = 1) -> bytes:
            return b"Agilent Technologies,33521A,1,2"

    with pytest.raises(IdentityError, match="Agilent"):
        RedPitayaIn(Other(), RedPitayaInOptions(), "pd")  # type: ignore[arg-type]
    for driver, options in ((RedPitayaIn, RedPitayaInOptions()), (RedPitayaOut, RedPitayaOutOptions())):
        with pytest.raises(IdentityError, match=r"older than OS 2\.00-23"):
            driver(opened(RedPitayaFirmware(os="1.04")), options, "pd")


def test_a_server_that_cuts_blocks_of_volts_is_found_out() -> None:
    board = quiet()
    board.inputs = lambda t: np.full((len(t), 2), [0.4, -0.3])
    pd, link = detectors(board, units="VOLTS")
    pd.arm(4, 1e-6)
    pd.fire(4, 1e-6)
    cut: list[Fault] = [lambda data: np.trunc(np.frombuffer(data, ">f4")).astype(">f4").tobytes()] * 2
    link.faults = [None, *cut]
    with pytest.raises(ReadingError, match=r'all samples are whole volts or 0, .*set units = "RAW"'):
        pd.fetch()
    np.testing.assert_allclose(pd.fetch(), [[0.4, -0.3]] * 4, atol=1e-4)  # asked again, the record is still there


@pytest.mark.parametrize(
    ("positions", "error"),
    [
        (b"TD\n1\n100\n50", UnknownStateError), (b"TD\n1\n16384\n0", DesyncError), (b"TD\n2\n0\n0", DesyncError),
        (b"OK\n1\n0\n0", DesyncError), (b"TD\n1\n-1\n0", DesyncError), (b"TD\n1\nNAN\n0", DesyncError),
    ],
)  # fmt: skip
def test_positions_that_cannot_be_are_no_record(positions: bytes, error: type[Exception]) -> None:
    pd, link = detectors(quiet())
    pd.arm(4, 1e-6)
    pd.fire(4, 1e-6)
    link.faults = [lambda _: positions + b'\n0,"No error"']
    with pytest.raises(error, match="pd: "):
        pd.fetch()


@pytest.mark.parametrize("off", [-2, -1, 1, 2])
def test_a_trigger_position_off_by_a_sample_or_two_moves_the_shots_with_it(off: int) -> None:
    board = quiet()
    levels = np.linspace(-0.8, 0.8, 40).reshape(20, 2)
    board.inputs = staircase(1e-6, levels)
    pd, link = detectors(board, settle=0.4)
    pd.arm(20, 1e-6)
    pd.fire(20, 1e-6)
    board.time_s += 1e-3

    def moved(reply: bytes) -> bytes:
        state, full, at, end, errors = reply.split(b"\n")
        return b"\n".join([state, full, str((int(at) + off) % 16384).encode(), end, errors])

    link.faults = [moved]
    near = pd.fetch()
    assert np.abs(near - levels).max() < 0.06
    samples = int(link.asked[-1].split()[-1])
    assert samples == 8 + off + 2500


@pytest.mark.parametrize("wrong", [b"", b"\x00", b"\x00" * 4, b"\x00" * 100000])
def test_blocks_of_another_length_are_no_samples(wrong: bytes) -> None:
    pd, link = detectors(quiet())
    pd.arm(4, 1e-6)
    pd.fire(4, 1e-6)
    link.faults = [None, lambda _: wrong]
    with pytest.raises(DesyncError, match=r"pd: \d+ bytes answer 'ACQ:SOUR1:DATA:OLD:N\? 508'; 508 samples of >i2 were asked for"):
        pd.fetch()


@pytest.mark.parametrize(
    "wrong",
    [{"channels": 3}, {"trigger": "soon"}, {"pulse": "LED1"}, {"settle": 0.95}, {"delay_s": -1e-6}, {"wait_s": math.inf}, {"units": "mV"},
     {"trigger": "outputs", "channels": 4}],
)  # fmt: skip
def test_options_of_the_inputs_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RedPitayaInOptions(**wrong)


@pytest.mark.parametrize("wrong", [{"trigger": "soon"}, {"full_scale_v": 0.0}, {"full_scale_v": math.nan}, {"settle_s": -1.0}])
def test_options_of_the_outputs_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RedPitayaOutOptions(**wrong)


def test_late_and_doubled_replies_of_a_real_socket_are_never_taken_for_answers() -> None:
    class Doubling:
        """Answers everything twice once told to."""

        def __init__(self) -> None:
            self.board, self.twice = quiet(), False

        def feed(self, data: bytes) -> bytes:
            return self.board.feed(data) * (2 if self.twice else 1)

        def wire_s(self, sent: int, received: int) -> float:
            return self.board.wire_s(sent, received)

    twice = Doubling()
    twice.board.inputs = lambda t: np.full((len(t), 2), 0.25)
    with serve_tcp(twice, SimulatedClock()) as url, contextlib.closing(connect(url, **{**RedPitayaIn.link_options, **TIMEOUT})) as link:
        pd = RedPitayaIn(link, RedPitayaInOptions(), "pd")
        pd.arm(4, 1e-6)
        pd.fire(4, 1e-6)
        twice.twice = True
        with pytest.raises(DesyncError):
            pd.fetch()
        twice.twice = False
        np.testing.assert_allclose(pd.fetch(), 0.25, atol=1e-4)


BENCH = """
[ports.eom]
driver = "redpitaya_out"
link = "tcp://192.168.1.5:5000"
upper = "0.9 V"
[ports.pd]
driver = "redpitaya_in"
link = "tcp://192.168.1.5:5000"
trigger = "outputs"
role = "trigger"
[simulation]
bench = "unlit"
seed = 3
"""


@pytest.mark.parametrize("served", [False, True])
def test_two_ports_of_a_bench_file_are_one_board(served: bool, tmp_path: Path) -> None:
    file = tmp_path / "bench.toml"
    file.write_text(BENCH)
    with Bench.open(file, dry_run=True, served=served) as bench:
        bank = np.random.default_rng(0).uniform(-0.9, 0.9, (1000, 2))
        readings = bench.play(ShotTable({"eom": bank}, {"eom": np.arange(1000)}, 1e-6))["pd"]  # no trigger comes if it is another board
        assert readings.shape == (1000, 2)
        assert np.abs(readings).max() < 0.01  # it is dark
        with pytest.raises(LimitError, match=r"eom/OUT2: 950 mV in row 0 is outside -1 V to 900 mV \(bench\.toml\)"):
            bench.play(ShotTable({"eom": np.array([[0.0, 0.95]])}))


GARBAGE = [
    b"", b'0,"No error"', b"TD\n1\n0\n0", b'TD\n1\n0\n16375\n0,"No error"', b'-113,"Undefined header"', b'OFF\nOFF\n0\n0\n0,"No error"',
    b'1\nON\nRAW\n8184\n0,"No error"', b"ERR!REDPITAYA,INSTR2020,0,01-02", b"\n\n\n\n", b'LV\nLV\n0,"No error"', b"\x00" * 1000, b"nan",
    b'ON\nON\n0,"No error"', b'WAIT\n0\n0\n0\n0,"No error"', b'OFF\nOFF\nnan\ninf\n0,"No error"',
]  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(GARBAGE) | st.binary(max_size=30), min_size=1, max_size=6))
def test_whatever_the_wire_says_only_typed_errors_come_out(answers: list[bytes]) -> None:
    board = quiet()
    link = opened(board)
    pd, eom = RedPitayaIn(link, RedPitayaInOptions(wait_s=0.0), "pd"), RedPitayaOut(link, RedPitayaOutOptions(), "eom")
    bank = np.array([[0.1, 0.2]])
    for action in (
        lambda: pd.arm(3, 1e-6), lambda: pd.fire(3, 1e-6), pd.fetch, pd.safe, lambda: pd.set_range(20.0), lambda: eom.prepare(eom.spec),
        lambda: eom.load(bank, np.zeros(3, int), 1e-6), eom.arm, eom.safe,
        lambda: RedPitayaIn(link, RedPitayaInOptions(), "pd"), lambda: RedPitayaOut(link, RedPitayaOutOptions(), "eom"),
    ):  # fmt: skip
        link.faults = [lambda _, answer=answer: answer for answer in answers]  # type: ignore[misc]
        with contextlib.suppress(LabonnError):
            action()
    link.faults = []
    eom.safe()
    assert board.volts_v.tolist() == [0, 0]


@pytest.mark.parametrize("answer", [answer for answer in GARBAGE if not answer.startswith(b"1\nON")])
def test_no_wrong_answer_is_taken_for_a_set(answer: bytes) -> None:
    pd, link = detectors(quiet())
    link.faults = [lambda _: answer]
    with pytest.raises((DesyncError, RefusedError, UnknownStateError)):
        pd.arm(3, 1e-6)


def test_a_dropped_connection_is_told_and_the_block_read_awaits_a_block() -> None:
    board = quiet()
    pd, link = detectors(board)
    pd.arm(3, 1e-6)
    pd.fire(3, 1e-6)
    pd.fetch()
    assert link.link.exchange(b"ACQ:SOUR1:DATA:OLD:N? 2", BLOCK) == b"\x00" * 4
    link.faults = [LinkClosedError("gone")]
    with pytest.raises(LinkClosedError):
        pd.fetch()
    pd.close()
    pd.close()
    with pytest.raises(LinkClosedError):
        pd.arm(3, 1e-6)
