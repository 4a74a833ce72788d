"""Gradients by whatever method suits the chip as it is now: planned by measuring, and again when the noise has changed."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass, field

import numpy as np

from labonn.channels import Floats
from labonn.gradients.objective import Estimates
from labonn.planner.agreement import Cheap
from labonn.planner.character import Character
from labonn.planner.characterising import characterise
from labonn.planner.choice import METHODS, Choice, choose
from labonn.planner.costs import Clock, timed
from labonn.planner.probes import Adjustable
from labonn.shots import Readings, ShotTable

CHANGED = 1.6  # of the noise, up or down
SAME = 1.4  # of the noise as characterised twice: then the method's own sigma is what differs
WATCHED = 5  # gradients of which the median noise counts
WORTH = 10.0  # times the seconds of a characterisation that go by until the next
LEAST = 50  # gradients until the next
RECHECKED = 20  # gradients by a believed method until it is compared again


@dataclass
class Planner:
    """A method for a training: `yield from planner.gradient(theta)`.

    Attributes:
        budget_s: most seconds a gradient may take. cheap: name -> another gradient that may be chosen. only: methods to choose from.
        character, choice: of now. log: what happened, in lines. planned: how many times.
    """

    objective: Adjustable
    clock: Clock
    rng: np.random.Generator
    budget_s: float | None = None
    cheap: Mapping[str, Cheap] = field(default_factory=dict)
    only: str | Collection[str] | None = None
    character: Character | None = None
    choice: Choice | None = None
    log: list[str] = field(default_factory=list)
    planned: int = 0
    _sigmas: deque[float] = field(default_factory=lambda: deque(maxlen=WATCHED), repr=False)
    _usual: float = 0.0
    _spent_s: float = 0.0
    _since: int = 0

    def gradient(self, theta: Floats) -> Estimates:
        """The gradient; characterises first where that is due."""
        because = self._due()
        if because:
            yield from self.plan(theta, because)
        assert self.choice is not None
        estimate, seconds = yield from timed(self.choice.estimate(self.objective, theta, self.rng), self.clock)
        self._spent_s += seconds
        self._since += 1
        if np.isfinite(estimate.sigma):
            self._sigmas.append(estimate.sigma)
        return estimate

    def plan(self, theta: Floats, because: str = "planned") -> Generator[ShotTable, Readings, Choice]:
        """Characterise and choose, now."""
        old = self.character
        self.character = yield from characterise(self.objective, theta, self.clock, self.rng, self.cheap)
        self.choice = choose(self.character, self.budget_s, self.only, self.cheap)
        sigma, seen = self.character.noise.sigma, self._median()
        same = old is not None and seen is not None and 1 / SAME < sigma / max(old.noise.sigma, 1e-300) < SAME
        differs = seen is not None and not 1 / CHANGED < seen / max(sigma, 1e-300) < CHANGED
        self._usual = seen if seen is not None and same and differs else sigma
        self._sigmas.clear()
        self._spent_s, self._since, self.planned = 0.0, 0, self.planned + 1
        self.log += [f"{because}: {self.choice.method}", *self.choice.why]
        return self.choice

    def _median(self) -> float | None:
        return float(np.median(self._sigmas)) if len(self._sigmas) == WATCHED else None

    def _due(self) -> str:
        """Why a characterisation is due; empty if it is not."""
        if self.character is None or self.choice is None:
            return "planned"
        believed, sigma = self.choice.method not in METHODS, self._median()
        if sigma is not None and not believed:
            ratio = sigma / max(self._usual, 1e-300)
            if not 1 / CHANGED < ratio < CHANGED and max(sigma, self._usual) > 0:
                return f"planned again: noise {ratio:.2g} times as large"
        if believed and self._since >= RECHECKED and self._spent_s >= self.character.seconds:
            return "planned again: to compare the believed gradient"
        if self._spent_s >= WORTH * self.character.seconds and self._since >= LEAST:
            return f"planned again: after {self._since} gradients"
        return ""


