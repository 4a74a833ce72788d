"""A short measured characterisation of a chip: noise, drift, derivatives, lag, and what settings cost."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from labonn.banks import Ints
from labonn.channels import Floats
from labonn.gradients.objective import Slots
from labonn.planner.agreement import Believed, Cheap, Lines, believe
from labonn.planner.best import best_step
from labonn.planner.character import Character
from labonn.planner.costs import DITHERED, Clock, Costs, fit_costs
from labonn.planner.curvature import Shape, climb
from labonn.planner.noise import noise_of, white
from labonn.planner.powers import Sigma
from labonn.planner.probes import Adjustable, Played, Probe, random_signs, unpacked
from labonn.planner.settling import MOST_SHOTS, settling
from labonn.shots import Readings, ShotTable

BASELINES = (24, 96)  # where they are slow, and else
SINGLES = (32, 64)  # single parameters, at least and at most: one of 25
DIRECTIONS = 16
FEWEST = 4
NOISIER = 3.0  # times as many where noise hides a gradient by central differences
RUNGS = (16, 128)  # parameters of narrower dithers that tell whether a dither of all is worth its time
AFFORDABLE = 0.05  # of the time of central differences that a few dithered settings may take
HELD = 10.0  # slots
SETTLED = 6.0  # time constants that are waited for


def characterise(
    objective: Adjustable, theta: Floats, clock: Clock, rng: np.random.Generator, cheap: Mapping[str, Cheap] | None = None,
    largest_step: float | None = None,
) -> Generator[ShotTable, Readings, Character]:  # fmt: skip
    """A few hundred settings around theta; the objective's slots are as before afterwards.

    Args:
        clock: bench seconds. cheap: name -> another gradient, to be compared.
        largest_step: of any perturbation; None: the objective's `largest_step`, or half of the median range of a parameter.
            An objective with a `smallest_step` (of its converters) is moved by four of them or more.
    """
    before = objective.slots
    largest = getattr(objective, "largest_step", None) if largest_step is None else largest_step
    smallest = 4 * float(np.max(getattr(objective, "smallest_step", 0.0)))
    probe = Probe.at(objective, clock, theta, largest, smallest)
    try:
        return (yield from _Characterising(probe, rng).run(np.asarray(theta, np.float64), cheap or {}))
    finally:
        objective.slots = before


@dataclass
class _Characterising:
    """The parts of a characterisation, in the order in which each needs the last."""

    probe: Probe
    rng: np.random.Generator
    widest: int = 0
    image_sigma: float = 0.0

    def run(self, theta: Floats, cheap: Mapping[str, Cheap]) -> Generator[ShotTable, Readings, Character]:
        probe, objective = self.probe, self.probe.objective
        yield from self._warm_up()
        yield from self._widen(1.0)
        if objective.slots.tau_s == 0:
            yield from self._lag()
        slots = objective.slots
        wait = math.ceil(SETTLED * slots.tau_s / slots.dwell_s)
        objective.slots = replace(slots, settle=max(wait, slots.settle) if slots.tau_s else slots.settle)
        yield from self._baselines()
        which, singles = yield from self._singles()
        directions, lines = yield from self._directions(which, singles)
        believed = yield from believe(probe, cheap, lines)
        yield from probe.baselines(BASELINES[0] // 2)
        return self._character(theta, slots, singles, directions, believed)

    def _warm_up(self) -> Played:
        """Small tables, for their cost."""
        probe = self.probe
        yield from probe.baselines(2)
        probe.tables.clear()
        yield from probe.baselines(4)
        for count in (2, 16):
            yield from probe.singles(self._some(count), max(probe.reach / 8, min(probe.smallest, probe.reach)))
        for kept in (probe.times, probe.losses, probe.pairs):
            kept.clear()

    def _lag(self) -> Played:
        """Look for a lag, but not where setting takes much longer than a slot: there instruments are set one by one, and waited for."""
        objective, costs = self.probe.objective, self._costs()
        slots = objective.slots
        if costs.sparse_s > HELD * slots.length_s:
            return
        most_s = max(4 * AFFORDABLE * 2 * self.probe.free * (slots.length_s + costs.sparse_s), MOST_SHOTS * slots.dwell_s)
        tau = yield from settling(self.probe, self._some(self.widest), self.rng, costs.table_s + most_s)
        objective.slots = replace(slots, tau_s=tau)

    def _some(self, count: int) -> Ints:
        active = self.probe.active
        return np.sort(self.rng.choice(active, min(count, len(active)), replace=False))

    def _signs(self, rows: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        return random_signs(self.rng, rows, len(self.probe.middle))

    def _costs(self) -> Costs:
        return fit_costs(self.probe.tables, self.probe.objective.slots.dwell_s, len(self.probe.active))

    def _widen(self, useful: float) -> Played:
        """Dither ever more parameters, as long as it takes little of the time of `useful` gradients by central differences."""
        probe, count = self.probe, len(self.probe.active)
        step = max(probe.reach / 64, min(probe.smallest, probe.reach))
        for rung in (*(r for r in RUNGS if r < count), count):
            if rung <= self.widest:
                continue
            costs, slot = self._costs(), probe.objective.slots.length_s
            next_s = 4 * (slot + costs.sparse_s + costs.change_s * DITHERED * rung)
            if self.widest == 0:  # nothing is known yet of a change by itself: all of a setting's cost may be that
                next_s = 4 * (slot + costs.sparse_s * DITHERED * rung / 1.5)
            if next_s > max(AFFORDABLE * useful * 2 * probe.free, 4 * FEWEST) * (slot + costs.sparse_s):
                break
            yield from probe.directions(self._signs(2), step, self._some(rung))
            self.widest = rung
        self.widest = max(self.widest, 1)

    def _baselines(self) -> Played:
        """The noise of an image; fewer settings where one that changes nothing takes long, as where all outputs are read back."""
        costs, slot = self._costs(), self.probe.objective.slots.length_s
        self.probe.patience_s = AFFORDABLE * 2 * self.probe.free * (slot + costs.sparse_s)
        losses = yield from self.probe.baselines(BASELINES[0 if costs.still_s > 3 * (slot + costs.sparse_s) else 1])
        apart = np.diff(losses.reshape(-1, 2, losses.shape[1]), axis=1)[:, 0]
        self.image_sigma = float(np.sqrt(np.mean(apart.var(axis=0, ddof=1)) / 2))

    @property
    def _sigma(self) -> Sigma:
        return Sigma(*white(self.probe.pairs), self.image_sigma)

    def _singles(self) -> Played:
        which = self.rng.permutation(self._some(int(np.clip(self.probe.free / 25, *SINGLES))))
        probe = self.probe
        shape = yield from climb(lambda step: probe.singles(which, step), probe.reach / 4, probe.reach, probe.smallest, self._sigma)
        return which, shape

    def _directions(self, which: Ints, singles: Shape) -> Played:
        """Shape along random directions, None where dithers take too long; and the lines for comparisons."""
        probe, count = self.probe, len(self.probe.active)
        _, variance = best_step(self._sigma.value**2 / 2, singles.both, probe.smallest)
        useful = 1 + variance / max(singles.slope.value, 1e-300)
        yield from self._widen(useful)
        if self.widest < count:
            row = (which[:, None] == probe.active[None, :]).astype(np.float64)
            return None, Lines(probe.active, row, singles.slopes, self._sigma, singles.factor, count, singles.step)
        costs, slot = self._costs(), probe.objective.slots.length_s
        central_s = 2 * probe.free * (slot + costs.sparse_s) * useful
        rows = int(np.clip(2 * AFFORDABLE * central_s / (6 * (slot + costs.dither_s)), FEWEST, DIRECTIONS * min(useful, NOISIER)))
        signs = self._signs(rows)
        shape = yield from climb(lambda step: probe.directions(signs, step), singles.start / 8, probe.reach, probe.smallest, self._sigma)
        parts = unpacked(signs, probe.active, len(probe.middle))
        return shape, Lines(probe.active, parts, shape.slopes, self._sigma, shape.factor, 1.0, shape.step)

    def _character(self, theta: Floats, slots: Slots, singles: Shape, along: Shape | None, believed: tuple[Believed, ...]) -> Character:
        """All together, drawn out from the parameters that were moved to all that can."""
        probe = self.probe
        noise = noise_of(probe.pairs, probe.times, probe.losses)
        lower, upper = (np.asarray(limit, np.float64) for limit in (probe.objective.lower, probe.objective.upper))
        can, count = upper > lower, len(probe.active)
        more = probe.free / count
        if along is None:
            gradient, images = singles.slope.times(probe.free), singles.images * probe.free
            bent, twisted = singles.second.times(4 * probe.free), singles.both.times(probe.free**0.5)
        else:
            gradient, images = along.slope.times(more), along.images * more
            bent, twisted = along.spread.times(2 * more**2), along.both.times(more**1.5)
        return Character(
            total=len(theta), free=probe.free, above=(upper - theta)[can], below=(theta - lower)[can], slots=slots, noise=noise,
            gradient=gradient, images=max(images, gradient.value), both=singles.both, one=singles.one, along=twisted, second=singles.second,
            bent=bent, smallest=probe.smallest, costs=self._costs(), believed=believed,
            settings=sum(table.settings for table in probe.tables), seconds=sum(table.seconds for table in probe.tables),
            dithered=along is not None,
        )  # fmt: skip
