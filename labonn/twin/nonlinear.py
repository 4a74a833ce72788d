"""Nonlinearities of the twin, in memory that is used again: forward, and what multiplies the error on its way back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from labonn import absorbers
from labonn.channels import Floats
from labonn.errors import ProcedureError
from labonn.twin.layers import Absorber, Layer, Relu, Sigmoid, Tanh
from labonn.twin.room import Shelf

DERIVATIVES = ("optical", "exact", "corrected")
Derivative = str | Callable[[Floats], Floats]


class Response(NamedTuple):
    """What a nonlinearity has done.

    Attributes:
        inputs, outputs: z and g(z), (…, B) each. slope: t of an absorber (Eq. 5), g' of other nonlinearities; None where it is made later.
    """

    inputs: Floats
    outputs: Floats
    slope: Floats | None


class Factors(NamedTuple):
    """What multiplies the arriving error.

    Attributes:
        travelling: for the error that travels on. own: for this layer's own gradient, times what travels on; None: nothing.
    """

    travelling: Floats
    own: Floats | None = None


def respond(layer: Layer, z: Floats, shelf: Shelf) -> Response:
    """g(z), and as much of the way back as costs nothing more."""
    out = shelf("activation", z.shape)
    if isinstance(layer, Absorber):
        t = absorbers.transmission(layer.cell, z, layer.depth, out=shelf("transmission", z.shape))
        return Response(z, np.multiply(z, t, out=out), t)
    if isinstance(layer, Relu):  # an array of zeros: with a number np.maximum takes four times as long
        return Response(z, np.maximum(z, shelf("zeros", z.shape), out=out), None)
    if isinstance(layer, Tanh):
        return Response(z, np.tanh(z, out=out), None)
    np.multiply(z, 0.5, out=out)  # 1/(1 + exp(-z)) = (1 + tanh(z/2))/2: no overflow, and half the time
    np.tanh(out, out=out)
    out *= 0.5
    out += 0.5
    return Response(z, out, None)


def factors(layer: Layer, response: Response, derivative: Derivative, shelf: Shelf) -> Factors:
    """The chosen stand-in for g'(z) in Eq. 3.

    Args:
        derivative: "optical": t of an absorber, Eq. 5. "exact": g', Eq. 6. "corrected": t for what travels on, and for the layer's own
            gradient the measured correction. A function of z: its values. Digital nonlinearities have g' for all three names.
    """
    z = response.inputs
    if callable(derivative):
        return Factors(np.asarray(derivative(z), z.dtype))
    if not isinstance(layer, Absorber):
        return Factors(_digital_slope(layer, response, shelf))
    t = response.slope
    assert t is not None
    if derivative == "optical":
        return Factors(t)
    bracket = absorbers.correction(layer.cell, z, response.outputs, layer.depth, out=shelf("bracket", z.shape))
    if derivative == "corrected":
        return Factors(t, bracket)
    bracket *= t
    return Factors(bracket)


def _digital_slope(layer: Layer, response: Response, shelf: Shelf) -> Floats:
    a, z = response.outputs, response.inputs
    if isinstance(layer, Relu):
        passing: Any = shelf("passing", z.shape, np.bool_)  # as good a factor as 0 and 1
        return np.asarray(np.greater(z, shelf("zeros", z.shape), out=passing))
    slope: Floats = np.multiply(a, a, out=shelf("slope", a.shape))
    if isinstance(layer, Tanh):  # 1 - a^2
        return np.subtract(1, slope, out=slope)
    assert isinstance(layer, Sigmoid)
    return np.subtract(a, slope, out=slope)


def check_derivative(derivative: Derivative) -> None:
    """Raise ProcedureError for a name that means nothing."""
    if not callable(derivative) and derivative not in DERIVATIVES:
        raise ProcedureError(f"derivative {derivative!r}: one of {', '.join(DERIVATIVES)}, or a function of z")
