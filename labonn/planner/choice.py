"""The most efficient way to measure a gradient within a time budget, and why."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from labonn.channels import Floats
from labonn.errors import ProcedureError
from labonn.gradients.differences import central, forward
from labonn.gradients.lagged import lagged
from labonn.gradients.objective import Estimates
from labonn.gradients.spsa import spsa
from labonn.gradients.walsh import walsh
from labonn.planner.agreement import Cheap
from labonn.planner.candidates import candidates, fitted
from labonn.planner.character import Character
from labonn.planner.predictions import BITS, Candidate
from labonn.planner.probes import Adjustable
from labonn.planner.reasons import reasons

TRUSTED = 0.7  # lower bound of a believed gradient's cosine
NEAR = 0.93  # of the best efficiency: from there on the more accurate one is taken
METHODS = ("central", "forward", "subset", "spsa", "walsh", "lagged")


@dataclass(frozen=True)
class Choice(Candidate):
    """A candidate that was chosen.

    Attributes:
        why: lines of text: the character, all methods at their best, and the reason. cheap: the method itself where it is a believed one.
    """

    why: tuple[str, ...] = ()
    cheap: Cheap | None = field(default=None, repr=False)

    def estimate(self, objective: Adjustable, theta: Floats, rng: np.random.Generator) -> Estimates:
        """The gradient by this method, in its slots; the objective's own slots are as before afterwards."""
        before = objective.slots
        objective.slots = replace(self.slots, shots=before.shots)
        try:
            return (yield from self._plan(objective, theta, rng))
        finally:
            objective.slots = before

    def _plan(self, objective: Adjustable, theta: Floats, rng: np.random.Generator) -> Estimates:
        if self.cheap is not None:
            return self.cheap(objective, theta)
        plans: dict[str, Callable[[], Estimates]] = {
            "central": lambda: central(objective, theta, self.step, repeats=self.size),
            "forward": lambda: forward(objective, theta, self.step),
            "subset": lambda: central(objective, theta, self.step, subset=np.sort(rng.choice(len(theta), self.size, replace=False))),
            "spsa": lambda: spsa(objective, theta, self.step, self.size, rng),
            "walsh": lambda: walsh(objective, theta, self.step, self.size, BITS, rng=rng),
            "lagged": lambda: lagged(objective, theta, self.step, self.size, BITS, rng=rng),
        }
        return plans[self.method]()


def choose(
    character: Character, budget_s: float | None = None, only: str | Collection[str] | None = None, cheap: Mapping[str, Cheap] | None = None
) -> Choice:
    """The candidate that goes furthest downhill in a second, among those that fit the budget.

    An estimate e of the gradient g goes cosine^2(e, g) = |g|^2 / (|g|^2 + |e - g|^2) of the way that g goes, if the step's length is right.

    Args:
        budget_s: most seconds that a gradient may take. only: methods to choose from.
        cheap: those that were compared, to be able to run them.

    Raises:
        ProcedureError: a name that is none, or nothing fits the budget; the message has the least time that would.
    """
    cheap = cheap or {}
    allowed = _allowed(only, character)
    every = [*candidates(character), *(fitted(character, budget_s) if budget_s is not None else ())]
    found = [c for c in every if c.method in allowed]
    refused = {b.name: b for b in character.believed if b.least < TRUSTED}
    usable = [c for c in found if c.method not in refused and (c.method in METHODS or c.method in cheap)]
    if not usable:
        told = ", ".join(f"{b.name} (cosine {b.cosine:.2f} +- {b.error:.2f}; {TRUSTED} is wanted)" for b in refused.values())
        raise ProcedureError(f"no method is left to choose from: {told or 'the believed ones were not given'}")
    fitting = [c for c in usable if budget_s is None or c.seconds <= budget_s]
    if not fitting:
        least = min(usable, key=lambda c: c.seconds)
        raise ProcedureError(
            f"a budget of {budget_s:.3g} s for a gradient: the shortest possible one takes {least.seconds:.3g} s "
            f"({least.method}, {least.settings} settings)"
        )
    best = max(c.efficiency for c in fitting)
    chosen = max((c for c in fitting if c.efficiency >= NEAR * best), key=lambda c: c.cosine2)
    why = reasons(character, chosen, found, refused, budget_s)
    return Choice(**{name: getattr(chosen, name) for name in Candidate.__dataclass_fields__}, why=why, cheap=cheap.get(chosen.method))


def _allowed(only: str | Collection[str] | None, character: Character) -> set[str]:
    known = {*METHODS, *(b.name for b in character.believed)}
    wanted = known if only is None else {only} if isinstance(only, str) else set(only)
    if not wanted or wanted - known:
        raise ProcedureError(f"{', '.join(sorted(wanted - known)) or 'no method'}: choose from {', '.join(sorted(known))}")
    if wanted == {"lagged"} and not character.slots.tau_s:
        raise ProcedureError("lagged: no lag was seen, so there is none to model")
    return wanted
