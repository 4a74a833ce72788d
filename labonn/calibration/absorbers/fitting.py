"""From tapped light to optical depths: every tap fitted on its own, the taps of a cell joined, and the cell model that explains most.

A cell has one optical depth, which all of its taps see. Joining what each tap says of it, weighted by its certainty, and correcting each
tap's other parameters by their covariance with it, is the least-squares solution of all taps at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from labonn.absorbers import CELLS
from labonn.calibration.absorbers.model import DEPTH, absorber, slope, start
from labonn.calibration.fitting import Fitted, Mask, fit
from labonn.channels import Floats
from labonn.shots import Ints

BRIGHT = 50.0  # standard errors of a reading, from where on its relative scatter can be told
LEAST_RHO, FIRST_RHO, MOST_RHO = 1e-6, 1e-3, 0.1
MOST_STEPS = 60
BETTER = 1.2  # by which another model has to leave more of the squares, to be told from the best
TRIED = 16  # taps of a cell on which models are compared
LEAKY_FROM = 4.0  # optical depth, below which scattered light cannot be told from what is not absorbed
ALIKE = 1e-3  # weight of the belief that both taps are as noisy, beside what readings tell
LEAST_SHARE = 0.01  # of the variance, which each of two taps has at least
SCATTERED = 3.0  # standard deviations of chi squared, beyond which taps differ by more than their errors say
GOOD_PART = 0.5  # of the taps, which a model has to determine
HALF = 0.455  # median of the square of a normal variable
Rho = float


@dataclass(frozen=True)
class TapPoints:
    """Mean readings of D taps at N points, in the order of time.

    Attributes:
        x, y: (D, N) volts before and behind the cell. sigma_x, sigma_y: (D,) their standard errors. used: (D, N) not saturated.
        cell: (D,) which cell a tap belongs to.
        spread: (3, D, N) variances of x and of y and their covariance, over the shots of a point and for its mean; None if unknown.
            Light that fluctuates does so before and behind a cell alike: it is no error, but it is in sigma_x and sigma_y.
        rounding: (2, D) part of sigma_x and sigma_y that rounding to codes leaves.
    """

    x: Floats
    y: Floats
    sigma_x: Floats
    sigma_y: Floats
    used: Mask
    cell: Ints
    spread: Floats | None = None
    rounding: Floats | None = None

    def at(self, points: slice) -> TapPoints:
        """Some of the time."""
        spread = None if self.spread is None else self.spread[:, :, points]
        return replace(self, x=self.x[:, points], y=self.y[:, points], used=self.used[:, points], spread=spread)

    def taps(self, which: Ints) -> TapPoints:
        """Some of the taps."""
        x, y, sigma_x, sigma_y, used, cell = (getattr(self, name)[which] for name in ("x", "y", "sigma_x", "sigma_y", "used", "cell"))
        spread, rounding = (None if part is None else part[:, which] for part in (self.spread, self.rounding))
        return TapPoints(x, y, sigma_x, sigma_y, used, cell, spread, rounding)


@dataclass(frozen=True)
class Kind:
    """What is fitted: a model of labonn.absorbers, with scattered light or without, a flat beam or a Gaussian one."""

    cell: str
    leaky: bool = False
    gaussian: bool = False

    def __str__(self) -> str:
        return self.cell + " in a Gaussian beam" * self.gaussian + " with scattered light" * self.leaky


@dataclass(frozen=True)
class CellFit:
    """What H cells and their taps are.

    Attributes:
        kind: the model. taps: fit of each tap, its parameters and covariance joined with those of the others.
        rho: relative scatter of readings beside their noise. cells: (D,) to which cell each tap belongs. taken: (D,) that count.
        apart, apart_error: (D,) what each tap said of the optical depth by itself.
        depth, depth_error: (H,); the error holds what taps scatter by. chi: (H,) rms of that scatter, in standard errors.
    """

    kind: Kind
    taps: Fitted
    rho: Rho
    apart: Floats
    apart_error: Floats
    cells: Ints
    depth: Floats
    depth_error: Floats
    chi: Floats
    taken: Mask


def errors_of(points: TapPoints, kind: Kind, parameters: Floats, rho: Rho) -> Floats:
    """(D, N) standard errors of y: its own, that of x by the slope of the curve, and a relative one."""
    steep = np.abs(slope(kind.cell, parameters, points.x, kind.leaky, kind.gaussian))
    steep = np.where(np.isfinite(steep), steep, 1.0)
    own = np.square(points.sigma_y)[:, None] + np.square(steep * points.sigma_x[:, None])
    return np.asarray(np.sqrt(own + np.square(rho * points.y)))


def quieter(points: TapPoints, kind: Kind, parameters: Floats) -> TapPoints:
    """The points with errors without what light fluctuates by, which the taps before and behind a cell see alike.

    The variance of y - slope x, over the shots of every point, is sigma_y^2 + slope^2 sigma_x^2 whatever light does. Where the slope is
    the same everywhere, only that sum counts, and both are taken to be alike.
    """
    if points.spread is None:
        return points
    steep = np.square(slope(kind.cell, parameters, points.x, kind.leaky, kind.gaussian))
    steep = np.where(np.isfinite(steep), steep, 0.0)
    in_x, in_y, both = points.spread
    left = in_y + steep * in_x - 2 * np.sign(parameters[:, 1, None]) * np.sqrt(steep) * both
    weight = points.used / np.square(1 + steep)
    sums = [(weight * steep**power).sum(axis=1) for power in range(3)]
    ridge = ALIKE * sums[0]
    normal = np.array([[sums[0] + ridge, sums[1] - ridge], [sums[1] - ridge, sums[2] + ridge]]).transpose(2, 0, 1)
    normal += 1e-12 * (sums[0] + 1e-300)[:, None, None] * np.eye(2)
    right = np.stack([(weight * left).sum(axis=1), (weight * steep * left).sum(axis=1)], axis=1)
    found = np.linalg.solve(normal, right[..., None])[..., 0]
    least = LEAST_SHARE * np.abs(right[:, 0]) / np.maximum(sums[0], 1e-300)
    sigma_y, sigma_x = np.sqrt(np.maximum(found, least[:, None] + 1e-24)).T
    rounding = np.zeros((2, 1)) if points.rounding is None else points.rounding
    return replace(points, sigma_x=np.hypot(sigma_x, rounding[0]), sigma_y=np.hypot(sigma_y, rounding[1]))


def near(points: TapPoints, kind: Kind, volts: float, cells: int, good: Mask) -> Fitted:
    """A first fit of every tap, of readings that are taken to scatter by FIRST_RHO.

    Taps that ended elsewhere begin once more where most of the good taps of their cell ended.

    Args:
        volts: that a saturation field is believed to be.
    """
    sigma = np.hypot(points.sigma_x, points.sigma_y)
    begin = start(kind.cell, points.x, points.y, sigma, points.used, volts, kind.leaky, kind.gaussian)
    first = _fitted(points, kind, begin, FIRST_RHO, "linear")
    where = first.parameters.copy()
    for h in range(cells):
        own = points.cell == h
        if (own & good).any():
            where[own, :3] = np.median(first.parameters[own & good, :3], axis=0)
    again = _fitted(points, kind, where, FIRST_RHO, "linear")
    better = _costs(points, again) < _costs(points, first)
    return _fitted(points, kind, np.where(better[:, None], again.parameters, first.parameters), FIRST_RHO, "linear")


def refined(points: TapPoints, kind: Kind, begin: Floats, rho: Rho | None = None) -> tuple[Fitted, Rho]:
    """(fit of every tap on its own, relative scatter of its readings) from parameters (D, k) near by; `rho` None: from the residuals."""
    relative = FIRST_RHO if rho is None else rho
    found = _fitted(points, kind, begin, relative, "huber")
    for _ in range(2 if rho is None else 1):
        relative = _relative(points, kind, found) if rho is None else rho
        found = _fitted(points, kind, found.parameters, relative, "huber")
    return found, relative


def _fitted(points: TapPoints, kind: Kind, begin: Floats, rho: Rho, loss: str) -> Fitted:
    curve, sigma = absorber(kind.cell, kind.leaky, kind.gaussian), errors_of(points, kind, begin, rho)
    return fit(curve, points.x, points.y, begin, sigma=sigma, used=points.used, loss=loss, most_steps=MOST_STEPS)


def _relative(points: TapPoints, kind: Kind, fitted: Fitted) -> Rho:
    """Scatter of bright readings as a part of them, beside their noise."""
    noise = errors_of(points, kind, fitted.parameters, 0.0)
    bright = points.used & (np.abs(points.y) > BRIGHT * noise) & np.isfinite(fitted.residuals) & fitted.converged[:, None]
    if not bright.any():
        return LEAST_RHO
    off, own = np.square(fitted.residuals[bright] / points.y[bright]), np.square(noise[bright] / points.y[bright])
    return float(np.clip(np.sqrt(max(np.median(off) / HALF - np.median(own), 0.0)), LEAST_RHO, MOST_RHO))


def joined(points: TapPoints, kind: Kind, fitted: Fitted, rho: Rho, good: Mask, cells: int) -> CellFit:
    """The taps of every cell with one optical depth; `good` (D,) taps count."""
    own, variance = fitted.parameters[:, DEPTH], fitted.covariance[:, DEPTH, DEPTH]
    good = good & fitted.converged & np.isfinite(variance) & (variance > 0) & np.isfinite(own)
    weight = np.where(good, 1 / np.where(good, variance, 1.0), 0.0)
    of_cell = (points.cell[None, :] == np.arange(cells)[:, None]).astype(np.float64)
    total, count = of_cell @ weight, of_cell @ good.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = of_cell @ (weight * np.where(good, own, 0.0)) / total
        off = np.where(good, own - depth[points.cell], 0.0)
        chi = np.sqrt(of_cell @ (weight * np.square(off)) / np.maximum(count - 1, 1))
        apart = chi > np.sqrt(1 + SCATTERED * np.sqrt(2 / np.maximum(count - 1, 1)))
        error = np.sqrt(1 / total) * np.where(apart, chi, 1.0)
    safe = np.where(good, variance, 1.0)
    towards = np.where(good[:, None], fitted.covariance[:, :, DEPTH] / safe[:, None], 0.0)
    spared = np.where(good, safe - np.square(np.where(np.isfinite(error), error, np.inf))[points.cell], 0.0)
    parameters = fitted.parameters - towards * off[:, None]
    covariance = fitted.covariance - towards[:, :, None] * towards[:, None, :] * np.where(good, spared, 0.0)[:, None, None]
    taps = replace(fitted, parameters=parameters, covariance=covariance)
    return CellFit(kind, taps, rho, own, np.sqrt(variance), points.cell, depth, error, chi, good)


def fit_cells(points: TapPoints, kind: Kind, volts: float, cells: int, good: Mask) -> CellFit:
    """Fit one model to all taps, and join them."""
    begin = near(points, kind, volts, cells, good).parameters
    points = quieter(points, kind, begin)
    return joined(points, kind, *refined(points, kind, begin), good, cells)


def _costs(points: TapPoints, fitted: Fitted) -> Floats:
    """(D,) rms of what a fit leaves, in errors that do not depend on it; inf where it is no number."""
    pull = fitted.residuals / np.sqrt(np.square(points.sigma_y)[:, None] + np.square(FIRST_RHO * points.y))
    cost = np.sqrt(np.nansum(np.square(pull), axis=1) / np.maximum(np.isfinite(pull).sum(axis=1), 1))
    return np.where(np.isfinite(cost), cost, np.inf)


def compare(points: TapPoints, volts: float, cells: int, good: Mask, kinds: Sequence[Kind]) -> dict[Kind, float]:
    """Model -> rms of what it leaves of some of the good taps, in errors of FIRST_RHO beside the noise; inf for one that cannot be."""
    found: dict[Kind, float] = {}
    chosen = np.concatenate([np.flatnonzero(good & (points.cell == h))[:TRIED] for h in range(cells)]).astype(np.int64)
    some = points.taps(chosen)
    if not len(chosen):
        return dict.fromkeys(kinds, np.inf)
    for kind in kinds:
        fitted = near(some, kind, volts, cells, np.ones(len(chosen), np.bool_))
        depth = fitted.parameters[:, DEPTH]
        told = (depth > (LEAKY_FROM if kind.leaky else 0.0)) & ~fitted.degenerate
        if told.mean() > GOOD_PART:
            pull = fitted.residuals / errors_of(some, kind, fitted.parameters, FIRST_RHO)
            freedom = np.maximum(np.isfinite(pull).sum(axis=1) - fitted.parameters.shape[1], 1)
            found[kind] = float(np.sqrt(np.median(np.nansum(np.square(pull), axis=1) / freedom)))
    return {kind: found.get(kind, np.inf) for kind in kinds}


def chosen(left: dict[Kind, float], believed: str) -> Kind:
    """The simplest of the models that leave hardly more than the best: the believed cell, without scattered light, if it is one of them."""
    least = min(left.values())
    if not np.isfinite(least):
        return Kind(believed)
    near = [kind for kind, rms in left.items() if rms <= np.sqrt(BETTER) * least]
    return min(near, key=lambda kind: (kind.leaky, kind.gaussian, kind.cell != believed, left[kind]))


def candidates(believed: str, cell: str | None, gaussian: bool) -> list[Kind]:
    """Models to compare: of one cell or all, each without and with scattered light."""
    return [
        Kind(name, leaky, gaussian)
        for name in ((cell,) if cell else (believed, *(c for c in CELLS if c != believed)))
        for leaky in (False, True)
    ]
