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
    amplitude = float(amplifiers.amplitude(np.array([24e-3]))[0])
    fields = np.array([[1e-3], [-10.0], [30.0]])
    behind = fields * amplitude
    amplifiers.saturate(behind, amplitude)
    factors = (behind / fields)[:, 0]
    assert factors[0] == pytest.approx(amplitude, rel=1e-6)
    assert amplitude > factors[1] > factors[2] > 1
    for field, factor in zip(fields[:, 0], factors, strict=True):
        power = field**2 * 0.5e-6 / 10e-3
        assert 2 * math.log(factor / amplitude) == pytest.approx(-(factor**2 - 1) * power, rel=1e-4, abs=1e-9)


def test_weak_fields_and_moderate_gains_need_fewer_steps_of_newtons_rule() -> None:
    for gain in (0.0025, 0.5, 4.0, 16.0):
        power = np.linspace(0, 3e-3, 7) / max(1.0, gain)
        assert np.allclose(saturated(gain, power, 0), saturated(gain, power), rtol=2e-5)
    for gain in (0.25, 0.5, 1.0, 4.0):
        power = np.geomspace(1e-3, 60, 50)
        assert np.allclose(saturated(gain, power, 2), saturated(gain, power), rtol=2e-5)


def test_an_ideal_section_saturates_nothing() -> None:
    fields = np.full((2, 3), 1e3)
    Amplifiers(1, IDEAL, Noise(1)).saturate(fields, 2.0)
    assert np.all(fields == 1e3)


def test_spontaneous_emission_has_half_of_its_power_in_the_detected_quadrature() -> None:
    amplifiers = Amplifiers(3, replace(IDEAL, noise_bandwidth_hz=1e6), Noise(4))
    current_a = np.array([0.0, 16e-3, 24e-3])
    power_w = 2.0 * constants.h * constants.c / 780.24e-9 * (amplifiers.amplitude(current_a) ** 2 - 1) * 1e6
    expected = np.sqrt(np.maximum(power_w, 0) / 2 / 0.5e-6)
    assert np.allclose(amplifiers.ase_sigma(current_a), expected, rtol=1e-9)


def test_negative_currents_and_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"gain section at -0.001 A; allowed is 0 A and more"):
        Amplifiers(1, IDEAL, Noise(1)).amplitude(-1e-3)
    with pytest.raises(ValueError, match=r"GainSettings.confinement is 2; allowed is 0 to 1"):
        GainSettings(confinement=2)
