"""Given matrices as settings of MZI meshes: Reck's elimination for triangular meshes, Clements' for rectangular ones.

A coupler turns by |h| <= pi/2 here, h = theta/2, which is what a heater of 0 to 2 pi reaches. Phases that are left over are returned as
phases of the outputs, or, being signs, made by a few heaters of up to 4 pi.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labonn.errors import ProcedureError
from labonn.meshes import LAYOUTS, Mesh, Numbers

_ROUNDING = 1e-9  # largest error of M M^dagger that counts as rounding
Real = NDArray[np.float64]
_Step = tuple[int, float, float | None]  # port, phase in front of it, and h of a turn of (port, port + 1) behind it


@dataclass(frozen=True)
class MeshAngles:
    """Settings of a mesh: matrix = diag(exp(i output_phases)) x mesh.

    Attributes:
        theta: (K,) parameters, or (2 K,) for full MZIs: theta and phi of a coupler side by side.
        output_phases: (N,); 0 or pi for a mesh of rotations.
    """

    theta: Real
    output_phases: Real


def rotation_angles(matrix: Real, layout: str = "triangular") -> MeshAngles:
    """A real orthogonal matrix (N, N) on a mesh of rotations, theta within +-pi; signs stay at the outputs.

    Raises:
        ProcedureError: complex, or not orthogonal.
    """
    if np.iscomplexobj(matrix):
        raise ProcedureError("a mesh of rotations makes real matrices only; this one is complex")
    signs, ports, halves = np.ones(len(matrix)), list[int](), list[float]()
    for port, phase, h in _light_order(matrix, layout):
        signs[port] *= np.cos(phase)
        if h is not None:  # diag(a, b) behind R(h) is R(a b h) behind diag(a, b)
            ports.append(port)
            halves.append(h * signs[port] * signs[port + 1])
    theta = 2 * np.array(halves)[_numbering(ports, len(matrix), layout)]
    return MeshAngles(theta, np.where(signs < 0, np.pi, 0.0))


def mzi_angles(matrix: Numbers, layout: str = "triangular") -> MeshAngles:
    """A unitary matrix (N, N) on a mesh of full MZIs, all theta and phi within +-pi.

    Raises:
        ProcedureError: not unitary.
    """
    pending, ports, angles = np.zeros(len(matrix)), list[int](), list[tuple[float, float]]()
    for port, phase, h in _light_order(matrix, layout):
        pending[port] += phase
        if h is not None:  # the MZI's own phase, h in both outputs, is owed to what follows
            ports.append(port)
            angles.append((2 * h, pending[port] - pending[port + 1]))
            pending[port + 1] -= h
            pending[port] = pending[port + 1]
    theta = np.reshape(angles, (-1, 2))[_numbering(ports, len(matrix), layout)].reshape(-1)
    return MeshAngles(_wrapped(theta), _wrapped(pending))


def absorb_signs(angles: MeshAngles, layout: str = "triangular") -> MeshAngles:
    """The signs of a mesh of rotations taken from the outputs into at most N - 1 couplers, whose theta is then pi to 3 pi.

    Raises:
        ProcedureError: an odd number of signs, so that the matrix has determinant -1 and no rotations make it.
    """
    signs = np.where(np.cos(angles.output_phases) < 0, -1, 1)
    if np.prod(signs) < 0:
        raise ProcedureError(f"{np.sum(signs < 0)} negative outputs: rotations make determinant 1 only, so they must be even in number")
    mesh, halves, turning = Mesh(len(signs), LAYOUTS[layout](len(signs))), 0.5 * angles.theta, 0
    for k, port in reversed(tuple(enumerate(mesh.tops))):
        upper, lower = signs[port], signs[port + 1]
        if port == turning and upper < 0:  # -R(h) = R(h + pi) hands the sign on to the port below
            halves[k] = halves[k] + np.pi if lower < 0 else np.pi - halves[k]
            signs[port], signs[port + 1] = 1, -lower
        else:
            halves[k] *= upper * lower
        turning += port == turning
    return MeshAngles(2 * halves, np.zeros(len(signs)))


def _light_order(matrix: Numbers, layout: str) -> Iterator[_Step]:
    """The matrix as phases and turns in the order of the light; a real one has phases of 0 and pi only."""
    if layout not in LAYOUTS:
        raise ProcedureError(f"meshes of layout {layout!r}; allowed are {', '.join(LAYOUTS)}")
    rest = np.array(matrix, np.result_type(matrix, np.float64))
    if rest.ndim != 2 or rest.shape[0] != rest.shape[1]:
        raise ProcedureError(f"a mesh makes square matrices; this one has shape {rest.shape}")
    error = float(np.abs(rest @ rest.conj().T - np.eye(len(rest))).max())
    if not error < _ROUNDING:
        raise ProcedureError(f"M M^dagger differs from 1 by {error:.3g}; less than {_ROUNDING:g} is wanted where nothing is lost")
    behind = list[_Step]()
    for row, column, from_left in _nulls(len(rest), layout):
        if from_left:
            phase, h = _null(rest[row, column], rest[row - 1, column])
            rest[row - 1] *= _turned(phase, rest)
            rest[row - 1 : row + 1] = _rotation(h) @ rest[row - 1 : row + 1]
            behind += [(row - 1, -phase, None), (row - 1, 0.0, -h)]
        else:
            phase, h = _null(-rest[row, column], rest[row, column + 1])
            rest[:, column] *= np.conj(_turned(phase, rest))
            rest[:, column : column + 2] = rest[:, column : column + 2] @ _rotation(h).T
            yield column, phase, h
    yield from ((port, float(np.angle(value)), None) for port, value in enumerate(np.diag(rest)))
    yield from reversed(behind)


def _nulls(size: int, layout: str) -> Iterator[tuple[int, int, bool]]:
    """(row, column, whether by turning rows) of the elements to null, in their order."""
    if layout == "triangular":
        yield from ((row, column, False) for row in range(size - 1, 0, -1) for column in range(row))
        return
    for i in range(1, size):  # Clements et al. 2016: antidiagonals from the lower left corner, by columns and by rows in turn
        for j in range(i):
            yield (size - 1 - j, i - 1 - j, False) if i % 2 else (size - i + j, j, True)


def _null(lost: complex, kept: complex) -> tuple[float, float]:
    """(phase within a quarter turn, h) with tan h = lost exp(-i phase) / kept; a real ratio needs no phase."""
    phase = float(np.angle(lost) - np.angle(kept)) if lost and kept else 0.0
    turns = round(phase / np.pi)
    return phase - np.pi * turns, float(np.arctan2(abs(lost), abs(kept))) * (-1 if turns % 2 else 1)


def _turned(phase: float, like: Numbers) -> complex:
    return complex(np.exp(1j * phase)) if np.iscomplexobj(like) else 1.0


def _rotation(h: float) -> Real:
    return np.array([[np.cos(h), np.sin(h)], [-np.sin(h), np.cos(h)]])


def _numbering(ports: list[int], size: int, layout: str) -> NDArray[np.intp]:
    """(K,) which of the turns, in the order of the light, each coupler of the layout is."""
    tops = Mesh(size, LAYOUTS[layout](size)).tops
    order = np.empty(len(ports), np.intp)
    order[np.argsort(tops, kind="stable")] = np.argsort(ports, kind="stable")
    return order


def _wrapped(phases: Real) -> Real:
    return np.asarray(phases - 2 * np.pi * np.rint(phases / (2 * np.pi)))
