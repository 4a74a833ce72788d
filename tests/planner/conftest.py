"""Benches for the planner: a cross-entropy of many parameters with noise, lag, drift in time, and a clock that knows what writes cost."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import lfilter

from labonn.banks import Changes, Dither, dense
from labonn.gradients import Slots
from labonn.shots import ShotTable

Array = NDArray[Any]
CLASSES = 10


@dataclass
class CrossEntropy:
    """Softmax cross-entropy of logits that are sines of projections of the parameters, one set of logits for each image.

    Attributes:
        mixing: (P, R) which parameters move which projection. phases: (R,). weights: (B, R, K). labels: (B,).
    """

    mixing: Array
    phases: Array
    weights: Array
    labels: Array

    def __call__(self, y: Array) -> Array:
        """(T, B) losses of (T, B or 1, R) projections."""
        logits = np.einsum("tbr,brk->tbk", np.broadcast_to(np.sin(y + self.phases), (len(y), *self.weights.shape[:2])), self.weights)
        top = logits.max(axis=2, keepdims=True)
        own = logits[:, np.arange(len(self.labels)), self.labels]
        return np.asarray(np.log(np.exp(logits - top).sum(axis=2)) + top[:, :, 0] - own)

    def gradient(self, theta: Array) -> Array:
        """(P,) of the mean loss."""
        y = theta @ self.mixing + self.phases
        logits = np.einsum("r,brk->bk", np.sin(y), self.weights)
        soft = np.exp(logits - logits.max(axis=1, keepdims=True))
        soft /= soft.sum(axis=1, keepdims=True)
        soft[np.arange(len(self.labels)), self.labels] -= 1
        per_projection = np.einsum("bk,brk->r", soft, self.weights) / len(self.labels)
        return np.asarray(self.mixing @ (np.cos(y) * per_projection))


def cross_entropy(count: int, images: int, seed: int = 1, length: float = 0.3, bend: float = 2.4, projections: int = 30) -> CrossEntropy:
    """A gradient of `length` at 0, third derivatives of single parameters about bend^2 times the first."""
    rng = np.random.default_rng(seed)
    mixing = np.zeros((count, projections))
    mixing[np.arange(count), rng.integers(0, projections, count)] = bend * rng.normal(size=count)
    loss = CrossEntropy(
        mixing,
        rng.uniform(0, 2 * np.pi, projections),
        rng.normal(size=(1, projections, CLASSES)) + 0.5 * rng.normal(size=(images, projections, CLASSES)),
        rng.integers(0, CLASSES, images),
    )
    for _ in range(6):
        loss.weights *= length / np.linalg.norm(loss.gradient(np.zeros(count)))
    return loss


@dataclass
class Chip:
    """An objective, the bench that plays its tables, and the bench's clock.

    Attributes:
        sigma: of one setting's mean loss. drift: added, as a function of seconds. lag_s: of all parameters.
        table_s: of every table. setting_s: of every setting. write_s: of every parameter that differs from the setting before.
    """

    loss: CrossEntropy
    lower: Array
    upper: Array
    slots: Slots
    sigma: float = 0.0
    drift: Callable[[Array], Array] = np.zeros_like
    lag_s: float = 0.0
    table_s: float = 1e-3
    setting_s: float = 0.0
    write_s: float = 0.0
    smallest_step: float = 0.0
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    now: float = 0.0
    settings: int = 0
    _state: Array | None = None

    def clock(self) -> float:
        return self.now

    def evaluate(self, settings: Any) -> Generator[ShotTable, dict[str, Array], Array]:
        order = np.repeat(np.arange(settings.shape[0]), self.slots.length)
        readings = yield ShotTable({"parameters": settings}, {"parameters": order}, self.slots.dwell_s, ("loss",))
        return readings["loss"].reshape(settings.shape[0], -1)[:, self.slots.settle :]

    def play(self, table: ShotTable) -> dict[str, Array]:
        """One reading a shot: the loss of the image that is up."""
        bank, slots = table.banks["parameters"], self.slots
        low, high = (bank.extremes() if isinstance(bank, Changes | Dither) else np.stack([bank.min(axis=0), bank.max(axis=0)]))
        assert np.all(low >= self.lower), "a bench would refuse this"
        assert np.all(high <= self.upper), "a bench would refuse this"
        frames = dense(bank)
        written = np.count_nonzero(np.diff(frames, axis=0), axis=1) if self.write_s else np.zeros(len(frames) - 1)
        each = slots.length_s + self.setting_s + self.write_s * np.concatenate([[0], written])
        times = self.now + self.table_s + np.cumsum(each)
        self.now = float(times[-1])
        self.settings += len(frames)
        wanted = frames @ self.loss.mixing
        losses = self.loss(self._behind(wanted)) if self.lag_s else self.loss(wanted[:, None, :])
        losses = losses + self.drift(times)[:, None]
        losses += self.rng.normal(0, self.sigma * np.sqrt(slots.shots), losses.shape) if self.sigma else 0
        readings = np.concatenate([np.zeros((len(frames), slots.settle)), losses], axis=1)
        return {"loss": readings.reshape(-1, 1)}

    def _behind(self, wanted: Array) -> Array:
        """(S, B, R) projections that the images see."""
        slots = self.slots
        kept = np.exp(-slots.length_s / self.lag_s)
        first = wanted[0] if self._state is None else self._state
        ends, _ = lfilter([1 - kept], [1, -kept], wanted, axis=0, zi=kept * first[None, :])
        before = np.concatenate([first[None, :], ends[:-1]])
        self._state = ends[-1]
        seen = np.exp(-(slots.settle + 1 + np.arange(slots.shots)) * (slots.dwell_s / self.lag_s))
        return np.asarray(wanted[:, None, :] + (before - wanted)[:, None, :] * seen[None, :, None])

    def run(self, plan: Any) -> Any:
        """The plan's result; every table it yields is played."""
        try:
            table = next(plan)
            while True:
                table = plan.send(self.play(table))
        except StopIteration as done:
            return done.value


@pytest.fixture
def chip() -> Callable[..., Chip]:
    """Makes benches: chip(count, images, length=..., limit=..., and fields of Chip)."""

    def make(count: int, images: int = 8, length: float = 0.3, bend: float = 2.4, limit: float = 1.0, **fields: Any) -> Chip:
        loss = cross_entropy(count, images, length=length, bend=bend)
        return Chip(loss, **({"lower": np.full(count, -limit), "upper": np.full(count, limit), "slots": Slots(1e-6, 0, images)} | fields))

    return make
