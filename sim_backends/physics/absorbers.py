"""The true absorbers: field transmission of a saturable cell, by the input field in units of the saturation field.

`eq4` is the formula of Guo et al. 2021 (Eq. 4: the entrance intensity saturates the whole cell), `gain` its amplifying
counterpart (appendix E), `two_level` and `doppler` are the light propagated through the cell:

    dI/dz = -a I/(1+I)          two_level
    dI/dz = -a I/sqrt(1+I)      doppler: inhomogeneously broadened line, line centre

Both are solved for u = ln(I_in/I_out), which is a at zero field, never overflows, and gives t = exp(-u/2).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim_backends.physics.arrays import Floats

_TINY = 1e-300  # an intensity whose logarithm exists and that changes nothing
_Float64 = NDArray[np.float64]


def transmission(model: str, field: Floats, depth: ArrayLike, out: Floats | None = None) -> Floats:
    """t = E_out/E_in, which is also what a weak counter-propagating probe sees.

    Args:
        model: "eq4", "two_level", "doppler" or "gain".
        field: (..., C) real fields E_in at the cell's entrance, saturation units.
        depth: resonant optical depth alpha0 >= 0 (for "gain": the gain factor g0), one number or (C,).
        out: where to write, shape and dtype of the result; may be `field` itself.

    Returns:
        (..., C) in the dtype of `field`. The propagated models are solved in float64 to 1e-12 whatever the dtype.
    """
    if model not in MODELS:
        raise ValueError(f"absorber model {model!r} is unknown; allowed are {', '.join(MODELS)}")
    depths = np.asarray(depth, np.float64)
    if out is None:
        out = np.empty(np.broadcast_shapes(field.shape, depths.shape), field.dtype)
    MODELS[model](field, depths, out)
    return out


def _eq4(field: Floats, depth: _Float64, out: Floats) -> None:
    half = np.asarray(-0.5 * depth, out.dtype)
    np.multiply(field, field, out=out)
    out += 1
    np.divide(half, out, out=out)
    np.exp(out, out=out)


def _gain(field: Floats, gain: _Float64, out: Floats) -> None:
    _eq4(field, -gain, out)


def _two_level(field: Floats, depth: _Float64, out: Floats) -> None:
    """u + I (1 - exp(-u)) = a, by Halley's rule; equivalent to I_out = W0(I exp(I - a))."""
    intensity = np.square(field, dtype=np.float64)
    excess = intensity - depth
    y = _lambert_guess(excess, intensity)
    u = _from_output(y, y - excess, intensity)
    for _ in range(2):
        np.negative(u, out=y)
        np.exp(y, out=y)
        y *= intensity
        _halley(u, u + excess - y, 1 + y, y)
    u *= -0.5
    np.exp(u, out=out, casting="same_kind")


def _doppler(field: Floats, depth: _Float64, out: Floats) -> None:
    """u + 2 (q - p) - 2 ln((1+q)/(1+p)) = a with q, p = sqrt(1 + I) at entrance and exit; du/dz = a/p."""
    intensity = np.square(field, dtype=np.float64)
    q = np.sqrt(intensity + 1)
    entrance = 2 * q - 2 * np.log1p(q) - depth
    # p - 1 solves 2h + ln h - ln(h + 2) = c; softplus has both its limits right
    h = 0.5 * _softplus(entrance + np.log(np.maximum(intensity, _TINY)) + (2 * np.log(2) - 2))
    y = h * (h + 2)
    u = _from_output(y, 2 * h + 2 - 2 * np.log(h + 2) - entrance, intensity)
    for _ in range(2):
        np.negative(u, out=y)
        np.exp(y, out=y)
        y *= intensity
        p = np.sqrt(y + 1)
        _halley(u, u + entrance - 2 * p + 2 * np.log1p(p), p, y / (2 * p))
    u *= -0.5
    np.exp(u, out=out, casting="same_kind")


def _softplus(z: _Float64) -> _Float64:
    """ln(1 + exp(z)) without overflow."""
    return np.asarray(np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))))


def _lambert_guess(excess: _Float64, intensity: _Float64) -> _Float64:
    """The output intensity within 1 %: Winitzki's approximation of W0(I exp(excess))."""
    soft = _softplus(excess + np.log(np.maximum(intensity, _TINY)))
    return np.asarray(soft * (1 - np.log1p(soft) / (2 + soft)))


def _from_output(y: _Float64, balance: _Float64, intensity: _Float64) -> _Float64:
    """u from a guess y of the output: by the equation itself where y is small, by the ratio where it is not."""
    return np.where(y < 1, balance, np.log(np.maximum(intensity, 1)) - np.log(np.maximum(y, 1)))


def _halley(u: _Float64, f: _Float64, slope: _Float64, bend: _Float64) -> None:
    """One step of Halley's rule on f(u) = 0 with f' = slope, f'' = -bend, in place."""
    u -= 2 * f * slope / (2 * slope * slope + f * bend)


MODELS: dict[str, Callable[[Floats, _Float64, Floats], None]] = {
    "eq4": _eq4,
    "two_level": _two_level,
    "doppler": _doppler,
    "gain": _gain,
}
