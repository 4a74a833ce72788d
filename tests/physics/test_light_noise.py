"""The noise of the simulated light: Gaussian, independent, reproducible."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sim_backends.physics.noise import Noise


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_noise_has_the_moments_and_the_distribution_of_a_standard_normal(dtype: type) -> None:
    values = Noise(1).normal(1_000_000, dtype).astype(np.float64)
    assert abs(values.mean()) < 4e-3
    assert abs(values.var() - 1) < 6e-3
    assert abs(stats.skew(values)) < 1e-2
    assert abs(stats.kurtosis(values)) < 2e-2
    assert stats.kstest(values, "norm").pvalue > 1e-3


def test_neighbouring_values_are_independent() -> None:
    values = Noise(2).normal(1_000_000).astype(np.float64)
    for lag in (1, 2, 3, 4, 8, 784):
        assert abs(np.mean(values[:-lag] * values[lag:])) < 5e-3
        assert abs(np.mean(np.abs(values[:-lag] * values[lag:])) - 2 / np.pi) < 5e-3


def test_shape_and_dtype_are_those_asked_for() -> None:
    for shape in [(3, 5), (7,), 6, (0, 4), ()]:
        for dtype in (np.float32, np.float64):
            values = Noise(3).normal(shape, dtype)
            assert values.dtype == dtype
            assert values.shape == (shape if isinstance(shape, tuple) else (shape,))


def test_the_same_seed_repeats_and_another_does_not() -> None:
    first, again, other = (Noise(seed).normal(1000) for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert abs(np.corrcoef(first, other)[0, 1]) < 0.15


def test_a_child_depends_on_its_name_only_and_not_on_what_happened_before() -> None:
    quiet, busy = Noise(7), Noise(7)
    busy.normal(1234)
    busy.child("laser").normal(10)
    assert np.array_equal(quiet.child("slm").normal(100), busy.child("slm").normal(100))


def test_children_of_other_names_parents_and_seeds_are_other_streams() -> None:
    noise = Noise(7)
    streams = [noise, noise.child("a"), noise.child("b"), noise.child("a").child("b"), noise.child("b").child("a"), Noise(8).child("a")]
    values = np.stack([stream.normal(4000) for stream in streams]).astype(np.float64)
    assert np.abs(np.corrcoef(values) - np.eye(len(streams))).max() < 0.07


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_standard_deviation_scales_the_same_draws(dtype: type) -> None:
    assert np.allclose(Noise(5).normal(1000, dtype, 0.3), 0.3 * Noise(5).normal(1000, dtype), rtol=1e-6)
