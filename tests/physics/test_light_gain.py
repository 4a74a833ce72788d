"""Interlayer amplifiers: curve, saturation against a root finder, spontaneous emission."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import constants
from scipy.optimize import brentq

from sim_backends.physics.gain import Amplifiers, GainSettings, saturated
from sim_backends.physics.noise import Noise

IDEAL = GainSettings.ideal()


def test_the_nominal_curve_rises_from_absorption_through_transparency_to_gain() -> None:
    current_a = np.linspace(0, 24e-3, 241)[:, None]
    factor = Amplifiers(1, IDEAL, Noise(1)).amplitude(current_a)[:, 0]
    assert np.all(np.diff(factor) > 0)
    assert factor[0] == pytest.approx(0.05, rel=0.01)
    assert factor[80] == pytest.approx(1.0, rel=0.01)
    assert factor[-1] == pytest.approx(4.0, rel=0.01)


def test_the_curve_is_the_documented_formula_of_the_hidden_constants() -> None:
    amplifiers = Amplifiers(6, GainSettings(), Noise(2))
    current_a = np.linspace(1e-3, 24e-3, 6)
    material = amplifiers.g0_per_m * np.log((current_a + 1e-3) / (amplifiers.transparency_a + 1e-3))
    net = np.exp((0.03025 * material - amplifiers.loss_per_m) * 1e-3)
    assert np.allclose(amplifiers.amplitude(current_a) ** 2, net, rtol=1e-12)


def test_the_hidden_constants_spread_by_a_few_percent() -> None:
    many = Amplifiers(20000, GainSettings(), Noise(3))
    for values, nominal, spread in ((many.g0_per_m, 9e4, 0.03), (many.transparency_a, 5.26e-3, 0.03), (many.loss_per_m, 1e3, 0.05)):
        assert values.mean() == pytest.approx(nominal, rel=2e-3)
        assert values.std() / nominal == pytest.approx(spread, rel=0.03)


@pytest.mark.parametrize("gain", [0.0025, 0.5, 1.0, 4.0, 16.0, 1000.0])
def test_saturation_solves_its_equation(gain: float) -> None:
    power = np.array([0.0, 1e-6, 1e-3, 0.1, 3.0, 50.0])

    def exact(p: float) -> float:
        return float(brentq(lambda log_g: log_g - math.log(gain) + math.expm1(log_g) * p, -20, 20, xtol=1e-14, rtol=1e-14))

    expected = [math.exp(0.5 * (exact(p) - math.log(gain))) for p in power]
    assert np.allclose(saturated(np.array(gain), power), expected, rtol=1e-10)
    assert np.allclose(saturated(np.float32(gain), power.astype(np.float32)), expected, rtol=1e-5)


def test_a_strong_field_gets_less_gain_and_a_weak_one_the_nominal() -> None:
    amplifiers = Amplifiers(1, replace(IDEAL, saturation_w=10e-3), Noise(1))
    fields, current_a = np.array([[1e-3], [-10.0], [30.0]]), np.array([24e-3])
    nominal = amplifiers.amplitude(current_a)[0]
    factors = amplifiers.amplify(fields, current_a) / fields
    assert factors[0, 0] == pytest.approx(nominal, rel=1e-6)
    for row in (1, 2):
        expected = nominal * saturated(np.array(nominal**2), fields[row] ** 2 * 0.5e-6 / 10e-3)[0]
        assert factors[row, 0] == pytest.approx(expected, rel=1e-12)
    assert factors[2, 0] < factors[1, 0] < 0.98 * nominal
    assert amplifiers.amplify(fields[:1], current_a) == pytest.approx(fields[:1] * nominal, rel=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_spontaneous_emission_has_half_of_its_power_in_the_detected_quadrature(dtype: type) -> None:
    amplifiers = Amplifiers(3, replace(IDEAL, noise_bandwidth_hz=1e6), Noise(4))
    current_a = np.array([0.0, 16e-3, 24e-3])
    power_w = 2.0 * constants.h * constants.c / 780.24e-9 * (amplifiers.amplitude(current_a) ** 2 - 1) * 1e6
    expected = np.sqrt(np.maximum(power_w, 0) / 2 / 0.5e-6)
    assert np.allclose(amplifiers.ase_sigma(current_a), expected, rtol=1e-9)
    out = amplifiers.amplify(np.zeros((100_000, 3), dtype), current_a)
    assert out.dtype == dtype
    assert out.std(axis=0) == pytest.approx(expected, rel=0.02)


def test_a_current_for_each_shot_is_a_factor_for_each_shot() -> None:
    amplifiers, current_a = Amplifiers(2, IDEAL, Noise(1)), np.array([[1e-3, 9e-3], [20e-3, 0.0]])
    assert np.allclose(amplifiers.amplify(np.ones((2, 2)), current_a), amplifiers.amplitude(current_a))


def test_negative_currents_and_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"gain section at -0.001 A; allowed is 0 A and more"):
        Amplifiers(1, IDEAL, Noise(1)).amplitude(-1e-3)
    with pytest.raises(ValueError, match=r"GainSettings.confinement is 2; allowed is 0 to 1"):
        GainSettings(confinement=2)
