"""Patches of images as rows of a shot table: taken out, sent once each, put back, and pooled. Images are (B, channels, rows, columns)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labonn.channels import Floats
from labonn.errors import ProcedureError
from labonn.shots import Ints

Array = NDArray[Any]


def unfold(images: Array, kernel: int, stride: int = 1) -> Array:
    """(B r s, kernel kernel C): the patches of (B, C, R, S) images, row by row of each image; a patch is one shot.

    Row of the kernel slowest, then its column, then the channel: the columns of labonn.twin's convolution matrices.

    Raises:
        ProcedureError: an image is smaller than the kernel.
    """
    if images.ndim != 4 or min(images.shape[2:]) < kernel:
        size = " x ".join(map(str, images.shape[1:]))
        raise ProcedureError(f"a {kernel} x {kernel} kernel needs images (channels x rows x columns) of at least that size, not {size}")
    views = np.lib.stride_tricks.sliding_window_view(images, (kernel, kernel), axis=(2, 3))[:, :, ::stride, ::stride]
    return np.ascontiguousarray(views.transpose(0, 2, 3, 4, 5, 1)).reshape(-1, kernel**2 * images.shape[1])


def fold(shots: Floats, images: int, rows: int, columns: int) -> Floats:
    """(B, C, rows, columns) of what was read (B rows columns, C) of the patches of B images."""
    return np.ascontiguousarray(shots.reshape(images, rows, columns, -1).transpose(0, 3, 1, 2))


def spots(images: Array) -> Array:
    """(B r s, C): what `fold` is the inverse of."""
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1)).reshape(-1, images.shape[1])


def gathered(patches: Floats, shape: tuple[int, ...], kernel: int) -> Floats:
    """(B, C, R, S): every pixel's sum over the patches that contain it, the transpose of `unfold` with stride 1.

    Args:
        patches: (B r s, kernel kernel C) errors in front of the matrix. shape: B, C, R, S.
    """
    batch, channels, rows, columns = shape
    high, wide = rows - kernel + 1, columns - kernel + 1
    parts = patches.reshape(batch, high, wide, kernel, kernel, channels)
    total = np.zeros((batch, rows, columns, channels), patches.dtype)
    for i in range(kernel):
        for j in range(kernel):
            total[:, i : i + high, j : j + wide] += parts[:, :, :, i, j]
    return np.ascontiguousarray(total.transpose(0, 3, 1, 2))


class Distinct(NamedTuple):
    """Rows without those that are there already.

    Attributes:
        first: (K,) where each distinct row is. order: (T,) which of them every row is.
    """

    first: Ints
    order: Ints


def distinct(rows: Array) -> Distinct:
    """Which of (T, D) rows are the same, bit by bit: black patches are many, and all are one shot."""
    keys = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    _, first, order = np.unique(keys, return_index=True, return_inverse=True)
    return Distinct(first, order.ravel())


def mean_pool(images: Floats, size: int = 2) -> Floats:
    """(B, C, R/size, S/size) means of size x size neighbours (Guo et al. 2021, App. A.2).

    Raises:
        ProcedureError: rows or columns are not whole multiples of the size.
    """
    batch, channels, rows, columns = images.shape
    if rows % size or columns % size:
        raise ProcedureError(f"a {size} x {size} pool needs whole multiples of {size} rows and columns, not {rows} x {columns}")
    return np.asarray(images.reshape(batch, channels, rows // size, size, columns // size, size).mean(axis=(3, 5)), images.dtype)


def spread_mean(errors: Floats, size: int = 2) -> Floats:
    """(B, C, R size, S size): every neuron's share of its pool's error, the transpose of `mean_pool`."""
    return np.repeat(np.repeat(errors * errors.dtype.type(1 / size**2), size, axis=2), size, axis=3)


def pool_matrix(channels: int, size: int = 2) -> Floats:
    """(C, size size C): the matrix of a mean-pool done by light, whose patches are `unfold(images, size, size)`."""
    return np.tile(np.eye(channels) / size**2, size**2)
