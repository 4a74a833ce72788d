"""The true absorbers against integration of the light along the cell and against special functions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.special import lambertw, wrightomega

from sim_backends.physics.absorbers import MODELS, transmission

FIELDS = np.concatenate([[0.0], np.geomspace(1e-5, 60, 400)])
ABSORPTION = {"two_level": lambda i: 1 / (1 + i), "doppler": lambda i: 1 / np.sqrt(1 + i)}


@pytest.mark.parametrize(("model", "depth"), list(itertools.product(ABSORPTION, [0.3, 5.0, 10.0, 30.0])))
def test_propagated_cells_agree_with_integration_along_the_cell(model: str, depth: float) -> None:
    fields = np.array([0.1, 0.7, 1.5, 3.0, 6.0, 20.0])
    solved = solve_ivp(
        lambda z, log_i: -depth * ABSORPTION[model](np.exp(log_i)), (0, 1), 2 * np.log(fields), method="DOP853", rtol=1e-12, atol=1e-13
    )
    assert np.allclose(transmission(model, fields, depth), np.exp(solved.y[:, -1] / 2) / fields, rtol=1e-9, atol=0)


@pytest.mark.parametrize("depth", [0.0, 1e-3, 1.0, 10.0, 30.0, 200.0])
def test_the_two_level_cell_is_wrights_omega_from_the_dark_to_deep_saturation(depth: float) -> None:
    intensity = FIELDS[1:] ** 2
    out = wrightomega(np.log(intensity) + intensity - depth)
    t = transmission("two_level", FIELDS, depth)
    assert np.allclose(t[1:], np.exp((intensity - depth - out) / 2), rtol=2e-12, atol=0)
    assert t[0] == pytest.approx(np.exp(-depth / 2), rel=1e-12)


def test_the_two_level_cell_is_lamberts_w() -> None:
    fields = np.linspace(0.1, 5, 50)
    out = np.sqrt(lambertw(fields**2 * np.exp(fields**2 - 10)).real)
    assert np.allclose(transmission("two_level", fields, 10.0) * fields, out, rtol=1e-12)


@pytest.mark.parametrize("depth", [0.0, 1e-3, 1.0, 10.0, 30.0, 200.0])
def test_the_doppler_cell_conserves_its_first_integral(depth: float) -> None:
    t = transmission("doppler", FIELDS, depth)
    q, p = np.sqrt(1 + FIELDS**2), np.sqrt(1 + (t * FIELDS) ** 2)
    fall = FIELDS**2 * (1 - t**2) / (p + q)
    balance = -2 * np.log(t) + 2 * fall - 2 * np.log1p(fall / (1 + p))
    # the slope of the balance in ln t is -2p, so this is the relative error of t
    assert np.max(np.abs(balance - depth) / (2 * p)) < 1e-12


def test_the_documented_example_of_both_models() -> None:
    field = np.array([2.0])
    assert transmission("two_level", field, 10.0)[0] * 2 == pytest.approx(0.099, abs=5e-4)
    assert transmission("eq4", field, 10.0)[0] == pytest.approx(0.368, abs=5e-4)


def test_equation_4_and_its_gain_counterpart_are_the_papers() -> None:
    assert np.allclose(transmission("eq4", FIELDS, 30.0), np.exp(-15.0 / (1 + FIELDS**2)), rtol=1e-14)
    assert np.allclose(transmission("gain", FIELDS, 3.0), np.exp(1.5 / (1 + FIELDS**2)), rtol=1e-14)


@pytest.mark.parametrize(("model", "depth"), list(itertools.product(MODELS, [0.5, 10.0, 30.0])))
def test_single_precision_agrees_with_double_precision(model: str, depth: float) -> None:
    field = FIELDS.astype(np.float32)
    t = transmission(model, field, depth)
    assert t.dtype == np.float32
    # the exponent of the closed forms is rounded to single precision, which the exponential turns into a relative error
    allowed = 1e-6 * max(1.0, depth / 4 if model in ("eq4", "gain") else 0)
    assert np.allclose(t, transmission(model, field.astype(np.float64), depth), rtol=allowed, atol=0)


@pytest.mark.parametrize("model", MODELS)
def test_signs_shapes_depths_a_channel_and_output_in_place(model: str) -> None:
    field = np.linspace(-4, 4, 12).reshape(3, 4)
    depth = np.array([1.0, 5.0, 10.0, 20.0])
    t = transmission(model, field, depth)
    assert np.array_equal(t, transmission(model, -field, depth))
    assert np.allclose(t[:, 2], transmission(model, field[:, 2], 10.0), rtol=1e-14)
    out = field.copy()
    assert transmission(model, out, depth, out=out) is out
    assert np.array_equal(out, t)


@pytest.mark.parametrize("model", ["eq4", "two_level", "doppler"])
def test_an_extreme_depth_underflows_to_dark_and_not_to_nan(model: str) -> None:
    t = transmission(model, np.array([0.0, 1e-3, 1.0, 60.0], np.float32), np.array(300.0))
    assert np.all(np.isfinite(t))
    assert np.all((t >= 0) & (t <= 1))
    assert t[0] < 1e-38


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'eq5' is unknown; allowed are eq4, two_level, doppler, gain"):
        transmission("eq5", np.zeros(3), 1.0)
