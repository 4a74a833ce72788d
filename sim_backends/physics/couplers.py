"""Couplers of two guides as 2x2 matrices: PT-symmetric pairs of gain and loss, rotations, Mach-Zehnder interferometers.

All functions are vectorised over leading axes and return (..., 2, 2), the entries lying apart in memory: `blocks[..., i, j]` is
contiguous. s = g/(2 kappa) = sin theta is the gain contrast, Z = kappa z the coupling length, L = Z sqrt(1 - s^2).
"""

from __future__ import annotations

from math import factorial
from typing import Any

import numpy as np
from numpy.polynomial.polynomial import polyval
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]
# series in L^2 of cos L, of sin L / L and of (cos L - sin L / L)/L^2, and |L^2| below which they are taken
_COSINE = [(-1) ** k / factorial(2 * k) for k in range(11)]
_RATIO = [(-1) ** k / factorial(2 * k + 1) for k in range(11)]
_BEND = [(-1) ** k * 2 * k / factorial(2 * k + 1) for k in range(1, 12)]
_NEAR = 0.5


def assemble(a: ArrayLike, b: ArrayLike, c: ArrayLike, d: ArrayLike) -> Array:
    """[[a, b], [c, d]] as (..., 2, 2)."""
    entries = np.broadcast_arrays(a, b, c, d)
    out: Array = np.empty((2, 2, *entries[0].shape), np.result_type(*entries))
    for place, entry in zip(((0, 0), (0, 1), (1, 0), (1, 1)), entries, strict=True):
        out[place] = entry
    return np.moveaxis(out, (0, 1), (-2, -1))


def _real_waves(square: Array) -> tuple[Array, Array]:
    """cos L and sin L / L for real L^2 of either sign."""
    length = np.sqrt(np.abs(square))
    safe = np.where(length == 0, 1, length)
    cosine, ratio = np.cos(length), np.where(length == 0, 1, np.sin(length) / safe)
    broken = square < 0
    if broken.any():
        growth = np.where(broken, length, 0)
        cosine = np.where(broken, np.cosh(growth), cosine)
        ratio = np.where(broken, np.sinh(growth) / safe, ratio)
    return cosine, ratio


def _complex_waves(square: Array) -> tuple[Array, Array]:
    near = np.abs(square) < _NEAR
    length = np.sqrt(np.where(near, 1, square))
    cosine, ratio = np.cos(length), np.sin(length) / length
    if near.any():  # the square root would lose what distinguishes s from 1
        small = np.where(near, square, 0)
        cosine = np.where(near, polyval(small, _COSINE), cosine)
        ratio = np.where(near, polyval(small, _RATIO), ratio)
    return cosine.astype(square.dtype, copy=False), ratio.astype(square.dtype, copy=False)


def _waves(s: ArrayLike, z: ArrayLike) -> tuple[Array, Array, Array, Array, Array]:
    """s, Z, L^2, cos L and sin L / L; real for real s."""
    s, z = np.asarray(s), np.asarray(z)
    if s.dtype.kind not in "fc":
        s = s.astype(np.float64)
    z = z.astype(s.real.dtype, copy=False)
    square = (z * (1 - s)) * (z * (1 + s))
    cosine, ratio = _complex_waves(square) if np.iscomplexobj(s) else _real_waves(square)
    return s, z, square, cosine, ratio


def pt(s: ArrayLike, z: ArrayLike = 1.0) -> Array:
    """cos L I + Z (sin L / L)(s sigma_z + i sigma_x): regular at s = 1, in the broken phase |s| > 1 and for complex s; complex."""
    s, z, _, cosine, ratio = _waves(s, z)
    cross = z * ratio
    return assemble(cosine + cross * s, 1j * cross, 1j * cross, cosine - cross * s)


def pt_real_form(s: ArrayLike, z: ArrayLike = 1.0) -> Array:
    """The same with constant phases of -pi/2, -pi in front and pi/2, pi behind; real for real s, in the broken phase too.

    For |s| < 1 this is (1/cos theta) [[cos(L - theta), sin L], [-sin L, cos(L + theta)]].
    """
    s, z, _, cosine, ratio = _waves(s, z)
    cross = z * ratio
    return assemble(cosine + cross * s, cross, -cross, cosine - cross * s)


def _pt_slopes(s: ArrayLike, z: ArrayLike) -> tuple[Array, Array, Array]:
    """Derivatives of cos L, of Z s sin L / L and of Z sin L / L with respect to s."""
    s, z, square, cosine, ratio = _waves(s, z)
    near = np.abs(square) < _NEAR
    bend = np.where(near, polyval(np.where(near, square, 0), _BEND), 0)
    bend = np.where(near, bend, (cosine - ratio) / np.where(near, 1, square))
    cross = -(z**3) * s * bend
    return z**2 * s * ratio, z * ratio + cross * s, cross


