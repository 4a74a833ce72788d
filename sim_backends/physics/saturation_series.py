"""Saturation of amplifiers as a polynomial in the power of the light, for powers at which few terms are enough.

ln(G/G0) = x obeys x = (1 - G0 e^x) p, p the input power over P_sat; the field is multiplied by F = exp(x (1 - i alpha_h)/2). The series
of F in p is cut behind the power d, and the next term, as far as Chebyshev's polynomial of degree d + 1 over [0, h] allows, put into the
others: of |F_(d+1)| h^(d+1) an error of 2^(-2d-1) of it is left, and all of the term behind it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]
MOST = 0.15  # linear output power over P_sat up to which the series is tried
# s^(d+1) on [0, 1] as a polynomial of degree d: Chebyshev's polynomial of s is what is left, 1/8, 1/32, ... large
_ECONOMIC = {
    1: (-1 / 8, 1.0),
    2: (1 / 32, -18 / 32, 48 / 32),
    3: (-1 / 128, 32 / 128, -160 / 128, 256 / 128),
    4: (1 / 512, -50 / 512, 400 / 512, -1120 / 512, 1280 / 512),
}
_TERMS = 6


@lru_cache(maxsize=64)
def _known(gains: bytes, alpha_h: float) -> list[Values]:
    return series(np.frombuffer(gains), alpha_h)


def series(gains: Values, alpha_h: float) -> list[Values]:
    """Coefficients of p^0 to p^6 of F, complex for any alpha_h but 0, at gains G0 (n,)."""
    k: complex | float = 0.5 * (1 - 1j * alpha_h) if alpha_h else 0.5
    x = [np.zeros_like(gains), 1 - gains]
    grown = [np.ones_like(gains), x[1]]  # e^x
    for n in range(2, _TERMS + 1):
        x.append(-gains * grown[n - 1])
        grown.append(_next(x, grown))
    turned, found = [k * term for term in x], [np.ones_like(x[1])]
    while len(found) <= _TERMS:
        found.append(_next(turned, found))
    return found


def _next(x: list[Values], grown: list[Values]) -> Values:
    """The coefficient of p^n of e^x that follows those before: n e_n = sum of j x_j e_(n-j)."""
    n = len(grown)
    return np.asarray(np.sum([j * x[j] * grown[n - j] for j in range(1, n + 1)], axis=0) / n)


def polynomial(gains: Values, most: Values, alpha_h: float, error: float) -> list[Values] | None:
    """Coefficients (n,) of p^0 to p^d, d from 1 to 4, for p up to `most` (n,); None where four are not enough for that error of F."""
    if float(np.max(most * np.maximum(gains, 1))) > MOST:
        return None
    terms = _known(np.asarray(gains, np.float64).tobytes(), alpha_h)
    sizes = [np.abs(term) * most**n for n, term in enumerate(terms)]
    for degree, share in _ECONOMIC.items():
        left = abs(share[0]) * sizes[degree + 1] + 1.5 * sizes[degree + 2]
        if float(np.max(left)) < error:
            following = terms[degree + 1] * most ** (degree + 1)
            return [term + following * part / most**n for n, (term, part) in enumerate(zip(terms, share, strict=False))]
    return None


def apply(fields: Values, power: Values, coefficients: list[Values]) -> None:
    """Multiply fields (R, B, n) by polynomials in `power` (R, B, n), with coefficients (n,) of its powers; in place."""
    rows, width = len(fields), fields[0].size
    tiled = [np.tile(c.astype(np.result_type(fields.dtype, c.dtype), copy=False), fields.shape[1]) for c in coefficients]
    flat, light = power.reshape(rows, width), fields.reshape(rows, width)
    if not np.iscomplexobj(fields):
        light *= _horner(flat, [c.real for c in tiled], np.empty_like(flat))
        return
    factors, room = np.empty_like(light), np.empty_like(flat)
    _horner(flat, [np.ascontiguousarray(c.real) for c in tiled], room, factors.real)
    _horner(flat, [np.ascontiguousarray(c.imag) for c in tiled], room, factors.imag)
    light *= factors


def _horner(x: Values, coefficients: list[Values], room: Values, out: Values | None = None) -> Values:
    coefficients = [c.astype(x.dtype, copy=False) for c in coefficients]
    np.multiply(x, coefficients[-1], out=room)
    for c in coefficients[-2:0:-1]:
        room += c
        room *= x
    return np.add(room, coefficients[0], out=room if out is None else out)
