"""Segments: together they are the table, and each fits the instruments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labonn.segments import Segment, segments_of
from labonn.shots import Changes, ShotTable, dense

PORTS = ("heaters", "gain", "input", "error")


def cut(table: ShotTable, depths: dict[str, int], read: tuple[str, ...] = ()) -> list[Segment]:
    return list(segments_of(table, depths, read))


def frames(rows: int, port: int) -> np.ndarray:
    """Every value says port and row."""
    return 1000.0 * port + np.arange(rows, dtype=float)[:, None] + np.zeros((1, 2))


@st.composite
def tables(draw: st.DrawFn) -> tuple[ShotTable, dict[str, int], tuple[str, ...]]:
    shots = draw(st.integers(1, 25))
    banks: dict[str, Any] = {}
    orders: dict[str, Any] = {}
    depths: dict[str, int] = {"out": draw(st.integers(1, 30)), "tap": draw(st.integers(1, 30))}
    for number, port in enumerate(draw(st.lists(st.sampled_from(PORTS), unique=True))):
        rows = draw(st.integers(1, 7))
        banks[port] = frames(rows, number)
        if draw(st.booleans()):
            banks[port] = Changes(np.zeros(2), np.tile([0, 1], (rows, 1)), banks[port])
        if rows > 1 or draw(st.booleans()):
            orders[port] = np.array(draw(st.lists(st.integers(0, rows - 1), min_size=shots, max_size=shots)))
        depths[port] = draw(st.sampled_from([1, 1, 2, 3, 5, 100]))
    read = tuple(draw(st.lists(st.sampled_from(["out", "tap"]), unique=True)))
    return ShotTable(banks, orders, shots=shots, read=read), depths, read


@given(tables())
def test_the_segments_one_after_another_play_the_table(case: tuple[ShotTable, dict[str, int], tuple[str, ...]]) -> None:
    table, depths, read = case
    found = cut(table, depths, read)
    assert sum(segment.shots for segment in found) == table.shots
    for port, bank in table.banks.items():
        played: list[Any] = []
        for segment in found:
            if port in segment.held:
                held, (row,) = segment.held[port]
                played += [dense(held)[row]] * segment.shots
            else:
                played += list(dense(segment.banks[port])[segment.orders[port]])
        assert np.array_equal(np.array(played), dense(bank)[table.orders[port]])


@given(tables())
def test_every_segment_fits_the_memories_and_records(case: tuple[ShotTable, dict[str, int], tuple[str, ...]]) -> None:
    table, depths, read = case
    for segment in cut(table, depths, read):
        assert segment.shots >= 1
        assert segment.dwell_s == table.dwell_s
        assert all(segment.shots <= depths[port] for port in read)
        assert all(depths[port] == 1 for port in segment.held)
        assert all(depths[port] > 1 for port in segment.orders)
        assert set(segment.held) | set(segment.orders) == set(table.orders)
        for port, order in segment.orders.items():
            assert len(order) == segment.shots
            assert segment.banks[port].shape[0] <= depths[port]


@given(tables())
def test_no_cut_is_made_that_nothing_forces(case: tuple[ShotTable, dict[str, int], tuple[str, ...]]) -> None:
    table, depths, read = case
    found, start = cut(table, depths, read), 0
    for one in found[:-1]:
        start += one.shots
        longer = slice(start - one.shots, start + 1)
        held_changes = any(len(set(table.orders[port][longer].tolist())) > 1 for port in one.held)
        record_full = any(one.shots + 1 > depths[port] for port in read)
        memory_full = any(
            table.banks[port].shape[0] > depths[port] and len(np.unique(table.orders[port][longer])) > depths[port] for port in one.orders
        )
        assert held_changes or record_full or memory_full


def test_a_table_that_fits_is_one_segment_with_the_very_arrays() -> None:
    bank, order = frames(3, 1), np.array([0, 2, 1, 1])
    (segment,) = cut(ShotTable({"input": bank}, {"input": order}), {"input": 3, "out": 4}, ("out",))
    assert segment.banks["input"] is bank
    assert segment.orders["input"] is order


def test_a_held_port_is_set_only_where_its_row_changes() -> None:
    table = ShotTable({"heaters": frames(2, 0), "input": frames(4, 1)}, {"heaters": np.array([0, 0, 1, 0]), "input": np.arange(4)})
    found = cut(table, {"heaters": 1, "input": 10})
    played = [(s.shots, s.held["heaters"][1].tolist(), s.orders["input"].tolist()) for s in found]
    assert played == [(2, [0], [0, 1]), (1, [1], [2]), (1, [0], [3])]
    assert all(s.banks["input"] is table.banks["input"] for s in found)


def test_a_bank_too_large_for_the_memory_goes_out_in_parts_that_are_used() -> None:
    table = ShotTable({"input": frames(5, 0)}, {"input": np.array([4, 0, 4, 3, 3, 1])})
    found = cut(table, {"input": 2})
    assert [dense(s.banks["input"])[:, 0].tolist() for s in found] == [[0, 4], [1, 3]]
    assert [s.orders["input"].tolist() for s in found] == [[1, 0, 1], [1, 1, 0]]


def test_an_order_without_a_bank_plays_from_memory_and_is_cut_with_the_others() -> None:
    found = cut(ShotTable({}, {"input": np.arange(5)}, read=("out",)), {"input": 10, "out": 2}, ("out",))
    assert [s.orders["input"].tolist() for s in found] == [[0, 1], [2, 3], [4]]
    assert all(s.banks == {} for s in found)


@pytest.mark.parametrize(("shots", "record", "lengths"), [(5, 2, [2, 2, 1]), (4, 2, [2, 2]), (3, 100, [3])])
def test_a_record_is_never_overfilled(shots: int, record: int, lengths: list[int]) -> None:
    found = cut(ShotTable({}, read=("out",), shots=shots), {"out": record}, ("out",))
    assert [s.shots for s in found] == lengths
