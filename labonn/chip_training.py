"""Training a chip by gradients measured on it: steps, projection onto the limits, learning curves against hardware evaluations."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.channels import Floats
from labonn.errors import ProcedureError
from labonn.gradients import Estimate, Estimates, OnChip, central
from labonn.optimizers import BY_NAME, Optimizer
from labonn.shots import Ints, Readings, ShotTable

Plan = Generator[ShotTable, Readings, Any]
TRAINED = ("theta", "all")
STEPS = {"pt": 0.04, "rotation": 0.2, "mzi": 0.2}  # rad, of perturbations
PROBED = 64  # of them that a probe has
BELIEVING = ("aware", "adjoint")  # gradients whose errors are not those of the light alone
CHECKED = 2000  # validation images after a stretch of steps


@dataclass(frozen=True)
class ChipSettings:
    """How to train a chip.

    Attributes:
        steps, batch, learning_rate: as usual; the rate falls as a half cosine unless `decay` is false.
        optimizer: "adam" or "sgd". train: "theta" (couplers only, as in the paper) or "all" (amplifiers too).
        report: steps between rows of the metrics. seed: of initial parameters and of the mini-batches.
    """

    steps: int = 1500
    batch: int = 64
    learning_rate: float = 3e-3
    optimizer: str = "adam"
    train: str = "theta"
    decay: bool = True
    report: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in (("steps", self.steps), ("batch", self.batch), ("report", self.report)):
            if value < 1:
                raise ProcedureError(f"--{name} {value}: at least 1")
        for name, chosen, known in (("optimizer", self.optimizer, tuple(BY_NAME)), ("train", self.train, TRAINED)):
            if chosen not in known:
                raise ProcedureError(f"--{name} {chosen}: one of {', '.join(known)}")


@dataclass(frozen=True)
class Pictures:
    """Images as they lie in the input memory, one part after the other.

    Attributes:
        fields: (n, N0) from 0 to 1. labels: (n,). train, validation, test: rows of each part. All become read-only.
    """

    fields: Floats
    labels: Ints
    train: Ints
    validation: Ints
    test: Ints

    def __post_init__(self) -> None:
        for array in (self.fields, self.labels, self.train, self.validation, self.test):
            array.flags.writeable = False

    def shown(self, rows: Ints) -> NDArray[np.uint8]:
        """(n, height, width) gray levels of some images as the chip sees them; one line each where they are not square."""
        side = round(self.fields.shape[1] ** 0.5)
        shape = (side, side) if side**2 == self.fields.shape[1] else (1, self.fields.shape[1])
        return np.rint(255 * self.fields[rows]).astype(np.uint8).reshape(-1, *shape)


@dataclass
class Stretch:
    """Steps since the last report: of each the loss, the rms of its standard errors and of its gradient; of the last the cosine.

    Attributes:
        cosine: expected one with the true gradient, if noise is all that is wrong with it; NaN for methods that believe a model.
    """

    losses: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    cosine: float = float("nan")

    def add(self, estimate: Estimate, moved: NDArray[np.bool_]) -> None:
        """One more step, whose gradient was this one."""
        error, norm = (float(np.sqrt(np.mean(values[moved] ** 2))) for values in (estimate.standard_error, estimate.gradient))
        self.losses.append(estimate.loss)
        self.errors.append(error)
        self.norms.append(norm)
        known = norm > 0 and estimate.method not in BELIEVING
        self.cosine = float(np.sqrt(max(0.0, 1 - (error / norm) ** 2))) if known else float("nan")


@dataclass
class Probe:
    """What a later session compares its light with.

    Attributes:
        theta: (P,) that was set. rows: images. outputs: (n, N2) measured.
    """

    theta: Floats
    rows: Ints
    outputs: Floats


@dataclass
class Grown:
    """What a training has reached, valid at any moment.

    Attributes:
        theta: (P,) now. best: those of the best validation accuracy. metrics: one record a stretch of steps.
        steps: done so far. notes: what the gradients had to say, and how often.
    """

    theta: Floats
    best: Floats
    best_accuracy: float = -1.0
    best_step: int = 0
    metrics: list[dict[str, float]] = field(default_factory=list)
    steps: int = 0
    notes: dict[str, int] = field(default_factory=dict)


def central_by_default(objective: OnChip, theta: Floats) -> Estimates:
    """Central differences of all parameters."""
    return central(objective, theta, STEPS[objective.optics.design.coupler])


def _no_clock() -> float:
    return 0.0


@dataclass
class ChipTraining:
    """A training under way.

    Attributes:
        objective: the chip. pictures, settings: what and how. grown: the result so far. method: makes a gradient at parameters.
        peaks: port -> largest volts seen, for its range. moved: (P,) parameters that are trained. began_s: bench second of the first step.
        current: steps since the last report. probe: newest.
    """

    objective: OnChip
    pictures: Pictures
    settings: ChipSettings
    grown: Grown
    method: Any = central_by_default
    peaks: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.settings.batch > len(self.pictures.train):
            raise ProcedureError(f"--batch {self.settings.batch}: there are {len(self.pictures.train)} training images")
        self.began_s, self._time_s, self._clock = 0.0, 0.0, _no_clock
        self.current = Stretch()
        self.probe: Probe | None = None
        self.optimizer: Optimizer = BY_NAME[self.settings.optimizer](self._rate)
        self.state = self.optimizer.init([self.grown.theta])
        self._rng = np.random.default_rng([self.settings.seed, 1])
        self._order: Ints = np.zeros(0, np.int64)
        self.moved: NDArray[np.bool_] = np.ones(len(self.grown.theta), bool)
        if self.settings.train == "theta":
            self.moved = ~self.objective.optics.amplifiers

    def until(self, seconds: float, clock: Callable[[], float]) -> None:
        """Train for so many seconds of bench time from now on, in at most `settings.steps`; the rate falls over this time."""
        self.began_s, self._time_s, self._clock = clock(), seconds, clock

    def over(self) -> bool:
        """Whether the steps are done, or the time is up."""
        return self.grown.steps >= self.settings.steps or self._spent() >= 1

    @property
    def time_s(self) -> float | None:
        """Seconds of bench time that there are; None if there is no limit."""
        return self._time_s or None

    @property
    def spent_s(self) -> float | None:
        """Seconds of them that are gone."""
        return self._clock() - self.began_s if self._time_s else None

    def _spent(self) -> float:
        """Share of the time that is gone; 0 if there is no limit."""
        return (self._clock() - self.began_s) / self._time_s if self._time_s else 0.0

    def _rate(self, step: int) -> float:
        done = max(self._spent(), step / self.settings.steps)
        return self.settings.learning_rate * (0.5 * (1 + np.cos(np.pi * min(done, 1.0))) if self.settings.decay else 1.0)

    def batch(self) -> Ints:
        """Rows of the next mini-batch; every image comes once an epoch."""
        if len(self._order) < self.settings.batch:
            self._order = np.concatenate([self._order, self._rng.permutation(self.pictures.train)])
        rows, self._order = self._order[: self.settings.batch], self._order[self.settings.batch :]
        return rows

    def step(self) -> Plan:
        """One gradient and one step of the optimizer, projected onto the limits; returns the Estimate."""
        rows, grown, objective = self.batch(), self.grown, self.objective
        objective.show(rows, self.pictures.labels[rows])
        estimate: Estimate = yield from self.method(objective, grown.theta)
        gradient = np.where(self.moved, estimate.gradient, 0.0)
        (theta,), self.state = self.optimizer.update([gradient], self.state, [grown.theta.copy()])
        grown.theta = np.clip(theta, objective.lower, objective.upper)
        grown.steps += 1
        for note in estimate.notes:
            kind = note.lstrip("0123456789, ")
            grown.notes[kind] = grown.notes.get(kind, 0) + 1
        return estimate

    def stretch(self, watch: Callable[[Grown, float], None], clock: Callable[[], float]) -> Plan:
        """Steps up to the next report, then validation images; the record is added to `grown.metrics`.

        A stretch that is under way (`current`) goes on: all that counts is in the training whenever `watch` is called.

        Args:
            watch: called after every step with the mean loss of the stretch so far. clock: bench seconds.
        """
        settings, grown, now = self.settings, self.grown, self.current
        if not grown.steps and not self._time_s:
            self.began_s = clock()
        while len(now.losses) < settings.report and not self.over():
            estimate = yield from self.step()
            now.add(estimate, self.moved)
            watch(grown, float(np.mean(now.losses)))
        epoch = grown.steps * settings.batch / len(self.pictures.train)
        record = {"epoch": epoch, "steps": grown.steps, "train_loss": float(np.mean(now.losses))}
        record["validation_accuracy"] = yield from self._validated()
        record |= {"gradient_rms": float(np.mean(now.norms)), "standard_error_rms": float(np.mean(now.errors))}
        at_limit = (grown.theta <= self.objective.lower) | (grown.theta >= self.objective.upper)
        record["at_limit"] = int(np.count_nonzero(at_limit & self.moved))
        record |= {"settings": self.objective.settings, "shots": self.objective.shots, "bench_time_s": clock()}
        grown.metrics.append(record)
        if record["validation_accuracy"] > grown.best_accuracy:
            grown.best, grown.best_accuracy, grown.best_step = grown.theta.copy(), record["validation_accuracy"], grown.steps
        self.current = Stretch()

    def agreement(self) -> Plan:
        """The gradient at the best parameters by the training's method against central differences with 8 repeats: cosine and lengths."""
        rows = self.pictures.train[: self.settings.batch]
        self.objective.show(rows, self.pictures.labels[rows])
        mine: Estimate = yield from self.method(self.objective, self.grown.best)
        step = STEPS[self.objective.optics.design.coupler] / 2
        careful = yield from central(self.objective, self.grown.best, step, subset=np.flatnonzero(self.moved), repeats=8, scaled=False)
        one, two = mine.gradient[self.moved], careful.gradient[self.moved]
        norms = float(np.linalg.norm(one)), float(np.linalg.norm(two))
        cosine = float(one @ two / max(norms[0] * norms[1], 1e-300))
        found = {"gradient_cosine": cosine, "gradient_norm": norms[0], "central_norm": norms[1]}
        return found | {"gradient_error": float(np.linalg.norm(mine.standard_error[self.moved]))}

    def _validated(self) -> Plan:
        """Fraction of validation images whose largest output is the right one; some outputs become the probe."""
        rows = self.pictures.validation[:CHECKED]
        outputs = yield from self.objective.images(self.grown.theta, rows)
        self.probe = Probe(self.grown.theta.copy(), rows[:PROBED], outputs[:PROBED].copy())
        return float(np.mean(outputs.argmax(axis=1) == self.pictures.labels[rows]))
