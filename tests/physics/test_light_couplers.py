"""Couplers against matrix exponentials, conserved forms, and derivatives by complex steps and finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import expm

from sim_backends.physics import couplers
from sim_backends.physics.coupler_laws import AttenuatorLaw, CouplerLaw, ExponentialLaw, MziLaw, PtLaw, RotationLaw

SIGMA_X = np.array([[0, 1], [1, 0]])
SIGMA_Z = np.diag([1.0, -1.0])
CONTRASTS = [0.0, 0.2, -0.2, 0.999, 1 - 1e-9, 1.0, 1 + 1e-9, -1.0, 1.5, -3.0, 0.2 - 0.8j, 1.0 + 1e-6j, 1.5 - 4.5j]
SPLIT = PtLaw(z=np.array([0.7, 1.0, 1.3, 2.0]))


def propagated(s: complex, z: float) -> NDArray[Any]:
    return np.asarray(expm(z * (s * SIGMA_Z + 1j * SIGMA_X)))


@pytest.mark.parametrize("z", [1.0, 0.3, 2.5])
@pytest.mark.parametrize("s", CONTRASTS)
def test_a_pt_coupler_is_the_exponential_of_its_generator(s: complex, z: float) -> None:
    expected = propagated(s, z)
    assert np.abs(couplers.pt(s, z) - expected).max() <= 1e-13 * max(1.0, np.abs(expected).max())
    assert np.linalg.det(couplers.pt(s, z)) == pytest.approx(1, abs=1e-12 * np.abs(expected).max() ** 2)


def test_a_pt_coupler_of_real_contrast_conserves_sigma_x() -> None:
    blocks = couplers.pt(np.array([0.0, 0.3, 1.0, 1.4]), 1.1)
    assert np.allclose(blocks.conj().swapaxes(-1, -2) @ SIGMA_X @ blocks, SIGMA_X, atol=1e-14)


def test_constant_phases_make_it_real_in_the_unbroken_and_the_broken_phase() -> None:
    s = np.array([-0.9, 0.0, 0.2, 1.0, 1.5])
    in_front, behind = np.diag(np.exp([-0.5j * np.pi, -1j * np.pi])), np.diag(np.exp([0.5j * np.pi, 1j * np.pi]))
    real = couplers.pt_real_form(s, 1.3)
    assert real.dtype == np.float64
    assert np.allclose(real, behind @ couplers.pt(s, 1.3) @ in_front, atol=1e-14)
    theta, length = np.arcsin(0.2), 1.3 * np.cos(np.arcsin(0.2))
    paper = [[np.cos(length - theta), np.sin(length)], [-np.sin(length), np.cos(length + theta)]] / np.cos(theta)
    assert np.allclose(real[2], paper, atol=1e-15)
    assert np.iscomplexobj(couplers.pt_real_form(s + 0.1j, 1.3))
    assert couplers.pt_real_form(s.astype(np.float32)).dtype == np.float32
    assert np.allclose(couplers.pt_real_form(s.astype(np.float32), 1.3), real, atol=1e-6)


@pytest.mark.parametrize("s", [0.0, 0.2, 0.7, 1 - 1e-9, 1.0, 1 + 1e-9, 1.1, 1.5, -1.2])
@pytest.mark.parametrize("z", [1.0, 2.5])
def test_the_derivative_of_a_pt_coupler_agrees_with_a_complex_step(s: float, z: float) -> None:
    step = 1e-30
    expected = couplers.pt_real_form(s + 1j * step, z).imag / step
    assert np.allclose(couplers.pt_real_derivative(s, z), expected, rtol=1e-12, atol=1e-13)
    difference = (propagated(s + 1e-6, z) - propagated(s - 1e-6, z)) / 2e-6
    assert np.allclose(couplers.pt_derivative(s, z), difference, rtol=1e-7, atol=1e-8)


def test_unequal_gains_have_a_common_factor_and_a_contrast() -> None:
    g1, g2, kappa, length = 9e3, -3e3, 4e4, 25e-6
    s, factor = couplers.gain_loss(g1, g2, kappa, length)
    generator = np.array([[g1 / 2, 1j * kappa], [1j * kappa, g2 / 2]])
    assert np.allclose(factor * couplers.pt(s, kappa * length), expm(generator * length), atol=1e-14)
    s, factor = couplers.gain_loss(g1, 0.0, kappa, length, alpha_h=4.0)
    generator = np.array([[g1 / 2 * (1 - 4j), 1j * kappa], [1j * kappa, 0]])
    assert np.allclose(factor * couplers.pt(s, kappa * length), expm(generator * length), atol=1e-14)


def test_an_mzi_is_unitary_with_wrong_splitters_too_and_has_the_documented_matrix() -> None:
    rng = np.random.default_rng(1)
    theta, phi, delta1, delta2 = rng.normal(size=(4, 50))
    blocks = couplers.mzi(theta, phi, delta1, delta2)
    assert np.allclose(blocks.conj().swapaxes(-1, -2) @ blocks, np.eye(2), atol=1e-14)
    split = [expm(1j * (np.pi / 4 + delta) * SIGMA_X) for delta in (delta1[0], delta2[0])]
    one = split[1] @ np.diag([np.exp(1j * theta[0]), 1]) @ split[0] @ np.diag([np.exp(1j * phi[0]), 1])
    assert np.allclose(blocks[0], one, atol=1e-14)
    t, p = theta[0], np.exp(1j * phi[0])
    ideal = 1j * np.exp(0.5j * t) * np.array([[p * np.sin(t / 2), np.cos(t / 2)], [p * np.cos(t / 2), -np.sin(t / 2)]])
    assert np.allclose(couplers.mzi(theta[0], phi[0]), ideal, atol=1e-14)
    assert couplers.mzi(theta.astype(np.float32), phi.astype(np.float32)).dtype == np.complex64


def test_a_rotation_is_two_splitters_around_opposite_phases_of_the_arms() -> None:
    h = 0.37
    arms = couplers.rotation_arms()
    assert np.allclose(arms.conj().T @ np.diag(np.exp([-1j * h, 1j * h])) @ arms, couplers.rotation(h), atol=1e-15)
    assert np.allclose(couplers.rotation(h) @ couplers.rotation(h).T, np.eye(2), atol=1e-15)


@pytest.mark.parametrize(
    "law",
    [
        SPLIT,
        PtLaw(z=1.2, real=False, alpha_h=3.0),
        PtLaw(z=0.8, one_sided=True),
        PtLaw(z=0.8, one_sided=True, alpha_h=3.0, real=False, factor=0.9),
        RotationLaw(offset=np.array([0.1, 0.2, 0.3, 0.4])),
        MziLaw(np.array([0.1, 0.0, -0.1, 0.2]), 0.05),
    ],
)
def test_every_laws_derivatives_agree_with_finite_differences(law: CouplerLaw) -> None:
    index = np.arange(4)
    values = np.random.default_rng(2).uniform(-0.5, 0.5, (4, law.parameters))
    shaped = values if law.parameters == 2 else values[:, 0]
    for number, found in enumerate(law.derivatives(index, shaped)):
        step = np.zeros(law.parameters)
        step[number] = 1e-5
        up, down = ((values + sign * step).reshape(shaped.shape) for sign in (1, -1))
        assert np.allclose(found, (law.blocks(index, up) - law.blocks(index, down)) / 2e-5, atol=2e-9)


def test_a_one_sided_coupler_is_a_pumped_guide_beside_a_passive_one() -> None:
    s, z = 0.2, 1.3
    block = PtLaw(z=z, real=False, one_sided=True).blocks(np.array(0), np.array(s))
    assert np.allclose(block, expm(z * np.array([[2 * s, 1j], [1j, 0]])), atol=1e-14)


@pytest.mark.parametrize("law", [RotationLaw(offset=0.2), MziLaw(0.1, -0.07)])
def test_phase_sections_lie_on_the_way_of_the_light_in_both_directions(law: CouplerLaw) -> None:
    """What passes the plane of a section's arms, forward and then on, is the whole block."""
    values = np.array([[0.3, 0.9]]) if law.parameters == 2 else np.array([0.3])
    for ahead, back in law.sections(np.arange(1), values):
        assert np.allclose(back.swapaxes(-1, -2) @ ahead, law.blocks(np.arange(1), values), atol=1e-14)


def test_amplifier_laws_are_what_they_say() -> None:
    values = np.array([0.0, 0.4, -1.0])
    index, scale = np.arange(3), np.array([1.0, 2.0, 3.0])
    for law, expected in ((ExponentialLaw(2.0), 2 * np.exp(values)), (AttenuatorLaw(scale), scale * np.cos(values))):
        assert np.allclose(law.factors(index, values), expected, atol=1e-15)
        slope = (law.factors(index, values + 1e-6) - law.factors(index, values - 1e-6)) / 2e-6
        assert np.allclose(law.derivatives(index, values), slope, atol=1e-8)
