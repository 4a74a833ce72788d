"""The curve of a tapped absorber: volts behind the cell against volts before it, with derivatives, for every cell model.

A tap reads x = volts_in E + dark_in before the cell and y = volts_out E (t(E) + leak) + dark_out behind it, E in saturation fields.
Nothing else of the light has to be known: sources, weights and amplifiers may do what they like, as both taps see the same shot.
`volts_in` and `volts_out` are what a detector gives for one saturation field: gain of the detector and size of the beam together.
"""

from __future__ import annotations

import numpy as np

from labonn.absorbers import correction, transmission
from labonn.calibration.fitting import Curve, Mask
from labonn.channels import Floats

PLAIN = ("volts_in", "volts_out", "optical_depth", "dark_in", "dark_out")
DEPTH = PLAIN.index("optical_depth")
LEAKY = (*PLAIN, "leak")
PARTS = {False: PLAIN, True: LEAKY}
RINGS = 12
GUESSES = np.geomspace(0.05, 300.0, 18)  # optical depths
SIZES = np.geomspace(0.25, 4.0, 9)  # of the believed volts of a saturation field
START_ERROR = 0.05  # relative, that a point has while starts are compared
START_POINTS = 24
FAR = 1e12  # volts; where a step of the fit went astray


def rings(gaussian: bool) -> tuple[Floats, Floats]:
    """(fields, weights) of the parts of a beam: one of a flat beam; of a Gaussian one, rings as the overlap with its own mode counts them.

    A homodyne detector sees the sum over the beam of (mode x field). With both exp(-r^2/w^2), v = exp(-2 r^2/w^2) is spread evenly
    from 0 to 1, and the field there is sqrt(v) of the field in the middle.
    """
    if not gaussian:
        return np.ones(1), np.ones(1)
    nodes, weights = np.polynomial.legendre.leggauss(RINGS)
    return np.sqrt(0.5 * (nodes + 1)), 0.5 * weights


def responses(cell: str, field: Floats, depth: Floats, gaussian: bool = False) -> tuple[Floats, Floats, Floats]:
    """(t, d(E t)/dE, dt/d(depth)) at fields (C, n) and depths (C, n) or (C, 1); of local laws dt/d(depth) = -t/2 alpha(I_out)."""
    parts, weights = rings(gaussian)
    inner, depth = field[..., None] * parts, depth[..., None]
    t = transmission(cell, inner, depth)
    steep = t * correction(cell, inner, inner * t, depth)
    saturation = 1 + np.square(inner * t if cell in ("two_level", "doppler") else inner)
    fall = -0.5 * t / (np.sqrt(saturation) if cell == "doppler" else saturation)
    return t @ weights, steep @ weights, (-fall if cell == "gain" else fall) @ weights


def absorber(cell: str, leaky: bool = False, gaussian: bool = False) -> Curve:
    """The curve, of parameters PLAIN or LEAKY.

    Args:
        cell: of labonn.absorbers. leaky: with light that is scattered past the absorption. gaussian: beam, whose middle E is.
    """

    def curve(parameters: Floats, x: Floats) -> tuple[Floats, Floats]:
        per_in, per_out, depth, dark_in, dark_out = (parameters[:, i, None] for i in range(5))
        leak = parameters[:, 5, None] if leaky else np.zeros_like(dark_in)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            field = (x - dark_in) / per_in
            t, steep, fall = responses(cell, field, depth, gaussian)
            by_field = per_out * (steep + leak)
            value = per_out * field * (t + leak) + dark_out
            slopes = [-by_field * field / per_in, field * (t + leak), per_out * field * fall, -by_field / per_in, np.ones_like(x)]
            steepness = np.stack([*slopes, per_out * field] if leaky else slopes, axis=-1)
            return np.clip(value, -FAR, FAR), np.clip(steepness, -FAR, FAR)

    return curve


def slope(cell: str, parameters: Floats, x: Floats, leaky: bool = False, gaussian: bool = False) -> Floats:
    """(C, n) dy/dx of the curve."""
    return np.asarray(-absorber(cell, leaky, gaussian)(parameters, x)[1][..., 3])


def start(cell: str, x: Floats, y: Floats, sigma: Floats, used: Mask, volts: float, leaky: bool = False, gaussian: bool = False) -> Floats:
    """(C, k) the best of a grid of optical depths and of volts of a saturation field; volts_out and dark_out are solved for.

    Args:
        x, y, used: (C, n). sigma: (C,) of y. volts: that a saturation field is believed to be.
    """
    some = np.argsort(np.abs(x), axis=1)[:, :: max(1, x.shape[1] // START_POINTS)]
    x, y, used = np.take_along_axis(x, some, 1), np.take_along_axis(y, some, 1), np.take_along_axis(used, some, 1)
    weight = used / (np.square(sigma)[:, None] + np.square(START_ERROR * y))
    parts, shares = rings(gaussian)
    found, best = np.zeros((len(x), 5 + leaky)), np.full(len(x), np.inf)
    for size in volts * SIZES:
        for depth in GUESSES:
            shape = x / size * (transmission(cell, (x / size)[..., None] * parts, depth) @ shares)
            factor, level, left = _line(shape, y, weight)
            wins = (left < best) & (factor > 0)
            best = np.where(wins, left, best)
            columns = [np.full_like(factor, size), factor, np.full_like(factor, depth), np.zeros_like(factor), level]
            found = np.where(wins[:, None], np.stack([*columns, *[np.zeros_like(factor)] * leaky], axis=1), found)
    found[~np.isfinite(best), :3] = volts, volts, 1.0
    return found


def _line(shape: Floats, y: Floats, weight: Floats) -> tuple[Floats, Floats, Floats]:
    """(factor, level, what they leave) of y = level + factor shape, weighted."""
    total = np.maximum(weight.sum(axis=1), 1e-300)
    mean_s, mean_y = (weight * shape).sum(axis=1) / total, (weight * y).sum(axis=1) / total
    s, d = shape - mean_s[:, None], y - mean_y[:, None]
    factor = (weight * s * d).sum(axis=1) / np.maximum((weight * s * s).sum(axis=1), 1e-300)
    left = (weight * np.square(d - factor[:, None] * s)).sum(axis=1)
    return factor, mean_y - factor * mean_s, left
