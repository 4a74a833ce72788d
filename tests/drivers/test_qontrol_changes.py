"""The Qontrol driver writes what changes, reads exactly that back, and forgets what it knew after any trouble."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.held import HeldBank
from drivers.qontrol import Qontrol, QontrolOptions
from drivers.qontrol_ascii import by_module
from labonn.channels import ChannelSpec, NumberedNames
from labonn.clock import SimulatedClock
from labonn.errors import DesyncError, LabonnError, LimitError, LinkTimeoutError, RefusedError, TableError, UnknownStateError
from labonn.shots import Changes, dense
from sim_backends.firmware.qontrol import QontrolFirmware
from sim_backends.simlinks import SimulatedLink

STEP_A = 24e-3 / 65535


class Wire:
    """Notes requests and bytes; fails or answers otherwise where a fault's pattern fits the request."""

    def __init__(self, firmware: QontrolFirmware) -> None:
        self.link = SimulatedLink(firmware, SimulatedClock(), **Qontrol.link_options)
        self.asked, self.faults, self.unasked, self.size = list[str](), list[tuple[str, Any]](), self.link.unasked, 0

    def exchange(self, request: bytes, lines: int = 1) -> bytes:
        self.asked.append(request.decode())
        reply = self.link.exchange(request, lines)
        if self.faults and re.search(self.faults[0][0], request.decode()):
            fault = self.faults.pop(0)[1]
            if isinstance(fault, Exception):
                raise fault
            reply = fault
        self.size += len(request) + 1 + len(reply) + 1
        return reply

    def close(self) -> None:
        self.link.close()


def ready(firmware: QontrolFirmware, **options: Any) -> tuple[Qontrol, Wire]:
    wire = Wire(firmware)
    source = Qontrol(wire, QontrolOptions(**options), "gain")
    source.prepare(source.spec)
    return source, wire


def hold(source: Qontrol, row: Any) -> None:
    source.load(np.array([row], float), np.zeros(1, int), 1e-6)
    source.arm()


def held(modules: int = 3, **options: Any) -> tuple[Qontrol, Wire, QontrolFirmware, Any]:
    """A source at 5 mA everywhere."""
    firmware = QontrolFirmware(modules=modules)
    source, wire = ready(firmware, **options)
    row = np.full(len(source.spec), 5e-3)
    hold(source, row)
    wire.asked.clear()
    wire.size = 0
    return source, wire, firmware, row


def test_one_changed_channel_is_set_and_read_back_in_one_exchange() -> None:
    source, wire, firmware, row = held()
    row[13] = 6e-3
    hold(source, row)
    assert wire.asked == ["I13=6.000000\nI13?"]
    np.testing.assert_allclose(firmware.currents_a, row, atol=STEP_A)


def test_neighbours_in_a_module_are_set_by_a_vector_and_others_one_by_one() -> None:
    source, wire, firmware, row = held()
    row[[9, 10]] = 6e-3, 7e-3
    hold(source, row)
    row[[0, 7, 15, 16]] = 1e-3
    hold(source, row)
    assert wire.asked == [
        "IVEC9=6.000000,7.000000\nI9?\nI10?",
        "I0=1.000000\nI7=1.000000\nI15=1.000000\nI16=1.000000\nI0?\nI7?\nI15?\nI16?",
    ]
    np.testing.assert_allclose(firmware.currents_a, row, atol=STEP_A)


def test_a_vector_over_channels_that_did_not_change_reads_them_back_too() -> None:
    source, wire, firmware, row = held()
    row[[8, 9, 11, 12]] = 1e-3
    hold(source, row)
    (request,) = wire.asked
    written = {8, 9, 10, 11, 12} if "IVEC8=" in request else {8, 9, 11, 12}
    assert {int(c) for c in re.findall(r"I(\d+)\?", request)} == written
    np.testing.assert_allclose(firmware.currents_a, row, atol=STEP_A)


def test_many_changes_are_cut_into_exchanges_that_a_source_can_hold() -> None:
    source, wire, firmware, row = held(modules=29)
    row[::7] = 1e-3
    hold(source, row)
    assert len(wire.asked) > 1
    assert all(len(request) <= 256 for request in wire.asked)
    assert not any("all?" in request for request in wire.asked)
    np.testing.assert_allclose(firmware.currents_a, row, atol=STEP_A)


