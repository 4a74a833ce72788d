"""Least squares for all channels at once: Levenberg-Marquardt over (C, k) parameters, robust by reweighting, with standard errors.

A curve gives the values (C, n) and derivatives (C, n, k) of all channels. Channels neither wait for nor disturb each other: each has its
own damping and stops when its steps are a small part of its standard errors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labonn.calibration.robust import LOSSES, Loss, spread
from labonn.channels import Floats

Mask = NDArray[np.bool_]
Curve = Callable[[Floats, Floats], tuple[Floats, Floats]]  # parameters (C, k), x (C, n) -> values (C, n), derivatives (C, n, k)
FINE = 1e-6  # of a standard error: a step that is smaller is the last one
EXACT = 1e-13  # of a parameter, likewise
MOST_CONDITION = 1e8  # of the parameters' correlations; beyond, data do not tell them apart
MOST_DAMPING, LEAST_DAMPING = 1e12, 1e-12
ROUNDS = 30  # of reweighting
SETTLED = 1e-4  # change of all weights, with which it ends
TINY = 1e-300


@dataclass(frozen=True)
class Fitted:
    """What a fit found, of C channels.

    Attributes:
        parameters: (C, k). covariance: (C, k, k); infinite for channels that are degenerate.
        residuals: (C, n) measured minus fitted, NaN where a point was not used. used: (C,) how many points were.
        sigma: (C,) standard deviation of a point, from the residuals: in units of the given sigma, if one was given.
        outliers: (C,) points that a robust loss held off.
        converged: (C,) whether steps became small. condition: (C,) of the correlations of the parameters.
        degenerate: (C,) that the data do not determine.
    """

    parameters: Floats
    covariance: Floats
    residuals: Floats
    used: NDArray[np.intp]
    sigma: Floats
    outliers: NDArray[np.intp]
    converged: Mask
    condition: Floats
    degenerate: Mask

    @property
    def errors(self) -> Floats:
        """(C, k) standard errors."""
        return np.sqrt(np.diagonal(self.covariance, axis1=1, axis2=2))

    def explained(self, y: Floats) -> Floats:
        """(C,) part of the scatter of `y` (C, n) that the fit explains: 1 for a perfect one, 0 for one that is no better than the mean."""
        seen = np.isfinite(self.residuals)
        count = np.maximum(seen.sum(axis=1), 1)
        mean = np.where(seen, y, 0).sum(axis=1) / count
        total = np.where(seen, np.square(y - mean[:, None]), 0).sum(axis=1)
        return np.asarray(1 - np.nansum(np.square(self.residuals), axis=1) / np.maximum(total, TINY))


def fit(
    curve: Curve, x: Floats, y: Floats, start: Floats, *, sigma: Floats | None = None, used: Mask | None = None,
    loss: str = "linear", most_steps: int = 200,
) -> Fitted:  # fmt: skip
    """Fit `curve` to all channels.

    Args:
        x, y: (C, n) points; (n,) x serve all channels, and (C, n, m) x are m numbers a point.
        start: (C, k), in the right basin (labonn.calibration.starts).
        sigma: (C, n) standard errors of y; the covariance then follows from them, and is larger where the residuals are.
            Without it all points of a channel weigh the same, and the residuals tell the noise.
        used: (C, n) points to use; saturated ones should not be.
        loss: "linear", "huber" or "soft_l1", which hold off outliers.
    """
    y = np.asarray(y, np.float64)
    x = np.asarray(x, np.float64)
    x = x if x.ndim == 3 else np.broadcast_to(x, y.shape)
    good = np.isfinite(y) & (True if used is None else used)
    weight = good / (np.ones_like(y) if sigma is None else np.where(good, sigma, 1.0))
    problem = _Problem(curve, x, np.where(good, y, 0.0), weight)
    parameters, converged = problem.solved(np.array(start, np.float64), most_steps)
    robust = np.ones_like(y)
    if loss != "linear":
        parameters, converged, robust = _reweighted(problem, parameters, LOSSES[loss], good, most_steps)
    return _result(problem, parameters, converged, robust, LOSSES[loss], good, sigma is not None)


@dataclass
class _Problem:
    """Attributes: weight: (C, n) by which residuals are multiplied; 0 for points that are not used."""

    curve: Curve
    x: Floats
    y: Floats
    weight: Floats

    def residuals(self, parameters: Floats, rows: NDArray[np.intp] | slice = slice(None)) -> tuple[Floats, Floats]:
        """Weighted (C, n) residuals and (C, n, k) derivatives."""
        value, slope = self.curve(parameters, self.x[rows])
        weight = self.weight[rows]
        return (self.y[rows] - value) * weight, slope * weight[..., None]

    def solved(self, start: Floats, most_steps: int, robust: Floats | None = None) -> tuple[Floats, Mask]:
        """(C, k) parameters and whether they converged; `robust` are further weights on the squares."""
        root = 1.0 if robust is None else np.sqrt(robust)
        keep, self.weight = self.weight, self.weight * root
        try:
            return self._solved(start, most_steps)
        finally:
            self.weight = keep

    def _solved(self, start: Floats, most_steps: int) -> tuple[Floats, Mask]:
        parameters, count = start.copy(), len(start)
        residual, slope = self.residuals(parameters)
        damping, converged = np.full(count, 1e-3), np.zeros(count, np.bool_)
        active = np.arange(count)
        freedom = np.maximum((self.weight > 0).sum(axis=1) - start.shape[1], 1)
        for _ in range(most_steps):
            here, jac = residual[active], slope[active]
            turned = jac.transpose(0, 2, 1)
            normal, gradient = turned @ jac, (turned @ here[..., None])[..., 0]
            step = _step(normal, gradient, damping[active])
            trial, cost = parameters[active] + step, np.square(here).sum(axis=1)
            new, new_slope = self.residuals(trial, active)
            with np.errstate(invalid="ignore", over="ignore"):
                better = np.square(new).sum(axis=1) <= cost
            small = _moved(step, normal) <= FINE * np.sqrt(cost / freedom[active])
            small |= np.all(np.abs(step) <= EXACT * np.abs(parameters[active]), axis=1)
            rows = active[better]
            parameters[rows], residual[rows], slope[rows] = trial[better], new[better], new_slope[better]
            damping[active] = np.clip(np.where(better, damping[active] / 5, damping[active] * 8), LEAST_DAMPING, None)
            converged[active] = small
            active = active[~small & (damping[active] < MOST_DAMPING)]
            if not active.size:
                break
        return parameters, converged


def _moved(step: Floats, normal: Floats) -> Floats:
    """(C,) sizes of steps in weighted residuals."""
    return np.asarray(np.sqrt(np.maximum(np.einsum("ci,ci->c", (normal @ step[..., None])[..., 0], step), 0)))


def _step(normal: Floats, gradient: Floats, damping: Floats) -> Floats:
    """(C, k) damped steps; a parameter that nothing depends on stays where it is."""
    scale = np.maximum(np.diagonal(normal, axis1=1, axis2=2), TINY)
    floor = 1e-15 * scale.max(axis=1, keepdims=True)
    damped = normal + (damping[:, None] * scale + floor)[:, :, None] * np.eye(normal.shape[1])
    return np.asarray(np.linalg.solve(damped, gradient[..., None])[..., 0])


def _reweighted(problem: _Problem, parameters: Floats, loss: Loss, good: Mask, most_steps: int) -> tuple[Floats, Mask, Floats]:
    weights = good.astype(np.float64)
    converged = np.zeros(len(parameters), np.bool_)
    for _ in range(ROUNDS):
        residual = problem.residuals(parameters)[0]
        scaled = residual / _scale(residual, good, parameters.shape[1], problem.y * problem.weight)[:, None]
        new = np.where(good, loss.weight(scaled), 0.0)
        change, weights = float(np.abs(new - weights).max(initial=0.0)), new
        parameters, converged = problem.solved(parameters, most_steps, weights)
        if change < SETTLED:
            break
    return parameters, converged, weights


def _scale(residual: Floats, good: Mask, parameters: int, y: Floats) -> Floats:
    """(C,) standard deviation of the residuals of most points, never 0."""
    count = good.sum(axis=1)
    corrected = spread(residual, good) * np.sqrt(count / np.maximum(count - parameters, 1))
    return np.asarray(np.maximum(corrected, 1e-12 * np.abs(y).max(axis=1, initial=0.0) + TINY))


def _result(
    problem: _Problem, parameters: Floats, converged: Mask, robust: Floats, loss: Loss, good: Mask, given: bool
) -> Fitted:  # fmt: skip
    residual, slope = problem.residuals(parameters)
    count, unknowns = good.sum(axis=1), parameters.shape[1]
    freedom = np.maximum(count - unknowns, 1)
    normal = slope.transpose(0, 2, 1) @ slope
    inverse, condition = _inverse(normal)
    scale = _scale(residual, good, unknowns, problem.y * problem.weight)
    scaled = residual / scale[:, None]
    if loss.robust:
        slopes = np.where(good, loss.slope(scaled), 0).sum(axis=1) / np.maximum(count, 1)
        pulled = np.where(good, np.square(scaled * loss.weight(scaled)), 0).sum(axis=1) / freedom
        variance = np.square(scale) * pulled / np.maximum(np.square(slopes), 1e-6)
    else:
        variance = np.square(residual).sum(axis=1) / freedom
    if given:
        variance = np.maximum(variance, 1.0)
    degenerate = ~(condition < MOST_CONDITION) | (count <= unknowns)
    covariance = np.where(degenerate[:, None, None], np.inf, inverse * variance[:, None, None])
    held_off = np.where(good, robust, 1.0) < 0.5
    with np.errstate(divide="ignore", invalid="ignore"):
        plain = np.where(good, residual / problem.weight, np.nan)
    return Fitted(parameters, covariance, plain, count, np.sqrt(variance), held_off.sum(axis=1), converged, condition, degenerate)


def _inverse(normal: Floats) -> tuple[Floats, Floats]:
    """((C, k, k) inverses, (C,) condition numbers of the parameters' correlations); a parameter that nothing depends on has inf."""
    size = np.sqrt(np.diagonal(normal, axis1=1, axis2=2))
    blind = (size <= 0) | ~np.isfinite(size)
    safe = np.where(blind, 1.0, size)
    correlation = np.where(np.isfinite(normal), normal, 0.0) / (safe[:, :, None] * safe[:, None, :])
    correlation = np.where((blind[:, :, None] | blind[:, None, :]), np.eye(normal.shape[1]), correlation)
    values, vectors = np.linalg.eigh(correlation)
    with np.errstate(divide="ignore"):
        condition = np.where(blind.any(axis=1) | (values[:, 0] <= 0), np.inf, values[:, -1] / np.maximum(values[:, 0], TINY))
    floored = np.maximum(values, 1e-15)
    inverse = (vectors / floored[:, None, :]) @ vectors.transpose(0, 2, 1)
    return inverse / (safe[:, :, None] * safe[:, None, :]), condition
