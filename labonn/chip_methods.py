"""Gradient methods of a chip by name, with their settings; "auto" plans by measuring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.channels import Floats
from labonn.chip_training import STEPS
from labonn.errors import ProcedureError
from labonn.gradients import Estimates, OnChip, adjoint, aware, central, forward, lagged, shift, spsa, walsh
from labonn.gradients.adjoint import PORTS
from labonn.planner import Planner
from labonn.shots import Ints

METHODS = ("central", "blocked", "forward", "subset", "spsa", "walsh", "lagged", "shift", "adjoint", "aware")
SETTLE_TAUS, LAGGED_TAUS = 5.0, 2.0
DITHERED = 8  # methods that move all parameters at once move each less by this
SHARE = 10  # a tenth of the parameters for methods that take some


@dataclass(frozen=True)
class MethodSettings:
    """How to measure gradients.

    Attributes:
        name: one of METHODS, or "auto". step: of perturbations in radians; None: STEPS, an eighth of that where all move.
        repeats: of every perturbation.
        coordinates: moved by "subset"; pairs: of "spsa"; None: a tenth of the parameters.
        settle: shots thrown away at the start of a setting; None: what the lag needs.
        budget_s: bench seconds that a gradient of "auto" may take; None: what is best. seed: of random directions.
    """

    name: str = "auto"
    step: float | None = None
    repeats: int = 1
    coordinates: int | None = None
    pairs: int | None = None
    settle: int | None = None
    budget_s: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.name not in ("auto", *METHODS):
            raise ProcedureError(f"--gradient {self.name}: one of auto, {', '.join(METHODS)}")
        for name in ("step", "budget_s", "coordinates", "pairs"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ProcedureError(f"--{name.removesuffix('_s')} {value}: more than 0 is wanted")
        if self.repeats < 1 or (self.settle is not None and self.settle < 0):
            raise ProcedureError(f"--repeats {self.repeats}, --settle {self.settle}: at least 1, and at least 0")


class Gradients:
    """The method of a training: call it with the objective and parameters.

    Args:
        moved: (P,) bool, parameters that are trained; subsets are drawn from these. clock: bench seconds.

    Attributes:
        planner: of "auto", else None. slots: of the method, which the objective has been given.
    """

    def __init__(self, objective: OnChip, settings: MethodSettings, moved: NDArray[np.bool_], clock: Callable[[], float]) -> None:
        self._settings, self._moved = settings, moved
        self._rng = np.random.default_rng([settings.seed, 2])
        kind = objective.optics.design.coupler
        dithered = settings.name in ("spsa", "walsh", "lagged")
        self._step = settings.step or STEPS[kind] / (DITHERED if dithered else 1)
        if settings.name == "lagged" and not objective.slots.tau_s:
            raise ProcedureError("lagged: these parameters follow at once, or are waited for; there is no lag to model (use walsh)")
        taus = LAGGED_TAUS if settings.name == "lagged" else SETTLE_TAUS
        settle = settings.settle
        if settle is None:
            settle = int(np.ceil(taus * objective.slots.tau_s / objective.slots.dwell_s))
        self.slots = replace(objective.slots, settle=settle)
        if settings.name == "auto":  # the planner measures the lag itself
            self.slots = replace(objective.slots, settle=settings.settle or 0, tau_s=0.0)
        objective.slots = self.slots
        self.planner: Planner | None = None
        self._told = 0
        if settings.name == "auto":
            self.planner = Planner(objective, clock, self._rng, settings.budget_s, cheap(objective, self._step, moved))

    @property
    def described(self) -> str:
        """The method, for a result: for "auto" also what it chose last."""
        if self.planner is None:
            return self._settings.name
        chosen = self.planner.choice
        if chosen is None:
            return "auto"
        return f"auto: {chosen.method}" + (f", step {chosen.step:.2g} rad" if chosen.step else "")

    def news(self) -> list[str]:
        """What the planner has decided since the last call."""
        if self.planner is None:
            return []
        told, self._told = self.planner.log[self._told :], len(self.planner.log)
        return told

    def __call__(self, objective: OnChip, theta: Floats) -> Estimates:
        s, step, rng = self._settings, self._step, self._rng
        if self.planner is not None:
            return self.planner.gradient(theta)
        some = np.flatnonzero(self._moved)
        if s.name == "subset":
            return self._subset(objective, theta, some)
        if s.name == "lagged":
            return lagged(objective, theta, step, tau_s=objective.slots.tau_s, rng=rng)
        methods: dict[str, Callable[[], Estimates]] = {
            "central": lambda: central(objective, theta, step, subset=some, repeats=s.repeats, scaled=False),
            "blocked": lambda: central(objective, theta, step, subset=some, blocked=True, scaled=False),
            "forward": lambda: forward(objective, theta, step),
            "spsa": lambda: spsa(objective, theta, step, s.pairs or -(-len(some) // SHARE), rng),
            "walsh": lambda: walsh(objective, theta, step, rng=rng),
            "shift": lambda: shift(objective, theta, step=step),
            "adjoint": lambda: adjoint(objective, theta, bool(np.any(self._moved & objective.optics.amplifiers)), step),
            "aware": lambda: aware(objective, theta, max(2, s.repeats)),
        }
        return methods[s.name]()

    def _subset(self, objective: OnChip, theta: Floats, some: Ints) -> Estimates:
        """Of coordinates drawn from the trained ones, whose number, not that of all parameters, makes the gradient unbiased."""
        s = self._settings
        chosen = self._rng.choice(some, min(s.coordinates or -(-len(some) // SHARE), len(some)), replace=False)
        found = yield from central(objective, theta, self._step, subset=chosen, repeats=s.repeats)
        share = len(some) / len(theta)
        return replace(found, gradient=share * found.gradient, standard_error=share * found.standard_error, method="subset")


def cheap(objective: OnChip, step: float, moved: NDArray[np.bool_]) -> dict[str, Callable[[Any, Floats], Estimates]]:
    """Gradients that cost a few passes, where the bench has what they need, of the parameters that are `moved`."""
    found: dict[str, Callable[[Any, Floats], Estimates]] = {}
    design = objective.optics.design
    if "hidden" in objective.specs and design.readout == "homodyne":
        found["aware"] = aware
    if set(PORTS) <= set(objective.specs) and design.coupler == "rotation" and design.activation == "board":
        found["adjoint"] = partial(adjoint, amplifiers=bool(np.any(moved & objective.optics.amplifiers)), step=step)
    return found
