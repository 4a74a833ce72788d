"""Sums of many arrays at once, against NumPy on each of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from labonn.banks import Changes, Dither
from labonn.record.gathering import samples_of
from labonn.record.sums import BINS, SAMPLED, Sums, add_up, histogram, sample_of

LARGE = 3e38


def summed(*arrays: np.ndarray) -> list[Sums]:
    found = [Sums() for _ in arrays]
    add_up(list(zip(found, arrays, strict=True)))
    return found


@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=6),
    st.floats(-1e3, 1e3),
    st.floats(0, 10),
    st.sampled_from([np.float32, np.float64]),
    st.integers(0, 99),
)
@example([13], 0.0, 1.4e-23, np.float32, 0)  # whose squares single precision cannot hold
def test_every_array_has_the_extremes_mean_rms_and_spread_that_numpy_finds(
    sizes: list[int], mean: float, spread: float, kind: type, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(mean, spread, size).astype(kind) for size in sizes]
    for array, sums in zip(arrays, summed(*arrays), strict=True):
        exact = array.astype(np.float64)
        low, middle, high, std = sums.told(spread=True)
        assert (low, high, sums.count, sums.bad) == (exact.min(), exact.max(), exact.size, 0)
        tolerance = {"rel": 1e-5, "abs": 1e-5 * np.abs(exact).max()}
        assert middle == pytest.approx(exact.mean(), **tolerance)
        assert sums.told(spread=False)[3] == pytest.approx(np.sqrt(np.mean(exact**2)), **tolerance)
        assert std == pytest.approx(exact.std(), rel=2e-3, abs=1e-6 * np.abs(exact).max() + 1e-12)


def test_a_small_spread_about_a_large_mean_is_not_lost_in_single_precision() -> None:
    values = (5 + 1e-4 * np.random.default_rng(0).normal(size=2000)).astype(np.float32)
    (sums,) = summed(values)
    assert sums.told(spread=True)[3] == pytest.approx(values.astype(np.float64).std(), rel=1e-3)


def test_what_is_no_number_is_counted_and_left_out() -> None:
    first, second, third = summed(np.array([1.0, np.nan, 3.0, -np.inf]), np.array([np.nan, np.inf]), np.array([2.0, 2.0]))
    assert (first.count, first.bad, first.told(spread=True)) == (2, 2, (1.0, 2.0, 3.0, 1.0))
    assert (second.count, second.bad) == (0, 2)
    assert np.isnan(second.told(spread=True)).all()
    assert third.told(spread=True) == (2.0, 2.0, 2.0, 0.0)


def test_values_whose_squares_single_precision_cannot_hold_are_summed_up_all_the_same() -> None:
    (sums,) = summed(np.array([LARGE, -LARGE], np.float32))
    assert sums.told(spread=True)[3] == pytest.approx(LARGE, rel=1e-6)


def test_tables_of_one_port_add_up_to_what_all_of_them_are_together() -> None:
    rng = np.random.default_rng(1)
    parts = [rng.normal(size=size) for size in (3, 40, 7)]
    sums = Sums()
    for part in parts:
        add_up([(sums, part)])
    everything = np.concatenate(parts)
    assert sums.told(spread=True) == pytest.approx((everything.min(), everything.mean(), everything.max(), everything.std()))
    other = Sums()
    add_up([(other, parts[0])])
    assert other.plus(sums).count == 53


@pytest.mark.parametrize("shape", [(64, 256), (100_352,), (1, 5000), (2049, 1), (7, 2048, 3)])
def test_of_a_large_array_no_more_is_looked_at_than_promised_and_from_all_over_it(shape: tuple[int, ...]) -> None:
    values = np.arange(int(np.prod(shape)), dtype=np.float64).reshape(shape)
    sample = sample_of(values)
    assert SAMPLED // 2 <= sample.size <= SAMPLED
    assert len(np.unique(sample)) == sample.size
    assert sample.min() == 0
    assert sample.max() > 0.93 * values.size
    assert sample.mean() == pytest.approx(values.mean(), rel=0.07)


def test_a_small_array_is_looked_at_whole() -> None:
    values = np.arange(SAMPLED).reshape(2, -1)
    assert (sample_of(values) == np.arange(SAMPLED)).all()


def test_banks_that_are_sparse_are_not_expanded_and_their_extremes_are_right() -> None:
    base = np.linspace(0, 1, 6)
    changes = Changes(base, np.array([[2], [4]]), np.array([[-3.0], [9.0]]))
    dither = Dither(base, np.full(6, 0.5), np.zeros((4, 1), np.uint8))
    assert sorted(np.concatenate(samples_of(changes))) == sorted([*base, -3.0, 9.0])
    assert np.concatenate(samples_of(dither)).min() == -0.5
    assert np.concatenate(samples_of(dither)).max() == 1.5
    assert samples_of(Changes(base, np.zeros((3, 0), np.int64), np.zeros((3, 0))))[0].size == 6


def test_a_histogram_has_every_finite_value_once() -> None:
    values = np.array([0.0, 0.5, 1.0, 1.0, np.nan])
    counts = histogram(values, 0.0, 1.0)
    assert counts.shape == (BINS,)
    assert (counts[0], counts[BINS // 2], counts[-1], counts.sum()) == (1, 1, 2, 4)
    assert histogram(np.full(5, 2.0), 2.0, 2.0)[0] == 5
    rng = np.random.default_rng(2).normal(size=3000)
    assert (histogram(rng, rng.min(), rng.max()) == np.histogram(rng, BINS)[0]).mean() > 0.95  # edges may round differently
