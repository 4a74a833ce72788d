"""Everything about a mesh from one table: damped least squares over heaters, crosstalk, splitters, losses, inputs and detectors at once.

Readings are powers, y = volts_o |sum over n of U_on (in_phase_n I_n + quadrature_n Q_n)|^2. What they hardly tell (one common scale of
inputs, losses and detectors) is held by priors as wide as such parts are usually off (`PRIORS`); phases have none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from labonn.calibration.fitting import Mask
from labonn.calibration.mesh.heaters import HeaterCurves
from labonn.calibration.mesh.light import matrices, seen
from labonn.calibration.robust import HUBER, TO_SIGMA
from labonn.channels import Floats
from labonn.meshes import Mesh, Numbers

CHUNK = 24  # settings that are computed at a time
OPEN = 0.999  # of a modulator, which is fully open at 1
MOST_STEPS, ROUNDS = 60, 3  # of damped least squares; of reweighting
MOST_COEFFICIENTS = 1600  # that one fit may have
DONE = 1e-3  # of a standard deviation in the cost
PRIORS = {
    "phase": np.inf, "rate": 0.3, "bend": 3e-3, "crosstalk": 0.05, "delta": 0.1, "loss": 0.05, "in_phase": 0.1, "quadrature": 0.1,
    "angle": 0.1, "volts": 0.1,
}  # fmt: skip
SCALED = ("rate", "volts")  # whose priors are relative
Truth = TypeVar("Truth")  # MeshTruth, or that of a whole chip


@dataclass(frozen=True)
class MeshTruth:
    """What is known of a mesh.

    Attributes:
        heaters: 2 K of them. delta: (K, 2) errors of splitters. loss: (K,) nepers. in_phase: (N,), quadrature: (N,) complex factors of the
        inputs. volts: (N,) of detectors at a power of one.
    """

    heaters: HeaterCurves
    delta: Floats
    loss: Floats
    in_phase: Floats
    quadrature: Numbers
    volts: Floats

    def inputs(self, wanted: Numbers) -> Numbers:
        """(B, N) fields that modulators set to `wanted` give."""
        return np.asarray(self.in_phase * wanted.real + self.quadrature * wanted.imag)

    def settings(self, fields: Numbers) -> Numbers:
        """(B, N) settings of the modulators that give fields, but for one common factor, with which none is beyond what they can do."""
        turned = fields.imag / self.quadrature.imag
        made = (fields.real - self.quadrature.real * turned) / self.in_phase + 1j * turned
        return np.asarray(made * min(1.0, OPEN / max(float(np.abs(made.real).max()), float(np.abs(made.imag).max()))))


@dataclass(frozen=True)
class MeshData:
    """Attributes: driven: (S, P) of the heaters. wanted: (B, N) complex settings of the modulators. y: (S, B, N) volts. used: as y."""

    driven: Floats
    wanted: Numbers
    y: Floats
    used: Mask

    def part(self, which: slice) -> MeshData:
        """Some of the settings."""
        return MeshData(self.driven[which], self.wanted, self.y[which], self.used[which])


@dataclass(frozen=True)
class MeshFitted(Generic[Truth]):
    """Attributes: truth: best. covariance: (n, n). parts: name -> slice of the n. sigma: of a reading. steps, outliers: counts."""

    truth: Truth
    covariance: Floats
    parts: dict[str, slice]
    sigma: float
    steps: int
    outliers: int


@dataclass(frozen=True)
class MeshProblem:
    """Attributes: mesh, groups: see labonn.calibration.mesh.heaters. nominal: what priors are around."""

    mesh: Mesh
    groups: NDArray[np.intp]
    nominal: MeshTruth

    @cached_property
    def parts(self) -> dict[str, slice]:
        """Where everything is in the vector."""
        couplers, ports, heaters = self.mesh.count, self.mesh.ports, 2 * self.mesh.count
        sizes = {"phase": heaters, "rate": heaters, "bend": 0 if self.nominal.heaters.watts else heaters}
        sizes |= {"crosstalk": int(self.groups.max()) + 1, "delta": 2 * couplers, "loss": couplers}
        sizes |= dict.fromkeys(("in_phase", "quadrature", "angle", "volts"), ports)
        edges = np.cumsum([0, *sizes.values()])
        return {name: slice(int(a), int(b)) for name, a, b in zip(sizes, edges[:-1], edges[1:], strict=True)}

    @cached_property
    def width(self) -> Floats:
        """(n,) of the priors."""
        mean, found = self.vector(self.nominal), np.empty(self.parts["volts"].stop)
        for name, part in self.parts.items():
            found[part] = PRIORS[name] * (np.abs(mean[part]) if name in SCALED else 1.0)
        return found

    def vector(self, truth: MeshTruth) -> Floats:
        """(n,) everything."""
        heaters, which = truth.heaters, self.groups >= 0
        crosstalk = np.zeros(self.parts["crosstalk"].stop - self.parts["crosstalk"].start)
        crosstalk[self.groups[which]] = heaters.crosstalk[which]
        bend = heaters.bend[: self.parts["bend"].stop - self.parts["bend"].start]
        light = (truth.in_phase, truth.quadrature.imag, -truth.quadrature.real, truth.volts)
        return np.concatenate([heaters.phase, heaters.rate, bend, crosstalk, truth.delta.ravel(), truth.loss, *light])

    def truth(self, vector: Floats) -> MeshTruth:
        """The other way round."""
        v = {name: vector[part] for name, part in self.parts.items()}
        crosstalk = np.where(self.groups >= 0, np.append(v["crosstalk"], 0.0)[self.groups], 0.0)
        bend = np.zeros_like(v["phase"]) if self.nominal.heaters.watts else v["bend"]
        heaters = HeaterCurves(v["phase"], v["rate"], bend, crosstalk, self.nominal.heaters.watts)
        return MeshTruth(heaters, v["delta"].reshape(-1, 2), v["loss"], v["in_phase"], 1j * v["quadrature"] - v["angle"], v["volts"])

    def predicted(self, truth: MeshTruth, driven: Floats, wanted: Numbers) -> Floats:
        """(S, B, N) volts."""
        made = matrices(self.mesh, truth.heaters.phases(driven), truth.delta, truth.loss)
        return np.asarray(truth.volts * np.square(np.abs(np.matmul(truth.inputs(wanted), made.swapaxes(1, 2)))))

    def jacobian(self, truth: MeshTruth, driven: Floats, wanted: Numbers) -> tuple[Floats, Floats]:
        """((S, B, N) volts, (S, B, N, n) derivatives)."""
        heaters, inputs = truth.heaters, truth.inputs(wanted)
        light = seen(self.mesh, heaters.phases(driven), truth.delta, truth.loss, inputs)
        power = np.square(np.abs(light.fields))
        back = 2 * truth.volts[:, None] * np.conj(light.fields)[..., None]
        found = np.zeros((*power.shape, len(self.width)))
        for name, made in (("phase", light.by_phase), ("delta", light.by_delta), ("loss", light.by_loss)):
            found[..., self.parts[name]] = (back * made).real
        self._heaters(found, heaters, driven)
        by_input = back * light.matrix[:, None]
        found[..., self.parts["in_phase"]] = (by_input * wanted.real[:, None, :]).real
        turned = by_input * wanted.imag[:, None, :]
        found[..., self.parts["quadrature"]], found[..., self.parts["angle"]] = -turned.imag, -turned.real
        found[..., self.parts["volts"]] = power[..., None] * np.eye(power.shape[2])
        return truth.volts * power, found

    def _heaters(self, found: Floats, heaters: HeaterCurves, driven: Floats) -> None:
        """Derivatives by rates, bends and crosstalk, from those by the phases."""
        by_phase, own = found[..., self.parts["phase"]], heaters.own(driven)
        by_own = by_phase + by_phase @ heaters.crosstalk
        found[..., self.parts["rate"]] = by_own * (own / heaters.rate)[:, None, None, :]
        if not heaters.watts:
            found[..., self.parts["bend"]] = by_own * heaters.by_bend(driven)[:, None, None, :]
        onto, source = np.nonzero(self.groups >= 0)
        if onto.size:
            carried = np.zeros((len(driven), own.shape[1], int(self.groups.max()) + 1))
            carried[:, onto, self.groups[onto, source]] = own[:, source]
            flat = by_phase.reshape(len(driven), -1, own.shape[1])
            found[..., self.parts["crosstalk"]] = np.matmul(flat, carried).reshape(*by_phase.shape[:3], -1)

    def normal(self, truth: MeshTruth, data: MeshData, weight: Floats) -> tuple[Floats, Floats]:
        """(J^T W J, J^T W r), without priors."""
        size = len(self.width)
        matrix, right = np.zeros((size, size)), np.zeros(size)
        for which in _chunks(len(data.y)):
            value, slope = self.jacobian(truth, data.driven[which], data.wanted)
            slope, root = slope.reshape(-1, size), np.sqrt(weight[which]).reshape(-1, 1)
            slope *= root
            matrix += slope.T @ slope
            right += slope.T @ ((data.y[which] - value).reshape(-1, 1) * root)[:, 0]
        return matrix, right

    def residuals(self, truth: MeshTruth, data: MeshData) -> Floats:
        """(S, B, N) measured minus predicted; 0 where a reading is not used."""
        parts = [self.predicted(truth, data.driven[which], data.wanted) for which in _chunks(len(data.y))]
        return np.where(data.used, data.y - np.concatenate(parts), 0.0)


def fit_mesh(problem: MeshProblem, data: MeshData, start: MeshTruth) -> MeshFitted[MeshTruth]:
    """The best truth: first as it is, then with outliers held off (Huber)."""
    vector, weight, steps = problem.vector(start), data.used.astype(np.float64), 0
    sigma = spread_of(problem.residuals(start, data), data.used)
    for _ in range(1 + ROUNDS):
        vector, taken = descend(problem, data, vector, weight, sigma)
        residual = problem.residuals(problem.truth(vector), data)
        sigma, steps = spread_of(residual, data.used), steps + taken
        weight = np.where(data.used, HUBER / np.maximum(np.abs(residual) / sigma, HUBER), 0.0)
    truth = problem.truth(vector)
    freedom = max(int(data.used.sum()) - len(vector), 1)
    variance = float(np.sum(weight * np.square(residual)) / freedom)
    variance /= float(np.mean(np.abs(residual[data.used]) <= HUBER * sigma))  # what reweighting costs (robust.py)
    matrix, _ = problem.normal(truth, data, data.used.astype(np.float64))
    covariance = np.linalg.inv(matrix / variance + np.diag(1 / np.square(problem.width)))
    turns = np.floor(truth.heaters.phase / (2 * np.pi))
    truth = replace(truth, heaters=truth.heaters.added(-2 * np.pi * turns))
    outliers = int(np.sum(weight[data.used] < 0.5))
    return MeshFitted(truth, covariance, problem.parts, float(np.sqrt(variance)), steps, outliers)


def descend(problem: Any, data: Any, vector: Floats, weight: Floats, sigma: float) -> tuple[Floats, int]:
    """Levenberg-Marquardt from `vector`; (best, steps).

    Args:
        problem: a MeshProblem, or another with its vector, truth, nominal, width, residuals and normal. weight: as the residuals.
    """
    mean, precision, damping = problem.vector(problem.nominal), 1 / np.square(problem.width), 1e-3

    def cost(at: Floats) -> float:
        residual = problem.residuals(problem.truth(at), data)
        return float(np.sum(weight * np.square(residual))) / sigma**2 + float(np.sum(precision * np.square(at - mean)))

    here = cost(vector)
    for step in range(1, MOST_STEPS + 1):
        matrix, right = problem.normal(problem.truth(vector), data, weight)
        matrix, right = matrix / sigma**2 + np.diag(precision), right / sigma**2 - precision * (vector - mean)
        while True:
            moved = np.linalg.solve(matrix + damping * np.diag(np.diag(matrix)), right)
            there = cost(vector + moved)
            if there <= here or damping > 1e8:
                break
            damping *= 6
        if not there <= here:
            return vector, step
        vector, gain, here, damping = vector + moved, here - there, there, max(damping / 10, 1e-12)
        if gain < DONE:
            return vector, step
    return vector, MOST_STEPS


def phase_shifts(problem: Any, truth: Any, data: Any, sigma: float) -> tuple[Floats, Floats]:
    """((P,) by how much phases are off in this data, (P,) standard errors): one step of least squares from a fit (see `descend`)."""
    matrix, right = problem.normal(truth, data, data.used.astype(np.float64))
    part = problem.parts["phase"]
    inverse = np.linalg.pinv(matrix[part, part], hermitian=True)
    return inverse @ right[part], sigma * np.sqrt(np.diag(inverse))


def spread_of(residual: Floats, used: Mask) -> float:
    """Standard deviation of most residuals, never 0."""
    return max(TO_SIGMA * float(np.median(np.abs(residual[used]))), 1e-9)


def _chunks(count: int) -> Iterator[slice]:
    return (slice(first, first + CHUNK) for first in range(0, count, CHUNK))
