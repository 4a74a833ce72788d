"""A loss that is a cubic of known derivatives, behind a table's bank `parameters`; with lag, drift in time and noise."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labonn.gradients import Slots
from labonn.shots import ShotTable, dense

Array = NDArray[Any]


@dataclass
class Cubic:
    """f = offset + g.x + x.H x / 2 + sum c_i x_i^3 / 6 + sum_ij m_ij x_i x_j^2 / 2; image b adds (own_b.x), which sum to nothing."""

    g: Array
    hessian: Array
    c: Array
    m: Array
    own: Array
    offset: float = 2.3

    def __call__(self, x: Array) -> Array:
        """(T, B) losses of (T, P) parameters."""
        f = x @ self.g + 0.5 * np.einsum("ti,ij,tj->t", x, self.hessian, x) + x**3 @ self.c / 6
        f += 0.5 * np.einsum("ti,ij,tj->t", x, self.m, x**2)
        return np.asarray(self.offset + f[:, None] + x @ self.own.T)

    def gradient(self, x: Array) -> Array:
        return np.asarray(self.g + self.hessian @ x + self.c * x**2 / 2 + self.m @ x**2 / 2 + (x @ self.m) * x)


def cubic(count: int, images: int = 1, seed: int = 1, curved: float = 1.0) -> Cubic:
    """All derivatives of order one."""
    rng = np.random.default_rng(seed)
    h, m = rng.normal(size=(2, count, count))
    own = rng.normal(size=(images, count))
    m[np.diag_indices(count)] = 0
    parts = rng.normal(size=count), curved * (h + h.T) / 2, curved * rng.normal(size=count), curved * m
    return Cubic(*parts, own - own.mean(axis=0))


@dataclass
class Paper:
    """An objective, and the bench that plays its tables.

    Attributes:
        sigma: of one setting's mean loss. drift: added, as a function of the setting's number. lag_s: of all parameters, cold from `start`.
        tables: as played, last run. computing: no loss at all is computed, for timing.
    """

    loss: Callable[[Array], Array]
    lower: Array
    upper: Array
    slots: Slots = field(default_factory=lambda: Slots(1e-6, 0, 1))
    sigma: float = 0.0
    drift: Callable[[Array], Array] = np.zeros_like
    lag_s: float = 0.0
    start: Array | None = None
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    tables: list[ShotTable] = field(default_factory=list)

    def evaluate(self, settings: Any) -> Generator[ShotTable, dict[str, Array], Array]:
        order = np.repeat(np.arange(settings.shape[0]), self.slots.length)
        readings = yield ShotTable({"parameters": settings}, {"parameters": order}, self.slots.dwell_s, ("loss",))
        return readings["loss"].reshape(settings.shape[0], -1)[:, self.slots.settle :]

    def play(self, table: ShotTable) -> dict[str, Array]:
        """One reading a shot: the loss of the image that is up."""
        bank, slots = dense(table.banks["parameters"]), self.slots
        assert np.all((bank >= self.lower) & (bank <= self.upper)), "a bench would refuse this"
        seen = bank[table.orders["parameters"]]
        if self.lag_s:
            seen = self._lagging(seen)
        losses = self.loss(seen).reshape(len(bank), slots.length, -1)
        image = np.maximum(np.arange(slots.length) - slots.settle, 0)
        losses = np.take_along_axis(losses, image[None, :, None], axis=2)[:, :, 0]
        losses = losses + self.drift(np.arange(len(bank)))[:, None]
        losses += self.rng.normal(0, self.sigma * np.sqrt(slots.shots), losses.shape) if self.sigma else 0
        return {"loss": losses.reshape(-1, 1)}

    def _lagging(self, target: Array) -> Array:
        """What the parameters are at the end of each shot, one shot after the other."""
        kept, state, out = np.exp(-self.slots.dwell_s / self.lag_s), target[0] if self.start is None else self.start, np.empty_like(target)
        for t, to in enumerate(target):
            state = to + (state - to) * kept
            out[t] = state
        return out

    def run(self, plan: Any) -> Any:
        """The plan's result; every table it yields is played."""
        self.tables = []
        try:
            table = next(plan)
            while True:
                self.tables.append(table)
                table = plan.send(self.play(table))
        except StopIteration as done:
            return done.value


@pytest.fixture
def paper() -> Callable[..., Paper]:
    """Makes objectives: paper(count, images, curved=..., limit=..., and fields of Paper)."""

    def make(count: int, images: int = 1, curved: float = 1.0, limit: float = 10.0, **fields: Any) -> Paper:
        loss = cubic(count, images, curved=curved)
        limits = {"lower": np.full(count, -limit), "upper": np.full(count, limit)}
        return Paper(loss, **({"slots": Slots(1e-6, 0, images)} | limits | fields))

    return make


@pytest.fixture
def scatter() -> Callable[..., tuple[Array, Array, Array]]:
    """(mean, standard deviation, root mean square of the reported standard error) over repeated runs of a plan."""

    def repeat(objective: Paper, plan: Callable[[], Any], times: int) -> tuple[Array, Array, Array]:
        found = [objective.run(plan()) for _ in range(times)]
        gradients = np.array([estimate.gradient for estimate in found])
        errors = np.array([estimate.standard_error for estimate in found])
        return gradients.mean(axis=0), gradients.std(axis=0, ddof=1), np.sqrt(np.mean(errors**2, axis=0))

    return repeat