def test_when_most_have_changed_all_are_read_back_at_once() -> None:
    source, wire, firmware, row = held()
    hold(source, row + np.arange(24) * 1e-4 + 1e-4)
    assert [request.partition("=")[0] for request in wire.asked] == ["IVEC0", "IVEC8", "IVEC16", "Iall?"]
    firmware.loads_ohm[3] = math.inf
    with pytest.raises(UnknownStateError, match="gain/ch3"):
        hold(source, row)


def test_a_row_that_is_held_already_is_read_back_and_not_set() -> None:
    source, wire, firmware, row = held()
    hold(source, row)
    assert wire.asked == ["Iall?"]
    firmware.loads_ohm[3] = math.inf
    with pytest.raises(UnknownStateError, match=r"gain/ch3: the output was set to 5 mA and reads back 0 A"):
        source.arm()


def test_of_a_row_like_the_one_before_in_the_same_table_one_channel_is_read_back() -> None:
    source, wire, firmware, row = held()
    bank = np.stack([row, row])
    hold(source, row)
    for index in (0, 1):
        source.load(bank, np.array([index]), 1e-3)
        wire.asked.clear()
        source.arm()
        assert wire.asked == (["I0?"] if index else ["Iall?"])
    firmware.power_cycle()
    source.load(bank, np.array([0]), 1e-3)
    with pytest.raises(UnknownStateError):
        source.arm()


@pytest.mark.parametrize("first", [0, 5])
@given(data=st.data())
def test_whatever_changes_the_outputs_are_the_last_row_and_the_wire_is_never_longer_than_for_all(first: int, data: st.DataObject) -> None:
    source, wire, firmware, row = held(first=first, channels=24 - first)
    row = np.concatenate([np.zeros(first), row])
    wire.size = 0
    hold(source, row[first:] + 1e-4)
    whole, count = wire.size, 24 - first
    for _ in range(3):
        wire.size = 0
        changed = data.draw(st.lists(st.integers(0, count - 1), unique=True, max_size=count))
        row[first + np.array(changed, int)] = data.draw(st.sampled_from([1e-3, 2e-3, 7.5e-3]))
        hold(source, row[first:])
        np.testing.assert_allclose(firmware.currents_a, row, atol=STEP_A)
        assert wire.size <= whole + 3 * 8


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (LinkTimeoutError("lost"), LinkTimeoutError),
        (b"OK\n+5.000000 mA", UnknownStateError),
        (b"E05:13\n+5.000000 mA", RefusedError),
        (b"OK\nE18:13", RefusedError),
        (b"OK", DesyncError),
        (b"+6.000000 mA\nOK", DesyncError),
        (b"OK\n+6.000000 V", DesyncError),
        (b"OK\n+6.0e0 mA", DesyncError),
        (b"\xff\n+6.000000 mA", DesyncError),
    ],
)
def test_after_any_trouble_everything_is_written_again(fault: Any, error: type[LabonnError]) -> None:
    source, wire, firmware, row = held()
    row[13] = 6e-3
    wire.faults.append(("I13=", fault))
    with pytest.raises(error):
        hold(source, row)
    firmware.feed(b"I2=0\n")  # what was believed of the others is believed no more
    wire.asked.clear()
    row[13] = 5e-3
    hold(source, row)
    assert [request.partition("=")[0] for request in wire.asked] == ["IVEC0", "IVEC8", "IVEC16", "Iall?"]
    np.testing.assert_allclose(firmware.currents_a, row, atol=STEP_A)


@pytest.mark.parametrize("what", ["safe", "prepare", "off"])
def test_safe_prepare_and_off_write_everything_whatever_is_known(what: str) -> None:
    source, wire, firmware, row = held()
    hold(source, np.zeros(24))
    firmware.feed(b"I2=7\n")  # behind the driver's back
    actions = {"safe": source.safe, "prepare": lambda: source.prepare(source.spec), "off": lambda: source.output(False)}
    actions[what]()
    assert not firmware.currents_a.any()
    wire.asked.clear()
    hold(source, row)
    np.testing.assert_allclose(firmware.currents_a, row, atol=STEP_A)


