"""What each method gives on a chip of known character: best step, standard error, bias and time (PHYSICS.md section 3)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from labonn.errors import ProcedureError
from labonn.gradients.baselines import LEAST
from labonn.gradients.codes import assign
from labonn.gradients.lagged import model
from labonn.gradients.objective import Slots
from labonn.gradients.spsa import CHECKS
from labonn.planner.agreement import Believed
from labonn.planner.best import best_step
from labonn.planner.character import Character
from labonn.planner.lags import Lag, one_sided, two_sided
from labonn.planner.powers import TINY, Curve
from labonn.planner.reach import Sides, sides

BITS = 2
SAMPLED_CODES = 32
FORWARD_NOISE = 4 / 3  # of sigma^2 / D^2, f(theta) being interpolated


@dataclass(frozen=True)
class Candidate:
    """A method with all its options, and what it is predicted to give.

    Attributes:
        method: its name. size: what the number of settings is chosen by: repeats of central differences, parameters of a subset, pairs of
            SPSA, rows of Walsh codes. step: of the perturbations. slots: to be played with.
        standard_error, bias: rms of a component. settings, seconds: of one gradient. cosine2: square of the cosine with the gradient.
    """

    method: str
    size: int
    step: float
    slots: Slots
    standard_error: float
    bias: float
    settings: int
    seconds: float
    cosine2: float

    @property
    def efficiency(self) -> float:
        """Way downhill a second, in units of what an exact gradient gives."""
        return self.cosine2 / self.seconds


def central(c: Character, slots: Slots, repeats: int) -> Candidate:
    """Central differences of all parameters."""
    pairs = max(LEAST, round(math.sqrt(c.free) / 2))
    lag = two_sided(c, slots)
    step = _step(c, c.noise.sigma**2 / (2 * repeats), c.both, lag)
    errors = _differences(c, slots, step, repeats, 2 * c.free * repeats / (pairs - 1), lag)
    settings = 2 * c.free * repeats + 2 * pairs
    return _made(c, ("central", repeats, step, slots), errors, (settings, c.costs.sparse_s), lag)


def subset(c: Character, slots: Slots, size: int) -> Candidate:
    """Central differences of `size` parameters drawn at random."""
    pairs = max(LEAST, round(math.sqrt(size) / 2))
    more, lag = c.total / size, two_sided(c, slots)
    step = _step(c, c.noise.sigma**2 / 2, c.both, lag)
    errors = _differences(c, slots, step, 1, 2 * size / (pairs - 1), lag)
    drawn = (more - 1) * (lag.kept**2 * c.gradient.value / c.free + errors.odd + errors.even) + more * errors.variance
    settings = 2 * round(size * c.free / c.total) + 2 * pairs
    return _made(c, ("subset", size, step, slots), replace(errors, variance=drawn), (settings, c.costs.sparse_s), lag)


def forward(c: Character, slots: Slots) -> Candidate:
    """Forward differences of all parameters."""
    pairs = max(LEAST, math.ceil(math.sqrt(c.free)) + 1)
    lag = one_sided(c, slots)
    step = _step(c, FORWARD_NOISE * c.noise.sigma**2, c.one, lag)
    distance = np.minimum(np.maximum(c.above, c.below), step)
    gap_s = c.free / (pairs - 1) * (slots.length_s + c.costs.forward_s)
    drift = c.noise.curvature_per_s2 * gap_s**2 / 8
    inverse = float(np.mean(distance**-2.0))
    odd, both = (lag.kept**2 * float(np.mean(curve.at(distance * lag.kept) ** 2)) for curve in (c.both, c.one))
    even = max(both - odd, 0.0) + drift**2 * inverse
    errors = Errors(FORWARD_NOISE * c.noise.sigma**2 * inverse, odd, even)
    return _made(c, ("forward", 1, step, slots), errors, (c.free + 2 * pairs, c.costs.forward_s), lag)


def spsa(c: Character, slots: Slots, pairs: int) -> Candidate:
    """Simultaneous perturbation; the third derivative is noise of the directions, and taken for bias too."""
    lag = two_sided(c, slots)
    side = sides(c, _step(c, c.noise.sigma**2 / 2, c.along.times(math.sqrt(1 + pairs / c.free)), lag))
    drift = c.noise.drift_per_s * (slots.length_s + c.costs.dither_s) / 2
    square = lag.kept**2 * c.gradient.value + _twisted(c, side, lag)
    halves = side.square * square + c.noise.sigma**2 / 2 + drift**2
    errors = _bent(c, side, side.inverse * halves / pairs, lag)
    return _made(c, ("spsa", pairs, side.step, slots), errors, (2 * pairs + CHECKS, c.costs.dither_s), lag)


def walsh(c: Character, slots: Slots, rows: int) -> Candidate:
    """Walsh codes, each row up and down."""
    lag = two_sided(c, slots)
    side = _coded(c, rows, 1.0, lag)
    variance = side.inverse * c.noise.sigma**2 / (2 * rows)
    return _made(c, ("walsh", rows, side.step, slots), _bent(c, side, variance, lag), (2 * rows, c.costs.dither_s), lag)


def lagged(c: Character, slots: Slots, rows: int) -> Candidate:
    """Walsh codes with the lag in the model.

    Raises:
        ProcedureError: slots too short for it, or so short that images would have to share one lag.
    """
    inverse = model(slots, slots.tau_s)
    if inverse.notes:
        raise ProcedureError(inverse.notes[0])
    codes, _, _ = assign(np.ones(min(SAMPLED_CODES, c.free), bool), rows, BITS, np.random.default_rng(0))
    noisier = float(np.mean(inverse.variances(codes + rows, 2 * rows))) * 2 * rows
    side = _coded(c, rows, noisier, Lag())
    variance = side.inverse * c.noise.sigma**2 * noisier / (2 * rows)
    settings = 2 * rows + inverse.run_in
    return _made(c, ("lagged", rows, side.step, slots), _bent(c, side, variance, Lag()), (settings, c.costs.dither_s), Lag())


def trusted(believed: Believed) -> Candidate:
    """A believed gradient, as it was compared."""
    return Candidate(
        believed.name, 0, 0.0, believed.slots, believed.standard_error, believed.bias, believed.settings, max(believed.seconds, TINY),
        max(believed.cosine, 0.0) ** 2,
    )  # fmt: skip


def _coded(c: Character, rows: int, noisier: float, lag: Lag) -> Sides:
    """What codes with their best step do to the parameters."""
    return sides(c, _step(c, c.noise.sigma**2 * noisier / (2 * rows), c.along.times(c.free**-0.5), lag))


def _step(c: Character, noise: float, curve: Curve, lag: Lag) -> float:
    """The best step; with lag, parameters go less far, so more of it."""
    step, _ = best_step(noise, curve, c.smallest)
    return min(step / max(lag.kept, TINY), float(curve.steps[-1]))


def _bent(c: Character, side: Sides, variance: float, lag: Lag) -> Errors:
    """When all parameters move."""
    return Errors(variance, _twisted(c, side, lag) / c.free, lag.kept**2 * c.bent.value * side.shift / c.free)


def _twisted(c: Character, side: Sides, lag: Lag) -> float:
    """Mean square of what slopes along random signs are wrong by."""
    return lag.kept**2 * float(c.along.at(math.sqrt(side.square) * lag.kept)) ** 2


def _differences(c: Character, slots: Slots, step: float, repeats: int, gap: float, lag: Lag) -> Errors:
    """Of central differences with baselines every `gap` settings."""
    side, setting_s = sides(c, step), slots.length_s + c.costs.sparse_s
    drift = c.noise.curvature_per_s2 * gap * setting_s**2 / 4
    variance = side.inverse * c.noise.sigma**2 / (2 * repeats)
    odd = lag.kept**2 * float(c.both.at(math.sqrt(side.square) * lag.kept)) ** 2
    return Errors(variance, odd, lag.kept**2 * 4 * c.second.safe * side.shift + side.inverse * drift**2)


@dataclass(frozen=True)
class Errors:
    """Squares of what is wrong with a component.

    Attributes:
        variance: of noise, and of directions drawn at random.
        odd: bias by third and higher odd derivatives. even: by second ones, and drift.
    """

    variance: float
    odd: float
    even: float


def _made(c: Character, how: tuple[str, int, float, Slots], errors: Errors, cost: tuple[int, float], lag: Lag) -> Candidate:
    """A candidate.

    A factor that the whole gradient comes out with costs nothing of the cosine by itself, but noise counts for more. The lag has one, and
    saturation at large steps is one in part: half of the odd bias is taken to be against the gradient, half across it.
    """
    (method, size, step, slots), (settings, more_s) = how, cost
    square = max(c.gradient.value / c.free, TINY)
    kept = lag.kept * max(1 - math.sqrt(errors.odd / 2 / square), 0.0)
    across = errors.odd / 2 + errors.even + lag.across
    whole = kept**2 * square + errors.variance + across
    bias = math.sqrt(errors.odd + errors.even + lag.across + (1 - lag.kept) ** 2 * square)
    seconds = max(c.costs.table_s + settings * (slots.length_s + more_s), TINY)
    return Candidate(method, size, step, slots, math.sqrt(errors.variance), bias, settings, seconds, kept**2 * square / whole)
