"""The heaters of a whole chip of interferometers from one table of random settings and beams, read at its hidden neurons and outputs.

A chip's heaters are near enough to nominal ones for least squares to begin there. What its outputs do not tell (couplers whose light is
thrown away) stays nominal, held by priors, and is told to be undetermined. What goes into the second layer is what was read of the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from labonn.believed import ChipModel
from labonn.calibration.fitting import Mask
from labonn.calibration.mesh.chip_light import layer_seen, layer_weights
from labonn.calibration.mesh.fit import MeshFitted, descend, spread_of
from labonn.calibration.mesh.heaters import HeaterCurves
from labonn.calibration.robust import HUBER
from labonn.channels import Floats

CHUNK = 8  # settings that are computed at a time
ROUNDS = 2  # of reweighting
WIDTHS = {
    "phase": 0.5, "rate": 0.15, "bend": 3e-3, "crosstalk": 0.03, "input": 0.1, "offset": 0.1, "hidden": 0.1, "again": 0.1, "output": 0.1,
}  # fmt: skip


@dataclass(frozen=True)
class ChipTruth:
    """What is known of a chip.

    Attributes:
        heaters: P of them, of one bend. input, offset: (n0,) factors and offsets of the inputs. hidden: (n1,) factors of the hidden
            detectors, again: (n1,) of what is sent in again. output: (n2,) of the outputs.
    """

    heaters: HeaterCurves
    input: Floats
    offset: Floats
    hidden: Floats
    again: Floats
    output: Floats


@dataclass(frozen=True)
class ChipData:
    """Attributes: driven: (S, P). beams: (B, n0) fields. y: (S, B, n1 + n2) fields read, hidden ones first. used: as y."""

    driven: Floats
    beams: Floats
    y: Floats
    used: Mask

    def part(self, which: slice) -> ChipData:
        """Some of the settings."""
        return ChipData(self.driven[which], self.beams, self.y[which], self.used[which])


ChipFitted = MeshFitted[ChipTruth]


@dataclass(frozen=True)
class ChipProblem:
    """Attributes: model: the chip. groups: (P, P) of crosstalk (labonn.calibration.mesh.heaters). nominal: what priors are around."""

    model: ChipModel
    groups: NDArray[np.intp]
    nominal: ChipTruth

    @cached_property
    def parts(self) -> dict[str, slice]:
        """Where everything is in the vector."""
        count, (n0, n1, n2) = self.model.count, self.model.sizes
        sizes = {"phase": count, "rate": count, "bend": 0 if self.nominal.heaters.watts else 1, "crosstalk": int(self.groups.max()) + 1}
        sizes |= {"input": n0, "offset": n0, "hidden": n1, "again": n1, "output": n2}
        edges = np.cumsum([0, *sizes.values()])
        return {name: slice(int(a), int(b)) for name, a, b in zip(sizes, edges[:-1], edges[1:], strict=True)}

    @cached_property
    def width(self) -> Floats:
        """(n,) of the priors."""
        mean, found = self.vector(self.nominal), np.empty(self.parts["output"].stop)
        for name, part in self.parts.items():
            found[part] = WIDTHS[name] * (np.abs(mean[part]) if name == "rate" else 1.0)
        return found

    def vector(self, truth: ChipTruth) -> Floats:
        """(n,) everything."""
        heaters, which = truth.heaters, self.groups >= 0
        crosstalk = np.zeros(int(self.groups.max()) + 1)
        crosstalk[self.groups[which]] = heaters.crosstalk[which]
        bend = heaters.bend[: 0 if heaters.watts else 1]
        light = (truth.input, truth.offset, truth.hidden, truth.again, truth.output)
        return np.concatenate([heaters.phase, heaters.rate, bend, crosstalk, *light])

    def truth(self, vector: Floats) -> ChipTruth:
        """The other way round."""
        v = {name: vector[part] for name, part in self.parts.items()}
        crosstalk = np.where(self.groups >= 0, np.append(v["crosstalk"], 0.0)[self.groups], 0.0)
        bend = np.full(self.model.count, v["bend"][0] if v["bend"].size else 0.0)
        heaters = HeaterCurves(v["phase"], v["rate"], bend, crosstalk, self.nominal.heaters.watts)
        return ChipTruth(heaters, v["input"], v["offset"], v["hidden"], v["again"], v["output"])

    def residuals(self, truth: ChipTruth, data: ChipData) -> Floats:
        """(S, B, n1 + n2) measured minus predicted; 0 where a reading is not used."""
        parts = []
        for part in self._chunks(data):
            phases, again = truth.heaters.phases(part.driven), self._again(truth, part)
            first = layer_weights(self.model, 1, phases).real @ (truth.input * part.beams + truth.offset).T
            second = again @ layer_weights(self.model, 2, phases).real.swapaxes(1, 2)
            parts.append(np.concatenate([truth.hidden * first.swapaxes(1, 2), truth.output * second], axis=2))
        return np.where(data.used, data.y - np.concatenate(parts), 0.0)

    def normal(self, truth: ChipTruth, data: ChipData, weight: Floats) -> tuple[Floats, Floats]:
        """(J^T W J, J^T W r), without priors."""
        matrix, scores = self.scored(truth, data, weight)
        return matrix, scores.sum(axis=0)

    def scored(self, truth: ChipTruth, data: ChipData, weight: Floats) -> tuple[Floats, Floats]:
        """(J^T W J, (S, n) J^T W r of every setting)."""
        size = len(self.width)
        matrix, scores, start = np.zeros((size, size)), np.empty((len(data.y), size)), 0
        for part in self._chunks(data):
            which = slice(start, start + len(part.y))
            start, root = which.stop, np.sqrt(weight[which])
            value, slope = self._jacobian(truth, part)
            slope = slope.reshape(len(part.y), -1, size) * root.reshape(len(part.y), -1, 1)
            left = ((part.y - value) * root).reshape(len(part.y), -1)
            scores[which] = np.einsum("sm,smn->sn", left, slope, optimize=True)
            flat = slope.reshape(-1, size)
            matrix += flat.T @ flat
        return matrix, scores

    def _jacobian(self, truth: ChipTruth, data: ChipData) -> tuple[Floats, Floats]:
        """((S, B, n1 + n2), (S, B, n1 + n2, n))."""
        phases, n1 = truth.heaters.phases(data.driven), self.model.sizes[1]
        value, found = np.empty(data.y.shape), np.zeros((*data.y.shape, len(self.width)))
        beams = truth.input * data.beams + truth.offset
        into = np.broadcast_to(beams, (len(phases), *beams.shape)), self._again(truth, data)
        seen = [layer_seen(self.model, layer, phases) for layer in (1, 2)]
        edge = self.model.slices["2a"].start
        for layer, columns, part in ((0, slice(n1), slice(edge)), (1, slice(n1, None), slice(edge, self.model.count))):
            factor = (truth.hidden, truth.output)[layer]
            fields = into[layer] @ seen[layer].weights.real.swapaxes(1, 2)
            value[:, :, columns] = factor * fields
            slopes = np.einsum("sbi,siok->sbok", into[layer], seen[layer].by_phase.real, optimize=True)
            found[:, :, columns, part] = factor[:, None] * slopes
            own = found[:, :, columns, self.parts[("hidden", "output")[layer]]]
            own[:] = fields[..., None] * np.eye(len(factor))
            weights = factor[:, None] * seen[layer].weights.real
            if layer == 0:
                found[:, :, columns, self.parts["input"]] = weights[:, None] * data.beams[:, None, :]
                found[:, :, columns, self.parts["offset"]] = weights[:, None]
            else:
                found[:, :, columns, self.parts["again"]] = weights[:, None] * (into[1] / truth.again)[:, :, None, :]
        self._heaters(found, truth.heaters, data.driven)
        return value, found

    def _heaters(self, found: Floats, heaters: HeaterCurves, driven: Floats) -> None:
        """Derivatives by rates, the bend and crosstalk, from those by the phases."""
        by_phase, own = found[..., self.parts["phase"]], heaters.own(driven)
        by_own = by_phase + by_phase @ heaters.crosstalk
        found[..., self.parts["rate"]] = by_own * (own / heaters.rate)[:, None, None, :]
        if not heaters.watts:
            found[..., self.parts["bend"]] = np.einsum("sbok,sk->sbo", by_own, heaters.by_bend(driven))[..., None]
        onto, source = np.nonzero(self.groups >= 0)
        if onto.size:
            carried = np.zeros((len(driven), own.shape[1], int(self.groups.max()) + 1))
            carried[:, onto, self.groups[onto, source]] = own[:, source]
            flat = by_phase.reshape(len(driven), -1, own.shape[1])
            found[..., self.parts["crosstalk"]] = np.matmul(flat, carried).reshape(*by_phase.shape[:3], -1)

    def _again(self, truth: ChipTruth, data: ChipData) -> Floats:
        """(S, B, n1) what goes into the second layer."""
        return np.asarray(truth.again * self.model.activate(data.y[:, :, : self.model.sizes[1]]))

    def _chunks(self, data: ChipData) -> Iterator[ChipData]:
        return (data.part(slice(first, first + CHUNK)) for first in range(0, len(data.y), CHUNK))


def fit_chip(problem: ChipProblem, data: ChipData) -> ChipFitted:
    """The best truth from the nominal one.

    Covariances have the priors in them, and what readings of a setting are off together (White's sandwich, a cluster a setting): modulators
    and the activation board are not quite what they are believed to be.
    """
    vector, weight, steps = problem.vector(problem.nominal), data.used.astype(np.float64), 0
    sigma = spread_of(problem.residuals(problem.nominal, data), data.used)
    for _ in range(1 + ROUNDS):
        vector, taken = descend(problem, data, vector, weight, sigma)
        residual = problem.residuals(problem.truth(vector), data)
        sigma, steps = spread_of(residual, data.used), steps + taken
        weight = np.where(data.used, HUBER / np.maximum(np.abs(residual) / sigma, HUBER), 0.0)
    variance = float(np.sum(weight * np.square(residual)) / max(int(data.used.sum()) - len(vector), 1))
    variance /= float(np.mean(np.abs(residual[data.used]) <= HUBER * sigma))
    matrix, scores = problem.scored(problem.truth(vector), data, weight)
    prior = np.diag(1 / np.square(problem.width))
    inverse = np.linalg.inv(matrix / variance + prior)
    covariance = inverse @ (scores.T @ scores / variance**2 + prior) @ inverse
    outliers = int(np.sum(weight[data.used] < 0.5))
    return ChipFitted(problem.truth(vector), covariance, problem.parts, float(np.sqrt(variance)), steps, outliers)
