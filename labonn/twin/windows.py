"""Convolutions and pools on images (channels, rows, columns, B): copies and sums of long runs, and one multiplication of matrices."""

from __future__ import annotations

import numpy as np

from labonn.channels import Floats
from labonn.twin.layers import Convolution, MaxPool, MeanPool, Shape
from labonn.twin.room import Shelf


def patches(layer: Convolution, image: Floats, shelf: Shelf) -> Floats:
    """(k k C, rows columns B) of (C, rows + k - 1, columns + k - 1, B): every column is what one shot of the matrix sees."""
    channels, rows, columns, batch = image.shape
    k, image = layer.kernel, np.ascontiguousarray(image)
    shape = (k, k, channels, rows - k + 1, columns - k + 1, batch)
    out = shelf("patches", shape)
    # numpy's sliding_window_view takes 50 times as long to make the view, a tenth of the copy
    np.copyto(out, np.ndarray(shape, image.dtype, image, strides=(*image.strides[1:3], *image.strides)))
    return out.reshape(k * k * channels, -1)


def gathered(layer: Convolution, seen: Floats, before: Shape, shelf: Shelf) -> Floats:
    """(C, rows + k - 1, columns + k - 1, B): every neuron's sum over the patches that contain it; what `patches` spreads, summed up.

    Args:
        seen: (k k C, rows columns B) errors behind the patches. before: shape of the image, with the batch.
    """
    channels, rows, columns, batch = before
    k = layer.kernel
    parts = seen.reshape(k, k, channels, rows - k + 1, columns - k + 1, batch)
    total: Floats = shelf("gathered", before)
    total.fill(0)
    for i in range(k):
        for j in range(k):
            window = total[:, i : i + rows - k + 1, j : j + columns - k + 1]
            window += parts[i, j]
    return total


def _offsets(image: Floats, size: int) -> list[Floats]:
    """size^2 views (C, rows/size, columns/size, B): the first neuron of every pool, the second, …"""
    return [image[:, i::size, j::size] for i in range(size) for j in range(size)]


def mean(layer: MeanPool, image: Floats, shelf: Shelf) -> Floats:
    """(C, rows/size, columns/size, B) means."""
    first, second, *rest = _offsets(image, layer.size)
    out: Floats = np.add(first, second, out=shelf("pool", first.shape))
    for part in rest:
        out += part
    out *= 1 / layer.size**2
    return out


def spread_mean(layer: MeanPool, arriving: Floats) -> Floats:
    """(C, rows/size, size, columns/size, size, B) errors of all neurons, each its pool's share; not copied."""
    arriving *= 1 / layer.size**2
    channels, rows, columns, batch = arriving.shape
    wide = arriving[:, :, None, :, None]
    return np.broadcast_to(wide, (channels, rows, layer.size, columns, layer.size, batch))


def largest(layer: MaxPool, image: Floats, shelf: Shelf) -> Floats:
    """(C, rows/size, columns/size, B) largest of each pool."""
    first, *rest = _offsets(image, layer.size)
    out: Floats = shelf("pool", first.shape)
    np.copyto(out, first)
    for part in rest:
        np.maximum(out, part, out=out)
    return out


def spread_largest(layer: MaxPool, image: Floats, pooled: Floats, arriving: Floats, shelf: Shelf, name: str = "spread") -> Floats:
    """(C, rows, columns, B): every pool's error at the first of its largest neurons, 0 at the others."""
    out: Floats = shelf(name, image.shape)
    here, free = (shelf(name, pooled.shape, np.bool_) for name in ("here", "free"))
    free.fill(True)
    for part, into in zip(_offsets(image, layer.size), _offsets(out, layer.size), strict=True):
        np.equal(part, pooled, out=here)
        here &= free
        free ^= here
        np.multiply(arriving, here, out=into)
    return out
