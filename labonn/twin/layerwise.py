"""What every kind of layer does to light on its way forward and to errors on their way back, in memory that is used again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from labonn.channels import Floats
from labonn.twin import windows
from labonn.twin.layers import NONLINEAR, Convolution, Dense, Dropout, Layer, MaxPool, MeanPool
from labonn.twin.nonlinear import respond
from labonn.twin.room import Shelf

Errors = tuple[Floats, Floats]  # those that travel, and those of which gradients are made: mostly the same array


class Back(NamedTuple):
    """A layer's part in a backward pass.

    Attributes:
        weight, gradient: its matrix, and where its gradient goes; None without weights. light: that arrived in the forward pass.
        kept: what the forward pass kept. shelf: memory. wanted: whether anything has to go on to the layer before.
    """

    weight: Floats | None
    gradient: Floats | None
    light: Floats
    kept: Any
    shelf: Shelf
    wanted: bool


def _dense(layer: Dense, weight: Any, light: Floats, shelf: Shelf) -> tuple[Floats, Any]:
    batch = light.shape[-1]
    seen = light if light.ndim == 2 else light.reshape(-1, batch)
    return np.matmul(weight, seen, out=shelf("z", (layer.size, batch))), seen


def _convolved(layer: Convolution, weight: Any, light: Floats, shelf: Shelf) -> tuple[Floats, Any]:
    seen = windows.patches(layer, light, shelf)
    z = np.matmul(weight, seen, out=shelf("z", (layer.channels, seen.shape[1])))
    return z.reshape(*layer.after(light.shape[:-1]), light.shape[-1]), seen


def _mean(layer: MeanPool, weight: Any, light: Floats, shelf: Shelf) -> tuple[Floats, Any]:
    return windows.mean(layer, light, shelf), None


def _largest(layer: MaxPool, weight: Any, light: Floats, shelf: Shelf) -> tuple[Floats, Any]:
    pooled = windows.largest(layer, light, shelf)
    return pooled, pooled


def _passed(layer: Dropout, weight: Any, light: Floats, shelf: Shelf) -> tuple[Floats, Any]:
    return light, None


def dropped(layer: Dropout, light: Floats, shelf: Shelf, rng: np.random.Generator) -> tuple[Floats, Any]:
    """A layer as it is in training."""
    if not layer.share:
        return light, None
    chance, bright = shelf("chance", light.shape), shelf("bright", light.shape)
    rng.random(light.shape, light.dtype, out=chance)
    np.greater_equal(chance, layer.share, out=bright, casting="unsafe")
    bright *= 1 / (1 - layer.share)
    return np.multiply(light, bright, out=chance), bright


def _nonlinear(layer: Layer, weight: Any, light: Floats, shelf: Shelf) -> tuple[Floats, Any]:
    response = respond(layer, light, shelf)
    return response.outputs, response


def _dense_back(layer: Dense, errors: Errors, back: Back) -> Errors:
    shape = (layer.size, back.light.shape[-1])
    errors = travelling, own = _whole(errors, shape, back.shelf)
    np.matmul(own, back.kept.T, out=back.gradient)
    if not back.wanted:
        return errors
    assert back.weight is not None
    arriving = np.matmul(back.weight.T, travelling, out=back.shelf("back", back.kept.shape)).reshape(back.light.shape)
    return arriving, arriving


def _convolved_back(layer: Convolution, errors: Errors, back: Back) -> Errors:
    errors = travelling, own = _whole(errors, (layer.channels, back.kept.shape[1]), back.shelf)
    np.matmul(own, back.kept.T, out=back.gradient)
    if not back.wanted:
        return errors
    assert back.weight is not None
    seen = np.matmul(back.weight.T, travelling, out=back.kept)  # the patches are not needed again: their memory takes the errors
    arriving = windows.gathered(layer, seen, back.light.shape, back.shelf)
    return arriving, arriving


def _mean_back(layer: MeanPool, errors: Errors, back: Back) -> Errors:
    return _both(errors, lambda error, name: windows.spread_mean(layer, error))


def _largest_back(layer: MaxPool, errors: Errors, back: Back) -> Errors:
    whole = _whole(errors, back.kept.shape, back.shelf)
    return _both(whole, lambda error, name: windows.spread_largest(layer, back.light, back.kept, error, back.shelf, name))


def _dropped_back(layer: Dropout, errors: Errors, back: Back) -> Errors:
    if back.kept is None:
        return errors
    whole = _whole(errors, back.kept.shape, back.shelf)
    return _both(whole, lambda error, name: np.multiply(error, back.kept, out=error))


def _both(errors: Errors, change: Callable[[Floats, str], Floats]) -> Errors:
    """`change` done to what travels and, where that is something else, to what gradients are made of."""
    travelling, own = errors
    changed = change(travelling, "spread")
    return changed, changed if own is travelling else change(own, "spread own")


def _whole(errors: Errors, shape: tuple[int, ...], shelf: Shelf) -> Errors:
    """Errors as arrays of that shape; copied only if a mean has spread them, or somebody has transposed them."""

    def whole(error: Floats, name: str) -> Floats:
        if error.flags.c_contiguous:
            return error if error.shape == shape else error.reshape(shape)
        out = shelf(f"whole {name}", shape)
        np.copyto(out.reshape(error.shape), error)
        return out

    return _both(errors, whole)


Forward = Callable[[Any, Floats | None, Floats, Shelf], tuple[Floats, Any]]
THROUGH: dict[type, Forward] = {
    Dense: _dense,
    Convolution: _convolved,
    MeanPool: _mean,
    MaxPool: _largest,
    Dropout: _passed,
    **dict.fromkeys(NONLINEAR, _nonlinear),
}
LINEAR: dict[type, Callable[[Any, Errors, Back], Errors]] = {
    Dense: _dense_back,
    Convolution: _convolved_back,
    MeanPool: _mean_back,
    MaxPool: _largest_back,
    Dropout: _dropped_back,
}
