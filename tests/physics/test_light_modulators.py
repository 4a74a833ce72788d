"""Mach-Zehnder modulators against interference written out with complex fields."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from sim_backends.physics.modulators import Modulators, ModulatorSettings
from sim_backends.physics.noise import Noise

IDEAL = ModulatorSettings.ideal()


def test_an_ideal_modulator_is_a_sine_of_the_voltage() -> None:
    volts = np.linspace(-7, 7, 60).reshape(12, 5)
    assert np.allclose(Modulators(5, IDEAL, Noise(1)).fields(volts, 0.0), np.sin(np.pi * volts / 7), atol=1e-14)


def test_the_field_is_the_real_part_of_two_interfering_arms() -> None:
    settings = replace(IDEAL, extinction_db=25.0, chirp_rad=0.1)
    volts = np.linspace(-5, 5, 90).reshape(30, 3)
    theta = np.pi * volts / 7
    chirp = 0.1 * Noise(4).child("chirp").normal(3, np.float64)
    complex_field = np.sin(theta) + 10 ** (-25 / 20) * 1j * np.exp(-1j * chirp) * np.cos(theta)
    assert np.allclose(Modulators(3, settings, Noise(4)).fields(volts, 0.0), complex_field.real, atol=1e-14)
    # the power of the documented formula, with the quadrature that homodyne detection does not see
    power = np.sin(theta) ** 2 + 10 ** (-25 / 10) * np.cos(theta) ** 2
    assert np.max(np.abs(np.abs(complex_field) ** 2 - power)) < 2 * 10 ** (-25 / 20) * 0.25


def test_the_hidden_numbers_have_the_set_spreads() -> None:
    many = Modulators(20000, ModulatorSettings(), Noise(5))
    assert many.v_pi_v.mean() == pytest.approx(3.5, rel=1e-3)
    assert many.v_pi_v.std() == pytest.approx(0.035, rel=0.03)
    assert many.bias_v.std() == pytest.approx(0.005 * 3.5, rel=0.03)
    assert many.insertion.mean() == pytest.approx(10 ** (-3 / 20), rel=2e-3)
    assert many.insertion.std() / many.insertion.mean() == pytest.approx(0.05, rel=0.03)


def test_the_bias_drifts_by_its_walk_and_only_at_ticks() -> None:
    settings = replace(IDEAL, bias_walk_v_pi_per_sqrt_h=0.01, bias_relax_s=3600.0)
    many, volts = Modulators(20000, settings, Noise(6)), np.zeros((1, 20000))
    assert np.all(many.fields(volts, 0.99) == 0)
    assert many.key(0.99) == many.key(0.0) != many.key(1.01)
    drift_v_pi = many.fields(volts, 900.0) / (-np.pi / 2)
    expected = 0.01 * math.sqrt((1 - math.exp(-2 * 900 / 3600)) / 2)
    assert drift_v_pi.std() == pytest.approx(expected, rel=0.03)
    assert np.array_equal(many.fields(volts, 900.4), many.fields(volts, 900.0))


def test_dtype_follows_the_volts_and_single_agrees_with_double() -> None:
    volts = np.random.default_rng(0).uniform(-4, 4, (64, 784))
    twins = [Modulators(784, ModulatorSettings(), Noise(7)) for _ in range(2)]
    single, double = twins[0].fields(volts.astype(np.float32), 50.0), twins[1].fields(volts, 50.0)
    assert single.dtype == np.float32
    assert np.max(np.abs(single - double)) < 2e-6


def test_without_drift_the_key_is_constant() -> None:
    assert Modulators(3, IDEAL, Noise(1)).key(0.0) == Modulators(3, IDEAL, Noise(1)).key(1e6)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"ModulatorSettings.v_pi_v is 0; allowed is 0.1 to 100"):
        ModulatorSettings(v_pi_v=0)
