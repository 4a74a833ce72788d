"""Columns of sparse banks, and joined ports that give each instrument its part and disturb only those whose part changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labonn.banks import columns_of
from labonn.channels import ChannelSpec, NumberedNames
from labonn.errors import UnknownStateError
from labonn.joined import JoinedActuator
from labonn.shots import Bank, Changes, Dither, dense, rows_of


@st.composite
def banks(draw: st.DrawFn) -> Bank:
    channels, rows, n = draw(st.integers(1, 30)), draw(st.integers(1, 6)), draw(st.integers(0, 4))
    rng = np.random.default_rng(draw(st.integers(0, 9999)))
    first, second = (draw(st.sampled_from([np.float32, np.float64])) for _ in range(2))
    form = draw(st.sampled_from(["dense", "changes", "dither"]))
    if form == "dense":
        return rng.standard_normal((rows, channels)).astype(first)
    base = rng.standard_normal(channels).astype(first)
    if form == "changes":
        return Changes(base, rng.integers(0, channels, (rows, n)), rng.standard_normal((rows, n)).astype(second))
    return Dither(base, rng.standard_normal(channels).astype(second), rng.integers(0, 256, (rows, -(-channels // 8))).astype(np.uint8))


@given(data=st.data(), bank=banks())
def test_columns_are_those_of_the_frames_in_the_same_form(data: st.DataObject, bank: Bank) -> None:
    start = data.draw(st.integers(0, bank.shape[1] - 1))
    stop = data.draw(st.integers(start + 1, bank.shape[1]))
    part = columns_of(bank, start, stop)
    assert type(part) is type(bank)
    assert np.array_equal(dense(part), dense(bank)[:, start:stop])
    assert dense(part).dtype == dense(bank).dtype


def test_columns_of_changes_keep_no_more_than_changes_in_them() -> None:
    bank = Changes(np.zeros(9), np.arange(9)[:, None], np.ones((9, 1)))
    assert columns_of(bank, 3, 6).channels.shape == (9, 1)  # type: ignore[union-attr]
    assert columns_of(Changes(np.zeros(9), np.array([[0, 8]]), np.ones((1, 2))), 3, 6).channels.shape == (1, 0)  # type: ignore[union-attr]


class Held:
    """Holds the row that it was given last; notes when it had its turn."""

    def __init__(self, channels: int) -> None:
        zero = np.asarray(0.0)
        self.spec = ChannelSpec(NumberedNames("ch", channels), "V", zero, zero + 4, zero, zero, 1)
        self.identity, self.turns, self.shows, self.problem = "held", 0, np.zeros(channels), None

    def prepare(self, spec: Any) -> None: ...

    def load(self, bank: Any, order: Any, dwell_s: float) -> None:
        self.bank = bank if bank is not None else self.bank
        self.row = rows_of(self.bank, order[:1])[0]

    def arm(self) -> None:
        self.turns += 1
        if self.problem:
            raise self.problem
        self.shows = self.row

    def safe(self) -> None:
        self.shows = np.zeros(len(self.spec))

    def close(self) -> None: ...


def joined(*sizes: int) -> tuple[list[Any], JoinedActuator]:
    parts = [Held(n) for n in sizes]
    return parts, JoinedActuator(parts)


def show(port: JoinedActuator, bank: Bank, row: int) -> None:
    port.load(bank, np.array([row]), 1e-6)
    port.arm()


def turns(parts: list[Any]) -> list[int]:
    found = [part.turns for part in parts]
    for part in parts:
        part.turns = 0
    return found


@given(data=st.data(), bank=banks())
def test_whatever_is_held_the_instruments_together_show_the_row(data: st.DataObject, bank: Bank) -> None:
    edges = sorted({0, bank.shape[1], *data.draw(st.lists(st.integers(0, bank.shape[1]), max_size=3))})
    parts, port = joined(*np.diff(edges).tolist())
    for row in data.draw(st.lists(st.integers(0, bank.shape[0] - 1), min_size=1, max_size=6)):
        if data.draw(st.booleans()):
            port.safe()
        show(port, bank, row)
        assert np.array_equal(np.concatenate([part.shows for part in parts]), dense(bank)[row])


@pytest.mark.parametrize("sparse", [True, False])
def test_only_those_have_their_turn_whose_channels_change(sparse: bool) -> None:
    changes = Changes(np.zeros(6), np.array([[0], [1], [3], [5]]), np.ones((4, 1)))
    bank: Bank = changes if sparse else dense(changes)
    parts, port = joined(2, 2, 2)
    found = []
    for row in (0, 1, 2, 3):
        show(port, bank, row)
        found.append(turns(parts))
    assert found == [[1, 1, 1], [1, 0, 0], [1, 1, 0], [0, 1, 1]]


def test_all_have_their_turn_in_doubt() -> None:
    bank = Changes(np.zeros(4), np.array([[0], [1]]), np.ones((2, 1)))
    parts, port = joined(2, 2)
    show(port, bank, 0)
    turns(parts)
    show(port, bank, 0)  # nobody asks for a row again unless it may be lost
    assert turns(parts) == [1, 1]
    port.safe()
    show(port, bank, 1)
    assert turns(parts) == [1, 1]
    port.prepare(port.spec)
    show(port, bank, 0)
    assert turns(parts) == [1, 1]
    show(port, Changes(bank.base, bank.channels, bank.values), 1)
    assert turns(parts) == [1, 1]


def test_after_a_failure_all_have_their_turn() -> None:
    bank = Changes(np.zeros(4), np.array([[0], [1]]), np.ones((2, 1)))
    parts, port = joined(2, 2)
    show(port, bank, 0)
    parts[0].problem = UnknownStateError("reads back 0 V")
    with pytest.raises(UnknownStateError):
        show(port, bank, 1)
    parts[0].problem = None
    turns(parts)
    show(port, bank, 0)
    assert turns(parts) == [1, 1]
    assert np.array_equal(np.concatenate([part.shows for part in parts]), dense(bank)[0])
