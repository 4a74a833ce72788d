"""What the trainer believes about saturable absorbers: transmission, exact derivative, and the correction that taps make possible.

Fields are real and in units of the saturation field, `depth` is the resonant optical depth alpha0 (for a gain medium its
gain factor g0), one number or one a channel. Cells:

    eq4         t = exp(-(alpha0/2)/(1+E^2)), Guo et al. 2021, Eq. 4: the entrance intensity saturates the whole cell
    gain        the same with -alpha0 -> +g0 (appendix E)
    two_level   dI/dz = -alpha0 I/(1+I) along the cell
    doppler     dI/dz = -alpha0 I/sqrt(1+I) along the cell (inhomogeneously broadened line, line centre)

In each of them t = E_out/E_in is what a weak counter-propagating probe sees: optical backprop uses it in place of g'(E_in).
Results have the dtype of the fields; the propagated cells are solved in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labonn.channels import Floats

CELLS = ("eq4", "two_level", "doppler", "gain")
_TINY = 1e-200  # an intensity whose logarithm exists and that changes nothing
_FAR, _POINTS = 40.0, 10_001  # of the mismatch's integrals: their end in sigmas, and trapezoids


def transmission(cell: str, field: Floats, depth: ArrayLike, out: Floats | None = None) -> Floats:
    """(…, C) field transmission t(E_in) of the pump, and of a weak probe against it; written to `out` where it is given."""
    field, depth = np.asarray(field), np.asarray(depth)
    if out is None:
        out = np.empty(np.broadcast_shapes(field.shape, depth.shape), _dtype(field))
    _transmission(cell)(field, depth, out)
    return out


def derivative(cell: str, field: Floats, depth: ArrayLike) -> Floats:
    """(…, C) exact g'(E_in) of g(E) = E t(E)."""
    field = np.asarray(field)
    t = transmission(cell, field, depth)
    return t * correction(cell, field, field * t, depth)


def correction(cell: str, field_in: Floats, field_out: Floats, depth: ArrayLike | None = None, out: Floats | None = None) -> Floats:
    """(…, C) g'(E_in)/t from the fields tapped before and behind the cell: alpha(E_out^2)/alpha(E_in^2) for any local absorber.

    Args:
        cell: one of CELLS.
        field_in, field_out: (…, C) tapped fields. "eq4" and "gain" do not use `field_out`.
        depth: needed by "eq4" and "gain" only (the bracket of Eq. 6).
        out: memory for the result.
    """
    _transmission(cell)
    saturation_in = np.square(field_in, out=out)
    saturation_in += 1
    if cell in ("two_level", "doppler"):
        saturation_in /= np.square(field_out) + 1
        return np.asarray(saturation_in if cell == "two_level" else np.sqrt(saturation_in, out=out))
    if depth is None:
        raise ValueError(f"the correction of the {cell!r} cell needs its depth")
    signed = np.asarray(-np.asarray(depth) if cell == "gain" else depth, _dtype(saturation_in))
    # 1 + depth u (1 - u), u = 1/(1+E^2), as (1 + depth/4) - depth (u - 1/2)^2: no second array, and digits are lost only beside a 1
    bracket = np.reciprocal(saturation_in, out=out)
    bracket -= 0.5
    bracket *= bracket
    bracket = np.multiply(bracket, -signed, out=out)
    bracket += 1 + signed / 4
    return np.asarray(bracket)


def mismatch(cell: str, depth: float, reach: float = math.inf) -> float:
    """1 - S of Eq. B2: how far the probe's transmission is from a multiple of the true derivative, 0 to 1.

    The inputs are Gaussian over the nonlinear region (Eq. B1). Its width 2 sigma is taken as the field at which the derivative of
    the Eq. 4 cell of that depth is largest, for all cells, so that they are compared on equal inputs.

    Args:
        cell: one of CELLS.
        depth: resonant optical depth, above 0.
        reach: the integrals end at this field; the full Gaussian by default.
    """
    if not depth > 0:
        raise ValueError(f"mismatch at depth {depth:g}; it is defined for depths above 0")
    sigma = steepest_field(depth) / 2
    field = np.linspace(0, min(reach, _FAR * sigma), _POINTS)
    t = transmission(cell, field, depth)
    bracket = correction(cell, field, field * t, depth)
    exponent = 2 * np.log(np.maximum(t, _TINY)) - np.square(field / sigma) / 2
    share = np.exp(exponent - exponent.max())  # of t^2 p(z): where a deep cell is clear, p(z) alone is far below what sums keep
    share[[0, -1]] /= 2
    return 1 - float(share @ bracket) ** 2 / float(share.sum() * (share @ np.square(bracket)))


def steepest_field(depth: float) -> float:
    """Where g' of the Eq. 4 cell is largest: sqrt(3) at depth 0, about sqrt(depth) at large depths."""
    from scipy.optimize import minimize_scalar

    def falling(z: float) -> float:
        return -float(derivative("eq4", np.asarray(z), depth))

    return float(minimize_scalar(falling, bounds=(1.0, 2 + math.sqrt(depth)), method="bounded", options={"xatol": 1e-9}).x)


def _eq4(field: Floats, depth: NDArray[Any], out: Floats) -> None:
    np.square(field, out=out)
    out += 1
    np.divide(np.asarray(-0.5 * depth, out.dtype), out, out=out)
    np.exp(out, out=out)


def _gain(field: Floats, depth: NDArray[Any], out: Floats) -> None:
    _eq4(field, np.negative(depth), out)


def _two_level(field: Floats, depth: NDArray[Any], out: Floats) -> None:
    """I_out + ln I_out = ln I + I - alpha0, so I_out is Wright's omega of the right side: Lambert's W without overflow."""
    from scipy.special import wrightomega

    intensity = np.square(field, dtype=np.float64)
    behind = wrightomega(np.log(np.maximum(intensity, _TINY)) + intensity - depth)
    out[...] = np.exp(0.5 * (intensity - behind - depth))


def _doppler(field: Floats, depth: NDArray[Any], out: Floats) -> None:
    """2h + ln h - ln(h+2) falls by alpha0 along the cell, h = sqrt(1+I) - 1.

    In x = ln h the left side is convex and rises, so Newton's rule from the entrance value descends to the exit value.
    """
    intensity = np.maximum(np.square(field, dtype=np.float64), _TINY)
    h_in = intensity / (1 + np.sqrt(1 + intensity))
    goal = 2 * h_in + np.log(h_in) - np.log(h_in + 2) - depth
    x = np.log(h_in) + np.zeros_like(goal)
    for _ in range(100):
        h = np.exp(x)
        step = (2 * h + x - np.log(h + 2) - goal) / (2 * h + 2 / (h + 2))
        x -= step
        if np.all(np.abs(step) < 1e-13 * (1 + np.abs(x))):
            break
    h = np.exp(x)
    # I = h (h + 2), in logarithms because both intensities may be too small to divide
    out[...] = np.exp(0.5 * (x - np.log(h_in) + np.log((h + 2) / (h_in + 2))))


def _dtype(field: Floats) -> np.dtype[Any]:
    return field.dtype if field.dtype.kind == "f" else np.dtype(np.float64)


def _transmission(cell: str) -> Callable[[Floats, NDArray[Any], Floats], None]:
    if cell not in CELLS:
        raise ValueError(f"absorber cell {cell!r} is unknown; allowed are {', '.join(CELLS)}")
    return _SOLVERS[cell]


_SOLVERS = {"eq4": _eq4, "two_level": _two_level, "doppler": _doppler, "gain": _gain}
