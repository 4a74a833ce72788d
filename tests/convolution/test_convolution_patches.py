"""Patches as rows, beside scipy and loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import convolve2d, correlate2d

from labonn.convolution import distinct, fold, gathered, mean_pool, pool_matrix, spots, spread_mean, stages_of, unfold
from labonn.errors import ProcedureError
from labonn.twin import Absorber, Convolution, Tanh, network
from labonn.twin.room import Shelf
from labonn.twin.windows import patches

RNG = np.random.default_rng(3)


def test_patches_through_a_matrix_are_a_correlation_with_every_kernel() -> None:
    images, kernels = RNG.normal(size=(2, 3, 7, 6)), RNG.normal(size=(4, 3, 3, 3))  # channels out, row, column, channel in
    found = fold(unfold(images, 3) @ kernels.reshape(4, -1).T, 2, 5, 4)
    for image, shown in zip(images, found, strict=True):
        for kernel, channel in zip(kernels, shown, strict=True):
            wanted = sum(correlate2d(image[c], kernel[:, :, c], mode="valid") for c in range(3))
            np.testing.assert_allclose(channel, wanted, atol=1e-12)


def test_patches_are_in_the_order_of_the_twins_matrices() -> None:
    images = RNG.normal(size=(2, 3, 6, 5)).astype(np.float32)
    twins = patches(Convolution(3, 4), np.moveaxis(images, 0, -1), Shelf(np.float32))  # (27, rows columns B)
    mine = unfold(images, 3).reshape(2, 12, 27)
    assert np.array_equal(mine, twins.reshape(27, 12, 2).transpose(2, 1, 0))


def test_errors_gathered_from_patches_are_a_full_convolution() -> None:
    errors, kernel = RNG.normal(size=(2, 1, 5, 4)), RNG.normal(size=(3, 3))
    found = gathered(spots(errors) @ kernel.reshape(1, -1), (2, 1, 7, 6), 3)
    for error, total in zip(errors, found, strict=True):
        np.testing.assert_allclose(total[0], convolve2d(error[0], kernel), atol=1e-12)


def test_gathering_is_the_transpose_of_taking_patches_out() -> None:
    images, seen = RNG.normal(size=(2, 3, 6, 5)), RNG.normal(size=(2 * 4 * 3, 27))
    assert np.vdot(unfold(images, 3), seen) == pytest.approx(np.vdot(images, gathered(seen, images.shape, 3)), rel=1e-12)


def test_what_was_read_of_patches_goes_back_to_where_they_were() -> None:
    images = RNG.normal(size=(3, 4, 5, 2))
    assert np.array_equal(fold(spots(images), 3, 5, 2), images)


def test_equal_patches_are_one_row_and_every_row_knows_its_own() -> None:
    rows = RNG.integers(0, 2, (200, 3)).astype(np.uint8)
    first, order = distinct(rows)
    assert len(first) == len({tuple(row) for row in rows}) == 8
    assert np.array_equal(rows[first][order], rows)


def test_a_mean_pool_is_the_mean_of_neighbours_also_as_a_matrix() -> None:
    images = RNG.normal(size=(2, 3, 6, 4))
    wanted = np.array([[[[c[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean() for j in range(2)] for i in range(3)] for c in b] for b in images])
    np.testing.assert_allclose(mean_pool(images), wanted, atol=1e-15)
    np.testing.assert_allclose(fold(unfold(images, 2, 2) @ pool_matrix(3).T, 2, 3, 2), wanted, atol=1e-15)
    errors = RNG.normal(size=wanted.shape)
    assert np.vdot(mean_pool(images), errors) == pytest.approx(np.vdot(images, spread_mean(errors)))


def test_an_image_smaller_than_the_kernel_is_refused() -> None:
    with pytest.raises(ProcedureError, match=r"a 5 x 5 kernel needs images .* of at least that size, not 1 x 8 x 4"):
        unfold(np.zeros((2, 1, 8, 4)), 5)


def test_a_pool_that_does_not_divide_an_image_is_refused() -> None:
    with pytest.raises(ProcedureError, match="a 2 x 2 pool needs whole multiples of 2 rows and columns, not 5 x 4"):
        mean_pool(np.zeros((1, 1, 5, 4)))


def test_more_layers_than_have_absorbers_are_refused() -> None:
    twin = network("10x10-3x3x4-pool-3", Absorber(4.0))
    with pytest.raises(ProcedureError, match=r"layer 4 has no absorbers behind it, but a bench has: at most 1 layers by light"):
        stages_of(twin, 2)


def test_digital_nonlinearities_are_refused() -> None:
    with pytest.raises(ProcedureError, match="layer 1 has no absorbers behind it"):
        stages_of(network("10x10-3x3x4-pool-3", Tanh()), 1)
