"""Random unitaries on a mesh: set as the bench file believes it to be and as it was found to be, and compared by fresh random vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labonn.bench import Plan
from labonn.calibration.mesh.bank import MeshSweep
from labonn.calibration.mesh.design import MeshDesign
from labonn.calibration.mesh.fit import MeshTruth
from labonn.calibration.mesh.light import matrices
from labonn.calibration.mesh.programs import drives_for, fidelity, ideal_phases, phases_for, random_unitary, random_vectors
from labonn.channels import Floats
from labonn.meshes import Numbers


@dataclass(frozen=True)
class Programmed:
    """What unitaries came to.

    Attributes:
        measured: (U,) overlaps (sum of sqrt(p q))^2 of output powers with those wanted, averaged over random vectors. expected: (U,)
        fidelities by what was fitted. rms: (U,) of measured minus wanted output powers, over the rms of those.
        wanted, powers: (U, B, N) output powers.
    """

    measured: Floats
    expected: Floats
    rms: Floats
    wanted: Floats
    powers: Floats


def programmed(
    design: MeshDesign, sweep: MeshSweep, nominal: MeshTruth, found: MeshTruth, count: int, rng: np.random.Generator
) -> Plan[tuple[Programmed, Programmed]]:  # fmt: skip
    """Random unitaries, set as the bench file believes the mesh to be and as it was found to be; fresh random vectors through both."""
    wanted = [random_unitary(design.ports, rng) for _ in range(count)]
    vectors = random_vectors(2 * design.ports, design.ports, rng)
    layout = design.size.layout
    one = [drives_for(nominal.heaters, ideal_phases(u, layout), sweep.lower, sweep.upper, sweep.names) for u in wanted]
    phases = [phases_for(u, design.mesh, layout, found) for u in wanted]
    two = [drives_for(found.heaters, p, sweep.lower, sweep.upper, sweep.names) for p in phases]
    driven = np.stack(one + two)
    y, _ = yield from sweep.read(driven, np.concatenate([vectors, found.settings(vectors)]))
    made = matrices(design.mesh, found.heaters.phases(driven), found.delta, found.loss)
    parts = (slice(count), slice(len(vectors))), (slice(count, None), slice(len(vectors), None))
    both = [_compared(wanted, y[u, b], made[u], vectors, found.volts) for u, b in parts]
    return both[0], both[1]


def _compared(wanted: list[Numbers], y: Floats, made: Numbers, vectors: Numbers, volts: Floats) -> Programmed:
    target = np.square(np.abs(np.stack([vectors @ u.T for u in wanted])))
    power = np.maximum(y / volts, 0.0)
    power = power / power.sum(axis=2, keepdims=True)
    overlap = np.square(np.sum(np.sqrt(power * target), axis=2))
    rms = np.sqrt(np.mean(np.square(power - target), axis=(1, 2)) / np.mean(np.square(target), axis=(1, 2)))
    expected = np.array([fidelity(u, w) for u, w in zip(wanted, made, strict=True)])
    return Programmed(overlap.mean(axis=1), expected, rms, target, power)
