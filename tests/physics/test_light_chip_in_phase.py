"""What makes chips fast: real numbers where one quadrature is seen, noises drawn together, crosstalk shared by settings that are alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from sim_backends.physics.chip import Chip
from sim_backends.physics.chip_runs import times
from sim_backends.physics.chip_stages import AmplifierStage, Detection, MeshStage
from sim_backends.physics.coupler_laws import ExponentialLaw, PtLaw
from sim_backends.physics.drives import Dense, Edits, Sparse
from sim_backends.physics.meshes import Mesh
from sim_backends.physics.noise import Noise

Array = NDArray[Any]
LAYOUT = ((0,), (1,), (0, 2), (1,), (0,))


def chip(dtype: Any = np.complex128) -> Chip:
    """4-4-4 of complex light, with amplifiers that give less to strong fields."""
    law = PtLaw(1.0, True, 3.0)
    amplifiers = AmplifierStage(4, ExponentialLaw(alpha_h=3.0), lambda fields, factors: fields / np.sqrt(1 + 0.1 * np.abs(fields) ** 2))
    mesh = MeshStage(Mesh(LAYOUT, 4), law)
    return Chip([mesh, amplifiers, mesh, Detection(4, 4), mesh, amplifiers, mesh], dtype)


def drawn(made: Chip, seed: int = 1) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return rng.uniform(-0.3, 0.3, made.parameters), rng.uniform(0, 1, (5, 4))


def sigmoid(fields: Array, rows: slice) -> Array:
    return np.asarray(1 / (1 + np.exp(-fields.real)))


def moved(base: Array) -> Sparse:
    channels = np.repeat(np.arange(len(base)), 2)
    values = base[channels] + np.tile([0.1, -0.07], len(base))
    return Sparse(base, np.append(channels, 0)[:, None], np.append(values, base[0])[:, None])


@pytest.mark.parametrize("mixed", [False, True])
def test_light_seen_in_phase_is_the_real_part_of_all_light(mixed: bool) -> None:
    made = chip()
    base, x = drawn(made)
    drive = moved(base)
    if mixed:
        near = sparse.diags([0.01, 0.01], [-1, 1], shape=(len(base),) * 2, format="csr")  # type: ignore[list-item]
        drive = Sparse(base, drive.channels, drive.values, near)
    seen: list[Array] = []

    def noted(fields: Array, rows: slice) -> Array:
        seen.append(np.array(fields))
        return sigmoid(fields, rows)

    whole, real = made.outputs(drive, x, noted), made.outputs(drive, x, noted, in_phase=True)
    assert np.iscomplexobj(whole)
    assert real.dtype == np.float64
    assert np.abs(whole.imag).max() > 0.01
    assert np.allclose(real, whole.real, rtol=0, atol=1e-13)
    assert np.iscomplexobj(seen[0])
    assert seen[1].dtype == np.float64
    assert np.allclose(seen[1], seen[0].real, rtol=0, atol=1e-13)


def test_dense_settings_seen_in_phase_are_the_real_part_too() -> None:
    made = chip()
    base, x = drawn(made)
    drive = Dense(base + np.random.default_rng(2).normal(0, 0.1, (40, len(base))))
    assert np.allclose(made.outputs(drive, x, sigmoid, in_phase=True), made.outputs(drive, x, sigmoid).real, rtol=0, atol=1e-13)


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize(("fields_kind", "matrix_kind"), [("f", "f"), ("f", "c"), ("c", "c")])
def test_products_of_real_and_complex_light_are_those_of_complex_numbers(
    fields_kind: str, matrix_kind: str, real: bool, many: bool
) -> None:
    rng = np.random.default_rng(3)

    def numbers(kind: str, *shape: int) -> Array:
        return rng.normal(size=shape) + (1j * rng.normal(size=shape) if kind == "c" else 0)

    fields, matrices = numbers(fields_kind, 3, 5, 4), numbers(matrix_kind, *((3,) if many else ()), 4, 6)
    expected = np.einsum("rbn,rnm->rbm" if many else "rbn,nm->rbm", fields, matrices)
    found = times(fields, matrices, real)
    assert found.shape == (3, 5, 6)
    assert np.allclose(found, expected.real if real else expected, rtol=0, atol=1e-13)
    assert np.iscomplexobj(found) == (matrix_kind == "c" and not real)


def test_noise_of_detectors_drawn_with_the_emission_has_the_sum_of_the_covariances() -> None:
    made, shots = chip(np.complex64), 4000
    base, _ = drawn(made)
    drive = Dense(np.repeat(base[None], 30, axis=0))
    emission = [np.full((6, 2), 1e-3), None, None, None, np.full((6, 2), 2e-3), None, None]
    white = [np.array([1e-3, 0, 0, 4e-3]), np.array([0, 5e-3, 0, 1e-3])]
    seen: dict[bool, list[Array]] = {False: [], True: []}
    found = {}
    for added in seen:

        def noted(fields: Array, rows: slice, kept: list[Array] = seen[added]) -> Array:
            kept.append(np.array(fields))
            return np.zeros_like(fields)

        dark = np.zeros((shots, 4))
        outputs = made.outputs(drive, dark, noted, emission=emission, noise=Noise(4), in_phase=True, white=white if added else None)
        hidden = np.concatenate(seen[added])
        found[added] = [np.cov(fields.reshape(-1, 4).T.astype(float)) for fields in (hidden, outputs)]
    for alone, both, variance in zip(found[False], found[True], white, strict=True):
        assert np.allclose(both - alone, np.diag(variance), rtol=0, atol=0.03 * both.max())
        assert alone.diagonal().min() > 1e-4


def test_settings_that_move_the_same_channel_are_a_group_and_others_are_alone() -> None:
    base = np.zeros(5)
    channels = np.array([[3, 3], [1, 2], [3, 3], [0, 0], [1, 1], [3, 3]])
    values = np.array([[9, 1.0], [1, 1], [9, -2], [9, 0], [9, 1], [9, 4]])
    first, group, share = Edits(Sparse(base, channels, values)).groups(np.array([0, 1, 2, 3, 4, 5]))
    assert first.tolist() == [0, 1, 3, 4]
    assert group.tolist() == [0, 1, 0, 2, 3, 0]
    assert share.tolist() == [1, 1, -2, 1, 1, 4]
