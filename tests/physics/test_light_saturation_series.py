"""Polynomials that stand for the saturation of amplifiers, against a root finder."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq

from sim_backends.physics.saturation_series import apply, polynomial, series


def factor(gain: float, power: float, alpha_h: float) -> complex:
    """exp((1 - i alpha_h) x/2) with x = ln(G/G0) = (1 - G0 e^x) p by bisection."""
    x = brentq(lambda x: x - (1 - gain * np.exp(x)) * power, -np.log(gain) - 1 if gain > 1 else -1, 5, xtol=1e-15)
    return complex(np.exp((1 - 1j * alpha_h) * x / 2))


@pytest.mark.parametrize("alpha_h", [0.0, 3.0])
@pytest.mark.parametrize("most", [1e-4, 3e-3, 0.02])
def test_a_polynomial_keeps_the_error_it_was_asked_for_up_to_the_power_it_was_made_for(alpha_h: float, most: float) -> None:
    gains = np.array([0.3, 0.9, 1.0, 1.2, 2.0])
    found = polynomial(gains, np.full(5, most), alpha_h, 1e-5)
    assert found is not None
    for power in np.linspace(0, most, 23):
        exact = [factor(gain, float(power), alpha_h) for gain in gains]
        assert np.abs(sum(c * power**n for n, c in enumerate(found)) - exact).max() < 1e-5


def test_more_terms_are_taken_for_more_power_and_none_fit_where_it_is_strong() -> None:
    gains = np.array([1.5])
    degrees = [len(polynomial(gains, np.array([most]), 3.0, 1e-5) or ()) - 1 for most in (1e-3, 1e-2, 3e-2)]
    assert degrees[0] == 1
    assert degrees == sorted(degrees)
    assert degrees[-1] > degrees[0]
    assert polynomial(gains, np.array([0.2]), 3.0, 1e-5) is None
    assert polynomial(np.array([10.0]), np.array([0.02]), 3.0, 1e-5) is None


def test_the_series_has_the_derivatives_of_the_exact_factor() -> None:
    terms, step = series(np.array([1.7]), 3.0), 1e-4
    values = [factor(1.7, n * step, 3.0) for n in range(3)]
    assert terms[1][0] == pytest.approx((-3 * values[0] + 4 * values[1] - values[2]) / (2 * step), rel=1e-5)
    assert 2 * terms[2][0] == pytest.approx((values[0] - 2 * values[1] + values[2]) / step**2, rel=1e-2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_fields_of_every_precision_are_multiplied_by_the_polynomials_in_place(dtype: Any) -> None:
    rng = np.random.default_rng(1)
    fields = (rng.normal(size=(3, 4, 2)) + 1j * rng.normal(size=(3, 4, 2))).astype(dtype) if dtype().dtype.kind == "c" else None
    fields = rng.normal(size=(3, 4, 2)).astype(dtype) if fields is None else fields
    power = np.abs(fields) ** 2
    coefficients = [np.array([1.0, 0.9]), np.array([-0.2, 0.1]), np.array([0.03, 0.02])]
    if fields.dtype.kind == "c":
        coefficients = [c * (1 - 0.5j) for c in coefficients]
    expected = fields * (coefficients[0] + power * (coefficients[1] + power * coefficients[2]))
    apply(fields, power, coefficients)
    assert fields.dtype == dtype
    assert np.allclose(fields, expected, rtol=1e-5)
