"""The light of a chip of heaters (mesh, attenuators, mesh; twice) with derivatives of both weight matrices by all phases; many settings.

As labonn.believed has it, in the same order of parameters, theta = phase - pi; but for many settings at once, and with the matrices'
derivatives themselves, which least squares need.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labonn.believed import ChipModel
from labonn.calibration.mesh.light import derivative, through
from labonn.channels import Floats
from labonn.meshes import Mesh, Numbers


@dataclass(frozen=True)
class LayerSeen:
    """Attributes: weights: (S, n_out, n_in). by_phase: (S, n_in, n_out, P_layer), in the order of the layer's parameters."""

    weights: Numbers
    by_phase: Numbers


def layer_seen(model: ChipModel, layer: int, phases: Floats) -> LayerSeen:
    """A layer (1 or 2) at phases (S, P) of all heaters."""
    before, behind = (model.meshes[f"{layer}{part}"] for part in "ab")
    kept, count = model.sizes[layer], len(phases)
    first, second = (_blocks(model, f"{layer}{part}", phases) for part in "ab")
    angles = 0.5 * (phases[:, model.slices[f"amp{layer}"]] - np.pi).T  # (kept, S)
    factor, slope = model.gain * np.cos(angles), -0.5 * model.gain * np.sin(angles)
    light = _eye(before.ports, count)
    arrived_before = through(before, first[0], light)
    lit = light[:kept].copy()
    light = factor[:, :, None] * lit
    arrived_behind = through(behind, second[0], light)
    back = _eye(kept, count)
    left_behind = through(behind, second[0].swapaxes(0, 1), back, backward=True)
    by_amplifier = np.einsum("ksi,kso,ks->siok", lit, back, slope)
    ahead = np.zeros((before.ports, count, kept), complex)
    ahead[:kept] = factor[:, :, None] * back
    left_before = through(before, first[0].swapaxes(0, 1), ahead, backward=True)
    parts = [_by_phase(left_before, first[1], arrived_before), by_amplifier, _by_phase(left_behind, second[1], arrived_behind)]
    return LayerSeen(np.asarray(light.transpose(1, 0, 2)), np.concatenate(parts, axis=3))


def layer_weights(model: ChipModel, layer: int, phases: Floats) -> Numbers:
    """(S, n_out, n_in) alone."""
    before, behind = (model.meshes[f"{layer}{part}"] for part in "ab")
    light = _eye(before.ports, len(phases))
    through(before, _blocks(model, f"{layer}a", phases)[0], light)
    angles = 0.5 * (phases[:, model.slices[f"amp{layer}"]] - np.pi).T
    light = model.gain * np.cos(angles)[:, :, None] * light[: model.sizes[layer]]
    through(behind, _blocks(model, f"{layer}b", phases)[0], light)
    return np.asarray(light.transpose(1, 0, 2))


def places_of(model: ChipModel) -> Floats:
    """(P, 3) column, row and kind of every heater: theta, phi, attenuator."""
    found, start = [], 0
    for stage in model.slices:
        if stage in model.meshes:
            mesh: Mesh = model.meshes[stage]
            per = len(model.coupler.parameters)
            columns, tops = np.repeat(mesh.columns, per) + start, np.repeat(mesh.tops, per)
            found.append(np.stack([columns, tops, np.tile(np.arange(per), mesh.count)], axis=1))
            start += int(mesh.columns.max()) + 1
        else:
            count = model.sizes[int(stage[-1])]
            rows = np.arange(count) - 0.5  # of couplers, which are counted by their upper ports
            found.append(np.stack([np.full(count, start), rows, np.full(count, 2)], axis=1))
            start += 1
    return np.concatenate(found).astype(np.float64)


def _blocks(model: ChipModel, name: str, phases: Floats) -> tuple[Numbers, Numbers]:
    """(2, 2, K, S) blocks of a mesh and (D, 2, 2, K, S) derivatives."""
    theta = phases[:, model.slices[name]] - np.pi
    count, per = model.meshes[name].count, len(model.coupler.parameters)
    block, changes = model.coupler.blocks(theta.reshape(-1), derivatives=True)
    shape = len(phases), count
    moved = np.moveaxis(block.reshape(2, 2, *shape), 2, 3).astype(complex)
    return moved, np.moveaxis(changes.reshape(per, 2, 2, *shape), 3, 4).astype(complex)


def _by_phase(left: Numbers, changes: Numbers, arrived: Numbers) -> Numbers:
    """(S, n_in, n_out, K D), the parameters of a coupler side by side."""
    made = [derivative(left, change, arrived) for change in changes]
    return np.stack(made, axis=-1).reshape(*made[0].shape[:3], -1)


def _eye(size: int, count: int) -> Numbers:
    return np.repeat(np.eye(size, dtype=complex)[:, None, :], count, axis=1)
