"""The first-order lag of the slow actuators, from slots without a wait between two settings."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from labonn.banks import Dither, Ints
from labonn.channels import Floats
from labonn.planner.costs import DITHERED
from labonn.planner.powers import TINY
from labonn.planner.probes import Played, Probe

PERIODS, MOST_PERIODS = 4, 16
LEAST_SHOTS = 64  # of half a period
MOST_SHOTS = 8192
FIRST, WIDER = 64.0, 3.0  # of the reach: the first step, and the factor to the next
ENOUGH, FAIR = 100.0, 10.0  # squared step over its variance, of a shot: wider steps are tried up to the one, more periods up to the other
SEEN = 20.0  # of chi square that a lag has to explain
GRID = 60
BENT = 0.6


def settling(probe: Probe, which: Ints, rng: np.random.Generator, most_s: float) -> Played:
    """Time constant in seconds, 0 where no lag is seen; the parameters `which` jump to and fro by random signs.

    Jumps become wider until they are seen well; where the loss saturates before, more of the best. No table but the first takes longer
    than `most_s`.
    """
    slots = probe.objective.slots
    probe.objective.slots = replace(slots, settle=0, tau_s=0.0)
    jumps = _Jumps(probe, which, np.packbits(rng.integers(0, 2, len(probe.middle)).astype(np.uint8)))
    try:
        while True:
            tau, seen, strength = yield from jumps.fitted()
            longer = seen and tau > jumps.repeats * slots.shots * slots.dwell_s / 3
            if longer and 4 * jumps.repeats * slots.shots <= MOST_SHOTS and 4 * probe.tables[-1].seconds <= most_s:
                jumps.repeats *= 4
            elif not jumps.stronger(strength, most_s):
                return tau if seen else 0.0
    finally:
        probe.objective.slots = slots


@dataclass
class _Jumps:
    """Jumps to and fro, and what is tried next."""

    probe: Probe
    which: Ints
    signs: NDArray[np.uint8]
    periods: int = PERIODS
    repeats: int = 0
    step: float = 0.0
    best: tuple[float, float] = (-1.0, 0.0)
    widest: bool = False

    def __post_init__(self) -> None:
        self.repeats = max(2, -(-LEAST_SHOTS // self.probe.objective.slots.shots))
        self.step = max(self.probe.reach / FIRST, min(self.probe.smallest, self.probe.reach))

    def fitted(self) -> Played:
        """`fit_lag` of (periods, 2, repeats, B) losses up and down; a first period runs in."""
        probe, amplitude = self.probe, np.zeros(len(self.probe.middle))
        amplitude[self.which] = self.step
        halves = np.repeat(np.tile([0, 1], self.periods + 1), self.repeats)
        bank = Dither(probe.middle, amplitude, np.stack([self.signs, ~self.signs])[halves])
        losses = yield from probe.play(bank, DITHERED * len(self.which) / self.repeats)
        return fit_lag(losses.reshape(self.periods + 1, 2, self.repeats, -1)[1:], probe.objective.slots.dwell_s)

    def stronger(self, strength: float, most_s: float) -> bool:
        """Make the next jumps show more; false where they show enough or can not."""
        self.best = max(self.best, (strength, self.step)) if not self.widest else self.best
        if strength >= ENOUGH:
            return False
        self.widest = self.widest or self.step >= self.probe.reach
        if not self.widest:
            self.step = min(self.step * WIDER, self.probe.reach)
            return self.probe.tables[-1].seconds <= most_s
        self.step = self.best[1]
        self.periods *= 4
        return strength < FAIR and self.periods <= MOST_PERIODS and 4 * self.probe.tables[-1].seconds <= most_s


def fit_lag(losses: Floats, dwell_s: float) -> tuple[float, bool, float]:
    """(time constant, whether a lag is seen, squared step over variance of a shot) from (periods, 2, repeats, B) losses.

    Half the difference of up and down is, for image b at time t after the jump, D_b (x + k x^3), x = 1 - 2 exp(-t/tau) / (1 + exp(-R/tau)),
    R half a period; the steps D_b are solved for at every tau and bend k.
    """
    periods, _, repeats, images = losses.shape
    apart = (losses[:, 0] - losses[:, 1]) / 2
    mean = apart.mean(axis=0)
    variance = float(np.sum((apart - mean) ** 2)) / ((periods - 1) * repeats * images) / periods
    times = dwell_s * (1 + np.arange(repeats * images)).reshape(repeats, images)
    half = dwell_s * repeats * images
    variance = max(variance, (1e-9 * float(np.abs(losses).max())) ** 2)

    def left(tau: float) -> tuple[float, float]:
        x = 1 - 2 * np.exp(-times / tau) / (1 + math.exp(-half / tau))
        shapes = x + np.linspace(-BENT, BENT, 13)[:, None, None] * x**3
        norm = np.maximum(np.sum(shapes**2, axis=1), TINY)
        gained = np.sum(np.sum(mean * shapes, axis=1) ** 2 / norm, axis=1)
        return float(np.sum(mean**2) - gained.max()) / variance, float(gained.max()) / variance

    grid = np.geomspace(dwell_s / 20, 4 * half, GRID)
    for _ in range(2):
        fits = [left(float(tau)) for tau in grid]
        best = int(np.argmin([fit[0] for fit in fits]))
        tau, (chi, strength) = float(grid[best]), fits[best]
        grid = np.geomspace(grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)], 20)
    still = left(dwell_s / 1000)[0]
    return tau, still - chi > SEEN, strength / (repeats * images)
