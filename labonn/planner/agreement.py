"""How far a believed gradient agrees with the measured one: its cosine, from the slope along it and slopes along random directions."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass

import numpy as np

from labonn.banks import Ints
from labonn.channels import Floats
from labonn.errors import ProcedureError
from labonn.gradients.objective import Estimate, Estimates, Objective, Slots
from labonn.planner.costs import timed
from labonn.planner.powers import TINY, Sigma, power
from labonn.planner.probes import Played, Probe
from labonn.shots import Readings, ShotTable

Cheap = Callable[[Objective, Floats], Estimates]
REPEATS = 4
MORE = 6  # times that repeats are doubled until the slope is known to PRECISE of itself
PRECISE = 0.05
STEEP = 30.0  # times the noise that the loss changes by in a step along the whole gradient
FINEST = 1000.0
BOUND = 2.0  # standard errors from the cosine to its lower bound


@dataclass(frozen=True)
class Lines:
    """Slopes along n random lines: directions of signs, or single parameters.

    Attributes:
        moved: (m,) parameters that move. signs: (n, m) by how much: +1 and -1, or one 1 among zeros.
        slopes: (n,) of the loss; the variance of their noise is `factor` sigma^2.
        weight: squared gradient over the mean square of slopes, 1 or m. step: that they were measured with, of every parameter that moved.
    """

    moved: Ints
    signs: Floats
    slopes: Floats
    sigma: Sigma
    factor: float
    weight: float
    step: float


@dataclass(frozen=True)
class Believed:
    """A gradient by other means, and how it compares.

    Attributes:
        name: of it. cosine: with the gradient that the light shows; `error` is its standard error.
        standard_error, bias: rms of a component. seconds, settings: it took. slots: it was played with.
    """

    name: str
    cosine: float
    error: float
    standard_error: float
    bias: float
    seconds: float
    settings: int
    slots: Slots

    @property
    def least(self) -> float:
        """Lower bound of the cosine."""
        return self.cosine - BOUND * self.error


def believe(probe: Probe, cheap: Mapping[str, Cheap], lines: Lines) -> Generator[ShotTable, Readings, tuple[Believed, ...]]:
    """Run each of `cheap` once and compare it."""
    found = []
    for name, method in cheap.items():
        slots = probe.objective.slots
        try:
            estimate, seconds = yield from timed(method(probe.objective, probe.middle), probe.clock)
        finally:
            probe.objective.slots = slots
        found.append((yield from compare(probe, name, estimate, seconds, lines)))
    return tuple(found)


def compare(probe: Probe, name: str, estimate: Estimate, seconds: float, lines: Lines) -> Generator[ShotTable, Readings, Believed]:
    """The cosine of an estimate, among the parameters that lines move.

    With v along the estimate and s the slope along v, what is left of the gradient has the mean square of the slopes along random
    directions less s times v's part in them: cosine^2 = s^2 / (s^2 + left), sharp where it is near 1.
    """
    along = estimate.gradient[lines.moved]
    length = float(np.linalg.norm(along))
    noise = float(np.sqrt(np.mean(estimate.standard_error**2)))
    if not (length > 0 and np.isfinite(length)):
        raise ProcedureError(f"{name}: a gradient of length {length}; nothing to compare")
    along = along / length
    slope, error = yield from _slope(probe, along, lines)
    parts = lines.signs @ along
    left = power(lines.slopes - slope * parts, lines.sigma, lines.factor).times(lines.weight)
    rest = max(left.value, 1e-12 * slope**2) if left.seen else left.value / 2
    whole = slope**2 + rest
    cosine = float(np.sign(slope)) * float(np.sqrt(slope**2 / whole)) if whole > 0 else 0.0
    share = cosine**2
    spread = share * (1 - share) * np.hypot(left.error / max(rest, 1e-300), 2 * error / max(abs(slope), 1e-300)) if whole > 0 else 1.0
    wrong = max(length**2 - 2 * length * slope + whole - len(along) * noise**2, 0.0)
    uncertain = float(min(spread / max(2 * abs(cosine), 0.1), 1.0))
    bias = float(np.sqrt(wrong / len(along)))
    return Believed(name, cosine, uncertain, noise, bias, seconds, estimate.settings, probe.objective.slots)


def _slope(probe: Probe, along: Floats, lines: Lines) -> Generator[ShotTable, Readings, tuple[float, float]]:
    """(slope per unit length along a unit vector, its standard error); the third order is taken off with a step twice as long."""
    length = float(np.sqrt(max(lines.weight * float(np.mean(lines.slopes**2)), TINY)))
    most = min(lines.step * np.sqrt(len(along)) / 8, probe.reach / (2 * float(np.abs(along).max())))
    step = min(max(STEEP * lines.sigma.value / length, most / FINEST), most)
    repeats = REPEATS
    found = np.zeros((0, 4))
    for _ in range(MORE):
        new = yield from _played(probe, lines.moved, along, step, repeats)
        found = np.concatenate([found, new])
        slopes = (8 * (found[:, 0] - found[:, 1]) - (found[:, 2] - found[:, 3])) / (12 * step)
        slope, error = float(slopes.mean()), float(slopes.std(ddof=1) / np.sqrt(len(slopes)))
        if error < PRECISE * abs(slope) or 2 * probe.tables[-1].seconds > probe.patience_s:
            break
        repeats = len(found)
    return slope, error


def _played(probe: Probe, moved: Ints, along: Floats, step: float, repeats: int) -> Played:
    """(repeats, 4) mean losses at +h, -h, +2h, -2h."""
    bank = np.repeat(probe.middle[None, :], 4, axis=0)
    bank[:, moved] += np.array([1, -1, 2, -2])[:, None] * step * along
    measured = yield from probe.play(np.tile(bank, (repeats, 1)), -1.0)
    return measured.mean(axis=1).reshape(repeats, 4)
