"""A wanted unitary on a measured mesh: phases for the splitters that it has, and drives for those phases through crosstalk and limits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import least_squares

from labonn.calibration.mesh.fit import MeshTruth
from labonn.calibration.mesh.heaters import HeaterCurves
from labonn.calibration.mesh.light import matrices, seen
from labonn.channels import Floats
from labonn.decompose import mzi_angles
from labonn.errors import CalibrationError
from labonn.meshes import Mesh, Numbers

TURNS = 24  # by which phases may be moved until all drives are inside
PI = np.pi


def fidelity(wanted: Numbers, made: Numbers) -> float:
    """|tr(U^dagger D W)|/N, W scaled to lose nothing, for the best phases D of the outputs, which detectors of power do not see."""
    scale = np.linalg.norm(made) / np.sqrt(len(made))
    return float(np.abs(np.sum(np.conj(wanted) * made, axis=1)).sum() / len(made) / scale)


def rms_error(wanted: Numbers, made: Numbers) -> float:
    """Root mean square of the elements of D W - U over that of U's, with the best phases D and the best common scale."""
    turned = made * np.exp(-1j * np.angle(np.sum(np.conj(wanted) * made, axis=1)))[:, None]
    scale = np.sum(np.conj(wanted) * turned).real / np.sum(np.square(np.abs(turned)))
    return float(np.linalg.norm(scale * turned - wanted) / np.linalg.norm(wanted))


def ideal_phases(wanted: Numbers, layout: str) -> Floats:
    """(2 K,) of a mesh whose splitters are perfect; heaters make the phases theta + pi and phi + pi (labonn.couplers).

    Raises:
        ProcedureError: not unitary.
    """
    return mzi_angles(wanted, layout).theta + PI


def phases_for(wanted: Numbers, mesh: Mesh, layout: str, truth: MeshTruth) -> Floats:
    """(2 K,) phases with which this mesh, of imperfect splitters, is nearest to a unitary (N, N), up to phases of the outputs."""
    start = ideal_phases(wanted, layout)
    made = matrices(mesh, start[None], truth.delta, truth.loss)[0]
    overlap = np.sum(np.conj(wanted) * made, axis=1)
    begin = np.concatenate([start, np.angle(overlap), [np.mean(np.abs(overlap))]])
    eye, count = np.eye(mesh.ports, dtype=complex), len(start)

    def parts(x: Floats) -> tuple[Numbers, Numbers]:
        turned = np.exp(1j * x[count:-1])[:, None] * wanted
        return turned, x[-1] * turned

    def off(x: Floats) -> Floats:
        left = matrices(mesh, x[None, :count], truth.delta, truth.loss)[0] - parts(x)[1]
        return np.concatenate([left.real.ravel(), left.imag.ravel()])

    def slopes(x: Floats) -> Floats:
        turned, target = parts(x)
        by_phase = seen(mesh, x[None, :count], truth.delta, truth.loss, eye).by_phase[0].swapaxes(0, 1)
        by_output = -1j * target[:, :, None] * eye[:, None, :]
        every = np.concatenate([by_phase, by_output, -turned[:, :, None]], axis=2).reshape(-1, len(x))
        return np.concatenate([every.real, every.imag])

    return np.asarray(least_squares(off, begin, slopes, method="trf", max_nfev=60).x[:count])


def drives_for(
    heaters: HeaterCurves, phases: Floats, lower: Floats, upper: Floats, names: Sequence[str], period: float = 2 * PI
) -> Floats:  # fmt: skip
    """(P,) volts or watts for phases (P,), crosstalk solved for, each phase with as little power as its turns allow.

    Args:
        lower, upper: (P,) limits of the port. period: by which a phase may be moved; 0: not at all.

    Raises:
        CalibrationError: a heater cannot make its phase within its limits.
    """
    low, high = heaters.own(lower), heaters.own(upper)
    whole = np.eye(len(phases)) + heaters.crosstalk
    away = phases - heaters.phase
    if period:
        away = np.asarray(low + np.mod(away - low, period))
    for _ in range(TURNS if period else 1):
        own = np.linalg.solve(whole, away)
        out = (own < low).astype(float) - (own > high)
        if not out.any():
            return np.clip(heaters.driven(own), lower, upper)
        away = away + period * out
    own = np.linalg.solve(whole, away)
    worst = int(np.argmax(np.maximum(low - own, own - high)))
    told = f"{own[worst]:.3f} rad of its own heat, and its limits leave {low[worst]:.3f} to {high[worst]:.3f} rad"
    raise CalibrationError(f"heaters/{names[worst]}: a phase of {phases[worst]:.3f} rad takes {told}")


def random_unitary(ports: int, rng: np.random.Generator) -> Numbers:
    """(N, N), of Haar's measure."""
    normal = rng.standard_normal((ports, ports)) + 1j * rng.standard_normal((ports, ports))
    q, r = np.linalg.qr(normal)
    return np.asarray(q * (np.diag(r) / np.abs(np.diag(r))))


def random_vectors(count: int, ports: int, rng: np.random.Generator) -> Numbers:
    """(B, N) of unit power."""
    normal = rng.standard_normal((count, ports)) + 1j * rng.standard_normal((count, ports))
    return np.asarray(normal / np.linalg.norm(normal, axis=1, keepdims=True))
