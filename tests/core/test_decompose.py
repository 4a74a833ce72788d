"""Given matrices on meshes: whatever is asked for, the believed mesh with the found settings makes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import ortho_group, special_ortho_group, unitary_group

from labonn.believed import ChipModel
from labonn.couplers import Coupler
from labonn.decompose import MeshAngles, absorb_signs, mzi_angles, rotation_angles
from labonn.errors import ProcedureError
from labonn.mapping import LayerAngles, chip_parameters, fit_weights, layer_angles
from labonn.meshes import LAYOUTS, Mesh

Array = NDArray[Any]
BOTH = pytest.mark.parametrize("layout", sorted(LAYOUTS))


def made(kind: str, layout: str, angles: MeshAngles) -> Array:
    mesh = Mesh(len(angles.output_phases), LAYOUTS[layout](len(angles.output_phases)))
    return np.exp(1j * angles.output_phases)[:, None] * mesh.matrix(Coupler(kind).blocks(angles.theta)[0])


def special(size: int, seed: int) -> Array:
    return np.asarray(special_ortho_group.rvs(size, random_state=seed)) if size > 1 else np.eye(1)


@BOTH
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 10, 49])
def test_a_rotation_of_space_is_made_within_two_pi_and_signs_at_the_outputs(size: int, layout: str) -> None:
    wanted = special(size, size)
    angles = rotation_angles(wanted, layout)
    assert np.abs(made("rotation", layout, angles) - wanted).max() < 1e-12
    assert np.all(np.abs(angles.theta) <= np.pi)
    assert set(angles.output_phases) <= {0.0, np.pi}


@BOTH
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 10, 49])
def test_signs_are_absorbed_by_a_few_heaters_of_four_pi(size: int, layout: str) -> None:
    wanted = special(size, 7 * size)
    angles = absorb_signs(rotation_angles(wanted, layout), layout)
    assert not angles.output_phases.any()
    assert np.abs(made("rotation", layout, angles) - wanted).max() < 1e-12
    assert np.all((angles.theta >= -np.pi) & (angles.theta <= 3 * np.pi))
    assert np.sum(angles.theta > np.pi * (1 + 1e-12)) <= size - 1


@BOTH
def test_a_mirror_image_leaves_an_odd_number_of_signs_which_rotations_cannot_make(layout: str) -> None:
    wanted = np.asarray(ortho_group.rvs(6, random_state=3))
    wanted[0] *= -np.sign(np.linalg.det(wanted))
    angles = rotation_angles(wanted, layout)
    assert np.abs(made("rotation", layout, angles) - wanted).max() < 1e-12
    with pytest.raises(ProcedureError, match=r"[135] negative outputs: rotations make determinant 1 only"):
        absorb_signs(angles, layout)


@BOTH
@pytest.mark.parametrize("wanted", [np.eye(5), np.eye(5)[::-1], np.diag([1, -1, -1, 1, 1.0]), np.roll(np.eye(5), 2, axis=0)], ids=str)
def test_matrices_full_of_zeros_are_no_exception(wanted: Array, layout: str) -> None:
    assert np.abs(made("rotation", layout, rotation_angles(wanted, layout)) - wanted).max() < 1e-12
    assert np.abs(made("mzi", layout, mzi_angles(1j * wanted, layout)) - 1j * wanted).max() < 1e-12


@BOTH
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 10, 49])
def test_a_unitary_is_made_by_full_mzis_and_phases_at_the_outputs(size: int, layout: str) -> None:
    wanted = np.asarray(unitary_group.rvs(size, random_state=size)).reshape(size, size)
    angles = mzi_angles(wanted, layout)
    assert angles.theta.shape == (size * (size - 1),)
    assert np.abs(made("mzi", layout, angles) - wanted).max() < 1e-12
    assert np.all(np.abs(angles.theta) <= np.pi)


def test_what_no_mesh_can_make_is_refused_with_the_error() -> None:
    with pytest.raises(ProcedureError, match=r"M M\^dagger differs from 1 by 3; less than 1e-09"):
        rotation_angles(2 * np.eye(3))
    with pytest.raises(ProcedureError, match="differs from 1 by nan"):
        mzi_angles(np.full((2, 2), np.nan))
    with pytest.raises(ProcedureError, match="rotations makes real matrices only"):
        rotation_angles(1j * np.eye(3))
    with pytest.raises(ProcedureError, match=r"square matrices; this one has shape \(2, 3\)"):
        mzi_angles(np.ones((2, 3)))
    with pytest.raises(ProcedureError, match="layout 'round'; allowed are triangular, rectangular"):
        rotation_angles(np.eye(2), "round")


def shown(kind: str, layout: str, found: LayerAngles, inputs: int, gain: float) -> Array:
    outputs = len(found.attenuators)
    first, second = (
        Mesh(size, LAYOUTS[layout](size)).matrix(Coupler(kind).blocks(theta)[0])
        for size, theta in ((inputs, found.before), (outputs, found.behind))
    )
    phases = np.exp(1j * found.output_phases)[:, None]
    return found.scale * phases * (second @ np.diag(gain * np.cos(found.attenuators / 2)) @ first[:outputs])


@BOTH
@pytest.mark.parametrize("kind", ["rotation", "mzi"])
@pytest.mark.parametrize("shape", [(20, 49), (10, 20), (5, 5), (3, 4), (1, 1)], ids=str)
def test_any_real_matrix_is_made_by_a_layer(shape: tuple[int, int], kind: str, layout: str) -> None:
    wanted = np.random.default_rng(shape[0]).normal(size=shape)
    found = layer_angles(wanted, kind, layout, gain=1.7)
    assert np.abs(shown(kind, layout, found, shape[1], 1.7) - wanted).max() < 1e-12 * found.scale
    assert all(np.all(np.abs(theta) <= np.pi) for theta in (found.before, found.attenuators, found.behind))


@BOTH
@pytest.mark.parametrize("seed", range(4))
def test_a_layer_with_more_inputs_than_outputs_needs_no_signs_at_its_outputs(seed: int, layout: str) -> None:
    wanted = np.random.default_rng(seed).normal(size=(4, 7))
    found = layer_angles(wanted, layout=layout, absorb=True)
    assert not found.output_phases.any()
    assert np.abs(shown("rotation", layout, found, 7, 1.0) - wanted).max() < 1e-12 * found.scale
    assert sum(np.sum(theta > np.pi * (1 + 1e-12)) for theta in (found.before, found.behind)) <= 4


def test_degenerate_weights_are_no_exception() -> None:
    for wanted in (np.zeros((2, 3)), np.ones((2, 3)), np.eye(2, 3)):
        assert np.abs(shown("rotation", "triangular", layer_angles(wanted), 3, 1.0) - wanted).max() < 1e-12


def test_a_layer_that_cannot_be_made_says_why() -> None:
    with pytest.raises(ProcedureError, match="weights of 3 outputs and 2 inputs"):
        layer_angles(np.ones((3, 2)))
    with pytest.raises(ProcedureError, match=r"a singular value of 2; scale 1 and gain 1\.5 reach 1.5"):
        layer_angles(2 * np.eye(2), gain=1.5, scale=1.0)
    with pytest.raises(ProcedureError, match="couplers of kind 'pt' have no decomposition"):
        layer_angles(np.eye(2), "pt")


def test_a_chip_shows_the_weights_it_was_given() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=(4, 6)), rng.normal(size=(3, 4))
    model = ChipModel((6, 4, 3), Coupler("rotation"))
    theta, one, two = chip_parameters(model, first, second, absorb=True)
    weights = model.weights(theta)
    assert np.abs(one.scale * weights[0] - first).max() < 1e-12 * one.scale
    assert np.abs(two.scale * weights[1] - second).max() < 1e-12 * two.scale
    with pytest.raises(ProcedureError, match=r"the chip has \(4, 6\) and \(3, 4\)"):
        chip_parameters(model, second, first)


def test_a_pt_chip_is_fitted_to_weights_that_it_can_make() -> None:
    model = ChipModel((6, 4, 3))
    rng = np.random.default_rng(4)
    hidden = model.random(rng, share=0.9)
    found = fit_weights(model, model.random(rng), *model.weights(hidden))
    assert max(found.misfits) < 1e-3
    lower, upper = model.nominal_range()
    assert np.all((found.theta >= lower) & (found.theta <= upper))
