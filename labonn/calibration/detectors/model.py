"""A detector behind two actuators in a row: its dark level and its linearity, whatever the light of either of them is.

    y = dark + v/(1 + compression |v|),   v = a_i b_j

In block i something upstream (a source) is at one of its levels, and inside the block a modulator right before the detector passes its
levels j. The light is a product of two unknown factors: a source that is not linear makes other a_i, and nothing else. Only a detector
that is not linear makes the readings differ from dark + a_i b_j.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labonn.calibration.fitting import Curve, Fitted, Mask, fit
from labonn.calibration.models import Model
from labonn.channels import Floats

PARAMETERS = ("dark", "compression", "full", "read", "shot", "rin")
FILLS = 200  # rounds in which what is missing of a grid is filled with the product that fits the rest
LEAST = 1e-24  # of a variance, in V²
DARK = -1.0  # number of the block of points without light


@dataclass(frozen=True)
class Product:
    """What a sweep says of C detectors.

    Attributes:
        dark, compression, full: (C,) volts, 1/V, and volts (of a linear detector) at the brightest level of the last block.
        covariance: (C, 3, 3) of them. fitted: of all factors. factors: (C, blocks), levels: (C, J) a_i and b_j; a of the last block is 1.
    """

    dark: Floats
    compression: Floats
    full: Floats
    covariance: Floats
    fitted: Fitted
    factors: Floats
    levels: Floats


def product(blocks: int) -> Curve:
    """The curve: parameters dark, compression, a of all blocks but the last, b; x (C, n, 2) numbers of block and level."""

    def curve(parameters: Floats, x: Floats) -> tuple[Floats, Floats]:
        block, level = x[..., 0].astype(np.intp), x[..., 1].astype(np.intp)
        lit = (x[..., 0] >= 0).astype(np.float64)
        channels, count = len(parameters), parameters.shape[1]
        rows, points = np.arange(channels)[:, None], np.arange(x.shape[1])[None, :]
        factors = np.concatenate([parameters[:, 2 : 1 + blocks], np.ones((channels, 1))], axis=1)
        a, b = factors[rows, np.maximum(block, 0)], parameters[rows, 1 + blocks + level]
        v = lit * a * b
        bent = np.maximum(1 + parameters[:, 1, None] * np.abs(v), 1e-3)
        slope = 1 / np.square(bent)
        slopes = np.zeros((channels, x.shape[1], count))
        slopes[..., 0], slopes[..., 1] = 1.0, -v * np.abs(v) * slope
        free = lit * (block < blocks - 1)
        slopes[rows, points, np.where(free > 0, 2 + block, 0)] += free * slope * b
        slopes[rows, points, 1 + blocks + level] += lit * slope * a
        return parameters[:, :1] + v / bent, slopes

    return curve


def product_start(x: Floats, y: Floats, used: Mask, blocks: int, levels: int) -> Floats:
    """Dark level from points in the dark; factors from the first singular vectors of the readings above it; linear."""
    dark = np.nanmean(np.where(x[..., 0] < 0, y, np.nan), axis=1)
    grid = np.zeros((len(y), blocks, levels))
    lit = x[..., 0] >= 0
    rows = np.broadcast_to(np.arange(len(y))[:, None], lit.shape)[lit]
    grid[rows, x[..., 0][lit].astype(np.intp), x[..., 1][lit].astype(np.intp)] = (y - dark[:, None])[lit]
    left, size, right = np.linalg.svd(grid, full_matrices=False)
    a, b = left[..., 0], size[:, :1] * right[:, 0]
    last = np.where(np.abs(a[:, -1:]) > 1e-3 * np.abs(a).max(axis=1, keepdims=True), a[:, -1:], 1.0)
    return np.concatenate([dark[:, None], np.zeros((len(y), 1)), (a / last)[:, :-1], b * last], axis=1)


def fitted_product(x: Floats, y: Floats, sigma: Floats, used: Mask, blocks: int, levels: int, loss: str = "huber") -> Product:
    """The fit of points (C, n)."""
    start = product_start(x, y, used, blocks, levels)
    found = fit(product(blocks), x, y, start, sigma=sigma, used=used, loss=loss)
    value, rows = found.parameters, np.arange(len(y))
    best = 1 + blocks + np.argmax(np.abs(value[:, 1 + blocks :]), axis=1)
    which = np.stack([np.zeros_like(best), np.ones_like(best), best], axis=1)
    covariance = found.covariance[rows[:, None, None], which[:, :, None], which[:, None, :]]
    factors = np.concatenate([value[:, 2 : 1 + blocks], np.ones((len(y), 1))], axis=1)
    return Product(value[:, 0], value[:, 1], value[rows, best], covariance, found, factors, value[:, 1 + blocks :])


def straightened(readings: Floats, dark: Floats, compression: Floats) -> Floats:
    """(…, C) readings as a linear detector without dark level would give them."""
    volts = readings - dark
    return np.asarray(volts / np.maximum(1 - compression * np.abs(volts), 1e-3))


def rank_one(grid: Floats, used: Mask) -> Floats:
    """(C, I, J) what products of a factor of each row and one of each column leave of the `used` part of a grid; 0 elsewhere."""
    best = np.zeros_like(grid)
    for _ in range(1 if used.all() else FILLS):
        left, size, right = np.linalg.svd(np.where(used, grid, best), full_matrices=False)
        best = left[..., :1] * size[:, None, :1] * right[:, :1]
    return np.where(used, grid - best, 0.0)


def one_product(grid: Floats) -> Floats:
    """(…,) part of the squares of a grid (…, I, J) that one product explains."""
    size = np.square(np.linalg.svd(grid, compute_uv=False))
    return np.asarray(size[..., 0] / np.maximum(size.sum(axis=-1), 1e-300))


def transfer(level: Floats, slope: Floats, variance: Floats, repeats: int) -> tuple[Floats, Floats]:
    """((C, 3) read variance, shot slope and relative intensity variance, (C, 3, 3) covariance): photon transfer.

    variance = read + shot |v'| + rin (v slope)^2 of v = `level` (C, n), where the detector's slope is `slope`, and v' what it reads.
    A variance of `repeats` readings scatters by sqrt(2/(repeats - 1)) of itself; weights follow the fit.
    """
    read = np.abs(level) * np.sqrt(slope)  # v/(1 + u v), whose slope is 1/(1 + u v)^2
    basis = np.stack([np.ones_like(level), read, np.square(level * slope)], axis=-1)
    size = np.maximum(np.abs(basis).max(axis=1, keepdims=True), 1e-12)
    scaled, model = basis / size, np.broadcast_to(np.median(variance, axis=1, keepdims=True), variance.shape)
    least = np.maximum(0.05 * np.quantile(variance, 0.1, axis=1, keepdims=True), LEAST)
    for _ in range(6):
        weight = (repeats - 1) / (2 * np.square(np.maximum(model, least)))
        normal = np.einsum("cni,cn,cnj->cij", scaled, weight, scaled)
        normal = normal + 1e-12 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(3) + 1e-300 * np.eye(3)
        found = np.linalg.solve(normal, np.einsum("cni,cn->ci", scaled, weight * variance)[..., None])[..., 0]
        model = np.einsum("cni,ci->cn", scaled, found)
    per = 1 / size[:, 0]
    return found * per, np.linalg.inv(normal) * per[:, :, None] * per[:, None, :]


def response(parameters: Floats, x: Floats) -> tuple[Floats, Floats]:
    """What a detector reads of the volts of a linear one."""
    dark, compression = parameters[:, 0, None], parameters[:, 1, None]
    bent = 1 + compression * np.abs(x)
    slopes = np.zeros((*x.shape, len(PARAMETERS)))
    slopes[..., 0], slopes[..., 1] = 1.0, -x * np.abs(x) / np.square(bent)
    return dark + x / bent, slopes


def detector_model(unit: str) -> Model:
    """What is kept: dark level, compression, volts at full light, and three parts of the noise."""
    units = (unit, f"1/{unit}", unit, f"{unit}²", unit, "1")
    return Model("photodetector", 1, PARAMETERS, units, response, _straight, lambda parameters: np.abs(parameters[:, 2]), {"full": "full"})


def _straight(x: Floats, y: Floats, used: Mask) -> Floats:
    """A linear detector, to begin with."""
    start = np.zeros((len(y), len(PARAMETERS)))
    start[:, 0] = np.where(used, y - x, 0.0).sum(axis=1) / np.maximum(used.sum(axis=1), 1)
    start[:, 2] = np.abs(x).max(axis=1)
    return start