def test_compliance_is_found_on_the_channel_that_was_written() -> None:
    source, _, firmware, row = held(compliance_v=2.0)
    firmware.loads_ohm[13] = 400.0
    row[13] = 6e-3
    with pytest.raises(UnknownStateError, match=r"gain/ch13: the output was set to 6 mA and reads back 4.9997.*\(1 of 1 channels are\)"):
        hold(source, row)


def test_a_power_up_between_two_small_sets_is_told() -> None:
    source, _, firmware, row = held()
    firmware.power_cycle()
    row[13] = 6e-3
    with pytest.raises(UnknownStateError, match=r"powered up by itself \(E90\)"):
        hold(source, row)


def test_no_byte_is_sent_for_a_row_outside_the_limits() -> None:
    source, wire, _, row = held()
    row[13] = 25e-3
    with pytest.raises(LimitError, match="gain/ch13: 25 mA"):
        hold(source, row)
    assert wire.asked == []


# sparse banks


def differences(count: int, step: float) -> Changes:
    theta = np.linspace(2e-3, 20e-3, count)
    channels = np.repeat(np.arange(count), 2)[:, None]
    return Changes(theta, channels, theta[channels] + step * np.tile([1.0, -1.0], count)[:, None])


def test_a_setting_of_finite_differences_is_one_exchange_whatever_the_number_of_channels() -> None:
    firmware, bank = QontrolFirmware(modules=6), differences(48, 1e-3)
    source, wire = ready(firmware)
    for row, wanted in enumerate(dense(bank)):
        wire.asked.clear()
        source.load(bank, np.array([row]), 1e-6)
        source.arm()
        np.testing.assert_allclose(firmware.currents_a, wanted, atol=STEP_A)
        assert row == 0 or len(wire.asked) == 1


def spec(count: int, upper: float = 24e-3) -> ChannelSpec:
    zero = np.asarray(0.0)
    return ChannelSpec(NumberedNames("ch", count), "A", zero, np.asarray(upper), zero, zero)


@given(seed=st.integers(0, 99), n=st.integers(0, 3), base=st.sampled_from(["<f4", "<f8"]), values=st.sampled_from(["<f4", "<f8"]))
def test_a_row_of_changes_is_that_of_its_frames(seed: int, n: int, base: str, values: str) -> None:
    rng = np.random.default_rng(seed)
    bank = Changes(rng.uniform(0, 1, 5).astype(base), rng.integers(0, 5, (4, n)), rng.uniform(0, 1, (4, n)).astype(values))
    found = HeldBank("gain", "it")
    for row in (2, 0, 3):
        assert np.array_equal(found.row(bank, np.array([row]), spec(5, 1.0)), dense(bank)[row].astype(np.float64))


def test_all_rows_of_changes_are_checked_when_the_bank_or_the_limits_are_new() -> None:
    bank, one = differences(4, 1e-3), np.array([1])
    found, wide = HeldBank("gain", "it"), spec(4)
    assert found.row(bank, one, wide).shape == (4,)
    with pytest.raises(LimitError, match=r"gain/ch3: 21 mA in row 6 is outside 0 to 20\.5 mA"):
        found.row(None, one, spec(4, 20.5e-3))
    with pytest.raises(LimitError, match=r"gain/ch3: 24\.5 mA in row 6"):
        found.row(Changes(bank.base, bank.channels, bank.values + 3.5e-3), one, wide)
    with pytest.raises(TableError, match="a row has 3 values; the port has 4 channels"):
        found.row(differences(3, 1e-3), one, wide)
    with pytest.raises(TableError, match="names one of its rows, not 2"):
        found.row(bank, np.array([0, 1]), wide)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.sets(st.integers(0, 29)))
def test_channels_are_parted_by_module(modules: list[int], chosen: set[int]) -> None:
    ends = np.cumsum(modules).tolist()
    channels = sorted(c for c in chosen if c < ends[-1])
    parts = by_module(channels, ends)
    owner = np.repeat(np.arange(len(modules)), modules).tolist()
    assert [c for part in parts for c in part] == channels
    assert [owner[part[0]] for part in parts] == sorted({owner[c] for c in channels})
    assert all(len({owner[c] for c in part}) == 1 for part in parts)
