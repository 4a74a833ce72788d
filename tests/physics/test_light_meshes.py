"""Meshes against products of explicitly embedded matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sim_backends.physics import couplers
from sim_backends.physics.meshes import Mesh

TRIANGLE = ([0], [1], [0, 2], [1, 3], [0, 2, 4], [1, 3], [0, 2], [1], [0])
IRREGULAR: tuple[list[int], ...] = ([0, 3], [], [1, 4], [0, 2, 4], [4, 1])
LAYOUTS = [TRIANGLE, IRREGULAR]


def embedded(layout: Any, blocks: NDArray[Any], ports: int) -> list[NDArray[Any]]:
    """One N x N matrix a coupler, in the order of the light."""
    matrices = []
    for upper, block in zip([i for column in layout for i in column], blocks, strict=True):
        matrix = np.eye(ports, dtype=blocks.dtype)
        matrix[upper : upper + 2, upper : upper + 2] = block
        matrices.append(matrix)
    return matrices


def product(matrices: list[NDArray[Any]], ports: int = 6) -> NDArray[Any]:
    whole: NDArray[Any] = np.eye(ports)
    for matrix in matrices:
        whole = matrix @ whole
    return whole


def settings(mesh: Mesh, kind: str, count: tuple[int, ...] = ()) -> NDArray[Any]:
    rng = np.random.default_rng(3)
    draw = rng.uniform(-1, 1, (2, *count, mesh.count))
    return couplers.pt_real_form(draw[0] * 0.5) if kind == "real" else couplers.mzi(draw[0], draw[1])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["real", "complex"])
def test_the_matrix_is_the_product_of_embedded_couplers(layout: Any, kind: str) -> None:
    mesh = Mesh(layout, 6)
    blocks = settings(mesh, kind)
    whole = product(embedded(layout, blocks, 6))
    assert np.allclose(mesh.matrix(blocks), whole, atol=1e-13)
    fields = np.random.default_rng(4).normal(size=(3, 4, 6))
    assert np.allclose(mesh.propagate(blocks, fields), fields @ whole.T, atol=1e-13)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_many_settings_at_once_are_each_on_its_own(layout: Any) -> None:
    mesh = Mesh(layout, 6)
    blocks = settings(mesh, "complex", (5,))
    fields = np.random.default_rng(4).normal(size=(3, 6))
    together = mesh.propagate(blocks, fields)
    assert together.shape == (5, 3, 6)
    for one, block in zip(together, blocks, strict=True):
        assert np.allclose(one, fields @ product(embedded(layout, block, 6)).T, atol=1e-13)
    assert mesh.matrix(blocks).shape == (5, 6, 6)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_prefix_and_suffix_are_what_stands_before_and_behind_each_coupler(layout: Any) -> None:
    mesh = Mesh(layout, 6)
    blocks = settings(mesh, "complex")
    matrices = embedded(layout, blocks, 6)
    fields, weights = np.random.default_rng(5).normal(size=(2, 6, 4))
    prefix, suffix = mesh.prefix(blocks), mesh.suffix(blocks)
    for k, upper in enumerate([i for column in layout for i in column]):
        before, behind = product(matrices[:k]), product(matrices[k + 1 :])
        assert np.allclose(prefix[k], before[upper : upper + 2], atol=1e-13)
        assert np.allclose(suffix[k], behind[:, upper : upper + 2].T, atol=1e-13)
        assert np.allclose(mesh.prefix(blocks, fields)[k], (before @ fields)[upper : upper + 2], atol=1e-13)
        assert np.allclose(mesh.suffix(blocks, weights)[k], (behind.T @ weights)[upper : upper + 2], atol=1e-13)


def test_a_mesh_of_mzis_conserves_energy() -> None:
    mesh = Mesh(TRIANGLE, 6)
    fields = np.random.default_rng(6).normal(size=(20, 6))
    out = mesh.propagate(settings(mesh, "complex"), fields)
    assert np.allclose(np.sum(np.abs(out) ** 2, axis=1), np.sum(fields**2, axis=1), rtol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_light_keeps_its_precision(dtype: type) -> None:
    mesh = Mesh(TRIANGLE, 6)
    blocks = settings(mesh, "real")
    exact = mesh.matrix(blocks)
    found = mesh.matrix(blocks.astype(dtype))
    assert found.dtype == dtype
    assert np.allclose(found, exact, atol=1e-5 if np.finfo(dtype).eps > 1e-10 else 1e-14)


def test_layouts_that_cannot_be_built_are_refused() -> None:
    with pytest.raises(ValueError, match="column 1: upper ports 0 to 5; allowed is 0 to 4"):
        Mesh(([0], [0, 5]), 6)
    with pytest.raises(ValueError, match=r"column 0: two couplers at one port in \[0, 1\]"):
        Mesh(([0, 1],), 6)
