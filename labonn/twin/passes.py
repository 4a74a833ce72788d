"""Forward and backward through a network of believed optics: pure functions of weights and light, in memory that is used again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from labonn.channels import Floats
from labonn.errors import ProcedureError
from labonn.losses import cross_entropy, cross_entropy_slope
from labonn.shots import Ints
from labonn.twin.imperfections import Flaws
from labonn.twin.layers import Dropout, Layer
from labonn.twin.layerwise import LINEAR, THROUGH, Back, Errors, dropped
from labonn.twin.networks import Network
from labonn.twin.nonlinear import Derivative, Response, factors
from labonn.twin.room import Room, Shelf

LOSSES = ("mse", "cross_entropy")
ERRORS = ("digital", "optical")
Matrices = Sequence[Floats | None]


class Trace(NamedTuple):
    """A forward pass.

    Attributes:
        arriving: light before each layer, (n, B) or (channels, rows, columns, B). kept: what each layer wants again on the way back.
        outputs: (N_L, B).
    """

    arriving: list[Floats]
    kept: list[Any]
    outputs: Floats


def forward(
    network: Network,
    weights: Matrices,
    inputs: Floats,
    room: Room | None = None,
    flaws: Flaws | None = None,
    dropping: np.random.Generator | None = None,
) -> Trace:
    """Light through the network.

    Args:
        weights: a matrix a layer, None where it has none (`Network.split`). inputs: (n, B) or (1, rows, columns, B) fields.
        room: memory; the trace is valid until it is used for the next forward pass. flaws: imperfections.
        dropping: random numbers of what Dropout layers make dark; None: nothing is dark.
    """
    room = room or Room(len(network.layers), inputs.dtype)
    light, arriving, kept = inputs, [], []
    for i, layer in enumerate(network.layers):
        arriving.append(light)
        kind, shelf = type(layer), room.shelves[i]
        if dropping and isinstance(layer, Dropout):
            light, keep = dropped(layer, light, shelf, dropping)
        else:
            light, keep = THROUGH[kind](layer, weights[i], light, shelf)
        kept.append(keep)
        if flaws and kind not in LINEAR:  # on a copy: derivatives are those of the fields in the cell
            spoilt = shelf("spoilt", light.shape)
            np.copyto(spoilt, light)
            light = flaws.activation(i, spoilt)
    return Trace(arriving, kept, light)


def output_error(outputs: Floats, labels: Ints, loss: str, room: Room | None = None) -> tuple[Floats, float]:
    """((N_L, B) derivative of the batch's mean loss by its outputs, sum of the losses of all its images).

    Args:
        outputs: (N_L, B). labels: (B,) classes. loss: "mse": sum of 1/2 (z - t)^2, t = 1 for the class and 0 elsewhere (Eq. 7), whose
            derivative z - t is what interference with a target beam gives. "cross_entropy": -ln softmax(z)[class].
    """
    batch = outputs.shape[1]
    if loss == "cross_entropy":
        total = float(cross_entropy(outputs.T, labels).sum())
        error = cross_entropy_slope(outputs.T, labels).T
    elif loss == "mse":
        error = room.shelves[-1]("error", outputs.shape) if room else np.empty_like(outputs)
        np.copyto(error, outputs)
        error[labels, np.arange(batch)] -= 1
        total = 0.5 * float(np.vdot(error, error))
    else:
        raise ProcedureError(f"loss {loss!r}: one of {', '.join(LOSSES)}")
    error *= 1 / batch
    return error, total


def backward(
    network: Network,
    weights: Matrices,
    trace: Trace,
    error: Floats,
    gradients: Matrices,
    derivative: Derivative = "exact",
    room: Room | None = None,
    flaws: Flaws | None = None,
    beam: str = "digital",
    through: bool = False,
) -> Floats | None:
    """Errors back through the network (Eqs. 2 and 3), gradients of all weights into `gradients`.

    Args:
        weights: as in the forward pass, of which this is the `trace`, which is used up. error: (N_L, B) of `output_error`.
        gradients: a matrix for each of the weights (`Network.split`), overwritten. derivative: labonn.twin.nonlinear.factors.
        beam: "digital": the error is computed from the outputs and sent back by modulators. "optical": by interference with a target
            beam (Fig. 1b), so that no converter rounds what goes back; without imperfections the two are the same.
        through: whether errors go on to the network's inputs, where they are returned: those that arrive there, shaped as the inputs.
    """
    room = room or Room(len(network.layers), error.dtype)
    errors = _first(error, len(network.layers), flaws, beam)
    first = -1 if through else next(i for i, weight in enumerate(weights) if weight is not None)
    for i in range(len(network.layers) - 1, max(first, 0) - 1, -1):
        layer, shelf = network.layers[i], room.shelves[i]
        linear = LINEAR.get(type(layer))
        if linear is None:
            errors = _at_nonlinear(i, layer, trace.kept[i], errors, derivative, shelf, flaws)
        else:
            errors = linear(layer, errors, Back(weights[i], gradients[i], trace.arriving[i], trace.kept[i], shelf, i > first))
    return errors[0].reshape(trace.arriving[0].shape) if through else None


def _first(error: Floats, last: int, flaws: Flaws | None, beam: str) -> Errors:
    """Errors of the outputs, as they are sent back and as they are known."""
    if not flaws:
        return error, error
    sent = flaws.light(last, error) if beam == "optical" else flaws.error(last, error)
    return sent, flaws.read(sent) if beam == "optical" else sent


def _at_nonlinear(
    i: int, layer: Layer, response: Response, errors: Errors, derivative: Derivative, shelf: Shelf, flaws: Flaws | None
) -> Errors:
    """delta of Eq. 3; what travels on, and what this layer's gradient is made of."""
    factor = factors(layer, response, derivative, shelf)
    arriving, shape = errors[0], response.inputs.shape
    travelling: Floats = shelf("delta", shape)
    if arriving.shape == shape:
        np.multiply(arriving, factor.travelling, out=travelling)
    else:  # behind a mean, errors come spread over its neurons without having been copied
        np.multiply(arriving, factor.travelling.reshape(arriving.shape), out=travelling.reshape(arriving.shape))
    if flaws:
        travelling = flaws.error(i, travelling)
    if factor.own is None:
        return travelling, travelling
    return travelling, np.multiply(travelling, factor.own, out=shelf("own", shape))