def pt_derivative(s: ArrayLike, z: ArrayLike = 1.0) -> Array:
    """d pt / ds."""
    even, odd, cross = _pt_slopes(s, z)
    return assemble(even + odd, 1j * cross, 1j * cross, even - odd)


def pt_real_derivative(s: ArrayLike, z: ArrayLike = 1.0) -> Array:
    """d pt_real_form / ds."""
    even, odd, cross = _pt_slopes(s, z)
    return assemble(even + odd, cross, -cross, even - odd)


def gain_loss(g1: ArrayLike, g2: ArrayLike, kappa: ArrayLike, length: ArrayLike, alpha_h: float = 0.0) -> tuple[Array, Array]:
    """(s, common factor on both fields) of a pair with unequal gains; its matrix is factor * pt(s, kappa * length).

    Args:
        g1, g2: power gains per metre, negative for loss; g2 = 0 where the second guide is passive.
        kappa: coupling per metre. length: in metres.
        alpha_h: phase-amplitude coupling; g -> g (1 - i alpha_h), which makes both results complex.
    """
    g1, g2, kappa, length = (np.asarray(value, np.float64) for value in (g1, g2, kappa, length))
    lean = 1 - 1j * alpha_h if alpha_h else 1.0
    return np.asarray((g1 - g2) / (4 * kappa) * lean), np.exp((g1 + g2) * length / 4 * lean)


def rotation(h: ArrayLike) -> Array:
    """[[cos h, sin h], [-sin h, cos h]]: an MZI whose arms have phases -h and +h."""
    cosine, sine = np.cos(h), np.sin(h)
    return assemble(cosine, sine, -sine, cosine)


def rotation_derivative(h: ArrayLike) -> Array:
    """d rotation / dh."""
    cosine, sine = np.cos(h), np.sin(h)
    return assemble(-sine, cosine, -cosine, -sine)


def rotation_arms() -> Array:
    """(2, 2) fields of the arms of a rotation from those of its ports: (x1 + i x2)/sqrt 2 and (x1 - i x2)/sqrt 2."""
    return np.asarray(np.array([[1, 1j], [1, -1j]]) / np.sqrt(2))


def splitter(delta: ArrayLike = 0.0) -> Array:
    """[[cos a, i sin a], [i sin a, cos a]] with a = pi/4 + delta."""
    angle = np.pi / 4 + np.asarray(delta)
    cosine, sine = np.cos(angle), 1j * np.sin(angle)
    return assemble(cosine, sine, sine, cosine)


def upper_phase(phase: ArrayLike, turns: int = 0) -> Array:
    """diag(exp(i phase), 1); with `turns` = 1 its derivative."""
    turned = np.exp(1j * np.asarray(phase))
    return assemble(turned * 1j if turns else turned, 0, 0, 0 if turns else 1)


def mzi(theta: ArrayLike, phi: ArrayLike, delta1: ArrayLike = 0.0, delta2: ArrayLike = 0.0) -> Array:
    """splitter(delta2) diag(e^{i theta}, 1) splitter(delta1) diag(e^{i phi}, 1).

    Without errors of the splitters: i e^{i theta/2} [[e^{i phi} sin(theta/2), cos(theta/2)], [e^{i phi} cos(theta/2), -sin(theta/2)]].

    Args:
        theta: phase of the upper inner arm. phi: phase of the upper input.
        delta1, delta2: errors of the first and the second splitter's angle from pi/4.
    """
    return _mzi(np.asarray(theta), np.asarray(phi), delta1, delta2, 0, 0)


def mzi_derivatives(theta: ArrayLike, phi: ArrayLike, delta1: ArrayLike = 0.0, delta2: ArrayLike = 0.0) -> tuple[Array, Array]:
    """d mzi / d theta and d mzi / d phi."""
    theta, phi = np.asarray(theta), np.asarray(phi)
    return _mzi(theta, phi, delta1, delta2, 1, 0), _mzi(theta, phi, delta1, delta2, 0, 1)


def _mzi(theta: Array, phi: Array, delta1: ArrayLike, delta2: ArrayLike, theta_turns: int, phi_turns: int) -> Array:
    kind = theta.real.dtype if theta.dtype.kind in "fc" else np.float64
    first, second = np.asarray(delta1, kind) + np.pi / 4, np.asarray(delta2, kind) + np.pi / 4
    c1, s1, c2, s2 = np.cos(first), 1j * np.sin(first), np.cos(second), 1j * np.sin(second)
    inner, outer = np.exp(1j * theta) * (1j if theta_turns else 1), np.exp(1j * phi) * (1j if phi_turns else 1)
    straight, other = 0 if theta_turns else 1, 0 if phi_turns else 1
    a, b = c2 * inner * c1 + straight * s2 * s1, c2 * inner * s1 + straight * s2 * c1
    c, d = s2 * inner * c1 + straight * c2 * s1, s2 * inner * s1 + straight * c2 * c1
    return assemble(a * outer, b * other, c * outer, d * other)
