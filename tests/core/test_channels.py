"""Limits as data: what is inside, what is not, and whose rule it was."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import ArrayLike

from labonn.channels import ChannelSpec, NumberedNames, join
from labonn.errors import LimitError


def spec(lower: ArrayLike = 0.0, upper: ArrayLike = 4.0, count: int = 8, unit: str = "V", depth: int = 1) -> ChannelSpec:
    zero = np.asarray(0.0)
    return ChannelSpec(NumberedNames("ch", count), unit, np.asarray(lower), np.asarray(upper), zero, zero, depth)


def one(value: float, row: int = 1, channel: int = 5, shape: tuple[int, int] = (3, 8)) -> np.ndarray:
    bank = np.full(shape, 1.0)
    bank[row, channel] = value
    return bank


def test_a_limit_error_says_where_how_much_what_is_allowed_and_whose_rule() -> None:
    heaters = spec(upper=12.0).tighten(None, 4.0, "bench.toml")
    with pytest.raises(LimitError) as caught:
        heaters.check("heaters", one(4.2))
    assert str(caught.value) == "heaters/ch5: 4.2 V in row 1 is outside 0 to 4 V (bench.toml)"


def test_the_row_is_counted_from_the_first_row_of_the_whole_bank() -> None:
    with pytest.raises(LimitError, match="in row 257 is outside"):
        spec().check("heaters", one(4.2), first_row=256)


def test_the_side_that_was_passed_names_its_own_rule() -> None:
    both = spec(-5.0, 5.0).tighten(-1.0, None, "bench.toml")
    with pytest.raises(LimitError, match=r"-2 V in row 1 is outside -1 to 5 V \(bench.toml\)"):
        both.check("p", one(-2.0))
    with pytest.raises(LimitError, match=r"6 V in row 1 is outside -1 to 5 V \(driver\)"):
        both.check("p", one(6.0))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 4.0000001, -1e-9, 1e300])
@pytest.mark.parametrize("lower", [0.0, np.zeros(8)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_infinities_and_values_beyond_are_outside(value: float, lower: ArrayLike, dtype: type) -> None:
    bank = one(value)
    with np.errstate(over="ignore"):
        bank = bank.astype(dtype)
    if bank[1, 5] != 4.0:  # what float32 rounds to the limit is the limit
        with pytest.raises(LimitError, match="p/ch5"):
            spec(lower).check("p", bank)


@pytest.mark.parametrize("upper", [4.0, np.full(8, 4.0)])
def test_both_ends_are_inside(upper: ArrayLike) -> None:
    spec(0.0, upper).check("p", one(4.0))
    spec(0.0, upper).check("p", one(0.0))
    spec(0.0, upper).check("p", np.zeros((0, 8)))


def test_every_channel_has_its_own_limits() -> None:
    rising = spec(np.arange(8.0), np.arange(8.0) + 1)
    rising.check("p", np.stack([np.arange(8.0), np.arange(8.0) + 1]))
    with pytest.raises(LimitError, match=r"p/ch7: 6\.5 V in row 0 is outside 7 to 8 V"):
        rising.check("p", np.where(np.arange(8) == 7, 6.5, np.arange(8.0))[None])


def test_a_value_too_near_its_limit_for_six_digits_is_told_with_more() -> None:
    with pytest.raises(LimitError, match=re.escape("100.00000149 mV in row 0 is outside 0 to 100 mV")):
        spec(0.0, 0.1).check("p", np.full((1, 8), 0.1, np.float32))


@given(
    bank=hnp.arrays(np.float64, (5, 4), elements=st.floats(-3, 3, width=16) | st.sampled_from([math.nan, math.inf, -math.inf])),
    low=st.floats(-3, 0, width=16),
    high=st.floats(0, 3, width=16),
    shared=st.booleans(),
)
def test_check_agrees_with_looking_at_every_value(bank: np.ndarray, low: float, high: float, shared: bool) -> None:
    limits = spec(low, high, 4) if shared else spec(np.full(4, low), np.full(4, high), 4)
    outside = [(row, channel) for row in range(5) for channel in range(4) if not low <= bank[row, channel] <= high]
    if not outside:
        limits.check("p", bank)
        return
    row, channel = outside[0]
    with pytest.raises(LimitError, match=rf"p/ch{channel}: .* in row {row} is outside"):
        limits.check("p", bank)


@given(
    bound=st.floats(1e-3, 10),
    values=hnp.arrays(np.float32, (2, 8), elements=st.floats(-20, 20, width=32)),
    per_channel=st.booleans(),
)
def test_what_was_clipped_on_purpose_is_always_inside_and_keeps_its_dtype(bound: float, values: np.ndarray, per_channel: bool) -> None:
    limits = spec(-bound, np.full(8, bound) if per_channel else bound)
    clipped = limits.clip(values)
    limits.check("p", clipped)
    assert clipped.dtype == np.float32
    inside = np.abs(values.astype(np.float64)) <= bound
    assert np.array_equal(clipped[inside], values[inside])
    assert np.all(np.abs(clipped - np.clip(values.astype(np.float64), -bound, bound)) <= 1e-6 * bound)


def test_clipping_hides_no_nan() -> None:
    with pytest.raises(LimitError):
        spec().check("p", spec().clip(one(math.nan)))


def test_the_tightest_limit_wins_and_names_its_rule() -> None:
    limits = spec(-10.0, 10.0).tighten(-4.0, 5.0, "bench.toml").tighten(-3.0, 8.0, "calibration")
    assert limits.lower.tolist() == [-3.0] * 8
    assert limits.upper.tolist() == [5.0] * 8
    with pytest.raises(LimitError, match=r"6 V in row 1 is outside -3 to 5 V \(bench.toml\)"):
        limits.check("p", one(6.0))
    with pytest.raises(LimitError, match=r"-3.5 V in row 1 is outside -3 to 5 V \(calibration\)"):
        limits.check("p", one(-3.5))


def test_limits_tightened_on_some_channels_keep_the_other_channels_rule() -> None:
    upper = np.full(8, 20.0)
    upper[5] = 2.0
    limits = spec(0.0, 10.0).tighten(None, upper, "bench.toml")
    assert limits.upper.tolist() == [10, 10, 10, 10, 10, 2, 10, 10]
    with pytest.raises(LimitError, match=r"ch5: 3 V in row 1 is outside 0 to 2 V \(bench.toml\)"):
        limits.check("p", one(3.0))
    with pytest.raises(LimitError, match=r"ch4: 11 V in row 1 is outside 0 to 10 V \(driver\)"):
        limits.check("p", one(11.0, channel=4))


def test_tightening_never_widens_and_leaves_the_first_spec_as_it_is() -> None:
    first = spec(0.0, 4.0)
    wider = first.tighten(-1.0, 5.0, "bench.toml")
    assert (wider.lower[0], wider.upper[0], set(wider.upper_rule), set(wider.lower_rule)) == (0, 4, {"driver"}, {"driver"})
    same = first.tighten(0.0, 4.0, "bench.toml")
    assert (set(same.upper_rule), set(same.lower_rule)) == ({"driver"}, {"driver"})
    assert first.tighten(1.0, 2.0, "x").upper[0] == 2
    assert first.upper[0] == 4


def test_specs_are_read_only_and_one_number_serves_all_channels() -> None:
    big = spec(0.0, 1.0, count=100_000)
    assert big.upper.strides == (0,)
    with pytest.raises(ValueError, match="read-only"):
        big.upper[3] = 9.0


def test_a_limit_for_another_number_of_channels_is_an_error() -> None:
    with pytest.raises(ValueError, match="broadcast"):
        spec(np.zeros(3))


def test_names_are_made_when_asked_for() -> None:
    names, macropixels = NumberedNames("ch", 100_000), NumberedNames("", 12, row_length=4)
    assert (len(names), names[0], names[99_999], names[-1]) == (100_000, "ch0", "ch99999", "ch99999")
    assert (macropixels[0], macropixels[7], macropixels[11]) == ("r0c0", "r1c3", "r2c3")
    assert macropixels[2:5] == ("r0c2", "r0c3", "r1c0")
    assert list(NumberedNames("ch", 2)) == ["ch0", "ch1"]
    with pytest.raises(IndexError):
        names[100_000]


def test_a_port_of_several_instruments_has_their_channels_one_after_another() -> None:
    whole = join([spec(0.0, 4.0, 2, depth=100), spec(-1.0, 5.0, 3, depth=7).tighten(None, 2.0, "bench.toml")])
    assert list(whole.names) == ["0:ch0", "0:ch1", "1:ch0", "1:ch1", "1:ch2"]
    assert whole.lower.tolist() == [0, 0, -1, -1, -1]
    assert whole.upper.tolist() == [4, 4, 2, 2, 2]
    assert whole.depth == 7
    with pytest.raises(LimitError, match=r"p/1:ch2: 3 V in row 1 is outside -1 to 2 V \(bench.toml\)"):
        whole.check("p", one(3.0, channel=4, shape=(2, 5)))
    with pytest.raises(LimitError, match=r"p/0:ch1: -500 mV in row 1 is outside 0 to 4 V \(driver\)"):
        whole.check("p", one(-0.5, channel=1, shape=(2, 5)))


def test_joining_one_instrument_changes_nothing() -> None:
    alone = spec()
    assert join([alone]) is alone
