"""Layouts, couplers and light through meshes, against matrix exponentials and embedded matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import expm

from labonn.couplers import Coupler
from labonn.errors import ProcedureError
from labonn.meshes import LAYOUTS, Mesh, rectangular, triangular

Array = NDArray[Any]
RNG = np.random.default_rng(5)
THETA = np.array([-1.5, -0.2, 0.0, 1e-9, 0.05, 0.7, 1.4, 1.47, np.pi / 2 - 1e-9, np.pi / 2])


def embedded(mesh: Mesh, blocks: Array) -> Array:
    """The product of N x N matrices, one a coupler, read off the layout one after the other."""
    whole, k = np.eye(mesh.ports, dtype=blocks.dtype), 0
    for column in mesh.layout:
        for port in column:
            one = np.eye(mesh.ports, dtype=blocks.dtype)
            one[port : port + 2, port : port + 2] = blocks[:, :, k]
            whole, k = one @ whole, k + 1
    return whole


def test_the_triangle_of_four_ports_is_the_documented_one() -> None:
    assert [column.tolist() for column in triangular(4)] == [[0], [1], [0, 2], [1], [0]]


def test_the_rectangle_of_five_ports_is_a_brick_wall() -> None:
    assert [column.tolist() for column in rectangular(5)] == [[0, 2], [1, 3], [0, 2], [1, 3], [0, 2]]


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@pytest.mark.parametrize("ports", [1, 2, 3, 10, 20, 49])
def test_a_mesh_has_a_coupler_for_every_pair_of_ports(layout: str, ports: int) -> None:
    mesh = Mesh(ports, LAYOUTS[layout](ports))
    assert mesh.count == ports * (ports - 1) // 2
    assert len(mesh.layout) == ({"triangular": 2 * ports - 3, "rectangular": ports}[layout] if ports > 2 else ports - 1)


def test_couplers_out_of_the_mesh_or_on_a_shared_port_are_refused() -> None:
    with pytest.raises(ProcedureError, match=r"column 0 of a mesh of 3 ports: a coupler at \[2\]; allowed is 0 to 1"):
        Mesh(3, (np.array([2]),))
    with pytest.raises(ProcedureError, match=r"column 1 of a mesh of 4 ports: couplers at \[0 1\] share a port"):
        Mesh(4, (np.array([0]), np.array([0, 1])))
    with pytest.raises(ProcedureError, match="a mesh of 0 ports; at least 1"):
        triangular(0)


@pytest.mark.parametrize("z", [0.3, 1.0, 2.0])
def test_the_pt_coupler_is_the_matrix_exponential_with_the_papers_phases(z: float) -> None:
    blocks = Coupler("pt", z).blocks(THETA)[0]
    before, behind = np.exp(-1j * np.array([np.pi / 2, np.pi])), np.exp(1j * np.array([np.pi / 2, np.pi]))
    for k, theta in enumerate(THETA):
        s = np.sin(theta)
        whole = behind[:, None] * expm(z * np.array([[s, 1j], [1j, -s]])) * before
        assert np.abs(blocks[:, :, k] - whole).max() < 1e-13 * max(1, np.abs(whole).max())
        assert np.linalg.det(blocks[:, :, k]) == pytest.approx(1, abs=1e-13)


def test_a_coupler_pumped_from_one_side_is_the_exponential_of_gain_in_one_guide() -> None:
    s, z = 0.17, 0.8
    block = Coupler("pt", z, one_sided=True).blocks(np.array([np.arcsin(s)]))[0][:, :, 0]
    whole = expm(z * np.array([[2 * s, 1j], [1j, 0]]))  # g1 z/2 = 2 s Z, g2 = 0
    assert np.abs(block - np.array([[1j], [-1]]) * whole * np.array([-1j, -1])).max() < 1e-13


def test_rotations_are_orthogonal_and_full_mzis_are_what_splitters_and_phases_make() -> None:
    theta, phi = RNG.uniform(-np.pi, np.pi, (2, 20))
    turns = Coupler("rotation").blocks(theta)[0]
    full = Coupler("mzi").blocks(np.stack([theta, phi], axis=1).reshape(-1))[0]
    splitter = np.array([[1, 1j], [1j, 1]]) / np.sqrt(2)
    for k in range(20):
        assert np.abs(turns[:, :, k] @ turns[:, :, k].T - np.eye(2)).max() < 1e-15
        arms, inputs = (np.diag([np.exp(1j * (value + np.pi)), 1]) for value in (theta[k], phi[k]))
        assert np.abs(full[:, :, k] - splitter @ arms @ splitter @ inputs).max() < 1e-14


EVERY = [Coupler("pt"), Coupler("pt", 2.0), Coupler("pt", one_sided=True), Coupler("rotation"), Coupler("mzi")]


@pytest.mark.parametrize("coupler", EVERY, ids=str)
def test_derivatives_of_couplers_agree_with_finite_differences(coupler: Coupler) -> None:
    per, step = len(coupler.parameters), 1e-3
    theta = np.stack([THETA] * per, axis=1) + 0.3 * np.arange(per)
    changes = coupler.blocks(theta.reshape(-1), derivatives=True)[1]
    assert changes.shape == (per, 2, 2, len(THETA))
    for d in range(per):
        moved = [coupler.blocks((theta + m * step * (np.arange(per) == d)).reshape(-1))[0] for m in (-2, -1, 1, 2)]
        found = (8 * (moved[2] - moved[1]) - (moved[3] - moved[0])) / (12 * step)
        assert np.abs(found - changes[d]).max() < 1e-10


def test_unknown_couplers_are_refused() -> None:
    with pytest.raises(ProcedureError, match="couplers of kind 'ring'; allowed are pt, rotation, mzi"):
        Coupler("ring")
    with pytest.raises(ProcedureError, match="Z = 0; a positive"):
        Coupler("pt", 0.0)
    with pytest.raises(ProcedureError, match="no gain that could be one-sided"):
        Coupler("mzi", one_sided=True)


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@pytest.mark.parametrize("kind", ["pt", "rotation", "mzi"])
def test_a_mesh_is_the_product_of_its_embedded_couplers(kind: str, layout: str) -> None:
    mesh, coupler = Mesh(7, LAYOUTS[layout](7)), Coupler(kind)
    blocks = coupler.blocks(RNG.uniform(-1, 1, mesh.count * len(coupler.parameters)))[0]
    whole = embedded(mesh, blocks)
    assert np.abs(mesh.matrix(blocks) - whole).max() < 1e-13
    fields = RNG.normal(size=(7, 3))
    assert np.abs(mesh.forward(blocks, fields)[0] - whole @ fields).max() < 1e-13
    assert np.abs(mesh.backward(blocks, fields)[0] - whole.T @ fields).max() < 1e-13
    if kind != "pt":
        assert np.abs(whole @ whole.conj().T - np.eye(7)).max() < 1e-13


def test_a_layout_of_ones_own_needs_no_regular_columns() -> None:
    mesh = Mesh(8, (np.array([5, 0]), np.array([], int), np.array([1, 6, 3])))
    blocks = Coupler("pt").blocks(RNG.uniform(-1, 1, 5))[0]
    assert np.abs(mesh.matrix(blocks) - embedded(mesh, blocks)).max() < 1e-14


def test_light_of_single_precision_stays_single() -> None:
    mesh = Mesh(4, triangular(4))
    blocks = Coupler("pt").blocks(np.full(6, 0.1))[0].astype(np.float32)
    out, arrived = mesh.forward(blocks, np.ones((4, 2), np.float32))
    assert out.dtype == arrived.dtype == np.float32
