"""The light of a mesh of interferometers with imperfect splitters and losses, with derivatives by everything; many settings at once.

A coupler is exp(-loss) splitter(d2) diag(e^{i theta}, 1) splitter(d1) diag(e^{i phi}, 1), with splitter(d) = [[cos a, i sin a],
[i sin a, cos a]] of a = pi/4 + d. Derivatives come from the fields at the couplers' inputs and from what their outputs give at the
mesh's (PHYSICS: on-chip gradients); nothing loops but over columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labonn.channels import Floats
from labonn.meshes import Mesh, Numbers


@dataclass(frozen=True)
class Seen:
    """Fields (S, B, N) at the outputs, and their derivatives.

    Attributes:
        matrix: (S, N, N) the mesh. by_phase: (S, B, N, 2 K). by_delta: (S, B, N, 2 K), first and second splitter side by side.
        by_loss: (S, B, N, K).
    """

    fields: Numbers
    matrix: Numbers
    by_phase: Numbers
    by_delta: Numbers
    by_loss: Numbers


def matrices(mesh: Mesh, phases: Floats, delta: Floats, loss: Floats) -> Numbers:
    """(S, N, N) at phases (S, 2 K), with splitters off by (K, 2) and losses (K,) in nepers."""
    blocks = blocks_of(phases, delta, loss)[0]
    light = np.repeat(np.eye(mesh.ports, dtype=complex)[:, None, :], len(phases), axis=1)
    through(mesh, blocks, light)
    return np.asarray(light.transpose(1, 0, 2))


def seen(mesh: Mesh, phases: Floats, delta: Floats, loss: Floats, fields: Numbers) -> Seen:
    """What fields (B, N) become at phases (S, 2 K)."""
    blocks, changes = blocks_of(phases, delta, loss)
    light = np.repeat(np.asarray(fields.T, complex)[:, None, :], len(phases), axis=1)
    arrived = through(mesh, blocks, light)
    back = np.repeat(np.eye(mesh.ports, dtype=complex)[:, None, :], len(phases), axis=1)
    left = through(mesh, blocks.swapaxes(0, 1), back, backward=True)
    matrix = np.asarray(back.transpose(1, 2, 0))
    made = [derivative(left, change, arrived) for change in (*changes, blocks)]
    by_phase, by_delta = (np.stack(made[i : i + 2], axis=-1).reshape(*made[0].shape[:3], -1) for i in (0, 2))
    return Seen(np.asarray(light.transpose(1, 2, 0)), matrix, by_phase, by_delta, -made[4])


def derivative(left: Numbers, change: Numbers, arrived: Numbers) -> Numbers:
    """(S, B, N, K) from (K, 2, S, N), (2, 2, K, S) and (K, 2, S, B)."""
    moved = np.einsum("ijks,kjsb->skib", change, arrived)
    return np.asarray(np.matmul(left.transpose(2, 0, 3, 1), moved).transpose(0, 3, 2, 1))


def blocks_of(phases: Floats, delta: Floats, loss: Floats) -> tuple[Numbers, tuple[Numbers, ...]]:
    """(2, 2, K, S) blocks, and their derivatives by theta, phi and the errors of the first and the second splitter."""
    inner, outer = np.exp(1j * phases[:, 0::2].T), np.exp(1j * phases[:, 1::2].T)
    one, zero = np.ones_like(inner), np.zeros_like(inner)
    first, second = (_splitter(delta[:, i]) for i in (0, 1))
    by_first, by_second = (_splitter(delta[:, i] + np.pi / 2) for i in (0, 1))
    factor = np.exp(-loss)[:, None]

    def product(last: Numbers, middle: Numbers, front: Numbers, lead: Numbers) -> Numbers:
        made = np.einsum("ijk,jks,jlk->ilks", last, middle, front)
        return np.asarray(factor * made * lead)

    theta, phi = np.stack([inner, one]), np.stack([outer, one])
    block = product(second, theta, first, phi)
    return block, (
        product(second, np.stack([1j * inner, zero]), first, phi), product(second, theta, first, np.stack([1j * outer, zero])),
        product(second, theta, by_first, phi), product(by_second, theta, first, phi),
    )  # fmt: skip


def _splitter(delta: Floats) -> Numbers:
    """(2, 2, K)."""
    angle = np.pi / 4 + delta
    cosine, sine = np.cos(angle) + 0j, 1j * np.sin(angle)
    return np.array([[cosine, sine], [sine, cosine]])


def through(mesh: Mesh, blocks: Numbers, light: Numbers, backward: bool = False) -> Numbers:
    """Take `light` (N, S, B) through the mesh in place; (K, 2, S, B) what arrived at the couplers (from behind: the transposed way)."""
    arrived = np.empty((mesh.count, 2, *light.shape[1:]), complex)
    columns = np.unique(mesh.columns)
    for column in columns[::-1] if backward else columns:
        which = np.flatnonzero(mesh.columns == column)
        ports = np.stack([mesh.tops[which], mesh.tops[which] + 1], axis=1)
        arrived[which] = light[ports]
        light[ports.T] = np.einsum("ijks,kjsb->iksb", blocks[:, :, which], arrived[which])
    return arrived
