"""Shot tables and banks: what is refused at once, and that sparse banks are the dense ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labonn.banks import check_limits, extremes_of
from labonn.channels import ChannelSpec, NumberedNames
from labonn.errors import LimitError, TableError
from labonn.shots import Bank, Changes, Dither, ShotTable, dense, outer, rows_of


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def changes(seed: int, frames: int, channels: int, changed: int, dtype: type = np.float64) -> Changes:
    r = rng(seed)
    named = np.stack([r.permutation(channels)[:changed] for _ in range(frames)]).astype(np.int32)
    return Changes(r.normal(size=channels).astype(dtype), named, r.normal(size=named.shape))


def dither(seed: int, frames: int, channels: int, dtype: type = np.float64) -> tuple[Dither, np.ndarray]:
    r = rng(seed)
    plus = r.integers(0, 2, (frames, channels)).astype(bool)
    bank = Dither(r.normal(size=channels).astype(dtype), r.normal(size=channels), np.packbits(plus, axis=1))
    return bank, plus


def spec(lower: float, upper: float, count: int) -> ChannelSpec:
    zero = np.asarray(0.0)
    return ChannelSpec(NumberedNames("ch", count), "V", np.asarray(lower), np.asarray(upper), zero, zero)


SIZES = {"seed": st.integers(0, 999), "frames": st.integers(1, 9), "channels": st.integers(1, 20)}


@given(**SIZES, changed=st.integers(0, 4), dtype=st.sampled_from([np.float32, np.float64]))
def test_changes_are_the_base_frame_with_some_values_replaced(seed: int, frames: int, channels: int, changed: int, dtype: type) -> None:
    bank = changes(seed, frames, channels, min(changed, channels), dtype)
    expanded = np.array([bank.base] * frames)
    for row in range(frames):
        for channel, value in zip(bank.channels[row], bank.values[row], strict=True):
            expanded[row, channel] = value
    assert bank.shape == expanded.shape
    assert np.array_equal(dense(bank), expanded)
    assert dense(bank).dtype == dtype
    some = rng(seed).integers(0, frames, 5)
    assert np.array_equal(rows_of(bank, some), expanded[some])


@given(**SIZES, dtype=st.sampled_from([np.float32, np.float64]))
def test_a_dither_is_the_base_frame_plus_or_minus_the_amplitude(seed: int, frames: int, channels: int, dtype: type) -> None:
    bank, plus = dither(seed, frames, channels, dtype)
    base = bank.base.astype(np.float64)
    expanded = np.where(plus, base + bank.amplitude, base - bank.amplitude).astype(dtype)
    assert bank.shape == expanded.shape
    assert np.array_equal(dense(bank), expanded)
    some = rng(seed).integers(0, frames, 5)
    assert np.array_equal(rows_of(bank, some), expanded[some])


def test_a_channel_that_is_named_twice_takes_the_last_value() -> None:
    bank = Changes(np.zeros(3), np.array([[1, 1]]), np.array([[5.0, 2.0]]))
    assert dense(bank).tolist() == [[0, 2, 0]]


@pytest.mark.parametrize(
    "make",
    [lambda s: changes(s, 6, 5, 2), lambda s: changes(s, 6, 5, 2, np.float32), lambda s: dither(s, 6, 5, np.float32)[0]],
)
def test_extremes_are_passed_by_no_frame(make: Callable[[int], Any]) -> None:
    for seed in range(20):
        bank = make(seed)
        low, high = extremes_of(bank)
        frames = np.concatenate([dense(bank), bank.base[None]])
        assert np.all(low <= frames)
        assert np.all(high >= frames)
        if isinstance(bank, Changes):
            assert np.array_equal(low, frames.min(axis=0))
            assert np.array_equal(high, frames.max(axis=0))


def test_the_extremes_of_a_dense_bank_are_the_bank_itself() -> None:
    bank = np.ones((3, 2))
    assert extremes_of(bank) is bank


@given(seed=st.integers(0, 999), kind=st.sampled_from(["changes", "dither", "dense"]), limit=st.floats(0.5, 4))
def test_a_sparse_bank_is_inside_the_limits_exactly_when_its_frames_and_its_base_are(seed: int, kind: str, limit: float) -> None:
    sparse: Any = changes(seed, 5, 6, 2) if kind == "changes" else dither(seed, 5, 6)[0]
    bank: Bank = dense(sparse) if kind == "dense" else sparse
    limits, frames = spec(-limit, limit, 6), dense(bank)
    outside = np.argwhere(np.abs(frames) > limit)
    if len(outside):
        row, channel = outside[0]
        with pytest.raises(LimitError, match=rf"p/ch{channel}: .* in row {row} is outside"):
            check_limits(limits, "p", bank)
    elif kind == "dense" or np.all(np.abs(extremes_of(bank)) <= limit):
        check_limits(limits, "p", bank)


def test_a_base_frame_beyond_the_limits_is_refused_though_no_frame_is() -> None:
    bank = Changes(np.array([9.0, 0.0]), np.array([[0], [0]]), np.array([[1.0], [2.0]]))
    with pytest.raises(LimitError, match="p/ch0: 9 V"):
        check_limits(spec(-4, 4, 2), "p", bank)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_nan_and_infinities_in_a_sparse_bank_are_outside_in_their_row(value: float) -> None:
    values = np.zeros((600, 1))
    values[471] = value
    with pytest.raises(LimitError, match=r"p/ch2: -?(nan|inf|1e\+291 G) ?V in row 471"):
        check_limits(spec(-4, 4, 3), "p", Changes(np.zeros(3), np.full((600, 1), 2), values))
    swing = np.array([0.1, value, 0.1])
    with pytest.raises(LimitError, match="p/ch1"):
        check_limits(spec(-4, 4, 3), "p", Dither(np.zeros(3, np.float32), swing, np.zeros((2, 1), np.uint8)))


def test_a_float32_frame_that_rounds_beyond_the_limit_is_seen_in_a_sparse_bank_too() -> None:
    bank = Changes(np.zeros(2, np.float32), np.array([[0]]), np.array([[0.1]]))
    assert float(dense(bank)[0, 0]) > 0.1
    with pytest.raises(LimitError):
        check_limits(spec(0, 0.1, 2), "p", bank)


def test_the_shots_are_those_of_the_orders() -> None:
    table = ShotTable({"a": np.zeros((2, 3)), "b": np.zeros((1, 1))}, {"a": np.array([0, 1, 1])})
    assert table.shots == 3
    assert table.orders["b"].tolist() == [0, 0, 0]


def test_a_table_of_detectors_alone_says_how_many_shots() -> None:
    assert ShotTable({}, read=("out",), shots=5).shots == 5
    assert ShotTable({}).shots == 1
    assert ShotTable({"a": np.zeros((1, 2))}, shots=4).orders["a"].tolist() == [0, 0, 0, 0]


FRAMES = np.zeros((3, 2))


@pytest.mark.parametrize(
    ("banks", "orders", "more", "words"),
    [
        ({"a": FRAMES, "b": FRAMES}, {"a": np.arange(3), "b": np.arange(2)}, {}, "different numbers of shots: {'a': 3, 'b': 2}"),
        ({"a": FRAMES}, {}, {}, "a: a bank of 3 rows needs an order"),
        ({"a": FRAMES}, {"a": np.array([0, 3])}, {}, "a: the order names row 3 or 0; the bank has rows 0 to 2"),
        ({"a": FRAMES}, {"a": np.array([-1, 2])}, {}, "row 2 or -1; the bank has rows 0 to 2"),
        ({"a": FRAMES}, {"a": np.array([0.0, 1.0])}, {}, r"a: an order is a \(T,\) array of integers, not float64\[2\]"),
        ({"a": FRAMES}, {"a": np.array([[0, 1]])}, {}, r"integers, not int64\[1, 2\]"),
        ({"a": FRAMES}, {"a": np.array([True, False])}, {}, "integers, not bool"),
        ({"a": FRAMES}, {"a": [0, 1]}, {}, "a: an order is .* not list"),
        ({}, {"a": np.array([0.5])}, {}, "a: an order is .* not float64"),
        ({"a": FRAMES}, {"a": np.zeros(0, np.int64)}, {}, "at least one shot"),
        ({}, {}, {"shots": -2}, "at least one shot"),
        ({"a": FRAMES}, {"a": np.arange(3)}, {"shots": 4}, "the orders have 3 shots, the table says 4"),
        ({"a": np.zeros(3)}, {}, {}, r"a: a bank has shape \(K, C\)"),
        ({"a": np.zeros((0, 3))}, {}, {}, r"a: a bank has shape \(K, C\) with K of 1 or more, .* not \(0, 3\)"),
        ({"a": np.zeros((1, 3), int)}, {}, {}, "a: a bank has values of float32 or float64, not int64"),
        ({"a": np.zeros((1, 3), np.float16)}, {}, {}, "not float16"),
        ({"a": np.zeros((1, 3), complex)}, {}, {}, "not complex128"),
        ({"a": np.zeros((1, 3), object)}, {}, {}, "not object"),
        ({}, {}, {"dwell_s": 0.0}, "dwell_s is 0.0; a shot lasts a positive, finite time"),
        ({}, {}, {"dwell_s": np.nan}, "dwell_s is nan"),
        ({}, {}, {"dwell_s": np.inf}, "dwell_s is inf"),
        ({}, {}, {"read": ("x", "y", "x")}, "read names a detector twice: x, y, x"),
        ({"a": Changes(np.zeros(3), np.array([[3]]), np.zeros((1, 1)))}, {}, {}, "a: Changes names channel 3 or 3; there are 0 to 2"),
        ({"a": Changes(np.zeros(3), np.array([[-1]]), np.zeros((1, 1)))}, {}, {}, "a: Changes names channel -1"),
        ({"a": Changes(np.zeros(3), np.array([[1]]), np.zeros((1, 2)))}, {}, {}, r"not int64\[1, 1\] and \[1, 2\]"),
        ({"a": Changes(np.zeros(3), np.array([[1.0]]), np.zeros((1, 1)))}, {}, {}, r"channels \(K, n\) of integers"),
        ({"a": Changes(np.zeros((1, 3)), np.array([[1]]), np.zeros((1, 1)))}, {}, {}, r"a: a bank has shape .* and a base \(C,\)"),
        ({"a": Dither(np.zeros(9), np.zeros(9), np.zeros((1, 1), np.uint8))}, {}, {}, r"signs uint8 \(1, 2\), not .* uint8 \(1, 1\)"),
        ({"a": Dither(np.zeros(9), np.zeros(9), np.zeros((1, 2)))}, {}, {}, "not .* float64"),
        ({"a": Dither(np.zeros(9), np.zeros(8), np.zeros((1, 2), np.uint8))}, {}, {}, r"Dither has amplitude \(9,\)"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused_at_once(banks: Any, orders: Any, more: dict[str, Any], words: str) -> None:
    with pytest.raises(TableError, match=words):
        ShotTable(banks, orders, **more)


def test_a_table_takes_its_arrays_over() -> None:
    frames, order = np.zeros((2, 3)), np.array([0, 1])
    sparse, signs = changes(1, 2, 3, 1), dither(1, 2, 3)[0]
    mapping: dict[str, Bank] = {"a": frames, "b": sparse, "c": signs}
    table = ShotTable(mapping, dict.fromkeys("abc", order))
    for array in (frames, order, sparse.base, sparse.channels, sparse.values, signs.base, signs.amplitude, signs.signs):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    mapping["a"] = np.full((2, 3), 99.0)
    assert table.banks["a"] is frames


def test_outer_plays_every_slow_row_with_every_fast_row() -> None:
    slow = {"weights": np.arange(3.0)[:, None], "ovens": 10 + np.arange(3.0)[:, None]}
    table = outer(slow, {"input": np.arange(4.0)[:, None]}, dwell_s=1e-3, read=("out",))
    played = {port: dense(bank)[table.orders[port], 0].tolist() for port, bank in table.banks.items()}
    assert list(zip(played["weights"], played["input"], strict=True)) == [(s, f) for s in range(3) for f in range(4)]
    assert played["ovens"] == [10 + s for s in played["weights"]]
    assert (table.shots, table.dwell_s, table.read) == (12, 1e-3, ("out",))
    assert table.banks["weights"] is slow["weights"]


@pytest.mark.parametrize(("slow", "fast"), [({"a": (2, 1), "b": (3, 1)}, {"c": (2, 1)}), ({}, {"c": (2, 1)}), ({"a": (2, 1)}, {})])
def test_outer_wants_equal_numbers_of_rows(slow: dict[str, Any], fast: dict[str, Any]) -> None:
    with pytest.raises(TableError, match="outer needs equal numbers of rows"):
        outer({k: np.zeros(v) for k, v in slow.items()}, {k: np.zeros(v) for k, v in fast.items()}, 1e-6)
